/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The share mode: its life, and its view of the files, which is made anew off
 * the loop when a request comes and the last look is too old. Requests are
 * answered in visit.c, transfers counted in downloads.c.
 */
#include "mode/share/share.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mode/assets.h"
#include "proto/base/alloc.h"
#include "proto/base/codec.h"
#include "proto/base/crypto.h"

/* A look at the files is good for so long ... */
#define LOOK_MS 1000
/* ... and for so many times the time that it took: large trees cost more. */
#define LOOK_FACTOR 20

struct walk_job {
	struct job job;
	struct share *share;
	struct mode_content *content;
	bool strict; /* the first look at this content: everything must be there */
	uint64_t took_ms;
	int result;
	struct plan *plan;
	struct error err;
};

static void free_if_over(struct share *s);

static struct share *share_of(struct mode *m)
{
	return container_of(m, struct share, mode);
}

/* --- what a person is told --- */

static void add_count(struct buf *b, unsigned n, const char *one, const char *many)
{
	if (n) {
		buf_printf(b, "%s%u %s", b->len ? ", " : "", n, n == 1 ? one : many);
	}
}

static char *make_notice(const struct tree *t)
{
	struct buf b = BUF_INIT;

	add_count(&b, t->unreadable, "entry that cannot be read", "entries that cannot be read");
	if (t->first_unreadable) {
		buf_printf(&b, " (%s%s)", t->unreadable > 1 ? "the first: " : "",
			   t->first_unreadable);
	}
	add_count(&b, t->links, "symbolic link", "symbolic links");
	add_count(&b, t->special, "special file", "special files");
	if (b.len == 0) {
		return NULL;
	}
	char *what = buf_take(&b), *text = xasprintf("left out: %s", what);

	free(what);
	return text;
}

/* --- looking at the files --- */

static void walk_run(struct job *job)
{
	struct walk_job *w = container_of(job, struct walk_job, job);
	struct share *s = w->share;
	const struct tree_options options = {
		.strict = w->strict,
		.cancel = &s->cancel,
		.content = w->content,
	};
	uint64_t start = uv_hrtime();

	/* Of the share it reads only what never changes. */
	w->result = plan_make(s->key, &s->host, &options, &w->plan, &w->err);
	w->took_ms = (uv_hrtime() - start) / 1000000;
}

static void use_plan(struct share *s, struct plan *p)
{
	assert(p);
	free(s->notice);
	s->notice = make_notice(p->tree);
	if (s->plan && s->plan->content == p->content && s->plan->tree->single == p->tree->single &&
	    crypto_equal(s->plan->tree->digest, p->tree->digest, SHA256_SIZE)) {
		plan_unref(p);
		return;
	}
	plan_unref(s->plan);
	s->plan = p;
	openfiles_clear(&s->files);
	page_unref(take_ptr(s->root_page));
}

static void answer_waiting(struct share *s)
{
	struct list now;

	/* Who is not content joins the list anew: that is for the next time. */
	list_init(&now);
	while (!list_empty(&s->waiting)) {
		struct list *link = s->waiting.next;

		list_remove(link);
		list_append(&now, link);
	}
	while (!list_empty(&now)) {
		struct list *link = now.next;

		list_remove(link);
		visit_go_on(visit_of_link(link));
	}
}

static void restored(void *ud, struct span value)
{
	struct share *s = ud;

	s->restoring = false;
	if (s->stopping) {
		free_if_over(s);
		return;
	}
	if (value.p) {
		downloads_restore(&s->downloads, value);
	}
	s->ready(s->ready_ud, NULL);
}

static void first_walk_done(struct share *s, struct walk_job *w)
{
	if (w->result < 0) {
		s->finished = true;
		s->ready(s->ready_ud, &w->err);
		return;
	}
	use_plan(s, take_ptr(w->plan));
	if (s->autostop) {
		s->restoring = true;
		s->host.cache_get(s->host.ud, DOWNLOADS_CACHE_KEY, restored, s);
	} else {
		s->ready(s->ready_ud, NULL);
	}
}

/* Says the error something about the files, or is the machine short of something? */
static bool is_passing(int result)
{
	return result == -EMFILE || result == -ENFILE || result == -ENOMEM;
}

static void later_walk_done(struct share *s, struct walk_job *w)
{
	if (w->result == 0) {
		use_plan(s, take_ptr(w->plan));
	} else if (!is_passing(w->result) && !s->finished) {
		s->finished = true;
		s->host.failed(s->host.ud, &w->err);
	}
	answer_waiting(s);
}

/* How long this look is good for. */
static void looked(struct share *s, const struct walk_job *w)
{
	s->checked_ms = ev_now_ms(s->ev);
	s->interval_ms = LOOK_FACTOR * w->took_ms > LOOK_MS ? LOOK_FACTOR * w->took_ms : LOOK_MS;
	s->stale = false;
}

static void walk_job_free(struct walk_job *w)
{
	plan_unref(w->plan);
	mode_content_unref(w->content);
	error_done(&w->err);
	free(w);
}

static void walk_done(struct job *job)
{
	struct walk_job *w = container_of(job, struct walk_job, job);
	struct share *s = w->share;

	if (w->plan) {
		w->plan->content = mode_content_ref(w->content);
	}
	s->walk = NULL;
	if (s->stopping) {
		walk_job_free(w);
		free_if_over(s);
		return;
	}
	if (w->content != s->content) {
		answer_waiting(s); /* replaced meanwhile, and looked at then */
	} else {
		looked(s, w);
		if (w->strict) {
			first_walk_done(s, w);
		} else {
			later_walk_done(s, w);
		}
	}
	walk_job_free(w);
}

static struct walk_job *walk(struct share *s, struct mode_content *content, bool strict,
			     void (*done)(struct job *job))
{
	struct walk_job *w = xnew(struct walk_job);

	w->share = s;
	w->content = mode_content_ref(content);
	w->strict = strict;
	work_submit(s->ev->work, WORK_SLOW, &w->job, walk_run, done);
	return w;
}

bool share_is_fresh(const struct share *s)
{
	return !s->stale && !s->walk && ev_now_ms(s->ev) - s->checked_ms < s->interval_ms;
}

void share_refresh(struct share *s)
{
	if (!s->walk) {
		s->walk = walk(s, s->content, false, walk_done);
	}
}

/* --- other content --- */

static void use_content(struct share *s, struct walk_job *w)
{
	mode_content_unref(s->content);
	s->content = mode_content_ref(w->content);
	looked(s, w);
	use_plan(s, take_ptr(w->plan));
}

static void replace_done(struct job *job)
{
	struct walk_job *w = container_of(job, struct walk_job, job);
	struct share *s = w->share;

	if (w->plan) {
		w->plan->content = mode_content_ref(w->content);
	}
	s->replacing = NULL;
	if (s->stopping) {
		walk_job_free(w);
		free_if_over(s);
		return;
	}
	if (w->result == 0 && s->finished) {
		w->result = error_set_kind(&w->err, ESHUTDOWN, ERROR_INVALID_STATE, "stopping",
					   NULL, "the share has done its work and stops");
	}
	if (w->result == 0) {
		use_content(s, w);
	}
	s->replaced(s->replaced_ud, w->result < 0 ? &w->err : NULL);
	walk_job_free(w);
}

static void share_replace(struct mode *m, struct mode_content *content,
			  void (*done)(void *ud, const struct error *err), void *ud)
{
	struct share *s = share_of(m);

	s->replaced = done;
	s->replaced_ud = ud;
	s->replacing = walk(s, content, true, replace_done);
}

/* --- life --- */

static void downloads_finished(void *ud)
{
	struct share *s = ud;

	s->finished = true;
	s->host.completed(s->host.ud);
}

/* The same for a service always, another one for others. */
static void make_zip_name(struct share *s)
{
	const struct span parts[] = {SPAN("zip name")};
	uint8_t mac[SHA256_SIZE];
	char text[BASE32_LEN(5) + 1];

	crypto_hmac_sha256(s->key, sizeof(s->key), parts, 1, mac);
	base32_encode_lower(mac, 5, text);
	snprintf(s->zip_name, sizeof(s->zip_name), "onionshare_%.6s.zip", text);
}

static bool option_is_true(const json_t *options, const char *name)
{
	return json_is_true(json_object_get(options, name));
}

static unsigned max_downloads(const json_t *options)
{
	json_int_t n = json_integer_value(json_object_get(options, "max_downloads"));

	return n < 1 ? 1 : n > UINT32_MAX ? UINT32_MAX : (unsigned)n;
}

static struct mode *share_start(struct ev *ev, const struct mode_spec *spec,
				const struct mode_host *host,
				void (*ready)(void *ud, const struct error *err), void *ud)
{
	struct share *s = xnew(struct share);

	s->mode.ops = &mode_share;
	s->ev = ev;
	s->host = *host;
	s->title = spec->title ? xstrdup(spec->title) : NULL;
	s->content = mode_content_ref(spec->content);
	memcpy(s->key, spec->secret, sizeof(s->key));
	s->autostop = !option_is_true(spec->options, "no_autostop_sharing");
	s->log_filenames = option_is_true(spec->options, "log_filenames");
	s->ready = ready;
	s->ready_ud = ud;
	make_zip_name(s);
	openfiles_init(&s->files);
	list_init(&s->waiting);
	downloads_init(&s->downloads, ev, &s->host, s->autostop, max_downloads(spec->options),
		       downloads_finished, s);
	s->walk = walk(s, s->content, true, walk_done);
	return &s->mode;
}

static void share_request(struct mode *m, struct http_req *req)
{
	struct share *s = share_of(m);

	if (req->method != HTTP_METHOD_GET && req->method != HTTP_METHOD_HEAD) {
		http_respond_method(req, "GET, HEAD");
	} else if (!assets_respond(req)) {
		visit_request(s, req);
	}
}

static void free_if_over(struct share *s)
{
	if (!s->closed || s->walk || s->replacing || s->users || s->restoring) {
		return;
	}
	void (*stopped)(void *) = s->stopped;
	void *ud = s->stopped_ud;

	plan_unref(s->plan);
	page_unref(s->root_page);
	openfiles_clear(&s->files);
	mode_content_unref(s->content);
	free(s->title);
	free(s->notice);
	crypto_wipe(s->key, sizeof(s->key));
	free(s);
	stopped(ud);
}

void share_user_done(struct share *s)
{
	s->users--;
	free_if_over(s);
}

static void downloads_closed(void *ud)
{
	struct share *s = ud;

	s->closed = true;
	free_if_over(s);
}

static void share_stop(struct mode *m, void (*stopped)(void *ud), void *ud)
{
	struct share *s = share_of(m);

	s->stopping = true;
	s->stopped = stopped;
	s->stopped_ud = ud;
	atomic_store_explicit(&s->cancel, true, memory_order_relaxed);
	downloads_close(&s->downloads, downloads_closed);
}

static unsigned share_active(const struct mode *m)
{
	const struct share *s = (const void *)((const char *)m - offsetof(struct share, mode));

	return s->downloads.active;
}

static const char *share_notice(const struct mode *m)
{
	const struct share *s = (const void *)((const char *)m - offsetof(struct share, mode));

	return s->notice;
}

const struct mode_ops mode_share = {
	.name = "share",
	.start = share_start,
	.request = share_request,
	.stop = share_stop,
	.replace = share_replace,
	.active = share_active,
	.notice = share_notice,
};
