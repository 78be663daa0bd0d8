/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Responses of a website: bodies from memory and from files, redirects, what is missing. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "http/content/gzip.h"
#include "http/content/tmpl.h"
#include "mode/files/tree.h"
#include "mode/website/website.h"
#include "proto/base/alloc.h"

/* So large and less is kept in memory, and told to the host together. */
#define SMALL (128u * 1024)
/* Text from here to there is made smaller; a larger one takes the pool too long. */
#define PACK_MIN 256u
#define PACK_MAX (4u * 1024 * 1024)
/*
 * The kernel's clock for files goes by ticks of up to 10 ms: within one, a second
 * edit leaves all times as they are.
 */
#define YOUNG_NS INT64_C(50000000)

/* --- what a file is known by --- */

bool website_is_young(const struct stat *st)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return tree_ns(now) - tree_ns(st->st_ctim) < YOUNG_NS;
}

static bool is_released(const struct website *w)
{
	return w->site && w->site->content && w->site->content->released;
}

/* A young file has another validator than the same file later: it may not be the same. */
void website_make_etag(const struct website *w, const struct stat *st, enum http_coding coding,
		       char ret[ETAG_ROOM])
{
	bool released = is_released(w);
	/* Of a release, which never changes, the time tells its files apart (svc/handover.c). */
	const uint64_t numbers[] = {
		/* images of file systems that are made alike have like inodes and times */
		released ? 0 : st->st_dev,
		released ? 0 : st->st_ino,
		(uint64_t)st->st_size,
		(uint64_t)tree_ns(st->st_mtim),
		released ? 0 : (uint64_t)tree_ns(st->st_ctim),
		!released && website_is_young(st),
		coding,
	};
	const struct span parts[] = {
		SPAN("website 1"),
		span_of((const char *)numbers, sizeof(numbers)),
		coding == HTTP_CODING_GZIP ? span_str(http_gzip_version()) : SPAN(""),
	};

	etag_make(released ? w->site->content->release : w->key, parts, ARRAY_SIZE(parts), ret);
}

static bool is_worth_packing(const struct http_accept *accept, const struct find *f)
{
	return f->kind == FIND_FILE && f->coding == HTTP_CODING_NONE && f->shrinks &&
	       http_accept_has(accept, HTTP_CODING_GZIP) && f->st.st_size >= PACK_MIN &&
	       f->st.st_size <= PACK_MAX;
}

struct body *website_body(struct website *w, const struct http_accept *accept, const struct find *f,
			  bool *ret_pack)
{
	struct body_key key;

	*ret_pack = false;
	if (is_worth_packing(accept, f)) {
		key = body_key(&f->st, HTTP_CODING_GZIP);
		struct body *packed = bodies_get(&w->bodies, &key);

		if (packed && packed->p) {
			return packed;
		}
		/* What never changes is made smaller at once, on each machine that has it. */
		*ret_pack = !packed && (is_released(w) || !website_is_young(&f->st)) &&
			    bodies_have_room(&w->bodies, (size_t)f->st.st_size);
		if (*ret_pack) {
			return NULL;
		}
	}
	if (f->st.st_size > SMALL) {
		return NULL;
	}
	key = body_key(&f->st, HTTP_CODING_NONE);
	return bodies_get(&w->bodies, &key);
}

/* --- who hears what was sent --- */

static void small_sent(void *ud, uint64_t n)
{
	website_count_bytes(ud, (int64_t)n);
}

static void small_unsent(void *ud, uint64_t n)
{
	website_count_bytes(ud, -(int64_t)n);
}

static void small_done(void *ud)
{
	website_count_response(ud);
}

static void small_abort(void *ud)
{
	(void)ud;
}

static const struct http_observer small_observer = {
	.sent = small_sent,
	.unsent = small_unsent,
	.done = small_done,
	.abort = small_abort,
};

/* A response that is a transfer of its own. */
struct sending {
	struct website *w;
	struct download download;
};

static void sending_sent(void *ud, uint64_t n)
{
	struct sending *s = ud;

	download_sent(&s->w->downloads, &s->download, n);
}

static void sending_unsent(void *ud, uint64_t n)
{
	struct sending *s = ud;

	download_unsent(&s->w->downloads, &s->download, n);
}

static void sending_over(struct sending *s, bool whole)
{
	download_end(&s->w->downloads, &s->download, whole);
	free(s);
}

static void sending_done(void *ud)
{
	sending_over(ud, true);
}

static void sending_abort(void *ud)
{
	sending_over(ud, false);
}

static const struct http_observer sending_observer = {
	.sent = sending_sent,
	.unsent = sending_unsent,
	.done = sending_done,
	.abort = sending_abort,
};

/* --- files and bodies --- */

/* One response, while it is being made. */
struct answer {
	struct website *w;
	struct http_req *req;
	struct find *f;    /* a file, or ... */
	struct body *body; /* ... what is in memory, or ... */
	char *bytes;       /* ... what is there for this answer only */
	const char *etag;
	uint64_t length; /* of all of it */
};

static void release_body(void *ud)
{
	body_unref(ud);
}

static struct http_body take_body(struct answer *a, uint64_t offset, uint64_t length)
{
	struct http_body body = {.kind = HTTP_BODY_MEM, .length = length};

	if (a->bytes) {
		body.mem.p = a->bytes + offset;
		body.mem.release = free;
		body.mem.ud = take_ptr(a->bytes);
		return body;
	}
	if (!a->body) {
		body = http_body_file(a->f->fd, offset, length, &a->f->st);
		a->f->fd = -1;
		return body;
	}
	/* An empty one is nowhere. */
	body.mem.p = a->body->p ? a->body->p + offset : "";
	body.mem.release = release_body;
	body.mem.ud = body_ref(a->body);
	return body;
}

static void observe(const struct answer *a, uint64_t offset, uint64_t length)
{
	struct website *w = a->w;

	if (a->length <= SMALL && !w->log_filenames) {
		http_req_observe(a->req, &small_observer, w);
		return;
	}
	struct sending *s = xnew(struct sending);

	s->w = w;
	download_begin(&w->downloads, &s->download, a->etag, a->length, offset, length,
		       w->log_filenames ? a->req->path.p : NULL);
	http_req_observe(a->req, &sending_observer, s);
}

static int open_answer(void *ud, uint64_t offset, uint64_t length, struct http_body *ret)
{
	struct answer *a = ud;

	*ret = take_body(a, offset, length);
	observe(a, offset, length);
	return 0;
}

/* The site's own page for what is not there: no conditions, no ranges. */
static void respond_missing(struct answer *a)
{
	struct http_resp resp;

	http_resp_init(&resp, a->req, 404);
	http_resp_field(&resp, "Content-Type", "%s", a->f->type);
	http_resp_field(&resp, "Cache-Control", "%s", "no-store");
	http_respond(a->req, &resp, take_body(a, 0, a->length));
}

static void respond(struct answer *a)
{
	enum http_coding coding = a->f->coding;

	if (a->f->kind == FIND_NOTHING) {
		respond_missing(a);
		return;
	}
	if (a->body && a->body->key.coding == HTTP_CODING_GZIP) {
		coding = HTTP_CODING_GZIP;
	}
	const struct http_repr repr = {
		.length = a->length,
		.etag = a->etag,
		.content_type = a->f->type,
		.vary = a->f->shrinks ? "Accept-Encoding" : NULL,
		.cache_control = "no-cache",
		.content_encoding = http_coding_name(coding),
		.open = open_answer,
		.ud = a,
	};

	http_respond_repr(a->req, &repr);
}

void website_send_body(struct website *w, struct http_req *req, struct find *f, struct body *body)
{
	struct answer a = {
		.w = w, .req = req, .f = f, .body = body, .etag = body->etag, .length = body->n};

	respond(&a);
}

/* If all of it is in the page cache, and it is what was found. */
static char *read_small(const struct find *f)
{
	size_t n = (size_t)f->st.st_size;
	char *p = xmalloc(n + 1);
	struct iovec iov = {.iov_base = p, .iov_len = n};
	struct stat st;

	if ((n == 0 || preadv2(f->fd, &iov, 1, 0, RWF_NOWAIT) == (ssize_t)n) &&
	    fstat(f->fd, &st) == 0) {
		const struct body_key now = body_key(&st, HTTP_CODING_NONE);
		const struct body_key then = body_key(&f->st, HTTP_CODING_NONE);

		if (body_key_eq(&now, &then)) {
			return p;
		}
	}
	free(p);
	return NULL;
}

/* Into memory, and it stays there unless it may change unseen. */
static void load_small(struct answer *a)
{
	const struct find *f = a->f;
	size_t n = (size_t)f->st.st_size;
	struct body_key key;
	char *p;

	if (n > SMALL || !bodies_have_room(&a->w->bodies, n)) {
		return;
	}
	p = read_small(f);
	if (p && website_is_young(&f->st)) {
		a->bytes = p;
	} else if (p) {
		key = body_key(&f->st, HTTP_CODING_NONE);
		a->body = bodies_put(&a->w->bodies, &key, p, n, a->etag);
	}
}

void website_send_file(struct website *w, struct http_req *req, struct find *f)
{
	char etag[ETAG_ROOM];
	struct answer a = {
		.w = w, .req = req, .f = f, .etag = etag, .length = (uint64_t)f->st.st_size};

	website_make_etag(w, &f->st, HTTP_CODING_NONE, etag);
	load_small(&a);
	respond(&a);
	free(a.bytes);
	close_fdp(&f->fd);
}

/* --- the others --- */

/* A path with one slash in front is a path on this host, whatever follows. */
static void respond_moved(struct http_req *req)
{
	struct buf location = BUF_INIT;
	struct http_resp resp;

	tmpl_path(&location, req->path);
	buf_add_char(&location, '/');
	if (req->query.p) {
		buf_add_char(&location, '?');
		buf_add_span(&location, req->query);
	}
	http_resp_init(&resp, req, 301);
	http_resp_field(&resp, "Location", "%s", location.p);
	http_resp_field(&resp, "Cache-Control", "%s", "no-cache");
	http_respond(req, &resp, http_body_none());
	buf_done(&location);
}

void website_send_other(struct http_req *req, enum find_kind kind)
{
	switch (kind) {
	case FIND_MOVED:
		respond_moved(req);
		break;
	case FIND_BUSY:
	case FIND_GONE:
		http_respond_error(req, 503);
		break;
	case FIND_NOTHING:
	case FIND_FILE:
	case FIND_DIRECTORY:
		http_respond_error(req, 404);
		break;
	}
}

void website_send_page(struct website *w, struct http_req *req, struct buf *page, bool packed)
{
	struct http_body body = {.kind = HTTP_BODY_MEM, .length = page->len};
	struct http_resp resp;

	if (!bodies_have_room(&w->bodies, page->len)) {
		http_respond_error(req, 503);
		return;
	}
	http_resp_init(&resp, req, 200);
	http_resp_field(&resp, "Content-Type", "%s", "text/html; charset=utf-8");
	http_resp_field(&resp, "Cache-Control", "%s", "no-cache");
	http_resp_field(&resp, "Vary", "%s", "Accept-Encoding");
	if (packed) {
		http_resp_field(&resp, "Content-Encoding", "%s", "gzip");
	}
	http_req_observe(req, &small_observer, w);
	body.mem.p = page->p;
	body.mem.release = release_body;
	body.mem.ud = bodies_count(&w->bodies, page->p, page->len);
	*page = BUF_INIT;
	http_respond(req, &resp, body);
}
