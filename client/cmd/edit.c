/* SPDX-License-Identifier: GPL-3.0-or-later */
/* edit, rename. */
#include <errno.h>
#include <string.h>

#include "client/cmd.h"
#include "client/content/paths.h"
#include "client/out.h"
#include "client/service.h"
#include "proto/base/buf.h"
#include "proto/options.h"
#include "proto/units.h"

static const struct opt edit_opts[] = {
	{"unset", 0, "OPTION", "give the option its default again (repeatable)"},
	{0},
};

/* The options to unset, by their names in JSON. */
static int collect_unset(struct ctl *ctl, const json_t *set, json_t *unset, struct error *err)
{
	for (size_t i = 0; i < ctl->args.n_values; i++) {
		const struct opt_value *v = &ctl->args.values[i];
		const struct option *o;
		bool negated;

		if (strcmp(v->opt->name, "unset") != 0) {
			continue;
		}
		o = option_find_spelling(NULL, span_str(v->text + strspn(v->text, "-")), &negated);
		if (!o) {
			return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "unset",
					      "no such option", "--unset: there is no option '%s'",
					      v->text);
		}
		if (json_object_get(set, o->name)) {
			return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, o->name,
					      "set and unset at once",
					      "'%s' cannot be set and unset at once", v->text);
		}
		json_array_append_new(unset, json_string(o->name));
	}
	return 0;
}

static void tell_restart(const char *name, const json_t *options)
{
	struct buf names = BUF_INIT;
	size_t i;
	json_t *option;

	json_array_foreach (options, i, option) {
		buf_printf(&names, "%s%s", i > 0 ? ", " : "", json_string_value(option));
	}
	if (names.len > 0) {
		out_note("Counts after 'onionsharectl restart %s': %s", out_esc(name),
			 out_esc(names.p));
	}
	buf_done(&names);
}

static void print_edited(struct ctl *ctl, const json_t *reply)
{
	out_note("%s is changed.", out_esc(ctl->args.words[0]));
	tell_restart(ctl->args.words[0], json_object_get(reply, "restart_needed"));
}

static int edit(struct ctl *ctl, json_t *params)
{
	struct rpc_fds fds = {.n = 0};
	struct error err = ERROR_INIT;
	json_t *reply = NULL;

	paths_open_options(json_object_get(params, "options"), &fds);
	int r = ctl_call_fds(ctl, "Edit", params, &fds, &reply, &err);

	rpc_fds_close(&fds);
	if (r < 0) {
		return ctl_fail(&err);
	}
	if (out_is_json()) {
		json_t *service = json_object_get(reply, "service");

		json_object_set(service, "restart_needed",
				json_object_get(reply, "restart_needed"));
		out_json(service);
	} else {
		print_edited(ctl, reply);
	}
	json_decref(reply);
	return 0;
}

static int run_edit(struct ctl *ctl)
{
	struct error err = ERROR_INIT;
	json_t *set = NULL, *unset = json_array();

	if (ctl_service_options(ctl, &set, &err) < 0 || collect_unset(ctl, set, unset, &err) < 0) {
		json_decref(set);
		json_decref(unset);
		return ctl_fail(&err);
	}
	if (json_object_size(set) == 0 && json_array_size(unset) == 0) {
		json_decref(set);
		json_decref(unset);
		return ctl_misuse(ctl, "nothing to change: 'edit' needs an option");
	}
	return edit(ctl, json_pack("{s:s, s:o, s:o}", "name", ctl->args.words[0], "options", set,
				   "unset", unset));
}

static void print_renamed(struct ctl *ctl, const json_t *reply)
{
	out_note("%s is now called %s. Its address stays.", out_esc(ctl->args.words[0]),
		 out_esc(service_text(json_object_get(reply, "service"), "name")));
}

static int run_rename(struct ctl *ctl)
{
	struct error err = ERROR_INIT;
	const char *new_name = ctl->args.words[1];

	if (units_check_name("new_name", new_name, &err) < 0) {
		return ctl_fail(&err);
	}
	return ctl_call_and_print(ctl, "Rename",
				  json_pack("{s:s, s:s}", "name", ctl->args.words[0], "new_name",
					    new_name),
				  "service", print_renamed);
}

const struct command cmd_edit = {
	.name = "edit",
	.synopsis = "NAME",
	.summary = "change options of a service",
	.help = "Changes the options given: all of them or, if one is refused, none. What counts\n"
		"only after a restart of the service is said so (--json: restart_needed).",
	.opts = edit_opts,
	.mode = "",
	.min_words = 1,
	.max_words = 1,
	.run = run_edit,
};

const struct command cmd_rename = {
	.name = "rename",
	.synopsis = "NAME NEW",
	.summary = "give a service another name",
	.help = "Only the name changes: address and private key stay, and so do visitors.",
	.min_words = 2,
	.max_words = 2,
	.run = run_rename,
};
