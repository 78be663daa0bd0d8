/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A connection's life over an io in memory: what goes in, what comes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* after those */
#include <cmocka.h>

#include "tests/lib/http_mem.h"

#define H "Host: localhost\r\n"

/* --- a service with something to show for each behaviour --- */

struct site {
	uv_loop_t loop;
	struct ev ev;
	struct http_server *server;
	struct mem_io io;
	bool closed;
	/* what happened */
	unsigned requests, done, aborted, ended, stopped, released;
	uint64_t sent, taken;
	struct buf body;
	struct http_req *kept; /* answered later */
	int sink_answer;       /* of data */
	bool answer_at_end;
	struct http_source source;
	struct span chunk; /* what the source gives */
	unsigned chunks;   /* how many of them */
	bool fail_at_end;
	bool cross_site;
};

static void on_sent(void *ud, uint64_t n)
{
	((struct site *)ud)->sent += n;
}

static void on_done(void *ud)
{
	((struct site *)ud)->done++;
}

static void on_abort(void *ud)
{
	struct site *t = ud;

	t->aborted++;
	t->kept = NULL;
}

static const struct http_observer observer = {on_sent, NULL, on_done, on_abort};

static void respond_hello(struct http_req *req)
{
	struct http_resp resp;

	http_resp_init(&resp, req, 200);
	http_respond_text(req, &resp, "text/plain; charset=utf-8", SPAN("hello"));
}

static int take_data(void *ud, struct span bytes)
{
	struct site *t = ud;

	t->taken += bytes.n;
	if (t->body.len < 65536) {
		buf_add_span(&t->body, bytes);
	}
	return t->sink_answer;
}

static void take_end(void *ud)
{
	struct site *t = ud;

	t->ended++;
	if (t->kept && t->answer_at_end) {
		struct http_resp resp;
		struct http_req *req = take_ptr(t->kept);

		http_resp_init(&resp, req, 200);
		http_respond(req, &resp, http_body_copy(req, buf_span(&t->body)));
	}
}

static const struct http_sink_ops sink = {take_data, take_end};

static void source_pull(struct http_source *src)
{
	struct site *t = container_of(src, struct site, source);

	if (t->fail_at_end && t->chunks <= 1) {
		http_source_fail(src, -EIO);
		return;
	}
	t->chunks--;
	http_source_chunk(src, t->chunk, t->chunks == 0);
}

static void source_stop(struct http_source *src)
{
	container_of(src, struct site, source)->stopped++;
}

static const struct http_source_ops source_ops = {source_pull, source_stop};

static void respond_source(struct site *t, struct http_req *req, uint64_t length)
{
	struct http_resp resp;

	http_resp_init(&resp, req, 200);
	t->source.ops = &source_ops;
	http_respond(req, &resp, http_body_source(&t->source, length));
}

static void released(void *ud)
{
	((struct site *)ud)->released++;
}

#define BIG (8u * 1024 * 1024)

static char big[BIG];

static void respond_big(struct site *t, struct http_req *req)
{
	struct http_resp resp;

	http_resp_init(&resp, req, 200);
	http_respond(req, &resp,
		     (struct http_body){.kind = HTTP_BODY_MEM,
					.length = BIG,
					.mem = {.p = big, .release = released, .ud = t}});
}

static int open_repr(void *ud, uint64_t offset, uint64_t length, struct http_body *ret)
{
	static const char text[] = "0123456789";

	(void)ud;
	*ret = (struct http_body){.kind = HTTP_BODY_MEM,
				  .length = length,
				  .mem = {.p = text + offset}};
	return 0;
}

static int open_nothing(void *ud, uint64_t offset, uint64_t length, struct http_body *ret)
{
	(void)ud;
	(void)offset;
	(void)length;
	(void)ret;
	return -ENOENT;
}

static void respond_repr(struct http_req *req, bool there)
{
	struct http_repr repr = {
		.length = 10,
		.etag = "\"tag\"",
		.content_type = "text/plain; charset=utf-8",
		.vary = "Accept-Encoding",
		.open = there ? open_repr : open_nothing,
	};

	http_respond_repr(req, &repr);
}

static void respond_bad_field(struct http_req *req)
{
	struct http_resp resp;

	http_resp_init(&resp, req, 200);
	http_resp_field(&resp, "X-Bad", "a%sb", "\r\nX-Split: 1");
	http_respond(req, &resp, http_body_none());
}

static void on_request(void *ud, struct http_req *req)
{
	struct site *t = ud;

	t->requests++;
	t->cross_site = http_req_cross_site(req);
	http_req_observe(req, &observer, t);
	if (span_eq(req->path, SPAN("/page"))) {
		respond_hello(req);
	} else if (span_eq(req->path, SPAN("/big"))) {
		respond_big(t, req);
	} else if (span_eq(req->path, SPAN("/repr"))) {
		respond_repr(req, true);
	} else if (span_eq(req->path, SPAN("/lost"))) {
		respond_repr(req, false);
	} else if (span_eq(req->path, SPAN("/chunked"))) {
		respond_source(t, req, HTTP_LENGTH_UNKNOWN);
	} else if (span_eq(req->path, SPAN("/ten"))) {
		respond_source(t, req, 10);
	} else if (span_eq(req->path, SPAN("/later"))) {
		t->kept = req;
	} else if (span_eq(req->path, SPAN("/echo"))) {
		t->kept = req;
		t->answer_at_end = true;
		buf_clear(&t->body);
		http_req_read(req, &sink, t);
	} else if (span_eq(req->path, SPAN("/no"))) {
		http_respond_error(req, 403);
	} else if (span_eq(req->path, SPAN("/only-get"))) {
		http_respond_method(req, "GET, HEAD");
	} else if (span_eq(req->path, SPAN("/bad-field"))) {
		respond_bad_field(req);
	} else if (span_eq(req->path, SPAN("/field"))) {
		struct http_resp resp;
		struct span v = http_req_field(req, SPAN("x-field"));

		http_resp_init(&resp, req, 200);
		http_respond(req, &resp,
			     http_body_copy(req, arena_printf(req->arena, "%u " SPAN_FMT,
							      http_req_count(req, SPAN("X-FIELD")),
							      SPAN_ARG(v))));
	} else if (span_eq(req->path, SPAN("/target"))) {
		struct http_resp resp;

		http_resp_init(&resp, req, 200);
		http_respond(req, &resp, http_body_copy(req, req->target));
	} else {
		http_respond_error(req, 404);
	}
}

static const struct http_server_ops ops = {.request = on_request};

static void site_open(struct site *t, const struct http_server_config *config)
{
	*t = (struct site){.chunks = 1};
	uv_loop_init(&t->loop);
	ev_init(&t->ev, &t->loop, 1u << 20);
	t->server = http_server_new(&t->ev, config, &ops, t);
	mem_open(&t->io, t->server);
}

static struct http_server_config default_config(void)
{
	return (struct http_server_config){.limits = http_limits_default,
					   .csp = "",
					   .peer_uid = (uid_t)-1};
}

static void on_server_closed(void *ud)
{
	((struct site *)ud)->closed = true;
}

/* Another visitor on the same site. */
static void site_again(struct site *t)
{
	if (!t->io.gone) {
		t->io.in_end = true;
		http_conn_close(t->io.io.ud, false);
		mem_run(&t->io, &t->loop);
	}
	mem_done(&t->io);
	mem_open(&t->io, t->server);
}

static void site_close(struct site *t)
{
	http_server_close(t->server, on_server_closed, t);
	mem_run(&t->io, &t->loop);
	while (!t->closed) {
		uv_run(&t->loop, UV_RUN_ONCE);
	}
	mem_done(&t->io);
	buf_done(&t->body);
	ev_done(&t->ev);
	assert_int_equal(uv_loop_close(&t->loop), 0);
}

static int setup(void **state)
{
	struct site *t = malloc(sizeof(*t));
	struct http_server_config config = default_config();

	site_open(t, &config);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct site *t = *state;

	site_close(t);
	free(t);
	return 0;
}

/* --- looking at what came out --- */

static int status_at(const struct buf *out, size_t at)
{
	if (out->len < at + 12 || memcmp(out->p + at, "HTTP/1.1 ", 9) != 0) {
		return 0;
	}
	return atoi(out->p + at + 9);
}

static struct span find(struct span s, struct span what)
{
	const char *p = s.n ? memmem(s.p, s.n, what.p, what.n) : NULL;

	return p ? span_of(p, s.n - (size_t)(p - s.p)) : SPAN_NONE;
}

static bool has(const struct site *t, const char *text)
{
	return find(buf_span(&t->io.out), span_str(text)).p != NULL;
}

static unsigned count(const struct buf *b, const char *text)
{
	unsigned n = 0;

	for (struct span s = buf_span(b); (s = find(s, span_str(text))).p; s = span_from(s, 1)) {
		n++;
	}
	return n;
}

static struct span body_of(const struct site *t)
{
	struct span s = find(buf_span(&t->io.out), SPAN("\r\n\r\n"));

	return s.p ? span_from(s, 4) : SPAN_NONE;
}

/* Sends from a fresh visitor and returns the first status. */
static int ask(struct site *t, struct span bytes)
{
	site_again(t);
	mem_send(&t->io, &t->loop, bytes);
	return status_at(&t->io.out, 0);
}

#define ASK(t, text) ask(t, SPAN(text))

static bool is_ended(const struct site *t)
{
	return t->io.closing || t->io.shut;
}

/* --- heads --- */

struct raw_case {
	int status;
	struct span text;
};

#define G "GET /page HTTP/1.1\r\n"
#define P "POST /echo HTTP/1.1\r\n" H

static const struct raw_case refused[] = {
	{400, SPAN("GET /page HTTP/1.1\n" H "\n")},
	{400, SPAN(G "\r\n")},
	{400, SPAN(G H H "\r\n")},
	{400, SPAN(G "Host : localhost\r\n\r\n")},
	{400, SPAN(G "Host:\r\n\r\n")},
	{400, SPAN(G "Host: localhost\r\n Content-Length: 5\r\n\r\n")},
	{400, SPAN(G H "X-Abc:\rxTransfer-Encoding: chunked\r\n\r\n")},
	{400, SPAN(G H "X: \0\r\n\r\n")},
	{400, SPAN("GET  /page HTTP/1.1\r\n" H "\r\n")},
	{400, SPAN("GET /page#x HTTP/1.1\r\n" H "\r\n")},
	{400, SPAN("GET /p\xc3\xa4 HTTP/1.1\r\n" H "\r\n")},
	{400, SPAN("GET /page\r\n")},
	{400, SPAN("\x16\x03\x01\x02\x00\x01")},
	{400, SPAN("DESCRIBE rtsp://localhost/ RTSP/1.0\r\n\r\n")},
	{505, SPAN("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
	{505, SPAN("GET /page HTTP/1.2\r\n" H "\r\n")},
	{501, SPAN("CONNECT localhost:80 HTTP/1.1\r\n" H "\r\n")},
	{501, SPAN("TRACE /page HTTP/1.1\r\n" H "\r\n")},
	{501, SPAN("BREW /page HTTP/1.1\r\n" H "\r\n")},
	{400, SPAN(P "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
	{400, SPAN(P "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello")},
	{400, SPAN(P "Content-Length: -1\r\n\r\n")},
	{400, SPAN(P "Content-Length: 1, 1\r\n\r\na")},
	{400, SPAN(P "Transfer-Encoding: xchunked\r\n\r\n")},
	{501, SPAN(P "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")},
	{400, SPAN("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
	{415, SPAN(P "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\na")},
	{417, SPAN(P "Expect: wonders\r\nContent-Length: 1\r\n\r\na")},
	{400, SPAN(P "Transfer-Encoding: chunked\r\n\r\n2\r\nabXX0\r\n\r\n")},
	{400, SPAN(P "Transfer-Encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n")},
	{400, SPAN(P "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n")},
	{400, SPAN(P "Transfer-Encoding: chunked\r\n\r\n0\r\nX : y\r\n\r\n")},
};

/* A smuggled second request behind each of them is never answered. */
static void a_bad_request_is_answered_once_and_ends_the_connection(void **state)
{
	struct site *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		int status = ask(t, refused[i].text);

		mem_send(&t->io, &t->loop, SPAN("GET /page HTTP/1.1\r\n" H "\r\n"));
		if (status != refused[i].status || !is_ended(t) ||
		    count(&t->io.out, "HTTP/1.1 ") != 1 || !has(t, "\r\nConnection: close\r\n") ||
		    !has(t, "\r\nServer: OnionShare\r\n") ||
		    !has(t, "\r\nContent-Security-Policy: default-src 'self'; ")) {
			fail_msg("case %zu: %d instead of %d, %u answers", i, status,
				 refused[i].status, count(&t->io.out, "HTTP/1.1 "));
		}
	}
	assert_int_equal(t->done + t->aborted, t->requests);
}

static void every_response_has_exactly_the_agreed_fields(void **state)
{
	struct site *t = *state;
	static const char expected[] =
		"HTTP/1.1 404 Not Found\r\n"
		"Content-Security-Policy: default-src 'self'; frame-ancestors 'none'; "
		"form-action 'self'; base-uri 'self'; img-src 'self' data:;\r\n"
		"X-Frame-Options: DENY\r\n"
		"X-Content-Type-Options: nosniff\r\n"
		"Referrer-Policy: no-referrer\r\n"
		"X-Xss-Protection: 1; mode=block\r\n"
		"Server: OnionShare\r\n"
		"Content-Type: text/html; charset=utf-8\r\n"
		"Cache-Control: no-store\r\n"
		"Content-Length: ";

	assert_int_equal(ASK(t, "GET /missing HTTP/1.1\r\n" H "\r\n"), 404);
	assert_true(span_starts(buf_span(&t->io.out), span_str(expected)));
	assert_true(has(t, "<title>OnionShare: 404 Not Found</title>"));
	assert_false(is_ended(t));
}

static void tricky_paths_look_like_missing_ones(void **state)
{
	struct site *t = *state;
	struct buf missing = BUF_INIT;
	static const struct span tricky[] = {
		SPAN("GET /%2e%2e/page HTTP/1.1\r\n" H "\r\n"),
		SPAN("GET /..%2fpage HTTP/1.1\r\n" H "\r\n"),
		SPAN("GET /%00 HTTP/1.1\r\n" H "\r\n"),
		SPAN("GET //page HTTP/1.1\r\n" H "\r\n"),
		SPAN("GET /a%zz HTTP/1.1\r\n" H "\r\n"),
		SPAN("GET http://localhost/./page HTTP/1.1\r\n" H "\r\n"),
	};

	ASK(t, "GET /missing HTTP/1.1\r\n" H "\r\n");
	buf_add_span(&missing, buf_span(&t->io.out));
	for (size_t i = 0; i < ARRAY_SIZE(tricky); i++) {
		ask(t, tricky[i]);
		assert_true(span_eq(buf_span(&t->io.out), buf_span(&missing)));
	}
	buf_done(&missing);
}

static void only_own_hosts_are_answered(void **state)
{
	struct site *t = *state;

	assert_int_equal(ASK(t, G "Host: 127.0.0.1:1234\r\n\r\n"), 200);
	assert_int_equal(ASK(t, G "Host: [::1]:1234\r\n\r\n"), 200);
	assert_int_equal(ASK(t, G "Host: LocalHost\r\n\r\n"), 200);
	assert_int_equal(ASK(t, "GET /page HTTP/1.0\r\n\r\n"), 200);
	assert_int_equal(ASK(t, G "Host: evil.example\r\n\r\n"), 421);
	assert_int_equal(ASK(t, G "Host: localhost.evil.example\r\n\r\n"), 421);
	assert_int_equal(ASK(t, "GET http://evil/page HTTP/1.1\r\n" H "\r\n"), 421);
	assert_int_equal(ASK(t, "GET http://localhost/page HTTP/1.1\r\nHost: evil\r\n\r\n"), 200);

	http_server_set_host(t->server, "abc.onion");
	assert_int_equal(ASK(t, G "Host: abc.onion\r\n\r\n"), 200);
	assert_int_equal(ASK(t, G "Host: ABC.Onion:80\r\n\r\n"), 200);
	assert_int_equal(ASK(t, G "Host: abc.onion:8080\r\n\r\n"), 421);
	assert_int_equal(ASK(t, G "Host: abc.onion.\r\n\r\n"), 421);
	assert_int_equal(ASK(t, G "Host: x.abc.onion\r\n\r\n"), 421);
	assert_int_equal(ASK(t, G "Host: 127.0.0.1\r\n\r\n"), 421);
	assert_int_equal(ASK(t, G "Host: localhost\r\n\r\n"), 421);
	assert_int_equal(ASK(t, "GET http://evil/page HTTP/1.1\r\nHost: abc.onion\r\n\r\n"), 421);
}

static void methods_and_server_options(void **state)
{
	struct site *t = *state;

	assert_int_equal(ASK(t, "DELETE /only-get HTTP/1.1\r\n" H "\r\n"), 405);
	assert_true(has(t, "\r\nAllow: GET, HEAD\r\n"));
	assert_int_equal(ASK(t, "OPTIONS * HTTP/1.1\r\n" H "\r\n"), 204);
	assert_true(has(t, "\r\nAllow: "));
	assert_false(has(t, "Content-Length"));
	assert_int_equal(ASK(t, "OPTIONS /only-get HTTP/1.1\r\n" H "\r\n"), 405);
}

static void fields_and_targets_reach_the_handler(void **state)
{
	struct site *t = *state;

	ASK(t, "GET /field HTTP/1.1\r\n" H "X-Field:  one \r\nx-field: two\r\n\r\n");
	assert_true(span_eq(body_of(t), SPAN("2 one")));
	ASK(t, "GET http://localhost/target?a=%41 HTTP/1.1\r\n" H "\r\n");
	assert_true(span_eq(body_of(t), SPAN("/target?a=%41")));
}

static void a_field_with_a_line_end_becomes_500(void **state)
{
	struct site *t = *state;

	assert_int_equal(ASK(t, "GET /bad-field HTTP/1.1\r\n" H "\r\n"), 500);
	assert_false(has(t, "X-Split"));
}

static void foreign_pages_are_told_from_own_ones(void **state)
{
	static const struct {
		struct span text;
		bool cross;
	} cases[] = {
		{SPAN(G H "\r\n"), false},
		{SPAN(G H "Origin: null\r\n\r\n"), false},
		{SPAN(G H "Origin: http://localhost\r\n\r\n"), false},
		{SPAN(G "Host: localhost:80\r\nOrigin: http://localhost\r\n\r\n"), false},
		{SPAN(G H "Origin: http://localhost:81\r\n\r\n"), true},
		{SPAN(G H "Origin: https://localhost\r\n\r\n"), true},
		{SPAN(G H "Origin: http://evil\r\n\r\n"), true},
		{SPAN(G H "Origin: evil\r\n\r\n"), true},
		{SPAN(G H "Origin: null\r\nOrigin: http://evil\r\n\r\n"), true},
		{SPAN(G H "Sec-Fetch-Site: same-origin\r\n\r\n"), false},
		{SPAN(G H "Sec-Fetch-Site: cross-site\r\nOrigin: null\r\n\r\n"), true},
	};
	struct site *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(ask(t, cases[i].text), 200);
		assert_int_equal(t->cross_site, cases[i].cross);
	}
}

/* --- keep-alive and pipelining --- */

static void connections_are_kept_or_closed_as_asked(void **state)
{
	struct site *t = *state;

	ASK(t, G H "\r\n");
	assert_false(is_ended(t) || has(t, "Connection"));
	ASK(t, G H "Connection: x, close\r\n\r\n");
	assert_true(is_ended(t) && has(t, "\r\nConnection: close\r\n"));
	ASK(t, "GET /page HTTP/1.0\r\n\r\n");
	assert_true(is_ended(t) && has(t, "\r\nConnection: close\r\n"));
	ASK(t, "GET /page HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	assert_true(!is_ended(t) && has(t, "\r\nConnection: keep-alive\r\n"));
	ASK(t, G H "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n" G H "\r\n");
	assert_int_equal(count(&t->io.out, "HTTP/1.1 200 OK"), 2);
	/* what follows a close is not answered */
	ASK(t, G H "Connection: close\r\n\r\n" G H "\r\n");
	assert_int_equal(count(&t->io.out, "HTTP/1.1 200 OK"), 1);
	assert_true(t->io.shut);
}

static void a_hundred_requests_in_one_piece_are_all_answered_in_order(void **state)
{
	struct site *t = *state;
	struct buf in = BUF_INIT;

	for (int i = 0; i < 100; i++) {
		buf_printf(&in, "GET /target?%03d HTTP/1.1\r\n" H "\r\n", i);
	}
	ask(t, buf_span(&in));
	assert_int_equal(count(&t->io.out, "HTTP/1.1 200 OK"), 100);
	struct span rest = buf_span(&t->io.out);

	for (int i = 0; i < 100; i++) {
		char text[32];

		snprintf(text, sizeof(text), "\r\n\r\n/target?%03d", i);
		rest = find(rest, span_str(text));
		assert_non_null(rest.p);
	}
	buf_done(&in);
	assert_int_equal(t->done, 100);
}

#define SEVERAL                                                             \
	"GET /page HTTP/1.1\r\n" H "X-A: 1\r\n\r\n"                         \
	"POST /echo HTTP/1.1\r\n" H "Content-Length: 11\r\n\r\nhello world" \
	"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"    \
	"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: v\r\n\r\n"                      \
	"HEAD /repr HTTP/1.1\r\n" H "\r\n"                                  \
	"GET /repr HTTP/1.1\r\n" H "Range: bytes=2-4\r\n\r\n"               \
	"POST /no HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nxyz"            \
	"GET /missing HTTP/1.1\r\n" H "Connection: close\r\n\r\n"

static void splitting_anywhere_gives_identical_responses(void **state)
{
	static const struct span in = SPAN(SEVERAL);
	struct site *t = *state;
	struct buf whole = BUF_INIT;

	ask(t, in);
	assert_int_equal(count(&t->io.out, "HTTP/1.1 "), 7);
	buf_add_span(&whole, buf_span(&t->io.out));
	for (size_t at = 1; at < in.n; at++) {
		ask(t, span_of(in.p, at));
		mem_send(&t->io, &t->loop, span_from(in, at));
		assert_true(span_eq(buf_span(&t->io.out), buf_span(&whole)));
	}
	for (size_t most = 1; most < 40; most++) {
		site_again(t);
		t->io.read_most = most;
		mem_send(&t->io, &t->loop, in);
		assert_true(span_eq(buf_span(&t->io.out), buf_span(&whole)));
	}
	buf_done(&whole);
}

/* A socket that takes a byte at a time gets the same bytes. */
static void a_narrow_socket_gets_identical_responses(void **state)
{
	static const struct span in = SPAN(SEVERAL);
	struct site *t = *state;
	struct buf whole = BUF_INIT;

	ask(t, in);
	buf_add_span(&whole, buf_span(&t->io.out));
	for (size_t step = 1; step < 100; step += 7) {
		site_again(t);
		t->io.room = 0;
		mem_send(&t->io, &t->loop, in);
		while (!is_ended(t)) {
			t->io.room += step;
			mem_run(&t->io, &t->loop);
		}
		assert_true(span_eq(buf_span(&t->io.out), buf_span(&whole)));
	}
	buf_done(&whole);
}

static void a_late_answer_holds_back_the_next_request(void **state)
{
	struct site *t = *state;
	unsigned before = t->requests;

	ASK(t, "GET /later HTTP/1.1\r\n" H "\r\n" G H "\r\n");
	assert_int_equal(t->requests, before + 1);
	assert_int_equal(http_server_busy(t->server), 1);
	assert_int_equal(t->io.out.len, 0);
	size_t taken = t->io.in_at;

	mem_send(&t->io, &t->loop, SPAN(G H "\r\n"));
	assert_int_equal(t->io.in_at, taken); /* it stays in the socket */
	respond_hello(take_ptr(t->kept));
	assert_int_equal(t->io.out.len, 0); /* never from within */
	mem_run(&t->io, &t->loop);
	assert_int_equal(count(&t->io.out, "HTTP/1.1 200 OK"), 3);
	assert_int_equal(http_server_busy(t->server), 0);
	assert_int_equal(t->done, 3);
}

static void a_second_answer_is_dropped(void **state)
{
	struct site *t = *state;
	struct http_req *req;

	ASK(t, "GET /later HTTP/1.1\r\n" H "\r\n");
	req = take_ptr(t->kept);
	respond_hello(req);
	respond_big(t, req);
	mem_run(&t->io, &t->loop);
	assert_int_equal(t->released, 1);
	assert_int_equal(count(&t->io.out, "HTTP/1.1 "), 1);
}

static void a_visitor_who_only_shut_his_side_is_answered(void **state)
{
	struct site *t = *state;

	ASK(t, "GET /later HTTP/1.1\r\n" H "\r\n");
	t->io.in_end = true;
	mem_run(&t->io, &t->loop);
	assert_false(t->io.closing);
	respond_hello(take_ptr(t->kept));
	mem_run(&t->io, &t->loop);
	assert_true(has(t, "\r\n\r\nhello"));
	assert_true(t->io.closing && !t->io.reset);
}

static void a_visitor_who_is_gone_aborts_his_request(void **state)
{
	struct site *t = *state;

	ASK(t, "GET /later HTTP/1.1\r\n" H "\r\n");
	t->io.io.ready(t->io.io.ud, HTTP_IO_GONE);
	assert_int_equal(t->aborted, 1);
	assert_null(t->kept);
	assert_int_equal(http_server_busy(t->server), 0);
}

/* --- request bodies --- */

static void bodies_reach_the_sink(void **state)
{
	struct site *t = *state;

	ASK(t, P "Content-Length: 5\r\n\r\nhello");
	assert_true(span_eq(body_of(t), SPAN("hello")));
	ASK(t, P "Content-Length: 0\r\n\r\n");
	assert_int_equal(t->ended, 2);
	ASK(t, P "\r\n");
	assert_int_equal(t->ended, 3);
	assert_true(has(t, "\r\nContent-Length: 0\r\n"));
	ASK(t, P "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n");
	assert_true(span_eq(body_of(t), SPAN("abc")));
	assert_false(is_ended(t));
	ASK(t, "GET /echo HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi");
	assert_true(span_eq(body_of(t), SPAN("hi")));
}

static void resume_after_pause_keeps_pipelined_bytes(void **state)
{
	struct site *t = *state;

	t->sink_answer = HTTP_SINK_PAUSE;
	ASK(t, P "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" G H "\r\n");
	assert_int_equal(t->taken, 3);
	assert_int_equal(t->io.want & HTTP_IO_READ, 0);
	http_req_resume(t->kept);
	assert_int_equal(t->taken, 3); /* never from within */
	mem_run(&t->io, &t->loop);
	assert_int_equal(t->taken, 5);
	assert_int_equal(t->ended, 0);
	http_req_resume(t->kept);
	mem_run(&t->io, &t->loop);
	assert_int_equal(t->ended, 1);
	assert_int_equal(count(&t->io.out, "HTTP/1.1 200 OK"), 2);
	assert_true(has(t, "\r\n\r\nabcdeHTTP/1.1 200 OK"));
}

static void a_paused_sink_stops_the_visitor(void **state)
{
	struct site *t = *state;

	t->sink_answer = HTTP_SINK_PAUSE;
	ASK(t, P "Content-Length: 8388608\r\n\r\n");
	mem_send(&t->io, &t->loop, span_of(big, BIG));
	assert_true(t->taken <= 2 * EV_SCRATCH_SIZE);
	assert_true(t->io.in_at <= 2 * EV_SCRATCH_SIZE);
	while (t->kept) {
		uint64_t before = t->taken;

		http_req_resume(t->kept);
		mem_run(&t->io, &t->loop);
		assert_true(t->taken - before <= EV_SCRATCH_SIZE);
	}
	assert_int_equal(t->taken, BIG);
	assert_int_equal(t->ended, 1);
}

static void nothing_is_read_before_the_handler_asks(void **state)
{
	struct site *t = *state;

	ASK(t, "POST /later HTTP/1.1\r\n" H "Content-Length: 8388608\r\n\r\n");
	mem_send(&t->io, &t->loop, span_of(big, BIG));
	assert_true(t->io.in_at < 1000);
	http_req_read(t->kept, &sink, t);
	assert_int_equal(t->taken, 0);
	mem_run(&t->io, &t->loop);
	assert_int_equal(t->taken, BIG);
	assert_int_equal(t->ended, 1);
}

static void a_waiting_visitor_is_told_to_go_on(void **state)
{
	struct site *t = *state;

	ASK(t, P "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	assert_true(span_eq(buf_span(&t->io.out), SPAN("HTTP/1.1 100 Continue\r\n\r\n")));
	mem_send(&t->io, &t->loop, SPAN("hi"));
	assert_int_equal(status_at(&t->io.out, 25), 200);
	assert_false(is_ended(t));

	/* he sent it already; an older one does not know the word */
	ASK(t, P "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi");
	assert_int_equal(count(&t->io.out, "100 Continue"), 0);
	ASK(t, "POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	assert_int_equal(t->io.out.len, 0);
	mem_send(&t->io, &t->loop, SPAN("hi"));
	assert_int_equal(status_at(&t->io.out, 0), 200);
}

static void a_refused_upload_gets_its_answer_at_once(void **state)
{
	struct site *t = *state;

	assert_int_equal(ASK(t, "POST /no HTTP/1.1\r\n" H
				"Expect: 100-continue\r\nContent-Length: 52428800\r\n\r\n"),
			 403);
	assert_int_equal(count(&t->io.out, "100 Continue"), 0);
	assert_true(has(t, "\r\nConnection: close\r\n"));
	assert_true(t->io.shut);
}

static void an_early_answer_lets_the_visitor_finish_within_bounds(void **state)
{
	struct site *t = *state;
	uint64_t sent = 0;

	assert_int_equal(ASK(t, "POST /no HTTP/1.1\r\n" H "Content-Length: 52428800\r\n\r\n"), 403);
	assert_true(t->io.shut && !t->io.closing);
	while (!t->io.closing && sent < 128ull * 1024 * 1024) {
		buf_clear(&t->io.in);
		t->io.in_at = 0;
		mem_send(&t->io, &t->loop, span_of(big, 1024 * 1024));
		sent += 1024 * 1024;
	}
	assert_true(t->io.closing && !t->io.reset);
	assert_in_range(sent, 52428800, http_limits_default.linger_bytes + 1024 * 1024);
}

static void a_short_unwanted_body_keeps_the_connection(void **state)
{
	struct site *t = *state;

	ASK(t, "POST /no HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nGET" G H "\r\n");
	assert_int_equal(count(&t->io.out, "HTTP/1.1 403"), 1);
	assert_int_equal(count(&t->io.out, "HTTP/1.1 200"), 1);
	assert_false(is_ended(t));
	/* one without a known end does not */
	ASK(t, "POST /no HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n");
	assert_true(has(t, "\r\nConnection: close\r\n"));
}

static void a_sink_that_refuses_gets_no_more(void **state)
{
	struct site *t = *state;

	t->sink_answer = -ENOSPC;
	ASK(t, P "Content-Length: 10\r\n\r\nhello");
	assert_int_equal(t->taken, 5);
	mem_send(&t->io, &t->loop, SPAN("world"));
	assert_int_equal(t->taken, 5);
	assert_int_equal(t->ended, 0);
	http_respond_error(take_ptr(t->kept), 507);
	mem_run(&t->io, &t->loop);
	assert_int_equal(status_at(&t->io.out, 0), 507);
	assert_false(is_ended(t));
}

static void a_broken_upload_aborts_the_request(void **state)
{
	struct site *t = *state;

	ASK(t, P "Content-Length: 10\r\n\r\nhello");
	t->io.in_end = true;
	mem_run(&t->io, &t->loop);
	assert_int_equal(t->aborted, 1);
	assert_int_equal(t->ended, 0);
	assert_int_equal(t->io.out.len, 0);
	assert_true(t->io.closing);
	assert_int_equal(ASK(t, P "Transfer-Encoding: chunked\r\n\r\n1\r\nabc"), 400);
	assert_int_equal(t->aborted, 2);
	assert_int_equal(t->ended, 0);
}

/* --- responses --- */

static void sources_of_unknown_length_are_chunked(void **state)
{
	struct site *t = *state;

	t->chunk = SPAN("abc");
	t->chunks = 3;
	ASK(t, "GET /chunked HTTP/1.1\r\n" H "\r\n" G H "\r\n");
	assert_true(has(t, "\r\nTransfer-Encoding: chunked\r\n"));
	assert_true(has(t, "\r\n\r\n3\r\nabc\r\n3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\nHTTP/1.1 200"));
	assert_int_equal(t->stopped, 1);

	/* an empty last chunk, and an older visitor */
	t->chunk = SPAN("");
	t->chunks = 2;
	ASK(t, "GET /chunked HTTP/1.1\r\n" H "\r\n");
	assert_true(span_eq(body_of(t), SPAN("0\r\n\r\n")));
	t->chunk = SPAN("abc");
	t->chunks = 2;
	ASK(t, "GET /chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	assert_true(span_eq(body_of(t), SPAN("abcabc")));
	assert_true(has(t, "\r\nConnection: close\r\n") && is_ended(t));
	assert_int_equal(t->stopped, 3);
	assert_int_equal(t->sent, 15 + 5);
}

static void sources_keep_their_promise_or_are_cut(void **state)
{
	struct site *t = *state;

	t->chunk = SPAN("12345");
	t->chunks = 2;
	ASK(t, "GET /ten HTTP/1.1\r\n" H "\r\n");
	assert_true(span_eq(body_of(t), SPAN("1234512345")));
	assert_int_equal(t->done, 1);
	t->chunks = 1; /* too short */
	ASK(t, "GET /ten HTTP/1.1\r\n" H "\r\n");
	assert_true(t->io.closing && t->io.reset);
	t->chunk = SPAN("123456"); /* too long */
	t->chunks = 2;
	ASK(t, "GET /ten HTTP/1.1\r\n" H "\r\n");
	assert_true(t->io.closing && t->io.reset);
	t->chunks = 3; /* breaks down */
	t->fail_at_end = true;
	ASK(t, "GET /chunked HTTP/1.1\r\n" H "\r\n");
	assert_true(t->io.closing && t->io.reset);
	assert_false(has(t, "0\r\n\r\n"));
	assert_int_equal(t->aborted, 3);
	assert_int_equal(t->stopped, 4);
}

static void head_gets_what_get_gets_but_no_body(void **state)
{
	struct site *t = *state;
	struct buf get = BUF_INIT;
	static const char *const paths[] = {"page", "repr", "missing", "big", "no"};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		char text[64];

		snprintf(text, sizeof(text), "GET /%s HTTP/1.1\r\n" H "\r\n", paths[i]);
		ask(t, span_str(text));
		buf_clear(&get);
		buf_add(&get, t->io.out.p, (size_t)(body_of(t).p - t->io.out.p));
		snprintf(text, sizeof(text), "HEAD /%s HTTP/1.1\r\n" H "\r\n", paths[i]);
		ask(t, span_str(text));
		assert_true(span_eq(buf_span(&t->io.out), buf_span(&get)));
		assert_false(is_ended(t));
	}
	t->chunks = 1;
	ASK(t, "HEAD /chunked HTTP/1.1\r\n" H "\r\n");
	assert_int_equal(body_of(t).n, 0);
	assert_int_equal(t->stopped, 1);
	buf_done(&get);
}

static void a_reader_who_stops_costs_nothing(void **state)
{
	struct site *t = *state;

	site_again(t);
	t->io.room = 1000;
	mem_send(&t->io, &t->loop, SPAN("GET /big HTTP/1.1\r\n" H "\r\n"));
	assert_int_equal(t->io.out.len, 1000);
	assert_int_equal(t->io.want & HTTP_IO_WRITE, HTTP_IO_WRITE);
	assert_int_equal(bufpool_in_use(t->ev.bufs), 0);
	t->io.room = SIZE_MAX;
	mem_run(&t->io, &t->loop);
	assert_int_equal(body_of(t).n, BIG);
	assert_int_equal(t->released, 1);
	assert_int_equal(t->sent, BIG);
	assert_int_equal(t->done, 1);
}

/* --- conditions and ranges --- */

#define R "GET /repr HTTP/1.1\r\n" H

static void ranges_are_served(void **state)
{
	struct site *t = *state;

	assert_int_equal(ASK(t, R "Range: bytes=2-4\r\n\r\n"), 206);
	assert_true(has(t, "\r\nContent-Range: bytes 2-4/10\r\n"));
	assert_true(has(t, "\r\nContent-Length: 3\r\n"));
	assert_true(span_eq(body_of(t), SPAN("234")));
	assert_int_equal(ASK(t, R "Range: bytes=7-\r\n\r\n"), 206);
	assert_true(span_eq(body_of(t), SPAN("789")));
	assert_int_equal(ASK(t, R "Range: bytes=-1\r\n\r\n"), 206);
	assert_true(span_eq(body_of(t), SPAN("9")));
	assert_int_equal(ASK(t, R "Range: bytes=10-\r\n\r\n"), 416);
	assert_true(has(t, "\r\nContent-Range: bytes */10\r\n"));
	assert_int_equal(ASK(t, R "Range: bytes=0-1,4-5\r\n\r\n"), 200);
	assert_true(span_eq(body_of(t), SPAN("0123456789")));
	assert_int_equal(ASK(t, R "Range: bytes=0-1\r\nRange: bytes=4-5\r\n\r\n"), 200);
	assert_int_equal(ASK(t, R "Range: nonsense\r\n\r\n"), 200);
	assert_int_equal(ASK(t, "HEAD /repr HTTP/1.1\r\n" H "Range: bytes=2-4\r\n\r\n"), 200);
	assert_int_equal(ASK(t, R "\r\n"), 200);
	assert_true(has(t, "\r\nAccept-Ranges: bytes\r\n") && has(t, "\r\nETag: \"tag\"\r\n"));
	assert_false(has(t, "Last-Modified") || has(t, "Date:"));
	assert_int_equal(ASK(t, "GET /lost HTTP/1.1\r\n" H "\r\n"), 404);
}

static void if_range_never_mixes_two_versions(void **state)
{
	struct site *t = *state;

	assert_int_equal(ASK(t, R "Range: bytes=2-4\r\nIf-Range: \"tag\"\r\n\r\n"), 206);
	assert_int_equal(ASK(t, R "Range: bytes=2-4\r\nIf-Range: \"other\"\r\n\r\n"), 200);
	assert_int_equal(ASK(t, R "Range: bytes=2-4\r\nIf-Range: W/\"tag\"\r\n\r\n"), 200);
	assert_int_equal(ASK(t, R "Range: bytes=2-4\r\n"
				  "If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"),
			 200);
	assert_int_equal(ASK(t, R "Range: bytes=99-\r\nIf-Range: \"other\"\r\n\r\n"), 200);
}

static void conditions_are_judged_in_order(void **state)
{
	struct site *t = *state;

	assert_int_equal(ASK(t, R "If-None-Match: \"tag\"\r\n\r\n"), 304);
	assert_int_equal(body_of(t).n, 0);
	assert_true(has(t, "\r\nETag: \"tag\"\r\n") && has(t, "\r\nVary: Accept-Encoding\r\n"));
	assert_false(has(t, "\r\nContent-Length") || has(t, "\r\nContent-Type") || is_ended(t));
	assert_int_equal(ASK(t, R "If-None-Match: \"x\", W/\"tag\"\r\n\r\n"), 304);
	assert_int_equal(ASK(t, R "If-None-Match: \"x\"\r\nIf-None-Match: \"tag\"\r\n\r\n"), 304);
	assert_int_equal(ASK(t, R "If-None-Match: *\r\n\r\n"), 304);
	assert_int_equal(ASK(t, R "If-None-Match: \"x\"\r\n\r\n"), 200);
	assert_int_equal(ASK(t, R "If-None-Match: tag\r\n\r\n"), 200);
	assert_int_equal(ASK(t, R "If-Match: \"tag\"\r\n\r\n"), 200);
	assert_int_equal(ASK(t, R "If-Match: *\r\n\r\n"), 200);
	assert_int_equal(ASK(t, R "If-Match: W/\"tag\"\r\n\r\n"), 412);
	assert_int_equal(ASK(t, R "If-Match: \"x\"\r\n\r\n"), 412);
	assert_int_equal(ASK(t, R "If-Match: \"x\"\r\nIf-None-Match: \"tag\"\r\n\r\n"), 412);
	assert_int_equal(ASK(t, R "If-None-Match: \"tag\"\r\nRange: bytes=2-4\r\n\r\n"), 304);
	assert_int_equal(ASK(t, R "If-Modified-Since: Sun, 06 Nov 2094 08:49:37 GMT\r\n\r\n"), 200);
	assert_int_equal(ASK(t, R "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"),
			 200);
}

/* --- the server --- */

static void while_draining_visitors_are_sent_away(void **state)
{
	struct site *t = *state;

	http_server_set_draining(t->server, true);
	assert_int_equal(ASK(t, G H "\r\n" G H "\r\n"), 503);
	assert_true(has(t, "\r\nRetry-After: ") && has(t, "\r\nConnection: close\r\n"));
	assert_int_equal(count(&t->io.out, "HTTP/1.1 "), 1);
	assert_true(is_ended(t));
	assert_int_equal(t->requests, 0);
}

static void closing_the_server_aborts_what_runs(void **state)
{
	struct site *t = malloc(sizeof(*t));
	struct http_server_config config = default_config();

	(void)state;
	site_open(t, &config);
	ASK(t, "GET /later HTTP/1.1\r\n" H "\r\n");
	site_close(t);
	assert_int_equal(t->aborted, 1);
	free(t);
}

/* The policy is the server's; without one the field is absent. */
static void the_policy_is_configurable(void **state)
{
	struct site *t = malloc(sizeof(*t));
	struct http_server_config config = default_config();

	(void)state;
	config.csp = "default-src 'none'";
	site_open(t, &config);
	ASK(t, G H "\r\n");
	assert_true(has(t, "\r\nContent-Security-Policy: default-src 'none'\r\n"));
	site_close(t);
	config.csp = NULL;
	site_open(t, &config);
	ASK(t, G H "\r\n");
	assert_false(has(t, "Content-Security-Policy"));
	assert_true(has(t, "\r\nX-Frame-Options: DENY\r\n"));
	site_close(t);
	free(t);
}

/* --- time: limits are short, and the loop waits for them --- */

static struct http_server_config hasty_config(void)
{
	struct http_server_config config = default_config();

	config.limits.head_ms = 30;
	config.limits.idle_ms = 60;
	config.limits.body_ms = 40;
	config.limits.write_ms = 40;
	config.limits.min_rate_ms = 20;
	config.limits.linger_ms = 40;
	return config;
}

static void wait_until_ended(struct site *t)
{
	while (!t->io.gone) {
		uv_run(&t->loop, UV_RUN_ONCE);
		mem_run(&t->io, &t->loop);
		if (t->io.shut) {
			t->io.in_end = true; /* the visitor has understood */
		}
	}
}

static int setup_hasty(void **state)
{
	struct site *t = malloc(sizeof(*t));
	struct http_server_config config = hasty_config();

	site_open(t, &config);
	*state = t;
	return 0;
}

static void silent_visitors_are_closed_silently(void **state)
{
	struct site *t = *state;

	wait_until_ended(t);
	assert_int_equal(t->io.out.len, 0);
	assert_int_equal(ASK(t, G H "\r\n"), 200);
	size_t len = t->io.out.len;

	wait_until_ended(t);
	assert_int_equal(t->io.out.len, len);
	assert_false(t->io.reset);
}

/* Dribbling does not extend the time for a head. */
static void slow_heads_get_408(void **state)
{
	struct site *t = *state;
	static const struct span head = SPAN(G H "X: y\r\n");
	uint64_t begin;
	size_t at = 0;

	site_again(t);
	begin = uv_now(&t->loop);
	while (!t->io.gone) {
		mem_send(&t->io, &t->loop, at < head.n ? span_of(head.p + at, 1) : SPAN("y"));
		at++;
		uv_run(&t->loop, UV_RUN_ONCE);
		t->io.in_end = t->io.shut;
		mem_run(&t->io, &t->loop);
	}
	assert_int_equal(status_at(&t->io.out, 0), 408);
	assert_true(uv_now(&t->loop) - begin >= 30);
	assert_int_equal(t->requests, 0);
}

static void a_stalled_body_gets_408(void **state)
{
	struct site *t = *state;

	ASK(t, P "Content-Length: 10\r\n\r\nhello");
	wait_until_ended(t);
	assert_int_equal(status_at(&t->io.out, 0), 408);
	assert_int_equal(t->aborted, 1);
	assert_int_equal(t->ended, 0);
}

static void a_stalled_body_does_not_hold_up_a_drain(void **state)
{
	struct site *t = malloc(sizeof(*t));
	struct http_server_config config = hasty_config();

	(void)state;
	config.limits.body_ms = config.limits.min_rate_ms = 3600 * 1000;
	config.limits.drain_body_ms = 10;
	site_open(t, &config);
	ASK(t, P "Content-Length: 10\r\n\r\nhello");
	uint64_t begin = uv_now(&t->loop);

	while (uv_now(&t->loop) - begin < 30) {
		uv_run(&t->loop, UV_RUN_NOWAIT);
	}
	assert_false(t->io.closing);
	http_server_set_draining(t->server, true);
	wait_until_ended(t);
	assert_int_equal(status_at(&t->io.out, 0), 408);
	assert_int_equal(t->aborted, 1);
	site_close(t);
	free(t);
}

/* A byte now and then satisfies the time between bytes, not the rate. */
static void a_trickling_body_gets_408(void **state)
{
	struct site *t = *state;
	uint64_t last;

	ASK(t, P "Content-Length: 1000000\r\n\r\n");
	last = uv_now(&t->loop);
	while (!t->io.gone) {
		uv_run(&t->loop, UV_RUN_ONCE);
		if (uv_now(&t->loop) - last >= 15) {
			mem_send(&t->io, &t->loop, SPAN("x"));
			last = uv_now(&t->loop);
		}
		t->io.in_end = t->io.shut;
		mem_run(&t->io, &t->loop);
	}
	assert_int_equal(status_at(&t->io.out, 0), 408);
	assert_int_equal(t->aborted, 1);
}

static void a_paused_body_is_not_the_visitors_fault(void **state)
{
	struct site *t = *state;
	uint64_t begin;

	t->sink_answer = HTTP_SINK_PAUSE;
	ASK(t, P "Content-Length: 10\r\n\r\nhello");
	begin = uv_now(&t->loop);
	while (uv_now(&t->loop) - begin < 120) {
		uv_run(&t->loop, UV_RUN_NOWAIT);
	}
	assert_false(t->io.closing);
	t->sink_answer = 0;
	http_req_resume(t->kept);
	mem_send(&t->io, &t->loop, SPAN("world"));
	assert_int_equal(status_at(&t->io.out, 0), 200);
}

static void a_stalled_reader_is_cut(void **state)
{
	struct site *t = *state;

	site_again(t);
	t->io.room = 1000;
	mem_send(&t->io, &t->loop, SPAN("GET /big HTTP/1.1\r\n" H "\r\n"));
	wait_until_ended(t);
	assert_true(t->io.reset);
	assert_int_equal(t->aborted, 1);
	assert_int_equal(t->released, 1);
	assert_true(t->sent < 1000);
}

static void lingering_ends(void **state)
{
	struct site *t = *state;

	ASK(t, "POST /no HTTP/1.1\r\n" H "Content-Length: 52428800\r\n\r\n");
	assert_true(t->io.shut && !t->io.closing);
	while (!t->io.gone) { /* the visitor neither sends nor closes */
		uv_run(&t->loop, UV_RUN_ONCE);
		mem_run(&t->io, &t->loop);
	}
	assert_false(t->io.reset);
}

#define TEST(name)  cmocka_unit_test_setup_teardown(name, setup, teardown)
#define HASTY(name) cmocka_unit_test_setup_teardown(name, setup_hasty, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_bad_request_is_answered_once_and_ends_the_connection),
		TEST(every_response_has_exactly_the_agreed_fields),
		TEST(tricky_paths_look_like_missing_ones),
		TEST(only_own_hosts_are_answered),
		TEST(methods_and_server_options),
		TEST(fields_and_targets_reach_the_handler),
		TEST(a_field_with_a_line_end_becomes_500),
		TEST(foreign_pages_are_told_from_own_ones),
		TEST(connections_are_kept_or_closed_as_asked),
		TEST(a_hundred_requests_in_one_piece_are_all_answered_in_order),
		TEST(splitting_anywhere_gives_identical_responses),
		TEST(a_narrow_socket_gets_identical_responses),
		TEST(a_late_answer_holds_back_the_next_request),
		TEST(a_second_answer_is_dropped),
		TEST(a_visitor_who_only_shut_his_side_is_answered),
		TEST(a_visitor_who_is_gone_aborts_his_request),
		TEST(bodies_reach_the_sink),
		TEST(resume_after_pause_keeps_pipelined_bytes),
		TEST(a_paused_sink_stops_the_visitor),
		TEST(nothing_is_read_before_the_handler_asks),
		TEST(a_waiting_visitor_is_told_to_go_on),
		TEST(a_refused_upload_gets_its_answer_at_once),
		TEST(an_early_answer_lets_the_visitor_finish_within_bounds),
		TEST(a_short_unwanted_body_keeps_the_connection),
		TEST(a_sink_that_refuses_gets_no_more),
		TEST(a_broken_upload_aborts_the_request),
		TEST(sources_of_unknown_length_are_chunked),
		TEST(sources_keep_their_promise_or_are_cut),
		TEST(head_gets_what_get_gets_but_no_body),
		TEST(a_reader_who_stops_costs_nothing),
		TEST(ranges_are_served),
		TEST(if_range_never_mixes_two_versions),
		TEST(conditions_are_judged_in_order),
		TEST(while_draining_visitors_are_sent_away),
		cmocka_unit_test(closing_the_server_aborts_what_runs),
		cmocka_unit_test(the_policy_is_configurable),
		HASTY(silent_visitors_are_closed_silently),
		HASTY(slow_heads_get_408),
		HASTY(a_stalled_body_gets_408),
		cmocka_unit_test(a_stalled_body_does_not_hold_up_a_drain),
		HASTY(a_trickling_body_gets_408),
		HASTY(a_paused_body_is_not_the_visitors_fault),
		HASTY(a_stalled_reader_is_cut),
		HASTY(lingering_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
