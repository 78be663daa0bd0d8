/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/base/utf8.h"

size_t utf8_decode(struct span s, uint32_t *ret)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t need;
	uint32_t c, min;

	if (s.n == 0) {
		return 0;
	}
	if (p[0] < 0x80) {
		*ret = p[0];
		return 1;
	}
	if ((p[0] & 0xe0) == 0xc0) {
		need = 2;
		min = 0x80;
		c = p[0] & 0x1f;
	} else if ((p[0] & 0xf0) == 0xe0) {
		need = 3;
		min = 0x800;
		c = p[0] & 0x0f;
	} else if ((p[0] & 0xf8) == 0xf0) {
		need = 4;
		min = 0x10000;
		c = p[0] & 0x07;
	} else {
		return 0;
	}
	if (s.n < need) {
		return 0;
	}
	for (size_t i = 1; i < need; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			return 0;
		}
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
		return 0;
	}
	*ret = c;
	return need;
}

/* How many of s's first bytes are ASCII, in steps of eight. */
static size_t ascii_run(struct span s)
{
	size_t i = 0;
	uint64_t word;

	for (; i + sizeof(word) <= s.n; i += sizeof(word)) {
		memcpy(&word, s.p + i, sizeof(word));
		if (word & 0x8080808080808080u) {
			break;
		}
	}
	return i;
}

/* A character's first byte (RFC 3629 section 4). */
static bool begin_character(struct utf8_state *st, unsigned char c)
{
	*st = (struct utf8_state){0};
	if (c < 0x80) {
		return true;
	}
	if (c >= 0xc2 && c <= 0xdf) {
		st->need = 1;
	} else if (c >= 0xe0 && c <= 0xef) {
		st->need = 2;
		st->low = c == 0xe0 ? 0xa0 : 0;  /* no overlong forms */
		st->high = c == 0xed ? 0x9f : 0; /* no surrogates */
	} else if (c >= 0xf0 && c <= 0xf4) {
		st->need = 3;
		st->low = c == 0xf0 ? 0x90 : 0;
		st->high = c == 0xf4 ? 0x8f : 0; /* nothing above U+10FFFF */
	} else {
		return false;
	}
	return true;
}

static bool continue_character(struct utf8_state *st, unsigned char c)
{
	unsigned char low = st->low ? st->low : 0x80, high = st->high ? st->high : 0xbf;

	st->low = st->high = 0;
	st->need--;
	return c >= low && c <= high;
}

bool utf8_feed(struct utf8_state *st, struct span s)
{
	size_t i = 0;

	while (i < s.n) {
		unsigned char c;

		if (!st->need) {
			i += ascii_run(span_from(s, i));
			if (i == s.n) {
				break;
			}
		}
		c = (unsigned char)s.p[i++];
		if (!(st->need ? continue_character(st, c) : begin_character(st, c))) {
			return false;
		}
	}
	return true;
}

bool utf8_valid(struct span s)
{
	struct utf8_state st = {0};

	return utf8_feed(&st, s) && st.need == 0;
}

bool utf8_is_deceptive(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{0x0000, 0x001f}, {0x007f, 0x009f},   {0x00ad, 0x00ad},   {0x034f, 0x034f},
		{0x061c, 0x061c}, {0x115f, 0x1160},   {0x17b4, 0x17b5},   {0x180b, 0x180f},
		{0x200b, 0x200f}, {0x2028, 0x202e},   {0x2060, 0x206f},   {0x2800, 0x2800},
		{0x3164, 0x3164}, {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},
		{0xfff0, 0xfffb}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		if (c >= ranges[i].first && c <= ranges[i].last) {
			return true;
		}
	}
	return false;
}

void utf8_escape(struct buf *b, struct span s)
{
	while (s.n) {
		uint32_t c;
		size_t n = utf8_decode(s, &c);

		if (n == 0) {
			buf_printf(b, "\\x%02x", (unsigned char)s.p[0]);
			n = 1;
		} else if (!utf8_is_deceptive(c)) {
			buf_add(b, s.p, n);
		} else if (c < 0x100) {
			buf_printf(b, "\\x%02x", c);
		} else {
			buf_printf(b, "\\u{%04x}", c);
		}
		s = span_from(s, n);
	}
}

void utf8_lossy(struct buf *b, struct span s)
{
	while (s.n) {
		uint32_t c;
		size_t n = utf8_decode(s, &c);

		if (n == 0) {
			buf_add_str(b, "\xef\xbf\xbd");
			n = 1;
		} else {
			buf_add(b, s.p, n);
		}
		s = span_from(s, n);
	}
}
