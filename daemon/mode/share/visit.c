/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a visitor of a share gets: pages, files, the zip. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http/content/tmpl.h"
#include "http/mime.h"
#include "mode/share/share.h"
#include "proto/base/alloc.h"

/* A page of so many rows and less is kept in memory. */
#define PAGE_ROWS 256
/* Larger ones are made in pieces of this. */
#define PAGE_PIECE (32u * 1024)
/* How often one request looks at files that are not as they were. */
#define MAX_TRIES     3
#define RETRY_SECONDS 30

/* Made only for requests that wait for something or are downloads. */
struct visit {
	struct share *share;
	struct http_req *req; /* NULL: gone, and only the job is left */
	struct list link;     /* of share->waiting */
	unsigned tries;
	struct plan *plan; /* that it is answered from */
	uint32_t entry;    /* the file; TREE_NONE: the zip */
	int fd;
	struct download download;
	/* opening a file */
	struct job job;
	bool opening;
	int result;
};

static void visit_free(struct visit *v)
{
	list_remove(&v->link);
	close_fdp(&v->fd);
	plan_unref(v->plan);
	free(v);
}

/* --- the request's end --- */

static void on_sent(void *ud, uint64_t n)
{
	struct visit *v = ud;

	download_sent(&v->share->downloads, &v->download, n);
}

static void on_unsent(void *ud, uint64_t n)
{
	struct visit *v = ud;

	download_unsent(&v->share->downloads, &v->download, n);
}

static void over(struct visit *v, bool whole)
{
	v->req = NULL;
	list_remove(&v->link);
	download_end(&v->share->downloads, &v->download, whole);
	if (!v->opening) {
		visit_free(v);
	}
}

static void on_done(void *ud)
{
	over(ud, true);
}

static void on_abort(void *ud)
{
	over(ud, false);
}

static const struct http_observer observer = {
	.sent = on_sent,
	.unsent = on_unsent,
	.done = on_done,
	.abort = on_abort,
};

static struct visit *visit_new(struct share *s, struct http_req *req)
{
	struct visit *v = xnew(struct visit);

	v->share = s;
	v->req = req;
	v->fd = -1;
	list_init(&v->link);
	http_req_observe(req, &observer, v);
	return v;
}

struct visit *visit_of_link(struct list *link)
{
	return list_entry(link, struct visit, link);
}

/* --- pages --- */

static void respond_later(struct http_req *req)
{
	struct http_resp resp;

	http_resp_init(&resp, req, 503);
	http_resp_field(&resp, "Retry-After", "%d", RETRY_SECONDS);
	http_respond_error_fields(req, &resp);
}

static void respond_busy(struct share *s, struct http_req *req)
{
	struct http_resp resp;
	struct buf b = BUF_INIT;

	listing_busy_page(&b, s->title);
	http_resp_init(&resp, req, 503);
	http_resp_field(&resp, "Retry-After", "%d", RETRY_SECONDS);
	http_resp_field(&resp, "Cache-Control", "no-store");
	http_respond_text(req, &resp, "text/html; charset=utf-8", buf_span(&b));
	buf_done(&b);
}

void page_unref(struct page *p)
{
	if (p && --p->refs == 0) {
		buf_done(&p->text);
		free(p);
	}
}

static void page_release(void *ud)
{
	page_unref(ud);
}

static uint64_t download_length(const struct plan *p)
{
	return p->tree->single ? p->tree->entries[1].file.size : p->zip.length;
}

static struct span download_name(const struct plan *p, const char *zip_name)
{
	return p->tree->single ? tree_name(p->tree, 1) : span_str(zip_name);
}

static void begin_listing(struct share *s, uint32_t dir, struct listing *ret)
{
	*ret = (struct listing){
		.tree = s->plan->tree,
		.dir = dir,
		.title = s->title,
		.filename = download_name(s->plan, s->zip_name),
		.download_size = download_length(s->plan),
		.links = !s->autostop,
	};
}

/* A large page on its way. */
struct page_source {
	struct http_source src;
	struct plan *plan;
	struct listing listing;
	struct buf piece;
	char *title, *filename; /* the share may be gone before */
};

static void page_pull(struct http_source *src)
{
	struct page_source *p = container_of(src, struct page_source, src);

	buf_clear(&p->piece);
	bool last = listing_fill(&p->listing, &p->piece, PAGE_PIECE);

	http_source_chunk(src, buf_span(&p->piece), last);
}

static void page_stop(struct http_source *src)
{
	struct page_source *p = container_of(src, struct page_source, src);

	plan_unref(p->plan);
	buf_done(&p->piece);
	free(p->title);
	free(p->filename);
	free(p);
}

static const struct http_source_ops page_ops = {
	.pull = page_pull,
	.stop = page_stop,
};

static struct http_body large_page(struct share *s, const struct listing *l)
{
	struct page_source *p = xnew(struct page_source);

	p->src.ops = &page_ops;
	p->plan = plan_ref(s->plan);
	p->listing = *l;
	p->title = l->title ? xstrdup(l->title) : NULL;
	p->filename = xmemdup(l->filename.p, l->filename.n);
	p->listing.title = p->title;
	p->listing.filename.p = p->filename;
	return http_body_source(&p->src, HTTP_LENGTH_UNKNOWN);
}

static struct http_body small_page(struct share *s, struct listing *l)
{
	struct page *p = l->dir == TREE_ROOT ? s->root_page : NULL;

	if (!p) {
		p = xnew(struct page);
		p->refs = 1;
		listing_fill(l, &p->text, SIZE_MAX);
		if (l->dir == TREE_ROOT) {
			s->root_page = p;
			p->refs++;
		}
	} else {
		p->refs++;
	}
	struct http_body body = {.kind = HTTP_BODY_MEM, .length = p->text.len};

	body.mem.p = p->text.p;
	body.mem.release = page_release;
	body.mem.ud = p;
	return body;
}

static void respond_listing(struct share *s, struct http_req *req, uint32_t dir)
{
	struct http_resp resp;
	struct listing l;

	begin_listing(s, dir, &l);
	http_resp_init(&resp, req, 200);
	http_resp_field(&resp, "Content-Type", "text/html; charset=utf-8");
	http_resp_field(&resp, "Cache-Control", "no-cache");
	http_respond(req, &resp,
		     s->plan->tree->entries[dir].dir.count <= PAGE_ROWS ? small_page(s, &l)
									: large_page(s, &l));
}

/* --- files and the zip --- */

static void zip_over(void *ud, int err)
{
	struct share *s = ud;

	if (err < 0) {
		s->stale = true;
	}
	share_user_done(s);
}

static const char *etag_of(const struct visit *v)
{
	return v->entry == TREE_NONE ? v->plan->zip_etag : plan_file_etag(v->plan, v->entry);
}

static uint64_t length_of(const struct visit *v)
{
	return v->entry == TREE_NONE ? v->plan->zip.length
				     : v->plan->tree->entries[v->entry].file.size;
}

static int open_body(void *ud, uint64_t offset, uint64_t length, struct http_body *ret)
{
	struct visit *v = ud;
	struct share *s = v->share;
	struct stat st;

	if (v->entry == TREE_NONE) {
		s->users++;
		*ret = plan_zip_body(v->plan, s->ev, offset, length, zip_over, s);
	} else {
		if (fstat(v->fd, &st) < 0) {
			return -errno;
		}
		*ret = http_body_file(v->fd, offset, length, &st);
		v->fd = -1;
	}
	download_begin(&s->downloads, &v->download, etag_of(v), length_of(v), offset, length,
		       s->log_filenames ? v->req->path.p : NULL);
	return 0;
}

static bool is_download(const struct http_req *req)
{
	return span_eq(req->path, SPAN("/download"));
}

static void respond_content(struct visit *v)
{
	struct span name = v->entry == TREE_NONE ? span_str(v->share->zip_name)
						 : tree_name(v->plan->tree, v->entry);
	struct buf disposition = BUF_INIT;

	tmpl_disposition(&disposition, is_download(v->req) ? "attachment" : "inline", name);
	const struct http_repr repr = {
		.length = length_of(v),
		.etag = etag_of(v),
		.content_type = http_mime_type(name),
		.disposition = disposition.p,
		.cache_control = "no-cache",
		.open = open_body,
		.ud = v,
	};

	http_respond_repr(v->req, &repr);
	buf_done(&disposition);
}

/* Waits until the files have been looked at again. */
static void wait_for_refresh(struct visit *v)
{
	list_append(&v->share->waiting, &v->link);
	share_refresh(v->share);
}

/* The file is not as planned: another look, unless it never stands still. */
static void try_again(struct visit *v)
{
	plan_unref(take_ptr(v->plan));
	if (++v->tries >= MAX_TRIES) {
		respond_later(v->req);
		return;
	}
	v->share->stale = true;
	wait_for_refresh(v);
}

static void open_run(struct job *job)
{
	struct visit *v = container_of(job, struct visit, job);

	v->result = tree_open(v->plan->tree, v->entry);
}

static int duplicate(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy < 0 ? -errno : copy;
}

static void open_done(struct job *job)
{
	struct visit *v = container_of(job, struct visit, job);
	struct share *s = v->share;

	v->opening = false;
	if (v->result >= 0) {
		v->fd = v->result;
	}
	if (!v->req) {
		visit_free(v);
	} else if (v->result == -EMFILE || v->result == -ENFILE) {
		respond_later(v->req);
	} else if (v->result < 0) {
		try_again(v);
	} else {
		int copy = v->plan == s->plan ? duplicate(v->fd) : -1;

		if (copy >= 0) {
			openfiles_put(&s->files, v->entry, copy);
		}
		respond_content(v);
	}
	share_user_done(s);
}

static void deliver_file(struct visit *v)
{
	struct share *s = v->share;
	int kept = openfiles_get(&s->files, v->entry);

	if (kept >= 0) {
		if (tree_check(v->plan->tree, v->entry, kept) < 0) {
			try_again(v);
			return;
		}
		v->fd = duplicate(kept);
		if (v->fd < 0) {
			v->fd = -1;
			respond_later(v->req);
			return;
		}
		respond_content(v);
		return;
	}
	s->users++;
	v->opening = true;
	work_submit(s->ev->work, WORK_FAST, &v->job, open_run, open_done);
}

static void deliver(struct share *s, struct http_req *req, struct visit *v, uint32_t entry)
{
	if (!v) {
		v = visit_new(s, req);
	}
	v->plan = plan_ref(s->plan);
	v->entry = entry;
	if (entry == TREE_NONE) {
		respond_content(v);
	} else {
		deliver_file(v);
	}
}

/* --- what is asked for --- */

static void serve(struct share *s, struct http_req *req, struct visit *v)
{
	const struct tree *t = s->plan->tree;
	bool root = span_eq(req->path, SPAN("/"));

	if (s->autostop && (root || is_download(req)) && s->downloads.active &&
	    http_req_count(req, SPAN("Range")) == 0) {
		respond_busy(s, req);
		return;
	}
	if (root) {
		respond_listing(s, req, TREE_ROOT);
		return;
	}
	if (is_download(req)) {
		deliver(s, req, v, t->single ? 1 : TREE_NONE);
		return;
	}
	uint32_t i = s->autostop ? TREE_NONE : tree_find(t, req->path);

	if (i == TREE_NONE) {
		http_respond_error(req, 404);
	} else if (t->entries[i].is_dir) {
		respond_listing(s, req, i);
	} else {
		deliver(s, req, v, i);
	}
}

void visit_go_on(struct visit *v)
{
	if (v->share->finished) {
		respond_later(v->req);
	} else {
		serve(v->share, v->req, v);
	}
}

void visit_request(struct share *s, struct http_req *req)
{
	if (s->finished) {
		respond_later(req);
	} else if (share_is_fresh(s)) {
		serve(s, req, NULL);
	} else {
		wait_for_refresh(visit_new(s, req));
	}
}
