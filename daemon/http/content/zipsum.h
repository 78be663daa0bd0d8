/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is known of the checksums (CRC-32) of an archive's entries, and how far
 * an unfinished one has come, shared by all downloads of the archive. In blocks
 * of consecutive entries it is turned into bytes to keep over a restart.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/span.h"

#define ZIP_SUM_BLOCK 256 /* entries */

/* The checksum of an entry's first `at` bytes. */
struct zip_partial {
	size_t i;
	uint64_t at; /* 0: none */
	uint32_t crc;
};

struct zip_sum {
	_Atomic uint64_t v; /* the checksum, and a bit above it if it is known */
};

struct zip_sums {
	size_t n;
	struct zip_sum *known;       /* one an entry */
	struct zip_partial *partial; /* one a block: the newest */
	bool *dirty;                 /* of a block: changed since zip_sums_encode */
};

void zip_sums_init(struct zip_sums *s, size_t n);
void zip_sums_done(struct zip_sums *s);

/* Any thread. */
bool zip_sums_get(const struct zip_sums *s, size_t i, uint32_t *ret);
void zip_sums_set(struct zip_sums *s, size_t i, uint32_t crc);

/* The rest on the loop only. */
/* at 0 in the answer: nothing is known. */
struct zip_partial zip_sums_partial(const struct zip_sums *s, size_t i);
void zip_sums_set_partial(struct zip_sums *s, struct zip_partial p);
void zip_sums_touch(struct zip_sums *s, size_t i); /* zip_sums_set does not: threads */

static inline size_t zip_sums_block(size_t i)
{
	return i / ZIP_SUM_BLOCK;
}

/* Appends the block's bytes and calls it clean. */
void zip_sums_encode(struct zip_sums *s, size_t block, struct buf *ret);
/*
 * Learns from bytes that zip_sums_encode made for the same block of an archive
 * with the same entries: 0, or -EINVAL (nothing is learned). What is known already stays.
 */
int zip_sums_decode(struct zip_sums *s, size_t block, struct span bytes);
