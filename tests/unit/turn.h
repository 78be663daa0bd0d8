/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The loop of a test: turned until something holds, and a failure instead of a hang. */
#pragma once

#include <poll.h>
#include <signal.h>
#include <time.h>

#include "ev/ev.h"
#include "unit.h"

#define HANG_SECONDS 60

/* Seconds of a clock that only goes forward. */
static inline double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* One turn; what other threads and processes do is looked at a hundred times a second. */
static inline void turn(uv_loop_t *loop)
{
	struct pollfd events = {.fd = uv_backend_fd(loop), .events = POLLIN};
	int ms = uv_backend_timeout(loop);

	poll(&events, 1, ms < 0 || ms > 10 ? 10 : ms);
	uv_run(loop, UV_RUN_NOWAIT);
}

/* f: what has a uv_loop_t loop. situation: text for who reads of the failure. */
#define turn_until_or_tell(f, condition, situation)                                            \
	do {                                                                                   \
		for (double until_ = now() + HANG_SECONDS; !(condition);) {                    \
			if (now() > until_) {                                                  \
				fail_msg("waited too long for %s; %s", #condition, situation); \
			}                                                                      \
			turn(&(f)->loop);                                                      \
		}                                                                              \
	} while (0)

#define turn_until(f, condition) turn_until_or_tell(f, condition, "nothing more is known")

/* For what must not happen. */
static inline void turn_for(uv_loop_t *loop, unsigned ms)
{
	for (double until = now() + ms / 1000.0; now() < until;) {
		turn(loop);
	}
}

/* buffers: bytes that connections may hold (bufpool.h). */
static inline void turn_begin(uv_loop_t *loop, struct ev *ev, size_t buffers)
{
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(uv_loop_init(loop), 0);
	ev_init(ev, loop, buffers);
}

/* The caller's own handles are closing; nothing may be left open behind that. */
static inline void turn_end(uv_loop_t *loop, struct ev *ev)
{
	uv_run(loop, UV_RUN_DEFAULT);
	ev_done(ev);
	uv_run(loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(loop), 0);
}
