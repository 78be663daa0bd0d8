/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tor check: visits a service through Tor and says where that breaks. */
#include <string.h>

#include "client/cmd.h"
#include "client/out.h"
#include "client/service.h"

#define EXIT_BROKEN 3

/* Those behind the first n. */
static size_t print_steps(const json_t *steps, size_t n)
{
	for (; n < json_array_size(steps); n++) {
		const json_t *step = json_array_get(steps, n);
		bool good = json_is_true(json_object_get(step, "good"));

		out_line("%s%-11s%s %s", out_style(good ? STYLE_GOOD : STYLE_WARN),
			 out_esc(service_text(step, "step")), out_plain(),
			 out_esc(service_text(step, "text")));
	}
	return n;
}

static int follow(struct ctl *ctl, int64_t deadline, json_t **ret, struct error *err)
{
	bool continues = true;
	size_t printed = 0;
	int r = 0;

	while (r == 0 && continues) {
		json_t *reply = NULL;

		r = rpc_receive(ctl->rpc, deadline, &reply, &continues, err);
		if (r == 0 && !out_is_json()) {
			printed = print_steps(json_object_get(reply, "steps"), printed);
		}
		if (r == 0 && !continues) {
			*ret = reply;
		} else {
			json_decref(reply);
		}
	}
	return r;
}

static int run(struct ctl *ctl)
{
	struct error err = ERROR_INIT;
	json_t *params = json_pack("{s:s}", "name", ctl->args.words[0]), *last = NULL;
	int64_t timeout = 0;
	int r = ctl_timeout(ctl, 0, &timeout, &err);

	if (r == 0) {
		r = ctl_connect(ctl, &err);
	}
	if (r == 0) {
		r = rpc_send(ctl->rpc, "TorCheck", params, true, NULL, &err);
	} else {
		json_decref(params);
	}
	if (r == 0) {
		r = follow(ctl, timeout ? rpc_now() + timeout : RPC_FOREVER, &last, &err);
	}
	if (r < 0) {
		return ctl_fail(&err);
	}
	bool good = json_is_true(json_object_get(last, "good"));

	if (out_is_json()) {
		json_object_del(last, "done");
		out_json(last);
	} else if (!good) {
		out_note("That is where it breaks: what comes behind it was not tried.");
	}
	json_decref(last);
	return good ? 0 : EXIT_BROKEN;
}

const struct command cmd_tor_check = {
	.name = "tor check",
	.synopsis = "NAME",
	.summary = "visit a service through Tor, and say where that breaks",
	.help = "Step by step: is Tor there, does the service run, does it answer on this\n"
		"machine, has Tor announced its address, do the network's directories hand it\n"
		"out, does a visitor get through, and is answered. Exit status 3 if not.\n"
		"\n"
		"For a private service one of its private keys is used; tor forgets it\n"
		"afterwards. It takes some seconds, and up to some minutes where Tor is slow.",
	.min_words = 1,
	.max_words = 1,
	.run = run,
};
