/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A strict reader of the chunked coding's framing (RFC 9112 section 7.1): cuts
 * the coded body into pieces and says what each is, so that the decoder behind it
 * sees sizes, data and line ends only. Extensions and trailers are bounded and
 * dropped. Pure and incremental.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "proto/base/span.h"

enum http_chunk_piece {
	HTTP_CHUNK_FRAMING, /* digits of a size, or a line end: for the decoder */
	HTTP_CHUNK_DATA,    /* of the body */
	HTTP_CHUNK_DROPPED, /* extension or trailer: for nobody */
	HTTP_CHUNK_END,     /* the line end that ends the body: for the decoder; nothing follows */
};

enum http_chunk_state {
	HTTP_CHUNK_SIZE = 0, /* before and within the digits */
	HTTP_CHUNK_EXT,
	HTTP_CHUNK_SIZE_LF,
	HTTP_CHUNK_BODY,
	HTTP_CHUNK_BODY_CR,
	HTTP_CHUNK_BODY_LF,
	HTTP_CHUNK_TRAILER, /* at the beginning of a line */
	HTTP_CHUNK_TRAILER_NAME,
	HTTP_CHUNK_TRAILER_VALUE,
	HTTP_CHUNK_TRAILER_LF,
	HTTP_CHUNK_LAST_LF,
	HTTP_CHUNK_OVER,
};

/* All zero at the beginning. */
struct http_chunk {
	enum http_chunk_state state;
	unsigned digits;
	unsigned ext;      /* bytes of this chunk's extension */
	unsigned trailers; /* bytes of all trailers */
	uint64_t left;     /* data of this chunk */
};

/*
 * The first piece of bytes (which are not empty): its length, at least 1, or -400.
 * Not called again after HTTP_CHUNK_END.
 */
ssize_t http_chunk_next(struct http_chunk *c, struct span bytes, enum http_chunk_piece *ret);
