/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What moves a connection: heads one after another, lingering, deadlines, the end. */
#include "http/conn.h"

#include <errno.h>
#include <stdlib.h>

#define STEPS_A_TURN 100
#define BURST        (1024u * 1024) /* bytes written before others have their turn */
#define HEAD_READ    HTTP_MAX_HEAD  /* bytes read at once between requests */
#define LINGER_READS 16             /* of EV_SCRATCH_SIZE, likewise */
#define REJECT_MS    2000           /* a visitor too many is waited for that long */

static uint64_t now_ms(const struct http_conn *c)
{
	return ev_now_ms(c->server->ev);
}

static bool is_open(const struct http_conn *c)
{
	return c->state == HTTP_CONN_OPEN;
}

/* --- heads --- */

struct span http_conn_stored(const struct http_conn *c)
{
	return c->in.len > c->in_at ? span_of(c->in.p + c->in_at, c->in.len - c->in_at) : SPAN_NONE;
}

/* What people say to each other is wiped, what they ask for is not. */
static void drop_stored(struct http_conn *c)
{
	if (c->secret) {
		buf_wipe(&c->in);
	} else {
		buf_done(&c->in);
	}
	c->in_at = 0;
}

/* More of a head into *ret: from the socket, behind what is stored. False: nothing came. */
static bool read_head(struct http_conn *c, struct span *ret, bool *ret_fresh)
{
	char *scratch = c->server->ev->scratch;
	ssize_t n;

	if (!c->can_read) {
		return false;
	}
	n = c->io->ops->read(c->io, scratch, HEAD_READ);
	if (n < (ssize_t)HEAD_READ) {
		c->can_read = false;
	}
	if (n <= 0) {
		if (n != -EAGAIN) {
			http_conn_close(c, false);
		}
		return false;
	}
	*ret_fresh = c->in.len == c->in_at;
	if (*ret_fresh) {
		c->since = now_ms(c);
		*ret = span_of(scratch, (size_t)n);
	} else {
		buf_add(&c->in, scratch, (size_t)n);
		*ret = http_conn_stored(c);
	}
	return true;
}

/*
 * Begins an exchange if a head is whole. fresh: bytes stand in the loop's scratch
 * memory, and what is left of them is stored before a handler may use it.
 */
static bool try_head(struct http_conn *c, struct span bytes, bool fresh)
{
	ssize_t n = http_head_scan(&c->scan, bytes);
	unsigned fields = c->scan.fields;
	size_t used = n > 0 ? (size_t)n : n < 0 ? bytes.n : 0;

	if (fresh && used < bytes.n) {
		buf_add(&c->in, bytes.p + used, bytes.n - used);
	} else if (!fresh) {
		c->in_at += used;
	}
	if (n == 0) {
		return false;
	}
	c->scan = (struct http_head_scan){0};
	http_exchange_begin(c, n > 0 ? span_of(bytes.p, used) : SPAN_NONE, fields, (int)-n);
	return true;
}

static bool next_request(struct http_conn *c)
{
	struct span bytes = http_conn_stored(c);
	bool fresh;

	if (bytes.n && try_head(c, bytes, false)) {
		return true;
	}
	if (!read_head(c, &bytes, &fresh)) {
		return false;
	}
	try_head(c, bytes, fresh);
	if (c->server->secret) {
		explicit_bzero(c->server->ev->scratch, HEAD_READ);
	}
	return true;
}

/* --- the end of a response --- */

void http_conn_linger(struct http_conn *c, uint64_t ms)
{
	c->state = HTTP_CONN_LINGER;
	c->since = now_ms(c) + ms;
	c->linger_left = c->server->limits.linger_bytes;
	drop_stored(c);
	c->io->ops->shutdown(c->io);
}

/* The exchange is over: its memory goes to the next one. */
static void end_exchange(struct http_conn *c)
{
	if (c->secret) {
		arena_wipe(&c->arena);
	} else {
		arena_reset(&c->arena);
	}
	if (c->server->spare.head) {
		arena_done(&c->arena);
	} else {
		c->server->spare = c->arena;
		c->arena = ARENA_INIT;
	}
	c->x = NULL;
	c->served = true;
	c->since = now_ms(c);
}

static bool finish_exchange(struct http_conn *c)
{
	struct http_exchange *x = c->x;
	bool rest = x->in != HTTP_IN_DONE || http_conn_stored(c).n > 0;

	if (!x->close) {
		if (x->in != HTTP_IN_DONE) {
			return false; /* first the rest of the body */
		}
		end_exchange(c);
		if (c->up) {
			c->state = HTTP_CONN_UPGRADED;
		}
		return true;
	}
	end_exchange(c);
	if (rest && !c->eof) {
		/* Closing with bytes unread would reset the answer away (RFC 9112 section 9.6). */
		http_conn_linger(c, c->counted ? c->server->limits.linger_ms : REJECT_MS);
	} else {
		http_conn_close(c, false);
	}
	return true;
}

/* Who was to listen to a body without end, and has hung up. */
static bool listener_has_left(const struct http_exchange *x)
{
	return (x->conn->peer_shut || x->conn->eof) && x->out == HTTP_OUT_SEND && x->body_open &&
	       x->body.kind == HTTP_BODY_SOURCE && x->body.source->endless;
}

static bool move_exchange(struct http_conn *c)
{
	struct http_exchange *x = c->x;
	bool moved = http_exchange_input(x);

	if (is_open(c) && listener_has_left(x)) {
		http_conn_close(c, true);
	}
	if (!is_open(c)) {
		return false;
	}
	if (x->out == HTTP_OUT_SEND || x->pre.n) {
		switch (http_send_step(x)) {
		case HTTP_SEND_MOVED:
			moved = true;
			break;
		case HTTP_SEND_WAIT:
			break;
		case HTTP_SEND_DONE:
			moved = true;
			http_exchange_done(x);
			break;
		case HTTP_SEND_CUT:
			http_conn_close(c, true);
			break;
		}
	}
	if (is_open(c) && x->out == HTTP_OUT_DONE) {
		moved = finish_exchange(c) || moved;
	}
	return moved;
}

static bool move_linger(struct http_conn *c)
{
	struct ev *ev = c->server->ev;

	for (int i = 0; i < LINGER_READS && c->can_read; i++) {
		ssize_t n = c->io->ops->read(c->io, ev->scratch, ev->scratch_size);

		if (n < (ssize_t)ev->scratch_size) {
			c->can_read = false;
		}
		if (n == -EAGAIN) {
			break;
		}
		if (n <= 0 || (uint64_t)n >= c->linger_left) {
			http_conn_close(c, false);
			break;
		}
		c->linger_left -= (uint64_t)n;
		if (c->secret) {
			explicit_bzero(ev->scratch, (size_t)n);
		}
	}
	return false;
}

static bool move(struct http_conn *c)
{
	switch (c->state) {
	case HTTP_CONN_OPEN:
		return c->x ? move_exchange(c) : next_request(c);
	case HTTP_CONN_UPGRADED:
		return http_upgrade_turn(c);
	case HTTP_CONN_LINGER:
		return move_linger(c);
	case HTTP_CONN_CLOSED:
		break;
	}
	return false;
}

/* --- resting --- */

/* The peer is to take something before more can be written, or it had its burst for this turn. */
static bool waits_for_peer(const struct http_conn *c)
{
	const struct http_exchange *x = c->x;

	return (x->out == HTTP_OUT_SEND || x->pre.n) && (!c->can_write || c->burst == 0);
}

static unsigned wanted_events(const struct http_conn *c)
{
	const struct http_exchange *x = c->x;
	unsigned want = 0;

	if (c->state == HTTP_CONN_UPGRADED) {
		return http_upgrade_events(c);
	}
	if (!x) {
		return HTTP_IO_READ;
	}
	if (!c->eof && (x->in == HTTP_IN_FLOW || x->in == HTTP_IN_DISCARD)) {
		want |= HTTP_IO_READ;
	}
	if (waits_for_peer(c)) {
		want |= HTTP_IO_WRITE;
	}
	return want;
}

static uint64_t exchange_deadline(const struct http_conn *c)
{
	const struct http_exchange *x = c->x;
	const struct http_limits *l = &c->server->limits;
	uint64_t at = UINT64_MAX, t;

	if (x->in == HTTP_IN_FLOW || x->in == HTTP_IN_DISCARD) {
		at = x->body_since + http_server_body_ms(c->server);
		t = x->rate_since + l->min_rate_ms;
		at = t < at ? t : at;
	}
	if (waits_for_peer(c)) {
		t = x->write_since + l->write_ms;
		at = t < at ? t : at;
	}
	return at;
}

static uint64_t find_deadline(const struct http_conn *c)
{
	const struct http_limits *l = &c->server->limits;

	if (c->state == HTTP_CONN_LINGER) {
		return c->since;
	}
	if (c->state == HTTP_CONN_UPGRADED) {
		return http_upgrade_deadline(c);
	}
	if (c->x) {
		return exchange_deadline(c);
	}
	return c->since + (c->served && http_conn_stored(c).n == 0 ? l->idle_ms : l->head_ms);
}

static void rest(struct http_conn *c)
{
	if (c->in_at == c->in.len) {
		if (c->in.cap) {
			drop_stored(c);
		}
	} else if (c->in_at) {
		buf_consume(&c->in, c->in_at);
	}
	c->in_at = 0;
	if (c->state == HTTP_CONN_UPGRADED && http_upgrade_has_work(c)) {
		http_conn_kick(c);
	}
	c->io->ops->want(c->io, wanted_events(c));
	c->deadline = find_deadline(c);
	http_server_deadline(c->server, c->deadline);
}

void http_conn_run(struct http_conn *c)
{
	int steps = STEPS_A_TURN;

	if (c->running) {
		return;
	}
	c->running = true;
	c->burst = BURST;
	while (move(c) && --steps > 0) {
	}
	c->running = false;
	if (c->state == HTTP_CONN_CLOSED) {
		return;
	}
	if (steps == 0) {
		http_conn_kick(c);
	}
	rest(c);
}

static void on_ready(void *ud, unsigned events)
{
	struct http_conn *c = ud;

	if (c->state == HTTP_CONN_CLOSED) {
		return;
	}
	if (events & HTTP_IO_GONE) {
		http_conn_close(c, true);
		return;
	}
	c->can_read = c->can_read || (events & HTTP_IO_READ);
	c->can_write = c->can_write || (events & HTTP_IO_WRITE);
	c->peer_shut = c->peer_shut || (events & HTTP_IO_SHUT);
	http_conn_run(c);
}

void http_conn_kick(struct http_conn *c)
{
	struct http_server *s = c->server;

	if (c->running || c->state == HTTP_CONN_CLOSED || !list_empty(&c->kicked)) {
		return;
	}
	list_append(&s->kicked, &c->kicked);
	http_server_kicked(s);
}

/* --- deadlines --- */

static void exchange_timeout(struct http_conn *c)
{
	struct http_exchange *x = c->x;
	uint64_t now = now_ms(c);
	bool flows = x->in == HTTP_IN_FLOW || x->in == HTTP_IN_DISCARD;

	if (waits_for_peer(c) && now - x->write_since >= c->server->limits.write_ms) {
		http_conn_close(c, true);
		return;
	}
	if (flows && http_exchange_too_slow(x, now)) {
		if (x->out == HTTP_OUT_WAIT) {
			http_exchange_fail(x, 408);
		} else {
			http_conn_close(c, x->out == HTTP_OUT_SEND);
			return;
		}
	}
	http_conn_run(c);
}

void http_conn_timeout(struct http_conn *c)
{
	if (c->state == HTTP_CONN_OPEN && c->x) {
		exchange_timeout(c);
	} else if (c->state == HTTP_CONN_UPGRADED) {
		http_upgrade_timeout(c);
	} else if (c->state == HTTP_CONN_OPEN && http_conn_stored(c).n) {
		c->scan = (struct http_head_scan){0};
		http_exchange_begin(c, SPAN_NONE, 0, 408);
		http_conn_run(c);
	} else {
		http_conn_close(c, false);
	}
}

/* --- birth and death --- */

static void on_closed(void *ud)
{
	struct http_conn *c = ud;

	arena_wipe(&c->arena);
	drop_stored(c);
	if (c->up) {
		c->up->ops->release(c->up);
	}
	http_server_conn_gone(c);
}

void http_conn_close(struct http_conn *c, bool reset)
{
	struct http_exchange *x = c->x;

	if (c->state == HTTP_CONN_CLOSED) {
		return;
	}
	c->state = HTTP_CONN_CLOSED;
	list_remove(&c->kicked);
	if (c->counted) {
		c->server->n_counted--;
	} else {
		c->server->n_rejected--;
	}
	if (x) {
		reset = reset || x->out == HTTP_OUT_SEND;
		http_exchange_abort(x);
	}
	if (c->up) {
		c->up->ops->gone(c->up);
	}
	c->io->ops->close(c->io, reset);
}

void http_conn_new(struct http_server *s, struct http_io *io, bool reject)
{
	struct http_conn *c = xnew(struct http_conn);

	c->server = s;
	c->io = io;
	c->counted = !reject;
	c->secret = s->secret;
	c->can_write = true;
	list_init(&c->kicked);
	list_append(&s->conns, &c->link);
	io->ready = on_ready;
	io->closed = on_closed;
	io->ud = c;
	s->n_alive++;
	if (reject) {
		s->n_rejected++;
		http_exchange_begin(c, SPAN_NONE, 0, 503);
		http_conn_kick(c);
	} else {
		s->n_counted++;
	}
	c->since = ev_now_ms(s->ev);
	rest(c);
}
