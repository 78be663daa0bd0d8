/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/receive/safename.h"

#include "unit.h"

static void assert_name(struct span raw, const char *expected)
{
	struct buf b = BUF_INIT;

	safename(&b, raw);
	assert_string_equal(b.p, expected);
	buf_done(&b);
}

static void good_names_stay_as_they_are(void **state)
{
	static const char *const names[] = {
		"a.txt",
		"archive.tar.gz",
		"no extension",
		"with (brackets) & more, [even] 'quotes'.pdf",
		"100%25.txt",
		"日本語",
		"日本語.txt",
		"Ærøskøbing.txt",
		"отчёт.docx",
		"تقرير.pdf",
		"\xf0\x9f\x98\x80.png",
		"CON",
		"a..b",
		"x-y_z",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_name(span_str(names[i]), names[i]);
	}
}

static void only_the_last_component_counts(void **state)
{
	(void)state;
	assert_name(SPAN("../../etc/passwd"), "passwd");
	assert_name(SPAN("/etc/passwd"), "passwd");
	assert_name(SPAN("C:\\dir\\evil.exe"), "evil.exe");
	assert_name(SPAN("dir/"), "dir");
	assert_name(SPAN("a/../"), "a");
	assert_name(SPAN("photos/.hidden"), "hidden");
}

static void names_that_name_nothing_become_file(void **state)
{
	(void)state;
	assert_name(SPAN(""), "file");
	assert_name(SPAN("."), "file");
	assert_name(SPAN(".."), "file");
	assert_name(SPAN("../.."), "file");
	assert_name(SPAN("////"), "file");
	assert_name(SPAN("..."), "file");
	assert_name(SPAN("-"), "file");
	assert_name(SPAN(" "), "file");
	assert_name(SPAN("\xe2\x80\xae"), "file");
	assert_name(SPAN("\0"), "file");
}

static void names_are_neither_hidden_nor_options(void **state)
{
	(void)state;
	assert_name(SPAN(".bashrc"), "bashrc");
	assert_name(SPAN("-rf"), "rf");
	assert_name(SPAN("--help.txt"), "help.txt");
	assert_name(SPAN(". - .x"), "file.x");
	assert_name(SPAN("\xe2\x80\x8b.bashrc"), "file.bashrc");
	assert_name(SPAN("a. "), "a");
}

static void the_extension_outlives_its_stem(void **state)
{
	(void)state;
	assert_name(SPAN("-.txt"), "file.txt");
	assert_name(SPAN("\xe2\x80\xae.txt"), "file.txt");
	assert_name(SPAN("\1\2.tar.gz"), "tar.gz");
}

static void what_is_not_seen_is_gone(void **state)
{
	(void)state;
	assert_name(SPAN("a\nb.txt"), "a_b.txt");
	assert_name(SPAN("a\tb\r.txt"), "a_b_.txt");
	assert_name(SPAN("a\0b\x1b[2J\x7f.txt"), "ab[2J.txt");
	assert_name(SPAN("a\xc2\x9b.txt"), "a.txt");
	assert_name(SPAN("evil\xe2\x80\xaetxt.exe"), "eviltxt.exe");
	assert_name(SPAN("a\xe2\x81\xa6"
			 "b\xe2\x81\xa9.txt"),
		    "ab.txt");
	assert_name(SPAN("\xef\xbb\xbf"
			 "bom.txt"),
		    "bom.txt");
	assert_name(SPAN("line\xe2\x80\xa8"
			 "separator"),
		    "lineseparator");
}

static void what_is_not_utf8_is_shown(void **state)
{
	(void)state;
	assert_name(SPAN("caf\xe9.txt"), "caf\xef\xbf\xbd.txt");
	assert_name(SPAN("\xff\xfe.txt"), "\xef\xbf\xbd\xef\xbf\xbd.txt");
	assert_name(SPAN("\xc0\xaf.txt"), "\xef\xbf\xbd\xef\xbf\xbd.txt");
}

static void names_are_composed(void **state)
{
	(void)state;
	assert_name(SPAN("u\xcc\x88"
			 "ber.txt"),
		    "\xc3\xbc"
		    "ber.txt");
}

static void assert_cut(const char *unit, size_t n, const char *ext, size_t expected)
{
	struct buf raw = BUF_INIT, b = BUF_INIT;

	for (size_t i = 0; i < n; i++) {
		buf_add_str(&raw, unit);
	}
	buf_add_str(&raw, ext);
	safename(&b, buf_span(&raw));
	assert_int_equal(b.len, expected);
	assert_true(span_ends(buf_span(&b), span_str(ext)));
	buf_done(&raw);
	buf_done(&b);
}

static void long_names_are_cut_before_the_extension(void **state)
{
	(void)state;
	assert_cut("a", 251, ".txt", 255);
	assert_cut("a", 252, ".txt", 255);
	assert_cut("a", 300, ".tar.gz", 255);
	assert_cut("a", 300, "", 255);
	assert_cut("a", 8000, ".txt", 255);
	/* Never within a character: 83 of three bytes, and four. */
	assert_cut("日", 300, ".txt", 253);
	assert_cut("a\xcc\x8b\xcc\x8b", 2000, ".txt", 255);
}

static void an_extension_of_a_hundred_letters_is_none(void **state)
{
	struct buf raw = BUF_INIT, b = BUF_INIT;

	(void)state;
	buf_add_str(&raw, "a.");
	for (int i = 0; i < 300; i++) {
		buf_add_char(&raw, 'x');
	}
	safename(&b, buf_span(&raw));
	assert_int_equal(b.len, 255);
	assert_true(span_starts(buf_span(&b), SPAN("a.x")));
	buf_done(&raw);
	buf_done(&b);
}

static void assert_apart(struct names *set, struct span raw, const char *expected)
{
	struct buf b = BUF_INIT;

	safename_apart(&b, set, raw);
	assert_string_equal(b.p, expected);
	buf_done(&b);
}

static void equal_names_are_told_apart(void **state)
{
	struct names *set = names_new(4);

	(void)state;
	assert_apart(set, SPAN("a.txt"), "a.txt");
	assert_apart(set, SPAN("a.txt"), "a-1.txt");
	assert_apart(set, SPAN("x/a.txt"), "a-2.txt");
	assert_apart(set, SPAN("a-1.txt"), "a-1-1.txt");
	assert_apart(set, SPAN("a.tar.gz"), "a.tar.gz");
	assert_apart(set, SPAN("a.tar.gz"), "a-1.tar.gz");
	assert_apart(set, SPAN(""), "file");
	assert_apart(set, SPAN(".."), "file-1");
	names_free(set);
}

static void long_equal_names_are_told_apart_within_the_limit(void **state)
{
	struct names *set = names_new(4), *seen = names_new(4);
	struct buf raw = BUF_INIT;

	(void)state;
	for (int i = 0; i < 300; i++) {
		buf_add_char(&raw, 'n');
	}
	buf_add_str(&raw, ".txt");
	for (int i = 0; i < 120; i++) {
		struct buf b = BUF_INIT;

		safename_apart(&b, set, buf_span(&raw));
		assert_in_range(b.len, 240, SAFENAME_MAX);
		assert_true(span_ends(buf_span(&b), SPAN(".txt")));
		/* A name that stood there already would come back changed. */
		assert_true(span_eq(names_tell_apart(seen, buf_span(&b), false), buf_span(&b)));
		buf_done(&b);
	}
	buf_done(&raw);
	names_free(set);
	names_free(seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_names_stay_as_they_are),
		cmocka_unit_test(only_the_last_component_counts),
		cmocka_unit_test(names_that_name_nothing_become_file),
		cmocka_unit_test(names_are_neither_hidden_nor_options),
		cmocka_unit_test(the_extension_outlives_its_stem),
		cmocka_unit_test(what_is_not_seen_is_gone),
		cmocka_unit_test(what_is_not_utf8_is_shown),
		cmocka_unit_test(names_are_composed),
		cmocka_unit_test(long_names_are_cut_before_the_extension),
		cmocka_unit_test(an_extension_of_a_hundred_letters_is_none),
		cmocka_unit_test(equal_names_are_told_apart),
		cmocka_unit_test(long_equal_names_are_told_apart_within_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
