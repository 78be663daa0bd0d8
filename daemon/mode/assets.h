/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What pages bring along (style, icons), compiled in. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "http/req.h"
#include "proto/base/span.h"

/*
 * Where they live, on every installation. It comes before what is shared: a
 * directory of that very name at the top of a share is in the zip only. The
 * name is long and means nothing, so nobody has one by chance.
 */
#define ASSETS_PATH "/static_onionshare_7qk2v4m3xz5t6wbn/"

struct asset_bytes {
	const char *etag; /* of their own, with quotes */
	size_t n;
	const unsigned char *p;
};

struct asset {
	const char *name, *type;
	struct asset_bytes plain, packed; /* packed: by gzip; n 0 where that gains nothing */
};

extern const struct asset assets[];
extern const unsigned assets_n;

/* Answers for paths below ASSETS_PATH (404 included), and for /favicon.ico; false: another path. */
bool assets_respond(struct http_req *req);
/* The same without /favicon.ico: a website has its own, or none. */
bool assets_respond_reserved(struct http_req *req);
