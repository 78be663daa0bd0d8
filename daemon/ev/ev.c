/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ev/ev.h"

#include <stdlib.h>
#include <time.h>

#include "ev/bufpool.h"
#include "ev/work.h"
#include "proto/base/alloc.h"

void ev_init(struct ev *ev, uv_loop_t *loop, size_t buffer_limit)
{
	*ev = (struct ev){.loop = loop, .scratch_size = EV_SCRATCH_SIZE};
	ev->work = work_new(loop);
	ev->bufs = bufpool_new(loop, buffer_limit);
	ev->scratch = xmalloc(EV_SCRATCH_SIZE);
}

void ev_done(struct ev *ev)
{
	free(ev->scratch);
	bufpool_free(ev->bufs);
	work_free(ev->work);
	*ev = (struct ev){0};
}

int64_t ev_wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
