/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A copy of an open file into another, on the pool, a step at a time: a clone
 * where the file system can (no bytes are read then), else within the kernel, else
 * by a buffer. It is as long as the file was when it began; a file that changes
 * meanwhile is an error, not a mixture.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "proto/base/error.h"

struct copyfile {
	bool open;
	int from, to; /* from is borrowed */
	struct stat begun;
	uint64_t done, at; /* at: in to */
	char *buffer;      /* NULL: the kernel copies */
};

/* Is it a regular file that can be read? On the loop; 0 or -errno. */
int copyfile_check(int from, struct error *err);
/*
 * to is taken, also on failure. append: behind what is in it. reserve: bytes that
 * are left free on its disk. err is set on failure.
 */
int copyfile_begin(struct copyfile *c, int from, int to, bool append, uint64_t reserve,
		   struct error *err);
/* At most about max bytes: 1 if all is copied, 0 if there is more, -errno. */
int copyfile_some(struct copyfile *c, uint64_t max, struct error *err);
/* At any time, also when it has not begun. */
void copyfile_end(struct copyfile *c);
