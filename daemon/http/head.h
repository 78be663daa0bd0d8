/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The judge of a request's raw head (RFC 9112 sections 2 to 6), before any
 * other parser sees a byte of it. Stricter than the RFC asks of a recipient, so
 * that no two readers can understand one message differently: only CRLF ends a
 * line, no line is folded, nothing is repaired. Pure: bytes in, struct out.
 *
 * Errors are negative HTTP statuses: -400, -414, -415, -417, -431, -501, -505.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "http/req.h"

/* Where the search for a head's end has come to; all zero at its beginning. */
struct http_head_scan {
	size_t pos;      /* bytes looked at */
	size_t line;     /* where the current line begins */
	unsigned fields; /* field lines so far */
	bool blank;      /* one empty line stood before the request line */
	bool started;    /* the request line is complete */
};

/*
 * bytes: everything from the head's beginning, more of it at each call. The
 * length of the head with its empty line, 0 if more is needed, or an error.
 */
ssize_t http_head_scan(struct http_head_scan *s, struct span bytes);

struct http_head {
	enum http_method method;
	struct span method_text;
	struct span target;    /* as sent */
	struct span authority; /* of the absolute-form, else Host; p NULL: HTTP/1.0 without one */
	struct span path;      /* raw, begins with '/', or "*" */
	struct span query;     /* raw, p NULL if there is none */
	bool http10;
	bool keep_alive;
	bool expect_continue;
	bool chunked;
	bool has_length;
	uint64_t content_length;
	struct http_field *fields;
	size_t n_fields;
};

/*
 * head: a whole head that http_head_scan found. fields: room for the number of
 * fields that it counted. What was understood before an error stands in *ret.
 */
int http_head_parse(struct span head, struct http_field *fields, struct http_head *ret);

/* Is c a character of a token (RFC 9110 section 5.6.2)? */
bool http_is_tchar(unsigned char c);
/*
 * The members of a comma-separated list (RFC 9110 section 5.6.1) one by one,
 * without white space around them; empty ones are left out. *rest: the field's value.
 */
bool http_list_next(struct span *rest, struct span *ret);
/* host [":" port] as in Host and in an authority: 0 or -EINVAL. port: -1 if there is none. */
int http_host_split(struct span s, struct span *ret_name, int *ret_port);
