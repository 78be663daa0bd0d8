/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Jobs on libuv's thread pool: what may block (disk) or take long (checksums)
 * is done there. Two lanes: fast (one read or write of a buffer) and slow (a tree
 * walk, a checksum of gigabytes). Slow jobs never take the whole pool.
 */
#pragma once

#include <uv.h>

#include "base/list.h"

struct work;

enum work_lane {
	WORK_FAST,
	WORK_SLOW, /* at most half of the pool; the others wait, first come first served */
};

/*
 * Embedded at will in the caller's own struct, which holds inputs and outputs.
 * run: on a pool thread; touches nothing but the job's own struct.
 * done: on the loop, exactly once, also for jobs that were cancelled; from then
 * on the job belongs to the caller again (it may free it, or submit it anew).
 * An owner that dies earlier leaves the job alone, sets its own back pointer in
 * it to NULL and lets done free it.
 */
struct job {
	void (*run)(struct job *job);
	void (*done)(struct job *job);
	/* private */
	struct work *work;
	enum work_lane lane;
	uv_work_t req;
	struct list link;
};

struct work *work_new(uv_loop_t *loop);
/* No job is left. */
void work_free(struct work *w);
/* done never comes from within. */
void work_submit(struct work *w, enum work_lane lane, struct job *job, void (*run)(struct job *),
		 void (*done)(struct job *));
/* Jobs submitted and not done. */
unsigned work_pending(const struct work *w);
