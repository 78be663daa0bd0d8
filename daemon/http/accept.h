/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The field Accept-Encoding (RFC 9110 section 12.5.3). Pure. */
#pragma once

#include <stdbool.h>

#include "http/req.h"
#include "proto/base/span.h"

/* In the order in which they are preferred where the visitor likes both the same. */
enum http_coding {
	HTTP_CODING_BR,
	HTTP_CODING_GZIP,
	HTTP_CODING_NONE, /* the representation as it is */
};
#define HTTP_CODINGS 3

/* Weights in thousandths; 0: not acceptable. */
struct http_accept {
	unsigned weight[HTTP_CODINGS];
};

/*
 * value: of the field, or of several with ", " between them; p NULL: there is none.
 * What is malformed in it counts as not said. Without a word about it the
 * representation as it is remains acceptable, but everything named is liked better.
 */
struct http_accept http_accept_parse(struct span value);
/* Of all such fields of a request. */
struct http_accept http_accept_of(const struct http_req *req);
/* Acceptable, and liked at least as well as the representation as it is? */
bool http_accept_has(const struct http_accept *a, enum http_coding coding);
/* "br", "gzip"; NULL for none. */
const char *http_coding_name(enum http_coding coding);
