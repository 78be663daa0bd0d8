/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * import: services that were served elsewhere, at the same address. All of
 * them are checked before the first is made; if one fails even so, those before it go.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/cmd.h"
#include "client/content/content.h"
#include "client/content/paths.h"
#include "client/move/gather.h"
#include "client/out.h"
#include "client/service.h"
#include "proto/base/alloc.h"
#include "proto/options.h"
#include "proto/units.h"

static const struct opt opts[] = {
	{"name", 0, "NAME", "what the service is called here (one service)"},
	{"dry-run", 0, NULL, "check everything, print what would be made, make nothing"},
	{"no-start", 0, NULL, "leave those stopped that were started where they come from"},
	{"skip-missing", 0, NULL, "leave out files and folders that are not there any more"},
	{"adopt", 0, NULL, "take over what earlier dropboxes of these names have received"},
	{"passphrase-file", 0, "FILE",
	 "of an export: its passphrase is the first line; - is stdin"},
	{"identity", 'i', "FILE",
	 "of an export to recipients: an age identity (AGE-SECRET-KEY-1...)"},
	{"as", 0, "MODE", "what a HiddenServiceDir becomes: share, receive, website, chat"},
	{"content", 0, "PATH",
	 "what is served there, or here instead (one service); may be given several times"},
	{0},
};

/* --- reading --- */

static json_t *content_opts(const struct ctl *ctl)
{
	json_t *paths = NULL;

	for (size_t i = 0; i < ctl->args.n_values; i++) {
		const struct opt_value *v = &ctl->args.values[i];

		if (strcmp(v->opt->name, "content") == 0) {
			paths = paths ? paths : json_array();
			json_array_append_new(paths, json_string(v->text));
		}
	}
	return paths;
}

static int set_name(struct ctl *ctl, struct gathered *g, struct error *err)
{
	const char *name = opt_text(&ctl->args, "name");

	if (!name) {
		return 0;
	}
	if (g->n != 1) {
		return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "name", "of one service",
				      "--name is for one service, and these are %zu", g->n);
	}
	json_object_set_new(g->all[0].params, "name", json_string(name));
	return units_check_name("name", name, err);
}

/* Here it may lie elsewhere than where the service comes from. */
static int set_content(struct gathered *g, struct error *err)
{
	json_t *params;

	if (!g->paths) {
		return 0;
	}
	if (g->n != 1) {
		return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "content", "of one service",
				      "--content is for one service, and these are %zu", g->n);
	}
	params = g->all[0].params;
	json_object_set_new(params, "paths", json_deep_copy(g->paths));
	return 0;
}

static int check_names_differ(const struct gathered *g, struct error *err)
{
	for (size_t i = 0; i < g->n; i++) {
		const char *name = service_text(g->all[i].params, "name");

		for (size_t k = 0; k < i; k++) {
			if (strcmp(service_text(g->all[k].params, "name"), name) == 0) {
				return error_set_kind(err, EEXIST, ERROR_NAME_IN_USE, name, NULL,
						      "%s and %s would both be called %s: import "
						      "one of them alone, with --name",
						      g->all[k].from, g->all[i].from, name);
			}
		}
	}
	return 0;
}

static int read_all(struct ctl *ctl, struct gathered *g, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < ctl->args.n_words && r == 0; i++) {
		r = gather(g, ctl->args.words[i], err);
	}
	if (r == 0) {
		r = set_name(ctl, g, err);
	}
	if (r == 0) {
		r = set_content(g, err);
	}
	return r < 0 ? r : check_names_differ(g, err);
}

/* --- calling --- */

static bool is_there(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

/* With --skip-missing without those that are gone. Borrows the texts. */
static size_t choose_paths(struct ctl *ctl, const json_t *paths, char **words)
{
	bool skip = opt_given(&ctl->args, "skip-missing");
	size_t i, n = 0;
	json_t *path;

	json_array_foreach (paths, i, path) {
		const char *text = json_string_value(path);

		if (!skip || is_there(text)) {
			words[n++] = (char *)(uintptr_t)text;
		}
	}
	return n;
}

/* Opens what it serves, puts that into params (a copy of its own) and calls Import. */
static int call_import(struct ctl *ctl, const struct moving *mv, bool check_only, json_t **ret,
		       struct error *err)
{
	const json_t *paths = json_object_get(mv->params, "paths");
	json_t *params = json_deep_copy(mv->params), *reply = NULL;
	json_t *options = json_object_get(params, "options");
	bool copy = json_is_true(json_object_get(options, "copy"));
	char **words = xcalloc(json_array_size(paths) + 1, sizeof(*words));
	struct rpc_fds fds = {.n = 0};
	int r = ctl_connect(ctl, err);

	if (check_only) {
		json_object_del(options, "copy"); /* nothing is handed over yet */
	}
	if (r == 0 && json_array_size(paths)) {
		size_t n = choose_paths(ctl, paths, words);

		r = content_words(ctl, words, n, copy && !check_only, false, params, &fds, err);
	}
	json_object_set_new(params, "check_only", json_boolean(check_only));
	json_object_set_new(params, "adopt", json_boolean(opt_given(&ctl->args, "adopt")));
	if (r == 0) {
		r = rpc_send(ctl->rpc, "Import", json_incref(params), false, &fds, err);
	}
	if (r == 0) {
		r = rpc_receive(ctl->rpc, RPC_FOREVER, &reply, NULL, err);
	}
	if (r == 0 && ret) {
		*ret = json_incref(json_object_get(reply, "service"));
	}
	if (r < 0) {
		error_context(err, "%s", mv->from);
	}
	rpc_fds_close(&fds);
	json_decref(params);
	json_decref(reply);
	free(words);
	return r;
}

/* Those that have been made: their keys are where they came from. */
static void undo(struct ctl *ctl, const json_t *services)
{
	size_t i;
	json_t *service;

	json_array_foreach (services, i, service) {
		struct error err = ERROR_INIT;
		const char *name = service_text(service, "name");
		json_t *reply = NULL;

		if (ctl_call(ctl, "Delete", json_pack("{s:s}", "name", name), &reply, &err) < 0) {
			out_note("%s was made and could not be removed again: %s", out_esc(name),
				 out_esc(error_text(&err)));
		}
		json_decref(reply);
		error_done(&err);
	}
}

static int make_all(struct ctl *ctl, const struct gathered *g, json_t *services, struct error *err)
{
	for (size_t i = 0; i < g->n; i++) {
		json_t *service = NULL;
		int r = call_import(ctl, &g->all[i], false, &service, err);

		if (r < 0) {
			undo(ctl, services);
			json_array_clear(services);
			return r;
		}
		json_array_append_new(services, service);
	}
	return 0;
}

static int check_all(struct ctl *ctl, const struct gathered *g, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < g->n && r == 0; i++) {
		r = call_import(ctl, &g->all[i], true, NULL, err);
	}
	return r;
}

/* --- telling --- */

/* What would be made, without a secret. */
static json_t *preview(const struct moving *mv)
{
	json_t *o = json_deep_copy(mv->params), *key;
	bool same_address = json_object_get(o, "onion_key") != NULL;
	size_t i;

	json_object_del(o, "onion_key");
	json_array_foreach (json_object_get(o, "keys"), i, key) {
		json_object_del(key, "private_key");
	}
	json_object_set_new(o, "same_address", json_boolean(same_address));
	json_object_set_new(o, "start", json_boolean(mv->start));
	json_object_set_new(o, "from", json_string(mv->from));
	return o;
}

static void print_preview(const struct moving *mv)
{
	const char *onion = service_text(mv->params, "onion");
	bool has_key = json_object_get(mv->params, "onion_key") != NULL;

	out_line("%s  %s  %s%s%s", out_esc(service_text(mv->params, "name")),
		 service_text(mv->params, "mode"),
		 onion[0]  ? out_esc(onion)
		 : has_key ? "(Tor tells the address)"
			   : "(never started: a new address)",
		 onion[0] ? ".onion" : "", mv->start ? "  started at once" : "");
}

static void tell_dry_run(const struct gathered *g)
{
	json_t *all = json_array();

	for (size_t i = 0; i < g->n; i++) {
		json_array_append_new(all, preview(&g->all[i]));
		if (!out_is_json()) {
			print_preview(&g->all[i]);
		}
	}
	if (out_is_json()) {
		out_json(all);
	}
	json_decref(all);
	out_note("Nothing was made.");
}

static void start(struct ctl *ctl, const struct moving *mv, json_t **service)
{
	struct error err = ERROR_INIT;
	const char *name = service_text(mv->params, "name");
	json_t *reply = NULL;

	if (ctl_call(ctl, "Start", json_pack("{s:s}", "name", name), &reply, &err) < 0) {
		out_note("%s is there, but does not start: %s", out_esc(name),
			 out_esc(error_text(&err)));
	} else {
		*service = json_object_get(reply, "service");
		json_incref(*service);
	}
	json_decref(reply);
	error_done(&err);
}

static void start_and_tell(struct ctl *ctl, const struct gathered *g, json_t *services)
{
	for (size_t i = 0; i < g->n; i++) {
		json_t *started = NULL;

		if (g->all[i].start && !opt_given(&ctl->args, "no-start")) {
			start(ctl, &g->all[i], &started);
		}
		if (started) {
			json_array_set_new(services, i, started);
		}
		if (!out_is_json()) {
			const json_t *service = json_array_get(services, i);

			out_note("%s (%s), %s:", out_esc(service_text(service, "name")),
				 service_text(service, "mode"), service_text(service, "state"));
			service_print_address(service, false);
		}
	}
	if (out_is_json()) {
		out_json(g->n == 1 ? json_array_get(services, 0) : services);
	}
	out_note("Stop them where they came from: an address cannot be served at two places.");
}

/* --- OnionShare's settings --- */

/* What only the admin can do, for it is the daemon's configuration. */
static void tell_settings(const struct gathered *g)
{
	const struct settings *s = &g->settings;
	struct span rest = buf_span(&s->conf);

	if (out_is_json()) {
		return;
	}
	out_note("For the daemon's configuration, onionshared.conf(5):");
	while (rest.n) {
		struct span line = span_cut(&rest, '\n');

		out_line(SPAN_FMT, SPAN_ARG(line));
	}
}

static json_t *settings_json(const struct settings *s)
{
	return json_pack("{s:s, s:I}", "configuration", s->conf.p, "bridges",
			 (json_int_t)s->bridges.n);
}

static int set_bridges(struct ctl *ctl, const struct settings *s, struct error *err)
{
	json_t *lines = json_array(), *reply = NULL;

	for (size_t i = 0; i < s->bridges.n; i++) {
		json_array_append_new(lines, json_string(s->bridges.lines[i]));
	}
	int r = ctl_call(ctl, "BridgesSet", json_pack("{s:o}", "bridges", lines), &reply, err);

	json_decref(reply);
	return r;
}

/* There are no services to tell of. */
static void tell_settings_only(const struct gathered *g)
{
	if (out_is_json()) {
		json_t *o = settings_json(&g->settings);

		out_json(o);
		json_decref(o);
	}
}

/* Bridges go before any service is made: none shall be up without them. */
static int take_settings(struct ctl *ctl, const struct gathered *g, bool dry_run, struct error *err)
{
	const struct settings *s = &g->settings;
	int r = 0;

	if (s->bridges.n && !dry_run) {
		r = set_bridges(ctl, s, err);
	}
	if (r < 0) {
		error_context(err, "%s", g->settings_from);
		return r;
	}
	tell_settings(g);
	if (s->bridges.n) {
		out_note("Bridges %s: %zu.", dry_run ? "that would be set" : "set", s->bridges.n);
	}
	for (size_t i = 0; i < s->n_notes; i++) {
		out_note("%s", s->notes[i]);
	}
	return 0;
}

/* --- the command --- */

static int run_gathered(struct ctl *ctl, struct gathered *g)
{
	struct error err = ERROR_INIT;
	json_t *services = json_array();
	bool dry_run = opt_given(&ctl->args, "dry-run");
	int r = read_all(ctl, g, &err);

	if (r == 0) {
		r = check_all(ctl, g, &err);
	}
	if (r == 0 && g->settings_from) {
		r = take_settings(ctl, g, dry_run, &err);
	}
	if (r == 0 && g->settings_from && g->n == 0) {
		tell_settings_only(g);
	} else if (r == 0 && dry_run) {
		tell_dry_run(g);
	} else if (r == 0) {
		r = make_all(ctl, g, services, &err);
		if (r == 0) {
			start_and_tell(ctl, g, services);
		}
	}
	json_decref(services);
	return r < 0 ? ctl_fail(&err) : 0;
}

static int run(struct ctl *ctl)
{
	json_t *paths = content_opts(ctl);
	struct gathered g = {.mode = opt_text(&ctl->args, "as"),
			     .paths = paths,
			     .passphrase_file = opt_text(&ctl->args, "passphrase-file"),
			     .identity_file = opt_text(&ctl->args, "identity")};
	int status;

	if (g.mode && options_mode(g.mode) == 0) {
		json_decref(paths);
		return ctl_misuse(ctl, "--as wants share, receive, website or chat, not '%s'",
				  g.mode);
	}
	status = run_gathered(ctl, &g);
	gathered_done(&g);
	json_decref(paths);
	return status;
}

const struct command cmd_import = {
	.name = "import",
	.synopsis = "FILE...",
	.summary = "take over services of an export, of OnionShare or tor, at their addresses",
	.help = "FILE is what 'export' has written, a saved tab of OnionShare's or a file that its "
		"--persistent has written,\n"
		"a directory of them (~/.config/onionshare/persistent), all of "
		"~/.config/onionshare,\n"
		"or a HiddenServiceDir of tor's with --as MODE. Of onionshare.json bridges are "
		"set,\n"
		"and what belongs into the daemon's configuration is printed. Address, private "
		"keys, title, files and options stay as\n"
		"they were. Everything is checked before anything is made; --dry-run shows it.\n"
		"Those that were started there, or by OnionShare itself, are started here.\n"
		"Their files hold secret keys: delete them when the service has moved.",
	.opts = opts,
	.min_words = 1,
	.max_words = SIZE_MAX,
	.any_bytes = true,
	.run = run,
};
