/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The pure parts of the Tor side: lines, descriptor uploads, progress, addresses, torrc. */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/un.h>

#include "tor/conn.h"
#include "tor/desc.h"
#include "tor/health.h"
#include "tor/launch.h"
#include "tor/lexer.h"
#include "tor/tor.h"

#define ADDRESS "ik5wn5gdsqwegs2wiowfhgomlmdl4vz4jcm4jpgrbazl2o7mljv2ezqd"

/* --- lexer --- */

static int feed(struct ctl_lexer *l, const char *text, const struct ctl_reply **ret)
{
	struct span input = span_str(text);

	return ctl_lexer_feed(l, &input, ret);
}

static void a_reply_is_whole_with_its_last_line(void **state)
{
	struct ctl_lexer l;
	const struct ctl_reply *r;

	(void)state;
	ctl_lexer_init(&l);
	assert_int_equal(feed(&l, "250-version=0.4.9.11\r\n", &r), 0);
	assert_int_equal(feed(&l, "250-x=y\r\n250 O", &r), 0);
	assert_int_equal(feed(&l, "K\r\n", &r), 1);
	assert_int_equal(r->code, 250);
	assert_int_equal(r->n, 3);
	assert_true(span_eq(r->lines[0].text, SPAN("version=0.4.9.11")));
	assert_true(span_eq(r->lines[2].text, SPAN("OK")));
	assert_true(ctl_is_ok(r));
	assert_false(ctl_is_event(r));
	ctl_lexer_done(&l);
}

static void replies_in_one_piece_come_one_by_one(void **state)
{
	struct span input = SPAN("250 OK\r\n650 HS_DESC X\r\n552 no\n");
	static const unsigned codes[] = {250, 650, 552};
	struct ctl_lexer l;
	const struct ctl_reply *r;

	(void)state;
	ctl_lexer_init(&l);
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		assert_int_equal(ctl_lexer_feed(&l, &input, &r), 1);
		assert_int_equal(r->code, codes[i]);
	}
	assert_int_equal(ctl_lexer_feed(&l, &input, &r), 0);
	ctl_lexer_done(&l);
}

static void data_blocks_lose_their_dots_and_keep_their_lines(void **state)
{
	struct ctl_lexer l;
	const struct ctl_reply *r;
	struct span value;

	(void)state;
	ctl_lexer_init(&l);
	assert_int_equal(feed(&l, "250+circuit-status=\r\n1 A\r\n..2\r\n.x\r\n.\r\n250 OK\r\n", &r),
			 1);
	assert_true(ctl_getinfo(r, "circuit-status", &value));
	assert_true(span_eq(value, SPAN("1 A\n.2\nx\n")));

	assert_int_equal(feed(&l, "250+onions/current=\r\n.\r\n250 OK\r\n", &r), 1);
	assert_true(ctl_getinfo(r, "onions/current", &value));
	assert_int_equal(value.n, 0);

	assert_int_equal(feed(&l, "250-onions/current=\r\n250 OK\r\n", &r), 1);
	assert_true(ctl_getinfo(r, "onions/current", &value));
	assert_int_equal(value.n, 0);
	assert_false(ctl_getinfo(r, "onions", &value));
	ctl_lexer_done(&l);
}

static void what_is_not_the_protocol_is_refused_for_good(void **state)
{
	static const char *const bad[] = {
		"250OK\r\n",
		"25\r\n",
		"\r\n",
		"2x0 OK\r\n",
		"250250 OK\r\n",
		"HTTP/1.1 400 Bad Request\r\n",
		"250-a\r\n650 E\r\n",
		"650-a\r\n250 OK\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct ctl_lexer l;
		const struct ctl_reply *r;

		ctl_lexer_init(&l);
		assert_int_equal(feed(&l, bad[i], &r), -EBADMSG);
		assert_int_equal(feed(&l, "250 OK\r\n", &r), -EBADMSG);
		ctl_lexer_done(&l);
	}
}

static void the_limits_of_a_reply_are_kept(void **state)
{
	struct ctl_lexer l;
	const struct ctl_reply *r;
	struct buf big = BUF_INIT;
	int got = 0;

	(void)state;
	/* exactly the limit: "250 " and what fills it */
	buf_add_str(&big, "250 ");
	while (big.len < CTL_REPLY_MAX) {
		buf_add_char(&big, 'x');
	}
	buf_add_str(&big, "\n");
	ctl_lexer_init(&l);
	assert_int_equal(feed(&l, big.p, &r), 1);
	assert_int_equal(r->lines[0].text.n, CTL_REPLY_MAX - 4);
	ctl_lexer_done(&l);

	big.p[big.len - 1] = 'x';
	ctl_lexer_init(&l);
	assert_int_equal(feed(&l, big.p, &r), -EMSGSIZE);
	ctl_lexer_done(&l);
	buf_done(&big);

	ctl_lexer_init(&l);
	for (unsigned i = 0; i < CTL_LINES_MAX && got == 0; i++) {
		got = feed(&l, "250-a\r\n", &r);
	}
	assert_int_equal(got, 0);
	assert_int_equal(feed(&l, "250-a\r\n", &r), -EMSGSIZE);
	ctl_lexer_done(&l);
}

static void words_keep_their_quoted_strings_together(void **state)
{
	struct span s = SPAN("AUTH  METHODS=A,B FILE=\"/a b \\\" c\" end"), word;
	static const char *const words[] = {"AUTH", "METHODS=A,B", "FILE=\"/a b \\\" c\"", "end"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		assert_true(ctl_next_word(&s, &word));
		assert_true(span_eq(word, span_str(words[i])));
	}
	assert_false(ctl_next_word(&s, &word));
}

static void values_are_found_by_their_whole_key(void **state)
{
	struct span s = SPAN("XKEY=1 \"KEY=2\" KEYS=3 KEY= KEY=4");

	(void)state;
	assert_true(ctl_value(s, "KEY").p != NULL);
	assert_int_equal(ctl_value(s, "KEY").n, 0);
	assert_null(ctl_value(s, "KE").p);
	assert_true(span_eq(ctl_value(s, "KEYS"), SPAN("3")));
}

static void cstrings_are_decoded(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: refused */
	} cases[] = {
		{"plain", "plain"},
		{"\"\"", ""},
		{"\"a b\"", "a b"},
		{"\"\\n\\t\\r\\\\\\\"\\q\"", "\n\t\r\\\"q"},
		{"\"\\303\\274\\1012\"", "\303\274A2"},
		{"\"\\0\"", NULL},
		{"\"\\400\"", NULL},
		{"\"open", NULL},
		{"\"open\\", NULL},
		{"\"a\"b", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buf b = BUF_INIT;
		int r = ctl_decode(span_str(cases[i].in), &b);

		assert_int_equal(r, cases[i].out ? 0 : -EINVAL);
		if (cases[i].out) {
			assert_true(span_eq(buf_span(&b), span_str(cases[i].out)));
		}
		buf_done(&b);
	}
}

/* --- descriptor uploads --- */

static bool event(struct desc_track *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool event(struct desc_track *t, const char *fmt, ...)
{
	struct buf text = BUF_INIT;
	struct desc_event e;
	va_list ap;
	bool news;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	assert_true(desc_parse(buf_span(&text), &e));
	assert_true(span_eq(e.address, SPAN(ADDRESS)));
	news = desc_feed(t, &e);
	buf_done(&text);
	return news;
}

static bool created(struct desc_track *t, const char *blinded)
{
	return event(t, "HS_DESC CREATED " ADDRESS " UNKNOWN UNKNOWN %s REPLICA=0", blinded);
}

static bool upload(struct desc_track *t, int dir, const char *blinded)
{
	return event(t, "HS_DESC UPLOAD " ADDRESS " UNKNOWN $%040X~relay%d %s HSDIR_INDEX=00", dir,
		     dir, blinded);
}

static bool uploaded(struct desc_track *t, int dir)
{
	return event(t, "HS_DESC UPLOADED " ADDRESS " UNKNOWN $%040X~relay%d", dir, dir);
}

static bool failed(struct desc_track *t, int dir)
{
	return event(t, "HS_DESC FAILED " ADDRESS " UNKNOWN $%040X~r REASON=UPLOAD_REJECTED", dir);
}

static void published_when_each_descriptor_was_taken_once(void **state)
{
	struct desc_track t = {0};

	(void)state;
	created(&t, "one");
	created(&t, "two");
	upload(&t, 1, "one");
	upload(&t, 2, "two");
	assert_false(uploaded(&t, 1));
	assert_false(t.published);
	assert_true(uploaded(&t, 2));
	assert_true(t.published);
	assert_false(uploaded(&t, 2)); /* no news any more */
}

static void published_when_three_directories_took_it(void **state)
{
	struct desc_track t = {0};

	(void)state;
	created(&t, "one");
	created(&t, "two");
	for (int dir = 1; dir <= 3; dir++) {
		upload(&t, dir, "one");
		upload(&t, dir, "one");
	}
	assert_false(uploaded(&t, 1));
	assert_false(uploaded(&t, 1)); /* the same directory again */
	assert_false(uploaded(&t, 2));
	assert_true(uploaded(&t, 3));
}

static void a_fetch_of_somebody_else_says_nothing_of_uploads(void **state)
{
	struct desc_track t = {0};

	(void)state;
	upload(&t, 1, "one");
	assert_false(failed(&t, 7));
	assert_false(uploaded(&t, 8));
	assert_false(desc_all_refused(&t));
	assert_true(failed(&t, 1));
	assert_true(desc_all_refused(&t));
	upload(&t, 2, "one");
	assert_false(desc_all_refused(&t));
	assert_true(uploaded(&t, 2));
}

static void the_tracker_is_bounded(void **state)
{
	struct desc_track t = {0};
	char blinded[16];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		snprintf(blinded, sizeof(blinded), "key%d", i);
		created(&t, blinded);
		upload(&t, i, "key0");
	}
	assert_int_equal(t.n_blinded, DESC_BLINDED_MAX);
	assert_int_equal(t.n_under_way, DESC_UPLOADS_MAX);
}

static void senseless_events_are_ignored(void **state)
{
	static const char *const bad[] = {"",
					  "HS_DESC",
					  "HS_DESC UPLOADED",
					  "HS_DES",
					  "HS_DESC UPLOAD a b",
					  "STATUS_CLIENT NOTICE X"};
	struct desc_track t = {0};
	struct desc_event e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_false(desc_parse(span_str(bad[i]), &e));
	}
	event(&t, "HS_DESC UPLOAD " ADDRESS " UNKNOWN $12 key");
	event(&t, "HS_DESC UPLOAD " ADDRESS " UNKNOWN UNKNOWN");
	event(&t, "HS_DESC UPLOADED " ADDRESS " UNKNOWN UNKNOWN");
	event(&t, "HS_DESC RECEIVED " ADDRESS " UNKNOWN UNKNOWN");
	assert_int_equal(t.n_under_way, 0);
}

/* --- health --- */

static void progress_and_its_words_are_read(void **state)
{
	struct health h = HEALTH_INIT;

	(void)state;
	assert_true(health_feed(&h, SPAN("NOTICE BOOTSTRAP PROGRESS=14 TAG=handshake "
					 "SUMMARY=\"Handshaking with a relay\"")));
	assert_int_equal(h.percent, 14);
	assert_string_equal(h.summary, "Handshaking with a relay");
	assert_null(health_problem(&h));
	assert_false(health_feed(&h, SPAN("NOTICE BOOTSTRAP PROGRESS=101")));
	assert_false(health_feed(&h, SPAN("NOTICE BOOTSTRAP")));
	assert_false(health_feed(&h, SPAN("NOTICE")));
	assert_int_equal(h.percent, 14);
	health_done(&h);
}

static void a_warning_becomes_a_problem_until_it_moves_on(void **state)
{
	struct health h = HEALTH_INIT;

	(void)state;
	assert_true(health_feed(
		&h, SPAN("WARN BOOTSTRAP PROGRESS=5 TAG=conn SUMMARY=\"Connecting to a relay\" "
			 "WARNING=\"Network is unreachable\" REASON=NOROUTE COUNT=10 "
			 "RECOMMENDATION=warn HOSTID=\"A\" HOSTADDR=\"1.2.3.4:5\"")));
	assert_string_equal(health_problem(&h),
			    "Tor is at 5 % (Connecting to a relay) and cannot go on: Network is "
			    "unreachable; this machine has no way to the internet; check its "
			    "connection");
	health_feed(&h, SPAN("NOTICE BOOTSTRAP PROGRESS=10 SUMMARY=\"Connected\""));
	assert_null(health_problem(&h));
	health_feed(&h, SPAN("WARN BOOTSTRAP PROGRESS=10 SUMMARY=\"Connected\" "
			     "WARNING=\"x\" RECOMMENDATION=ignore"));
	assert_null(health_problem(&h));
	health_done(&h);
}

static void a_wrong_clock_is_told_in_words(void **state)
{
	struct health h = HEALTH_INIT;

	(void)state;
	assert_true(health_feed(&h, SPAN("WARN CLOCK_SKEW SKEW=-7300 SOURCE=\"DIRSERV:1.2.3.4\"")));
	assert_non_null(strstr(health_problem(&h), "clock is about 2 hours slow"));
	assert_true(health_feed(&h, SPAN("WARN CLOCK_SKEW SKEW=34560000 SOURCE=\"CONSENSUS\"")));
	assert_non_null(strstr(health_problem(&h), "clock is about 400 days fast"));
	assert_false(health_feed(&h, SPAN("WARN CLOCK_SKEW SKEW=abc")));
	health_feed(&h, SPAN("NOTICE BOOTSTRAP PROGRESS=100 SUMMARY=\"Done\""));
	assert_null(health_problem(&h));
	health_done(&h);
}

static void standing_still_is_a_problem_with_advice(void **state)
{
	struct health h = HEALTH_INIT;

	(void)state;
	health_feed(&h, SPAN("NOTICE BOOTSTRAP PROGRESS=14 SUMMARY=\"Handshaking\""));
	assert_true(health_stuck(&h, 60));
	assert_non_null(strstr(health_problem(&h), "at 14 % (Handshaking) for 60 seconds"));
	assert_non_null(strstr(health_problem(&h), "bridge"));
	assert_false(health_stuck(&h, 60));
	health_feed(&h, SPAN("NOTICE BOOTSTRAP PROGRESS=100 SUMMARY=\"Done\""));
	assert_null(health_problem(&h));
	assert_false(health_stuck(&h, 60));
	health_done(&h);
}

/* --- addresses, targets, torrc --- */

static void control_ports_are_on_this_machine_only(void **state)
{
	static const char *const good[] = {
		"unix:/run/tor/control", "/run/tor/control", "9051",       "127.0.0.1:9051",
		"localhost:9051",        "[::1]:9051",       "127.1.2.3:1"};
	static const char *const bad[] = {"",          "unix:",         "unix:run/tor",  "0",
					  "65536",     "example.org:9", "10.0.0.1:9051", "[::2]:1",
					  "127.0.0.1", "9051 ",         "127.0.0.1:-1"};
	struct ctl_addr addr;
	char path[120];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(ctl_addr_parse(good[i], &addr, NULL), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error err = ERROR_INIT;

		assert_int_equal(ctl_addr_parse(bad[i], &addr, &err), -EINVAL);
		assert_true(strlen(error_text(&err)) > 20);
		error_done(&err);
	}
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[107] = '\0';
	assert_int_equal(tor_check_control(path, NULL), 0);
	path[107] = 'a';
	path[108] = '\0';
	assert_int_equal(tor_check_control(path, NULL), -EINVAL);
}

static void targets_that_tor_cannot_be_told_of_are_refused(void **state)
{
	static const char *const good[] = {"unix:/run/onionshared/http/a.sock", "127.0.0.1:80"};
	static const char *const bad[] = {"unix:/a b",
					  "unix:/a\"b",
					  "unix:/\303\274",
					  "unix:relative",
					  "unix:",
					  "8.8.8.8:80",
					  "127.0.0.1:0",
					  "127.0.0.1:65536",
					  "80",
					  ""};
	char path[128] = "unix:/";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(tor_check_target(good[i], NULL), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(tor_check_target(bad[i], NULL), -EINVAL);
	}
	memset(path + 6, 'a', 107);
	path[5 + 107] = '\0';
	assert_int_equal(tor_check_target(path, NULL), 0);
	path[5 + 107] = 'a';
	path[5 + 108] = '\0';
	assert_int_equal(tor_check_target(path, NULL), -EINVAL);
}

static void torrc_quotes_what_it_can_and_refuses_the_rest(void **state)
{
	struct launch_config config = {.data_dir = "/home/a \"b\"\\c/tor",
				       .runtime_dir = "/run/x",
				       .extra = "Bridge 1"};
	struct buf b = BUF_INIT;

	(void)state;
	assert_int_equal(launch_torrc(&config, 42, &b, NULL), 0);
	assert_non_null(strstr(b.p, "DataDirectory \"/home/a \\\"b\\\"\\\\c/tor\"\n"));
	assert_non_null(strstr(b.p, "__OwningControllerProcess 42\nBridge 1\n"));
	buf_clear(&b);
	config.runtime_dir = "/run/a b";
	assert_int_equal(launch_torrc(&config, 42, &b, NULL), -EINVAL);
	config.runtime_dir = "/run/x";
	config.data_dir = "/a\nSocksPort 1";
	assert_int_equal(launch_torrc(&config, 42, &b, NULL), -EINVAL);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reply_is_whole_with_its_last_line),
		cmocka_unit_test(replies_in_one_piece_come_one_by_one),
		cmocka_unit_test(data_blocks_lose_their_dots_and_keep_their_lines),
		cmocka_unit_test(what_is_not_the_protocol_is_refused_for_good),
		cmocka_unit_test(the_limits_of_a_reply_are_kept),
		cmocka_unit_test(words_keep_their_quoted_strings_together),
		cmocka_unit_test(values_are_found_by_their_whole_key),
		cmocka_unit_test(cstrings_are_decoded),
		cmocka_unit_test(published_when_each_descriptor_was_taken_once),
		cmocka_unit_test(published_when_three_directories_took_it),
		cmocka_unit_test(a_fetch_of_somebody_else_says_nothing_of_uploads),
		cmocka_unit_test(the_tracker_is_bounded),
		cmocka_unit_test(senseless_events_are_ignored),
		cmocka_unit_test(progress_and_its_words_are_read),
		cmocka_unit_test(a_warning_becomes_a_problem_until_it_moves_on),
		cmocka_unit_test(a_wrong_clock_is_told_in_words),
		cmocka_unit_test(standing_still_is_a_problem_with_advice),
		cmocka_unit_test(control_ports_are_on_this_machine_only),
		cmocka_unit_test(targets_that_tor_cannot_be_told_of_are_refused),
		cmocka_unit_test(torrc_quotes_what_it_can_and_refuses_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
