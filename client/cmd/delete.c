/* SPDX-License-Identifier: GPL-3.0-or-later */
/* delete: after a question, since address and keys cannot be brought back. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client/cmd.h"
#include "client/out.h"
#include "client/service.h"
#include "proto/base/alloc.h"

static const struct opt opts[] = {
	{"yes", 'y', NULL, "do not ask"},
	{"purge", 0, NULL, "delete received files too"},
	{0},
};

/* One line from the terminal: does it begin with y or Y? */
static int ask(struct ctl *ctl, bool *ret, struct error *err)
{
	char line[64] = "";
	ssize_t n;
	int r;

	if (ctl->args.n_words == 1) {
		out_ask("Delete %s, with its address and private keys, for good? [y/N] ",
			out_esc(ctl->args.words[0]));
	} else {
		out_ask("Delete %zu services, with their addresses and private keys, for good? "
			"[y/N] ",
			ctl->args.n_words);
	}
	r = rpc_wait_readable(STDIN_FILENO, err);
	if (r < 0) {
		return r;
	}
	n = read(STDIN_FILENO, line, sizeof(line) - 1);
	*ret = n > 0 && (line[0] == 'y' || line[0] == 'Y');
	return 0;
}

/* Where a service keeps what it received, and leaves it; NULL: it does not. Owned. */
static char *kept_files(struct ctl *ctl, const char *name)
{
	struct error err = ERROR_INIT;
	json_t *reply = NULL, *options;
	char *dir = NULL;

	if (opt_given(&ctl->args, "purge") || out_is_json()) {
		return NULL;
	}
	if (ctl_call(ctl, "Show", json_pack("{s:s}", "name", name), &reply, &err) == 0) {
		options = json_object_get(json_object_get(reply, "service"), "options");
		dir = service_has(options, "data_dir") ? xstrdup(service_text(options, "data_dir"))
						       : NULL;
	}
	json_decref(reply);
	error_done(&err); /* Delete says it again */
	return dir;
}

static int delete_one(struct ctl *ctl, const char *name, json_t **ret, struct error *err)
{
	_cleanup_free_ char *kept = kept_files(ctl, name);
	json_t *reply = NULL;
	json_t *params =
		json_pack("{s:s, s:b}", "name", name, "purge", opt_given(&ctl->args, "purge"));
	int r = ctl_call(ctl, "Delete", params, &reply, err);

	if (r < 0) {
		return r;
	}
	json_decref(reply);
	*ret = json_pack("{s:s, s:b}", "name", name, "deleted", true);
	if (!out_is_json()) {
		out_note("%s is deleted.", out_esc(name));
		if (kept) {
			out_note("What it received, if anything, stays in %s", out_esc(kept));
		}
	}
	return 0;
}

static int run_delete(struct ctl *ctl)
{
	struct error err = ERROR_INIT;
	bool yes = opt_given(&ctl->args, "yes");

	if (!yes && (out_is_json() || !out_can_ask())) {
		return ctl_misuse(ctl, "nobody can be asked here: 'delete' needs --yes");
	}
	if (!yes && ask(ctl, &yes, &err) < 0) {
		return ctl_fail(&err);
	}
	if (!yes) {
		out_note("Nothing is deleted.");
		return 1;
	}
	return ctl_for_each(ctl, delete_one);
}

const struct command cmd_delete = {
	.name = "delete",
	.synopsis = "NAME...",
	.summary = "stop services and delete them with their keys",
	.help = "Stops the services and deletes them with their addresses and private keys,\n"
		"which cannot be brought back. Shared files are not touched, received ones stay\n"
		"without --purge. Asks first on a terminal; elsewhere --yes is needed.",
	.opts = opts,
	.min_words = 1,
	.max_words = SIZE_MAX,
	.run = run_delete,
};
