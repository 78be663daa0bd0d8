/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bridges of a tor that is ours. The one that the daemon runs has them in its
 * torrc from the first moment on; onionshared-tor.service starts without a network and is let
 * in when it has been told of them. While they change no connection is open: one that was
 * made without them would go on for hours.
 *
 *     SETTLED -> ASK -> (CUT ->) TELL -> JOIN -> SETTLED
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "tor/internal.h"
#include "tor/launch.h"
#include "tor/transports.h"

#define SANDBOXED                                                                         \
	"tor's own sandbox (Sandbox 1) forbids it to start the programs of bridges: put " \
	"\"Sandbox 0\" into its configuration (/etc/onionshared/torrc.d/bridges.conf), "  \
	"then systemctl restart onionshared-tor"

static bool decided(const struct tor *t)
{
	return t->status.mode != TOR_MODE_AUTO;
}

static bool is_ours(const struct tor *t)
{
	return t->status.mode == TOR_MODE_MANAGED || t->dedicated;
}

static int check_owner(const struct tor *t, struct error *err)
{
	if (t->config.torrc && transports_in_torrc(t->config.torrc)) {
		return error_set_kind(err, EBUSY, ERROR_TOR_UNAVAILABLE, "torrc", NULL,
				      "the file that [tor] torrc or --torrc names says which "
				      "bridges are used: change them there");
	}
	if (decided(t) && !is_ours(t)) {
		return error_set_kind(
			err, EPERM, ERROR_TOR_UNAVAILABLE, "not ours", NULL,
			"the tor in use is not the daemon's own, others rely on it, too: put the "
			"lines into its configuration (/etc/tor/torrc: \"UseBridges 1\" and "
			"\"Bridge \" in front of each, ClientTransportPlugin for their programs), "
			"or let the daemon run its own (mode = managed in the section [tor])");
	}
	return 0;
}

int tor_check_bridges(const struct tor *t, const struct bridges *b, struct error *err)
{
	int r = b->n ? check_owner(t, err) : 0;

	return r < 0 ? r : transports_check(b, err);
}

char *bridges_problem(const struct tor *t)
{
	struct error err = ERROR_INIT;

	if (!t->bridges.n || tor_check_bridges(t, &t->bridges, &err) == 0) {
		return NULL;
	}
	char *text = xasprintf("bridges are set and cannot be used: %s", error_text(&err));

	error_done(&err);
	return text;
}

/* --- telling tor --- */

static void take(struct tor *t, const struct bridges *b)
{
	bridges_done(&t->bridges);
	bridges_copy(&t->bridges, b);
	t->status.bridges = (unsigned)b->n;
	if (t->launch) {
		launch_use_bridges(t->launch, &t->bridges);
	}
}

/* err is taken. What was asked for is so, or refused, and the ones before are used. */
static void settle(struct tor *t, struct error *err)
{
	t->bridge_step = BRIDGES_SETTLED;
	if (t->bridges_wanted) {
		t->bridges_wanted = false;
		bridges_done(&t->bridges_new);
		error_move(&t->bridges_answer, err);
		t->bridges_told = true;
	} else if (t->bridges_pending) {
		t->bridges_pending = false;
		t->bridges_wanted = true;
		t->bridge_step = BRIDGES_ASK;
	}
	error_done(err);
	tor_wake(t);
}

void bridges_tell(struct tor *t)
{
	tor_bridges_fn *cb = t->bridges_cb;
	struct error err = ERROR_INIT;

	if (!t->bridges_told) {
		return;
	}
	t->bridges_told = false;
	t->bridges_cb = NULL;
	error_move(&err, &t->bridges_answer);
	cb(t->bridges_ud, err.code ? &err : NULL);
	error_done(&err);
}

static const struct bridges *wanted(const struct tor *t)
{
	return t->bridges_wanted ? &t->bridges_new : &t->bridges;
}

static bool use_transports(const struct bridges *b)
{
	for (size_t i = 0; i < n_bridge_transports; i++) {
		if (bridges_use(b, &bridge_transports[i])) {
			return true;
		}
	}
	return false;
}

/* The value of a GETCONF reply's line is 1. */
static bool is_on(const struct ctl_reply *reply, const char *key)
{
	for (size_t i = 0; i < reply->n; i++) {
		if (span_eq(ctl_value(reply->lines[i].text, key), SPAN("1"))) {
			return true;
		}
	}
	return false;
}

/* Does tor use them already, from an earlier connection of ours? */
static bool are_in_use(const struct ctl_reply *reply, const struct bridges *b)
{
	size_t n = 0;

	for (size_t i = 0; i < reply->n; i++) {
		struct span value = reply->lines[i].text;

		if (!span_eq(span_cut(&value, '='), SPAN("Bridge")) || !value.p) {
			continue;
		}
		if (n == b->n || !span_eq(value, span_str(b->lines[n]))) {
			return false;
		}
		n++;
	}
	return n == b->n && is_on(reply, "UseBridges") && !is_on(reply, "DisableNetwork");
}

/* The problem stays until bridges are set anew or the connection is: tor goes nowhere till then. */
static void give_up(struct tor *t, struct error *err)
{
	if (!t->bridges_wanted) {
		free(t->link_problem);
		t->link_problem =
			xasprintf("bridges are set and cannot be used: %s", error_text(err));
		tor_sync_status(t);
	}
	settle(t, err);
}

static void on_asked(void *ud, const struct ctl_reply *reply)
{
	struct tor *t = ud;
	struct error err = ERROR_INIT;

	t->network_off = is_on(reply, "DisableNetwork");
	if (!t->bridges_wanted && are_in_use(reply, &t->bridges)) {
		settle(t, &err);
	} else if (!wanted(t)->n && !t->bridges.n) {
		t->bridge_step = BRIDGES_JOIN; /* its own configuration may have some */
	} else if (is_on(reply, "Sandbox") && use_transports(wanted(t))) {
		error_set_kind(&err, EPERM, ERROR_TOR_UNAVAILABLE, "Sandbox", NULL, SANDBOXED);
		give_up(t, &err);
	} else {
		t->bridge_step = t->network_off ? BRIDGES_TELL : BRIDGES_CUT;
	}
	tor_pump(t);
}

static void on_cut(void *ud, const struct ctl_reply *reply)
{
	struct tor *t = ud;

	(void)reply; /* then they are told all the same, and the connections end in time */
	t->bridge_step = BRIDGES_TELL;
	tor_pump(t);
}

static void refused(struct tor *t, const struct ctl_reply *reply)
{
	_cleanup_free_ char *code = xasprintf("%u", reply->code);

	/* Its text may repeat a line. */
	error_set_kind(&t->bridges_err, EINVAL, ERROR_TOR_UNAVAILABLE, code, NULL,
		       "tor refuses these bridges (%s); its log says why", code);
}

static void on_told(void *ud, const struct ctl_reply *reply)
{
	struct tor *t = ud;

	if (!ctl_is_ok(reply)) {
		refused(t, reply);
	} else if (t->bridges_wanted) {
		take(t, &t->bridges_new);
		free(t->link_problem);
		t->link_problem = NULL;
		tor_sync_status(t);
	}
	t->bridge_step = BRIDGES_JOIN;
	tor_pump(t);
}

static void on_joined(void *ud, const struct ctl_reply *reply)
{
	struct tor *t = ud;
	struct error err = ERROR_INIT;

	(void)reply;
	error_move(&err, &t->bridges_err);
	if (err.code) {
		give_up(t, &err);
	} else {
		settle(t, &err);
	}
	tor_pump(t);
}

/*
 * The daemon's own child keeps a network that its admin has switched off so; the
 * unit's tor has it switched off for us. A tor that refused its bridges at the start stays out.
 */
static bool send_join(struct tor *t)
{
	bool stays_off = t->network_off && !t->dedicated;
	bool refused_at_start = t->bridges_err.code && !t->bridges_wanted;

	if (stays_off || refused_at_start) {
		struct error err = ERROR_INIT;

		error_move(&err, &t->bridges_err);
		if (err.code) {
			give_up(t, &err);
		} else {
			settle(t, &err);
		}
		return false;
	}
	ctl_sendf(t->conn, on_joined, t, "SETCONF DisableNetwork=0");
	return true;
}

static void send_told(struct tor *t)
{
	struct buf line = BUF_INIT;

	transports_resetconf(wanted(t), &line);
	ctl_send(t->conn, &line, on_told, t);
}

bool bridges_send(struct tor *t)
{
	switch (t->bridge_step) {
	case BRIDGES_SETTLED:
		return false;
	case BRIDGES_ASK:
		ctl_sendf(t->conn, on_asked, t, "GETCONF Sandbox DisableNetwork UseBridges Bridge");
		return true;
	case BRIDGES_CUT:
		ctl_sendf(t->conn, on_cut, t, "SETCONF DisableNetwork=1");
		return true;
	case BRIDGES_TELL:
		send_told(t);
		return true;
	case BRIDGES_JOIN:
		return send_join(t);
	}
	return false;
}

void bridges_connected(struct tor *t)
{
	t->bridge_step = t->dedicated ? BRIDGES_ASK : BRIDGES_SETTLED;
}

/* Its configuration was read again (SIGHUP), which knows nothing of what it was told. */
void bridges_conf_changed(struct tor *t, const struct ctl_reply *event)
{
	if (t->dedicated && t->bridge_step == BRIDGES_SETTLED && is_on(event, "DisableNetwork")) {
		t->bridge_step = BRIDGES_ASK;
		tor_wake(t);
	}
}

/* Before tor_start. */
void tor_preset_bridges(struct tor *t, const struct bridges *b)
{
	assert(!t->started);
	take(t, b);
}

/* Whatever was asked for holds from the next connection on. */
void bridges_lost(struct tor *t)
{
	struct error none = ERROR_INIT;

	error_done(&t->bridges_err);
	if (t->bridges_wanted || t->bridges_pending) {
		t->bridges_pending = false;
		t->bridges_wanted = true;
		take(t, &t->bridges_new);
		settle(t, &none);
	}
	t->bridge_step = BRIDGES_SETTLED;
}

void tor_use_bridges(struct tor *t, const struct bridges *b, tor_bridges_fn *cb, void *ud)
{
	assert(!t->bridges_cb);
	t->bridges_cb = cb;
	t->bridges_ud = ud;
	if (t->status.state != TOR_READY || !is_ours(t)) {
		take(t, b);
		t->bridges_told = true;
	} else {
		bridges_copy(&t->bridges_new, b);
		t->bridges_wanted = t->bridge_step == BRIDGES_SETTLED;
		t->bridges_pending = !t->bridges_wanted;
		if (t->bridges_wanted) {
			t->bridge_step = BRIDGES_ASK;
		}
	}
	tor_wake(t);
}
