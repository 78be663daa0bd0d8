/* SPDX-License-Identifier: GPL-3.0-or-later */
/* list, show. */
#include "client/cmd.h"
#include "client/out.h"
#include "client/service.h"

static int run_list(struct ctl *ctl)
{
	struct error err = ERROR_INIT;
	json_t *services = NULL;

	if (ctl_list(ctl, &services, &err) < 0) {
		return ctl_fail(&err);
	}
	if (out_is_json()) {
		out_json(services);
	} else {
		service_print_list(services);
	}
	json_decref(services);
	return 0;
}

static const struct opt show_opts[] = {
	{"qr", 0, NULL, "address and private key as QR codes"},
	{0},
};

static void print_one(struct ctl *ctl, const json_t *reply)
{
	const json_t *service = json_object_get(reply, "service");

	if (opt_given(&ctl->args, "qr")) {
		service_print_address(service, true);
	} else {
		service_print(service);
	}
}

static int run_show(struct ctl *ctl)
{
	return ctl_call_and_print(ctl, "Show", json_pack("{s:s}", "name", ctl->args.words[0]),
				  "service", print_one);
}

const struct command cmd_list = {
	.name = "list",
	.alias = "ls",
	.synopsis = "",
	.summary = "all services: state, transfers, address",
	.help = "NOW/DONE: transfers under way and those completed since the service was made.",
	.run = run_list,
};

const struct command cmd_show = {
	.name = "show",
	.synopsis = "NAME",
	.summary = "all about one service, its private key included",
	.help = "Prints state, address, private keys, options and transfers.",
	.opts = show_opts,
	.min_words = 1,
	.max_words = 1,
	.run = run_show,
};
