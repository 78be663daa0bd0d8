/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files written into a directory of the caller's: all of them or, after
 * save_drop, none. Nothing that is there is ever overwritten, no link is followed beneath it.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/inbox/savename.h"
#include "proto/base/error.h"

struct save {
	int dir;
	char *path;
	bool made; /* the directory is ours */
	struct savenames names;
	size_t n_written; /* of names: those before are on the disk */
	int out;          /* the one that is being written; -1: none */
	json_t *files;    /* [{"name", "size"}] */
};

/* Makes the directory if it is missing. 0 or -errno. */
int save_open(const char *path, struct save *ret, struct error *err);
/* A file; its name is made safe. Then its bytes, then its end, which puts it on the disk. */
int save_begin(struct save *s, struct span name, struct error *err);
int save_write(struct save *s, struct span bytes, struct error *err);
int save_end(struct save *s, uint64_t size, struct error *err);
/* From begin to end: all that can be read from fd, which must be so many bytes. */
int save_copy(struct save *s, struct span name, int fd, uint64_t size, struct error *err);
/* A file without a name on the same disk, for what shall never be seen: its descriptor. */
int save_temporary(struct save *s, struct error *err);
/* The directory's entries are on the disk too. */
int save_finish(struct save *s, struct error *err);
/* Removes what was written, and the directory if it was made. */
void save_drop(struct save *s);
void save_done(struct save *s);
