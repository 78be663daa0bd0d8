/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One request to a website. What the kernel knows without a disk, and what is in
 * memory, is answered at once; everything else is an errand for the pool.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http/gzip.h"
#include "mode/website.h"
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
	struct http_accept accept;
	struct find f;
	char *path, *room;
	unsigned page;
	struct body_key key;
	struct buf out; /* a page, or what a file became */
	bool packed;    /* the page, that is */
	int result;
};

/* --- errands --- */

static void errand_free(struct errand *e)
{
	struct website *w = e->w;

	list_remove(&e->link);
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
	char etag[WEBSITE_ETAG_ROOM];
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

static void pack(struct errand *e)
{
	struct website *w = e->w;

	e->key = body_key(&e->f.st, HTTP_CODING_GZIP);
	list_for_each (it, &w->packing) {
		struct errand *other = list_entry(it, struct errand, link);

		if (body_key_eq(&other->key, &e->key)) {
			list_append(&other->waiting, &e->link);
			return;
		}
	}
	list_append(&w->packing, &e->link);
	work_submit(w->ev->work, WORK_SLOW, &e->job, pack_run, pack_done);
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
	} else if (shall_pack) {
		pack(errand_new(w, req, accept, f));
	} else {
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

static void find_done(struct job *job)
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

static void send_to_pool(struct website *w, struct http_req *req, const struct http_accept *accept,
			 struct find *f, enum work_lane lane)
{
	struct errand *e = errand_new(w, req, accept, f);

	work_submit(w->ev->work, lane, &e->job, find_run, find_done);
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
		send_to_pool(w, req, &accept, &f, WORK_FAST);
		return;
	}
	if (f.kind == FIND_DIRECTORY) {
		send_to_pool(w, req, &accept, &f, WORK_SLOW);
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
			send_to_pool(w, req, &accept, &f, WORK_FAST);
			return;
		}
	}
	answer(w, req, &accept, &f);
}
