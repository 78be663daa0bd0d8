/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which bytes of a representation have been handed over: a set of ranges, in
 * order, apart from each other. Pure. It holds a bounded number of ranges; what
 * would be one too many is forgotten, so it never claims what was not there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/span.h"

#define COVERAGE_MAX 256

struct coverage_range {
	uint64_t from, to; /* [from, to) */
};

struct coverage {
	struct coverage_range *ranges;
	size_t n, cap;
};

void coverage_done(struct coverage *c); /* also to begin anew */
/* The bytes [from, to) have been handed over; none if to is not above from. */
void coverage_add(struct coverage *c, uint64_t from, uint64_t to);
/* All of [0, total)? Of nothing, nothing is missing. */
bool coverage_is_whole(const struct coverage *c, uint64_t total);
uint64_t coverage_bytes(const struct coverage *c);

/* As bytes, to keep. decode: 0, or -EINVAL and c is empty. */
void coverage_encode(const struct coverage *c, struct buf *b);
int coverage_decode(struct coverage *c, struct span bytes);
