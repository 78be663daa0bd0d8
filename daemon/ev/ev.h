/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The environment that lower layers get instead of the application: the loop,
 * the worker pool, the shared buffers. One per process (per test, in tests).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct bufpool;
struct work;

struct ev {
	uv_loop_t *loop;
	struct work *work;
	struct bufpool *bufs;
	/*
	 * For reading from a socket within one callback: every reader on the loop
	 * shares it, nobody keeps a pointer into it.
	 */
	char *scratch;
	size_t scratch_size;
};

#define EV_SCRATCH_SIZE (64u * 1024)

/* buffer_limit: bytes of large buffers that may be in use at once (bufpool.h). */
void ev_init(struct ev *ev, uv_loop_t *loop, size_t buffer_limit);
/* Every job has ended and every buffer is back. */
void ev_done(struct ev *ev);

/* Wall time in milliseconds since 1970; for people and for the database, never for timeouts. */
int64_t ev_wall_ms(void);
/* Monotonic, cached for the loop's turn: for timeouts. */
static inline uint64_t ev_now_ms(const struct ev *ev)
{
	return uv_now(ev->loop);
}
