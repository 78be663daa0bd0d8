/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <signal.h>
#include <strings.h>
#include <sys/wait.h>

#include "proto/base/buf.h"
#include "proto/base/codec.h"
#include "proto/base/error.h"
#include "proto/base/span.h"
#include "proto/base/utf8.h"
#include "unit.h"

/* alloc */

static void allocations_of_nothing_are_something(void **state)
{
	(void)state;
	char *a = xmalloc(0), *b = xcalloc(0, 8), *c = xrealloc(NULL, 0), *d = xmemdup(NULL, 0);

	assert_non_null(a);
	assert_non_null(b);
	assert_non_null(c);
	assert_string_equal(d, "");
	free(a);
	free(b);
	free(c);
	free(d);
}

static void copies_end_in_nul(void **state)
{
	(void)state;
	char *a = xmemdup("abc\0def", 7), *b = xstrdup("abc"), *c = xasprintf("%d-%s", 7, "x");

	assert_memory_equal(a, "abc\0def\0", 8);
	assert_string_equal(b, "abc");
	assert_string_equal(c, "7-x");
	free(a);
	free(b);
	free(c);
}

static void arrays_grow_and_keep_their_content(void **state)
{
	(void)state;
	uint32_t *p = xreallocarray(NULL, 2, sizeof(*p));

	p[0] = 1;
	p[1] = 2;
	p = xreallocarray(p, 1000, sizeof(*p));
	assert_int_equal(p[0], 1);
	assert_int_equal(p[1], 2);
	free(p);
}

static void ask_for_more_than_there_is(void)
{
	volatile size_t much = SIZE_MAX / 2;

	free(xreallocarray(NULL, much, 4));
}

static void an_array_size_that_overflows_ends_the_process(void **state)
{
	(void)state;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		close(STDERR_FILENO);
		ask_for_more_than_there_is();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void taking_a_pointer_empties_its_variable(void **state)
{
	(void)state;
	char *p = xstrdup("x"), *q = take_ptr(p);

	assert_null(p);
	assert_string_equal(q, "x");
	free(q);
}

static void cleanup_closes_and_keeps_errno(void **state)
{
	(void)state;
	int before = unit_open_fds();

	{
		_cleanup_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		_cleanup_close_ int none = -1;
		_cleanup_free_ char *p = xstrdup("freed at the end of the block");

		assert_true(fd >= 0 && none < 0 && p);
		errno = EXDEV;
	}
	assert_int_equal(errno, EXDEV);
	assert_int_equal(unit_open_fds(), before);
}

static void a_closed_descriptor_is_forgotten(void **state)
{
	(void)state;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	close_fdp(&fd);
	assert_int_equal(fd, -1);

	/* The number is another file's now: closing twice must not take it away. */
	_cleanup_close_ int other = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(other >= 0);
	close_fdp(&fd);
	assert_int_equal(fcntl(other, F_GETFD), FD_CLOEXEC);
}

static void container_of_finds_the_whole(void **state)
{
	(void)state;
	struct whole {
		int a;
		struct {
			int x;
		} part;
	} w = {1, {2}};

	assert_ptr_equal(container_of(&w.part.x, struct whole, part.x), &w);
}

/* span */

static void spans_compare_by_bytes(void **state)
{
	(void)state;
	assert_true(span_eq(SPAN("a\0b"), span_of("a\0b", 3)));
	assert_false(span_eq(SPAN("a\0b"), SPAN("a\0c")));
	assert_false(span_eq(SPAN("a"), SPAN("ab")));
	assert_true(span_eq(SPAN_NONE, SPAN("")));
	assert_true(span_eq(span_str(NULL), SPAN_NONE));
}

static void case_is_ignored_for_ascii_only(void **state)
{
	(void)state;
	assert_true(span_eq_ci(SPAN("Content-LENGTH"), SPAN("content-length")));
	assert_false(span_eq_ci(SPAN("abc"), SPAN("abcd")));
	/* 0x20 apart, but no letters. */
	assert_false(span_eq_ci(SPAN("@"), SPAN("`")));
	assert_false(span_eq_ci(SPAN("["), SPAN("{")));
	assert_false(span_eq_ci(SPAN("\xc3\x84"), SPAN("\xc3\xa4")));
}

static void prefixes_and_suffixes(void **state)
{
	(void)state;
	assert_true(span_starts(SPAN("bytes=0-"), SPAN("bytes=")));
	assert_true(span_starts(SPAN("x"), SPAN_NONE));
	assert_false(span_starts(SPAN("byte"), SPAN("bytes")));
	assert_true(span_ends(SPAN("a.tar.gz"), SPAN(".gz")));
	assert_false(span_ends(SPAN("gz"), SPAN(".gz")));
	assert_true(span_ends(SPAN_NONE, SPAN_NONE));
}

static void trimming_takes_blanks_at_both_ends(void **state)
{
	(void)state;
	assert_true(span_eq(span_trim(SPAN(" \t a b\t ")), SPAN("a b")));
	assert_true(span_eq(span_trim(SPAN(" \t ")), SPAN_NONE));
	assert_true(span_eq(span_trim(SPAN("\r\nx")), SPAN("\r\nx")));
	assert_true(span_eq(span_trim(SPAN_NONE), SPAN_NONE));
}

static void cutting_walks_through_a_list(void **state)
{
	(void)state;
	struct span s = SPAN("a,,b");

	assert_true(span_eq(span_cut(&s, ','), SPAN("a")));
	assert_true(span_eq(span_cut(&s, ','), SPAN("")));
	assert_non_null(s.p);
	assert_true(span_eq(span_cut(&s, ','), SPAN("b")));
	assert_null(s.p);
	assert_int_equal(s.n, 0);
	assert_true(span_eq(span_cut(&s, ','), SPAN_NONE));

	s = SPAN("a,");
	span_cut(&s, ',');
	assert_non_null(s.p); /* an empty last item is not the end */
	assert_int_equal(s.n, 0);
}

static void an_offset_beyond_the_end_leaves_nothing(void **state)
{
	(void)state;
	assert_true(span_eq(span_from(SPAN("abc"), 1), SPAN("bc")));
	assert_int_equal(span_from(SPAN("abc"), 3).n, 0);
	assert_int_equal(span_from(SPAN("abc"), 99).n, 0);
}

static void numbers_are_digits_and_in_range(void **state)
{
	(void)state;
	static const char *const refused[] = {"", "-1", "+1", " 1", "1 ", "0x1", "1.0", "1e3", "١"};
	uint64_t v = 7;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		assert_int_equal(span_u64(span_str(refused[i]), UINT64_MAX, &v), -EINVAL);
	}
	assert_int_equal(span_u64(SPAN("18446744073709551616"), UINT64_MAX, &v), -ERANGE);
	assert_int_equal(span_u64(SPAN("99999999999999999999999"), UINT64_MAX, &v), -ERANGE);
	assert_int_equal(span_u64(SPAN("101"), 100, &v), -ERANGE);
	assert_int_equal(v, 7); /* written on success only */
	/* What is no number stays that, however long its beginning is. */
	assert_int_equal(span_u64(SPAN("99999999999999999999999x"), 10, &v), -EINVAL);
	assert_int_equal(span_u64(SPAN("18446744073709551615"), UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(span_u64(SPAN("000100"), 100, &v), 0);
	assert_int_equal(v, 100);
}

/* buf */

static void a_buffer_grows_and_stays_a_string(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	char expected[3001];

	for (int i = 0; i < 1000; i++) {
		buf_add_str(&b, "a");
		buf_add_char(&b, 'b');
		buf_add_span(&b, SPAN("c"));
		assert_int_equal(b.p[b.len], '\0');
	}
	for (int i = 0; i < 3000; i++) {
		expected[i] = "abc"[i % 3];
	}
	expected[3000] = '\0';
	assert_int_equal(b.len, 3000);
	assert_string_equal(b.p, expected);
	buf_done(&b);
	assert_null(b.p);
	buf_done(&b);
}

static void a_cleared_buffer_is_an_empty_string(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;

	buf_clear(&b); /* of one that never had a byte */
	buf_add_str(&b, "abc");
	buf_clear(&b);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.p, "");
	buf_done(&b);
}

static void reserved_room_can_be_written(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	char *at = buf_reserve(&b, 5000);

	assert_string_equal(b.p, "");
	memset(at, 'x', 5000);
	b.len += 5000;
	buf_add_str(&b, "y");
	assert_int_equal(b.len, 5001);
	assert_int_equal(b.p[4999], 'x');
	assert_string_equal(b.p + 5000, "y");
	buf_done(&b);
}

static void printing_appends(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;

	buf_printf(&b, "%s", "");
	assert_true(buf_span(&b).n == 0);
	buf_printf(&b, "%d %s", 42, "x");
	buf_printf(&b, "/%05d", 7);
	assert_string_equal(b.p, "42 x/00007");
	buf_wipe(&b);
	assert_null(b.p);
	buf_wipe(&b);
}

static void consuming_drops_the_front(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;

	buf_consume(&b, 0);
	buf_add_str(&b, "abcdef");
	buf_consume(&b, 0);
	assert_string_equal(b.p, "abcdef");
	buf_consume(&b, 2);
	assert_string_equal(b.p, "cdef");
	buf_consume(&b, 99);
	assert_string_equal(b.p, "");
	assert_int_equal(b.len, 0);
	buf_done(&b);
}

static void taking_gives_a_string_also_of_nothing(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	char *empty = buf_take(&b);

	assert_string_equal(empty, "");
	buf_add(&b, "x\0y", 3);
	char *p = buf_take(&b);

	assert_memory_equal(p, "x\0y\0", 4);
	assert_null(b.p);
	assert_int_equal(b.len, 0);
	free(p);
	free(empty);
}

/* codec: the vectors of RFC 4648 section 10, without padding for base32 */

static const struct {
	const char *plain, *base32, *base64, *hex;
} vectors[] = {
	{"", "", "", ""},
	{"f", "MY", "Zg==", "66"},
	{"fo", "MZXQ", "Zm8=", "666f"},
	{"foo", "MZXW6", "Zm9v", "666f6f"},
	{"foob", "MZXW6YQ", "Zm9vYg==", "666f6f62"},
	{"fooba", "MZXW6YTB", "Zm9vYmE=", "666f6f6261"},
	{"foobar", "MZXW6YTBOI", "Zm9vYmFy", "666f6f626172"},
};

static void rfc_4648_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		const uint8_t *plain = (const uint8_t *)vectors[i].plain;
		size_t n = strlen(vectors[i].plain);
		char text[32];
		uint8_t bytes[8];

		base32_encode(plain, n, text);
		assert_string_equal(text, vectors[i].base32);
		assert_int_equal(strlen(text), BASE32_LEN(n));
		assert_int_equal(base32_decode(span_str(text), bytes, n), 0);
		assert_memory_equal(bytes, plain, n);
		base32_encode_lower(plain, n, text);
		assert_int_equal(strcasecmp(text, vectors[i].base32), 0);
		assert_int_equal(base32_decode(span_str(text), bytes, n), 0);
		assert_memory_equal(bytes, plain, n);
		base64_encode(plain, n, text);
		assert_string_equal(text, vectors[i].base64);
		assert_int_equal(strlen(text), BASE64_LEN(n));
		assert_int_equal(base64_decode(span_str(text), bytes, n), 0);
		assert_memory_equal(bytes, plain, n);
		text[strcspn(text, "=")] = '\0';
		assert_int_equal(base64_decode(span_str(text), bytes, n), 0);
		assert_memory_equal(bytes, plain, n);
		hex_encode(plain, n, text);
		assert_string_equal(text, vectors[i].hex);
		assert_int_equal(hex_decode(span_str(text), bytes, n), 0);
		assert_memory_equal(bytes, plain, n);
	}
}

static void every_byte_survives_each_code(void **state)
{
	(void)state;
	for (size_t n = 0; n <= 64; n++) {
		uint8_t in[64], out[64];
		char text[130];

		for (size_t i = 0; i < n; i++) {
			in[i] = (uint8_t)(i * 89 + n * 31);
		}
		base32_encode_lower(in, n, text);
		assert_int_equal(base32_decode(span_str(text), out, n), 0);
		assert_memory_equal(in, out, n);
		base64_encode(in, n, text);
		assert_int_equal(base64_decode(span_str(text), out, n), 0);
		assert_memory_equal(in, out, n);
		hex_encode(in, n, text);
		assert_int_equal(hex_decode(span_str(text), out, n), 0);
		assert_memory_equal(in, out, n);
	}
}

static void decoding_is_strict(void **state)
{
	(void)state;
	uint8_t b[8];

	assert_int_equal(base32_decode(SPAN("MZXW6YQ="), b, 4), -EINVAL);
	assert_int_equal(base32_decode(SPAN("MZXW6Y"), b, 4), -EINVAL);
	assert_int_equal(base32_decode(SPAN("MZXW6YQQ"), b, 4), -EINVAL);
	assert_int_equal(base32_decode(SPAN("M0"), b, 1), -EINVAL);
	assert_int_equal(base32_decode(SPAN("M1"), b, 1), -EINVAL);
	assert_int_equal(base32_decode(SPAN("M8"), b, 1), -EINVAL);
	assert_int_equal(base32_decode(SPAN("M\0"), b, 1), -EINVAL);
	/* MY and MZ would both be "f" if the two bits left over did not count. */
	assert_int_equal(base32_decode(SPAN("MZ"), b, 1), -EINVAL);
	assert_int_equal(base64_decode(SPAN("Zh=="), b, 1), -EINVAL);
	assert_int_equal(base64_decode(SPAN("Zg="), b, 1), -EINVAL);
	assert_int_equal(base64_decode(SPAN("Zg==="), b, 1), -EINVAL);
	assert_int_equal(base64_decode(SPAN("Z==="), b, 1), -EINVAL);
	assert_int_equal(base64_decode(SPAN("===="), b, 1), -EINVAL);
	assert_int_equal(base64_decode(SPAN("Zm9v\n"), b, 3), -EINVAL);
	assert_int_equal(base64_decode(SPAN("Zm9-"), b, 3), -EINVAL);
	assert_int_equal(base64_decode(SPAN("Zm9v"), b, 4), -EINVAL);
	assert_int_equal(hex_decode(SPAN("6"), b, 1), -EINVAL);
	assert_int_equal(hex_decode(SPAN("6g"), b, 1), -EINVAL);
	assert_int_equal(hex_decode(SPAN("666"), b, 1), -EINVAL);
	assert_int_equal(hex_decode(SPAN("fF"), b, 1), 0);
	assert_int_equal(b[0], 0xff);
}

/* utf8 */

static void well_formed_utf8_is_decoded(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint32_t c;
		size_t n;
	} good[] = {
		{"A", 'A', 1},
		{"\x7f", 0x7f, 1},
		{"\xc2\x80", 0x80, 2},
		{"\xdf\xbf", 0x7ff, 2},
		{"\xe0\xa0\x80", 0x800, 3},
		{"\xed\x9f\xbf", 0xd7ff, 3},
		{"\xee\x80\x80", 0xe000, 3},
		{"\xef\xbf\xbf", 0xffff, 3},
		{"\xf0\x90\x80\x80", 0x10000, 4},
		{"\xf4\x8f\xbf\xbf", 0x10ffff, 4},
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		uint32_t c = 0;

		assert_int_equal(utf8_decode(span_str(good[i].text), &c), good[i].n);
		assert_int_equal(c, good[i].c);
		/* Any prefix of it is not a character. */
		for (size_t n = 0; n < good[i].n; n++) {
			assert_int_equal(utf8_decode(span_of(good[i].text, n), &c), 0);
		}
		assert_true(utf8_valid(span_str(good[i].text)));
	}
	assert_true(utf8_valid(SPAN("")));
	assert_true(utf8_valid(SPAN("a\0\xc3\xa4")));
}

static void malformed_utf8_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"\x80", /* a continuation alone */
		"\xbf",
		"\xc0\x80", /* overlong NUL */
		"\xc1\xbf",
		"\xe0\x80\x80",
		"\xe0\x9f\xbf",
		"\xf0\x80\x80\x80",
		"\xf0\x8f\xbf\xbf",
		"\xed\xa0\x80", /* surrogates */
		"\xed\xbf\xbf",
		"\xf4\x90\x80\x80", /* above U+10FFFF */
		"\xf5\x80\x80\x80",
		"\xf8\x88\x80\x80\x80", /* five bytes */
		"\xfe",
		"\xff",
		"\xc3"
		"A",
		"\xe2\x82"
		"A",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint32_t c;

		assert_int_equal(utf8_decode(span_str(bad[i]), &c), 0);
		assert_false(utf8_valid(span_str(bad[i])));
	}
	assert_false(utf8_valid(SPAN("fine until \xff")));
}

/* The same judgement as utf8_decode, character by character. */
static bool decodes(struct span s)
{
	while (s.n) {
		uint32_t c;
		size_t n = utf8_decode(s, &c);

		if (n == 0) {
			return false;
		}
		s = span_from(s, n);
	}
	return true;
}

static bool feeds(struct span a, struct span b)
{
	struct utf8_state st = {0};

	return utf8_feed(&st, a) && utf8_feed(&st, b) && st.need == 0;
}

static void utf8_is_judged_alike_in_pieces(void **state)
{
	(void)state;
	static const unsigned char edges[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90,
					      0x9f, 0xa0, 0xbf, 0xc0, 0xff};
	const size_t n_edges = ARRAY_SIZE(edges), tails = n_edges * n_edges;

	for (unsigned i = 0; i < 0x10000; i++) {
		for (size_t k = 0; k < tails; k++) {
			const char text[4] = {(char)(i >> 8), (char)i, (char)edges[k % n_edges],
					      (char)edges[k / n_edges]};
			size_t n = 1 + k % 4, cut = k % (n + 1);

			if (feeds(span_of(text, cut), span_of(text + cut, n - cut)) !=
			    decodes(span_of(text, n))) {
				fail_msg("%08x, %zu bytes, cut at %zu", i, n, cut);
			}
		}
	}
}

/* Nothing that follows could mend these. */
static void hopeless_utf8_is_noticed_at_once(void **state)
{
	(void)state;
	static const char *const text[] = {
		"\xc0",     "\xff",         "\xe0\x80",
		"\xed\xa0", "\xf0\x8f",     "\xf4\x90",
		"\xf5",     "abcdefgh\x80", "\xce\xba\xe1\xbd\xb9\xf4\x90"};

	for (size_t i = 0; i < ARRAY_SIZE(text); i++) {
		struct utf8_state st = {0};
		struct span s = span_str(text[i]);

		assert_true(utf8_feed(&st, span_of(s.p, s.n - 1)));
		assert_false(utf8_feed(&st, span_from(s, s.n - 1)));
	}
}

static void what_hides_or_turns_is_deceptive(void **state)
{
	(void)state;
	static const uint32_t deceptive[] = {
		0,      0x1b,   0x1f,   0x7f,   0x80,   0x9b,    0x9f,    0xad,
		0x61c,  0x200b, 0x200f, 0x2028, 0x2029, 0x202a,  0x202e,  0x2060,
		0x2066, 0x2069, 0x3164, 0xfeff, 0xffa0, 0xe0041, 0xe0100,
	};
	static const uint32_t plain[] = {' ', '~', 0xa0, 0xe4, 0x3b1, 0x4e2d, 0x1f9c5, 0x10ffff};

	for (size_t i = 0; i < ARRAY_SIZE(deceptive); i++) {
		assert_true(utf8_is_deceptive(deceptive[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
		assert_false(utf8_is_deceptive(plain[i]));
	}
}

static char *escaped(struct span s)
{
	struct buf b = BUF_INIT;

	utf8_escape(&b, s);
	return buf_take(&b);
}

static void escaping_shows_what_would_be_obeyed(void **state)
{
	(void)state;
	static const struct {
		struct span in;
		const char *out;
	} cases[] = {
		{{"plain \xc3\xa4 \\n", 11}, "plain \xc3\xa4 \\n"},
		{{"\x1b[2J\x07", 5}, "\\x1b[2J\\x07"},
		{{"\x1b]0;title\x07", 10}, "\\x1b]0;title\\x07"},
		{{"\xc2\x9b"
		  "31m",
		  5},
		 "\\x9b31m"}, /* CSI as one character of C1 */
		{{"a\0b\n", 4}, "a\\x00b\\x0a"},
		{{"\xff\xfe", 2}, "\\xff\\xfe"},
		{{"\xe2\x80\xae"
		  "gpj.exe",
		  10},
		 "\\u{202e}gpj.exe"},
		{{"\xf3\xa0\x81\x81", 4}, "\\u{e0041}"},
		{{"", 0}, ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *out = escaped(cases[i].in);

		assert_string_equal(out, cases[i].out);
		free(out);
	}
}

static void lossy_text_is_always_valid(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;

	utf8_lossy(&b, SPAN("a\xff\xc3\xa4\xe2\x82z"));
	assert_string_equal(b.p, "a\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\xef\xbf\xbdz");
	assert_true(utf8_valid(buf_span(&b)));
	buf_done(&b);
}

static void every_two_bytes_come_out_harmless(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 0x10000; i++) {
		char in[2] = {(char)(i >> 8), (char)i};
		struct buf b = BUF_INIT;

		utf8_escape(&b, span_of(in, 2));
		assert_true(utf8_valid(buf_span(&b)));
		for (struct span s = buf_span(&b); s.n;) {
			uint32_t c;
			size_t n = utf8_decode(s, &c);

			assert_false(utf8_is_deceptive(c));
			s = span_from(s, n);
		}
		buf_done(&b);
	}
}

/* error */

static void an_error_carries_its_text_and_code(void **state)
{
	(void)state;
	_cleanup_error_ struct error e = ERROR_INIT;

	assert_string_equal(error_text(&e), "unknown error");
	assert_int_equal(error_set(&e, ENOENT, "no %s", "file"), -ENOENT);
	assert_int_equal(e.code, ENOENT);
	assert_int_equal(e.kind, ERROR_INTERNAL);
	assert_string_equal(error_text(&e), "no file");
	assert_int_equal(error_context(&e, "while reading %d", 3), -ENOENT);
	assert_string_equal(error_text(&e), "while reading 3: no file");
	/* Its own text may be part of the new one. */
	assert_int_equal(error_set(&e, EIO, "again: %s", error_text(&e)), -EIO);
	assert_string_equal(error_text(&e), "again: while reading 3: no file");
}

static void a_kind_brings_parameters_of_its_own(void **state)
{
	(void)state;
	_cleanup_error_ struct error e = ERROR_INIT;
	char field[] = "port";

	assert_int_equal(error_set_kind(&e, EINVAL, ERROR_INVALID_VALUE, field, "too large",
					"%s is too large", field),
			 -EINVAL);
	field[0] = 'X';
	assert_int_equal(e.kind, ERROR_INVALID_VALUE);
	assert_string_equal(e.param[0], "port");
	assert_string_equal(e.param[1], "too large");
	assert_int_equal(error_set_kind(&e, ENOENT, ERROR_NO_SUCH_SERVICE, e.param[0], NULL,
					"none"),
			 -ENOENT);
	assert_string_equal(e.param[0], "port");
	assert_null(e.param[1]);
}

static void an_error_nobody_wants_is_still_a_code(void **state)
{
	(void)state;
	assert_int_equal(error_set(NULL, EPERM, "x"), -EPERM);
	assert_int_equal(error_set_kind(NULL, EPERM, ERROR_TIMEOUT, "a", "b", "x"), -EPERM);
	struct error from = ERROR_INIT;

	error_set(&from, EIO, "freed");
	error_move(NULL, &from);
	assert_null(from.text);
}

static void errors_move_and_copy(void **state)
{
	(void)state;
	_cleanup_error_ struct error a = ERROR_INIT, b = ERROR_INIT, c = ERROR_INIT;

	error_set_kind(&a, EBUSY, ERROR_NAME_IN_USE, "x", NULL, "x is in use");
	error_set(&b, EIO, "replaced");
	error_move(&b, &a);
	assert_null(a.text);
	assert_int_equal(a.code, 0);
	assert_string_equal(error_text(&b), "x is in use");
	error_copy(&c, &b);
	assert_ptr_not_equal(c.text, b.text);
	assert_string_equal(c.text, b.text);
	assert_string_equal(c.param[0], "x");
	assert_int_equal(c.kind, ERROR_NAME_IN_USE);
	error_done(&b);
	b.code = ENOSPC;
	assert_string_equal(error_text(&b), strerror(ENOSPC));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allocations_of_nothing_are_something),
		cmocka_unit_test(copies_end_in_nul),
		cmocka_unit_test(arrays_grow_and_keep_their_content),
		cmocka_unit_test(an_array_size_that_overflows_ends_the_process),
		cmocka_unit_test(taking_a_pointer_empties_its_variable),
		cmocka_unit_test(cleanup_closes_and_keeps_errno),
		cmocka_unit_test(a_closed_descriptor_is_forgotten),
		cmocka_unit_test(container_of_finds_the_whole),
		cmocka_unit_test(spans_compare_by_bytes),
		cmocka_unit_test(case_is_ignored_for_ascii_only),
		cmocka_unit_test(prefixes_and_suffixes),
		cmocka_unit_test(trimming_takes_blanks_at_both_ends),
		cmocka_unit_test(cutting_walks_through_a_list),
		cmocka_unit_test(an_offset_beyond_the_end_leaves_nothing),
		cmocka_unit_test(numbers_are_digits_and_in_range),
		cmocka_unit_test(a_buffer_grows_and_stays_a_string),
		cmocka_unit_test(a_cleared_buffer_is_an_empty_string),
		cmocka_unit_test(reserved_room_can_be_written),
		cmocka_unit_test(printing_appends),
		cmocka_unit_test(consuming_drops_the_front),
		cmocka_unit_test(taking_gives_a_string_also_of_nothing),
		cmocka_unit_test(rfc_4648_vectors),
		cmocka_unit_test(every_byte_survives_each_code),
		cmocka_unit_test(decoding_is_strict),
		cmocka_unit_test(well_formed_utf8_is_decoded),
		cmocka_unit_test(malformed_utf8_is_refused),
		cmocka_unit_test(utf8_is_judged_alike_in_pieces),
		cmocka_unit_test(hopeless_utf8_is_noticed_at_once),
		cmocka_unit_test(what_hides_or_turns_is_deceptive),
		cmocka_unit_test(escaping_shows_what_would_be_obeyed),
		cmocka_unit_test(lossy_text_is_always_valid),
		cmocka_unit_test(every_two_bytes_come_out_harmless),
		cmocka_unit_test(an_error_carries_its_text_and_code),
		cmocka_unit_test(a_kind_brings_parameters_of_its_own),
		cmocka_unit_test(an_error_nobody_wants_is_still_a_code),
		cmocka_unit_test(errors_move_and_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
