/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The large buffers between sockets and disks, 256 KiB each and bounded in all,
 * so that a thousand slow visitors cannot take the memory. Who finds none waits
 * in line; small answers do not come here. A few idle buffers are kept.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/list.h"

#define BUFPOOL_BUFFER_SIZE (256u * 1024)

struct bufpool;

struct bufpool_wait {
	/*
	 * On the loop, once, never from within bufpool_wait: bufpool_get succeeds now.
	 * Do not wait again without having tried it.
	 */
	void (*ready)(struct bufpool_wait *wait);
	struct list link; /* private; list_init'ed by bufpool_wait_init */
};

/* limit: bytes in use at once; at least one buffer is always allowed. */
struct bufpool *bufpool_new(uv_loop_t *loop, size_t limit);
void bufpool_free(struct bufpool *p);
/* NULL when all are in use: wait. */
char *bufpool_get(struct bufpool *p);
void bufpool_put(struct bufpool *p, char *buffer);
void bufpool_wait_init(struct bufpool_wait *wait, void (*ready)(struct bufpool_wait *));
void bufpool_wait(struct bufpool *p, struct bufpool_wait *wait);
/* Also when it does not wait. */
void bufpool_wait_cancel(struct bufpool_wait *wait);
size_t bufpool_in_use(const struct bufpool *p); /* buffers */
