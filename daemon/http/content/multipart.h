/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A streaming reader of multipart/form-data bodies (RFC 7578, RFC 2046 section
 * 5.1): bytes are pushed in, in pieces of any size, and come out as parts. Pure,
 * bounded, and linear in time whatever the bytes are. Data is handed on as it
 * is: a Content-Transfer-Encoding is not undone, a part that is multipart itself
 * is data. Line ends of the framing are CRLF, nothing else.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/span.h"

#define MULTIPART_BOUNDARY_MAX 70u /* RFC 2046 section 5.1.1 */
#define MULTIPART_HEAD_MAX     (8u * 1024)
#define MULTIPART_FIELDS_MAX   32u
#define MULTIPART_AROUND_MAX   (64u * 1024) /* preamble; epilogue */
#define MULTIPART_PADDING_MAX  64u          /* white space behind a boundary */

struct multipart_boundary {
	char text[MULTIPART_BOUNDARY_MAX + 1];
	size_t n;
};

/* From a Content-Type: 0, or -EINVAL if that is not form-data with one usable boundary. */
int multipart_boundary(struct span content_type, struct multipart_boundary *ret);

/* A part's head. Any bytes may be in these, also NUL and what is not UTF-8. */
struct multipart_part {
	struct span name; /* p NULL: none */
	/* p NULL: none. Percent-encoded quotes and line ends (as browsers send them) are decoded.
	 */
	struct span filename;
	struct span content_type; /* p NULL: none */
};

/*
 * Called from within multipart_feed: begin, data (not empty, any number), end,
 * and again. Another result than 0 stops: it is what multipart_feed returns.
 */
struct multipart_ops {
	int (*begin)(void *ud, const struct multipart_part *part);
	int (*data)(void *ud, struct span bytes);
	int (*end)(void *ud);
};

enum multipart_state {
	MULTIPART_PREAMBLE,
	MULTIPART_BEHIND,      /* a boundary; "--", or white space and the line's end */
	MULTIPART_BEHIND_DASH, /* and one dash */
	MULTIPART_PADDING,
	MULTIPART_LINE_FEED,
	MULTIPART_HEAD,
	MULTIPART_DATA,
	MULTIPART_EPILOGUE,
	MULTIPART_FAILED,
};

struct multipart {
	const struct multipart_ops *ops;
	void *ud;
	enum multipart_state state;
	int error;
	unsigned parts, max_parts;
	bool in_part;                            /* begin was called, end was not */
	char needle[4 + MULTIPART_BOUNDARY_MAX]; /* CR LF dash dash boundary */
	size_t needle_n;
	size_t held;    /* bytes of the needle that have come */
	size_t assumed; /* the first of them, which did not really come: the line end before */
	size_t around, padding;
	struct buf head;
};

void multipart_init(struct multipart *m, const struct multipart_boundary *boundary,
		    unsigned max_parts, const struct multipart_ops *ops, void *ud);
void multipart_done(struct multipart *m);
/*
 * 0; -EINVAL: malformed; -E2BIG: too many parts; -EMSGSIZE: too much beside their data; or
 * what a callback returned. After an error every further call returns the same.
 */
int multipart_feed(struct multipart *m, struct span bytes);
/* No more bytes come: 0, or -EINVAL if the last boundary is missing. */
int multipart_finish(struct multipart *m);
