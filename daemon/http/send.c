/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The response's way into the socket: a head and pieces of a body, each
 * written together with what stands before it. One piece is in flight; how much
 * goes out before other connections have their turn is bounded by conn->burst.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "http/conn.h"

/*
 * sendfile is offered what the socket took last time and so much more: enough
 * to learn that it is full, without looking for pages that it will not take.
 */
#define SEND_SPARE (256u * 1024)

void http_body_drop(struct http_body *body)
{
	switch (body->kind) {
	case HTTP_BODY_NONE:
		break;
	case HTTP_BODY_MEM:
		if (body->mem.release) {
			body->mem.release(body->mem.ud);
		}
		break;
	case HTTP_BODY_FILE:
		close(body->file.fd);
		break;
	case HTTP_BODY_SOURCE:
		body->source->conn = NULL;
		body->source->ops->stop(body->source);
		break;
	}
	*body = http_body_none();
}

static void file_ready(void *ud)
{
	struct http_exchange *x = ud;

	http_conn_kick(x->conn);
}

static void start_body(struct http_exchange *x)
{
	struct http_body *body = &x->body;

	switch (body->kind) {
	case HTTP_BODY_NONE:
		x->body_last = true;
		break;
	case HTTP_BODY_MEM:
		x->data = span_of(body->mem.p, (size_t)body->length);
		x->body_last = true;
		break;
	case HTTP_BODY_FILE:
		x->body_last = body->length == 0;
		x->send_window = SEND_SPARE;
		x->file = http_file_new(x->conn->server->ev, body->file.fd, body->file.offset,
					body->length, &body->file.st, file_ready, x);
		break;
	case HTTP_BODY_SOURCE:
		body->source->conn = x;
		break;
	}
}

void http_send_start(struct http_exchange *x, struct span head, struct http_body body,
		     bool head_only)
{
	if (x->pre.n) { /* 100 Continue is still on its way */
		head = arena_printf(&x->conn->arena, SPAN_FMT SPAN_FMT, SPAN_ARG(x->pre),
				    SPAN_ARG(head));
	}
	x->pre = head;
	x->body = body;
	x->body_open = true;
	x->body_left = body.length;
	x->out = HTTP_OUT_SEND;
	x->write_since = ev_now_ms(x->conn->server->ev);
	if (head_only) {
		x->body_last = true; /* given back at the end, like one that was sent */
	} else {
		start_body(x);
	}
}

void http_send_end(struct http_exchange *x)
{
	if (!x->body_open) {
		return;
	}
	x->body_open = false;
	x->data = SPAN_NONE;
	if (x->file) {
		http_file_free(take_ptr(x->file));
		x->body = http_body_none();
	}
	http_body_drop(&x->body);
}

/* --- sources --- */

void http_source_chunk(struct http_source *src, struct span bytes, bool last)
{
	struct http_exchange *x = src->conn;

	if (!x || !x->chunk_wanted) {
		return;
	}
	x->chunk_wanted = false;
	x->chunk_ready = true;
	x->chunk = bytes;
	x->chunk_last = last;
	http_conn_kick(x->conn);
}

void http_source_fail(struct http_source *src, int code)
{
	struct http_exchange *x = src->conn;

	(void)code;
	if (x) {
		x->chunk_wanted = false;
		x->source_failed = true;
		http_conn_kick(x->conn);
	}
}

static void frame_chunk(struct http_exchange *x)
{
	static const struct span end = SPAN("0\r\n\r\n"), line_end = SPAN("\r\n"),
				 both = SPAN("\r\n0\r\n\r\n");

	if (x->data.n) {
		int n = snprintf(x->mid_text, sizeof(x->mid_text), "%zx\r\n", x->data.n);

		x->mid = span_of(x->mid_text, (size_t)n);
		x->post = x->body_last ? both : line_end;
	} else if (x->body_last) {
		x->post = end;
	}
}

/* A source that gives more or less than it promised must not look complete. */
static enum http_send take_chunk(struct http_exchange *x)
{
	x->chunk_ready = false;
	x->data = x->chunk;
	x->body_last = x->chunk_last;
	if (x->body_left != HTTP_LENGTH_UNKNOWN) {
		if (x->data.n > x->body_left) {
			return HTTP_SEND_CUT;
		}
		x->body_left -= x->data.n;
		if (x->body_last && x->body_left) {
			return HTTP_SEND_CUT;
		}
		x->body_last = x->body_left == 0;
	}
	if (x->chunked) {
		frame_chunk(x);
	}
	return HTTP_SEND_MOVED;
}

static enum http_send pull_source(struct http_exchange *x)
{
	struct http_conn *c = x->conn;

	if (!x->chunk_ready && !x->chunk_wanted && !x->source_failed) {
		x->chunk_wanted = true;
		x->body.source->ops->pull(x->body.source);
		if (c->state == HTTP_CONN_CLOSED) {
			return HTTP_SEND_WAIT;
		}
	}
	if (x->source_failed) {
		return HTTP_SEND_CUT;
	}
	return x->chunk_ready ? take_chunk(x) : HTTP_SEND_WAIT;
}

/* --- writing --- */

/* Makes the next piece of the body stand in mid, data and post. */
static enum http_send next_piece(struct http_exchange *x)
{
	int r;

	switch (x->body.kind) {
	case HTTP_BODY_FILE:
		r = http_file_next(x->file, &x->data);
		return r == 0 ? HTTP_SEND_MOVED : r == -EAGAIN ? HTTP_SEND_WAIT : HTTP_SEND_CUT;
	case HTTP_BODY_SOURCE:
		return pull_source(x);
	case HTTP_BODY_NONE:
	case HTTP_BODY_MEM:
		break;
	}
	return HTTP_SEND_MOVED;
}

static size_t consume(struct span *s, size_t n)
{
	size_t taken = n < s->n ? n : s->n;

	if (taken) { /* nothing, not even 0, may be added to the NULL of an empty one */
		s->p += taken;
		s->n -= taken;
	}
	return taken;
}

static void count_progress(struct http_exchange *x, size_t all, size_t body)
{
	struct http_conn *c = x->conn;

	x->write_since = ev_now_ms(c->server->ev);
	c->burst -= all < c->burst ? all : c->burst;
	x->body_sent += body;
	if (body && x->obs && x->obs->sent) {
		x->obs->sent(x->obs_ud, body);
	}
}

static enum http_send failed_write(struct http_conn *c, ssize_t error)
{
	if (error == -EAGAIN) {
		c->can_write = false;
		return HTTP_SEND_WAIT;
	}
	return HTTP_SEND_CUT;
}

static enum http_send write_pieces(struct http_exchange *x)
{
	struct http_conn *c = x->conn;
	const struct span *parts[] = {&x->pre, &x->mid, &x->data, &x->post};
	struct iovec iov[ARRAY_SIZE(parts)];
	bool from_file = x->file && x->data.n;
	size_t all = 0;
	int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (parts[i]->n) {
			iov[n].iov_base = (char *)(uintptr_t)parts[i]->p;
			iov[n++].iov_len = parts[i]->n;
			all += parts[i]->n;
		}
	}
	ssize_t r = c->io->ops->writev(c->io, iov, n);
	size_t rest = r < 0 ? 0 : (size_t)r, body;

	rest -= consume(&x->pre, rest);
	rest -= consume(&x->mid, rest);
	body = consume(&x->data, rest);
	consume(&x->post, rest - body);
	if (from_file) { /* what was not taken is read again */
		http_file_advance(x->file, body);
		x->data = SPAN_NONE;
		x->body_last = http_file_left(x->file) == 0;
	}
	if (r < 0) {
		return failed_write(c, r);
	}
	if ((size_t)r < all) {
		c->can_write = false;
	}
	count_progress(x, (size_t)r, body);
	return HTTP_SEND_MOVED;
}

/* MOVED, CUT, or WAIT without having tried: then the ordinary way is taken. */
static enum http_send try_sendfile(struct http_exchange *x, bool *tried)
{
	struct http_conn *c = x->conn;
	size_t n;

	*tried = false;
	if (!x->file || !c->io->ops->sendfile || x->pre.n || x->data.n) {
		return HTTP_SEND_WAIT;
	}
	n = http_file_sendable(x->file, c->burst < x->send_window ? c->burst : x->send_window);
	if (n == 0) {
		return HTTP_SEND_WAIT;
	}
	ssize_t r =
		c->io->ops->sendfile(c->io, http_file_fd(x->file), http_file_offset(x->file), n);

	if (r == -EINVAL || r == -ENOSYS) {
		return HTTP_SEND_WAIT; /* not for this file system */
	}
	*tried = true;
	if (r <= 0) {
		return r == 0 ? HTTP_SEND_CUT : failed_write(c, r);
	}
	http_file_advance(x->file, (size_t)r);
	x->send_window = (size_t)r + SEND_SPARE;
	if ((size_t)r < n) {
		c->can_write = false;
	}
	count_progress(x, (size_t)r, (size_t)r);
	return HTTP_SEND_MOVED;
}

enum http_send http_send_step(struct http_exchange *x)
{
	struct http_conn *c = x->conn;
	enum http_send r = HTTP_SEND_MOVED;
	bool tried;

	if (!c->can_write && x->source_failed) {
		return HTTP_SEND_CUT; /* nobody waits for who does not read, to tell him so */
	}
	if (!c->can_write || c->burst == 0) {
		return HTTP_SEND_WAIT;
	}
	r = try_sendfile(x, &tried);
	if (tried) {
		return r;
	}
	if (x->out == HTTP_OUT_SEND && !x->body_last && !x->data.n && !x->post.n) {
		r = next_piece(x);
		if (r == HTTP_SEND_CUT || c->state == HTTP_CONN_CLOSED) {
			return r;
		}
	}
	if (x->pre.n || x->mid.n || x->data.n || x->post.n) {
		return write_pieces(x);
	}
	return x->out == HTTP_OUT_SEND && x->body_last           ? HTTP_SEND_DONE
	       : r == HTTP_SEND_MOVED && x->out == HTTP_OUT_SEND ? HTTP_SEND_MOVED
								 : HTTP_SEND_WAIT;
}
