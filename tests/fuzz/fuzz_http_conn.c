/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A whole visit over an io in memory, twice: all bytes at once, and in pieces
 * whose sizes the first byte gives. Both must be answered alike, every request
 * ends in done or abort, and nothing is left over.
 */
#include <stdlib.h>

#include "ev/bufpool.h"
#include "tests/lib/http_mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct visit {
	struct http_server *server;
	struct http_req *upload;
	struct buf body;
	unsigned requests, over;
	bool closed, pauses;
};

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

static void on_over(void *ud)
{
	struct visit *v = ud;

	v->over++;
	v->upload = NULL;
}

static const struct http_observer observer = {.done = on_over, .abort = on_over};

static int take_data(void *ud, struct span bytes)
{
	struct visit *v = ud;

	check(v->upload != NULL);
	buf_add_span(&v->body, bytes);
	if (v->pauses) {
		http_req_resume(v->upload); /* from within: as good as not pausing */
		return HTTP_SINK_PAUSE;
	}
	return 0;
}

static void take_end(void *ud)
{
	struct visit *v = ud;
	struct http_resp resp;

	check(v->upload != NULL);
	http_resp_init(&resp, v->upload, 200);
	http_respond(v->upload, &resp, http_body_copy(v->upload, buf_span(&v->body)));
}

static const struct http_sink_ops sink = {take_data, take_end};

static int open_repr(void *ud, uint64_t offset, uint64_t length, struct http_body *ret)
{
	static const char text[] = "0123456789";

	(void)ud;
	check(length <= 10 && offset <= 10 - length);
	*ret = (struct http_body){.kind = HTTP_BODY_MEM,
				  .length = length,
				  .mem = {.p = text + offset}};
	return 0;
}

static void on_request(void *ud, struct http_req *req)
{
	static const struct http_repr repr = {.length = 10, .etag = "\"t\"", .open = open_repr};
	struct visit *v = ud;

	v->requests++;
	check(req->path.n > 0 && req->path.p[0] == '/' && req->path.p[req->path.n] == '\0');
	check(!memchr(req->path.p, '\0', req->path.n));
	http_req_cross_site(req);
	http_req_observe(req, &observer, v);
	if (req->method == HTTP_METHOD_POST) {
		buf_clear(&v->body);
		v->upload = req;
		http_req_read(req, &sink, v);
	} else if (req->path.n == 1) {
		http_respond_repr(req, &repr);
	} else {
		http_respond_error(req, 404);
	}
}

static void on_closed(void *ud)
{
	((struct visit *)ud)->closed = true;
}

static void visit(struct span bytes, size_t step, bool pauses, struct buf *ret)
{
	const struct http_server_config config = {.limits = http_limits_default,
						  .csp = "",
						  .peer_uid = (uid_t)-1};
	const struct http_server_ops ops = {.request = on_request};
	struct visit v = {.pauses = pauses};
	struct mem_io io;
	struct ev ev;
	uv_loop_t loop;

	uv_loop_init(&loop);
	ev_init(&ev, &loop, 1u << 20);
	v.server = http_server_new(&ev, &config, &ops, &v);
	mem_open(&io, v.server);
	for (size_t at = 0; at < bytes.n; at += step) {
		mem_send(&io, &loop,
			 span_of(bytes.p + at, bytes.n - at < step ? bytes.n - at : step));
	}
	io.in_end = true;
	mem_run(&io, &loop);
	check(io.gone);
	check(v.over == v.requests);
	http_server_close(v.server, on_closed, &v);
	while (!v.closed) {
		uv_run(&loop, UV_RUN_ONCE);
	}
	*ret = io.out;
	buf_done(&io.in);
	buf_done(&v.body);
	ev_done(&ev);
	check(uv_loop_close(&loop) == 0);
}

/* Whether it is said depends on when the body comes, rightly. */
static void drop_interim(struct buf *b)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const size_t n = sizeof(text) - 1;
	char *p;

	while (b->len && (p = memmem(b->p, b->len, text, n))) {
		memmove(p, p + n, b->len - n - (size_t)(p - b->p));
		b->len -= n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf whole, pieces;

	if (n < 1) {
		return 0;
	}
	struct span bytes = span_of((const char *)data + 1, n - 1);

	visit(bytes, bytes.n ? bytes.n : 1, false, &whole);
	visit(bytes, 1u + data[0] % 64, true, &pieces);
	drop_interim(&whole);
	drop_interim(&pieces);
	check(whole.len == 0 || span_starts(buf_span(&whole), SPAN("HTTP/1.1 ")));
	check(span_eq(buf_span(&whole), buf_span(&pieces)));
	buf_done(&whole);
	buf_done(&pieces);
	return 0;
}
