/* SPDX-License-Identifier: GPL-3.0-or-later */
/* watch: what happens, as it happens. */
#include <string.h>

#include "client/cmd.h"
#include "client/out.h"
#include "client/service.h"
#include "client/view.h"

static void print_tor_event(const json_t *event)
{
	out_note("Tor: %s, %lld%%", out_esc(service_text(event, "state")),
		 (long long)json_integer_value(json_object_get(event, "percent")));
}

static void print_snapshot(const json_t *event)
{
	service_print_list(json_object_get(event, "services"));
	out_note("Watching; Ctrl-C ends it.");
}

static void show_event(struct view *view, const json_t *event)
{
	const char *kind = service_text(event, "event");

	if (out_is_json()) {
		out_json(event);
	} else if (strcmp(kind, "snapshot") == 0) {
		print_snapshot(event);
	} else if (strcmp(kind, "tor") == 0) {
		print_tor_event(event);
		view_draw(view);
	} else {
		view_event(view, event);
	}
}

static int run_watch(struct ctl *ctl)
{
	struct error err = ERROR_INIT;
	struct view view = {.one_service = ctl->args.n_words == 1};
	json_t *params = json_object(), *names = json_array();
	bool continues = true;
	int r;

	out_stream(true);
	r = ctl_connect(ctl, &err);

	for (size_t i = 0; i < ctl->args.n_words; i++) {
		json_array_append_new(names, json_string(ctl->args.words[i]));
	}
	json_object_set_new(params, "names", ctl->args.n_words > 0 ? names : json_null());
	if (ctl->args.n_words == 0) {
		json_decref(names);
	}
	if (r < 0) {
		json_decref(params);
		return ctl_fail(&err);
	}
	r = rpc_send(ctl->rpc, "Watch", params, true, NULL, &err);
	while (r == 0 && continues) {
		json_t *event = NULL;

		r = rpc_receive(ctl->rpc, RPC_FOREVER, &event, &continues, &err);
		if (r == 0) {
			show_event(&view, event);
		}
		json_decref(event);
	}
	return r < 0 ? ctl_fail(&err) : 0;
}

const struct command cmd_watch = {
	.name = "watch",
	.synopsis = "[NAME...]",
	.summary = "live: states, transfers and submissions, until Ctrl-C",
	.help = "With --json a line an event; the first is a snapshot of all there is.",
	.max_words = SIZE_MAX,
	.run = run_watch,
};
