/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whatever a name is made of, it stays a name: in HTML, in an address, in a header field. */
#include <stdlib.h>

#include "http/content/tmpl.h"
#include "http/path.h"
#include "proto/base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool holds)
{
	if (!holds) {
		abort();
	}
}

static bool has_any(const struct buf *b, const char *bytes)
{
	for (size_t i = 0; i < b->len; i++) {
		if (b->p[i] == '\0' || strchr(bytes, b->p[i])) {
			return true;
		}
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span s = {(const char *)data, n};
	struct buf b = BUF_INIT;

	tmpl_text(&b, s);
	must(!has_any(&b, "<>\"'\n\r\x1b"));
	must(utf8_valid(buf_span(&b)));

	/* An address leads back to the same bytes, or is refused. */
	buf_clear(&b);
	buf_add_char(&b, '/');
	tmpl_path(&b, s);
	must(!has_any(&b, "<>\"'\n\r &?#;"));
	char *decoded = malloc(b.len + 1);

	must(decoded != NULL);
	int len = http_path_decode(buf_span(&b), decoded);

	must(len < 0 || ((size_t)len == n + 1 && span_eq(span_of(decoded + 1, n), s)));
	free(decoded);

	buf_clear(&b);
	tmpl_disposition(&b, "inline", s);
	must(!has_any(&b, "\r\n\\<>"));
	size_t quotes = 0;

	for (size_t i = 0; i < b.len; i++) {
		must((signed char)b.p[i] >= ' ' && b.p[i] != 127);
		quotes += b.p[i] == '"';
	}
	must(quotes == 2);
	buf_done(&b);
	return 0;
}
