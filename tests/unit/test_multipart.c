/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/content/multipart.h"

#include <errno.h>
#include <time.h>

#include "http/content/param.h"
#include "unit.h"

#define PARTS 100

struct seen {
	struct buf log; /* [name|filename|type] data / */
	unsigned parts;
	int stop_at_part; /* what begin answers from the second part on */
};

static int on_begin(void *ud, const struct multipart_part *part)
{
	struct seen *seen = ud;

	buf_printf(&seen->log, "[" SPAN_FMT "|", SPAN_ARG(part->name));
	buf_add_span(&seen->log, part->filename.p ? part->filename : SPAN("(none)"));
	buf_printf(&seen->log, "|" SPAN_FMT "]", SPAN_ARG(part->content_type));
	return ++seen->parts > 1 ? seen->stop_at_part : 0;
}

static int on_data(void *ud, struct span bytes)
{
	struct seen *seen = ud;

	assert_true(bytes.n > 0);
	buf_add_span(&seen->log, bytes);
	return 0;
}

static int on_end(void *ud)
{
	struct seen *seen = ud;

	buf_add_char(&seen->log, '/');
	return 0;
}

static const struct multipart_ops ops = {on_begin, on_data, on_end};

static struct multipart_boundary boundary_of(const char *text)
{
	struct multipart_boundary b = {.n = strlen(text)};

	memcpy(b.text, text, b.n + 1);
	return b;
}

/* What comes out of the body, cut after the first and then every step bytes. */
static int run(const char *boundary, struct span body, size_t first, size_t step, struct seen *seen)
{
	struct multipart_boundary b = boundary_of(boundary);
	struct multipart m;
	size_t n = first;
	int r = 0;

	multipart_init(&m, &b, PARTS, &ops, seen);
	while (body.n && r == 0) {
		n = n < body.n ? n : body.n;
		r = multipart_feed(&m, span_of(body.p, n));
		body = span_from(body, n);
		n = step;
	}
	int verdict = multipart_finish(&m);

	assert_true(r == 0 || verdict == r);
	assert_int_equal(multipart_finish(&m), verdict);
	multipart_done(&m);
	return verdict;
}

static int verdict_of(struct span body)
{
	struct seen seen = {0};
	int r = run("b", body, body.n, 1, &seen);

	buf_done(&seen.log);
	return r;
}

static void assert_reads(const char *body, const char *expected)
{
	struct seen seen = {0};

	assert_int_equal(run("b", span_str(body), strlen(body), 1, &seen), 0);
	assert_string_equal(seen.log.p ? seen.log.p : "", expected);
	buf_done(&seen.log);
}

/* The head of a file's part with this disposition, and what becomes of its name. */
static void assert_filename(struct span disposition, struct span expected)
{
	struct buf body = BUF_INIT, log = BUF_INIT;
	struct seen seen = {0};

	buf_add_str(&body, "--b\r\nContent-Disposition: form-data; name=f; ");
	buf_add_span(&body, disposition);
	buf_add_str(&body, "\r\n\r\nx\r\n--b--");
	assert_int_equal(run("b", buf_span(&body), body.len, 1, &seen), 0);
	buf_add_str(&log, "[f|");
	buf_add_span(&log, expected);
	buf_add_str(&log, "|]x/");
	assert_int_equal(seen.log.len, log.len);
	assert_memory_equal(seen.log.p, log.p, log.len);
	buf_done(&body);
	buf_done(&log);
	buf_done(&seen.log);
}

/* --- the boundary in Content-Type --- */

static int boundary_verdict(const char *type)
{
	struct multipart_boundary b;

	return multipart_boundary(span_str(type), &b);
}

static void boundary_is_taken_from_the_content_type(void **state)
{
	struct multipart_boundary b;

	(void)state;
	assert_int_equal(multipart_boundary(SPAN("multipart/form-data; boundary=abc"), &b), 0);
	assert_string_equal(b.text, "abc");
	assert_int_equal(
		multipart_boundary(SPAN("Multipart/Form-Data ;charset=utf-8; Boundary=\"a b\" ;"),
				   &b),
		0);
	assert_string_equal(b.text, "a b");
	assert_int_equal(b.n, 3);
}

static void unusable_boundaries_are_refused(void **state)
{
	char type[1200] = "multipart/form-data; boundary=";
	size_t n = strlen(type);

	(void)state;
	assert_int_equal(boundary_verdict("multipart/form-data"), -EINVAL);
	assert_int_equal(boundary_verdict("multipart/mixed; boundary=a"), -EINVAL);
	assert_int_equal(boundary_verdict("multipart/form-data; boundary="), -EINVAL);
	assert_int_equal(boundary_verdict("multipart/form-data; boundary=\"\""), -EINVAL);
	assert_int_equal(boundary_verdict("multipart/form-data; boundary=\"a "), -EINVAL);
	assert_int_equal(boundary_verdict("multipart/form-data; boundary=\"a \""), -EINVAL);
	assert_int_equal(boundary_verdict("multipart/form-data; boundary=\"a\r\nb\""), -EINVAL);
	assert_int_equal(boundary_verdict("multipart/form-data; boundary=\"a\\\"b\""), -EINVAL);
	assert_int_equal(boundary_verdict("multipart/form-data; boundary=a; boundary=a"), -EINVAL);
	assert_int_equal(boundary_verdict("multipart/form-data; boundary=a junk"), -EINVAL);
	assert_int_equal(boundary_verdict(""), -EINVAL);
	memset(type + n, 'x', MULTIPART_BOUNDARY_MAX);
	assert_int_equal(boundary_verdict(type), 0);
	memset(type + n, 'x', MULTIPART_BOUNDARY_MAX + 1);
	assert_int_equal(boundary_verdict(type), -EINVAL);
	memset(type + n, 'x', 1000);
	assert_int_equal(boundary_verdict(type), -EINVAL);
}

/* --- any split --- */

/* About 2 KiB: two files, one with almost-boundaries in it, and a text. */
static void make_body(struct buf *body, struct buf *expected)
{
	struct buf first = BUF_INIT, second = BUF_INIT;

	for (int i = 0; i < 70; i++) {
		buf_printf(&first, "line %d\r\n--boundar\r\r\n--", i);
		buf_add_char(&second, (char)(i * 5));
	}
	buf_add_str(&first, "\r\n--boundaryX \r\n--boundary-\r");
	buf_printf(
		body,
		"preamble\r\n--boundary\r\n"
		"Content-Disposition: form-data; name=\"file[]\"; filename=\"a \\\"1\\\".txt\"\r\n"
		"Content-Type: text/plain\r\n\r\n%s\r\n--boundary \t\r\n"
		"content-disposition:form-data;name=text\r\n\r\nhello\r\n--boundary\r\n"
		"Content-Disposition: form-data; name=\"file[]\"; filename=b\r\n\r\n",
		first.p);
	buf_add(body, second.p, second.len);
	buf_add_str(body, "\r\n--boundary--\r\nepilogue");
	buf_printf(expected, "[file[]|a \"1\".txt|text/plain]%s/[text|(none)|]hello/[file[]|b|]",
		   first.p);
	buf_add(expected, second.p, second.len);
	buf_add_char(expected, '/');
	buf_done(&first);
	buf_done(&second);
}

static void every_split_of_the_bytes_gives_the_same_parts(void **state)
{
	struct buf body = BUF_INIT, expected = BUF_INIT;

	(void)state;
	make_body(&body, &expected);
	assert_in_range(body.len, 1800, 2600);
	for (size_t first = 1; first <= body.len; first++) {
		static const size_t steps[] = {1, 7, SIZE_MAX};

		for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
			struct seen seen = {0};

			assert_int_equal(run("boundary", buf_span(&body), first, steps[i], &seen),
					 0);
			assert_int_equal(seen.log.len, expected.len);
			assert_memory_equal(seen.log.p, expected.p, expected.len);
			buf_done(&seen.log);
		}
	}
	buf_done(&body);
	buf_done(&expected);
}

static void a_body_cut_anywhere_before_its_last_boundary_is_malformed(void **state)
{
	struct buf body = BUF_INIT, expected = BUF_INIT;

	(void)state;
	make_body(&body, &expected);
	size_t whole = body.len - strlen("\r\nepilogue");

	for (size_t n = 0; n <= body.len; n++) {
		struct seen seen = {0};

		assert_int_equal(run("boundary", span_of(body.p, n), n ? n : 1, 1, &seen),
				 n < whole ? -EINVAL : 0);
		buf_done(&seen.log);
	}
	buf_done(&body);
	buf_done(&expected);
}

/* --- framing --- */

static void empty_parts_and_bodies_are_read(void **state)
{
	(void)state;
	assert_reads("--b--", "");
	assert_reads("--b--\r\n", "");
	assert_reads("--b\r\n\r\n\r\n--b--", "[|(none)|]/");
}

static void a_part_without_data_may_share_its_line_end_with_the_boundary(void **state)
{
	(void)state;
	assert_reads("--b\r\nContent-Disposition: form-data; name=f\r\n\r\n--b--", "[f|(none)|]/");
	assert_reads("--b\r\nContent-Disposition: form-data; name=f\r\n\r\n\r\n--b--",
		     "[f|(none)|]/");
	assert_reads("--b\r\nContent-Disposition: form-data; name=f\r\n\r\n-\r\n--b--",
		     "[f|(none)|]-/");
	assert_reads("--b\r\nContent-Disposition: form-data; name=f\r\n\r\n--c\r\n--b--",
		     "[f|(none)|]--c/");
}

static void longer_boundaries_inside_are_data(void **state)
{
	(void)state;
	assert_reads("--b\r\nContent-Disposition: form-data; name=f\r\n"
		     "Content-Type: multipart/mixed; boundary=bi\r\n\r\n"
		     "--bi\r\n\r\nx\r\n--bi--\r\n--b-i\r\n--b--",
		     "[f|(none)|multipart/mixed; boundary=bi]"
		     "--bi\r\n\r\nx\r\n--bi--\r\n--b-i/");
}

static void transfer_encodings_are_not_undone(void **state)
{
	(void)state;
	assert_reads("--b\r\nContent-Disposition: form-data; name=f\r\n"
		     "Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--b--",
		     "[f|(none)|]aGVsbG8=/");
}

static void broken_framing_is_refused(void **state)
{
	(void)state;
	assert_int_equal(verdict_of(SPAN("")), -EINVAL);
	assert_int_equal(verdict_of(SPAN("no boundary at all")), -EINVAL);
	assert_int_equal(verdict_of(SPAN("--b")), -EINVAL);
	assert_int_equal(verdict_of(SPAN("--b-")), -EINVAL);
	assert_int_equal(verdict_of(SPAN("--b\r\n--b--")), -EINVAL);
	assert_int_equal(verdict_of(SPAN("--b\rx")), -EINVAL);
	assert_int_equal(verdict_of(SPAN("--b x\r\n")), -EINVAL);
	/* Line feeds alone end no line. */
	assert_int_equal(verdict_of(
				 SPAN("--b\nContent-Disposition: form-data; name=f\n\nx\n--b--")),
			 -EINVAL);
	assert_int_equal(verdict_of(SPAN(
				 "--b\r\nContent-Disposition: form-data; name=f\n\nx\r\n--b--")),
			 -EINVAL);
	assert_int_equal(verdict_of(SPAN(
				 "--b\r\nContent-Disposition: form-data; name=\"f\"\n\nx\r\n\r\n"
				 "\r\n--b--")),
			 -EINVAL);
}

static void broken_heads_are_refused(void **state)
{
	static const char *const heads[] = {
		"no colon",
		": no name",
		"Bad Name: x",
		" folded: first line",
		"Content-Disposition: attachment; name=f",
		"Content-Disposition: form-data; name=\"f",
		"Content-Disposition: form-data; name=f; name=f",
		"Content-Disposition: form-data; name=f; filename=a; filename=b",
		"Content-Disposition: form-data; name=f; filename*=UTF-8''a; filename*=UTF-8''b",
		"Content-Disposition: form-data; name=\"f\" x",
		"Content-Disposition: form-data; name",
		"Content-Disposition: form-data; name=f\r\nContent-Disposition: form-data; name=g",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		struct buf body = BUF_INIT;

		buf_printf(&body, "--b\r\n%s\r\n\r\nx\r\n--b--", heads[i]);
		assert_int_equal(verdict_of(buf_span(&body)), -EINVAL);
		buf_done(&body);
	}
}

static void folded_fields_are_read(void **state)
{
	(void)state;
	assert_reads(
		"--b\r\nContent-Disposition:\r\n form-data;\r\n\tname=f;\r\n filename=a\r\n\r\n"
		"x\r\n--b--",
		"[f|a|]x/");
}

static void a_callbacks_error_ends_it(void **state)
{
	struct seen seen = {.stop_at_part = -EPERM};
	struct span body = SPAN("--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--");

	(void)state;
	assert_int_equal(run("b", body, body.n, 1, &seen), -EPERM);
	assert_int_equal(seen.parts, 2);
	assert_string_equal(seen.log.p, "[|(none)|]1/[|(none)|]");
	buf_done(&seen.log);
}

/* --- names --- */

static void names_come_through_as_they_were_meant(void **state)
{
	(void)state;
	assert_filename(SPAN("filename=\"a.txt\""), SPAN("a.txt"));
	assert_filename(SPAN("filename=\"\""), SPAN(""));
	assert_filename(SPAN("filename=\"a;b=\\\"c\\\"\""), SPAN("a;b=\"c\""));
	assert_filename(SPAN("filename=\"a%22b%0D%0ac%20.txt\""), SPAN("a\"b\r\nc%20.txt"));
	assert_filename(SPAN("filename=\"C:\\dir\\evil.exe\""), SPAN("C:\\dir\\evil.exe"));
	assert_filename(SPAN("filename=\"../../x\""), SPAN("../../x"));
	assert_filename(SPAN("filename=\"a\0b\x1b[2J\n\xff\""), SPAN("a\0b\x1b[2J\n\xff"));
	assert_filename(SPAN("filename*=UTF-8''%e2%82%ac%20.txt"), SPAN("\xe2\x82\xac .txt"));
	assert_filename(SPAN("filename*=iso-8859-1'de'%e4"), SPAN("\xc3\xa4"));
}

static void the_extended_name_wins_where_it_can_be_understood(void **state)
{
	(void)state;
	assert_filename(SPAN("filename=plain; filename*=UTF-8''better"), SPAN("better"));
	assert_filename(SPAN("filename*=UTF-8''better; filename=plain"), SPAN("better"));
	assert_filename(SPAN("filename=plain; filename*=koi8-r''%c1"), SPAN("plain"));
	assert_filename(SPAN("filename*=koi8-r''%c1; filename=plain"), SPAN("plain"));
	assert_filename(SPAN("filename=plain; filename*=nonsense"), SPAN("plain"));
	assert_filename(SPAN("filename=plain; filename*=UTF-8''%zz"), SPAN("plain"));
	/* Without another the bytes are better than nothing. */
	assert_filename(SPAN("filename*=koi8-r''%c1.txt"), SPAN("\xc1.txt"));
	assert_filename(SPAN("filename*=UTF-8''100%-sure.txt"), SPAN("100%-sure.txt"));
	assert_filename(SPAN("filename*=nonsense.txt"), SPAN("nonsense.txt"));
	assert_filename(SPAN("filename*=UTF-8''%zz.txt; filename=plain"), SPAN("plain"));
}

/* --- limits --- */

static void a_parts_head_is_bounded(void **state)
{
	struct buf body = BUF_INIT;

	(void)state;
	buf_add_str(&body, "--b\r\nA: ");
	while (body.len < MULTIPART_HEAD_MAX + 5 - 4) {
		buf_add_char(&body, 'x');
	}
	buf_add_str(&body, "\r\n\r\nx\r\n--b--");
	assert_int_equal(verdict_of(buf_span(&body)), 0);
	buf_clear(&body);
	buf_add_str(&body, "--b\r\nA: ");
	while (body.len < MULTIPART_HEAD_MAX + 5 - 3) {
		buf_add_char(&body, 'x');
	}
	buf_add_str(&body, "\r\n\r\nx\r\n--b--");
	assert_int_equal(verdict_of(buf_span(&body)), -EMSGSIZE);
	buf_clear(&body);
	buf_add_str(&body, "--b\r\nA: ");
	while (body.len < 1024 * 1024) {
		buf_add_char(&body, 'x');
	}
	assert_int_equal(verdict_of(buf_span(&body)), -EMSGSIZE);
	buf_done(&body);
}

static int fields_verdict(unsigned n)
{
	struct buf body = BUF_INIT;

	buf_add_str(&body, "--b\r\n");
	for (unsigned i = 0; i < n; i++) {
		buf_add_str(&body, "A:\r\n");
	}
	buf_add_str(&body, "\r\nx\r\n--b--");
	int r = verdict_of(buf_span(&body));

	buf_done(&body);
	return r;
}

static void fields_of_a_head_are_bounded(void **state)
{
	(void)state;
	assert_int_equal(fields_verdict(MULTIPART_FIELDS_MAX), 0);
	assert_int_equal(fields_verdict(MULTIPART_FIELDS_MAX + 1), -EMSGSIZE);
	assert_int_equal(fields_verdict(10000), -EMSGSIZE);
}

static int parts_verdict(unsigned n)
{
	struct buf body = BUF_INIT;

	for (unsigned i = 0; i < n; i++) {
		buf_add_str(&body, "--b\r\n\r\n\r\n");
	}
	buf_add_str(&body, "--b--");
	int r = verdict_of(buf_span(&body));

	buf_done(&body);
	return r;
}

static void parts_of_a_body_are_bounded(void **state)
{
	(void)state;
	assert_int_equal(parts_verdict(PARTS), 0);
	assert_int_equal(parts_verdict(PARTS + 1), -E2BIG);
	assert_int_equal(parts_verdict(100000), -E2BIG);
}

static int around_verdict(size_t before, size_t padding, size_t after)
{
	struct buf body = BUF_INIT;

	for (size_t i = 0; i < before; i++) {
		buf_add_char(&body, 'p');
	}
	buf_add_str(&body, before ? "\r\n--b" : "--b");
	for (size_t i = 0; i < padding; i++) {
		buf_add_char(&body, ' ');
	}
	buf_add_str(&body, "\r\n\r\nx\r\n--b--");
	for (size_t i = 0; i < after; i++) {
		buf_add_char(&body, 'e');
	}
	int r = verdict_of(buf_span(&body));

	buf_done(&body);
	return r;
}

static void what_nobody_reads_is_bounded(void **state)
{
	(void)state;
	assert_int_equal(around_verdict(MULTIPART_AROUND_MAX, MULTIPART_PADDING_MAX,
					MULTIPART_AROUND_MAX),
			 0);
	assert_int_equal(around_verdict(MULTIPART_AROUND_MAX + 1, 0, 0), -EMSGSIZE);
	assert_int_equal(around_verdict(0, MULTIPART_PADDING_MAX + 1, 0), -EMSGSIZE);
	assert_int_equal(around_verdict(0, 0, MULTIPART_AROUND_MAX + 1), -EMSGSIZE);
}

/* --- time --- */

#define FLOOD_SIZE (64u * 1024 * 1024)

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define LIMIT_SECONDS 10
#else
#define LIMIT_SECONDS 1
#endif

static int count_data(void *ud, struct span bytes)
{
	*(uint64_t *)ud += bytes.n;
	return 0;
}

static int ignore_begin(void *ud, const struct multipart_part *part)
{
	(void)ud;
	(void)part;
	return 0;
}

static int ignore_end(void *ud)
{
	(void)ud;
	return 0;
}

/* CPU seconds to read 64 MiB that repeat the pattern, fed as a socket would. */
static double flood(struct span pattern)
{
	static const struct multipart_ops counting = {ignore_begin, count_data, ignore_end};
	struct multipart_boundary b = boundary_of("----WebKitFormBoundary0123456789abcdef");
	static char piece[64 * 1024];
	struct timespec from, to;
	struct multipart m;
	uint64_t n = 0;

	for (size_t i = 0; i < sizeof(piece); i++) {
		piece[i] = pattern.p[i % pattern.n];
	}
	multipart_init(&m, &b, PARTS, &counting, &n);
	assert_int_equal(multipart_feed(&m,
					SPAN("------WebKitFormBoundary0123456789abcdef\r\n\r\n")),
			 0);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	for (size_t i = 0; i < FLOOD_SIZE; i += sizeof(piece)) {
		assert_int_equal(multipart_feed(&m, span_of(piece, sizeof(piece))), 0);
	}
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	assert_in_range(n, FLOOD_SIZE - 64, FLOOD_SIZE);
	multipart_done(&m);
	return (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
}

/* Figures are for reading (a build without sanitizers); here only that nothing grows worse. */
static void hostile_bytes_take_no_longer_than_a_second(void **state)
{
	static const struct {
		const char *what;
		struct span pattern;
	} floods[] = {
		{"plain", SPAN("plain data of no kind")},
		{"CR", SPAN("\r")},
		{"CRLF", SPAN("\r\n")},
		{"CRLF dashes", SPAN("\r\n--")},
		{"boundary but its last", SPAN("\r\n------WebKitFormBoundary0123456789abcde")},
		{"boundary, other middle", SPAN("\r\n------WebKitFormBoundaryX123456789abcdef")},
		{"boundary and more", SPAN("\r\n------WebKitFormBoundary0123456789abcdefX")},
		{"dashes", SPAN("-")},
		{"random boundary letters", SPAN("\r\n--\r\n------WebKit\r\n-----")},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(floods); i++) {
		double s = flood(floods[i].pattern);

		printf("# %-24s %6.0f MiB/s\n", floods[i].what, 64 / s);
		assert_true(s < LIMIT_SECONDS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(boundary_is_taken_from_the_content_type),
		cmocka_unit_test(unusable_boundaries_are_refused),
		cmocka_unit_test(every_split_of_the_bytes_gives_the_same_parts),
		cmocka_unit_test(a_body_cut_anywhere_before_its_last_boundary_is_malformed),
		cmocka_unit_test(empty_parts_and_bodies_are_read),
		cmocka_unit_test(a_part_without_data_may_share_its_line_end_with_the_boundary),
		cmocka_unit_test(longer_boundaries_inside_are_data),
		cmocka_unit_test(transfer_encodings_are_not_undone),
		cmocka_unit_test(broken_framing_is_refused),
		cmocka_unit_test(broken_heads_are_refused),
		cmocka_unit_test(folded_fields_are_read),
		cmocka_unit_test(a_callbacks_error_ends_it),
		cmocka_unit_test(names_come_through_as_they_were_meant),
		cmocka_unit_test(the_extended_name_wins_where_it_can_be_understood),
		cmocka_unit_test(a_parts_head_is_bounded),
		cmocka_unit_test(fields_of_a_head_are_bounded),
		cmocka_unit_test(parts_of_a_body_are_bounded),
		cmocka_unit_test(what_nobody_reads_is_bounded),
		cmocka_unit_test(hostile_bytes_take_no_longer_than_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
