/* SPDX-License-Identifier: GPL-3.0-or-later */
/* create: a saved service, stopped. */
#include "client/content/create.h"
#include "client/cmd.h"
#include "client/out.h"
#include "client/service.h"
#include "proto/units.h"

static const struct opt opts[] = {
	{"qr", 0, NULL, "address and private key also as QR codes"},
	{0},
};

static const struct opt receive_opts[] = {
	{"qr", 0, NULL, "address and private key also as QR codes"},
	{"adopt", 0, NULL, "take over what an earlier service of this name has received"},
	{0},
};

/* The mode is the command's; what follows the name is content. */
static int run(struct ctl *ctl)
{
	struct error err = ERROR_INIT;
	const char *name = ctl->args.words[0];
	json_t *service = NULL;

	if (units_check_name("name", name, &err) < 0 ||
	    create_service(ctl, ctl->command->mode, name, false, ctl->args.words + 1,
			   ctl->args.n_words - 1, &service, &err) < 0) {
		return ctl_fail(&err);
	}
	if (out_is_json()) {
		out_json(service);
	} else {
		service_print_address(service, opt_given(&ctl->args, "qr"));
		out_note("%s is made and not started yet: onionsharectl start %s", out_esc(name),
			 out_esc(name));
	}
	json_decref(service);
	return 0;
}

const struct command cmd_create_share = {
	.name = "create share",
	.synopsis = "NAME PATH...",
	.summary = "make a saved service that shares files, stopped",
	.help = "Makes a service that shares the files and folders. Its address and private key\n"
		"are made with it and printed; they stay the same from then on.",
	.opts = opts,
	.mode = "share",
	.min_words = 2,
	.max_words = SIZE_MAX,
	.any_bytes = true,
	.run = run,
};

const struct command cmd_create_website = {
	.name = "create website",
	.synopsis = "NAME PATH...",
	.summary = "make a saved website out of files, stopped",
	.help = "Makes a website of the folder. Files are served as they are at each visit: an "
		"edit\n"
		"shows at once. A folder without index.html is shown as a list, a 404.html at the\n"
		"top is shown for what is not there. Several files and folders keep their names.\n"
		"Address and private key are made with it and printed; they stay the same.",
	.opts = opts,
	.mode = "website",
	.min_words = 2,
	.max_words = SIZE_MAX,
	.any_bytes = true,
	.run = run,
};

const struct command cmd_create_chat = {
	.name = "create chat",
	.synopsis = "NAME",
	.summary = "make a saved chat room, stopped",
	.help = "Makes a room in which visitors talk with each other. Messages are kept nowhere.\n"
		"Address and private key are made with it and printed; they stay the same.",
	.opts = opts,
	.mode = "chat",
	.min_words = 1,
	.max_words = 1,
	.run = run,
};

const struct command cmd_create_receive = {
	.name = "create receive",
	.synopsis = "NAME",
	.summary = "make a saved dropbox for files and messages, stopped",
	.help = "Makes a service to which visitors send files and messages. Each submission is\n"
		"kept in a folder of its own below the data directory. Files from strangers can\n"
		"be harmful: open them with care, best on another machine.",
	.opts = receive_opts,
	.mode = "receive",
	.min_words = 1,
	.max_words = 1,
	.run = run,
};
