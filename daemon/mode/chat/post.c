/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a member without JavaScript sends: a form with his secret and a text or a
 * name. The answer is empty, 204, so that the page stays; what is wrong with it he
 * reads in his stream.
 */
#include <errno.h>
#include <stdlib.h>

#include "http/content/multipart.h"
#include "mode/chat/chat.h"
#include "proto/base/alloc.h"
#include "proto/base/crypto.h"

#define PARTS_MAX 3

struct post {
	struct chat *c;
	struct http_req *req;
	struct multipart mp;
	struct buf secret, text, name;
	bool has_secret, has_text, has_name;
	struct buf *at; /* the part that is coming; NULL: one that does not count */
	size_t received;
	bool answered;
};

/* --- the form --- */

static struct buf *begin_field(struct buf *b, bool *seen)
{
	if (*seen) {
		return NULL;
	}
	*seen = true;
	return b;
}

static int on_part(void *ud, const struct multipart_part *part)
{
	struct post *p = ud;

	p->at = NULL;
	if (span_eq(part->name, SPAN("secret"))) {
		p->at = begin_field(&p->secret, &p->has_secret);
	} else if (span_eq(part->name, SPAN("text"))) {
		p->at = begin_field(&p->text, &p->has_text);
	} else if (span_eq(part->name, SPAN("name"))) {
		p->at = begin_field(&p->name, &p->has_name);
	}
	return p->at ? 0 : -EINVAL;
}

static int on_part_data(void *ud, struct span bytes)
{
	struct post *p = ud;

	buf_add_span(p->at, bytes);
	return 0;
}

static int on_part_end(void *ud)
{
	(void)ud;
	return 0;
}

static const struct multipart_ops form_ops = {on_part, on_part_data, on_part_end};

/* --- the answer --- */

static void respond_empty(struct http_req *req)
{
	struct http_resp resp;

	http_resp_init(&resp, req, 204);
	http_resp_field(&resp, "Cache-Control", "no-store");
	http_respond(req, &resp, http_body_none());
}

static void refuse(struct post *p, int status)
{
	if (!p->answered) {
		p->answered = true;
		http_respond_error(p->req, status);
	}
}

static void obey(struct post *p)
{
	struct room_member *m = stream_find(p->c, buf_span(&p->secret));

	if (!p->has_secret || p->has_text == p->has_name) {
		refuse(p, 400);
		return;
	}
	if (!m || m->dismissed) {
		refuse(p, 403);
		return;
	}
	if (p->has_text) {
		room_say(m, buf_span(&p->text));
	} else {
		room_rename(m, buf_span(&p->name));
	}
	p->answered = true;
	respond_empty(p->req);
}

/* --- the body --- */

static int on_bytes(void *ud, struct span bytes)
{
	struct post *p = ud;

	p->received += bytes.n;
	if (p->received > POST_BODY_MAX) {
		refuse(p, 413);
	} else if (multipart_feed(&p->mp, bytes) < 0) {
		refuse(p, 400);
	}
	return p->answered ? -ECANCELED : 0;
}

static void on_body_end(void *ud)
{
	struct post *p = ud;

	if (multipart_finish(&p->mp) < 0) {
		refuse(p, 400);
	} else {
		obey(p);
	}
}

static const struct http_sink_ops sink = {.data = on_bytes, .end = on_body_end};

static void on_over(void *ud)
{
	struct post *p = ud;

	multipart_done(&p->mp);
	buf_wipe(&p->secret);
	buf_wipe(&p->text);
	buf_wipe(&p->name);
	crypto_wipe(p, sizeof(*p));
	free(p);
	crypto_wipe_stack();
}

static const struct http_observer observer = {.done = on_over, .abort = on_over};

void post_request(struct chat *c, struct http_req *req)
{
	struct multipart_boundary boundary;
	struct post *p;

	if (req->method != HTTP_METHOD_POST) {
		http_respond_method(req, "POST");
		return;
	}
	if (http_req_cross_site(req)) {
		http_respond_error(req, 403);
		return;
	}
	if (multipart_boundary(http_req_field(req, SPAN("Content-Type")), &boundary) < 0) {
		http_respond_error(req, 400);
		return;
	}
	if (req->content_length != HTTP_LENGTH_UNKNOWN && req->content_length > POST_BODY_MAX) {
		http_respond_error(req, 413);
		return;
	}
	p = xnew(struct post);
	p->c = c;
	p->req = req;
	multipart_init(&p->mp, &boundary, PARTS_MAX, &form_ops, p);
	http_req_observe(req, &observer, p);
	http_req_read(req, &sink, p);
}
