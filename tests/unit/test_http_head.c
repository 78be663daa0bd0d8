/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The judge of raw heads: what passes, what does not, and with which status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* after those */
#include <cmocka.h>

#include "http/head.h"
#include "http/parser.h"
#include "http/server.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"

static struct http_field fields[HTTP_MAX_FIELDS];

/* The status of a head, 0 for a good one, -1 for one that is not over. */
static int judge(struct span text, struct http_head *ret)
{
	struct http_head_scan scan = {0};
	ssize_t n = http_head_scan(&scan, text);

	*ret = (struct http_head){0};
	if (n <= 0) {
		return n == 0 ? -1 : (int)-n;
	}
	assert_true(scan.fields <= HTTP_MAX_FIELDS);
	int r = http_head_parse(span_of(text.p, (size_t)n), fields, ret);

	assert_true(r != 0 || ret->n_fields == scan.fields);
	return -r;
}

struct head_case {
	int status;
	struct span text;
};

#define H "Host: a\r\n"

static const struct head_case cases[] = {
	{0, SPAN("GET / HTTP/1.1\r\n" H "\r\n")},
	{0, SPAN("\r\nGET / HTTP/1.1\r\n" H "\r\n")},
	{400, SPAN("\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n")},
	{0, SPAN("GET /a?b HTTP/1.0\r\n\r\n")},
	{0, SPAN("GET http://a/b?c HTTP/1.1\r\n" H "\r\n")},
	{0, SPAN("GET HTTP://a HTTP/1.1\r\n" H "\r\n")},
	{0, SPAN("OPTIONS * HTTP/1.1\r\n" H "\r\n")},
	{0, SPAN("PATCH / HTTP/1.1\r\n" H "\r\n")},
	/* request line */
	{400, SPAN("GET  / HTTP/1.1\r\n" H "\r\n")},
	{400, SPAN("GET /  HTTP/1.1\r\n" H "\r\n")},
	{400, SPAN("GET / HTTP/1.1 \r\n" H "\r\n")},
	{400, SPAN(" GET / HTTP/1.1\r\n" H "\r\n")},
	{400, SPAN("GET\t/ HTTP/1.1\r\n" H "\r\n")},
	{400, SPAN("GET /\tHTTP/1.1\r\n" H "\r\n")},
	{400, SPAN("GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n")},
	{400, SPAN("GET /#frag HTTP/1.1\r\n" H "\r\n")},
	{400, SPAN("GET /\x7f HTTP/1.1\r\n" H "\r\n")},
	{400, SPAN("GET /\x01 HTTP/1.1\r\n" H "\r\n")},
	{400, SPAN("GET / \r\n" H "\r\n")},
	{400, SPAN("GET /\r\n" H "\r\n")},
	{400, SPAN("GET\r\n" H "\r\n")},
	{400, SPAN("GET HTTP/1.1\r\n" H "\r\n")},
	{400, SPAN("GET a HTTP/1.1\r\n" H "\r\n")},
	{400, SPAN("GET * HTTP/1.1\r\n" H "\r\n")},
	{400, SPAN("GET ftp://a/ HTTP/1.1\r\n" H "\r\n")},
	{400, SPAN("GET http:///x HTTP/1.1\r\n" H "\r\n")},
	{400, SPAN("GET http://u@a/x HTTP/1.1\r\n" H "\r\n")},
	{400, SPAN("G@T / HTTP/1.1\r\n" H "\r\n")},
	{400, SPAN("GET / HTTP/1.1a\r\n" H "\r\n")},
	{400, SPAN("GET / http/1.1\r\n" H "\r\n")},
	{400, SPAN("GET / HTTP/11\r\n" H "\r\n")},
	{400, SPAN("GET / HTTP/1,1\r\n" H "\r\n")},
	{505, SPAN("GET / HTTP/1.9\r\n" H "\r\n")},
	{505, SPAN("GET / HTTP/0.9\r\n" H "\r\n")},
	{505, SPAN("PRI * HTTP/2.0\r\n\r\n")},
	{400, SPAN("DESCRIBE rtsp://a/ RTSP/1.0\r\n" H "\r\n")},
	{400, SPAN("SOURCE / ICE/1.0\r\n" H "\r\n")},
	{400, SPAN("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")},
	{501, SPAN("CONNECT a:80 HTTP/1.1\r\n" H "\r\n")},
	{501, SPAN("TRACE / HTTP/1.1\r\n" H "\r\n")},
	{501, SPAN("PROPFIND / HTTP/1.1\r\n" H "\r\n")},
	{501, SPAN("get / HTTP/1.1\r\n" H "\r\n")},
	/* line ends and odd bytes */
	{400, SPAN("GET / HTTP/1.1\n" H "\n")},
	{400, SPAN("GET / HTTP/1.1\r\nHost: a\n\r\n")},
	{400, SPAN("GET / HTTP/1.1\r\n" H "X-Abc:\rxTransfer-Encoding: chunked\r\n\r\n")},
	{400, SPAN("GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n")},
	{400, SPAN("GET / HTTP/1.1\r\n" H "X: a\0b\r\n\r\n")},
	{400, SPAN("GET / HTTP/1.1\r\n" H "X: a\x7f\r\n\r\n")},
	{400, SPAN("GET / HTTP/1.1\r\n" H "X: a\x0b\r\n\r\n")},
	{0, SPAN("GET / HTTP/1.1\r\n" H "X: a\tb \xe4\xff\r\n\r\n")},
	/* field lines */
	{400, SPAN("GET / HTTP/1.1\r\nHost: a\r\n Content-Length: 5\r\n\r\n")},
	{400, SPAN("GET / HTTP/1.1\r\n" H "X: a\r\n\tb\r\n\r\n")},
	{400, SPAN("GET / HTTP/1.1\r\n Host: a\r\n\r\n")},
	{400, SPAN("GET / HTTP/1.1\r\nHost : a\r\n\r\n")},
	{400, SPAN("GET / HTTP/1.1\r\n" H "X\r\n\r\n")},
	{400, SPAN("GET / HTTP/1.1\r\n" H ": a\r\n\r\n")},
	{400, SPAN("GET / HTTP/1.1\r\n" H "X(y): a\r\n\r\n")},
	{400, SPAN("GET / HTTP/1.1\r\n" H "\xc3\xa4: a\r\n\r\n")},
	{0, SPAN("GET / HTTP/1.1\r\n" H "X:\r\nY: \t \r\n\r\n")},
	/* Host */
	{400, SPAN("GET / HTTP/1.1\r\n\r\n")},
	{400, SPAN("GET / HTTP/1.1\r\nHost:\r\n\r\n")},
	{400, SPAN("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n")},
	{400, SPAN("GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n")},
	{400, SPAN("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n")},
	{400, SPAN("GET / HTTP/1.1\r\nHost: a b\r\n\r\n")},
	{400, SPAN("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n")},
	{400, SPAN("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n")},
	{400, SPAN("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n")},
	{400, SPAN("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n")},
	{400, SPAN("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n")},
	{0, SPAN("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n")},
	{0, SPAN("GET / HTTP/1.1\r\nHost: a:\r\n\r\n")},
	/* framing */
	{0, SPAN("POST / HTTP/1.1\r\n" H "Content-Length: 0005\r\n\r\n")},
	{0, SPAN("POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775807\r\n\r\n")},
	{400, SPAN("POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n\r\n")},
	{400, SPAN("POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999999\r\n\r\n")},
	{400, SPAN("POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n")},
	{400, SPAN("POST / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\n")},
	{400, SPAN("POST / HTTP/1.1\r\n" H "Content-Length: 0x5\r\n\r\n")},
	{400, SPAN("POST / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\n")},
	{400, SPAN("POST / HTTP/1.1\r\n" H "Content-Length: 5 5\r\n\r\n")},
	{400, SPAN("POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n")},
	{400, SPAN("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 5\r\n\r\n")},
	{400,
	 SPAN("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n")},
	{400,
	 SPAN("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n")},
	{0, SPAN("POST / HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n")},
	{400, SPAN("POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n")},
	{400, SPAN("POST / HTTP/1.1\r\n" H
		   "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n")},
	{400, SPAN("POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n")},
	{400, SPAN("POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n")},
	{400, SPAN("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, identity\r\n\r\n")},
	{400, SPAN("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n")},
	{400, SPAN("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked;q=1\r\n\r\n")},
	{400, SPAN("POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n")},
	{501, SPAN("POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n")},
	/* the rest */
	{415, SPAN("POST / HTTP/1.1\r\n" H "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\n")},
	{0,
	 SPAN("POST / HTTP/1.1\r\n" H "Content-Encoding: identity\r\nContent-Length: 1\r\n\r\n")},
	{417, SPAN("POST / HTTP/1.1\r\n" H "Expect: tea\r\nContent-Length: 1\r\n\r\n")},
	{0, SPAN("POST / HTTP/1.0\r\n" H "Expect: tea\r\nContent-Length: 1\r\n\r\n")},
	{-1, SPAN("")},
	{-1, SPAN("GET / HTTP/1.1\r\n" H)},
	{-1, SPAN("GET / HTTP/1.1\r\n" H "\r")},
};

static void each_raw_head_gets_its_status(void **state)
{
	struct http_head head;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int status = judge(cases[i].text, &head);

		if (status != cases[i].status) {
			fail_msg("case %zu: %d instead of %d: " SPAN_FMT, i, status,
				 cases[i].status, SPAN_ARG(cases[i].text));
		}
	}
}

/* However the bytes arrive, the verdict is the same, and comes no earlier than with all of it. */
static void arriving_in_pieces_changes_no_verdict(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct http_head_scan whole = {0}, pieces = {0};
		ssize_t expected = http_head_scan(&whole, cases[i].text), got = 0;

		for (size_t n = 0; n <= cases[i].text.n && got == 0; n++) {
			got = http_head_scan(&pieces, span_of(cases[i].text.p, n));
		}
		assert_int_equal(got, expected);
	}
}

static void llhttp_agrees_with_every_good_head(void **state)
{
	struct http_parser parser;
	struct http_head head;
	struct http_head_scan scan;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (cases[i].status == 0) {
			scan = (struct http_head_scan){0};
			assert_int_equal(judge(cases[i].text, &head), 0);
			ssize_t n = http_head_scan(&scan, cases[i].text);

			assert_int_equal(http_parser_head(&parser,
							  span_of(cases[i].text.p, (size_t)n),
							  &head),
					 0);
		}
	}
}

static void the_parts_of_a_head_are_found(void **state)
{
	struct http_head head;

	(void)state;
	assert_int_equal(judge(SPAN("POST http://Ab.c:80/x%20y?q=1?2 HTTP/1.1\r\n"
				    "HOST: other\r\nX-Y:  v w \t\r\nConnection: a, Close\r\n"
				    "Content-Length: 12\r\nExpect: 100-Continue\r\n\r\nrest"),
			       &head),
			 0);
	assert_int_equal(head.method, HTTP_METHOD_POST);
	assert_true(span_eq(head.authority, SPAN("Ab.c:80")));
	assert_true(span_eq(head.path, SPAN("/x%20y")));
	assert_true(span_eq(head.query, SPAN("q=1?2")));
	assert_int_equal(head.n_fields, 5);
	assert_true(span_eq(head.fields[1].value, SPAN("v w")));
	assert_false(head.keep_alive);
	assert_false(head.http10);
	assert_true(head.expect_continue);
	assert_int_equal(head.content_length, 12);

	assert_int_equal(judge(SPAN("GET http://a?b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
			       &head),
			 0);
	assert_true(span_eq(head.path, SPAN("/")));
	assert_true(span_eq(head.query, SPAN("b")));
	assert_true(head.http10 && head.keep_alive);

	assert_int_equal(judge(SPAN("GET /? HTTP/1.0\r\n\r\n"), &head), 0);
	assert_non_null(head.query.p);
	assert_int_equal(head.query.n, 0);
	assert_null(head.authority.p);
	assert_false(head.keep_alive);
}

static int judge_buf(const struct buf *b)
{
	struct http_head head;

	return judge(buf_span(b), &head);
}

static int with_request_line(size_t n)
{
	struct buf b = BUF_INIT;
	int status;

	buf_add_str(&b, "GET /");
	while (b.len < n - 9) {
		buf_add_char(&b, 'x');
	}
	buf_add_str(&b, " HTTP/1.1\r\n" H "\r\n");
	status = judge_buf(&b);
	buf_done(&b);
	return status;
}

static int with_head(size_t n)
{
	struct buf b = BUF_INIT;
	int status;

	buf_add_str(&b, "GET / HTTP/1.1\r\n" H "X: ");
	while (b.len < n - 4) {
		buf_add_char(&b, 'x');
	}
	buf_add_str(&b, "\r\n\r\n");
	status = judge_buf(&b);
	buf_done(&b);
	return status;
}

static int with_fields(unsigned n)
{
	struct buf b = BUF_INIT;
	int status;

	buf_add_str(&b, "GET / HTTP/1.1\r\n" H);
	for (unsigned i = 1; i < n; i++) {
		buf_printf(&b, "X%u: y\r\n", i);
	}
	buf_add_str(&b, "\r\n");
	status = judge_buf(&b);
	buf_done(&b);
	return status;
}

static void limits_hold_to_the_byte(void **state)
{
	(void)state;
	assert_int_equal(with_request_line(HTTP_MAX_REQUEST_LINE - 1), 0);
	assert_int_equal(with_request_line(HTTP_MAX_REQUEST_LINE), 0);
	assert_int_equal(with_request_line(HTTP_MAX_REQUEST_LINE + 1), 414);
	assert_int_equal(with_request_line(HTTP_MAX_HEAD * 2), 414);
	assert_int_equal(with_head(HTTP_MAX_HEAD - 1), 0);
	assert_int_equal(with_head(HTTP_MAX_HEAD), 0);
	assert_int_equal(with_head(HTTP_MAX_HEAD + 1), 431);
	assert_int_equal(with_fields(HTTP_MAX_FIELDS), 0);
	assert_int_equal(with_fields(HTTP_MAX_FIELDS + 1), 431);
}

static void an_endless_head_is_refused_while_it_comes(void **state)
{
	struct http_head_scan scan = {0};
	struct buf b = BUF_INIT;
	ssize_t r = 0;

	(void)state;
	buf_add_str(&b, "GET / HTTP/1.1\r\nX: ");
	while (r == 0 && b.len < 2 * HTTP_MAX_HEAD) {
		buf_add_char(&b, 'x');
		r = http_head_scan(&scan, buf_span(&b));
	}
	assert_int_equal(r, -431);
	assert_int_equal(b.len, HTTP_MAX_HEAD);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_raw_head_gets_its_status),
		cmocka_unit_test(arriving_in_pieces_changes_no_verdict),
		cmocka_unit_test(llhttp_agrees_with_every_good_head),
		cmocka_unit_test(the_parts_of_a_head_are_found),
		cmocka_unit_test(limits_hold_to_the_byte),
		cmocka_unit_test(an_endless_head_is_refused_while_it_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
