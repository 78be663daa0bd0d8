/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bridge lines: what is one, what is none and why. */
#include "unit.h"

#include <errno.h>

#include "proto/base/bridge.h"

#define FP   "0123456789ABCDEF0123456789abcdef01234567"
#define CERT "cert=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static const struct {
	const char *line, *printed, *transport;
} good[] = {
	{"192.0.2.1:443", "192.0.2.1:443", NULL},
	{"  Bridge\t192.0.2.1:443   " FP " ", "192.0.2.1:443 " FP, NULL},
	{"[2001:db8::1]:9001 " FP, "[2001:db8::1]:9001 " FP, NULL},
	{"bridge obfs4 192.0.2.1:443 " FP " " CERT "  iat-mode=0",
	 "obfs4 192.0.2.1:443 " FP " " CERT " iat-mode=0", "obfs4"},
	{"obfs4 192.0.2.1:443 " FP " node-id=a public-key=b",
	 "obfs4 192.0.2.1:443 " FP " node-id=a public-key=b", "obfs4"},
	{"snowflake 192.0.2.3:80 " FP " url=https://a.example/ ice=stun:b.example:3478,stun:c:1",
	 "snowflake 192.0.2.3:80 " FP " url=https://a.example/ ice=stun:b.example:3478,stun:c:1",
	 "snowflake"},
	{"meek_lite 192.0.2.18:80 " FP " url=https://a.example/?x=y front=b.example",
	 "meek_lite 192.0.2.18:80 " FP " url=https://a.example/?x=y front=b.example", "meek_lite"},
	{"webtunnel [2001:db8::1]:443 " FP " url=https://a.example/path ver=0.0.1",
	 "webtunnel [2001:db8::1]:443 " FP " url=https://a.example/path ver=0.0.1", "webtunnel"},
};

static void lines_of_every_transport_are_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct error err = ERROR_INIT;
		struct buf text = BUF_INIT;
		struct bridge b;

		if (bridge_parse(span_str(good[i].line), &b, &err) < 0) {
			fail_msg("%s: %s", good[i].line, error_text(&err));
		}
		bridge_print(&b, &text);
		assert_string_equal(text.p, good[i].printed);
		assert_true(!good[i].transport == !b.transport);
		if (b.transport) {
			assert_string_equal(b.transport->name, good[i].transport);
			assert_non_null(b.transport->programs[0]);
		}
		buf_done(&text);
	}
}

static const struct {
	const char *line, *why;
} bad[] = {
	{"", "empty"},
	{" Bridge ", "empty"},
	{"bridges.example:443 " FP, "192.0.2.1:443"},
	{"192.0.2.1 " FP, "192.0.2.1:443"},
	{"192.0.2.1:0 " FP, "192.0.2.1:443"},
	{"192.0.2.1:65536 " FP, "192.0.2.1:443"},
	{"192.0.2.1:+443", "192.0.2.1:443"},
	{"256.0.2.1:443", "192.0.2.1:443"},
	{"[2001:db8::1:443", "192.0.2.1:443"},
	{"2001:db8::1:443", "192.0.2.1:443"},
	{"[192.0.2.1]:443", "192.0.2.1:443"},
	{"192.0.2.1:443 " FP "0", "plain bridge"},
	{"192.0.2.1:443 " FP " a=b", "plain bridge"},
	{"conjure 192.0.2.1:443 " FP " url=https://a.example", "transport"},
	{"obfs4", "192.0.2.1:443"},
	{"obfs4 192.0.2.1:443 " CERT, "fingerprint"},
	{"obfs4 192.0.2.1:443 " FP, "cert="},
	{"obfs4 192.0.2.1:443 " FP " cert=", "KEY=VALUE"},
	{"obfs4 192.0.2.1:443 " FP " " CERT " word", "KEY=VALUE"},
	{"obfs4 192.0.2.1:443 " FP " " CERT " a/b=c", "KEY=VALUE"},
	{"meek_lite 192.0.2.1:443 " FP " front=a.example", "url="},
	{"webtunnel 192.0.2.1:443 " FP " url=ftp://a.example", "url="},
	{"obfs4 192.0.2.1:443 " FP " " CERT " # mine", "characters"},
	{"obfs4 192.0.2.1:443 " FP " cert=\"a\"", "characters"},
	{"192.0.2.1:443 \\", "characters"},
	{"192.0.2.1:443\x1b[31m", "characters"},
	{"192.0.2.1:443 \xc3\xa4", "characters"},
	{"192.0.2.1:443\nControlPort 9051", "characters"},
};

static void what_is_none_is_refused_in_words_without_the_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error err = ERROR_INIT;
		struct bridge b;

		assert_int_equal(bridge_parse(span_str(bad[i].line), &b, &err), -EINVAL);
		if (!strstr(error_text(&err), bad[i].why)) {
			fail_msg("%s: %s", bad[i].line, error_text(&err));
		}
		assert_null(strstr(error_text(&err), "0123456789"));
		assert_null(strstr(error_text(&err), "AAAA"));
		assert_int_equal(err.kind, ERROR_INVALID_VALUE);
		error_done(&err);
	}
}

static char *with_argument(size_t n)
{
	char *value = xcalloc(n + 1, 1);

	memset(value, 'x', n);

	char *line = xasprintf("snowflake 192.0.2.3:80 " FP " url=%s", value);

	free(value);
	return line;
}

static void lines_are_bounded_as_tor_bounds_them(void **state)
{
	struct bridge b;
	/* "url=" and the separator count, too */
	char *fits = with_argument(505), *over = with_argument(506), *far = with_argument(2000);

	(void)state;
	assert_int_equal(bridge_parse(span_str(fits), &b, NULL), 0);
	assert_int_equal(bridge_parse(span_str(over), &b, NULL), -EINVAL);
	assert_int_equal(bridge_parse(span_str(far), &b, NULL), -EINVAL);
	free(fits);
	free(over);
	free(far);
}

static void a_text_of_lines_is_read_and_an_error_names_the_line(void **state)
{
	struct bridges all = BRIDGES_INIT, copy = BRIDGES_INIT;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(bridges_add_text(&all,
					  SPAN("# from a friend\r\n\r\nBridge 192.0.2.1:443\r\n"
					       "192.0.2.2:443\n 192.0.2.1:443 "),
					  &err),
			 0);
	assert_int_equal(all.n, 2);
	assert_string_equal(all.lines[0], "192.0.2.1:443");
	bridges_copy(&copy, &all);
	assert_int_equal(bridges_add_text(&all, SPAN("192.0.2.3:1\n\n# x\nnonsense here\n"), &err),
			 -EINVAL);
	assert_non_null(strstr(error_text(&err), "line 4"));
	error_done(&err);
	assert_int_equal(copy.n, 2);
	assert_string_equal(copy.lines[1], "192.0.2.2:443");
	assert_false(bridges_use(&copy, &bridge_transports[0]));
	assert_int_equal(bridges_add(&copy, SPAN("obfs4 192.0.2.1:1 " FP " " CERT), &err), 0);
	assert_true(bridges_use(&copy, &bridge_transports[0]));
	bridges_done(&all);
	bridges_done(&copy);
	assert_int_equal(copy.n, 0);
}

static void so_many_and_no_more(void **state)
{
	struct bridges all = BRIDGES_INIT;
	struct error err = ERROR_INIT;
	char line[32];

	(void)state;
	for (unsigned i = 0; i < BRIDGES_MAX; i++) {
		snprintf(line, sizeof(line), "192.0.2.1:%u", 1000 + i);
		assert_int_equal(bridges_add(&all, span_str(line), &err), 0);
	}
	assert_int_equal(bridges_add(&all, span_str(line), &err), 0); /* again */
	assert_int_equal(bridges_add(&all, SPAN("192.0.2.1:1"), &err), -E2BIG);
	assert_int_equal(err.kind, ERROR_LIMIT_EXCEEDED);
	assert_int_equal(all.n, BRIDGES_MAX);
	error_done(&err);
	bridges_done(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_every_transport_are_taken),
		cmocka_unit_test(what_is_none_is_refused_in_words_without_the_line),
		cmocka_unit_test(lines_are_bounded_as_tor_bounds_them),
		cmocka_unit_test(a_text_of_lines_is_read_and_an_error_names_the_line),
		cmocka_unit_test(so_many_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
