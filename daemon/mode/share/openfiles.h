/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A few files of a plan kept open, so that many small requests for one file do
 * not look up its path each time (which would have to wait for the pool).
 */
#pragma once

#include <stdint.h>

#include "mode/share/plan.h"

#define OPENFILES_MAX 8

struct openfiles {
	struct {
		uint32_t i;
		int fd; /* -1: free */
		uint64_t used;
	} slots[OPENFILES_MAX];
	uint64_t clock;
};

void openfiles_init(struct openfiles *o);
/* Closes all: the plan is another. */
void openfiles_clear(struct openfiles *o);
/* The open file of entry i, borrowed; -1: not kept. */
int openfiles_get(struct openfiles *o, uint32_t i);
/* fd becomes the cache's; the one not used for longest goes. */
void openfiles_put(struct openfiles *o, uint32_t i, int fd);
