/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bytes of tor's control port into replies and events (control-spec sections
 * 2.3 and 2.4), and the small languages inside their lines. Pure: no socket, no
 * clock. A peer that does not speak the protocol is found out here; the
 * connection is then of no use any more, for replies are matched by their order.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "proto/base/buf.h"
#include "proto/base/span.h"

#define CTL_REPLY_MAX (1024u * 1024) /* bytes of one reply, over all of its lines */
#define CTL_LINES_MAX 16384u         /* lines of one reply, those of data blocks not counted */

struct ctl_line {
	struct span text; /* behind "250-", without the line's end */
	/* What follows a line of the form "250+": lines ending in LF, dots unstuffed. Else none. */
	struct span data;
};

struct ctl_reply {
	unsigned code; /* of the last line */
	size_t n;      /* at least 1 */
	struct ctl_line *lines;
};

static inline bool ctl_is_event(const struct ctl_reply *r)
{
	return r->code / 100 == 6;
}

static inline bool ctl_is_ok(const struct ctl_reply *r)
{
	return r->code / 10 == 25;
}

struct ctl_lexer {
	enum { CTL_LINE, CTL_DATA, CTL_READY, CTL_BROKEN } state;
	struct buf line;  /* the one being read */
	struct buf bytes; /* texts and data of the lines before it */
	struct ctl_extent {
		size_t text, text_n, data, data_n;
		bool has_data;
	} * extents; /* of those lines, in bytes */
	struct ctl_line *lines;
	size_t n, cap;
	struct ctl_reply reply;
};

void ctl_lexer_init(struct ctl_lexer *l);
/* Wipes all that was read: it may have been a key. */
void ctl_lexer_done(struct ctl_lexer *l);
/*
 * Takes bytes off the front of *input. 1: a reply is whole, *ret stays valid
 * until the next call. 0: *input is used up. -EBADMSG: not the protocol;
 * -EMSGSIZE: above a limit; from then on every call fails.
 */
int ctl_lexer_feed(struct ctl_lexer *l, struct span *input, const struct ctl_reply **ret);

/*
 * Takes the next word off *s: words are separated by spaces, a quoted string
 * (also behind "KEY=") belongs to its word. False when there is none left.
 */
bool ctl_next_word(struct span *s, struct span *ret);
/* The value of the first word "KEY=value" in s, quotes and all; p is NULL if there is none. */
struct span ctl_value(struct span s, const char *key);
/*
 * Adds what the value means to ret: a CString (control-spec section 2.1.1) is
 * decoded, any other value is taken as it is. -EINVAL: a string that does not
 * end, goes on behind its end, or contains a NUL.
 */
int ctl_decode(struct span value, struct buf *ret);
/* The line of a GETINFO reply for key: its value, from behind "=" or from the data block. */
bool ctl_getinfo(const struct ctl_reply *r, const char *key, struct span *ret);
/* A copy that can be shown to people: what is long is cut, what is not harmless is escaped. */
char *ctl_printable(struct span text);
