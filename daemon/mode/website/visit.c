/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One request to a website. What the kernel knows without a disk, and what is in
 * memory, is answered at once; everything else is an errand for the pool.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http/content/gzip.h"
#include "mode/website/website.h"
#include "proto/base/alloc.h"

/* A page about a directory is made smaller from that size on. */
#define PACK_PAGE_MIN 512u

/* Something to be done on the pool for a request. */
struct errand {
	struct job job;
	struct website *w;
	struct site *site;
	struct http_req *req; /* NULL: gone meanwhile */
	struct list link;     /* of the errands that make a body smaller, or that wait for one */
	struct list waiting;  /* struct errand, for the same body */
	struct list queued;   /* until its turn comes in the slow lane */
	struct http_accept accept;
	struct find f;
	char *path, *room;
	unsigned page;
	struct body_key key;
	struct buf out; /* a page, or what a file became */
	bool packed;    /* the page, that is */
	bool found;     /* f is answered */
	int result;
	/* in the slow lane */
	void (*run)(struct job *job);
	void (*done)(struct job *job);
};

/* --- errands --- */

static void errand_free(struct errand *e)
{
	struct website *w = e->w;

	list_remove(&e->link);
	list_remove(&e->queued);
	close_fdp(&e->f.fd);
	site_unref(e->site);
	buf_done(&e->out);
	free(e->path);
	free(e->room);
	free(e);
	website_user_done(w);
}

static void errand_over(void *ud)
{
	((struct errand *)ud)->req = NULL;
}

static const struct http_observer errand_observer = {.done = errand_over, .abort = errand_over};

/* ?page=N, from 1 on; anything else is the first. */
static unsigned page_of(struct span query)
{
	static const struct span key = SPAN("page=");
	uint64_t n;

	if (!span_starts(query, key) || span_u64(span_from(query, key.n), UINT32_MAX, &n) < 0 ||
	    n == 0) {
		return 0;
	}
	return (unsigned)n - 1;
}

/* f: as it was asked on the loop; its file, if it is open, becomes the errand's. */
static struct errand *errand_new(struct website *w, struct http_req *req,
				 const struct http_accept *accept, struct find *f)
{
	struct errand *e = xnew(struct errand);

	e->w = w;
	e->site = site_ref(w->site);
	e->req = req;
	e->accept = *accept;
	e->path = xmemdup(req->path.p, req->path.n);
	e->room = xmalloc(FIND_ROOM);
	e->page = page_of(req->query);
	e->f = *f;
	f->fd = -1;
	e->f.path.p = e->path;
	e->f.accept = &e->accept;
	e->f.room = e->room;
	e->f.on_loop = e->f.look = false;
	list_init(&e->link);
	list_init(&e->waiting);
	list_init(&e->queued);
	w->users++;
	http_req_observe(req, &errand_observer, e);
	return e;
}

/* The request, which is answered now; NULL: it is gone. */
static struct http_req *take_request(struct errand *e)
{
	if (e->req) {
		http_req_observe(e->req, NULL, NULL);
	}
	return take_ptr(e->req);
}

/* --- the slow lane --- */

static bool is_wanted(const struct errand *e)
{
	bool wanted = e->req != NULL;

	list_for_each (it, &e->waiting) {
		wanted = wanted || list_entry(it, struct errand, link)->req;
	}
	return wanted;
}

static void slow_done(struct job *job);

static void leave_queue(struct errand *e)
{
	list_remove(&e->queued);
	e->w->slow.n--;
}

static void cancel(struct errand *e)
{
	leave_queue(e);
	e->result = -ECANCELED;
	e->done(&e->job);
}

/* What nobody waits for any more is not done. The caller is a user. */
static void slow_next(struct website *w)
{
	while (!w->slow.busy && !list_empty(&w->slow.queue)) {
		struct errand *e = list_entry(w->slow.queue.next, struct errand, queued);

		if (is_wanted(e)) {
			leave_queue(e);
			w->slow.busy = true;
			work_submit(w->ev->work, WORK_SLOW, &e->job, e->run, slow_done);
		} else {
			cancel(e);
		}
	}
}

static bool slow_is_full(struct website *w)
{
	if (w->slow.n < WEBSITE_SLOW_MAX) {
		return false;
	}
	list_for_each_safe (it, &w->slow.queue) {
		struct errand *e = list_entry(it, struct errand, queued);

		if (!is_wanted(e)) {
			cancel(e);
		}
	}
	return w->slow.n >= WEBSITE_SLOW_MAX;
}

static void slow_done(struct job *job)
{
	struct errand *e = container_of(job, struct errand, job);
	struct website *w = e->w;

	w->users++;
	w->slow.busy = false;
	e->done(job);
	slow_next(w);
	website_user_done(w);
}

/*
 * One at a time of each website, so that the visitors of one do not keep those of
 * the others waiting, who have the lane in common. Not when it is full.
 */
static void slow_submit(struct errand *e, void (*run)(struct job *job),
			void (*done)(struct job *job))
{
	struct website *w = e->w;

	e->run = run;
	e->done = done;
	list_append(&w->slow.queue, &e->queued);
	w->slow.n++;
	slow_next(w);
}

/* --- making smaller --- */

static void pack_run(struct job *job)
{
	struct errand *e = container_of(job, struct errand, job);
	uint64_t size = (uint64_t)e->f.st.st_size;
	struct stat st;

	/* At least a sixteenth is saved, or it is not worth it. */
	e->result = http_gzip_file(e->f.fd, size, (size_t)(size - size / 16), &e->out);
	if ((e->result == 0 || e->result == -EFBIG) && fstat(e->f.fd, &st) == 0) {
		const struct body_key now = body_key(&st, HTTP_CODING_GZIP);

		if (!body_key_eq(&now, &e->key)) {
			e->result = -ESTALE;
		}
	}
}

static void keep_packed(struct errand *e)
{
	char etag[ETAG_ROOM];
	struct buf none = BUF_INIT;

	if (e->result == -EFBIG) {
		bodies_put(&e->w->bodies, &e->key, NULL, 0, "");
	} else if (e->result == 0) {
		size_t n = e->out.len;

		website_make_etag(e->w, &e->f.st, HTTP_CODING_GZIP, etag);
		bodies_put(&e->w->bodies, &e->key, xrealloc(buf_take(&e->out), n + 1), n, etag);
		e->out = none;
	}
}

/* The body is there now, or will never be. */
static void answer_packed(struct errand *e, int result)
{
	struct http_req *req = take_request(e);
	struct body *body = bodies_get(&e->w->bodies, &e->key);

	if (!req) {
		return;
	}
	if (body && body->p) {
		website_send_body(e->w, req, &e->f, body);
	} else if (result == -ESTALE) {
		website_visit(e->w, req); /* it is another file, and young: not made smaller */
	} else {
		website_send_file(e->w, req, &e->f);
	}
}

static void pack_done(struct job *job)
{
	struct errand *e = container_of(job, struct errand, job);
	int result = e->result;

	keep_packed(e);
	list_remove(&e->link);
	e->w->packing_bytes -= (uint64_t)e->f.st.st_size;
	/* Who is answered may leave the list, but nobody joins: the errand is listed no more. */
	while (!list_empty(&e->waiting)) {
		struct errand *other = list_entry(e->waiting.next, struct errand, link);

		list_remove(&other->link);
		answer_packed(other, result);
		errand_free(other);
	}
	answer_packed(e, result);
	errand_free(e);
}

/* The one that makes that body already, or NULL. */
static struct errand *find_packing(const struct website *w, const struct body_key *key)
{
	list_for_each (it, &w->packing) {
		struct errand *e = list_entry(it, struct errand, link);

		if (body_key_eq(&e->key, key)) {
			return e;
		}
	}
	return NULL;
}

/* false: so much is to be made smaller already that it is sent as it is sooner. */
static bool pack(struct website *w, struct http_req *req, const struct http_accept *accept,
		 struct find *f)
{
	const struct body_key key = body_key(&f->st, HTTP_CODING_GZIP);
	struct errand *other = find_packing(w, &key), *e;
	uint64_t size = (uint64_t)f->st.st_size;

	if (!other && (w->packing_bytes + size > WEBSITE_PACKING_BYTES || slow_is_full(w))) {
		return false;
	}
	e = errand_new(w, req, accept, f);
	e->key = key;
	if (other) {
		list_append(&other->waiting, &e->link);
		return true;
	}
	list_append(&w->packing, &e->link);
	w->packing_bytes += size;
	slow_submit(e, pack_run, pack_done);
	return true;
}

/* --- looking --- */

/* Everything is known. A file is open: f->fd, which is taken. */
static void answer(struct website *w, struct http_req *req, const struct http_accept *accept,
		   struct find *f)
{
	struct body *body;
	bool shall_pack;

	if (!f->has_file) {
		close_fdp(&f->fd);
		website_send_other(req, f->kind);
		return;
	}
	body = website_body(w, accept, f, &shall_pack);
	if (body) {
		website_send_body(w, req, f, body);
	} else if (!shall_pack || !pack(w, req, accept, f)) {
		website_send_file(w, req, f);
	}
	close_fdp(&f->fd);
}

static void list_directory(struct errand *e)
{
	const struct site_listing l = {
		.site = e->site,
		.title = e->w->title,
		.path = e->f.name,
		.input = e->f.input,
		.fd = e->f.fd,
		.page = e->page,
		.dotfiles = e->f.dotfiles,
	};
	struct buf packed = BUF_INIT;

	e->result = website_list(&l, &e->out);
	if (e->result == 0 && e->out.len >= PACK_PAGE_MIN &&
	    http_accept_has(&e->accept, HTTP_CODING_GZIP) &&
	    http_gzip_text(buf_span(&e->out), e->out.len, &packed) == 0) {
		struct buf plain = e->out;

		e->out = packed;
		e->packed = true;
		packed = plain;
	}
	buf_done(&packed);
}

static void find_run(struct job *job)
{
	struct errand *e = container_of(job, struct errand, job);

	e->result = site_find(e->site, &e->f);
	e->found = true;
}

static void list_run(struct job *job)
{
	struct errand *e = container_of(job, struct errand, job);

	if (!e->found) {
		find_run(job);
	}
	if (e->f.kind == FIND_DIRECTORY) {
		list_directory(e);
	}
}

static void answer_listing(struct errand *e, struct http_req *req)
{
	if (e->result == 0) {
		website_send_page(e->w, req, &e->out, e->packed);
	} else {
		http_respond_error(req, e->result == -EMFILE || e->result == -ENFILE ? 503 : 404);
	}
}

static void list_done(struct job *job)
{
	struct errand *e = container_of(job, struct errand, job);
	struct http_req *req = take_request(e);

	if (!req) {
		/* nobody waits for it */
	} else if (e->f.kind == FIND_DIRECTORY) {
		answer_listing(e, req);
	} else {
		answer(e->w, req, &e->accept, &e->f);
	}
	errand_free(e);
}

static void list_later(struct errand *e)
{
	if (slow_is_full(e->w)) {
		http_respond_error(take_request(e), 503);
		errand_free(e);
	} else {
		slow_submit(e, list_run, list_done);
	}
}

static void find_done(struct job *job)
{
	struct errand *e = container_of(job, struct errand, job);

	if (e->f.kind == FIND_DIRECTORY && e->req) {
		list_later(e);
	} else {
		list_done(job);
	}
}

static void find_on_pool(struct website *w, struct http_req *req, const struct http_accept *accept,
			 struct find *f)
{
	struct errand *e = errand_new(w, req, accept, f);

	work_submit(w->ev->work, WORK_FAST, &e->job, find_run, find_done);
}

void website_visit(struct website *w, struct http_req *req)
{
	struct http_accept accept = http_accept_of(req);
	struct find f = {
		.path = req->path,
		.accept = &accept,
		.dotfiles = w->dotfiles,
		.no_listing = w->no_listing,
		.on_loop = true,
		.turn = w->turn,
		.look = true,
		.room = w->room,
		.fd = -1,
	};
	struct body *body;
	bool shall_pack;

	if (site_find(w->site, &f) < 0) {
		find_on_pool(w, req, &accept, &f);
		return;
	}
	if (f.kind == FIND_DIRECTORY) {
		list_later(errand_new(w, req, &accept, &f));
		return;
	}
	if (f.has_file) {
		body = website_body(w, &accept, &f, &shall_pack);
		if (body) {
			website_send_body(w, req, &f, body);
			return;
		}
		f.look = false;
		if (site_find(w->site, &f) < 0) {
			find_on_pool(w, req, &accept, &f);
			return;
		}
	}
	answer(w, req, &accept, &f);
}
