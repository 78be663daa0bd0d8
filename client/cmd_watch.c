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

static void print_snapshot(struct view *view, const json_t *event)
{
	size_t i;
	json_t *service;

	service_print_list(json_object_get(event, "services"));
	out_note("Watching; Ctrl-C ends it.");
	json_array_foreach (json_object_get(event, "services"), i, service) {
		view_note_times(view, service);
	}
	view_draw(view);
}

static void show_event(struct view *view, const json_t *event)
{
	const char *kind = service_text(event, "event");

	if (out_is_json()) {
		out_json(event);
	} else if (strcmp(kind, "snapshot") == 0) {
		print_snapshot(view, event);
	} else if (strcmp(kind, "tor") == 0) {
		print_tor_event(event);
		view_draw(view);
	} else {
		view_event(view, event);
	}
}

/*
 * The snapshot's pieces, and the events that came between them, until it is complete.
 * Both are arrays.
 */
struct pieces {
	json_t *services, *events;
};

static void show_whole(struct view *view, struct pieces *p, json_t *event)
{
	size_t i;
	json_t *later;

	json_array_extend(p->services, json_object_get(event, "services"));
	json_object_set(event, "services", p->services);
	json_object_del(event, "complete");
	show_event(view, event);
	json_array_foreach (p->events, i, later) {
		show_event(view, later);
	}
	json_decref(p->events);
	p->events = NULL;
}

static void take_event(struct view *view, struct pieces *p, json_t *event)
{
	bool is_snapshot = strcmp(service_text(event, "event"), "snapshot") == 0;

	if (is_snapshot && !json_is_false(json_object_get(event, "complete"))) {
		show_whole(view, p, event);
	} else if (is_snapshot) {
		json_array_extend(p->services, json_object_get(event, "services"));
	} else if (p->events) {
		json_array_append(p->events, event);
	} else {
		show_event(view, event);
	}
}

static int run_watch(struct ctl *ctl)
{
	struct error err = ERROR_INIT;
	struct view view = {.one_service = ctl->args.n_words == 1};
	struct pieces pieces = {json_array(), json_array()};
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
	} else {
		r = rpc_send(ctl->rpc, "Watch", params, true, NULL, &err);
	}
	while (r == 0 && continues) {
		json_t *event = NULL;

		r = view_receive(&view, ctl->rpc, RPC_FOREVER, &event, &continues, &err);
		if (r == 0) {
			take_event(&view, &pieces, event);
		}
		json_decref(event);
	}
	json_decref(pieces.services);
	json_decref(pieces.events);
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
