/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How a submission's records become files of its staging directory; for inbox.c only.
 * One writer leaves them as they are, the other one seals all of them into one file.
 * The errors of inbox_sub_write; everything blocks.
 */
#pragma once

#include "mode/receive/inbox.h"
#include "proto/age/age.h"

/* What stands in a staging directory when a submission is settled. */
#define SUBWRITER_FILES   "files" /* a directory */
#define SUBWRITER_MESSAGE "message.txt"
#define SUBWRITER_SEALED  "sealed"

struct subwriter {
	const struct subwriter_ops *ops;
};

struct subwriter_ops {
	/* INBOX_FILE (with its name) or INBOX_MESSAGE. */
	int (*begin)(struct subwriter *w, enum inbox_record_type type, struct span name);
	int (*data)(struct subwriter *w, struct span data);
	/* All is on the disk that can be by then. */
	int (*end)(struct subwriter *w);
	int (*drop)(struct subwriter *w);
	/* Bytes that settle will write. */
	uint64_t (*rest)(const struct subwriter *w);
	/* All is on the disk but the entries of the staging directory itself. */
	int (*settle)(struct subwriter *w);
	/* Bytes in files. */
	uint64_t (*size)(const struct subwriter *w);
	void (*free)(struct subwriter *w);
};

/* dir: the staging directory, borrowed, open as long as the writer is there. */
struct subwriter *subwriter_plain(int dir);
/* Fails if the file cannot be made: -errno. */
int subwriter_sealed(int dir, const struct age_recipient *recipients, size_t n,
		     struct subwriter **ret);
