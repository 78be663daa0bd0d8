/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/client/client.h"

#include <assert.h>
#include <errno.h>
#include <llhttp.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "proto/base/buf.h"

struct http_client {
	struct ev *ev;
	struct http_io *io; /* NULL: there never was one */
	bool tls, head;
	uv_timer_t timer; /* the deadline; 0 ms: tells of a failure at once */
	struct buf out;
	size_t sent;
	llhttp_t parser;
	size_t taken; /* bytes of the answer */
	int status;   /* of the message that is being read; 0: not known yet */
	struct {
		char name[8]; /* of the field that is being read, as much of it as matters */
		size_t n;
		bool in_value;
	} field;
	char etag[HTTP_CLIENT_ETAG_MAX + 1];
	size_t etag_n; /* of all that was there, also above that */
	bool complete;
	bool ending;
	const char *problem;
	char *own_problem;
	unsigned open_handles;
	http_client_fn *cb; /* NULL: cancelled */
	void (*closed)(void *ud);
	void *ud;
};

/* --- the end --- */

/* The entity-tag (RFC 9110, section 8.8.3), if it can be shown and is not weak; else "". */
static const char *strong_etag(struct http_client *c)
{
	struct span tag = span_of(c->etag, c->etag_n < sizeof(c->etag) ? c->etag_n : 0);

	tag = span_trim(tag); /* llhttp leaves blanks at the end */
	if (tag.n < 2 || tag.p[0] != '"' || tag.p[tag.n - 1] != '"') {
		return "";
	}
	for (size_t i = 1; i < tag.n - 1; i++) {
		if (tag.p[i] <= ' ' || tag.p[i] == '"' || tag.p[i] > '~') {
			return "";
		}
	}
	c->etag[tag.p - c->etag + (ptrdiff_t)tag.n] = '\0';
	return tag.p;
}

static void part_closed(struct http_client *c)
{
	if (--c->open_handles > 0) {
		return;
	}
	const char *why = c->own_problem ? c->own_problem : c->problem;
	const struct http_answer answer = {
		.status = c->status,
		.problem = c->status ? NULL : why,
		.etag = strong_etag(c),
	};

	buf_done(&c->out);
	if (c->cb) {
		c->cb(c->ud, &answer);
	} else if (c->closed) {
		c->closed(c->ud);
	}
	free(c->own_problem);
	free(c);
}

static void on_timer_closed(uv_handle_t *handle)
{
	part_closed(handle->data);
}

static void on_io_closed(void *ud)
{
	part_closed(ud);
}

static void end(struct http_client *c, const char *problem)
{
	if (c->ending) {
		return;
	}
	const char *tls = c->tls && c->io ? http_io_tls_problem(c->io) : NULL;

	c->ending = true;
	c->problem = problem;
	c->own_problem = tls ? xstrdup(tls) : NULL;
	uv_close((uv_handle_t *)&c->timer, on_timer_closed);
	if (c->io) {
		c->io->ops->want(c->io, 0);
		/* Whoever still sends need not be listened to. */
		c->io->ops->close(c->io, !c->complete);
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct http_client *c = timer->data;

	end(c, c->problem ? c->problem : "the server took too long to answer");
}

/* --- the answer --- */

static int on_field(llhttp_t *parser, const char *p, size_t n)
{
	struct http_client *c = parser->data;
	size_t room;

	if (c->field.in_value) {
		c->field.in_value = false;
		c->field.n = 0;
	}
	room = sizeof(c->field.name) - c->field.n;
	memcpy(c->field.name + c->field.n, p, n < room ? n : room);
	c->field.n += n < room ? n : room;
	return 0;
}

/* Of the head, not of what may follow a body. Two would be one that nobody has, and so none. */
static int on_value(llhttp_t *parser, const char *p, size_t n)
{
	struct http_client *c = parser->data;

	c->field.in_value = true;
	if (!c->status && span_eq_ci(span_of(c->field.name, c->field.n), SPAN("etag"))) {
		if (n <= HTTP_CLIENT_ETAG_MAX && c->etag_n <= HTTP_CLIENT_ETAG_MAX - n) {
			memcpy(c->etag + c->etag_n, p, n);
			c->etag_n += n;
		} else {
			c->etag_n = sizeof(c->etag);
		}
	}
	return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
	struct http_client *c = parser->data;

	if (parser->http_major != 1 || parser->status_code < 100 || parser->status_code > 599) {
		return -1;
	}
	c->status = parser->status_code;
	return c->head ? 1 : 0; /* 1: no body follows, whatever its length would be */
}

/* 100 Continue and its like come before the answer; 101 would be the last that is HTTP. */
static int on_message_complete(llhttp_t *parser)
{
	struct http_client *c = parser->data;

	if (c->status / 100 == 1 && c->status != 101) {
		c->status = 0;
		c->etag_n = 0;
	} else {
		c->complete = true;
	}
	return c->complete ? HPE_PAUSED : 0;
}

static const llhttp_settings_t *settings(void)
{
	static llhttp_settings_t s;

	if (!s.on_message_complete) {
		llhttp_settings_init(&s);
		s.on_header_field = on_field;
		s.on_header_value = on_value;
		s.on_headers_complete = on_headers_complete;
		s.on_message_complete = on_message_complete;
	}
	return &s;
}

static void parse(struct http_client *c, const char *p, size_t n)
{
	llhttp_errno_t e = llhttp_execute(&c->parser, p, n);

	c->taken += n;
	if (c->complete || c->status == 101) {
		c->complete = true;
		end(c, NULL);
	} else if (e != HPE_OK) {
		/* A status that is known stands, whatever comes behind it. */
		end(c, "what the server answers is not HTTP");
	} else if (c->taken >= HTTP_CLIENT_ANSWER_MAX) {
		end(c, "the server's answer is too long");
	}
}

static void read_answer(struct http_client *c)
{
	while (!c->ending) {
		size_t room = HTTP_CLIENT_ANSWER_MAX - c->taken;
		size_t n = room < c->ev->scratch_size ? room : c->ev->scratch_size;
		ssize_t r = c->io->ops->read(c->io, c->ev->scratch, n);

		if (r == -EAGAIN) {
			return;
		}
		if (r == 0) {
			c->complete = c->status != 0;
			end(c, "the server ended the connection without an answer");
		} else if (r < 0) {
			end(c, "the connection to the server broke");
		} else {
			parse(c, c->ev->scratch, (size_t)r);
		}
	}
}

/* --- the request --- */

static void write_request(struct http_client *c)
{
	while (c->sent < c->out.len) {
		struct iovec iov = {.iov_base = c->out.p + c->sent,
				    .iov_len = c->out.len - c->sent};
		ssize_t r = c->io->ops->writev(c->io, &iov, 1);

		if (r == -EAGAIN) {
			return;
		}
		if (r < 0) {
			/* It may have answered before it hung up; reading will tell. */
			c->sent = c->out.len;
			break;
		}
		c->sent += (size_t)r;
	}
	c->io->ops->want(c->io, HTTP_IO_READ);
}

static void on_ready(void *ud, unsigned events)
{
	struct http_client *c = ud;

	if (c->ending) {
		return;
	}
	if (c->sent < c->out.len) {
		write_request(c);
	}
	if (events & (HTTP_IO_READ | HTTP_IO_GONE)) {
		read_answer(c);
	}
	if (events & HTTP_IO_GONE) {
		end(c, "the connection to the server broke");
	}
}

static void build_request(struct buf *b, const struct http_client_request *request)
{
	bool rooted = request->target.n > 0 && request->target.p[0] == '/';

	buf_printf(b, "%s %s" SPAN_FMT " HTTP/1.1\r\nHost: %s\r\n",
		   request->content_type ? "POST" : "HEAD", rooted ? "" : "/",
		   SPAN_ARG(request->target), request->authority);
	buf_add_str(b, "User-Agent: OnionShare\r\nAccept: */*\r\nConnection: close\r\n");
	if (request->content_type) {
		buf_printf(b, "Content-Type: %s\r\nContent-Length: %zu\r\n", request->content_type,
			   request->body.n);
	}
	if (request->header) {
		buf_printf(b, "%s: %s\r\n", request->header, request->header_value);
	}
	buf_add_str(b, "\r\n");
	buf_add_span(b, request->body);
}

static void open_io(struct http_client *c, int fd, const struct http_client_request *request)
{
	struct http_io *io;

	if (http_io_sock_new(c->ev, fd, &io) < 0) {
		c->problem = "the connection cannot be watched";
		return;
	}
	if (request->trust) {
		c->tls = true;
		io = http_io_tls_new(io, request->trust, request->host);
	}
	io->ready = on_ready;
	io->closed = on_io_closed;
	io->ud = c;
	c->io = io;
	c->open_handles++;
	io->ops->want(io, HTTP_IO_READ | HTTP_IO_WRITE);
}

struct http_client *http_client_send(struct ev *ev, int fd,
				     const struct http_client_request *request, http_client_fn *cb,
				     void *ud)
{
	struct http_client *c = xnew(struct http_client);
	int r = uv_timer_init(ev->loop, &c->timer);

	assert(r == 0); /* it has no way to fail */
	c->ev = ev;
	c->timer.data = c;
	c->open_handles = 1;
	c->cb = cb;
	c->ud = ud;
	c->head = !request->content_type;
	build_request(&c->out, request);
	llhttp_init(&c->parser, HTTP_RESPONSE, settings());
	c->parser.data = c;
	open_io(c, fd, request);
	r = uv_timer_start(&c->timer, on_timer, c->io ? request->timeout_ms : 0, 0);
	assert(r == 0);
	return c;
}

void http_client_cancel(struct http_client *c, void (*closed)(void *ud), void *ud)
{
	c->cb = NULL;
	c->closed = closed;
	c->ud = ud;
	end(c, NULL);
}
