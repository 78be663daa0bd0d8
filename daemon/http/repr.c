/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Representations: which of 200, 206, 304, 412 and 416 a request gets (RFC 9110). */
#include <errno.h>

#include "http/cond.h"
#include "http/range.h"
#include "http/req.h"
#include "proto/base/alloc.h"

enum verdict {
	SEND,
	NOT_MODIFIED,
	FAILED,
};

/* Does any field of that name name the representation? */
static bool any_matches(const struct http_req *req, struct span name, struct span etag, bool strong)
{
	for (size_t i = 0; i < req->n_fields; i++) {
		if (span_eq_ci(req->fields[i].name, name) &&
		    http_cond_list_matches(req->fields[i].value, etag, strong)) {
			return true;
		}
	}
	return false;
}

/* RFC 9110 section 13.2.2; the steps about dates fall away. */
static enum verdict judge(const struct http_req *req, struct span etag)
{
	bool safe = req->method == HTTP_METHOD_GET || req->method == HTTP_METHOD_HEAD;

	if (http_req_count(req, SPAN("If-Match")) &&
	    !any_matches(req, SPAN("If-Match"), etag, true)) {
		return FAILED;
	}
	if (any_matches(req, SPAN("If-None-Match"), etag, false)) {
		return safe ? NOT_MODIFIED : FAILED;
	}
	return SEND;
}

static enum http_range_result find_range(const struct http_req *req, const struct http_repr *repr,
					 struct span etag, uint64_t *offset, uint64_t *length)
{
	static const struct span range = SPAN("Range"), if_range = SPAN("If-Range");

	if (repr->no_ranges || req->method != HTTP_METHOD_GET || http_req_count(req, range) != 1) {
		return HTTP_RANGE_WHOLE;
	}
	if (http_req_count(req, if_range) &&
	    (http_req_count(req, if_range) > 1 ||
	     !http_cond_if_range(http_req_field(req, if_range), etag))) {
		return HTTP_RANGE_WHOLE;
	}
	return http_range_parse(http_req_field(req, range), repr->length, offset, length);
}

static void maybe_field(struct http_resp *resp, const char *name, const char *value)
{
	if (value) {
		http_resp_field(resp, name, "%s", value);
	}
}

/* Those that a 304 carries as well (RFC 9110 section 15.4.5). */
static void validator_fields(struct http_resp *resp, const struct http_repr *repr)
{
	maybe_field(resp, "ETag", repr->etag);
	maybe_field(resp, "Vary", repr->vary);
	maybe_field(resp, "Cache-Control", repr->cache_control);
}

static void content_fields(struct http_resp *resp, const struct http_repr *repr)
{
	maybe_field(resp, "Content-Type", repr->content_type);
	maybe_field(resp, "Content-Disposition", repr->disposition);
	maybe_field(resp, "Content-Encoding", repr->content_encoding);
	validator_fields(resp, repr);
	if (!repr->no_ranges) {
		http_resp_field(resp, "Accept-Ranges", "bytes");
	}
}

static void unused(const struct http_repr *repr)
{
	if (repr->unused) {
		repr->unused(repr->ud);
	}
}

static void respond_unsatisfiable(struct http_req *req, const struct http_repr *repr)
{
	struct http_resp resp;

	unused(repr);
	http_resp_init(&resp, req, 416);
	http_resp_field(&resp, "Content-Range", "bytes */%llu", (unsigned long long)repr->length);
	http_respond_error_fields(req, &resp);
}

static void respond_not_modified(struct http_req *req, const struct http_repr *repr)
{
	struct http_resp resp;

	unused(repr);
	http_resp_init(&resp, req, 304);
	validator_fields(&resp, repr);
	http_respond(req, &resp, http_body_none());
}

static void respond_bytes(struct http_req *req, const struct http_repr *repr, bool part,
			  uint64_t offset, uint64_t length)
{
	struct http_body body = {.kind = HTTP_BODY_NONE, .length = length};
	struct http_resp resp;
	int r;

	if (req->method == HTTP_METHOD_HEAD) {
		unused(repr);
	} else {
		r = repr->open(repr->ud, offset, length, &body);
		if (r < 0) {
			http_respond_error(req, r == -ENOENT || r == -EACCES ? 404 : 500);
			return;
		}
	}
	http_resp_init(&resp, req, part ? 206 : 200);
	content_fields(&resp, repr);
	if (part) {
		http_resp_field(&resp, "Content-Range", "bytes %llu-%llu/%llu",
				(unsigned long long)offset,
				(unsigned long long)(offset + length - 1),
				(unsigned long long)repr->length);
	}
	http_respond(req, &resp, body);
}

void http_respond_repr(struct http_req *req, const struct http_repr *repr)
{
	struct span etag = span_str(repr->etag);
	uint64_t offset = 0, length = repr->length;

	switch (judge(req, etag)) {
	case NOT_MODIFIED:
		respond_not_modified(req, repr);
		return;
	case FAILED:
		unused(repr);
		http_respond_error(req, 412);
		return;
	case SEND:
		break;
	}
	switch (find_range(req, repr, etag, &offset, &length)) {
	case HTTP_RANGE_UNSATISFIABLE:
		respond_unsatisfiable(req, repr);
		break;
	case HTTP_RANGE_PART:
		respond_bytes(req, repr, true, offset, length);
		break;
	case HTTP_RANGE_WHOLE:
		respond_bytes(req, repr, false, 0, repr->length);
		break;
	}
}
