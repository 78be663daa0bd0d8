/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Onion keys. Tor makes them, and tells the address of one from elsewhere, for there is
 * no Ed25519 in the daemon's own library: ADD_ONION, and DEL_ONION at once. A descriptor
 * would be uploaded a second later at the earliest, so nobody learns of the onion.
 */
#include <errno.h>
#include <string.h>

#include "proto/base/codec.h"
#include "proto/base/crypto.h"
#include "tor/internal.h"

struct tor_key_req {
	struct tor *tor;
	struct list link;
	tor_key_fn *cb; /* NULL: cancelled */
	void *ud;
	uint64_t deadline;
	/* MAKING -> REMOVING -> DONE; a lost connection puts MAKING back to WAITING */
	enum { KEY_WAITING, KEY_MAKING, KEY_REMOVING, KEY_DONE } step;
	struct error err;
	char address[ONION_ADDRESS_LEN + 1];
	bool given; /* the key: only its address is asked for */
	uint8_t key[ONION_KEY_SIZE];
};

static void req_free(struct tor_key_req *q)
{
	list_remove(&q->link);
	q->tor->n_keys--;
	crypto_wipe(q->key, sizeof(q->key));
	error_done(&q->err);
	free(q);
}

static void done(struct tor_key_req *q)
{
	q->step = KEY_DONE;
	tor_wake(q->tor);
}

static void unavailable(struct tor_key_req *q, const char *why)
{
	error_set_kind(&q->err, EAGAIN, ERROR_TOR_UNAVAILABLE, why, NULL, "Tor cannot %s now: %s",
		       q->given ? "tell the address" : "make a key", why);
	done(q);
}

static struct tor_key_req *request(struct tor *t, const uint8_t *key, unsigned wait_ms,
				   tor_key_fn *cb, void *ud)
{
	struct tor_key_req *q = xnew(struct tor_key_req);

	if (key) {
		q->given = true;
		memcpy(q->key, key, ONION_KEY_SIZE);
	}
	q->tor = t;
	q->cb = cb;
	q->ud = ud;
	q->deadline = ev_now_ms(t->ev) + wait_ms;
	list_append(&t->keys, &q->link);
	if (++t->n_keys > TOR_KEY_REQS_MAX) {
		unavailable(q, "too many keys are being made at once");
	} else if (t->stopping) {
		unavailable(q, "the daemon is stopping");
	}
	tor_wake(t);
	return q;
}

struct tor_key_req *tor_make_key(struct tor *t, unsigned wait_ms, tor_key_fn *cb, void *ud)
{
	return request(t, NULL, wait_ms, cb, ud);
}

struct tor_key_req *tor_find_address(struct tor *t, const uint8_t key[ONION_KEY_SIZE],
				     unsigned wait_ms, tor_key_fn *cb, void *ud)
{
	return request(t, key, wait_ms, cb, ud);
}

void tor_key_cancel(struct tor_key_req *req)
{
	req->cb = NULL;
	if (req->step == KEY_WAITING || req->step == KEY_DONE) {
		req_free(req);
	}
}

/* --- on the control port --- */

static void on_removed(void *ud, const struct ctl_reply *reply)
{
	struct tor_key_req *q = ud;
	struct tor *t = q->tor;

	(void)reply; /* "no such onion" is as good */
	done(q);
	tor_pump(t);
}

static bool read_key(struct tor_key_req *q, const struct ctl_reply *reply)
{
	struct span id = SPAN_NONE, key = SPAN_NONE;
	uint8_t unused[BASE32_LEN(ONION_ADDRESS_LEN)];

	for (size_t i = 0; i < reply->n; i++) {
		struct span text = reply->lines[i].text;

		id = id.p ? id : ctl_value(text, "ServiceID");
		key = key.p ? key : ctl_value(text, "PrivateKey");
	}
	if (id.n != ONION_ADDRESS_LEN || base32_decode(id, unused, ONION_ADDRESS_LEN * 5 / 8) < 0) {
		return false;
	}
	memcpy(q->address, id.p, id.n);
	if (q->given) {
		return true;
	}
	return span_starts(key, SPAN("ED25519-V3:")) &&
	       base64_decode(span_from(key, strlen("ED25519-V3:")), q->key, sizeof(q->key)) == 0;
}

/* Of a key from elsewhere: 550 is that its onion is there already, 51x that it is none. */
static void refused(struct tor_key_req *q, const struct ctl_reply *reply)
{
	_cleanup_free_ char *why = ctl_printable(reply->lines[0].text);

	if (q->given && reply->code == 550) {
		unavailable(q, "another program has this onion open there; stop it first");
	} else if (q->given && reply->code / 10 == 51) {
		error_set_kind(&q->err, EINVAL, ERROR_INVALID_VALUE, "onion_key", why,
			       "Tor does not take the key: %s", why);
		done(q);
	} else {
		unavailable(q, why);
	}
}

static void on_made(void *ud, const struct ctl_reply *reply)
{
	struct tor_key_req *q = ud;
	struct tor *t = q->tor;

	if (!ctl_is_ok(reply)) {
		refused(q, reply);
	} else if (!read_key(q, reply)) {
		/* An onion that is not known by name goes with the connection. */
		ctl_fail(t->conn, "tor's answer to ADD_ONION makes no sense");
		return;
	} else {
		q->step = KEY_REMOVING;
	}
	tor_pump(t);
}

static void send_add(struct tor_key_req *q)
{
	struct buf line = BUF_INIT;

	buf_add_str(&line, "ADD_ONION ");
	if (q->given) {
		char *p;

		buf_add_str(&line, "ED25519-V3:");
		p = buf_reserve(&line, BASE64_LEN(ONION_KEY_SIZE));
		base64_encode(q->key, ONION_KEY_SIZE, p);
		line.len += BASE64_LEN(ONION_KEY_SIZE);
	} else {
		buf_add_str(&line, "NEW:ED25519-V3");
	}
	buf_add_str(&line, " Port=80,127.0.0.1:1");
	q->step = KEY_MAKING;
	ctl_send(q->tor->conn, &line, on_made, q);
}

bool keys_send(struct tor *t)
{
	list_for_each (it, &t->keys) {
		struct tor_key_req *q = list_entry(it, struct tor_key_req, link);

		if (q->step == KEY_REMOVING) {
			ctl_sendf(t->conn, on_removed, q, "DEL_ONION %s", q->address);
			return true;
		}
	}
	list_for_each (it, &t->keys) {
		struct tor_key_req *q = list_entry(it, struct tor_key_req, link);

		if (q->step == KEY_WAITING) {
			send_add(q);
			return true;
		}
	}
	return false;
}

/* --- waiting --- */

void keys_tick(struct tor *t)
{
	list_for_each (it, &t->keys) {
		struct tor_key_req *q = list_entry(it, struct tor_key_req, link);

		if (q->step == KEY_WAITING && t->status.state != TOR_READY &&
		    ev_now_ms(t->ev) >= q->deadline) {
			unavailable(q,
				    t->status.problem ? t->status.problem : "it is still starting");
		}
	}
}

void keys_lost(struct tor *t)
{
	list_for_each_safe (it, &t->keys) {
		struct tor_key_req *q = list_entry(it, struct tor_key_req, link);

		if (q->step == KEY_MAKING) {
			q->step = KEY_WAITING;
		} else if (q->step == KEY_REMOVING) {
			done(q);
		}
		if (!q->cb && q->step == KEY_WAITING) {
			req_free(q);
		}
	}
}

void keys_stop(struct tor *t)
{
	list_for_each (it, &t->keys) {
		struct tor_key_req *q = list_entry(it, struct tor_key_req, link);

		if (q->step != KEY_DONE) {
			unavailable(q, "the daemon is stopping");
		}
	}
}

static struct tor_key_req *next_done(struct tor *t)
{
	list_for_each (it, &t->keys) {
		struct tor_key_req *q = list_entry(it, struct tor_key_req, link);

		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what is freed has left the list */
		if (q->step == KEY_DONE) {
			return q;
		}
	}
	return NULL;
}

void keys_tell(struct tor *t)
{
	struct tor_key_req *q;

	while ((q = next_done(t))) {
		bool good = q->err.code == 0;

		/* Out of the list first: the callee may do anything. */
		list_remove(&q->link);
		if (q->cb) {
			q->cb(q->ud, good ? NULL : &q->err, good ? q->address : NULL,
			      good ? q->key : NULL);
		}
		req_free(q);
	}
}
