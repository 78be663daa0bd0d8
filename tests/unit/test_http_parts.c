/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Paths, ranges, conditions, chunks and content types: the pure parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after those */
#include <cmocka.h>

#include "http/accept.h"
#include "http/chunk.h"
#include "http/cond.h"
#include "http/mime.h"
#include "http/path.h"
#include "http/range.h"
#include "http/server.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"

/* --- paths --- */

static void good_paths_are_decoded_once(void **state)
{
	static const struct {
		struct span raw, path;
	} good[] = {
		{SPAN("/"), SPAN("/")},
		{SPAN("/a/b"), SPAN("/a/b")},
		{SPAN("/a/"), SPAN("/a/")},
		{SPAN("/%41%7a%2D"), SPAN("/Az-")},
		{SPAN("/%252e%252e"), SPAN("/%2e%2e")},
		{SPAN("/a%20b+c"), SPAN("/a b+c")},
		{SPAN("/%ff%c3%a4"), SPAN("/\xff\xc3\xa4")},
		{SPAN("/%0a"), SPAN("/\n")},
		{SPAN("/..."), SPAN("/...")},
		{SPAN("/..a/b.."), SPAN("/..a/b..")},
		{SPAN("/.hidden"), SPAN("/.hidden")},
		{SPAN("/..;/"), SPAN("/..;/")},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		int n = http_path_decode(good[i].raw, out);

		assert_true(n > 0 && span_eq(span_of(out, (size_t)n), good[i].path));
		assert_int_equal(out[n], '\0');
	}
}

static void tricky_paths_are_not_found(void **state)
{
	static const struct span bad[] = {
		SPAN(""),       SPAN("a"),        SPAN("/%"),          SPAN("/%4"),
		SPAN("/%4g"),   SPAN("/%g4"),     SPAN("/%%41"),       SPAN("/a%00b"),
		SPAN("/a%2fb"), SPAN("/a%2Fb"),   SPAN("/a%5cb"),      SPAN("/a%5Cb"),
		SPAN("/a\\b"),  SPAN("/."),       SPAN("/.."),         SPAN("/./a"),
		SPAN("/../a"),  SPAN("/a/.."),    SPAN("/a/."),        SPAN("/a/../b"),
		SPAN("/%2e"),   SPAN("/%2e%2e/"), SPAN("/.%2E/a"),     SPAN("/a/%2e%2e"),
		SPAN("//"),     SPAN("//a"),      SPAN("/a//b"),       SPAN("/a//"),
		SPAN("/a\0b"),  SPAN("/..%2f.."), SPAN("/%2e%2e%5ca"),
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (http_path_decode(bad[i], out) >= 0) {
			fail_msg("accepted: " SPAN_FMT, SPAN_ARG(bad[i]));
		}
	}
}

/* --- ranges --- */

static void each_range_is_resolved(void **state)
{
	static const struct {
		struct span value;
		uint64_t length;
		enum http_range_result result;
		uint64_t offset, n;
	} cases[] = {
		{SPAN("bytes=0-0"), 10, HTTP_RANGE_PART, 0, 1},
		{SPAN("bytes=0-"), 10, HTTP_RANGE_PART, 0, 10},
		{SPAN("bytes=9-9"), 10, HTTP_RANGE_PART, 9, 1},
		{SPAN("bytes=9-"), 10, HTTP_RANGE_PART, 9, 1},
		{SPAN("bytes=3-5"), 10, HTTP_RANGE_PART, 3, 3},
		{SPAN("bytes=3-99"), 10, HTTP_RANGE_PART, 3, 7},
		{SPAN("bytes=0-18446744073709551615"), 10, HTTP_RANGE_PART, 0, 10},
		{SPAN("bytes=0-99999999999999999999999999"), 10, HTTP_RANGE_PART, 0, 10},
		{SPAN("Bytes=1-1"), 10, HTTP_RANGE_PART, 1, 1},
		{SPAN("bytes=-1"), 10, HTTP_RANGE_PART, 9, 1},
		{SPAN("bytes=-10"), 10, HTTP_RANGE_PART, 0, 10},
		{SPAN("bytes=-99"), 10, HTTP_RANGE_PART, 0, 10},
		{SPAN("bytes=, 1-2 ,"), 10, HTTP_RANGE_PART, 1, 2},
		{SPAN("bytes=106300440576-"), 107374182400, HTTP_RANGE_PART, 106300440576,
		 1073741824},
		{SPAN("bytes=10-"), 10, HTTP_RANGE_UNSATISFIABLE, 0, 0},
		{SPAN("bytes=10-20"), 10, HTTP_RANGE_UNSATISFIABLE, 0, 0},
		{SPAN("bytes=99999999999999999999999-"), 10, HTTP_RANGE_UNSATISFIABLE, 0, 0},
		{SPAN("bytes=-0"), 10, HTTP_RANGE_UNSATISFIABLE, 0, 0},
		{SPAN("bytes=0-"), 0, HTTP_RANGE_UNSATISFIABLE, 0, 0},
		{SPAN("bytes=0-0"), 0, HTTP_RANGE_UNSATISFIABLE, 0, 0},
		{SPAN("bytes=-1"), 0, HTTP_RANGE_WHOLE, 0, 0},
		{SPAN("bytes=0-0,2-3"), 10, HTTP_RANGE_WHOLE, 0, 0},
		{SPAN("bytes=0-3,4-6"), 10, HTTP_RANGE_PART, 0, 7},
		{SPAN("bytes=4-6,0-3"), 10, HTTP_RANGE_PART, 0, 7},
		{SPAN("bytes=0-8,2-3,-2"), 10, HTTP_RANGE_PART, 0, 10},
		{SPAN("bytes=5-,0-4"), 10, HTTP_RANGE_PART, 0, 10},
		{SPAN("bytes=2-3,2-3"), 10, HTTP_RANGE_PART, 2, 2},
		{SPAN("bytes=1-2,99-"), 10, HTTP_RANGE_PART, 1, 2},
		{SPAN("bytes=99-,50-60"), 10, HTTP_RANGE_UNSATISFIABLE, 0, 0},
		{SPAN("bytes=1-2,5-4"), 10, HTTP_RANGE_WHOLE, 0, 0},
		{SPAN("bytes=0-0,-1"), 10, HTTP_RANGE_WHOLE, 0, 0},
		{SPAN("bytes=0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9"), 10,
		 HTTP_RANGE_PART, 0, 10},
		{SPAN("bytes=0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9"),
		 10, HTTP_RANGE_WHOLE, 0, 0},
		{SPAN("bytes=5-3"), 10, HTTP_RANGE_WHOLE, 0, 0},
		{SPAN("bytes=-"), 10, HTTP_RANGE_WHOLE, 0, 0},
		{SPAN("bytes=--1"), 10, HTTP_RANGE_WHOLE, 0, 0},
		{SPAN("bytes=1"), 10, HTTP_RANGE_WHOLE, 0, 0},
		{SPAN("bytes=a-b"), 10, HTTP_RANGE_WHOLE, 0, 0},
		{SPAN("bytes=1-2x"), 10, HTTP_RANGE_WHOLE, 0, 0},
		{SPAN("bytes=+1-2"), 10, HTTP_RANGE_WHOLE, 0, 0},
		{SPAN("bytes="), 10, HTTP_RANGE_WHOLE, 0, 0},
		{SPAN("bytes"), 10, HTTP_RANGE_WHOLE, 0, 0},
		{SPAN("bytes =0-1"), 10, HTTP_RANGE_WHOLE, 0, 0},
		{SPAN("items=0-1"), 10, HTTP_RANGE_WHOLE, 0, 0},
		{SPAN(""), 10, HTTP_RANGE_WHOLE, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t offset = 0, n = 0;
		enum http_range_result r =
			http_range_parse(cases[i].value, cases[i].length, &offset, &n);

		if (r != cases[i].result ||
		    (r == HTTP_RANGE_PART && (offset != cases[i].offset || n != cases[i].n))) {
			fail_msg("range " SPAN_FMT, SPAN_ARG(cases[i].value));
		}
	}
}

static void a_thousand_ranges_are_the_whole(void **state)
{
	struct buf b = BUF_INIT;
	uint64_t offset, n;

	(void)state;
	buf_add_str(&b, "bytes=0-0");
	for (int i = 0; i < 1000; i++) {
		buf_printf(&b, ",%d-%d", i, i + 5);
	}
	assert_int_equal(http_range_parse(buf_span(&b), 5000, &offset, &n), HTTP_RANGE_WHOLE);
	buf_done(&b);
}

/* --- conditions --- */

static void entity_tags_are_compared(void **state)
{
	static const struct {
		struct span list, etag;
		bool weak_matches, strong_matches;
	} cases[] = {
		{SPAN("\"a\""), SPAN("\"a\""), true, true},
		{SPAN("\"b\""), SPAN("\"a\""), false, false},
		{SPAN("W/\"a\""), SPAN("\"a\""), true, false},
		{SPAN("\"a\""), SPAN("W/\"a\""), true, false},
		{SPAN("*"), SPAN("\"a\""), true, true},
		{SPAN(" * "), SPAN("\"a\""), true, true},
		{SPAN("\"b\", W/\"c\" ,\"a\""), SPAN("\"a\""), true, true},
		{SPAN(",,\"a\","), SPAN("\"a\""), true, true},
		{SPAN("\"a,b\""), SPAN("\"a,b\""), true, true},
		{SPAN("\"\""), SPAN("\"\""), true, true},
		{SPAN("a"), SPAN("\"a\""), false, false},
		{SPAN("\"a"), SPAN("\"a\""), false, false},
		{SPAN("w/\"a\""), SPAN("\"a\""), false, false},
		{SPAN("\"a\"x"), SPAN("\"a\""), false, false},
		{SPAN("\"x\" \"a\""), SPAN("\"a\""), false, false},
		{SPAN(""), SPAN("\"a\""), false, false},
		{SPAN("*"), SPAN_NONE, true, true},
		{SPAN("\"a\""), SPAN_NONE, false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(http_cond_list_matches(cases[i].list, cases[i].etag, false),
				 cases[i].weak_matches);
		assert_int_equal(http_cond_list_matches(cases[i].list, cases[i].etag, true),
				 cases[i].strong_matches);
	}
}

/* --- codings --- */

static void each_weight_of_a_coding_counts(void **state)
{
	static const struct {
		struct span value;
		unsigned br, gzip, none;
	} cases[] = {
		{{NULL, 0}, 0, 0, 1},
		{SPAN(""), 0, 0, 1},
		{SPAN("gzip"), 0, 1000, 1},
		{SPAN("gzip, deflate, br"), 1000, 1000, 1},
		{SPAN("GZIP;Q=0.5"), 0, 500, 1},
		{SPAN("x-gzip"), 0, 1000, 1},
		{SPAN("gzip;q=0"), 0, 0, 1},
		{SPAN("gzip;q=0.000, br ; q=0.123"), 123, 0, 1},
		{SPAN("gzip; q=1.000"), 0, 1000, 1},
		{SPAN("gzip;q=0."), 0, 0, 1},
		{SPAN("*"), 1000, 1000, 1},
		{SPAN("*;q=0"), 0, 0, 0},
		{SPAN("identity;q=0"), 0, 0, 0},
		{SPAN("identity, *;q=0"), 0, 0, 1000},
		{SPAN("gzip;q=0.5, identity;q=0.8"), 0, 500, 800},
		{SPAN("br;q=0.2, *;q=0.3"), 200, 300, 1},
		{SPAN(" , ,gzip,, "), 0, 1000, 1},
		/* malformed: as if not said */
		{SPAN("gzip;q=1.001"), 0, 0, 1},
		{SPAN("gzip;q=2"), 0, 0, 1},
		{SPAN("gzip;q=-1"), 0, 0, 1},
		{SPAN("gzip;q=0.1234"), 0, 0, 1},
		{SPAN("gzip;q"), 0, 0, 1},
		{SPAN("gzip;q="), 0, 0, 1},
		{SPAN("gzip;q=0,5"), 0, 0, 1},
		{SPAN("gzipped, abr, identityx"), 0, 0, 1},
		{SPAN(";q=1"), 0, 0, 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct http_accept a = http_accept_parse(cases[i].value);

		if (a.weight[HTTP_CODING_BR] != cases[i].br ||
		    a.weight[HTTP_CODING_GZIP] != cases[i].gzip ||
		    a.weight[HTTP_CODING_NONE] != cases[i].none) {
			fail_msg("codings " SPAN_FMT ": %u %u %u", SPAN_ARG(cases[i].value),
				 a.weight[0], a.weight[1], a.weight[2]);
		}
	}
}

static void a_coding_is_had_if_liked_as_well_as_none(void **state)
{
	struct http_accept a = http_accept_parse(SPAN("gzip;q=0.5, br;q=0.9, identity;q=0.8"));

	(void)state;
	assert_true(http_accept_has(&a, HTTP_CODING_BR));
	assert_false(http_accept_has(&a, HTTP_CODING_GZIP));
	assert_true(http_accept_has(&a, HTTP_CODING_NONE));
	a = http_accept_parse(SPAN("*;q=0"));
	assert_false(http_accept_has(&a, HTTP_CODING_GZIP));
	assert_false(http_accept_has(&a, HTTP_CODING_NONE));
}

/* All of the table: what is not in its order is not found. */
static void every_known_ending_is_found(void **state)
{
	static const char known[] =
		"3gp 7z aac aif aiff apk apng asc atom avi avif bmp bz2 c cfg conf cpp css csv deb "
		"diff djvu doc docx eml eot eps epub flac gif go gpg gz h heic heif htm html ico "
		"ics ini iso jar jpeg jpg js json jsonl jxl key log m3u8 m4a m4v map markdown md "
		"mid "
		"midi mjs mkv mobi mov mp3 mp4 mpeg mpg odp ods odt oga ogg ogv opus otf patch pdf "
		"pgp "
		"png ppt pptx ps py rar rpm rs rss rst rtf sh sig sql srt svg tar tex tgz tif tiff "
		"toml torrent ts tsv ttf txt vcf vtt wasm wav weba webm webmanifest webp woff "
		"woff2 "
		"xhtml xls xlsx xml xz yaml yml zip zst";
	struct span rest = span_str(known);

	(void)state;
	while (rest.p) {
		struct span ext = span_cut(&rest, ' ');
		_cleanup_free_ char *name = xasprintf("x." SPAN_FMT, SPAN_ARG(ext));
		const char *type = http_mime_type(span_str(name));

		if (strcmp(type, "application/octet-stream") == 0) {
			fail_msg("%s is not known", name);
		}
		/* Text says that it is UTF-8, and nothing else says anything. */
		assert_int_equal(strncmp(type, "text/", 5) == 0,
				 strstr(type, "; charset=utf-8") != NULL);
	}
}

static void text_shrinks_and_pictures_do_not(void **state)
{
	static const char *const yes[] = {"a.html", "a.css", "a.js", "a.svg", "a.json", "a.wasm"};
	static const char *const no[] = {"a.png", "a.webm", "a.zip", "a.woff2", "a", "a.tar.gz"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		assert_true(http_mime_shrinks(http_mime_type(span_str(yes[i]))));
	}
	for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
		assert_false(http_mime_shrinks(http_mime_type(span_str(no[i]))));
	}
}

static void if_range_takes_one_strong_tag(void **state)
{
	(void)state;
	assert_true(http_cond_if_range(SPAN("\"a\""), SPAN("\"a\"")));
	assert_false(http_cond_if_range(SPAN("\"b\""), SPAN("\"a\"")));
	assert_false(http_cond_if_range(SPAN("W/\"a\""), SPAN("\"a\"")));
	assert_false(http_cond_if_range(SPAN("W/\"a\""), SPAN("W/\"a\"")));
	assert_false(http_cond_if_range(SPAN("\"a\", \"a\""), SPAN("\"a\"")));
	assert_false(http_cond_if_range(SPAN("*"), SPAN("\"a\"")));
	assert_false(http_cond_if_range(SPAN("Sun, 06 Nov 1994 08:49:37 GMT"), SPAN("\"a\"")));
	assert_false(http_cond_if_range(SPAN("\"a\""), SPAN_NONE));
}

/* --- chunks --- */

/* The content, or p NULL after an error; *over: the body came to its end. step: bytes at once. */
static struct span read_chunks(struct span coded, size_t step, char *out, bool *over)
{
	struct http_chunk c = {0};
	struct buf content = BUF_INIT;
	size_t at = 0;

	*over = false;
	while (at < coded.n && !*over) {
		size_t n = coded.n - at < step ? coded.n - at : step;
		enum http_chunk_piece kind;
		ssize_t r = http_chunk_next(&c, span_of(coded.p + at, n), &kind);

		if (r < 0) {
			buf_done(&content);
			return SPAN_NONE;
		}
		assert_in_range(r, 1, n);
		if (kind == HTTP_CHUNK_DATA) {
			buf_add(&content, coded.p + at, (size_t)r);
		}
		*over = kind == HTTP_CHUNK_END;
		at += (size_t)r;
	}
	size_t len = content.len;

	if (len) {
		memcpy(out, content.p, len);
	}
	buf_done(&content);
	return span_of(out, len);
}

static void chunks_are_cut_at_any_step(void **state)
{
	static const struct span coded = SPAN("4\r\nWiki\r\n6;a=b;c=\"d\"\r\npedia \r\nE\r\n"
					      "in \r\n\r\nchunks.\r\n"
					      "000\r\nX: y\r\nContent-Length: 5\r\n\r\nGET /");
	char out[128];
	bool over;

	(void)state;
	for (size_t step = 1; step <= coded.n; step++) {
		struct span content = read_chunks(coded, step, out, &over);

		assert_true(over);
		assert_true(span_eq(content, SPAN("Wikipedia in \r\n\r\nchunks.")));
	}
}

static void malformed_chunks_are_refused(void **state)
{
	static const struct span bad[] = {
		SPAN("2\r\nabXX0\r\n\r\n"),
		SPAN("2\r\nab\n0\r\n\r\n"),
		SPAN("2\r\nab\r0\r\n\r\n"),
		SPAN("\r\n0\r\n\r\n"),
		SPAN("g\r\n"),
		SPAN("-1\r\n"),
		SPAN("0x1\r\na\r\n"),
		SPAN("+1\r\na\r\n"),
		SPAN(" 1\r\na\r\n"),
		SPAN("1 \r\na\r\n"),
		SPAN("1\na\n0\n\n"),
		SPAN("1\r\ra\r\n"),
		SPAN("1;a\nb\r\nx\r\n"),
		SPAN("1;a\x01\r\nx\r\n"),
		SPAN("10000000000000000\r\n"),
		SPAN("ffffffffffffffff\r\n"),
		SPAN("0\r\nX y\r\n\r\n"),
		SPAN("0\r\n folded: x\r\n\r\n"),
		SPAN("0\r\nX : y\r\n\r\n"),
		SPAN("0\r\nX: y\n\r\n"),
		SPAN("0\r\n\rx"),
		SPAN("0\r\nX: \x00\r\n\r\n"),
	};
	char out[128];
	bool over;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		for (size_t step = 1; step <= bad[i].n; step++) {
			if (read_chunks(bad[i], step, out, &over).p || over) {
				fail_msg("accepted: case %zu", i);
			}
		}
	}
}

static bool ext_passes(size_t n)
{
	struct buf b = BUF_INIT;
	char out[8];
	bool over;

	buf_add_str(&b, "1");
	while (b.len < n + 1) {
		buf_add_char(&b, ';');
	}
	buf_add_str(&b, "\r\na\r\n0\r\n\r\n");
	struct span content = read_chunks(buf_span(&b), b.len, out, &over);

	buf_done(&b);
	return content.p && over;
}

static bool trailers_pass(size_t n)
{
	struct buf b = BUF_INIT;
	char out[8];
	bool over;

	buf_add_str(&b, "0\r\nX:");
	while (b.len < n + 1) {
		buf_add_char(&b, 'x');
	}
	buf_add_str(&b, "\r\n\r\n");
	struct span content = read_chunks(buf_span(&b), b.len, out, &over);

	buf_done(&b);
	return content.p && over;
}

static void chunk_limits_hold_to_the_byte(void **state)
{
	(void)state;
	assert_true(ext_passes(HTTP_MAX_CHUNK_EXT));
	assert_false(ext_passes(HTTP_MAX_CHUNK_EXT + 1));
	assert_true(trailers_pass(HTTP_MAX_TRAILERS));
	assert_false(trailers_pass(HTTP_MAX_TRAILERS + 1));
}

/* --- content types --- */

static void content_types_go_by_the_name(void **state)
{
	static const struct {
		struct span name;
		const char *type;
	} cases[] = {
		{SPAN("a.txt"), "text/plain; charset=utf-8"},
		{SPAN("A.HTML"), "text/html; charset=utf-8"},
		{SPAN("/x/y.js"), "text/javascript; charset=utf-8"},
		{SPAN("a.tar.gz"), "application/gzip"},
		{SPAN("a.3gp"), "video/3gpp"},
		{SPAN("a.zst"), "application/zstd"},
		{SPAN("a.PNG"), "image/png"},
		{SPAN("a.svg"), "image/svg+xml"},
		{SPAN("a"), "application/octet-stream"},
		{SPAN(""), "application/octet-stream"},
		{SPAN("."), "application/octet-stream"},
		{SPAN("a."), "application/octet-stream"},
		{SPAN(".txt"), "application/octet-stream"},
		{SPAN("d/.txt"), "application/octet-stream"},
		{SPAN("d.txt/a"), "application/octet-stream"},
		{SPAN("a.unheardof"), "application/octet-stream"},
		{SPAN("a.averyveryverylongextension"), "application/octet-stream"},
		{SPAN("a.t\0t"), "application/octet-stream"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_string_equal(http_mime_type(cases[i].name), cases[i].type);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_paths_are_decoded_once),
		cmocka_unit_test(tricky_paths_are_not_found),
		cmocka_unit_test(each_range_is_resolved),
		cmocka_unit_test(every_known_ending_is_found),
		cmocka_unit_test(a_thousand_ranges_are_the_whole),
		cmocka_unit_test(entity_tags_are_compared),
		cmocka_unit_test(each_weight_of_a_coding_counts),
		cmocka_unit_test(a_coding_is_had_if_liked_as_well_as_none),
		cmocka_unit_test(text_shrinks_and_pictures_do_not),
		cmocka_unit_test(if_range_takes_one_strong_tag),
		cmocka_unit_test(chunks_are_cut_at_any_step),
		cmocka_unit_test(malformed_chunks_are_refused),
		cmocka_unit_test(chunk_limits_hold_to_the_byte),
		cmocka_unit_test(content_types_go_by_the_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
