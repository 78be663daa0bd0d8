/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bridge lines, as bridges.torproject.org hands them out and as torrc has them
 * (tor(1), Bridge; pt-spec 3.2):
 *
 *     [Bridge] [TRANSPORT] ADDRESS:PORT [FINGERPRINT] [KEY=VALUE...]
 *
 * Pure. A line is a small secret: who knows it can find the bridge and have it
 * blocked. No error repeats any of it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "proto/base/span.h"

#define BRIDGE_LINE_MAX 1024u /* bytes; tor itself takes 510 of KEY=VALUE */
#define BRIDGES_MAX     64u

struct bridge_transport {
	const char *name;
	const char *const *programs; /* that speak it, the better ones first; NULL at the end */
};

struct bridge {
	const struct bridge_transport *transport; /* NULL: plain */
	/* Pieces of the line; the last two may be empty. */
	struct span address, fingerprint, args;
};

/* -EINVAL, and err says what is wrong with it. */
int bridge_parse(struct span line, struct bridge *ret, struct error *err);
/* One space between the words, nothing in front: what tor takes, quoted or not. */
void bridge_print(const struct bridge *b, struct buf *ret);

/* Several, as they are kept and told to tor. */
struct bridges {
	char *lines[BRIDGES_MAX]; /* owned; as bridge_print has them, none twice */
	size_t n;
};

#define BRIDGES_INIT ((struct bridges){.n = 0})

/* Wipes. */
void bridges_done(struct bridges *b);
void bridges_copy(struct bridges *to, const struct bridges *from);
/* One more; one that is there already is left out. -EINVAL, or -E2BIG: they are too many. */
int bridges_add(struct bridges *b, struct span line, struct error *err);
/*
 * Each line of a text; empty ones and those that begin with # are left out. Errors name the line's
 * number, and what was added before stays.
 */
int bridges_add_text(struct bridges *b, struct span text, struct error *err);
/* Is one of them of this transport? */
bool bridges_use(const struct bridges *b, const struct bridge_transport *t);

/* Does a text (of tor's log) tell where one of them is, or who? */
bool bridges_named_in(const struct bridges *b, struct span text);

/* All that are known. */
extern const struct bridge_transport bridge_transports[];
extern const size_t n_bridge_transports;
