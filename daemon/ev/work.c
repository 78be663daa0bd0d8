/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ev/work.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/base/alloc.h"

struct work {
	uv_loop_t *loop;
	unsigned pending;
	unsigned slow_running, slow_limit;
	struct list slow_waiting;
};

#define DEFAULT_THREADS 4 /* libuv's own */

struct work *work_new(uv_loop_t *loop)
{
	struct work *w = xnew(struct work);
	const char *size = getenv("UV_THREADPOOL_SIZE");
	unsigned long threads = size ? strtoul(size, NULL, 10) : DEFAULT_THREADS;

	w->loop = loop;
	w->slow_limit = threads >= 2 && threads <= 1024 ? (unsigned)threads / 2 : 1;
	list_init(&w->slow_waiting);
	return w;
}

void work_free(struct work *w)
{
	if (w) {
		assert(w->pending == 0);
		free(w);
	}
}

unsigned work_pending(const struct work *w)
{
	return w->pending;
}

static void run_on_pool(uv_work_t *req)
{
	struct job *job = container_of(req, struct job, req);

	job->run(job);
}

static void launch(struct job *job);

static void done_on_loop(uv_work_t *req, int status)
{
	struct job *job = container_of(req, struct job, req);
	struct work *w = job->work;

	(void)status; /* nobody calls uv_cancel */
	w->pending--;
	if (job->lane == WORK_SLOW) {
		w->slow_running--;
		if (!list_empty(&w->slow_waiting)) {
			struct job *next = list_entry(w->slow_waiting.next, struct job, link);

			list_remove(&next->link);
			launch(next);
		}
	}
	job->done(job);
}

static void launch(struct job *job)
{
	if (job->lane == WORK_SLOW) {
		job->work->slow_running++;
	}
	/* Fails only without a callback. */
	int r = uv_queue_work(job->work->loop, &job->req, run_on_pool, done_on_loop);

	assert(r == 0);
	(void)r;
}

void work_submit(struct work *w, enum work_lane lane, struct job *job, void (*run)(struct job *),
		 void (*done)(struct job *))
{
	job->run = run;
	job->done = done;
	job->work = w;
	job->lane = lane;
	list_init(&job->link);
	w->pending++;
	if (lane == WORK_SLOW && w->slow_running >= w->slow_limit) {
		list_append(&w->slow_waiting, &job->link);
	} else {
		launch(job);
	}
}
