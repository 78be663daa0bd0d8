/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bytes between the socket of a connection and the protocol that has taken it over. */
#include "http/upgrade.h"

#include <errno.h>

#include "http/conn.h"

#define READ_AT_ONCE (16u * 1024) /* and in one turn */
#define IOVS         128
#define LINGER_MS    (10u * 1000)

static struct http_exchange *exchange_of(struct http_req *req)
{
	return container_of(req, struct http_exchange, req);
}

static bool has_output(const struct http_conn *c)
{
	struct iovec iov;

	return c->up->ops->output(c->up, &iov, 1) > 0;
}

/* --- taking over --- */

bool http_upgrade(struct http_req *req, struct http_resp *resp, struct http_upgrade *u)
{
	struct http_exchange *x = exchange_of(req);
	struct http_conn *c = x->conn;

	if (x->out != HTTP_OUT_WAIT || c->state != HTTP_CONN_OPEN ||
	    http_server_is_ending(c->server) || x->in != HTTP_IN_DONE || resp->invalid) {
		return false;
	}
	http_req_secret(req);
	c->up = u;
	u->conn = c;
	http_respond(req, resp, http_body_none());
	return true;
}

void http_upgrade_kick(struct http_upgrade *u)
{
	http_conn_kick(u->conn);
}

uint64_t http_upgrade_now(const struct http_upgrade *u)
{
	return ev_now_ms(u->conn->server->ev);
}

/* --- writing --- */

static void blocked(struct http_conn *c)
{
	c->can_write = false;
	c->since = ev_now_ms(c->server->ev);
}

/* False: nothing (more) can be written now. */
static bool write_some(struct http_conn *c)
{
	struct http_upgrade *u = c->up;
	struct iovec iov[IOVS];
	size_t all = 0;
	ssize_t r;
	int n;

	if (!c->can_write || c->broken) {
		return false;
	}
	n = u->ops->output(u, iov, IOVS);
	if (n == 0) {
		return false;
	}
	for (int i = 0; i < n; i++) {
		all += iov[i].iov_len;
	}
	r = c->io->ops->writev(c->io, iov, n);
	if (r < 0) {
		if (r == -EAGAIN) {
			blocked(c);
		} else {
			c->broken = true;
		}
		return false;
	}
	u->ops->written(u, (size_t)r);
	if ((size_t)r < all) {
		blocked(c);
		return false;
	}
	return true;
}

void http_upgrade_flush(struct http_upgrade *u)
{
	struct http_conn *c = u->conn;

	if (c->state != HTTP_CONN_UPGRADED) {
		return; /* a turn follows when the answer is out */
	}
	while (write_some(c)) {
	}
	if (!c->can_write || c->broken) {
		http_conn_kick(c);
	}
}

/* --- reading --- */

static void input_stored(struct http_conn *c)
{
	/* The buffer must not move meanwhile: only input_socket adds to it. */
	c->in_at += c->up->ops->input(c->up, http_conn_stored(c));
}

static void input_socket(struct http_conn *c)
{
	struct ev *ev = c->server->ev;
	ssize_t n = c->io->ops->read(c->io, ev->scratch, READ_AT_ONCE);
	size_t used;

	if (n < (ssize_t)READ_AT_ONCE) {
		c->can_read = false;
	}
	if (n <= 0) {
		if (n != -EAGAIN) {
			http_conn_close(c, false);
		}
		return;
	}
	used = c->up->ops->input(c->up, span_of(ev->scratch, (size_t)n));
	if (c->state != HTTP_CONN_CLOSED && used < (size_t)n) {
		buf_add(&c->in, ev->scratch + used, (size_t)n - used);
	}
	explicit_bzero(ev->scratch, (size_t)n);
}

bool http_upgrade_has_work(const struct http_conn *c)
{
	return (http_conn_stored(c).n > 0 || c->up->ops->busy(c->up)) && c->up->ops->reads(c->up);
}

/* One portion a turn, so that others have theirs. */
static void input(struct http_conn *c)
{
	if (c->up->ops->enough(c->up)) {
		return; /* what is to be read is told again as long as it was not */
	}
	if (http_upgrade_has_work(c)) {
		input_stored(c);
	} else if (c->can_read && c->up->ops->reads(c->up)) {
		input_socket(c);
	}
}

/* --- a turn --- */

static void settle(struct http_conn *c)
{
	enum http_upgrade_fate fate = c->up->ops->settle(c->up);

	if (c->state == HTTP_CONN_CLOSED) {
		return;
	}
	switch (fate) {
	case HTTP_UPGRADE_STAYS:
		break;
	case HTTP_UPGRADE_LINGERS:
		http_conn_linger(c, LINGER_MS);
		break;
	case HTTP_UPGRADE_CLOSES:
		http_conn_close(c, false);
		break;
	case HTTP_UPGRADE_CUT:
		http_conn_close(c, true);
		break;
	}
}

bool http_upgrade_turn(struct http_conn *c)
{
	input(c);
	if (c->state == HTTP_CONN_CLOSED) {
		return false;
	}
	while (write_some(c)) {
	}
	if (c->broken) {
		http_conn_close(c, true);
		return false;
	}
	settle(c);
	return false;
}

unsigned http_upgrade_events(const struct http_conn *c)
{
	unsigned want = 0;

	if (c->up->ops->reads(c->up) && !http_upgrade_has_work(c)) {
		want |= HTTP_IO_READ;
	}
	if (!c->can_write && has_output(c)) {
		want |= HTTP_IO_WRITE;
	}
	return want;
}

/* --- the clock --- */

static uint64_t write_deadline(const struct http_conn *c)
{
	return c->can_write || !has_output(c) ? UINT64_MAX : c->since + c->server->limits.write_ms;
}

uint64_t http_upgrade_deadline(const struct http_conn *c)
{
	uint64_t a = c->up->ops->deadline(c->up), b = write_deadline(c);

	return a < b ? a : b;
}

void http_upgrade_timeout(struct http_conn *c)
{
	uint64_t now = ev_now_ms(c->server->ev);

	if (write_deadline(c) <= now) {
		http_conn_close(c, true);
		return;
	}
	if (c->up->ops->deadline(c->up) <= now) {
		c->up->ops->timeout(c->up);
	}
	http_conn_run(c);
}

void http_upgrade_stop(struct http_conn *c)
{
	if (c->state == HTTP_CONN_UPGRADED) {
		c->up->ops->stop(c->up);
		while (write_some(c)) {
		}
	}
}
