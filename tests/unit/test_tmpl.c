/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/content/tmpl.h"
#include "unit.h"

#define assert_buf(b, text)                        \
	do {                                       \
		assert_string_equal((b)->p, text); \
		buf_clear(b);                      \
	} while (0)

static void markup_in_text_is_only_text(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	tmpl_text(&b, SPAN("plain name.txt"));
	assert_buf(&b, "plain name.txt");
	tmpl_text(&b, SPAN("<img src=x onerror=\"a('b')\">&amp;"));
	assert_buf(&b, "&lt;img src=x onerror=&quot;a(&#39;b&#39;)&quot;&gt;&amp;amp;");
	tmpl_text(&b, SPAN("ünï 日本語"));
	assert_buf(&b, "ünï 日本語");
	buf_done(&b);
}

static void deceptive_text_is_made_visible(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	tmpl_text(&b, SPAN("txt.\xe2\x80\xae"
			   "exe"));
	assert_buf(&b, "txt.\\u{202e}exe");
	tmpl_text(&b, SPAN("a\nb\x1b[2J\xff\0c"));
	assert_null(strpbrk(b.p, "\n\x1b\xff"));
	assert_int_equal(strlen(b.p), b.len);
	buf_done(&b);
}

static void every_byte_of_a_path_survives_percent_encoding(void **state)
{
	struct buf b = BUF_INIT;
	char all[255];

	(void)state;
	tmpl_path(&b, SPAN("/sub dir/ünï & 100%.txt"));
	assert_buf(&b, "/sub%20dir/%C3%BCn%C3%AF%20%26%20100%25.txt");
	tmpl_path(&b, SPAN("/\xff\n\"'<>?#;~-._"));
	assert_buf(&b, "/%FF%0A%22%27%3C%3E%3F%23%3B~-._");
	for (int i = 0; i < 255; i++) {
		all[i] = (char)(i + 1);
	}
	tmpl_path(&b, span_of(all, sizeof(all)));
	size_t at = 0;

	for (int i = 1; i < 256; i++, at++) {
		unsigned v = (unsigned char)b.p[at];

		if (v == '%') {
			assert_int_equal(sscanf(b.p + at + 1, "%2x", &v), 1);
			at += 2;
		}
		assert_int_equal(v, i);
	}
	assert_int_equal(at, b.len);
	buf_done(&b);
}

static void a_form_is_filled_in_order(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	tmpl(&b, "<a href=\"{}\">{}</a>{} { }", T_PATH(SPAN("/a b")), T_TEXT(SPAN("<a>{}")),
	     T_RAW(SPAN("<br>")));
	assert_buf(&b, "<a href=\"/a%20b\">&lt;a&gt;{}</a><br> { }");
	buf_done(&b);
}

static void a_disposition_cannot_be_broken_out_of(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	tmpl_disposition(&b, "attachment", SPAN("report.pdf"));
	assert_buf(&b, "attachment; filename=\"report.pdf\"; filename*=UTF-8''report.pdf");
	tmpl_disposition(&b, "inline", SPAN("a\"b\\c%41/é;\r\nX: y"));
	assert_buf(&b, "inline; filename=\"a_b_c_41_____X_ y\"; "
		       "filename*=UTF-8''a%22b%5Cc%2541%2F%C3%A9%3B%0D%0AX%3A%20y");
	tmpl_disposition(&b, "inline", SPAN("x\xff"));
	assert_buf(&b, "inline; filename=\"x_\"; filename*=UTF-8''x%EF%BF%BD");
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(markup_in_text_is_only_text),
		cmocka_unit_test(deceptive_text_is_made_visible),
		cmocka_unit_test(every_byte_of_a_path_survives_percent_encoding),
		cmocka_unit_test(a_form_is_filled_in_order),
		cmocka_unit_test(a_disposition_cannot_be_broken_out_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
