/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * share, receive, website, chat: a one-off, as onionshare-cli does it. The service belongs to one
 * connection, by which it is also asked about and ended; a second one watches.
 */
#include <errno.h>
#include <string.h>

#include "client/cmd.h"
#include "client/content/create.h"
#include "client/out.h"
#include "client/service.h"
#include "client/wait.h"
#include "client/watch/view.h"
#include "proto/base/alloc.h"
#include "proto/units.h"

static const struct opt opts[] = {
	{"save", 0, "NAME", "keep it as a saved service of this name"},
	{"detach", 0, NULL, "return when it can be reached; it goes on, saved"},
	{"qr", 0, NULL, "address and private key also as QR codes"},
	{0},
};

struct share {
	struct ctl *ctl;
	struct rpc *events;
	json_t *service; /* as it was last seen */
	bool kept;       /* a saved service: stays when we go */
	bool address_shown;
	bool was_running;
	int64_t timeout_ms, deadline_ms; /* for coming up */
	bool was_scheduled;
	struct view view;
};

static const char *name_of(const struct share *s)
{
	return service_text(s->service, "name");
}

static bool is_receive(const struct share *s)
{
	return strcmp(s->ctl->command->mode, "receive") == 0;
}

/* --- what is shown --- */

static void show_address(struct share *s)
{
	if (s->address_shown || out_is_json() || !service_has(s->service, "url")) {
		return;
	}
	service_print_address(s->service, opt_given(&s->ctl->args, "qr"));
	if (is_receive(s)) {
		out_note("Files sent to you appear in this folder: %s",
			 out_esc(service_text(json_object_get(s->service, "options"), "data_dir")));
		out_note("Warning: files from strangers can be harmful; open them with care.");
	}
	s->address_shown = true;
}

static void show_running(struct share *s)
{
	if (out_is_json() || s->was_running || opt_given(&s->ctl->args, "detach")) {
		return; /* detached there is no view to end */
	}
	out_note(s->kept ? "It can be reached now. Ctrl-C ends this view; the service goes on."
			 : "It can be reached now. Ctrl-C stops it.");
}

/* Why it came down, in OnionShare's words where it has some. */
static void show_end(const struct share *s)
{
	const char *reason = service_text(s->service, "reason");

	if (strcmp(reason, "completed") == 0) {
		out_note("Stopped because transfer is complete");
	} else if (strcmp(reason, "auto-stop timer") == 0) {
		out_note("Stopped because auto-stop timer ran out");
	} else {
		out_note("%s is %s%s%s", out_esc(name_of(s)),
			 out_esc(service_text(s->service, "state")), reason[0] ? ": " : "",
			 out_esc(reason));
	}
}

/* --- asking --- */

/* A time to come is counted down to; the time for coming up counts from then on. */
static void look_at_times(struct share *s)
{
	bool scheduled = service_is(s->service, "scheduled");

	view_note_times(&s->view, s->service);
	if (scheduled && !s->was_scheduled && !out_is_json()) {
		_cleanup_free_ char *at = service_time(s->service, "start_at");

		out_note("It starts %s.", out_esc(at));
	}
	if (s->was_scheduled && !scheduled) {
		s->deadline_ms =
			s->timeout_ms == RPC_FOREVER ? RPC_FOREVER : rpc_now() + s->timeout_ms;
	}
	s->was_scheduled = scheduled;
	if (scheduled && !out_is_json()) {
		view_draw(&s->view);
	}
}

/* The service and Tor as they are now; the live line tells what is missing. */
static int look(struct share *s, struct error *err)
{
	json_t *shown = NULL, *status = NULL;
	int r = ctl_call(s->ctl, "Show", json_pack("{s:s}", "name", name_of(s)), &shown, err);

	if (r < 0) {
		return r;
	}
	json_decref(s->service);
	s->service = json_incref(json_object_get(shown, "service"));
	json_decref(shown);
	show_address(s);
	if (service_is(s->service, "running")) {
		show_running(s);
		s->was_running = true;
		return 0;
	}
	look_at_times(s);
	if (out_is_json() || s->was_scheduled) {
		return 0;
	}
	r = ctl_call(s->ctl, "Status", NULL, &status, err);
	if (r == 0) {
		bool local_only = json_is_true(json_object_get(status, "local_only"));

		wait_show(s->service, local_only ? NULL : json_object_get(status, "tor"));
		json_decref(status);
	}
	return r;
}

static bool is_over(const json_t *service)
{
	return service_is(service, "stopped") || service_is(service, "failed");
}

/* --- events --- */

static int on_event(struct share *s, const json_t *event, struct error *err)
{
	const char *kind = service_text(event, "event");

	if (out_is_json() && !opt_given(&s->ctl->args, "detach")) {
		out_json(event);
	}
	if (strcmp(kind, "transfer") == 0 || strcmp(kind, "submission") == 0 ||
	    strcmp(kind, "members") == 0) {
		if (!out_is_json()) {
			view_event(&s->view, event);
		}
		return 0;
	}
	if (service_has(event, "new_name")) {
		json_object_set(s->service, "name", json_object_get(event, "new_name"));
		return 0;
	}
	if (strcmp(service_text(event, "state"), "deleted") == 0) {
		return error_set_kind(err, ENOENT, ERROR_NO_SUCH_SERVICE, name_of(s), NULL,
				      "%s was deleted by somebody else", name_of(s));
	}
	if (s->was_running && strcmp(kind, "tor") == 0) {
		return 0;
	}
	return look(s, err);
}

static int64_t event_deadline(const struct share *s)
{
	return s->was_running || s->was_scheduled ? RPC_FOREVER : s->deadline_ms;
}

/* There is nothing more to wait for at a terminal. */
static bool is_on_its_way(const struct share *s)
{
	return s->was_running || service_is(s->service, "scheduled");
}

/* Until it is over, or detached from. */
static int follow(struct share *s, struct error *err)
{
	bool detach = opt_given(&s->ctl->args, "detach");
	int r = 0;

	while (r == 0 && !is_over(s->service) && !(detach && is_on_its_way(s))) {
		json_t *event = NULL;

		r = view_receive(&s->view, s->events, event_deadline(s), &event, NULL, err);
		if (r == 0) {
			r = on_event(s, event, err);
		} else if (err->kind == ERROR_TIMEOUT) {
			error_set_kind(err, ETIMEDOUT, ERROR_TIMEOUT, "reachable", NULL,
				       "%s could not be reached in the time that was given",
				       name_of(s));
		}
		json_decref(event);
	}
	out_live_end();
	return r;
}

/* --- beginning and end --- */

static int create(struct share *s, struct error *err)
{
	struct ctl *ctl = s->ctl;
	const char *name = opt_text(&ctl->args, "save");
	int r = ctl_timeout(ctl, RPC_FOREVER, &s->timeout_ms, err);

	s->deadline_ms = s->timeout_ms == RPC_FOREVER ? RPC_FOREVER : rpc_now() + s->timeout_ms;
	s->kept = name || opt_given(&ctl->args, "detach");
	if (r == 0 && name) {
		r = units_check_name("save", name, err);
	}
	if (r == 0) {
		r = create_service(ctl, ctl->command->mode, name, !s->kept, ctl->args.words,
				   ctl->args.n_words, &s->service, err);
	}
	return r;
}

/* The watching begins before the start, so that nothing is missed. */
static int start(struct share *s, struct error *err)
{
	json_t *reply = NULL;
	int r = ctl_open(s->ctl, &s->events, err);

	if (r == 0) {
		r = rpc_send(s->events, "Watch", json_pack("{s:[s]}", "names", name_of(s)), true,
			     NULL, err);
	}
	if (r == 0) {
		r = ctl_call(s->ctl, "Start", json_pack("{s:s}", "name", name_of(s)), &reply, err);
	}
	if (r == 0) {
		json_decref(s->service);
		s->service = json_incref(json_object_get(reply, "service"));
		json_decref(reply);
	}
	return r;
}

/*
 * A one-off is cut down and deleted, which the end of its connection would also
 * do, but nobody would know when. By a connection of its own, since an answer may
 * be under way on the others. After a signal a second one ends this too.
 */
static void finish(struct share *s)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	json_t *reply = NULL;
	struct rpc *rpc = NULL;
	int r = 0;

	if (!s->service || s->kept || ctl_open(s->ctl, &rpc, &err) < 0) {
		return;
	}
	if (!is_over(s->service)) {
		r = rpc_call(rpc, "Stop", json_pack("{s:s, s:b}", "name", name_of(s), "now", 1),
			     &reply, &err);
		json_decref(reply);
		reply = NULL;
	}
	if (r == 0) {
		rpc_call(rpc, "Delete", json_pack("{s:s}", "name", name_of(s)), &reply, &err);
		json_decref(reply);
	}
	rpc_close(rpc);
}

static void tell_kept(const struct share *s)
{
	out_note("%s goes on. To look: onionsharectl show %s; to end it: onionsharectl delete %s",
		 out_esc(name_of(s)), out_esc(name_of(s)), out_esc(name_of(s)));
}

static int conclude(struct share *s, int r, struct error *err)
{
	bool interrupted = rpc_signal() != 0;
	bool failed = r == 0 && service_is(s->service, "failed");

	finish(s);
	if (r < 0) {
		if (interrupted && s->kept && s->service && !out_is_json()) {
			tell_kept(s);
		}
		return ctl_fail(err);
	}
	if (s->kept && !is_over(s->service)) {
		if (out_is_json()) {
			out_json(s->service);
		} else {
			tell_kept(s);
		}
		return 0;
	}
	if (!out_is_json()) {
		show_end(s);
	}
	return failed ? 1 : 0;
}

static int run_one_off(struct ctl *ctl)
{
	struct error err = ERROR_INIT;
	struct share *s = xnew(struct share);
	int r, status;

	out_stream(!opt_given(&ctl->args, "detach"));
	s->ctl = ctl;
	s->view.one_service = true;
	s->view.notes = true;
	r = create(s, &err);
	if (r == 0) {
		show_address(s);
		r = start(s, &err);
	}
	if (r == 0) {
		r = follow(s, &err);
	}
	status = conclude(s, r, &err);
	rpc_close(s->events);
	json_decref(s->service);
	view_done(&s->view);
	free(s);
	return status;
}

const struct command cmd_share = {
	.name = "share",
	.synopsis = "PATH...",
	.summary = "share files now, until Ctrl-C or the first complete download",
	.help = "Shares the files and folders at a new address, prints address and private key,\n"
		"shows who downloads, and deletes it all on Ctrl-C or when the first download is\n"
		"complete (--no-autostop-sharing goes on). It also ends with this program.\n"
		"With --json: the events of 'watch', a line each.",
	.opts = opts,
	.mode = "share",
	.min_words = 1,
	.max_words = SIZE_MAX,
	.any_bytes = true,
	.run = run_one_off,
};

const struct command cmd_website = {
	.name = "website",
	.synopsis = "PATH...",
	.summary = "publish a website now, until Ctrl-C",
	.help = "Serves the folder at a new address, prints address and private key, and deletes "
		"it\n"
		"all on Ctrl-C or with this program. An edit of a file shows at the next visit.\n"
		"With --json: the events of 'watch', a line each.",
	.opts = opts,
	.mode = "website",
	.min_words = 1,
	.max_words = SIZE_MAX,
	.any_bytes = true,
	.run = run_one_off,
};

const struct command cmd_chat = {
	.name = "chat",
	.synopsis = "",
	.summary = "open a chat room now, until Ctrl-C",
	.help = "Opens a room at a new address, prints address and private key, shows how many "
		"are\n"
		"there, and closes it on Ctrl-C or with this program. What is said in it is kept\n"
		"nowhere, and cannot be read here: visit the address to take part.\n"
		"With --json: the events of 'watch', a line each.",
	.opts = opts,
	.mode = "chat",
	.max_words = 0,
	.run = run_one_off,
};

const struct command cmd_receive = {
	.name = "receive",
	.synopsis = "",
	.summary = "take files and messages now, until Ctrl-C",
	.help = "Opens a dropbox at a new address, prints address and private key, shows who "
		"sends,\n"
		"and closes it on Ctrl-C or with this program. What came in stays where it says.\n"
		"With --json: the events of 'watch', a line each.",
	.opts = opts,
	.mode = "receive",
	.max_words = 0,
	.run = run_one_off,
};
