/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ini.h"

#include <errno.h>

#include "proto/base/utf8.h"

static bool is_printable_text(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f) {
			return false;
		}
	}
	return utf8_valid(s);
}

static int parse_line(struct span line, struct span *section, ini_fn *fn, void *ud,
		      struct error *err)
{
	if (!is_printable_text(line)) {
		return error_set(err, EINVAL, "the line has control characters or is not UTF-8");
	}
	if (line.p[0] == '[') {
		if (line.n < 3 || line.p[line.n - 1] != ']') {
			return error_set(err, EINVAL, "a section is written [name]");
		}
		*section = span_of(line.p + 1, line.n - 2);
		return fn(ud, *section, SPAN_NONE, SPAN_NONE, err);
	}
	struct span value = line;
	struct span key = span_trim(span_cut(&value, '='));

	if (!value.p || key.n == 0) {
		return error_set(err, EINVAL, "expected key = value");
	}
	if (!section->p) {
		return error_set(err, EINVAL, "a [section] has to come before the first key");
	}
	return fn(ud, *section, key, span_trim(value), err);
}

int ini_parse(const char *name, struct span text, ini_fn *fn, void *ud, struct error *err)
{
	struct span section = SPAN_NONE;

	for (unsigned number = 1; text.n > 0; number++) {
		struct span line = span_cut(&text, '\n');

		if (span_ends(line, SPAN("\r"))) {
			line.n--;
		}
		line = span_trim(line);
		if (line.n == 0 || line.p[0] == '#' || line.p[0] == ';') {
			continue;
		}
		int r = parse_line(line, &section, fn, ud, err);

		if (r < 0) {
			error_context(err, "%s:%u", name, number);
			return r;
		}
	}
	return 0;
}
