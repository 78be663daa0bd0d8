/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Onions that are wanted against onions that are there. They are not detached:
 * tor drops them with the control connection, so that a dead daemon cannot leave
 * an address that leads to whoever takes its socket next; after each connect
 * all are added anew.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "proto/base/codec.h"
#include "proto/base/crypto.h"
#include "proto/base/onion.h"
#include "tor/onion.h"

#define STREAMS_MAX 65535u /* of ADD_ONION's MaxStreams */
#define AGAIN_MAX   16u    /* times the wait for an upload, between two new beginnings */

void onion_set_state(struct onion *o, enum onion_state state, char *reason)
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

bool onion_in_the_making(const struct onion *o)
{
	return o->with_tor && o->state == ONION_PUBLISHING && o->tor->network_since;
}

void onion_free(struct onion *o)
{
	list_remove(&o->link);
	crypto_wipe(o->key, sizeof(o->key));
	free(o->target);
	free(o->frontend);
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

bool onion_address_valid(const char *address)
{
	uint8_t raw[ONION_ADDRESS_LEN * 5 / 8];
	size_t n = strlen(address);

	return n == ONION_ADDRESS_LEN && strcspn(address, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == n &&
	       base32_decode(span_of(address, n), raw, sizeof(raw)) == 0;
}

static int check_spec(const struct onion_spec *spec, struct error *err)
{
	char frontend[ONION_NAME_LEN + 1];

	if (!onion_address_valid(spec->address)) {
		return error_set(err, EINVAL, "this is no onion address");
	}
	if (spec->n_clients > ONION_CLIENTS_MAX) {
		return error_set(err, EINVAL,
				 "%u private keys are too many, an onion can have %d: tor does not "
				 "publish descriptors that grow too large",
				 spec->n_clients, ONION_CLIENTS_MAX);
	}
	if (spec->frontend && (spec->n_clients || spec->pow)) {
		return error_set(err, EINVAL,
				 "a backend of Onionbalance can be neither private nor have a "
				 "proof-of-work defence");
	}
	if (spec->frontend && onion_parse(span_str(spec->frontend), frontend, err) < 0) {
		error_context(err, "the address of the frontend");
		return -EINVAL;
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
		onion_set_state(o, ONION_FAILED, xstrdup(error_text(&err)));
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
	if (spec->frontend) {
		o->frontend = xstrdup(spec->frontend);
		o->serial = ++t->hsdirs.last_serial;
		hsdirs_changed(t);
	}
	o->left = spec->left;
	if (spec->wait_ms) {
		o->retry_at = ev_now_ms(t->ev) + spec->wait_ms;
		o->ever = true; /* the circuits of the one before it may still be there */
	}
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
	onion_set_state(
		o, ONION_WANTED,
		xstrdup("another program has this onion open at the same tor; stop it there"));
}

void onion_added(struct onion *o)
{
	o->with_tor = true;
	o->ever = true;
	o->collides_since = 0;
	o->retry_delay = 0;
	o->added_at = ev_now_ms(o->tor->ev);
	if (o->state == ONION_STALLED && !o->track.published) {
		return; /* until it is better than before */
	}
	onion_set_state(o, o->track.published ? ONION_PUBLISHED : ONION_PUBLISHING,
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
	onion_set_state(o, ONION_FAILED,
			xstrdup("the stored key makes another address than the stored one; "
				"one of them is damaged"));
	if (!onion_address_valid(other)) {
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
	onion_added(o);
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
		onion_set_state(o, ONION_FAILED, xasprintf("tor refuses the onion: %s", text));
	} else {
		retry_after(o, o->tor->times.slow_retry);
		onion_set_state(o, ONION_WANTED,
				xasprintf("tor cannot take the onion now: %s", text));
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
	return !o->invalid && !o->frontend && !o->with_tor && !o->refused && o->retry_at <= now &&
	       !removal_holds(o->tor, o->address);
}

static void send_add(struct onion *o)
{
	struct buf line = BUF_INIT;

	/* Its events may come before the reply. */
	o->track = (struct desc_track){0};
	build_add(o, &line);
	ctl_send(o->tor->conn, &line, on_add_reply, o);
}

void onion_add_again(struct onion *o)
{
	if (!o->with_tor) {
		return;
	}
	o->again = true;
	if (o->frontend) {
		hsdirs_changed(o->tor);
	} else {
		tor_wake(o->tor);
	}
}

void onion_down_again(struct onion *o)
{
	o->again = o->with_tor = false;
	if (o->state == ONION_PUBLISHED) {
		onion_set_state(o, ONION_PUBLISHING, NULL);
	}
}

static void on_down_again(void *ud, const struct ctl_reply *reply)
{
	struct onion *o = ud;

	(void)reply; /* 552: it has gone already */
	onion_down_again(o);
	tor_pump(o->tor);
}

bool onions_send_add(struct tor *t)
{
	uint64_t now = ev_now_ms(t->ev);

	list_for_each (it, &t->onions) {
		struct onion *o = list_entry(it, struct onion, link);

		if (o->again && !o->frontend) {
			ctl_sendf(t->conn, on_down_again, o, "DEL_ONION %s", o->address);
			return true;
		}
		if (!wants_add(o, now) || handoff_take_onion(o)) {
			continue;
		}
		if (!onions_send_removal(t)) { /* what stands in its way goes first */
			send_add(o);
		}
		return true;
	}
	return false;
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

		t->published_at = ev_now_ms(t->ev);
		onion_set_state(o, ONION_PUBLISHED, reason);
	} else if (o->state == ONION_PUBLISHING) {
		onion_set_state(
			o, ONION_PUBLISHING,
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
		onion_set_state(o, ONION_STALLED, why_stalled(o));
	}
}

/*
 * Tor allows an onion 28 introduction circuits in five minutes (get_max_intro_circ_per_period).
 * While it has no way into the network they are used up within seconds, and then it waits, also
 * when the way is there again. One that is added anew has them all. Not while others get
 * there: of hundreds, the last ones only wait for their turn.
 */
static void begin_again(struct onion *o, uint64_t now)
{
	const struct tor_times *times = &o->tor->times;

	if (o->state != ONION_STALLED || !o->with_tor || now < o->again_at ||
	    now - o->tor->published_at < times->stall || desc_attempted(&o->track)) {
		return;
	}
	onion_add_again(o);
	o->again_delay = o->again_delay ? o->again_delay * 2 : times->stall;
	if (o->again_delay > times->stall * AGAIN_MAX) {
		o->again_delay = times->stall * AGAIN_MAX;
	}
	o->again_at = now + o->again_delay;
}

void onions_tick(struct tor *t)
{
	uint64_t now = ev_now_ms(t->ev);

	handoff_tick(t, now);
	list_for_each (it, &t->onions) {
		struct onion *o = list_entry(it, struct onion, link);

		check_stalled(o, now);
		begin_again(o, now);
	}
}

bool onions_unsettled(const struct tor *t)
{
	if (removals_first_at(t, ONION_INHERITED)) {
		return true;
	}
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
	o->written = o->listed = false;
	o->refused = false;
	o->retry_at = 0;
	o->retry_delay = 0;
	o->collides_since = 0;
	o->again = false;
	o->again_at = 0;
	o->again_delay = 0;
	if (o->state != ONION_FAILED) {
		onion_set_state(o, ONION_WANTED, why ? xstrdup(why) : NULL);
	}
}

void onions_lost(struct tor *t)
{
	list_for_each (it, &t->onions) {
		onion_lost(list_entry(it, struct onion, link), t->link_problem);
	}
	hsdirs_lost(t);
	removals_lost(t);
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

void onions_tell(struct tor *t)
{
	struct onion *o;

	removals_tell(t);
	while (!t->stopping && (o = next_changed(t))) {
		o->changed = false;
		if (o->cb) {
			o->cb(o->ud, o->state, o->reason);
		}
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
