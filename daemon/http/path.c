/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/path.h"

#include <errno.h>
#include <stdbool.h>

#include "proto/base/codec.h"

/* The byte behind a '%', or -1. */
static int decode_escape(struct span s)
{
	if (s.n < 3) {
		return -1;
	}
	int high = hex_digit(s.p[1]), low = hex_digit(s.p[2]);

	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static bool segment_ok(struct span seg, bool last)
{
	if (seg.n == 0) {
		return last;
	}
	return !span_eq(seg, SPAN(".")) && !span_eq(seg, SPAN(".."));
}

static bool segments_ok(struct span path)
{
	struct span rest = span_from(path, 1);

	while (rest.p) {
		struct span seg = span_cut(&rest, '/');

		if (!segment_ok(seg, !rest.p)) {
			return false;
		}
	}
	return true;
}

int http_path_decode(struct span raw, char *ret)
{
	size_t n = 0;

	if (raw.n == 0 || raw.p[0] != '/') {
		return -ENOENT;
	}
	for (size_t i = 0; i < raw.n; i++) {
		int c = (unsigned char)raw.p[i];

		if (c == '%') {
			c = decode_escape(span_from(raw, i));
			if (c < 0 || c == '/') {
				return -ENOENT;
			}
			i += 2;
		}
		if (c == '\0' || c == '\\') {
			return -ENOENT;
		}
		ret[n++] = (char)c;
	}
	ret[n] = '\0';
	return segments_ok(span_of(ret, n)) ? (int)n : -ENOENT;
}
