/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pages of a share as HTML. Pure, and piece by piece: a directory of a
 * million files takes no more memory than one of a hundred.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mode/files/tree.h"
#include "proto/base/buf.h"

struct listing {
	const struct tree *tree;
	uint32_t dir;
	const char *title;      /* NULL: OnionShare */
	struct span filename;   /* that /download has */
	uint64_t download_size; /* bytes of it */
	bool links;             /* files and directories can be visited one by one */

	uint32_t next; /* private: child that comes next */
	bool begun;    /* private */
};

/* Adds to b until it holds at least n bytes or the page is whole: then true. */
bool listing_fill(struct listing *l, struct buf *b, size_t n);

/* "OnionShare download in progress" */
void listing_busy_page(struct buf *b, const char *title);

/* --- pieces, for other lists of files --- */

/* The way down from the root; each part but the last is a link. path: without slashes at its
 * ends; of the root: nothing is added. */
void listing_breadcrumbs(struct buf *b, struct span path);
void listing_begin_table(struct buf *b);
void listing_end_table(struct buf *b);
/* In place of a table. */
void listing_empty(struct buf *b);
/* path: from below the root down to it. */
void listing_row(struct buf *b, struct span path, struct span name, bool is_dir, uint64_t size,
		 bool linked);

/* "6.0 B", "293.7 KiB": as people read sizes. */
void listing_size(struct buf *b, uint64_t bytes);
