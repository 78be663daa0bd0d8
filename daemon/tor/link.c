/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Getting to a tor, into it, and back to it after each loss.
 *
 *     auto: each usual place in turn, else managed
 *     system: each place in turn, and again after a while
 *     managed: end what an earlier daemon left -> start -> wait for its socket -> connect
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "proto/base/crypto.h"
#include "tor/auth.h"
#include "tor/internal.h"
#include "tor/launch.h"

#define PROBE_MS        5000u /* for a tor that we can do without */
#define LISTEN_POLL_MS  2000u /* a started tor's socket, should its log not tell */
#define OLDEST_FOR_KEYS "0.4.6"
/* Its change log: bug 41297 and those before. */
#define OLDEST_WITHOUT_HOLES "0.4.9.11"

static void set_state(struct tor *t, enum tor_state state)
{
	t->status.state = state;
	tor_sync_status(t);
}

/* text is taken. */
static void set_link_problem(struct tor *t, char *text)
{
	free(t->link_problem);
	t->link_problem = text;
	tor_sync_status(t);
}
/* --- losing it --- */

static void begin(struct tor *t);
static void next_candidate(struct tor *t);

void link_close(struct tor *t)
{
	if (t->auth) {
		ctl_auth_cancel(t->auth);
		t->auth = NULL;
	}
	if (t->conn) {
		t->parts++;
		ctl_close(t->conn, tor_part_closed, t);
		t->conn = NULL;
	}
	t->no_pow = false;
	t->handoff.here = false;
}

/* The connection is of no use, or there is none; t->link_problem says why. */
static void fall_down(struct tor *t)
{
	bool was_ready = t->status.state == TOR_READY;

	link_close(t);
	health_reset(&t->health);
	t->status.version[0] = '\0';
	t->status.peer_uid = (uid_t)-1;
	t->status.confined = false;
	t->status.socks[0] = t->status.control[0] = '\0';
	free(take_ptr(t->status.advice));
	set_state(t, TOR_DOWN);
	handoff_lost(t);
	if (was_ready) {
		bridges_lost(t);
		probe_lost(t);
		onions_lost(t);
		keys_lost(t);
		if (ev_now_ms(t->ev) - t->ready_since >= t->times.steady) {
			t->backoff = 0;
		}
	}
}

static void on_retry(uv_timer_t *timer)
{
	begin(timer->data);
}

/* Never sooner than backoff_min, so that there are at most two connects a second. */
static void retry_later(struct tor *t)
{
	unsigned base = t->backoff ? t->backoff : t->times.backoff_min;
	unsigned delay = base + (unsigned)(crypto_random_u64() % (base / 4 + 1));

	t->backoff = base * 2 < t->times.backoff_max ? base * 2 : t->times.backoff_max;
	tor_start_timer(&t->retry, on_retry,
			delay < t->times.backoff_max ? delay : t->times.backoff_max);
}

static void managed_begin(struct tor *t);
static void managed_spawn(struct tor *t);

static char *nobody_answers(const struct tor *t)
{
	struct buf b = BUF_INIT;

	buf_add_str(&b, "no tor answers at ");
	for (unsigned i = 0; i < t->n_candidates; i++) {
		buf_printf(&b, "%s%s", i ? " or " : "", t->candidates[i].addr.text);
	}
	/* systemd/onionshared-tor.service: the machine's daemon cannot have a child in its place.
	 */
	if (strstr(b.p, "/run/onionshared-tor/")) {
		buf_add_str(&b, ": start it (systemctl start onionshared-tor)");
	} else {
		buf_add_str(&b, ": start it (systemctl start tor), or let the daemon run its own "
				"(--tor managed)");
	}
	return buf_take(&b);
}

static bool nobody_there(int code)
{
	return code == ENOENT || code == ECONNREFUSED;
}

/* Of several places, the one where somebody answered is worth telling of. */
static void note_candidate_error(struct tor *t, const struct error *why)
{
	const struct tor_candidate *c = &t->candidates[t->candidate];
	bool nobody = t->status.state == TOR_CONNECTING && nobody_there(why->code);

	if (nobody || t->best_error.code) {
		return;
	}
	error_set(&t->best_error, why->code, "cannot use tor's control port %s: %s%s", c->addr.text,
		  error_text(why),
		  why->code == EACCES && ctl_addr_is_unix(&c->addr)
			  ? " (is the daemon's user in tor's group, debian-tor?)"
			  : "");
}

static void system_failed(struct tor *t, const struct error *why)
{
	note_candidate_error(t, why);
	t->candidate++;
	if (t->candidate < t->n_candidates) {
		next_candidate(t);
		return;
	}
	if (t->config.mode == TOR_MODE_AUTO && t->status.mode == TOR_MODE_AUTO) {
		t->status.mode = TOR_MODE_MANAGED;
		managed_begin(t);
		return;
	}
	set_link_problem(t, t->best_error.code ? xstrdup(error_text(&t->best_error))
					       : nobody_answers(t));
	fall_down(t);
	retry_later(t);
}

static void managed_failed(struct tor *t, const struct error *why)
{
	set_link_problem(t, xasprintf("lost the tor that the daemon runs: %s", error_text(why)));
	fall_down(t);
	if (launch_running(t->launch)) {
		/* A closed connection is explained better by what its death will tell. */
		t->ending = why->code != ECONNRESET && why->code != EPIPE;
		launch_end(t->launch);
	} else {
		retry_later(t);
	}
}

/* Could not connect, not get in, or no longer be connected. */
static void link_failed(struct tor *t, const struct error *why)
{
	bool was_ready = t->status.state == TOR_READY;

	link_close(t);
	if (t->checking_stale) {
		t->checking_stale = false;
		managed_spawn(t);
	} else if (t->status.mode == TOR_MODE_MANAGED) {
		bool starting = launch_running(t->launch) && t->status.state == TOR_CONNECTING;

		if (starting && nobody_there(why->code)) {
			return; /* its socket is not there yet: the timer comes again */
		}
		managed_failed(t, why);
	} else if (was_ready) {
		set_link_problem(t, xasprintf("lost tor: %s", error_text(why)));
		fall_down(t);
		retry_later(t);
	} else {
		system_failed(t, why);
	}
}

/* --- getting in --- */

static void on_lost(void *ud, const struct error *why)
{
	link_failed(ud, why);
}

static void become_ready(struct tor *t)
{
	bridges_connected(t);
	t->ready_since = t->beat_at = t->moved_at = ev_now_ms(t->ev);
	set_state(t, TOR_READY);
}

/* "0.4.8.12-dev" and the like. Anything odd is not older. */
static bool is_older(const char *version, const char *than)
{
	while (*version >= '0' && *version <= '9' && *than) {
		char *v_end, *t_end;
		unsigned long have = strtoul(version, &v_end, 10);
		unsigned long need = strtoul(than, &t_end, 10);

		if (have != need) {
			return have < need;
		}
		version = *v_end == '.' ? v_end + 1 : v_end;
		than = *t_end == '.' ? t_end + 1 : t_end;
	}
	return false;
}

#define CONFINED                                                                            \
	"AppArmor's profile system_tor keeps this tor from the daemon's sockets: unless "   \
	"listen says otherwise, services wait on ports of 127.0.0.1, where every user of "  \
	"this machine gets at them. Better: a tor of its own (onionshared-tor.service, or " \
	"mode = managed); or the line \"/run/onionshared/http/*.sock rw,\" in "             \
	"/etc/apparmor.d/local/system_tor, and listen = unix"

static char *advice(const struct tor *t)
{
	if (t->status.confined) {
		return xstrdup(CONFINED);
	}
	if (!is_older(t->status.version, OLDEST_WITHOUT_HOLES)) {
		return NULL;
	}
	return xasprintf("tor %s has known holes (one lets a rendezvous point pass for a service): "
			 "upgrade to " OLDEST_WITHOUT_HOLES " or newer",
			 t->status.version);
}

static void take_version(struct tor *t, struct span value)
{
	_cleanup_free_ char *text = ctl_printable(value);
	char *space = strchr(text, ' ');

	if (space) {
		*space = '\0'; /* "(git-...)" */
	}
	snprintf(t->status.version, sizeof(t->status.version), "%s", text);
	free(t->status.advice);
	t->status.advice = advice(t);
	if (is_older(t->status.version, OLDEST_FOR_KEYS)) {
		free(t->link_problem);
		t->link_problem = xasprintf("tor %s is too old for onions with private keys; "
					    "install " OLDEST_FOR_KEYS " or newer",
					    t->status.version);
	}
}

static void on_sandbox(void *ud, const struct ctl_reply *reply)
{
	struct tor *t = ud;

	hsdirs_take_sandbox(t, reply);
	become_ready(t);
	hsdirs_ready(t);
	tor_pump(t);
}

static void on_info(void *ud, const struct ctl_reply *reply)
{
	struct tor *t = ud;
	struct span version, phase;

	if (!ctl_is_ok(reply) || !ctl_getinfo(reply, "version", &version) ||
	    !ctl_getinfo(reply, "status/bootstrap-phase", &phase)) {
		ctl_fail(t->conn, "tor does not say its version and progress");
		return;
	}
	free(t->link_problem);
	t->link_problem = NULL;
	t->link_problem = bridges_problem(t);
	take_version(t, version);
	health_feed(&t->health, phase);
	tor_take_listeners(t, reply);
	ctl_sendf(t->conn, on_sandbox, t, "GETCONF Sandbox");
}

static void on_events_set(void *ud, const struct ctl_reply *reply)
{
	struct tor *t = ud;

	if (!ctl_is_ok(reply)) {
		ctl_fail(t->conn, "tor refuses to tell of its events");
		return;
	}
	/* After the events were asked for, so that no progress is missed in between. */
	ctl_sendf(t->conn, on_info, t,
		  "GETINFO version status/bootstrap-phase net/listeners/socks");
}

static void on_setup(void *ud, const struct ctl_reply *reply)
{
	struct tor *t = ud;

	if (reply) {
		handoff_take_list(t, reply);
	}
	ctl_sendf(t->conn, on_events_set, t,
		  "SETEVENTS HS_DESC STATUS_CLIENT STATUS_GENERAL SIGNAL%s",
		  t->dedicated ? " CONF_CHANGED" : "");
}

static void set_events(struct tor *t)
{
	if (t->handoff.here) {
		ctl_sendf(t->conn, on_setup, t, "GETINFO onions/current");
	} else {
		on_setup(t, NULL);
	}
}

static void on_owned(void *ud, const struct ctl_reply *reply)
{
	struct tor *t = ud;

	if (!ctl_is_ok(reply)) {
		ctl_fail(t->conn, "tor refuses TAKEOWNERSHIP");
		return;
	}
	set_events(t);
}

/* What an earlier daemon left behind does not end: a new tor will say what that means. */
static void on_stale_stays(uv_timer_t *timer)
{
	struct tor *t = timer->data;

	link_close(t);
	t->checking_stale = false;
	managed_spawn(t);
}

static void on_halted(void *ud, const struct ctl_reply *reply)
{
	struct tor *t = ud;

	(void)reply; /* the end of the connection will tell that it is gone */
	tor_start_timer(&t->retry, on_stale_stays, PROBE_MS);
}

/* systemd/onionshared-tor.service: it serves the daemon and nobody else. */
static bool is_units(const struct tor *t)
{
	return span_starts(span_str(t->candidates[t->candidate].addr.text), span_str(t->unit_dir));
}

static void on_auth(void *ud, const struct error *err)
{
	struct tor *t = ud;

	t->auth = NULL;
	if (err) {
		link_failed(t, err);
		return;
	}
	if (t->checking_stale) {
		ctl_sendf(t->conn, on_halted, t, "SIGNAL HALT");
		return;
	}
	if (t->status.mode == TOR_MODE_AUTO) {
		t->status.mode = TOR_MODE_SYSTEM;
	}
	t->dedicated = t->status.mode == TOR_MODE_SYSTEM && is_units(t);
	snprintf(t->status.control, sizeof(t->status.control), "%s",
		 t->status.mode == TOR_MODE_SYSTEM ? t->candidates[t->candidate].addr.text
						   : launch_control(t->launch));
	set_state(t, TOR_SETUP);
	if (t->status.mode == TOR_MODE_MANAGED) {
		ctl_sendf(t->conn, on_owned, t, "TAKEOWNERSHIP");
	} else {
		set_events(t);
	}
}

static void on_connected(void *ud)
{
	struct tor *t = ud;
	bool managed = t->status.mode == TOR_MODE_MANAGED;
	struct ctl_auth_policy policy = {
		.password_file = managed ? NULL : t->config.password_file,
		.distrust = !managed && t->candidates[t->candidate].distrust,
	};

	t->status.peer_uid = ctl_peer_uid(t->conn);
	t->status.confined = ctl_peer_confined(t->conn);
	if (t->handoff.here) {
		on_auth(t, NULL); /* it was done long ago */
		return;
	}
	if (!t->checking_stale) {
		set_state(t, TOR_AUTHENTICATING);
	}
	t->auth = ctl_auth_begin(t->ev, t->conn, &policy, on_auth, t);
}

static void on_event(void *ud, const struct ctl_reply *event)
{
	struct tor *t = ud;
	struct span text = event->lines[0].text, rest = text;
	struct span type = span_cut(&rest, ' ');
	struct desc_event desc;

	if (t->status.state != TOR_READY && t->status.state != TOR_SETUP) {
		return;
	}
	if (desc_parse(text, &desc)) {
		probe_event(t, text);
		onions_event(t, &desc);
		return;
	}
	if (span_eq(type, SPAN("CONF_CHANGED"))) {
		bridges_conf_changed(t, event);
		return;
	}
	if (span_eq(type, SPAN("STATUS_CLIENT")) || span_eq(type, SPAN("STATUS_GENERAL"))) {
		tor_take_health(t, rest);
		wake_take_status(t, rest);
	} else if (span_eq(text, SPAN("SIGNAL RELOAD"))) {
		hsdirs_reloaded(t);
	}
}

static const struct ctl_ops conn_ops = {
	.connected = on_connected,
	.event = on_event,
	.lost = on_lost,
};

static void open_conn(struct tor *t, const struct ctl_addr *addr, unsigned timeout)
{
	assert(!t->conn);
	if (t->status.state != TOR_CONNECTING) {
		set_state(t, TOR_CONNECTING);
	}
	t->conn = ctl_open(t->ev, addr, timeout, &conn_ops, t);
}

/* --- a tor of the system --- */

static void next_candidate(struct tor *t)
{
	unsigned timeout = t->times.command;

	if (t->status.mode == TOR_MODE_AUTO && timeout > PROBE_MS) {
		timeout = PROBE_MS;
	}
	open_conn(t, &t->candidates[t->candidate].addr, timeout);
}

static void system_begin(struct tor *t)
{
	error_done(&t->best_error);
	t->candidate = 0;
	if (handoff_connect(t, &conn_ops) || t->n_candidates == 0) {
		return; /* tor_start has said why there are none */
	}
	next_candidate(t);
}

static void add_candidate(struct tor *t, const char *text, bool distrust)
{
	struct tor_candidate *c = &t->candidates[t->n_candidates];
	_cleanup_error_ struct error err = ERROR_INIT;

	assert(t->n_candidates < TOR_CANDIDATES_MAX);
	if (ctl_addr_parse(text, &c->addr, &err) < 0) {
		set_link_problem(t, xstrdup(error_text(&err)));
		return;
	}
	c->distrust = distrust;
	t->n_candidates++;
}

static void find_candidates(struct tor *t)
{
	const char *port = getenv("TOR_CONTROL_PORT");

	if (t->config.control) {
		add_candidate(t, t->config.control, false);
		return;
	}
	add_candidate(t, "/run/tor/control", false);
	if (port && *port) {
		add_candidate(t, port, false);
	}
	/* Any user of the machine can listen there while tor does not. */
	add_candidate(t, "127.0.0.1:9051", true);
}

/* --- our own tor --- */

static void connect_managed(struct tor *t, bool stale)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	struct ctl_addr addr;

	/* launch_prepare has checked the path. */
	if (ctl_addr_parse(launch_control(t->launch), &addr, &err) < 0) {
		set_link_problem(t, xstrdup(error_text(&err)));
		return;
	}
	t->checking_stale = stale;
	open_conn(t, &addr, stale && t->times.command > PROBE_MS ? PROBE_MS : t->times.command);
}

static void on_poll(uv_timer_t *timer)
{
	struct tor *t = timer->data;

	if (!launch_running(t->launch)) {
		return;
	}
	if (!t->conn) {
		connect_managed(t, false);
	}
	if (t->status.state == TOR_CONNECTING) {
		tor_start_timer(&t->retry, on_poll, LISTEN_POLL_MS);
	}
}

static void on_listening(void *ud)
{
	struct tor *t = ud;

	if (!t->conn && t->status.state == TOR_CONNECTING) {
		connect_managed(t, false);
	}
}

static void on_tor_exited(void *ud, const char *why)
{
	struct tor *t = ud;

	uv_timer_stop(&t->retry);
	if (!t->ending) {
		set_link_problem(t, xstrdup(why));
	}
	t->ending = false;
	fall_down(t);
	retry_later(t);
}

static void managed_spawn(struct tor *t)
{
	_cleanup_error_ struct error err = ERROR_INIT;

	if (launch_start(t->launch, &err) < 0) {
		set_link_problem(t, xstrdup(error_text(&err)));
		fall_down(t);
		retry_later(t);
		return;
	}
	set_state(t, TOR_CONNECTING);
	tor_start_timer(&t->retry, on_poll, LISTEN_POLL_MS);
}

static void managed_begin(struct tor *t)
{
	static const struct launch_ops ops = {.listening = on_listening, .exited = on_tor_exited};
	_cleanup_error_ struct error err = ERROR_INIT;

	if (!t->launch) {
		const struct launch_config config = {
			.binary = t->config.binary,
			.extra = t->config.torrc,
			.bridges = &t->bridges,
			.data_dir = t->config.data_dir,
			.runtime_dir = t->config.runtime_dir,
		};

		t->launch = launch_new(t->ev, &config, &ops, t);
	}
	if (launch_prepare(t->launch, &err) < 0) {
		set_link_problem(t, xstrdup(error_text(&err)));
		fall_down(t);
		retry_later(t);
		return;
	}
	connect_managed(t, true);
}

static void begin(struct tor *t)
{
	if (t->stopping) {
		return;
	}
	if (t->status.mode == TOR_MODE_MANAGED) {
		managed_begin(t);
	} else {
		system_begin(t);
	}
}

void link_start(struct tor *t)
{
	if (t->config.mode == TOR_MODE_AUTO && t->bridges.n) {
		t->status.mode = TOR_MODE_MANAGED; /* the system's would go without them */
	} else if (t->config.mode != TOR_MODE_MANAGED) {
		find_candidates(t);
	}
	if (t->n_candidates == 0) {
		close_fdp(&t->handoff.fd); /* of a tor that is not to be used any more */
	}
	begin(t);
}
