/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/files/coverage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/alloc.h"

void coverage_done(struct coverage *c)
{
	free(c->ranges);
	*c = (struct coverage){0};
}

/* Room for one more at position i; the smallest goes if there are too many. */
static bool make_room(struct coverage *c, size_t *i, uint64_t size)
{
	if (c->n == COVERAGE_MAX) {
		size_t small = 0;

		for (size_t k = 1; k < c->n; k++) {
			if (c->ranges[k].to - c->ranges[k].from <
			    c->ranges[small].to - c->ranges[small].from) {
				small = k;
			}
		}
		if (size <= c->ranges[small].to - c->ranges[small].from) {
			return false;
		}
		memmove(c->ranges + small, c->ranges + small + 1,
			(c->n - small - 1) * sizeof(*c->ranges));
		c->n--;
		*i -= small < *i;
	}
	if (c->n == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 4;
		c->ranges = xreallocarray(c->ranges, c->cap, sizeof(*c->ranges));
	}
	memmove(c->ranges + *i + 1, c->ranges + *i, (c->n - *i) * sizeof(*c->ranges));
	c->n++;
	return true;
}

void coverage_add(struct coverage *c, uint64_t from, uint64_t to)
{
	size_t i = 0, end;

	if (to <= from) {
		return;
	}
	while (i < c->n && c->ranges[i].to < from) {
		i++;
	}
	/* Those from i to end touch the new one and become one with it. */
	for (end = i; end < c->n && c->ranges[end].from <= to; end++) {
		from = c->ranges[end].from < from ? c->ranges[end].from : from;
		to = c->ranges[end].to > to ? c->ranges[end].to : to;
	}
	if (end > i) {
		memmove(c->ranges + i + 1, c->ranges + end, (c->n - end) * sizeof(*c->ranges));
		c->n -= end - i - 1;
	} else if (!make_room(c, &i, to - from)) {
		return;
	}
	c->ranges[i] = (struct coverage_range){from, to};
}

bool coverage_is_whole(const struct coverage *c, uint64_t total)
{
	return total == 0 || (c->n == 1 && c->ranges[0].from == 0 && c->ranges[0].to == total);
}

uint64_t coverage_bytes(const struct coverage *c)
{
	uint64_t n = 0;

	for (size_t i = 0; i < c->n; i++) {
		n += c->ranges[i].to - c->ranges[i].from;
	}
	return n;
}

static void put(struct buf *b, uint64_t v)
{
	for (unsigned k = 0; k < 64; k += 8) {
		buf_add_char(b, (char)(v >> k & 0xFF));
	}
}

static uint64_t get(const char *p)
{
	uint64_t v = 0;

	for (unsigned k = 0; k < 8; k++) {
		v |= (uint64_t)(unsigned char)p[k] << (8 * k);
	}
	return v;
}

void coverage_encode(const struct coverage *c, struct buf *b)
{
	for (size_t i = 0; i < c->n; i++) {
		put(b, c->ranges[i].from);
		put(b, c->ranges[i].to);
	}
}

int coverage_decode(struct coverage *c, struct span bytes)
{
	uint64_t last = 0;

	coverage_done(c);
	if (bytes.n % 16 || bytes.n / 16 > COVERAGE_MAX) {
		return -EINVAL;
	}
	for (size_t at = 0; at < bytes.n; at += 16) {
		uint64_t from = get(bytes.p + at), to = get(bytes.p + at + 8);

		if (to <= from || (at && from <= last)) {
			coverage_done(c);
			return -EINVAL;
		}
		coverage_add(c, from, to);
		last = to;
	}
	return 0;
}
