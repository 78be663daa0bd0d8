/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Onions that are wanted against onions that are there. They are not detached:
 * tor drops them with the control connection, so that a dead daemon cannot leave
 * an address that leads to whoever takes its socket next; after each connect
 * all are added anew.
 *
 * A removed onion leaves the circuits of its visitors open, and adding the same
 * key again (with fewer clients, say) gives them their access back. "cut" closes
 * them in between: removals go before additions. What an onion has left behind
 * earlier is closed by an entry of its own among the removals.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "proto/base/codec.h"
#include "proto/base/crypto.h"
#include "tor/internal.h"

#define STREAMS_MAX 65535u /* of ADD_ONION's MaxStreams */

struct onion {
	struct tor *tor;
	struct list link; /* in the tor's onions, or its removals */
	char address[ONION_ADDRESS_LEN + 1];
	uint8_t key[ONION_KEY_SIZE];
	char *target;
	uint8_t (*clients)[32];
	unsigned n_clients;
	bool pow;
	unsigned max_streams;
	onion_changed_fn *cb;
	void *ud;

	enum onion_state state;
	char *reason;
	bool changed;  /* not told yet */
	bool invalid;  /* FAILED without asking tor */
	bool with_tor; /* on this connection */
	bool refused;  /* on this connection */
	bool ever;     /* on some connection: circuits of visitors may be open */
	struct desc_track track;
	uint64_t added_at;
	uint64_t retry_at, collides_since;
	unsigned retry_delay;

	/* Removal. DELETING -> LISTING -> LISTED -> CLOSING (a circuit at a time) -> GONE */
	enum onion_step {
		ONION_KEPT,
		ONION_DELETING,
		ONION_LISTING, /* its circuits are to be asked for */
		ONION_LISTED,  /* they are asked for */
		ONION_CLOSING,
		ONION_GONE
	} step;
	bool cut;
	void (*removed)(void *ud);
	void *removed_ud;
	struct buf circuits; /* their ids, one a line */
	size_t circuits_done;
};

static void set_state(struct onion *o, enum onion_state state, char *reason)
{
	bool same_reason =
		o->reason && reason ? strcmp(o->reason, reason) == 0 : o->reason == reason;

	if (o->state != state || !same_reason) {
		o->changed = true;
		tor_wake(o->tor);
	}
	free(o->reason);
	o->reason = reason;
	o->state = state;
}

enum onion_state onion_state(const struct onion *o)
{
	return o->state;
}

static void onion_free(struct onion *o)
{
	list_remove(&o->link);
	crypto_wipe(o->key, sizeof(o->key));
	free(o->target);
	free(o->clients);
	free(o->reason);
	buf_done(&o->circuits);
	free(o);
}

/* --- what is wanted --- */

static int check_socket_target(const char *path, struct error *err)
{
	size_t n = strlen(path);

	if (path[0] != '/' || n >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		return error_set(err, EINVAL,
				 "tor cannot reach %s: a socket's path is absolute and has at most "
				 "%zu bytes",
				 path, sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
	}
	for (const char *p = path; *p; p++) {
		if (*p <= ' ' || *p > '~' || *p == '"' || *p == '\\') {
			return error_set(err, EINVAL,
					 "tor cannot be told of the socket %s: its path may have "
					 "plain ASCII only, without spaces and quotes",
					 path);
		}
	}
	return 0;
}

int tor_check_target(const char *target, struct error *err)
{
	struct span s = span_str(target);
	uint64_t port;

	if (span_starts(s, SPAN("unix:"))) {
		return check_socket_target(target + strlen("unix:"), err);
	}
	if (!span_starts(s, SPAN("127.0.0.1:")) ||
	    span_u64(span_from(s, strlen("127.0.0.1:")), 65535, &port) < 0 || port == 0) {
		return error_set(err, EINVAL, "\"%s\" is not a target for an onion", target);
	}
	return 0;
}

static bool address_valid(const char *address)
{
	uint8_t raw[ONION_ADDRESS_LEN * 5 / 8];
	size_t n = strlen(address);

	return n == ONION_ADDRESS_LEN && strcspn(address, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == n &&
	       base32_decode(span_of(address, n), raw, sizeof(raw)) == 0;
}

static int check_spec(const struct onion_spec *spec, struct error *err)
{
	if (!address_valid(spec->address)) {
		return error_set(err, EINVAL, "this is no onion address");
	}
	if (spec->n_clients > ONION_CLIENTS_MAX) {
		return error_set(err, EINVAL,
				 "%u private keys are too many, an onion can have %d: tor does not "
				 "publish descriptors that grow too large",
				 spec->n_clients, ONION_CLIENTS_MAX);
	}
	return tor_check_target(spec->target, err);
}

struct onion *tor_onion_add(struct tor *t, const struct onion_spec *spec, onion_changed_fn *cb,
			    void *ud)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	struct onion *o = xnew(struct onion);

	o->tor = t;
	o->cb = cb;
	o->ud = ud;
	list_append(&t->onions, &o->link);
	if (check_spec(spec, &err) < 0) {
		o->invalid = true;
		set_state(o, ONION_FAILED, xstrdup(error_text(&err)));
		return o;
	}
	memcpy(o->address, spec->address, ONION_ADDRESS_LEN);
	memcpy(o->key, spec->key, ONION_KEY_SIZE);
	o->target = xstrdup(spec->target);
	o->n_clients = spec->n_clients;
	o->clients = xcalloc(spec->n_clients, sizeof(*o->clients));
	if (spec->n_clients) {
		memcpy(o->clients, spec->clients, spec->n_clients * sizeof(*o->clients));
	}
	o->pow = spec->pow;
	o->max_streams = spec->max_streams < STREAMS_MAX ? spec->max_streams : STREAMS_MAX;
	tor_wake(t);
	return o;
}

/* --- adding --- */

static void build_add(const struct onion *o, struct buf *line)
{
	char *p;

	buf_add_str(line, "ADD_ONION ED25519-V3:");
	p = buf_reserve(line, BASE64_LEN(ONION_KEY_SIZE));
	base64_encode(o->key, ONION_KEY_SIZE, p);
	line->len += BASE64_LEN(ONION_KEY_SIZE);
	if (o->n_clients) {
		buf_add_str(line, " Flags=V3Auth");
	}
	if (o->max_streams) {
		buf_printf(line, " MaxStreams=%u", o->max_streams);
	}
	if (o->pow && !o->tor->no_pow) {
		buf_add_str(line, " PoWDefensesEnabled=1");
	}
	buf_printf(line, " Port=80,%s", o->target);
	for (unsigned i = 0; i < o->n_clients; i++) {
		char text[BASE32_LEN(32) + 1];

		base32_encode(o->clients[i], 32, text);
		buf_printf(line, " ClientAuthV3=%s", text);
	}
}

static void retry_after(struct onion *o, unsigned delay)
{
	o->retry_delay = delay;
	o->retry_at = ev_now_ms(o->tor->ev) + delay;
}

/* Another controller has it, or an earlier connection of ours that tor has not given up yet. */
static void collides(struct onion *o)
{
	const struct tor_times *times = &o->tor->times;
	uint64_t now = ev_now_ms(o->tor->ev);

	if (!o->collides_since) {
		o->collides_since = now;
	}
	if (now - o->collides_since < times->collision) {
		unsigned delay = o->retry_delay ? o->retry_delay * 2 : times->backoff_min;

		retry_after(o, delay < times->backoff_max ? delay : times->backoff_max);
		return;
	}
	retry_after(o, times->slow_retry);
	set_state(o, ONION_WANTED,
		  xstrdup("another program has this onion open at the same tor; stop it there"));
}

static void added(struct onion *o)
{
	o->with_tor = true;
	o->ever = true;
	o->collides_since = 0;
	o->retry_delay = 0;
	o->added_at = ev_now_ms(o->tor->ev);
	set_state(o, o->track.published ? ONION_PUBLISHED : ONION_PUBLISHING,
		  o->pow && o->tor->no_pow
			  ? xstrdup("this tor has no proof-of-work defence; it is off")
			  : NULL);
}

static void on_foreign_removed(void *ud, const struct ctl_reply *reply)
{
	struct onion *o = ud;

	(void)reply;
	tor_pump(o->tor);
}

/* The key belongs to another address than the one people were given. */
static void foreign(struct onion *o, struct span id)
{
	struct tor *t = o->tor;
	char other[ONION_ADDRESS_LEN + 1] = "";

	memcpy(other, id.p, id.n < ONION_ADDRESS_LEN ? id.n : ONION_ADDRESS_LEN);
	o->refused = true;
	set_state(o, ONION_FAILED,
		  xstrdup("the stored key makes another address than the stored one; "
			  "one of them is damaged"));
	if (!address_valid(other)) {
		ctl_fail(t->conn, "tor's answer to ADD_ONION makes no sense");
		return;
	}
	ctl_sendf(t->conn, on_foreign_removed, o, "DEL_ONION %s", other);
}

static void on_added(struct onion *o, const struct ctl_reply *reply)
{
	struct tor *t = o->tor;
	struct span id = SPAN_NONE;

	for (size_t i = 0; i < reply->n && !id.p; i++) {
		id = ctl_value(reply->lines[i].text, "ServiceID");
	}
	if (!id.p) {
		/* Nobody knows what was added: it goes with the connection. */
		ctl_fail(t->conn, "tor's answer to ADD_ONION names no address");
		return;
	}
	if (!span_eq(id, span_str(o->address))) {
		foreign(o, id);
		return;
	}
	added(o);
	tor_pump(t);
}

static bool lacks_pow(const struct onion *o, const struct ctl_reply *reply)
{
	struct span text = reply->lines[0].text, keyword = SPAN("PoWDefensesEnabled");

	return o->pow && !o->tor->no_pow && reply->code == 512 &&
	       memmem(text.p, text.n, keyword.p, keyword.n);
}

static void on_refused(struct onion *o, const struct ctl_reply *reply)
{
	_cleanup_free_ char *text = ctl_printable(reply->lines[0].text);

	if (reply->code == 550) {
		collides(o);
	} else if (lacks_pow(o, reply)) {
		o->tor->no_pow = true; /* and once more without */
	} else if (reply->code / 100 == 5) {
		o->refused = true;
		set_state(o, ONION_FAILED, xasprintf("tor refuses the onion: %s", text));
	} else {
		retry_after(o, o->tor->times.slow_retry);
		set_state(o, ONION_WANTED, xasprintf("tor cannot take the onion now: %s", text));
	}
	tor_pump(o->tor);
}

static void on_add_reply(void *ud, const struct ctl_reply *reply)
{
	struct onion *o = ud;

	if (ctl_is_ok(reply)) {
		on_added(o, reply);
	} else {
		on_refused(o, reply);
	}
}

static bool wants_add(const struct onion *o, uint64_t now)
{
	return !o->invalid && !o->with_tor && !o->refused && o->retry_at <= now;
}

bool onions_send_add(struct tor *t)
{
	uint64_t now = ev_now_ms(t->ev);

	list_for_each (it, &t->onions) {
		struct onion *o = list_entry(it, struct onion, link);

		if (wants_add(o, now)) {
			struct buf line = BUF_INIT;

			/* Its events may come before the reply. */
			o->track = (struct desc_track){0};
			build_add(o, &line);
			ctl_send(t->conn, &line, on_add_reply, o);
			return true;
		}
	}
	return false;
}

/* --- removing --- */

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

	if (t->stopping || none || !address_valid(address) || will_be_cut(t, address)) {
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

static void on_deleted(void *ud, const struct ctl_reply *reply)
{
	struct onion *o = ud;

	(void)reply; /* 552: it was not there */
	o->step = o->cut && o->ever ? ONION_LISTING : ONION_GONE;
	tor_wake(o->tor);
	tor_pump(o->tor);
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

static struct onion *first_at(const struct tor *t, enum onion_step step)
{
	list_for_each (it, &t->removals) {
		struct onion *o = list_entry(it, struct onion, link);

		if (o->step == step) {
			return o;
		}
	}
	return NULL;
}

/* All are deleted before circuits are asked for: none comes to be behind the list. */
bool onions_send_removal(struct tor *t)
{
	struct onion *o = first_at(t, ONION_DELETING);

	if (o) {
		ctl_sendf(t->conn, on_deleted, o, "DEL_ONION %s", o->address);
		return true;
	}
	if (first_at(t, ONION_LISTING)) {
		send_list(t);
		return true;
	}
	o = first_at(t, ONION_CLOSING);
	if (o) {
		send_close(o);
	}
	return o != NULL;
}

/* --- what happens --- */

static struct onion *find(const struct tor *t, struct span address)
{
	list_for_each (it, &t->onions) {
		struct onion *o = list_entry(it, struct onion, link);

		if (!o->invalid && span_eq(address, span_of(o->address, ONION_ADDRESS_LEN))) {
			return o;
		}
	}
	return NULL;
}

void onions_event(struct tor *t, const struct desc_event *e)
{
	struct onion *o = find(t, e->address);

	if (!o || !desc_feed(&o->track, e) || !o->with_tor) {
		return;
	}
	if (o->track.published) {
		char *reason = o->pow && t->no_pow ? take_ptr(o->reason) : NULL;

		set_state(o, ONION_PUBLISHED, reason);
	} else if (o->state == ONION_PUBLISHING) {
		set_state(o, ONION_PUBLISHING,
			  xstrdup("every directory of the network refused the descriptor so far; "
				  "tor goes on trying"));
	}
}

/* Of what is not published: why, as far as tor's silence or words tell. */
static char *why_stalled(const struct onion *o)
{
	unsigned seconds = o->tor->times.stall / 1000;

	if (desc_all_refused(&o->track)) {
		return xasprintf("tor has not published the address for %u seconds: every "
				 "directory of the network refused it; if this machine's clock "
				 "was set back, that ends when it has caught up",
				 seconds);
	}
	if (o->track.n_blinded == 0 && o->n_clients > 1) {
		/* One that is too large is only in tor's log: no event tells of it. */
		return xasprintf("tor has made no descriptor for %u seconds: with %u private keys "
				 "it may be larger than the network allows; remove some",
				 seconds, o->n_clients);
	}
	return xasprintf("tor has not published the address for %u seconds; it goes on trying",
			 seconds);
}

static void check_stalled(struct onion *o, uint64_t now)
{
	struct tor *t = o->tor;
	uint64_t since = o->added_at > t->network_since ? o->added_at : t->network_since;

	if (o->with_tor && o->state == ONION_PUBLISHING && t->network_since &&
	    now - since >= t->times.stall) {
		set_state(o, ONION_STALLED, why_stalled(o));
	}
}

void onions_tick(struct tor *t)
{
	uint64_t now = ev_now_ms(t->ev);

	list_for_each (it, &t->onions) {
		check_stalled(list_entry(it, struct onion, link), now);
	}
}

bool onions_unsettled(const struct tor *t)
{
	list_for_each (it, &t->onions) {
		const struct onion *o = list_entry(it, struct onion, link);

		if (!o->invalid && !o->refused && o->state != ONION_PUBLISHED &&
		    o->state != ONION_STALLED) {
			return true;
		}
	}
	return false;
}

static void onion_lost(struct onion *o, const char *why)
{
	o->with_tor = false;
	o->refused = false;
	o->retry_at = 0;
	o->retry_delay = 0;
	o->collides_since = 0;
	if (o->state != ONION_FAILED) {
		set_state(o, ONION_WANTED, why ? xstrdup(why) : NULL);
	}
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

void onions_lost(struct tor *t)
{
	list_for_each (it, &t->onions) {
		onion_lost(list_entry(it, struct onion, link), t->link_problem);
	}
	list_for_each (it, &t->removals) {
		removal_lost(list_entry(it, struct onion, link));
	}
	tor_wake(t);
}

/* --- telling --- */

static struct onion *next_changed(struct tor *t)
{
	list_for_each (it, &t->onions) {
		struct onion *o = list_entry(it, struct onion, link);

		if (o->changed) {
			return o;
		}
	}
	return NULL;
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

void onions_tell(struct tor *t)
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
	while (!t->stopping && (o = next_changed(t))) {
		o->changed = false;
		o->cb(o->ud, o->state, o->reason);
	}
}

static void free_list(struct list *l)
{
	while (!list_empty(l)) {
		onion_free(list_entry(l->next, struct onion, link));
	}
}

void onions_free(struct tor *t)
{
	free_list(&t->onions);
	free_list(&t->removals);
}
