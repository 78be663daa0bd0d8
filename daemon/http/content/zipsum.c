/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/content/zipsum.h"

#include <errno.h>
#include <stdlib.h>

#include "proto/base/alloc.h"

#define KNOWN_BIT (UINT64_C(1) << 32)

/* A block as bytes: version, which are known, their checksums, the unfinished one. */
#define VERSION      1
#define MAP_BYTES    (ZIP_SUM_BLOCK / 8)
#define PARTIAL_SIZE (2 + 8 + 4)

void zip_sums_init(struct zip_sums *s, size_t n)
{
	size_t blocks = n / ZIP_SUM_BLOCK + 1;

	s->n = n;
	s->known = xcalloc(n + 1, sizeof(*s->known));
	s->partial = xcalloc(blocks, sizeof(*s->partial));
	s->dirty = xcalloc(blocks, sizeof(*s->dirty));
}

void zip_sums_done(struct zip_sums *s)
{
	free(s->known);
	free(s->partial);
	free(s->dirty);
	*s = (struct zip_sums){0};
}

bool zip_sums_get(const struct zip_sums *s, size_t i, uint32_t *ret)
{
	uint64_t v = atomic_load_explicit(&s->known[i].v, memory_order_relaxed);

	*ret = (uint32_t)v;
	return v & KNOWN_BIT;
}

void zip_sums_set(struct zip_sums *s, size_t i, uint32_t crc)
{
	atomic_store_explicit(&s->known[i].v, KNOWN_BIT | crc, memory_order_relaxed);
}

struct zip_partial zip_sums_partial(const struct zip_sums *s, size_t i)
{
	struct zip_partial p = s->partial[zip_sums_block(i)];

	return p.i == i ? p : (struct zip_partial){.i = i};
}

void zip_sums_set_partial(struct zip_sums *s, struct zip_partial p)
{
	s->partial[zip_sums_block(p.i)] = p;
	zip_sums_touch(s, p.i);
}

void zip_sums_touch(struct zip_sums *s, size_t i)
{
	s->dirty[zip_sums_block(i)] = true;
}

static void put(struct buf *b, uint64_t v, unsigned bytes)
{
	for (unsigned k = 0; k < bytes; k++) {
		buf_add_char(b, (char)(v >> (8 * k) & 0xFF));
	}
}

static uint64_t get(const char *p, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned k = 0; k < bytes; k++) {
		v |= (uint64_t)(unsigned char)p[k] << (8 * k);
	}
	return v;
}

static size_t block_size(const struct zip_sums *s, size_t block)
{
	size_t first = block * ZIP_SUM_BLOCK;

	return s->n - first < ZIP_SUM_BLOCK ? s->n - first : ZIP_SUM_BLOCK;
}

void zip_sums_encode(struct zip_sums *s, size_t block, struct buf *ret)
{
	size_t first = block * ZIP_SUM_BLOCK, n = block_size(s, block);
	unsigned char map[MAP_BYTES] = {0};
	uint32_t crc[ZIP_SUM_BLOCK];

	/* Each is looked at once: other threads add to them meanwhile. */
	for (size_t k = 0; k < n; k++) {
		if (zip_sums_get(s, first + k, &crc[k])) {
			map[k / 8] |= (unsigned char)(1u << (k % 8));
		}
	}
	put(ret, VERSION, 1);
	buf_add(ret, map, sizeof(map));
	for (size_t k = 0; k < n; k++) {
		if (map[k / 8] >> (k % 8) & 1) {
			put(ret, crc[k], 4);
		}
	}
	const struct zip_partial *p = &s->partial[block];

	if (p->at) {
		put(ret, p->i - first, 2);
		put(ret, p->at, 8);
		put(ret, p->crc, 4);
	}
	s->dirty[block] = false;
}

int zip_sums_decode(struct zip_sums *s, size_t block, struct span bytes)
{
	size_t first = block * ZIP_SUM_BLOCK, n = block_size(s, block), known = 0;

	if (bytes.n < 1 + MAP_BYTES || bytes.p[0] != VERSION) {
		return -EINVAL;
	}
	const unsigned char *map = (const unsigned char *)bytes.p + 1;

	for (size_t k = 0; k < ZIP_SUM_BLOCK; k++) {
		if (map[k / 8] >> (k % 8) & 1) {
			if (k >= n) {
				return -EINVAL;
			}
			known++;
		}
	}
	const char *p = bytes.p + 1 + MAP_BYTES;
	const char *tail = p + 4 * known;
	size_t rest = bytes.n - 1 - MAP_BYTES;

	if (rest != 4 * known && rest != 4 * known + PARTIAL_SIZE) {
		return -EINVAL;
	}
	if (rest > 4 * known) {
		struct zip_partial part = {
			.i = first + (size_t)get(tail, 2),
			.at = get(tail + 2, 8),
			.crc = (uint32_t)get(tail + 10, 4),
		};

		if (part.i >= first + n) {
			return -EINVAL;
		}
		if (s->partial[block].at == 0) {
			s->partial[block] = part;
		}
	}
	for (size_t k = 0; k < n; k++) {
		uint32_t unused;

		if (map[k / 8] >> (k % 8) & 1) {
			if (!zip_sums_get(s, first + k, &unused)) {
				zip_sums_set(s, first + k, (uint32_t)get(p, 4));
			}
			p += 4;
		}
	}
	return 0;
}
