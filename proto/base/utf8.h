/* SPDX-License-Identifier: GPL-3.0-or-later */
/* UTF-8 as RFC 3629 has it (no surrogates, no overlong forms), and text made harmless. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/span.h"

/* Decodes the first character: its length in bytes (1 to 4), or 0 if s does not begin with one. */
size_t utf8_decode(struct span s, uint32_t *ret);
bool utf8_valid(struct span s);

/* Text that comes in pieces, which may end within a character. All zero: between two of them. */
struct utf8_state {
	uint8_t need;      /* bytes that the character lacks */
	uint8_t low, high; /* what the next of them may be; 0: any that continues */
};

/*
 * Looks at the next piece: false as soon as no continuation could make the text
 * valid, and st is of no use any more. All of it was valid if need is 0 at its end.
 */
bool utf8_feed(struct utf8_state *st, struct span s);

/*
 * Would this character move a cursor, hide itself or turn the reading direction?
 * C0, DEL, C1, zero-width and joining marks, bidi marks and isolates, line and
 * paragraph separator, U+FEFF, U+3164 and the other invisible fillers, tags.
 */
bool utf8_is_deceptive(uint32_t c);

/*
 * Adds s to b for a terminal, log or history: deceptive characters and bytes
 * that are not UTF-8 become \xNN (a byte) or \u{NNNN}; a backslash stays.
 */
void utf8_escape(struct buf *b, struct span s);
/* Adds s to b with each malformed byte sequence replaced by U+FFFD. */
void utf8_lossy(struct buf *b, struct span s);
