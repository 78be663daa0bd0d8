/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
/* after those */
#include <cmocka.h>

#include "proto/base/alloc.h"
#include "proto/wire.h"

/* --- framing --- */

static void messages_end_at_nul_however_they_are_cut(void **state)
{
	static const char stream[] = "one\0\0three\0four"; /* and the NUL of C */

	(void)state;
	for (size_t piece = 1; piece <= sizeof(stream); piece++) {
		static const char *const want[] = {"one", "", "three", "four"};
		struct wire_reader r = WIRE_READER_INIT;
		struct span s;
		size_t n = 0;

		for (size_t at = 0; at < sizeof(stream); at += piece) {
			size_t len = sizeof(stream) - at < piece ? sizeof(stream) - at : piece;

			assert_int_equal(wire_reader_feed(&r, stream + at, len), 0);
			while (wire_reader_next(&r, &s)) {
				assert_true(span_eq(s, span_str(want[n++])));
			}
		}
		assert_int_equal(n, ARRAY_SIZE(want));
		assert_true(wire_reader_empty(&r));
		assert_null(r.in.p); /* no memory for the idle */
		wire_reader_done(&r);
	}
}

static void reader_tells_what_it_has(void **state)
{
	struct wire_reader r = WIRE_READER_INIT;
	struct span s;

	(void)state;
	assert_true(wire_reader_empty(&r));
	assert_false(wire_reader_ready(&r));
	wire_reader_feed(&r, "ab", 2);
	assert_false(wire_reader_ready(&r));
	assert_false(wire_reader_empty(&r));
	wire_reader_feed(&r, "\0c", 2);
	assert_true(wire_reader_ready(&r));
	assert_true(wire_reader_ready(&r));
	assert_true(wire_reader_next(&r, &s));
	assert_false(wire_reader_ready(&r));
	assert_false(wire_reader_empty(&r));
	wire_reader_done(&r);
}

static void message_of_the_largest_size_passes_and_no_larger_one(void **state)
{
	_cleanup_free_ char *big = xmalloc(WIRE_MAX_MESSAGE + 1);
	struct wire_reader r = WIRE_READER_INIT;
	struct span s;

	(void)state;
	memset(big, ' ', WIRE_MAX_MESSAGE + 1);
	assert_int_equal(wire_reader_feed(&r, big, WIRE_MAX_MESSAGE), 0);
	assert_int_equal(wire_reader_feed(&r, "", 1), 0);
	assert_true(wire_reader_next(&r, &s));
	assert_int_equal(s.n, WIRE_MAX_MESSAGE);
	assert_int_equal(wire_reader_feed(&r, big, WIRE_MAX_MESSAGE), 0);
	assert_int_equal(wire_reader_feed(&r, big, 1), -EMSGSIZE);
	wire_reader_done(&r);

	/* Also when it comes with its end in one piece. */
	big[WIRE_MAX_MESSAGE] = 'x';
	assert_int_equal(wire_reader_feed(&r, big, WIRE_MAX_MESSAGE - 1), 0);
	assert_int_equal(wire_reader_feed(&r, "xx", 3), -EMSGSIZE);
	wire_reader_done(&r);
}

/* --- messages --- */

static void call_is_taken_apart(void **state)
{
	struct wire_call c;

	(void)state;
	assert_int_equal(wire_parse_call(SPAN("{\"method\": \"org.onionshared.Control.Start\", "
					      "\"parameters\": {\"name\": \"a\"}, \"more\": true}"),
					 &c, NULL),
			 0);
	assert_string_equal(c.name, "org.onionshared.Control.Start");
	assert_true(span_eq(c.interface, SPAN("org.onionshared.Control")));
	assert_true(span_eq(c.method, SPAN("Start")));
	assert_string_equal(json_string_value(json_object_get(c.params, "name")), "a");
	assert_true(c.more);
	assert_false(c.oneway);
	assert_false(c.upgrade);
	wire_call_done(&c);

	assert_int_equal(wire_parse_call(SPAN("{\"method\":\"a.b-c.M1\",\"parameters\":null}"), &c,
					 NULL),
			 0);
	assert_null(c.params);
	wire_call_done(&c);
}

static void what_is_no_call_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"[]",
		"null",
		"{}",
		"{\"method\": 5}",
		"{\"method\": null}",
		"{\"method\": \"\"}",
		"{\"method\": \"Start\"}",
		"{\"method\": \".Start\"}",
		"{\"method\": \"org.Start\"}",
		"{\"method\": \"a.b.start\"}",
		"{\"method\": \"a.b.Sta-rt\"}",
		"{\"method\": \"a.b.\"}",
		"{\"method\": \"a..b.Start\"}",
		"{\"method\": \"1a.b.Start\"}",
		"{\"method\": \"a.-b.Start\"}",
		"{\"method\": \"a.b-.Start\"}",
		"{\"method\": \"a.b_c.Start\"}",
		"{\"method\": \"a.b.Start\\u0000\"}",
		"{\"method\": \"a.b.M\", \"method\": \"a.b.M\"}",
		"{\"method\": \"a.b.M\", \"parameters\": []}",
		"{\"method\": \"a.b.M\", \"parameters\": \"x\"}",
		"{\"method\": \"a.b.M\", \"more\": 1}",
		"{\"method\": \"a.b.M\", \"more\": true, \"oneway\": true}",
		"{\"method\": \"a.b.M\", \"else\": 1}",
		"{\"method\": \"a.b.M\"} x",
		"{\"method\": \"a.b.M\", \"parameters\": {\"x\": \"\xff\"}}",
		"{\"method\": \"a.b.M\", \"parameters\": {\"x\": 99999999999999999999}}",
		"{'method': 'a.b.M'}",
	};
	struct error err = ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct wire_call c;

		assert_true(wire_parse_call(span_str(bad[i]), &c, &err) < 0);
		assert_non_null(err.text);
		error_done(&err);
	}
}

static void nesting_is_bounded(void **state)
{
	struct error err = ERROR_INIT;
	char text[2 * WIRE_MAX_DEPTH + 3];

	(void)state;
	for (size_t depth = WIRE_MAX_DEPTH; depth <= WIRE_MAX_DEPTH + 1; depth++) {
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		json_t *value = wire_parse_json(span_of(text, 2 * depth), &err);

		assert_int_equal(value != NULL, depth == WIRE_MAX_DEPTH);
		json_decref(value);
	}
	error_done(&err);
	/* Brackets in strings do not count. */
	json_t *value =
		wire_parse_json(SPAN("{\"a\": \"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}"),
				NULL);
	assert_non_null(value);
	json_decref(value);
}

static void number_of_values_is_bounded(void **state)
{
	struct buf b = BUF_INIT;
	struct error err = ERROR_INIT;

	(void)state;
	buf_add_str(&b, "[0");
	for (unsigned i = 1; i < WIRE_MAX_VALUES; i++) {
		buf_add_str(&b, ",0");
	}
	buf_add_char(&b, ']');
	json_t *value = wire_parse_json(buf_span(&b), &err);
	assert_non_null(value);
	json_decref(value);
	b.len--;
	buf_add_str(&b, ",0]");
	assert_null(wire_parse_json(buf_span(&b), &err));
	assert_int_equal(err.code, EMSGSIZE);
	error_done(&err);
	buf_done(&b);
}

static void reply_is_taken_apart(void **state)
{
	struct wire_reply r;

	(void)state;
	assert_int_equal(wire_parse_reply(SPAN("{\"parameters\":{\"a\":1},\"continues\":true}"), &r,
					  NULL),
			 0);
	assert_true(r.continues);
	assert_null(r.error);
	assert_int_equal(json_integer_value(json_object_get(r.params, "a")), 1);
	wire_reply_done(&r);
	assert_int_equal(wire_parse_reply(SPAN("{\"error\":\"a.b.Broken\"}"), &r, NULL), 0);
	assert_string_equal(r.error, "a.b.Broken");
	assert_null(r.params);
	wire_reply_done(&r);
	assert_true(wire_parse_reply(SPAN("{\"error\":\"broken\"}"), &r, NULL) < 0);
	assert_true(wire_parse_reply(SPAN("{\"continues\":\"yes\"}"), &r, NULL) < 0);
	assert_true(wire_parse_reply(SPAN("true"), &r, NULL) < 0);
}

static void what_is_made_can_be_read(void **state)
{
	struct buf b = BUF_INIT;
	struct wire_reader r = WIRE_READER_INIT;
	struct wire_call call;
	struct wire_reply reply;
	struct span s;
	json_t *message;

	(void)state;
	message = wire_make_call("a.b.M", json_pack("{s:i}", "x", 7), true, false);
	assert_int_equal(wire_add(&b, message), 0);
	json_decref(message);
	message = wire_make_call("a.b.M", NULL, false, true);
	assert_int_equal(wire_add(&b, message), 0);
	json_decref(message);
	message = wire_make_reply(NULL, true);
	assert_int_equal(wire_add(&b, message), 0);
	json_decref(message);

	wire_reader_feed(&r, b.p, b.len);
	assert_true(wire_reader_next(&r, &s));
	assert_int_equal(wire_parse_call(s, &call, NULL), 0);
	assert_true(call.more && !call.oneway);
	assert_int_equal(json_integer_value(json_object_get(call.params, "x")), 7);
	wire_call_done(&call);
	assert_true(wire_reader_next(&r, &s));
	assert_int_equal(wire_parse_call(s, &call, NULL), 0);
	assert_true(call.oneway && !call.more && json_object_size(call.params) == 0);
	wire_call_done(&call);
	assert_true(wire_reader_next(&r, &s));
	assert_int_equal(wire_parse_reply(s, &reply, NULL), 0);
	assert_true(reply.continues && !reply.error);
	wire_reply_done(&reply);
	wire_reader_done(&r);
	buf_done(&b);
}

static void message_too_long_is_not_added(void **state)
{
	_cleanup_free_ char *big = xmalloc(WIRE_MAX_MESSAGE + 1);
	struct buf b = BUF_INIT;
	json_t *message;

	(void)state;
	memset(big, 'x', WIRE_MAX_MESSAGE);
	buf_add_str(&b, "before");
	message = wire_make_reply(json_pack("{s:s%}", "x", big, (size_t)WIRE_MAX_MESSAGE), false);
	assert_int_equal(wire_add(&b, message), -EMSGSIZE);
	assert_true(span_eq(buf_span(&b), SPAN("before")));
	json_decref(message);
	/* {"parameters":{"x":"..."}}: 23 bytes around it */
	message = wire_make_reply(json_pack("{s:s%}", "x", big, (size_t)WIRE_MAX_MESSAGE - 23),
				  false);
	b.len = 0;
	assert_int_equal(wire_add(&b, message), 0);
	assert_int_equal(b.len, WIRE_MAX_MESSAGE + 1);
	json_decref(message);
	buf_done(&b);
}

/* --- descriptors --- */

static int open_null(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void descriptors_travel(void **state)
{
	int pair[2], fds[4] = {-1, -1, -1, -1}, sent[2] = {open_null(), open_null()};
	unsigned n = 1;
	char got[8];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(wire_send(pair[0], SPAN("abc"), sent, 2), 3);
	assert_int_equal(wire_recv(pair[1], got, sizeof(got), fds, 4, &n), 3);
	assert_memory_equal(got, "abc", 3);
	assert_int_equal(n, 3);
	assert_int_equal(fds[0], -1); /* what was there stays */
	for (int i = 1; i < 3; i++) {
		assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
		close(fds[i]);
		close(sent[i - 1]);
	}
	close(pair[0]);
	assert_int_equal(wire_recv(pair[1], got, sizeof(got), fds, 4, &n), 0);
	assert_int_equal(wire_send(pair[1], SPAN("x"), NULL, 0), -EPIPE);
	close(pair[1]);
}

static void too_many_descriptors_are_all_closed(void **state)
{
	int pair[2], sent[3], fds[2];
	unsigned n = 0;
	char got[8];
	int next;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	for (size_t i = 0; i < ARRAY_SIZE(sent); i++) {
		sent[i] = open_null();
	}
	assert_int_equal(wire_send(pair[0], SPAN("abc"), sent, 3), 3);
	next = open_null(); /* the lowest number that is free */
	close(next);
	assert_int_equal(wire_recv(pair[1], got, sizeof(got), fds, 2, &n), -EMFILE);
	assert_int_equal(n, 0);
	int again = open_null();
	assert_int_equal(again, next);
	close(again);
	for (size_t i = 0; i < ARRAY_SIZE(sent); i++) {
		close(sent[i]);
	}
	int many[WIRE_MAX_DESCRIPTORS + 1] = {0};
	assert_int_equal(wire_send(pair[0], SPAN("x"), many, ARRAY_SIZE(many)), -EMFILE);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_end_at_nul_however_they_are_cut),
		cmocka_unit_test(reader_tells_what_it_has),
		cmocka_unit_test(message_of_the_largest_size_passes_and_no_larger_one),
		cmocka_unit_test(call_is_taken_apart),
		cmocka_unit_test(what_is_no_call_is_refused),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(number_of_values_is_bounded),
		cmocka_unit_test(reply_is_taken_apart),
		cmocka_unit_test(what_is_made_can_be_read),
		cmocka_unit_test(message_too_long_is_not_added),
		cmocka_unit_test(descriptors_travel),
		cmocka_unit_test(too_many_descriptors_are_all_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
