/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rpc/conn.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/alloc.h"
#include "proto/errors.h"
#include "rpc/dispatch.h"
#include "rpc/server.h"

#define CALLS_A_TURN 100u
/* A peer who sends calls and does not read answers gets no further ones. */
#define OUTPUT_HIGH (64u * 1024)

static void on_event(uv_poll_t *poll, int status, int events);
static void on_turn(uv_timer_t *timer);

/* --- closing --- */

static void close_out_fds(struct rpc_conn *c)
{
	while (c->n_out_fds) {
		close(c->out_fds[--c->n_out_fds]);
	}
}

static void on_closed(uv_handle_t *handle)
{
	struct rpc_conn *c = handle->data;
	struct rpc_server *s = c->server;

	if (--c->open_handles > 0) {
		return;
	}
	close(c->fd);
	while (c->n_fds) {
		close(c->fds[--c->n_fds]);
	}
	close_out_fds(c);
	wire_reader_done(&c->reader);
	buf_wipe(&c->out);
	free(c);
	rpc_server_conn_closed(s);
}

void rpc_conn_close(struct rpc_conn *c)
{
	if (c->closing) {
		return;
	}
	c->closing = true;
	list_remove(&c->link);
	uv_close((uv_handle_t *)&c->poll, on_closed);
	uv_close((uv_handle_t *)&c->turn, on_closed);
	rpc_dispatch_gone(c);
	while (!list_empty(&c->bound)) {
		struct rpc_bound *bound = list_entry(c->bound.next, struct rpc_bound, link);

		list_remove(&bound->link);
		bound->closed(bound);
	}
}

/* --- output --- */

/* As much as may go in one piece: descriptors go with the first byte of their message. */
static ssize_t send_some(struct rpc_conn *c)
{
	struct span s = span_from(buf_span(&c->out), c->written);
	ssize_t n;

	if (c->n_out_fds && c->written < c->out_fds_at) {
		s.n = c->out_fds_at - c->written;
	}
	if (!c->n_out_fds || c->written < c->out_fds_at) {
		return wire_send(c->fd, s, NULL, 0);
	}
	n = wire_send(c->fd, s, c->out_fds, c->n_out_fds);
	if (n >= 0) {
		close_out_fds(c);
	}
	return n;
}

int rpc_conn_flush(struct rpc_conn *c)
{
	while (rpc_conn_unwritten(c)) {
		ssize_t n = send_some(c);

		if (n == -EAGAIN) {
			return 0;
		}
		if (n < 0) {
			return (int)n;
		}
		c->written += (size_t)n;
	}
	/* Answers have keys in them; and who is idle shall need no memory. */
	buf_wipe(&c->out);
	c->written = 0;
	return 0;
}

/* The reason for the end is told, if no call waits whose answer it would seem. */
static void end_with(struct rpc_conn *c, const char *what, unsigned limit)
{
	struct error err = ERROR_INIT;
	char number[16];

	c->ending = true;
	wire_reader_done(&c->reader);
	if (c->running) {
		c->broken = true;
		return;
	}
	snprintf(number, sizeof(number), "%u", limit);
	error_set_kind(&err, EMSGSIZE, ERROR_LIMIT_EXCEEDED, what, number,
		       "%s: at most %u; the connection is closed", what, limit);
	json_t *message = errors_to_wire(&err);

	wire_add(&c->out, message);
	json_decref(message);
	error_done(&err);
}

/* --- input --- */

/* Has the peer closed its end, not only shut down the direction to us? */
static bool has_hung_up(int fd)
{
	struct pollfd p = {.fd = fd};

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));
}

static bool wants_input(struct rpc_conn *c)
{
	/* Not behind a message that waits: so descriptors are always the last one's. */
	return !c->ending && !wire_reader_ready(&c->reader);
}

static void read_some(struct rpc_conn *c)
{
	struct ev *ev = c->server->ev;
	ssize_t n = wire_recv(c->fd, ev->scratch, ev->scratch_size, c->fds, RPC_MAX_DESCRIPTORS,
			      &c->n_fds);

	if (n == -EAGAIN) {
		return;
	}
	if (n == -EMFILE) {
		end_with(c, "descriptors with one message", RPC_MAX_DESCRIPTORS);
		return;
	}
	if (n < 0 || (n == 0 && has_hung_up(c->fd))) {
		c->broken = true;
		return;
	}
	if (n == 0) {
		c->ending = true;
		return;
	}
	if (wire_reader_feed(&c->reader, ev->scratch, (size_t)n) < 0) {
		end_with(c, "bytes of one message", RPC_MAX_MESSAGE);
	}
	explicit_bzero(ev->scratch, (size_t)n);
}

/* --- the turn --- */

static bool may_call(const struct rpc_conn *c)
{
	/* One message with descriptors waits at most: the next call comes when it is sent. */
	return !c->closing && !c->broken && !c->running && !c->n_out_fds &&
	       rpc_conn_unwritten(c) <= OUTPUT_HIGH;
}

static void run_calls(struct rpc_conn *c)
{
	struct span message;

	for (unsigned i = 0; i < CALLS_A_TURN && may_call(c); i++) {
		if (!wire_reader_next(&c->reader, &message)) {
			return;
		}
		rpc_dispatch_message(c, message);
	}
}

static void watch(struct rpc_conn *c)
{
	/*
	 * Urgent data is no part of the protocol; asking for it is how the loop
	 * tells of a hang-up while nothing else is waited for.
	 */
	int events = UV_PRIORITIZED;

	if (wants_input(c)) {
		events |= UV_READABLE;
	}
	if (rpc_conn_unwritten(c)) {
		events |= UV_WRITABLE;
	}
	if (events != c->events) {
		c->events = events;
		if (uv_poll_start(&c->poll, events, on_event) < 0) {
			rpc_conn_close(c);
		}
	}
}

static void work(struct rpc_conn *c)
{
	run_calls(c);
	if (c->closing) {
		return;
	}
	/* Also when it breaks: calls before the nonsense have their answers. */
	bool gone = rpc_conn_flush(c) < 0 || c->broken;

	if (!gone && !rpc_conn_unwritten(c)) {
		rpc_dispatch_writable(c);
	}
	bool ready = wire_reader_ready(&c->reader);

	if (gone || (c->ending && !c->running && !ready && !rpc_conn_unwritten(c))) {
		rpc_conn_close(c);
		return;
	}
	if (ready && may_call(c)) {
		/* 1 ms, not 0: a timer that starts itself anew at 0 would hold up the loop. */
		uv_timer_start(&c->turn, on_turn, 1, 0);
	}
	watch(c);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
	struct rpc_conn *c = container_of(poll, struct rpc_conn, poll);

	if (status < 0 || (events & UV_PRIORITIZED)) {
		rpc_conn_close(c);
		return;
	}
	if ((events & UV_READABLE) && wants_input(c)) {
		read_some(c);
	}
	work(c);
}

static void on_turn(uv_timer_t *timer)
{
	work(container_of(timer, struct rpc_conn, turn));
}

void rpc_conn_wake(struct rpc_conn *c)
{
	if (!c->closing) {
		uv_timer_start(&c->turn, on_turn, 0, 0);
	}
}

/* --- opening --- */

int rpc_conn_open(struct rpc_server *s, int fd, const struct ucred *peer, enum permission may)
{
	struct rpc_conn *c = xnew(struct rpc_conn);
	int r;

	c->server = s;
	c->fd = fd;
	c->peer = *peer;
	c->permission = may;
	list_init(&c->bound);
	r = uv_poll_init(s->ev->loop, &c->poll, fd);
	if (r < 0) {
		close(fd);
		free(c);
		return r;
	}
	uv_timer_init(s->ev->loop, &c->turn);
	c->open_handles = 2;
	c->poll.data = c->turn.data = c;
	list_append(&s->conns, &c->link);
	s->open++;
	watch(c);
	return 0;
}
