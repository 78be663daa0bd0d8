/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "svc/dropbox.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "proto/base/alloc.h"
#include "svc/content.h"
#include "svc/registry.h"

#define DAY_US INT64_C(86400000000)
/* Not in the daemon's first moments, when everything comes up. */
#define FIRST_SWEEP_MS 5000u

static const char *data_dir_of(const struct service *svc)
{
	return json_string_value(json_object_get(svc->options, "data_dir"));
}

static uid_t owner_of(const struct service *svc)
{
	return content_option_owner(svc->row, "data_dir");
}

/* --- one question to the disk --- */

struct question {
	struct job job;
	struct manager *m;
	void (*run)(struct question *q);
	char *data_dir;
	uid_t owner;   /* who chose that */
	char *service; /* for the history; NULL: nothing is written there */
	int64_t id;    /* or after */
	size_t n;      /* limit, or first */
	struct error err;
	json_t *result;
	struct submissions_opened opened;
	dropbox_done_fn *cb;
	void *ud;
};

static void question_run(struct job *job)
{
	struct question *q = container_of(job, struct question, job);

	q->run(q);
}

static void question_done(struct job *job)
{
	struct question *q = container_of(job, struct question, job);
	struct manager *m = q->m;

	if (q->service && !q->err.code) {
		json_t *details = json_pack("{s:I}", "submission", (json_int_t)q->id);

		store_history_add(m->store, q->service, "submission-deleted", details);
		json_decref(details);
	}
	q->cb(q->ud, q->err.code ? &q->err : NULL, q->result, &q->opened);
	submissions_opened_done(&q->opened);
	json_decref(q->result);
	error_done(&q->err);
	free(q->service);
	free(q->data_dir);
	free(q);
	m->n_ops--;
	manager_check_stopped(m);
}

/* NULL: refused. */
static struct question *ask(struct manager *m, const struct service *svc,
			    void (*run)(struct question *q), int64_t id, size_t n,
			    dropbox_done_fn *cb, void *ud, struct error *err)
{
	const char *data_dir = data_dir_of(svc);

	if (refuse_if_stopping(m, err) < 0) {
		return NULL;
	}
	if (!data_dir) {
		error_set_kind(err, EINVAL, ERROR_INVALID_STATE, svc->row->mode, NULL,
			       "%s is a %s service: only receive services have submissions",
			       svc->row->name, svc->row->mode);
		return NULL;
	}
	struct question *q = xnew(struct question);

	q->m = m;
	q->run = run;
	q->data_dir = xstrdup(data_dir);
	q->owner = owner_of(svc);
	q->id = id;
	q->n = n;
	q->cb = cb;
	q->ud = ud;
	m->n_ops++;
	work_submit(m->ev->work, WORK_SLOW, &q->job, question_run, question_done);
	return q;
}

static void run_list(struct question *q)
{
	json_t *list = NULL;
	bool more = false;

	if (submissions_list(q->data_dir, q->owner, q->id, q->n, &list, &more, &q->err) == 0) {
		q->result = json_pack("{s:o, s:b}", "submissions", list, "more", more);
	}
}

int dropbox_list(struct manager *m, struct service *svc, int64_t after, size_t limit,
		 dropbox_done_fn *cb, void *ud, struct error *err)
{
	return ask(m, svc, run_list, after, limit, cb, ud, err) ? 0 : -err->code;
}

static void run_show(struct question *q)
{
	json_t *submission = NULL, *text = NULL;
	bool cut = false;

	if (submissions_show(q->data_dir, q->owner, q->id, &submission, &text, &cut, &q->err) ==
	    0) {
		q->result = json_pack("{s:o, s:o, s:b}", "submission", submission, "text", text,
				      "cut", cut);
	}
}

int dropbox_show(struct manager *m, struct service *svc, int64_t id, dropbox_done_fn *cb, void *ud,
		 struct error *err)
{
	return ask(m, svc, run_show, id, 0, cb, ud, err) ? 0 : -err->code;
}

static void run_open(struct question *q)
{
	if (submissions_open(q->data_dir, q->owner, q->id, q->n, &q->opened, &q->err) == 0) {
		q->result =
			json_pack("{s:O, s:b}", "files", q->opened.files, "more", q->opened.more);
	}
}

int dropbox_open(struct manager *m, struct service *svc, int64_t id, size_t first,
		 dropbox_done_fn *cb, void *ud, struct error *err)
{
	return ask(m, svc, run_open, id, first, cb, ud, err) ? 0 : -err->code;
}

static void run_delete(struct question *q)
{
	if (submissions_delete(q->data_dir, q->owner, q->id, &q->err) == 0) {
		q->result = json_object();
	}
}

int dropbox_delete(struct manager *m, struct service *svc, int64_t id, dropbox_done_fn *cb,
		   void *ud, struct error *err)
{
	struct question *q = ask(m, svc, run_delete, id, 0, cb, ud, err);

	if (q && !svc->ephemeral) {
		/* It runs already; but only question_done, on this thread, looks at that. */
		q->service = xstrdup(svc->row->name);
	}
	return q ? 0 : -err->code;
}

/* --- keep_days --- */

struct dropbox_sweeper {
	struct manager *m;
	uv_timer_t timer; /* runs only while a service has keep_days */
	unsigned running;
};

/* One service's old submissions, some at a time. */
struct sweep {
	struct job job;
	struct dropbox_sweeper *s;
	char *data_dir, *service;
	uid_t owner;
	int64_t before_us;
	size_t n;
	bool more;
	bool saved; /* the service is in the database, and so in the history */
	struct error err;
};

static void sweep_run(struct job *job)
{
	struct sweep *w = container_of(job, struct sweep, job);

	submissions_expire(w->data_dir, w->owner, w->before_us, SUBMISSIONS_PAGE, &w->n, &w->more,
			   &w->err);
}

static void sweep_done(struct job *job)
{
	struct sweep *w = container_of(job, struct sweep, job);
	struct manager *m = w->s->m;

	if (w->n && w->saved) {
		json_t *details = json_pack("{s:I}", "submissions", (json_int_t)w->n);

		store_history_add(m->store, w->service, "submissions-expired", details);
		json_decref(details);
	}
	if (w->err.code) {
		log_warning("service %s: %s", w->service, error_text(&w->err));
	} else if (w->more && !m->stopping) {
		work_submit(m->ev->work, WORK_SLOW, &w->job, sweep_run, sweep_done);
		return;
	}
	w->s->running--;
	error_done(&w->err);
	free(w->service);
	free(w->data_dir);
	free(w);
	m->n_ops--;
	manager_check_stopped(m);
}

static void sweep(struct dropbox_sweeper *s, const struct service *svc, json_int_t keep_days)
{
	struct sweep *w = xnew(struct sweep);

	w->s = s;
	w->data_dir = xstrdup(data_dir_of(svc));
	w->owner = owner_of(svc);
	w->service = xstrdup(svc->row->name);
	w->saved = !svc->ephemeral;
	w->before_us = ev_wall_ms() * 1000 - keep_days * DAY_US;
	s->running++;
	s->m->n_ops++;
	work_submit(s->m->ev->work, WORK_SLOW, &w->job, sweep_run, sweep_done);
}

static void on_timer(uv_timer_t *timer)
{
	struct dropbox_sweeper *s = container_of(timer, struct dropbox_sweeper, timer);
	bool any = false, idle = s->running == 0 && !s->m->stopping;

	list_for_each (it, &s->m->services) {
		const struct service *svc = list_entry(it, const struct service, link);
		json_int_t keep_days = service_option_int(svc, "keep_days");

		if (keep_days > 0 && data_dir_of(svc) && !svc->deleting && !svc->broken) {
			any = true;
			if (idle) {
				sweep(s, svc, keep_days);
			}
		}
	}
	if (!any) {
		uv_timer_stop(timer);
	}
}

struct dropbox_sweeper *dropbox_sweeper_new(struct manager *m)
{
	struct dropbox_sweeper *s = xnew(struct dropbox_sweeper);

	s->m = m;
	uv_timer_init(m->ev->loop, &s->timer);
	return s;
}

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void dropbox_sweeper_free(struct dropbox_sweeper *s)
{
	s->timer.data = s;
	uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

void dropbox_sweeper_wake(struct dropbox_sweeper *s)
{
	uv_timer_start(&s->timer, on_timer, FIRST_SWEEP_MS, DROPBOX_SWEEP_MS);
}
