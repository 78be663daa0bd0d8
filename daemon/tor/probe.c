/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 *     LOOK -> (ADD ->) FETCH -> WAITING -> READ -> HELD -> (DROP ->) gone
 *
 * A key that tor has for this address already is somebody's own: it is used, neither
 * replaced nor forgotten.
 */
#include "tor/probe.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/codec.h"
#include "proto/base/crypto.h"
#include "tor/internal.h"

struct tor_probe {
	struct tor *tor;
	tor_probe_fn *cb; /* NULL: told, or nobody wants to know */
	void *ud;
	char address[ONION_ADDRESS_LEN + 1];
	bool is_private, has_added, ended, in_flight;
	uint8_t key[32];
	enum {
		PROBE_LOOK,
		PROBE_ADD,
		PROBE_FETCH,
		PROBE_WAITING,
		PROBE_READ,
		PROBE_HELD,
		PROBE_DROP
	} step;
	uint64_t deadline;
	unsigned asked, failed; /* directories */
	char *why;              /* of the last that failed */
	bool done;              /* cb is due */
	bool good;
	bool has_descriptor;
	struct hsdesc descriptor;
};

static void probe_free(struct tor_probe *p)
{
	p->tor->probe = NULL;
	crypto_wipe(p->key, sizeof(p->key));
	free(p->why);
	free(p);
}

struct tor_probe *tor_probe_start(struct tor *t, const char *address, const uint8_t *key,
				  tor_probe_fn *cb, void *ud)
{
	if (t->probe || t->stopping) {
		return NULL;
	}
	struct tor_probe *p = xnew(struct tor_probe);

	p->tor = t;
	p->cb = cb;
	p->ud = ud;
	snprintf(p->address, sizeof(p->address), "%s", address);
	if (key) {
		p->is_private = true;
		memcpy(p->key, key, sizeof(p->key));
	}
	p->step = key ? PROBE_LOOK : PROBE_FETCH;
	p->deadline = ev_now_ms(t->ev) + TOR_PROBE_MS;
	t->probe = p;
	tor_wake(t);
	return p;
}

static void forget(struct tor_probe *p)
{
	p->step = PROBE_DROP;
	if (p->in_flight) {
		return; /* its answer comes first */
	}
	if (p->has_added && p->tor->status.state == TOR_READY && !p->tor->stopping) {
		tor_wake(p->tor);
	} else {
		probe_free(p);
	}
}

void tor_probe_end(struct tor_probe *p)
{
	p->cb = NULL;
	p->ended = true;
	forget(p);
}

/* text is taken; NULL: it is good. */
static void finish(struct tor_probe *p, char *text)
{
	if (p->ended) {
		free(text);
		forget(p);
		return;
	}
	free(p->why);
	p->why = text;
	p->good = text == NULL;
	p->done = true;
	p->step = PROBE_HELD;
	tor_wake(p->tor);
}

/* The directories have said what they know; text as in finish. */
static void fetched(struct tor_probe *p, char *text)
{
	free(p->why);
	p->why = text;
	p->step = PROBE_READ;
	tor_wake(p->tor);
}

const struct hsdesc *tor_probe_descriptor(const struct tor_probe *p)
{
	return p->has_descriptor ? &p->descriptor : NULL;
}

void probe_tell(struct tor *t)
{
	struct tor_probe *p = t->probe;

	if (!p || !p->done) {
		return;
	}
	tor_probe_fn *cb = take_ptr(p->cb);

	p->done = false;
	if (cb) {
		cb(p->ud, p->good ? NULL : p->why);
	}
}

/* --- commands --- */

static char *refusal(const struct ctl_reply *reply)
{
	_cleanup_free_ char *text = ctl_printable(reply->lines[0].text);

	return xasprintf("tor cannot look it up: %s", text);
}

static void on_looked(void *ud, const struct ctl_reply *reply)
{
	struct tor_probe *p = ud;
	struct tor *t = p->tor;
	bool has_one = false;

	p->in_flight = false;
	for (size_t i = 0; i < reply->n; i++) {
		has_one |= span_starts(reply->lines[i].text, SPAN("CLIENT "));
	}
	if (p->ended) {
		forget(p);
	} else {
		p->step = has_one ? PROBE_FETCH : PROBE_ADD;
	}
	tor_pump(t);
}

static void on_added(void *ud, const struct ctl_reply *reply)
{
	struct tor_probe *p = ud;
	struct tor *t = p->tor;

	p->in_flight = false;
	p->has_added = ctl_is_ok(reply);
	if (p->ended) {
		forget(p);
	} else if (p->has_added) {
		p->step = PROBE_FETCH;
	} else {
		finish(p, refusal(reply));
	}
	tor_pump(t);
}

static void on_fetching(void *ud, const struct ctl_reply *reply)
{
	struct tor_probe *p = ud;
	struct tor *t = p->tor;

	p->in_flight = false;
	if (p->ended) {
		forget(p);
	} else if (!ctl_is_ok(reply)) {
		fetched(p, refusal(reply));
	} else if (p->step == PROBE_FETCH) { /* else an event was faster */
		p->step = PROBE_WAITING;
	}
	tor_pump(t);
}

static void on_read(void *ud, const struct ctl_reply *reply)
{
	struct tor_probe *p = ud;
	struct tor *t = p->tor;
	_cleanup_free_ char *key = xasprintf("hs/client/desc/id/%s", p->address);
	struct span text;

	p->in_flight = false;
	p->has_descriptor = ctl_is_ok(reply) && ctl_getinfo(reply, key, &text) &&
			    hsdesc_parse(text, &p->descriptor) == 0;
	finish(p, take_ptr(p->why));
	tor_pump(t);
}

static void on_dropped(void *ud, const struct ctl_reply *reply)
{
	struct tor_probe *p = ud;
	struct tor *t = p->tor;

	(void)reply;
	probe_free(p);
	tor_pump(t);
}

static void send_add(struct tor_probe *p)
{
	struct buf line = BUF_INIT;
	char text[BASE64_LEN(32) + 1];

	base64_encode(p->key, sizeof(p->key), text);
	buf_printf(&line, "ONION_CLIENT_AUTH_ADD %s x25519:%s", p->address, text);
	crypto_wipe(text, sizeof(text));
	ctl_send(p->tor->conn, &line, on_added, p);
}

bool probe_send(struct tor *t)
{
	struct tor_probe *p = t->probe;

	if (!p || p->in_flight) {
		return false;
	}
	switch (p->step) {
	case PROBE_LOOK:
		ctl_sendf(t->conn, on_looked, p, "ONION_CLIENT_AUTH_VIEW %s", p->address);
		break;
	case PROBE_ADD:
		send_add(p);
		break;
	case PROBE_FETCH:
		ctl_sendf(t->conn, on_fetching, p, "HSFETCH %s", p->address);
		break;
	case PROBE_READ:
		ctl_sendf(t->conn, on_read, p, "GETINFO hs/client/desc/id/%s", p->address);
		break;
	case PROBE_DROP:
		ctl_sendf(t->conn, on_dropped, p, "ONION_CLIENT_AUTH_REMOVE %s", p->address);
		break;
	case PROBE_WAITING:
	case PROBE_HELD:
		return false;
	}
	p->in_flight = true;
	return true;
}

/* --- what comes of it --- */

/* tor's REASON= of a fetch (control-spec 4.1.25). */
static char *explain(struct span reason)
{
	static const struct {
		const char *reason, *text;
	} known[] = {
		{"NOT_FOUND", "the network's directories do not have its descriptor"},
		{"QUERY_REJECTED", "the network's directories refuse to hand out its descriptor"},
		{"BAD_DESC", "its descriptor cannot be read, for instance with this private key"},
		{"QUERY_NO_HSDIR", "tor knows no directory that should have its descriptor"},
		{"QUERY_RATE_LIMITED", "tor has asked too often for its descriptor; wait a while"},
		{"UNEXPECTED", "a directory's answer was not understood"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (span_eq(reason, span_str(known[i].reason))) {
			return xstrdup(known[i].text);
		}
	}
	_cleanup_free_ char *text = ctl_printable(reason);

	return xasprintf("its descriptor could not be fetched (%s)", text);
}

void probe_event(struct tor *t, struct span text)
{
	struct tor_probe *p = t->probe;
	struct span name, action, address, reason = ctl_value(text, "REASON");

	if (!p || (p->step != PROBE_WAITING && p->step != PROBE_FETCH) ||
	    !ctl_next_word(&text, &name) || !ctl_next_word(&text, &action) ||
	    !ctl_next_word(&text, &address) || !span_eq(address, span_str(p->address))) {
		return;
	}
	if (span_eq(action, SPAN("REQUESTED"))) {
		p->asked++;
	} else if (span_eq(action, SPAN("RECEIVED"))) {
		fetched(p, NULL);
	} else if (span_eq(action, SPAN("FAILED")) && reason.p &&
		   !span_eq(reason, SPAN("UPLOAD_REJECTED"))) {
		/* One is out of date now and then: only all of them say something. */
		if (++p->failed >= p->asked) {
			fetched(p, explain(reason));
		}
	}
}

void probe_tick(struct tor *t)
{
	struct tor_probe *p = t->probe;

	if (p && p->step != PROBE_HELD && p->step != PROBE_DROP && !p->done && !p->in_flight &&
	    ev_now_ms(t->ev) >= p->deadline) {
		finish(p, xasprintf("no directory of the network answered within %u seconds",
				    TOR_PROBE_MS / 1000));
	}
}

/* The connection is gone, and tor with it, or the key goes with its next start. */
void probe_lost(struct tor *t)
{
	struct tor_probe *p = t->probe;

	if (!p) {
		return;
	}
	p->in_flight = false;
	if (p->ended) {
		probe_free(p);
	} else if (p->step != PROBE_HELD) {
		finish(p,
		       xasprintf("the connection to tor was lost%s%s", t->link_problem ? ": " : "",
				 t->link_problem ? t->link_problem : ""));
	}
}
