/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A removed onion leaves the circuits of its visitors open, and adding the same
 * key again (with fewer clients, say) gives them their access back. "cut" closes
 * them in between: removals go before additions. What an onion has left behind
 * earlier is closed by an entry of its own among the removals.
 */
#include <string.h>

#include "tor/onion.h"

void onion_remove(struct onion *o, bool cut, void (*removed)(void *ud), void *ud)
{
	struct tor *t = o->tor;
	bool connected = t->status.state == TOR_READY && !t->stopping;

	list_remove(&o->link);
	list_append(&t->removals, &o->link);
	o->cb = NULL;
	o->changed = false;
	o->cut = cut;
	o->removed = removed;
	o->removed_ud = ud;
	/* An ADD_ONION may be in flight, too: then this comes behind it. */
	o->step = connected && !o->invalid ? ONION_DELETING : ONION_GONE;
	if (!connected && cut && o->ever && t->status.mode != TOR_MODE_MANAGED) {
		o->step = ONION_LISTING; /* when that tor is back */
	}
	if (o->frontend) {
		hsdirs_changed(t);
	}
	tor_wake(t);
}

/* One entry an address is enough, however often its service comes and goes without a tor. */
static bool will_be_cut(const struct tor *t, const char *address)
{
	list_for_each (it, &t->removals) {
		const struct onion *o = list_entry(it, const struct onion, link);

		if (o->step == ONION_LISTING && strcmp(o->address, address) == 0) {
			return true;
		}
	}
	return false;
}

void tor_cut_circuits(struct tor *t, const char *address)
{
	/* A tor of our own that is not there takes its circuits with it. */
	bool none = t->status.mode == TOR_MODE_MANAGED && t->status.state != TOR_READY;

	if (t->stopping || none || !onion_address_valid(address) || will_be_cut(t, address)) {
		return;
	}
	struct onion *o = xnew(struct onion);

	o->tor = t;
	memcpy(o->address, address, ONION_ADDRESS_LEN);
	o->cut = o->ever = true;
	o->step = ONION_LISTING;
	list_append(&t->removals, &o->link);
	tor_wake(t);
}

/* Its circuits live on. */
static void deleted(struct onion *o)
{
	o->step = o->cut && o->ever ? ONION_LISTING : ONION_GONE;
	tor_wake(o->tor);
}

static void on_deleted(void *ud, const struct ctl_reply *reply)
{
	struct onion *o = ud;

	(void)reply; /* 552: it was not there */
	deleted(o);
	tor_pump(o->tor);
}

void removal_unlisted(struct onion *o)
{
	deleted(o);
}

bool removal_holds(const struct tor *t, const char *address)
{
	list_for_each (it, &t->removals) {
		const struct onion *o = list_entry(it, const struct onion, link);

		if (o->frontend && o->step == ONION_DELETING && strcmp(o->address, address) == 0) {
			return true;
		}
	}
	return false;
}

/* A line of circuit-status (control-spec section 4.1.1): "ID STATUS PATH KEY=VALUE..." */
static void note_circuit(struct onion *o, struct span line)
{
	struct span rest = line, id;

	if (span_eq(ctl_value(line, "PURPOSE"), SPAN("HS_SERVICE_REND")) &&
	    span_eq(ctl_value(line, "REND_QUERY"), span_str(o->address)) &&
	    ctl_next_word(&rest, &id)) {
		buf_add_span(&o->circuits, id);
		buf_add_char(&o->circuits, '\n');
	}
}

/* One list of all circuits serves everybody who waits for one. */
static void on_listed(void *ud, const struct ctl_reply *reply)
{
	struct tor *t = ud;
	struct span all = SPAN_NONE;

	ctl_getinfo(reply, "circuit-status", &all);
	list_for_each (it, &t->removals) {
		struct onion *o = list_entry(it, struct onion, link);
		struct span lines = all;

		if (o->step != ONION_LISTED) {
			continue;
		}
		while (lines.n) {
			note_circuit(o, span_cut(&lines, '\n'));
		}
		o->step = o->circuits.len ? ONION_CLOSING : ONION_GONE;
	}
	tor_wake(t);
	tor_pump(t);
}

static void send_list(struct tor *t)
{
	list_for_each (it, &t->removals) {
		struct onion *o = list_entry(it, struct onion, link);

		if (o->step == ONION_LISTING) {
			o->step = ONION_LISTED;
			o->circuits_done = 0;
			buf_clear(&o->circuits);
		}
	}
	ctl_sendf(t->conn, on_listed, t, "GETINFO circuit-status");
}

static void on_circuit_closed(void *ud, const struct ctl_reply *reply)
{
	struct onion *o = ud;

	(void)reply; /* 552: it closed by itself */
	if (o->circuits_done == o->circuits.len) {
		o->step = ONION_GONE;
		tor_wake(o->tor);
	}
	tor_pump(o->tor);
}

static void send_close(struct onion *o)
{
	struct span rest = span_from(buf_span(&o->circuits), o->circuits_done);
	struct span id = span_cut(&rest, '\n');

	o->circuits_done += id.n + 1;
	ctl_sendf(o->tor->conn, on_circuit_closed, o, "CLOSECIRCUIT %.*s", SPAN_ARG(id));
}

struct onion *removals_first_at(const struct tor *t, enum onion_step step)
{
	list_for_each (it, &t->removals) {
		struct onion *o = list_entry(it, struct onion, link);

		/* Those with a directory are deleted by the list of directories. */
		if (o->step == step && !(step == ONION_DELETING && o->frontend)) {
			return o;
		}
	}
	return NULL;
}

/* All are deleted before circuits are asked for: none comes to be behind the list. */
bool onions_send_removal(struct tor *t)
{
	struct onion *o = removals_first_at(t, ONION_DELETING);

	if (o) {
		ctl_sendf(t->conn, on_deleted, o, "DEL_ONION %s", o->address);
		return true;
	}
	if (removals_first_at(t, ONION_LISTING)) {
		send_list(t);
		return true;
	}
	o = removals_first_at(t, ONION_CLOSING);
	if (o) {
		send_close(o);
	}
	return o != NULL;
}

/* Circuits of a tor that lives on are still to be closed once it is back. */
static void removal_lost(struct onion *o)
{
	if (o->step == ONION_GONE) {
		return;
	}
	o->step = o->cut && o->ever && o->tor->status.mode != TOR_MODE_MANAGED ? ONION_LISTING
									       : ONION_GONE;
}

void removals_lost(struct tor *t)
{
	list_for_each (it, &t->removals) {
		removal_lost(list_entry(it, struct onion, link));
	}
}

/* One that is over, or whose owner need not wait until tor is back. */
static struct onion *next_removed(struct tor *t)
{
	list_for_each (it, &t->removals) {
		struct onion *o = list_entry(it, struct onion, link);

		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what is freed has left the list */
		if (o->step == ONION_GONE || (o->removed && t->status.state != TOR_READY)) {
			return o;
		}
	}
	return NULL;
}

void removals_tell(struct tor *t)
{
	struct onion *o;

	while ((o = next_removed(t))) {
		void (*removed)(void *) = o->removed;
		void *ud = o->removed_ud;

		o->removed = NULL;
		if (o->step == ONION_GONE) {
			onion_free(o);
		}
		if (removed) {
			removed(ud);
		}
	}
}
