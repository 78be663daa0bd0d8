/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One request from its head to the end of its response: what is judged before
 * a handler sees it, and the way of its body to the sink.
 */
#include <errno.h>
#include <string.h>

#include "http/conn.h"
#include "http/path.h"

static struct http_exchange *exchange_of(struct http_req *req)
{
	return container_of(req, struct http_exchange, req);
}

/* --- beginning --- */

static struct http_exchange *exchange_new(struct http_conn *c)
{
	/* The last request's memory, still warm, if nobody else has it. */
	c->arena = c->server->spare;
	c->server->spare = ARENA_INIT;

	struct http_exchange *x = arena_zalloc(&c->arena, sizeof(*x));

	x->conn = c;
	x->req.arena = &c->arena;
	x->req.conn = c;
	c->x = x;
	return x;
}

static void fill_req(struct http_exchange *x)
{
	struct http_req *req = &x->req;
	const struct http_head *h = &x->head;

	req->method = h->method;
	req->target = h->target;
	req->query = h->query;
	req->fields = h->fields;
	req->n_fields = h->n_fields;
	req->http10 = h->http10;
	req->content_length = h->chunked ? HTTP_LENGTH_UNKNOWN : h->content_length;
	req->has_body = req->content_length > 0;
	if (h->target.n && h->target.p[0] != '/' && h->path.n && h->path.p[0] == '/') {
		req->target = h->query.p ? arena_printf(&x->conn->arena, SPAN_FMT "?" SPAN_FMT,
							SPAN_ARG(h->path), SPAN_ARG(h->query))
					 : h->path;
	}
}

/* What is wrong with a sound request before a handler sees it, or 0. */
static int judge(struct http_exchange *x)
{
	struct http_conn *c = x->conn;
	struct span raw = x->head.path;
	char *path;
	int n;

	if (!http_server_is_host(c->server, x->head.authority)) {
		return 421;
	}
	if (c->server->draining) {
		return 503;
	}
	if (span_eq(raw, SPAN("*"))) {
		return 0;
	}
	path = arena_alloc(&c->arena, raw.n + 1);
	n = http_path_decode(raw, path);
	if (n < 0) {
		return 404;
	}
	x->req.path = span_of(path, (size_t)n);
	return 0;
}

static void respond_server_options(struct http_req *req)
{
	struct http_resp resp;

	http_resp_init(&resp, req, 204);
	http_resp_field(&resp, "Allow", "GET, HEAD, POST, OPTIONS");
	http_respond(req, &resp, http_body_none());
}

static void refuse(struct http_exchange *x, int status)
{
	x->close = true;
	x->in = HTTP_IN_FAILED;
	http_respond_error(&x->req, status);
}

static void hand_over(struct http_exchange *x)
{
	struct http_server *s = x->conn->server;
	int status = judge(x);

	if (status == 503) {
		x->close = true;
	}
	if (status) {
		http_respond_error(&x->req, status);
	} else if (x->req.path.n == 0) {
		respond_server_options(&x->req);
	} else {
		x->handled = true;
		s->n_busy++;
		s->ops.request(s->ud, &x->req);
	}
}

void http_exchange_begin(struct http_conn *c, struct span text, unsigned n_fields, int status)
{
	struct http_exchange *x = exchange_new(c);
	struct http_field *fields;
	int r;

	if (!text.p) {
		refuse(x, status);
		return;
	}
	text = arena_dup(&c->arena, text);
	fields = arena_alloc(&c->arena, n_fields * sizeof(*fields));
	r = http_head_parse(text, fields, &x->head);
	fill_req(x);
	if (r == 0) {
		r = http_parser_head(&x->parser, text, &x->head);
	}
	if (r < 0) {
		refuse(x, -r);
		return;
	}
	x->in = x->req.has_body ? HTTP_IN_WAIT : HTTP_IN_DONE;
	x->continue_due = x->req.has_body && x->head.expect_continue;
	hand_over(x);
}

/* --- the request's body --- */

void http_exchange_restart_clock(struct http_exchange *x)
{
	x->body_since = x->rate_since = ev_now_ms(x->conn->server->ev);
	x->rate_bytes = 0;
}

bool http_exchange_too_slow(struct http_exchange *x, uint64_t now)
{
	const struct http_limits *l = &x->conn->server->limits;

	if (now - x->body_since >= http_server_body_ms(x->conn->server)) {
		return true;
	}
	if (now - x->rate_since < l->min_rate_ms) {
		return false;
	}
	if (!x->rate_grace && x->rate_bytes * 1000 < (uint64_t)l->min_rate * l->min_rate_ms) {
		return true;
	}
	x->rate_grace = false;
	x->rate_since = now;
	x->rate_bytes = 0;
	return false;
}

void http_req_read(struct http_req *req, const struct http_sink_ops *ops, void *ud)
{
	struct http_exchange *x = exchange_of(req);
	struct http_conn *c = x->conn;

	if (x->sink || x->out != HTTP_OUT_WAIT || c->state == HTTP_CONN_CLOSED) {
		return;
	}
	x->sink = ops;
	x->sink_ud = ud;
	if (x->in == HTTP_IN_DONE) {
		x->end_due = true;
	} else if (x->in == HTTP_IN_WAIT) {
		x->in = HTTP_IN_FLOW;
		x->rate_grace = true;
		http_exchange_restart_clock(x);
		if (x->continue_due && c->in.len == c->in_at) {
			x->pre = SPAN("HTTP/1.1 100 Continue\r\n\r\n");
			x->write_since = ev_now_ms(c->server->ev);
		}
		x->continue_due = false;
	}
	http_conn_kick(c);
}

void http_req_secret(struct http_req *req)
{
	struct http_conn *c = exchange_of(req)->conn;

	c->secret = true;
	/* The first bytes of the body may have come with the head. */
	explicit_bzero(c->server->ev->scratch, c->server->ev->scratch_size);
}

void http_req_resume(struct http_req *req)
{
	struct http_exchange *x = exchange_of(req);

	if (x->in_sink) {
		x->resumed = true;
	} else if (x->in == HTTP_IN_PAUSED) {
		x->in = HTTP_IN_FLOW;
		http_exchange_restart_clock(x);
		http_conn_kick(x->conn);
	}
}

static void give_to_sink(struct http_exchange *x, struct span bytes)
{
	int r;

	x->in_sink = true;
	x->resumed = false;
	r = x->sink->data(x->sink_ud, bytes);
	x->in_sink = false;
	if (x->conn->state == HTTP_CONN_CLOSED || x->in != HTTP_IN_FLOW) {
		return;
	}
	if (r < 0) {
		x->in = HTTP_IN_DISCARD;
	} else if (r == HTTP_SINK_PAUSE && !x->resumed) {
		x->in = HTTP_IN_PAUSED;
	}
}

/* One piece of the body, from the front of bytes; how many, or -400. */
static ssize_t body_piece(struct http_exchange *x, struct span bytes)
{
	struct http_conn *c = x->conn;
	struct span content;
	ssize_t n = http_parser_body(&x->parser, bytes, &content);

	if (n < 0) {
		return n;
	}
	x->rate_bytes += content.n;
	if (content.n && x->in == HTTP_IN_FLOW) {
		give_to_sink(x, content);
	} else if (x->in == HTTP_IN_DISCARD) {
		x->discarded += (uint64_t)n;
	}
	if (c->state == HTTP_CONN_CLOSED) {
		return n;
	}
	if (x->discarded > c->server->limits.linger_bytes) {
		x->close = true;
		x->in = HTTP_IN_FAILED;
	}
	if (x->parser.complete) {
		x->end_due = x->sink && (x->in == HTTP_IN_FLOW || x->in == HTTP_IN_PAUSED);
		x->in = HTTP_IN_DONE;
	}
	return n;
}

static bool wants_bytes(const struct http_exchange *x)
{
	return x->conn->state == HTTP_CONN_OPEN &&
	       (x->in == HTTP_IN_FLOW || x->in == HTTP_IN_DISCARD);
}

/* Uses what it can of bytes: how much. */
static size_t feed(struct http_exchange *x, struct span bytes)
{
	size_t used = 0;

	while (used < bytes.n && wants_bytes(x)) {
		ssize_t n = body_piece(x, span_from(bytes, used));

		if (n < 0) {
			http_exchange_fail(x, 400);
			return bytes.n;
		}
		used += (size_t)n;
	}
	return used;
}

static bool feed_stored(struct http_exchange *x)
{
	struct http_conn *c = x->conn;
	size_t n = c->in.len - c->in_at;

	if (n == 0) {
		return false;
	}
	/* The buffer must not move while the sink looks into it: nobody adds to it meanwhile. */
	n = feed(x, span_of(c->in.p + c->in_at, n));
	c->in_at += n;
	return n > 0;
}

static bool feed_from_socket(struct http_exchange *x)
{
	struct http_conn *c = x->conn;
	struct ev *ev = c->server->ev;
	ssize_t n = c->io->ops->read(c->io, ev->scratch, ev->scratch_size);

	if (n < (ssize_t)ev->scratch_size) {
		c->can_read = false; /* that was all for now */
	}
	if (n == -EAGAIN) {
		return false;
	}
	if (n <= 0) {
		/* The visitor went away in the middle of what he promised to send. */
		c->eof = true;
		if (n < 0 || x->out == HTTP_OUT_WAIT) {
			http_conn_close(c, false);
		} else {
			x->in = HTTP_IN_FAILED;
			x->close = true;
		}
		return true;
	}
	x->body_since = ev_now_ms(ev);
	size_t used = feed(x, span_of(ev->scratch, (size_t)n));

	if (c->state == HTTP_CONN_OPEN && used < (size_t)n) {
		buf_add(&c->in, ev->scratch + used, (size_t)n - used);
	}
	if (c->secret) {
		explicit_bzero(ev->scratch, (size_t)n);
	}
	return true;
}

bool http_exchange_input(struct http_exchange *x)
{
	if (x->end_due) {
		x->end_due = false;
		x->sink->end(x->sink_ud);
		return true;
	}
	if (!wants_bytes(x)) {
		return false;
	}
	return feed_stored(x) || (x->conn->can_read && wants_bytes(x) && feed_from_socket(x));
}

/* --- the end --- */

bool http_req_is_last(const struct http_req *req)
{
	return http_server_is_ending(req->conn->server);
}

void http_req_observe(struct http_req *req, const struct http_observer *obs, void *ud)
{
	struct http_exchange *x = exchange_of(req);

	x->obs = obs;
	x->obs_ud = ud;
}

static void leave_handler(struct http_exchange *x)
{
	if (x->handled) {
		x->handled = false;
		x->conn->server->n_busy--;
	}
}

void http_exchange_done(struct http_exchange *x)
{
	const struct http_observer *obs = take_ptr(x->obs);

	x->out = HTTP_OUT_DONE;
	x->sink = NULL;
	x->end_due = false;
	http_send_end(x);
	leave_handler(x);
	if (x->in == HTTP_IN_FLOW || x->in == HTTP_IN_PAUSED || x->in == HTTP_IN_WAIT) {
		x->in = HTTP_IN_DISCARD;
	}
	if (obs && obs->done) {
		obs->done(x->obs_ud);
	}
}

void http_exchange_abort(struct http_exchange *x)
{
	const struct http_observer *obs = take_ptr(x->obs);
	struct http_io *io = x->conn->io;

	x->sink = NULL;
	x->end_due = false;
	if (obs && obs->unsent && x->body_sent) {
		uint64_t n = io->ops->unsent(io);

		n = n < x->body_sent ? n : x->body_sent;
		if (n) {
			obs->unsent(x->obs_ud, n);
		}
	}
	http_send_end(x);
	leave_handler(x);
	if (obs && obs->abort) {
		obs->abort(x->obs_ud);
	}
}

void http_exchange_fail(struct http_exchange *x, int status)
{
	struct http_conn *c = x->conn;

	x->close = true;
	x->in = HTTP_IN_FAILED;
	if (x->out != HTTP_OUT_WAIT) {
		return; /* the answer is on its way already; the connection ends behind it */
	}
	http_exchange_abort(x);
	if (c->state == HTTP_CONN_OPEN) {
		http_respond_error(&x->req, status);
	}
}
