/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names in a room: 1 to 64 of A-Z a-z 0-9 _ - and single spaces inside. What is not
 * such a name is refused, never corrected. Two names clash when they are equal without
 * regard to case, or look alike: their skeletons (Unicode UTS #39 section 4, as far
 * as it speaks of these characters: I, l and 1, O and 0, m and rn), with _, - and space
 * taken for the same. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/span.h"

#define NICK_MAX   64u
#define NICK_WORDS 16384u /* names made of two words */

struct nick {
	uint8_t n;
	char text[NICK_MAX + 1];
	char skeleton[2 * NICK_MAX + 1];
};

static inline struct span nick_span(const struct nick *n)
{
	return span_of(n->text, n->n);
}

/* False: not a name. */
bool nick_parse(struct span s, struct nick *ret);
bool nick_clash(const struct nick *a, const struct nick *b);
/* "brave-otter": one of NICK_WORDS, no two of which clash. */
void nick_words(unsigned which, struct nick *ret);
