/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Records (inbox.h) on their way to the disk, in chunks: one that is being
 * written, one that fills meanwhile; then there is no room, and the sender has to
 * wait. While nothing comes, no chunk is held. Pure, apart from the shared buffers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "ev/bufpool.h"
#include "mode/receive/inbox.h"
#include "proto/base/span.h"

struct records_chunk {
	struct list link; /* private */
	bool pooled;      /* private */
	bool syncs;       /* a file ends in it: takes as long as the disk does */
	size_t n, cap;
	char *p;
};

struct records {
	struct bufpool *bufs;
	bool wipe;                 /* what is in them shall not stay in memory */
	struct records_chunk *cur; /* it fills */
	size_t tail; /* where the last record begins in cur, if that is data; SIZE_MAX: none */
	struct list full;
	unsigned chunks; /* cur, full and those that were taken */
};

void records_init(struct records *q, struct bufpool *bufs, bool wipe);
/* Those that were taken are not among them. */
void records_drop(struct records *q);
void records_add(struct records *q, enum inbox_record_type type, struct span payload);
/* Behind other data it needs no record of its own. */
void records_add_data(struct records *q, struct span data);
/* Is there a place for what one reading of a socket brings? */
bool records_have_room(const struct records *q);
/* The oldest, to be written and given back; NULL: there is nothing. */
struct records_chunk *records_take(struct records *q);
void records_give_back(struct records *q, struct records_chunk *c);
