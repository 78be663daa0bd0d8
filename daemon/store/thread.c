/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "base/log.h"
#include "proto/base/alloc.h"
#include "proto/base/crypto.h"
#include "store/cache.h"
#include "store/history.h"

#define DELIVER_AT_ONCE 100 /* answers in a turn of the loop */
#define MERGE_BUCKETS   256u
#define LAZY            "cannot write the history and counters"

/*
 * OPEN -> CLOSING (store_thread_close; the thread runs what is left)
 *      -> ENDED   (the thread is done; the loop delivers what is left, joins, closes)
 */
enum thread_state { THREAD_OPEN, THREAD_CLOSING, THREAD_ENDED };

struct store_thread {
	/* the loop's */
	uv_async_t async;
	unsigned pending; /* requests with an answer, submitted and not delivered */
	void (*closed)(void *ud);
	void *closed_ud;
	pthread_t thread;
	/* the thread's */
	struct db db;
	/* both, under the lock */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	enum thread_state state;
	struct list queue, answers;
	struct list merge[MERGE_BUCKETS];
	unsigned urgent; /* in the queue */
	unsigned n_lazy; /* in the queue */
	size_t lazy_bytes;
	uint64_t lost; /* entries of the history, since it last said so */
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void request_free(struct store_request *req)
{
	error_done(&req->err);
	req->free(req);
}

/* --- on the thread --- */

/* With the lock: until there is something to do. */
static void wait_for_work(struct store_thread *t)
{
	for (;;) {
		if (t->urgent > 0 || t->state != THREAD_OPEN) {
			return;
		}
		if (list_empty(&t->queue)) {
			pthread_cond_wait(&t->wake, &t->lock);
			continue;
		}
		uint64_t due = list_entry(t->queue.next, struct store_request, link)->due_ms;

		/* Half full: it will not get cheaper by waiting. */
		if (now_ms() >= due || t->n_lazy >= STORE_LAZY_MAX / 2 ||
		    t->lazy_bytes >= STORE_LAZY_BYTES / 2) {
			return;
		}
		struct timespec until = {.tv_sec = (time_t)(due / 1000),
					 .tv_nsec = (long)(due % 1000) * 1000000};

		pthread_cond_timedwait(&t->wake, &t->lock, &until);
	}
}

/* With the lock: all that is queued, into an empty list; its loss counter too. */
static uint64_t take_work(struct store_thread *t, struct list *batch)
{
	uint64_t lost = t->lost;

	list_init(batch);
	if (!list_empty(&t->queue)) {
		*batch = t->queue;
		batch->next->prev = batch->prev->next = batch;
		list_init(&t->queue);
	}
	if (t->n_lazy > 0) {
		for (unsigned i = 0; i < MERGE_BUCKETS; i++) {
			list_init(&t->merge[i]);
		}
	}
	t->urgent = t->n_lazy = 0;
	t->lazy_bytes = 0;
	t->lost = 0;
	return lost;
}

/* The history says what is missing in it. */
static int note_loss(struct db *db, uint64_t lost, struct error *err)
{
	char details[64];

	if (lost == 0) {
		return 0;
	}
	snprintf(details, sizeof(details), "{\"entries\":%llu}", (unsigned long long)lost);
	return history_insert(db, ev_wall_ms(), NULL, "lost", details, err);
}

/*
 * The lazy requests at the beginning of the batch, in one transaction. What they
 * bring is worth no more than a line in the log, but a history with a hole says so.
 * Returns how many of its entries were lost, those of before included.
 */
static uint64_t run_lazy(struct db *db, struct list *batch, uint64_t lost)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	uint64_t entries = lost;
	int r = db_begin(db, LAZY, &err);
	struct store_request *req;

	if (r == 0) {
		r = note_loss(db, lost, &err);
	}
	while (!list_empty(batch) &&
	       (req = list_entry(batch->next, struct store_request, link))->lazy) {
		if (r == 0) {
			r = req->run(req, db, &err);
		}
		entries += req->is_history;
		list_remove(&req->link);
		request_free(req);
	}
	if (r == 0) {
		r = history_prune(db, ev_wall_ms(), &err);
	}
	bool begun = !sqlite3_get_autocommit(db->h);

	r = begun ? db_finish(db, r, LAZY, &err) : r;
	if (r == 0) {
		return 0;
	}
	log_debug("%s", error_text(&err));
	history_measure(db, NULL);
	cache_measure(db, NULL);
	return entries;
}

static void answer(struct store_thread *t, struct store_request *req)
{
	pthread_mutex_lock(&t->lock);
	list_append(&t->answers, &req->link);
	pthread_mutex_unlock(&t->lock);
	uv_async_send(&t->async);
}

static uint64_t run_batch(struct store_thread *t, struct list *batch, uint64_t lost)
{
	while (!list_empty(batch)) {
		struct store_request *req = list_entry(batch->next, struct store_request, link);

		if (req->lazy) {
			lost = run_lazy(&t->db, batch, lost);
			continue;
		}
		list_remove(&req->link);
		int r = req->run(req, &t->db, &req->err);

		if (r < 0 && req->err.code == 0) {
			error_set(&req->err, -r, "the database failed");
		}
		answer(t, req);
	}
	return lost;
}

static void *thread_main(void *arg)
{
	struct store_thread *t = arg;

	pthread_mutex_lock(&t->lock);
	for (;;) {
		struct list batch;

		wait_for_work(t);
		if (list_empty(&t->queue)) {
			break; /* closing, and nothing is left */
		}
		uint64_t lost = take_work(t, &batch);

		pthread_mutex_unlock(&t->lock);
		lost = run_batch(t, &batch, lost);
		pthread_mutex_lock(&t->lock);
		t->lost += lost;
	}
	pthread_mutex_unlock(&t->lock);
	db_close(&t->db);
	pthread_mutex_lock(&t->lock);
	t->state = THREAD_ENDED;
	pthread_mutex_unlock(&t->lock);
	uv_async_send(&t->async);
	return NULL;
}

/* --- on the loop --- */

static void on_async_closed(uv_handle_t *handle)
{
	struct store_thread *t = container_of((uv_async_t *)handle, struct store_thread, async);
	void (*closed)(void *ud) = t->closed;
	void *ud = t->closed_ud;

	pthread_cond_destroy(&t->wake);
	pthread_mutex_destroy(&t->lock);
	free(t);
	closed(ud);
}

static struct store_request *next_answer(struct store_thread *t, bool *ended)
{
	struct store_request *req = NULL;

	pthread_mutex_lock(&t->lock);
	if (!list_empty(&t->answers)) {
		req = list_entry(t->answers.next, struct store_request, link);
		list_remove(&req->link);
	}
	*ended = t->state == THREAD_ENDED;
	pthread_mutex_unlock(&t->lock);
	return req;
}

static void on_async(uv_async_t *async)
{
	struct store_thread *t = container_of(async, struct store_thread, async);
	struct store_request *req;
	bool ended;

	for (unsigned i = 0; (req = next_answer(t, &ended)); i++) {
		t->pending--;
		req->deliver(req, req->err.code ? &req->err : NULL);
		request_free(req);
		if (i == DELIVER_AT_ONCE) {
			uv_async_send(&t->async);
			return;
		}
	}
	if (ended) {
		pthread_join(t->thread, NULL);
		uv_close((uv_handle_t *)&t->async, on_async_closed);
	}
}

void store_thread_submit(struct store_thread *t, struct store_request *req)
{
	req->lazy = false;
	if (t->pending >= STORE_QUEUE_MAX) {
		error_set_kind(&req->err, EBUSY, ERROR_LIMIT_EXCEEDED, "requests to the database",
			       "4096", "the database is busy: too many requests wait for it");
	}
	t->pending++;
	pthread_mutex_lock(&t->lock);
	if (t->state == THREAD_ENDED && !req->err.code) {
		error_set(&req->err, ESHUTDOWN, "the database is closed");
	}
	bool refused = req->err.code != 0;

	if (refused) {
		list_append(&t->answers, &req->link);
	} else {
		list_append(&t->queue, &req->link);
		t->urgent++;
		pthread_cond_signal(&t->wake);
	}
	pthread_mutex_unlock(&t->lock);
	if (refused) {
		uv_async_send(&t->async);
	}
}

/* With the lock: the waiting request that req replaces, out of all lists; or NULL. */
static struct store_request *take_merged(struct store_thread *t, struct store_request *req,
					 struct list *bucket)
{
	list_for_each (it, bucket) {
		struct store_request *old = list_entry(it, struct store_request, merge_link);

		if (old->merge == req->merge) {
			/* Its time, but not its place: what was asked in between comes first. */
			req->due_ms = old->due_ms;
			t->n_lazy--;
			t->lazy_bytes -= old->bytes;
			list_remove(&old->link);
			list_remove(&old->merge_link);
			return old;
		}
	}
	return NULL;
}

/* With the lock: false if there is no room. */
static bool queue_lazy(struct store_thread *t, struct store_request *req,
		       struct store_request **replaced)
{
	struct list *bucket = &t->merge[(uint64_t)req->merge % MERGE_BUCKETS];

	*replaced = req->merge ? take_merged(t, req, bucket) : NULL;
	if (t->state == THREAD_ENDED || t->n_lazy >= STORE_LAZY_MAX ||
	    t->lazy_bytes + req->bytes > STORE_LAZY_BYTES) {
		t->lost += req->is_history;
		return false;
	}
	if (req->merge) {
		list_append(bucket, &req->merge_link);
	}
	list_append(&t->queue, &req->link);
	t->n_lazy++;
	t->lazy_bytes += req->bytes;
	/* The first one sets the clock; from the middle on it is not waited for. */
	if (!*replaced && (t->n_lazy == 1 || t->n_lazy >= STORE_LAZY_MAX / 2 ||
			   t->lazy_bytes >= STORE_LAZY_BYTES / 2)) {
		pthread_cond_signal(&t->wake);
	}
	return true;
}

void store_thread_submit_lazy(struct store_thread *t, struct store_request *req)
{
	struct store_request *replaced;

	req->lazy = true;
	req->due_ms = now_ms() + STORE_LAZY_MS;
	pthread_mutex_lock(&t->lock);
	bool queued = queue_lazy(t, req, &replaced);

	pthread_mutex_unlock(&t->lock);
	if (!queued) {
		request_free(req);
	}
	if (replaced) {
		request_free(replaced);
	}
}

/* The thread's waits end by the monotonic clock; signals are the loop's. */
static int start(struct store_thread *t)
{
	pthread_condattr_t attr;
	sigset_t all, before;

	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->wake, &attr);
	pthread_condattr_destroy(&attr);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int code = pthread_create(&t->thread, NULL, thread_main, t);

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (code == 0) {
		pthread_setname_np(t->thread, "database");
	}
	return -code;
}

static void on_unused_closed(uv_handle_t *handle)
{
	struct store_thread *t = container_of((uv_async_t *)handle, struct store_thread, async);

	crypto_wipe(t, sizeof(*t));
	free(t);
}

int store_thread_new(struct ev *ev, struct db *db, struct store_thread **ret, struct error *err)
{
	struct store_thread *t = xnew(struct store_thread);
	int r = uv_async_init(ev->loop, &t->async, on_async);

	if (r < 0) {
		free(t);
		return error_set(err, -r, "cannot start the database: %s", uv_strerror(r));
	}
	list_init(&t->queue);
	list_init(&t->answers);
	for (unsigned i = 0; i < MERGE_BUCKETS; i++) {
		list_init(&t->merge[i]);
	}
	t->db = *db;
	r = start(t);
	if (r < 0) {
		uv_close((uv_handle_t *)&t->async, on_unused_closed);
		return error_set(err, -r, "cannot start a thread for the database: %s",
				 uv_strerror(r));
	}
	crypto_wipe(db, sizeof(*db));
	*ret = t;
	return 0;
}

void store_thread_close(struct store_thread *t, void (*closed)(void *ud), void *ud)
{
	t->closed = closed;
	t->closed_ud = ud;
	pthread_mutex_lock(&t->lock);
	t->state = THREAD_CLOSING;
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
}
