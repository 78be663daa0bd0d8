/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * watch: what happens, as it happens. On a terminal a screen that is drawn anew,
 * elsewhere a line for each event.
 */
#include <signal.h>
#include <string.h>
#include <time.h>

#include "client/cmd.h"
#include "client/out.h"
#include "client/service.h"
#include "client/watch/scene.h"
#include "client/watch/screen.h"
#include "client/watch/tty.h"
#include "client/watch/view.h"

#define FRAME_MS 250  /* at least, between two of them */
#define TICK_MS  1000 /* at most: countdowns and speeds go on without events */

struct watch {
	struct ctl *ctl;
	struct view view; /* for lines */

	bool on_screen;
	struct scene scene;
	struct rpc *asks; /* for what events do not tell; NULL: not yet */
	bool changed;     /* since it was drawn */
	int64_t drawn_ms;

	/*
	 * The snapshot's pieces, and the events that came between them, until it is
	 * complete (then events is NULL). Both are arrays.
	 */
	json_t *services, *events;
};

/* --- lines --- */

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

static void print_event(struct view *view, const json_t *event)
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

/* --- the screen --- */

static struct scene_time now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (struct scene_time){rpc_now(), (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000};
}

static void draw(struct watch *w)
{
	struct scene_time at = now();
	struct screen screen;
	size_t columns, rows;

	tty_enter();
	tty_size(&columns, &rows);
	screen_layout(&w->scene, &at, columns, rows, &screen);
	tty_draw(&screen);
	screen_done(&screen);
	w->changed = false;
	w->drawn_ms = at.steady_ms;
}

/* Of a service that is new since the snapshot. That it cannot be had is no reason to end. */
static void ask_for_address(struct watch *w, const char *name)
{
	struct error err = ERROR_INIT;
	json_t *reply = NULL;
	int r = 0;

	rpc_heed_terminal(false);
	if (!w->asks) {
		r = ctl_open(w->ctl, &w->asks, &err);
	}
	if (r == 0 &&
	    rpc_call(w->asks, "Show", json_pack("{s:s}", "name", name), &reply, &err) == 0) {
		scene_note_service(&w->scene, json_object_get(reply, "service"));
	}
	rpc_heed_terminal(true);
	json_decref(reply);
	error_done(&err);
}

static void take_into_scene(struct watch *w, const json_t *event)
{
	struct scene_time at = now();
	const char *name = service_text(event, "name");

	scene_event(&w->scene, event, &at);
	if (strcmp(service_text(event, "event"), "state") == 0 &&
	    scene_lacks_address(&w->scene, name)) {
		ask_for_address(w, name);
	}
	w->changed = true;
}

/* An event (*ret), or NULL: only time has passed, or the terminal has changed. */
static int receive_on_screen(struct watch *w, json_t **ret, bool *ret_continues, struct error *err)
{
	int64_t due = w->drawn_ms + (w->changed ? FRAME_MS : TICK_MS);
	int r = 0;

	if (w->events) {
		return rpc_receive(w->ctl->rpc, RPC_FOREVER, ret, ret_continues, err);
	}
	if (rpc_now() >= due) {
		draw(w);
		due = w->drawn_ms + TICK_MS;
	}
	r = rpc_receive(w->ctl->rpc, due, ret, ret_continues, err);
	if (r == -RPC_WOKEN) {
		error_done(err);
		if (rpc_woken_by() == SIGTSTP) {
			tty_suspend();
		}
		w->changed = true;
		return 0;
	}
	if (r < 0 && err->kind == ERROR_TIMEOUT) {
		error_done(err);
		return 0;
	}
	return r;
}

/* --- events --- */

static void show_event(struct watch *w, const json_t *event)
{
	if (w->on_screen) {
		take_into_scene(w, event);
	} else {
		print_event(&w->view, event);
	}
}

static void show_whole(struct watch *w, json_t *event)
{
	size_t i;
	json_t *later;

	json_array_extend(w->services, json_object_get(event, "services"));
	json_object_set(event, "services", w->services);
	json_object_del(event, "complete");
	if (w->on_screen) {
		rpc_heed_terminal(true);
	}
	show_event(w, event);
	json_array_foreach (w->events, i, later) {
		show_event(w, later);
	}
	json_decref(w->events);
	w->events = NULL;
}

static void take_event(struct watch *w, json_t *event)
{
	bool is_snapshot = strcmp(service_text(event, "event"), "snapshot") == 0;

	if (is_snapshot && !json_is_false(json_object_get(event, "complete"))) {
		show_whole(w, event);
	} else if (is_snapshot) {
		json_array_extend(w->services, json_object_get(event, "services"));
	} else if (w->events) {
		json_array_append(w->events, event);
	} else {
		show_event(w, event);
	}
}

static int send_watch(struct ctl *ctl, struct error *err)
{
	json_t *params = json_object(), *names = json_null();

	if (ctl_connect(ctl, err) < 0) {
		json_decref(params);
		return -err->code;
	}
	if (ctl->args.n_words > 0) {
		names = json_array();
	}
	for (size_t i = 0; i < ctl->args.n_words; i++) {
		json_array_append_new(names, json_string(ctl->args.words[i]));
	}
	json_object_set_new(params, "names", names);
	return rpc_send(ctl->rpc, "Watch", params, true, NULL, err);
}

static int follow(struct watch *w, struct error *err)
{
	struct rpc *rpc = w->ctl->rpc;
	bool continues = true;
	int r = 0;

	while (r == 0 && continues) {
		json_t *event = NULL;

		if (w->on_screen) {
			r = receive_on_screen(w, &event, &continues, err);
		} else {
			r = view_receive(&w->view, rpc, RPC_FOREVER, &event, &continues, err);
		}
		if (event) {
			take_event(w, event);
		}
		json_decref(event);
		if (r == 0 && rpc_signal() != 0) {
			r = -RPC_INTERRUPTED; /* while an address was asked for */
		}
	}
	return r;
}

static int run_watch(struct ctl *ctl)
{
	struct error err = ERROR_INIT;
	struct watch w = {.ctl = ctl,
			  .view = {.one_service = ctl->args.n_words == 1},
			  .on_screen = !out_is_json() && tty_can(),
			  .services = json_array(),
			  .events = json_array()};
	int r;

	out_stream(true);
	r = send_watch(ctl, &err);
	if (r == 0) {
		r = follow(&w, &err);
	}
	tty_leave();
	rpc_close(w.asks);
	scene_done(&w.scene);
	view_done(&w.view);
	json_decref(w.services);
	json_decref(w.events);
	return r < 0 ? ctl_fail(&err) : 0;
}

const struct command cmd_watch = {
	.name = "watch",
	.synopsis = "[NAME...]",
	.summary = "live: states, transfers and submissions, until Ctrl-C",
	.help = "On a terminal a screen of services, transfers, submissions and Tor. Elsewhere, "
		"with NO_COLOR\n"
		"or with TERM=dumb, a line an event; with --json too, and the first is a snapshot "
		"of all there is.",
	.max_words = SIZE_MAX,
	.run = run_watch,
};
