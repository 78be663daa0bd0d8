/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Chunked bodies: the same content and the same end, however they are cut. */
#include <stdlib.h>

#include "http/chunk.h"
#include "proto/base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Bytes used up to the end, 0: not over, -400. */
static ssize_t read_chunks(struct span bytes, size_t step, struct buf *content)
{
	struct http_chunk c = {0};
	size_t at = 0;

	while (at < bytes.n) {
		size_t left = bytes.n - at;
		enum http_chunk_piece kind;
		ssize_t r = http_chunk_next(&c, span_of(bytes.p + at, left < step ? left : step),
					    &kind);

		if (r < 0) {
			return r;
		}
		if (r == 0 || (size_t)r > left) {
			abort();
		}
		if (kind == HTTP_CHUNK_DATA) {
			buf_add(content, bytes.p + at, (size_t)r);
		}
		at += (size_t)r;
		if (kind == HTTP_CHUNK_END) {
			return (ssize_t)at;
		}
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n < 1) {
		return 0;
	}
	struct span bytes = span_of((const char *)data + 1, n - 1);
	struct buf whole = BUF_INIT, pieces = BUF_INIT;

	if (read_chunks(bytes, SIZE_MAX, &whole) !=
		    read_chunks(bytes, 1u + data[0] % 16, &pieces) ||
	    !span_eq(buf_span(&whole), buf_span(&pieces))) {
		abort();
	}
	buf_done(&whole);
	buf_done(&pieces);
	return 0;
}
