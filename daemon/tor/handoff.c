/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From one daemon to the next: a control connection that is logged in, and the
 * onions that were added over it. It changes hands between two commands and with no event asked
 * for, so that the next one begins where a reply begins. Only with a tor of the system: one of
 * our own ends with us.
 */
#include <string.h>

#include "proto/base/crypto.h"
#include "tor/onion.h"

/* --- leaving --- */

/* All that tor was told of it but the key, which is that of the address. */
static uint64_t fingerprint(const struct onion *o)
{
	struct buf text = BUF_INIT;
	uint8_t hash[SHA256_SIZE];
	uint64_t ret;

	buf_printf(&text, "%s %s %u %d ", o->address, o->target, o->max_streams, o->pow);
	if (o->n_clients) {
		buf_add(&text, o->clients, o->n_clients * sizeof(*o->clients));
	}
	crypto_sha256(buf_span(&text), hash);
	buf_done(&text);
	memcpy(&ret, hash, sizeof(ret));
	return ret ? ret : 1;
}

uint64_t onion_leave(struct onion *o)
{
	struct tor *t = o->tor;

	if (t->stopping || t->status.state != TOR_READY || t->status.mode != TOR_MODE_SYSTEM ||
	    !o->with_tor || o->state != ONION_PUBLISHED || o->frontend) {
		return 0;
	}
	o->cb = NULL;
	o->changed = false;
	return fingerprint(o);
}

bool tor_leave(struct tor *t, tor_left_fn *left, void *ud)
{
	if (t->stopping || t->status.state != TOR_READY || t->status.mode != TOR_MODE_SYSTEM) {
		return false;
	}
	t->handoff.left = left;
	t->handoff.ud = ud;
	tor_wake(t);
	return true;
}

static void left(struct tor *t, int fd)
{
	tor_left_fn *cb = t->handoff.left;

	t->handoff.left = NULL;
	cb(t->handoff.ud, fd);
}

static void on_silent(void *ud, const struct ctl_reply *reply)
{
	struct tor *t = ud;
	int fd = ctl_is_ok(reply) ? ctl_leave(t->conn) : -1;

	left(t, fd < 0 ? -1 : fd);
}

bool handoff_send(struct tor *t)
{
	if (t->handoff.left) {
		ctl_sendf(t->conn, on_silent, t, "SETEVENTS");
	}
	return t->handoff.left != NULL;
}

void handoff_lost(struct tor *t)
{
	if (t->handoff.left) {
		left(t, -1);
	}
}

/* --- and going on --- */

void tor_inherit(struct tor *t, int fd)
{
	close_fdp(&t->handoff.fd);
	t->handoff.fd = fd;
}

/* Is it the tor that the configuration means? That may have changed in between. */
static bool find_candidate(struct tor *t)
{
	for (t->candidate = 0; t->candidate < t->n_candidates; t->candidate++) {
		if (ctl_is_at(t->handoff.fd, &t->candidates[t->candidate].addr)) {
			return true;
		}
	}
	t->candidate = 0;
	return false;
}

bool handoff_connect(struct tor *t, const struct ctl_ops *ops)
{
	if (t->handoff.fd < 0) {
		return false;
	}
	if (!find_candidate(t)) {
		close_fdp(&t->handoff.fd);
		return false;
	}
	int fd = t->handoff.fd;

	t->handoff.fd = -1;
	if (ctl_inherit(t->ev, fd, t->times.command, ops, t, &t->conn) < 0) {
		t->candidate = 0;
		return false;
	}
	t->handoff.here = true;
	t->status.state = TOR_CONNECTING;
	tor_sync_status(t);
	return true;
}

/* --- its onions --- */

static struct onion *find_inherited(const struct tor *t, struct span address)
{
	list_for_each (it, &t->removals) {
		struct onion *o = list_entry(it, struct onion, link);

		if (o->step == ONION_INHERITED &&
		    span_eq(address, span_of(o->address, ONION_ADDRESS_LEN))) {
			return o;
		}
	}
	return NULL;
}

static void inherit(struct tor *t, struct span address)
{
	struct onion *o = xnew(struct onion);

	o->tor = t;
	memcpy(o->address, address.p,
	       address.n < ONION_ADDRESS_LEN ? address.n : ONION_ADDRESS_LEN);
	if (!onion_address_valid(o->address)) {
		free(o); /* of another version: not ours */
		return;
	}
	o->ever = true;
	o->step = ONION_INHERITED;
	list_append(&t->removals, &o->link);
}

/* It is with tor already, as it is to be: true. As something else: that goes first. */
bool handoff_take_onion(struct onion *o)
{
	struct onion *there = find_inherited(o->tor, span_str(o->address));

	if (!there) {
		return false;
	}
	if (o->left != fingerprint(o)) {
		there->step = ONION_DELETING;
		there->cut = true; /* somebody may have lost a key in between */
		return false;
	}
	onion_free(there);
	o->track.published = true;
	onion_added(o);
	return true;
}

/* Whoever wants the others has had the time to say so. */
void handoff_tick(struct tor *t, uint64_t now)
{
	list_for_each (it, &t->removals) {
		struct onion *o = list_entry(it, struct onion, link);

		if (o->step == ONION_INHERITED && now - t->ready_since >= t->times.heir) {
			o->step = ONION_DELETING;
		}
	}
}

/* "onions/current" (control-spec, GETINFO): an address a line, without .onion. */
void handoff_take_list(struct tor *t, const struct ctl_reply *reply)
{
	struct span all = SPAN_NONE;

	ctl_getinfo(reply, "onions/current", &all);
	while (all.n) {
		inherit(t, span_cut(&all, '\n'));
	}
}
