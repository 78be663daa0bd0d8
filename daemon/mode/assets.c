/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/assets.h"

#include "http/accept.h"

static int open_bytes(void *ud, uint64_t offset, uint64_t length, struct http_body *ret)
{
	const struct asset_bytes *bytes = ud;

	*ret = (struct http_body){.kind = HTTP_BODY_MEM, .length = length};
	ret->mem.p = (const char *)bytes->p + offset;
	return 0;
}

static void respond(struct http_req *req, const struct asset *a)
{
	struct http_accept accept = http_accept_of(req);
	bool packed = a->packed.n > 0 && http_accept_has(&accept, HTTP_CODING_GZIP);
	const struct asset_bytes *bytes = packed ? &a->packed : &a->plain;
	const struct http_repr repr = {
		.length = bytes->n,
		.etag = bytes->etag,
		.content_type = a->type,
		.content_encoding = packed ? http_coding_name(HTTP_CODING_GZIP) : NULL,
		.vary = a->packed.n > 0 ? "Accept-Encoding" : NULL,
		.cache_control = "no-cache",
		.open = open_bytes,
		.ud = (void *)(uintptr_t)bytes,
	};

	http_respond_repr(req, &repr);
}

static const struct asset *find(struct span name)
{
	for (unsigned i = 0; i < assets_n; i++) {
		if (span_eq(name, span_str(assets[i].name))) {
			return &assets[i];
		}
	}
	return NULL;
}

static void respond_if_any(struct http_req *req, const struct asset *a)
{
	if (a) {
		respond(req, a);
	} else {
		http_respond_error(req, 404);
	}
}

bool assets_respond_reserved(struct http_req *req)
{
	if (!span_starts(req->path, SPAN(ASSETS_PATH))) {
		return false;
	}
	respond_if_any(req, find(span_from(req->path, sizeof(ASSETS_PATH) - 1)));
	return true;
}

bool assets_respond(struct http_req *req)
{
	if (span_eq(req->path, SPAN("/favicon.ico"))) {
		respond_if_any(req, find(SPAN("favicon.ico")));
		return true;
	}
	return assets_respond_reserved(req);
}
