/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is known of tor, and whose turn it is on its control port. Nothing is
 * queued: when the port is free, tor_pump asks in a fixed order who has
 * something to send. What callers are to know is told by tor_turn, from the loop.
 */
#include "tor/tor.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "proto/base/alloc.h"
#include "tor/internal.h"
#include "tor/launch.h"
#include "tor/socks.h"

const struct tor_times tor_default_times = {
	.command = CTL_TIMEOUT_MS,
	.backoff_min = 500,
	.backoff_max = 4000,
	.steady = 10000,
	.stall = 60000,
	.stuck = 60000,
	.collision = 10000,
	.slow_retry = 30000,
	.beat = 30000,
	.tick = 200,
	.heir = 60000,
	.sleep = 300000,
};

static const char *const state_names[] = {
	[TOR_DOWN] = "down",
	[TOR_CONNECTING] = "connecting",
	[TOR_AUTHENTICATING] = "authenticating",
	[TOR_SETUP] = "setup",
	[TOR_READY] = "ready",
};

static const char *const mode_names[] = {
	[TOR_MODE_AUTO] = "auto",
	[TOR_MODE_MANAGED] = "managed",
	[TOR_MODE_SYSTEM] = "system",
};

const char *tor_state_name(enum tor_state state)
{
	return state_names[state];
}

const char *tor_mode_name(enum tor_mode mode)
{
	return mode_names[mode];
}

const struct tor_status *tor_status(const struct tor *t)
{
	return &t->status;
}

/* --- the status --- */

void tor_start_timer(uv_timer_t *timer, uv_timer_cb cb, uint64_t ms)
{
	/* Fails only without a callback or on a closing handle. */
	int r = uv_timer_start(timer, cb, ms, 0);

	assert(r == 0);
	(void)r;
}

void tor_sync_status(struct tor *t)
{
	struct tor_status *s = &t->status;
	const char *problem = t->link_problem ? t->link_problem : health_problem(&t->health);

	if ((problem == NULL) != (s->problem == NULL) ||
	    (problem && strcmp(problem, s->problem) != 0)) {
		free(s->problem);
		s->problem = problem ? xstrdup(problem) : NULL;
	}
	s->bootstrap = t->health.percent;
	memcpy(s->summary, t->health.summary, sizeof(s->summary));
	s->reachable = s->state == TOR_READY && s->bootstrap == 100;
	if (s->bootstrap != 100) {
		t->network_since = 0;
	} else if (!t->network_since) {
		t->network_since = ev_now_ms(t->ev);
	}
	t->changed = true;
	tor_wake(t);
}

void tor_take_health(struct tor *t, struct span text)
{
	int before = t->health.percent;

	if (health_feed(&t->health, text)) {
		if (t->health.percent != before) {
			t->moved_at = ev_now_ms(t->ev);
		}
		tor_sync_status(t);
	}
}

/* --- turns --- */

bool tor_can_send(const struct tor *t)
{
	return t->status.state == TOR_READY && t->conn && ctl_idle(t->conn) && !t->stopping;
}

/* As it stands in the configuration, where it was checked, in the form that socks.h takes. */
static void own_socks(const char *text, char *ret, size_t size)
{
	struct ctl_addr addr;

	if (ctl_addr_parse(text, &addr, NULL) < 0) {
		return;
	}
	if (ctl_addr_is_unix(&addr)) {
		const struct sockaddr_un *un = (const struct sockaddr_un *)&addr.sa;

		snprintf(ret, size, "unix:%s", un->sun_path);
	} else {
		ctl_addr_print_tcp(&addr, ret, size);
	}
}

/* A tor without a network has none; it may get one later. */
void tor_take_listeners(struct tor *t, const struct ctl_reply *reply)
{
	char socks[TOR_SOCKS_LEN] = "";
	struct span listeners;

	if (t->config.socks && t->status.mode == TOR_MODE_SYSTEM) {
		own_socks(t->config.socks, socks, sizeof(socks));
	} else if (ctl_getinfo(reply, "net/listeners/socks", &listeners)) {
		socks_choose(listeners, socks, sizeof(socks));
	}
	if (strcmp(socks, t->status.socks) != 0) {
		memcpy(t->status.socks, socks, sizeof(socks));
		tor_sync_status(t);
	}
}

static void on_beat(void *ud, const struct ctl_reply *reply)
{
	struct tor *t = ud;
	struct span phase;

	if (ctl_is_ok(reply) && ctl_getinfo(reply, "status/bootstrap-phase", &phase)) {
		tor_take_health(t, phase);
		tor_take_listeners(t, reply);
	}
	tor_pump(t);
}

static bool send_beat(struct tor *t)
{
	uint64_t now = ev_now_ms(t->ev);

	if (now - t->beat_at < t->times.beat) {
		return false;
	}
	t->beat_at = now;
	hsdirs_beat(t);
	ctl_sendf(t->conn, on_beat, t, "GETINFO status/bootstrap-phase net/listeners/socks");
	return true;
}

void tor_pump(struct tor *t)
{
	if (!tor_can_send(t)) {
		return;
	}
	if (bridges_send(t) || wake_send(t) || onions_send_removal(t) || handoff_send(t) ||
	    keys_send(t) || hsdirs_send(t) || onions_send_add(t) || probe_send(t)) {
		return;
	}
	send_beat(t);
}

static void on_tick(uv_timer_t *timer);

static bool unsettled(const struct tor *t)
{
	if (!list_empty(&t->keys) || t->probe) {
		return true;
	}
	return t->status.state == TOR_READY && (t->status.bootstrap < 100 || onions_unsettled(t));
}

static void arm_tick(struct tor *t)
{
	wake_look(t);
	tor_start_timer(&t->tick, on_tick, unsettled(t) ? t->times.tick : t->times.beat);
}

static void on_tick(uv_timer_t *timer)
{
	struct tor *t = timer->data;
	uint64_t now = ev_now_ms(t->ev);

	if (t->status.state == TOR_READY && t->status.bootstrap < 100 &&
	    now - t->moved_at >= t->times.stuck &&
	    health_stuck(&t->health, t->times.stuck / 1000)) {
		tor_sync_status(t);
	}
	if (t->status.state == TOR_READY) {
		onions_tick(t);
	}
	keys_tick(t);
	probe_tick(t);
	tor_pump(t);
	arm_tick(t);
}

static void tor_turn(uv_timer_t *timer)
{
	struct tor *t = timer->data;

	bridges_tell(t);
	probe_tell(t);
	keys_tell(t);
	onions_tell(t);
	if (t->changed && !t->stopping) {
		t->changed = false;
		t->ops.changed(t->ud, &t->status);
	}
	if (!t->stopping) {
		tor_pump(t);
		arm_tick(t);
	}
}

/* What callers ask for in these calls is answered in them, too. */
static void last_turn(uv_timer_t *timer)
{
	struct tor *t = timer->data;

	bridges_tell(t);
	probe_tell(t);
	do {
		keys_tell(t);
		onions_tell(t);
	} while (!list_empty(&t->keys));
	tor_part_closed(t); /* this turn was one */
}

void tor_wake(struct tor *t)
{
	if (!t->stopping && !uv_is_active((uv_handle_t *)&t->wake)) {
		tor_start_timer(&t->wake, tor_turn, 0);
	}
}

/* --- from birth to death --- */

static char *dup_or_null(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

static void init_timer(struct tor *t, uv_timer_t *timer)
{
	int r = uv_timer_init(t->ev->loop, timer);

	assert(r == 0);
	(void)r;
	timer->data = t;
}

struct tor *tor_new(struct ev *ev, const struct tor_config *config, const struct tor_ops *ops,
		    void *ud)
{
	struct tor *t = xnew(struct tor);

	t->ev = ev;
	t->ops = *ops;
	t->ud = ud;
	t->times = tor_default_times;
	t->unit_dir = "/run/onionshared-tor/";
	t->config.mode = config->mode;
	t->config.control = dup_or_null(config->control);
	t->config.password_file = dup_or_null(config->password_file);
	t->config.binary = dup_or_null(config->binary);
	t->config.torrc = dup_or_null(config->torrc);
	t->config.socks = dup_or_null(config->socks);
	t->config.data_dir = dup_or_null(config->data_dir);
	t->config.runtime_dir = dup_or_null(config->runtime_dir);
	t->config.onion_dir = dup_or_null(config->onion_dir);
	t->status = (struct tor_status){
		.mode = config->mode,
		.bootstrap = -1,
		.peer_uid = (uid_t)-1,
	};
	t->health = HEALTH_INIT;
	t->handoff.fd = -1;
	list_init(&t->onions);
	list_init(&t->removals);
	list_init(&t->keys);
	init_timer(t, &t->retry);
	init_timer(t, &t->wake);
	init_timer(t, &t->tick);
	return t;
}

void tor_hold(struct tor *t, const char *why)
{
	assert(!t->started);
	free(t->link_problem);
	t->link_problem = xstrdup(why);
	tor_sync_status(t);
}

void tor_start(struct tor *t)
{
	assert(!t->started && !t->stopping);
	t->started = true;
	hsdirs_start(t);
	link_start(t);
	arm_tick(t);
}

static void tor_free(struct tor *t)
{
	void (*stopped)(void *) = t->stopped;
	void *ud = t->stopped_ud;
	const struct tor_config *c = &t->config;
	const char *const strings[] = {c->control, c->password_file, c->socks,       c->binary,
				       c->torrc,   c->data_dir,      c->runtime_dir, c->onion_dir};

	onions_free(t);
	close_fdp(&t->handoff.fd);
	hsdirs_free(t);
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		free((char *)(uintptr_t)strings[i]);
	}
	health_done(&t->health);
	bridges_done(&t->bridges);
	bridges_done(&t->bridges_new);
	error_done(&t->bridges_err);
	error_done(&t->bridges_answer);
	error_done(&t->best_error);
	free(t->link_problem);
	free(t->status.problem);
	free(t->status.advice);
	free(t);
	if (stopped) {
		stopped(ud);
	}
}

static void timer_closed(uv_handle_t *handle)
{
	struct tor *t = handle->data;

	if (--t->parts == 0) {
		tor_free(t);
	}
}

/* A connection, the managed tor, or the last turn. Behind the last of them the timers close. */
void tor_part_closed(void *ud)
{
	struct tor *t = ud;

	if (--t->parts > 0 || !t->stopping) {
		return;
	}
	uv_timer_t *const timers[] = {&t->retry, &t->wake, &t->tick};

	t->parts = ARRAY_SIZE(timers);
	for (size_t i = 0; i < ARRAY_SIZE(timers); i++) {
		uv_close((uv_handle_t *)timers[i], timer_closed);
	}
}

void tor_stop(struct tor *t, void (*stopped)(void *ud), void *ud)
{
	assert(!t->stopping);
	t->stopping = true;
	t->stopped = stopped;
	t->stopped_ud = ud;
	uv_timer_stop(&t->retry);
	uv_timer_stop(&t->tick);
	/* A managed tor ends with this connection, and any tor drops our onions with it. */
	link_close(t);
	t->status.state = TOR_DOWN;
	bridges_lost(t);
	probe_lost(t);
	onions_lost(t);
	keys_lost(t);
	keys_stop(t);
	if (t->launch) {
		t->parts++;
		launch_free(t->launch, tor_part_closed, t);
	}
	t->parts++;
	tor_start_timer(&t->wake, last_turn, 0);
}
