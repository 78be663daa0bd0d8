/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A submission in one request, and what all ways of sending one have in common:
 * what is refused by the head alone, and how answers look.
 */
#include <stdlib.h>
#include <string.h>

#include "http/content/multipart.h"
#include "mode/receive/intake.h"
#include "mode/receive/receive.h"
#include "mode/receive/resumable.h"
#include "proto/base/alloc.h"
#include "proto/base/crypto.h"

struct upload {
	struct receive *r;
	struct http_req *req; /* NULL: gone, or answered */
	struct intake *in;    /* NULL: over */
	bool ajax, reading;
};

/* --- answering --- */

void upload_json(struct buf *b, bool is_error, struct span text, bool last)
{
	json_t *o =
		json_pack("{s: [s%]}", is_error ? "error_flashes" : "info_flashes", text.p, text.n);
	struct buf page = BUF_INIT;

	if (last && !is_error) {
		form_thanks(&page, text);
		json_object_set_new(o, "new_body", json_stringn(page.p, page.len));
		buf_wipe(&page);
	}
	char *dump = json_dumps(o, JSON_COMPACT);

	buf_add_str(b, dump);
	crypto_wipe(dump, strlen(dump));
	free(dump);
	json_decref(o);
}

static void respond_json(struct http_req *req, int status, bool is_error, struct span text)
{
	struct buf json = BUF_INIT;
	struct http_resp resp;

	upload_json(&json, is_error, text, http_req_is_last(req));
	receive_init_resp(&resp, req, status);
	http_respond_text(req, &resp, "application/json", buf_span(&json));
	buf_wipe(&json);
}

static void respond_redirect(struct receive *r, struct http_req *req, struct span text,
			     bool is_error)
{
	char token[FLASH_TOKEN_LEN + 1];
	struct http_resp resp;

	flashes_put(r->flashes, ev_now_ms(r->ev), text, is_error, token);
	receive_init_resp(&resp, req, 303);
	http_resp_field(&resp, "Location", "/?result=%s", token);
	http_respond(req, &resp, http_body_none());
}

static void respond_thanks(struct http_req *req, struct span text)
{
	struct buf page = BUF_INIT;
	struct http_resp resp;

	form_thanks(&page, text);
	receive_init_resp(&resp, req, 200);
	http_respond_text(req, &resp, "text/html; charset=utf-8", buf_span(&page));
	buf_wipe(&page);
}

static void answer(struct receive *r, struct http_req *req, bool ajax, enum refusal why,
		   struct span text)
{
	int status = refusal_status(why);
	bool is_error = why != REFUSED_NOT;

	if (ajax) {
		respond_json(req, status, is_error, text);
	} else if (!is_error && http_req_is_last(req)) {
		respond_thanks(req, text);
	} else if (status == 200 && !http_req_is_last(req)) {
		respond_redirect(r, req, text, is_error);
	} else {
		receive_respond_page(r, req, status, text, is_error);
	}
}

/* --- the intake --- */

static int on_bytes(void *ud, struct span bytes)
{
	struct upload *u = ud;

	return u->in && u->req ? intake_feed(u->in, bytes) : -ECANCELED;
}

static void on_body_end(void *ud)
{
	struct upload *u = ud;

	if (u->in && u->req) {
		intake_end(u->in);
	}
}

static const struct http_sink_ops sink = {.data = on_bytes, .end = on_body_end};

static void on_more(void *ud)
{
	struct upload *u = ud;

	if (u->req && u->reading) {
		http_req_resume(u->req);
	} else if (u->req) {
		u->reading = true;
		http_req_read(u->req, &sink, u);
	}
}

static void on_result(void *ud, enum refusal why, struct span text)
{
	struct upload *u = ud;

	if (u->req) {
		answer(u->r, u->req, u->ajax, why, text);
	}
}

/* The request may outlive what we do with it, and the other way round. */
static void on_over(void *ud)
{
	struct upload *u = ud;

	u->in = NULL;
	if (!u->req) {
		free(u);
	}
}

static const struct intake_ops intake_ops = {on_more, on_result, on_over};

/* --- the request --- */

static void on_done(void *ud)
{
	struct upload *u = ud;

	u->req = NULL;
	if (!u->in) {
		free(u);
	}
}

static void on_abort(void *ud)
{
	struct upload *u = ud;

	u->req = NULL;
	if (u->in) {
		intake_cancel(u->in);
	} else {
		free(u);
	}
}

static const struct http_observer observer = {.done = on_done, .abort = on_abort};

static void begin(struct receive *r, struct http_req *req, bool ajax,
		  const struct multipart_boundary *boundary)
{
	struct upload *u = xnew(struct upload);

	u->r = r;
	u->req = req;
	u->ajax = ajax;
	http_req_observe(req, &observer, u);
	u->in = intake_new(r, boundary, req->content_length, &intake_ops, u);
}

/* --- by the head alone --- */

/* The largest body that may hold what is accepted. */
uint64_t upload_body_max(const struct receive *r)
{
	uint64_t content = r->files ? UINT64_MAX : 4 * (uint64_t)FORM_TEXT_MAX;

	content = r->max_submission < content ? r->max_submission : content;
	return content > UINT64_MAX - RECEIVE_FRAMING_SLACK ? UINT64_MAX
							    : content + RECEIVE_FRAMING_SLACK;
}

void upload_refuse(struct receive *r, struct http_req *req, bool ajax, enum refusal why)
{
	answer(r, req, ajax, why, span_str(refusal_text(why, r->text)));
}

void upload_request(struct receive *r, struct http_req *req, bool ajax)
{
	struct multipart_boundary boundary;

	if (http_req_cross_site(req)) {
		http_respond_error(req, 403);
	} else if (http_req_count(req, SPAN("Content-Type")) != 1 ||
		   multipart_boundary(http_req_field(req, SPAN("Content-Type")), &boundary) < 0) {
		upload_refuse(r, req, ajax, REFUSED_MALFORMED);
	} else if (req->content_length != HTTP_LENGTH_UNKNOWN &&
		   req->content_length > upload_body_max(r)) {
		upload_refuse(r, req, ajax, REFUSED_TOO_LARGE);
	} else if (ajax && resumable_is_first(req)) {
		resumable_create(r, req, &boundary);
	} else {
		begin(r, req, ajax, &boundary);
	}
}
