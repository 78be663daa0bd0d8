/* SPDX-License-Identifier: GPL-3.0-or-later */
/* publish, add, remove: what a service shows becomes something else, while it runs. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cmd.h"
#include "client/content/content.h"
#include "client/out.h"
#include "client/service.h"
#include "proto/base/alloc.h"
#include "proto/base/utf8.h"

static const struct opt opts[] = {
	{"copy", 0, NULL, "the daemon keeps a copy, also where it serves other files in place"},
	{0},
};

static const struct opt publish_opts[] = {
	{"copy", 0, NULL, "the daemon keeps a copy, also where it serves other files in place"},
	{"to", 0, "FILE", "publish nothing here: pack it, with the options that visitors notice"},
	{"from", 0, "FILE", "publish what was packed so, the same on each machine"},
	{0},
};

static int finish(const char *name, json_t *reply, const char *done)
{
	const json_t *service = json_object_get(reply, "service");

	if (out_is_json()) {
		out_json(service);
	} else {
		out_note("%s %s.", out_esc(name), done);
		if (service_text(service, "reason")[0]) {
			out_note("Note: %s", out_esc(service_text(service, "reason")));
		}
	}
	json_decref(reply);
	return 0;
}

/* What it is decides how the words are meant. */
static int look(struct ctl *ctl, bool *ret_copy, bool *ret_website, struct error *err)
{
	json_t *reply = NULL;
	int r = ctl_call(ctl, "Show", json_pack("{s:s}", "name", ctl->args.words[0]), &reply, err);

	if (r == 0) {
		const json_t *service = json_object_get(reply, "service");
		const json_t *options = json_object_get(service, "options");

		*ret_copy = opt_given(&ctl->args, "copy") ||
			    json_is_true(json_object_get(options, "copy"));
		*ret_website = strcmp(service_text(service, "mode"), "website") == 0;
		json_decref(reply);
	}
	return r;
}

static int change(struct ctl *ctl, const char *method, bool archives, const char *done)
{
	const char *name = ctl->args.words[0];
	json_t *params = json_pack("{s:s}", "name", name), *reply = NULL;
	struct error err = ERROR_INIT;
	struct rpc_fds fds = {.n = 0};
	bool copy = false, website = false;
	int r = look(ctl, &copy, &website, &err);

	if (r == 0) {
		r = content_words(ctl, ctl->args.words + 1, ctl->args.n_words - 1, copy,
				  archives && website, params, &fds, &err);
	}
	if (r == 0) {
		r = rpc_send(ctl->rpc, method, take_ptr(params), false, &fds, &err);
	}
	if (r == 0) {
		r = rpc_receive(ctl->rpc, RPC_FOREVER, &reply, NULL, &err);
	}
	rpc_fds_close(&fds);
	json_decref(params);
	return r < 0 ? ctl_fail(&err) : finish(name, reply, done);
}

/* --- a release for several machines --- */

static int show(struct ctl *ctl, json_t **ret, struct error *err)
{
	json_t *reply = NULL;
	int r = ctl_call(ctl, "Show", json_pack("{s:s}", "name", ctl->args.words[0]), &reply, err);

	if (r == 0) {
		*ret = json_incref(json_object_get(reply, "service"));
		json_decref(reply);
	}
	return r;
}

static int publish_to(struct ctl *ctl, const char *file)
{
	struct error err = ERROR_INIT;
	json_t *service = NULL;
	int r = show(ctl, &service, &err);

	if (r == 0) {
		json_t *options = json_deep_copy(json_object_get(service, "options"));

		json_object_set(options, "title", json_object_get(service, "title"));
		r = content_pack(ctl->args.words + 1, ctl->args.n_words - 1,
				 service_text(service, "mode"), options, file, &err);
		json_decref(options);
		json_decref(service);
	}
	if (r < 0) {
		return ctl_fail(&err);
	}
	out_note("Packed into %s. On each machine: onionsharectl publish NAME --from FILE",
		 out_esc(file));
	return 0;
}

/* First the options, which may be refused; a mixture of two releases is nothing to fear of them. */
static int publish_from(struct ctl *ctl, const char *file)
{
	const char *name = ctl->args.words[0];
	json_t *service = NULL, *info = NULL, *reply = NULL;
	json_t *params = json_pack("{s:s}", "name", name);
	struct error err = ERROR_INIT;
	int r = show(ctl, &service, &err);

	if (r == 0) {
		r = content_unpack(ctl, file, service_text(service, "mode"), params, &info, &err);
	}
	if (r == 0) {
		r = ctl_call(ctl, "Edit",
			     json_pack("{s:s, s:O}", "name", name, "options",
				       json_object_get(info, "options")),
			     &reply, &err);
	}
	if (r == 0) {
		if (json_array_size(json_object_get(reply, "restart_needed"))) {
			out_note("Some of its options count after 'onionsharectl restart %s'.",
				 out_esc(name));
		}
		json_decref(take_ptr(reply));
		r = ctl_call(ctl, "Publish", json_incref(params), &reply, &err);
	}
	json_decref(service);
	json_decref(params);
	json_decref(info);
	return r < 0 ? ctl_fail(&err) : finish(name, reply, "has its new content");
}

static int run_publish(struct ctl *ctl)
{
	const char *to = opt_text(&ctl->args, "to"), *from = opt_text(&ctl->args, "from");

	if (to && from) {
		return ctl_misuse(ctl, "one of --to and --from");
	}
	if (from ? ctl->args.n_words > 1 : ctl->args.n_words < 2) {
		return ctl_misuse(ctl, from ? "'publish --from' takes NAME alone"
					    : "'publish' needs NAME PATH...");
	}
	if (from) {
		return publish_from(ctl, from);
	}
	if (to) {
		return publish_to(ctl, to);
	}
	return change(ctl, "Publish", true, "has its new content");
}

static int run_add(struct ctl *ctl)
{
	return change(ctl, "AddContent", false, "has more content");
}

/* As it is shown with the service, also when it is not there any more. */
static char *whole_path(const char *word)
{
	char here[PATH_MAX];
	char *path = realpath(word, NULL);

	if (path || word[0] == '/' || !getcwd(here, sizeof(here))) {
		return path ? path : xstrdup(word);
	}
	return xasprintf("%s/%s", here, word);
}

static int run_remove(struct ctl *ctl)
{
	struct error err = ERROR_INIT;
	json_t *paths = json_array(), *reply = NULL;

	for (size_t i = 1; i < ctl->args.n_words; i++) {
		_cleanup_free_ char *path = whole_path(ctl->args.words[i]);

		if (!utf8_valid(span_str(path))) {
			json_decref(paths);
			return ctl_misuse(ctl, "'%s' is not UTF-8", ctl->args.words[i]);
		}
		json_array_append_new(paths, json_string(path));
	}
	if (ctl_call(ctl, "RemoveContent",
		     json_pack("{s:s, s:o}", "name", ctl->args.words[0], "paths", paths), &reply,
		     &err) < 0) {
		return ctl_fail(&err);
	}
	return finish(ctl->args.words[0], reply, "has less content");
}

const struct command cmd_publish = {
	.name = "publish",
	.synopsis = "NAME PATH...",
	.summary = "replace all that a share or website serves, at once",
	.help = "Visitors see all of the old or all of the new, never a mixture; downloads under\n"
		"way end with the old. It works while the service runs, at the same address. For "
		"a\n"
		"website the only path may be a .zip, .tar, .tar.gz, .tar.xz or .tar.zst: it is\n"
		"unpacked, and if there is just one folder in it, that is the site. A service "
		"that\n"
		"was made with --copy gets a copy again.\n"
		"--to FILE packs the paths into a file instead, as a release for several machines "
		"behind\n"
		"one address; NAME --from FILE publishes it on each. They then serve the same "
		"bytes under\n"
		"the same ETag, so that a download goes on at another machine.",
	.opts = publish_opts,
	.min_words = 1,
	.max_words = SIZE_MAX,
	.any_bytes = true,
	.run = run_publish,
};

const struct command cmd_add = {
	.name = "add",
	.synopsis = "NAME PATH...",
	.summary = "add files to a share or website, also while it runs",
	.help = "They appear at the root, beside what is there, which keeps its place.",
	.opts = opts,
	.min_words = 2,
	.max_words = SIZE_MAX,
	.any_bytes = true,
	.run = run_add,
};

const struct command cmd_remove = {
	.name = "remove",
	.synopsis = "NAME PATH...",
	.summary = "take files out of a share or website, also while it runs",
	.help = "The paths are those that 'show' has. Files that are served in their place stay\n"
		"where they are; of what was handed over with --copy, the copy is deleted.",
	.min_words = 2,
	.max_words = SIZE_MAX,
	.any_bytes = true,
	.run = run_remove,
};
