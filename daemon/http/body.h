/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What travels behind a head: bodies of responses (memory, file, source) and
 * the sink that takes a request's body. One chunk is in flight at a time, so
 * that memory stays bounded at every hop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "proto/base/span.h"

struct http_source;

/*
 * A producer of bytes. The connection calls pull; the source answers, at once
 * or later from the loop, with exactly one http_source_chunk or
 * http_source_fail. The chunk's bytes stay valid until the next pull or stop.
 * stop comes exactly once, after the last byte or when the visitor is gone;
 * after it the source answers nothing more and frees itself when its jobs ended.
 */
struct http_source_ops {
	void (*pull)(struct http_source *src);
	void (*stop)(struct http_source *src);
};

/* Embedded in the producer's own struct. */
struct http_source {
	const struct http_source_ops *ops;
	void *conn; /* set by the connection; NULL before start and after stop */
	/*
	 * Goes on until the visitor leaves. On TCP who has closed looks like who only sends
	 * no more, and could be told apart by writing to him alone: here he is taken to be gone.
	 */
	bool endless;
};

/* last: nothing comes behind these bytes (n may be 0 then). */
void http_source_chunk(struct http_source *src, struct span bytes, bool last);
/* The body cannot be finished truthfully: the connection is cut. */
void http_source_fail(struct http_source *src, int code);

enum http_body_kind {
	HTTP_BODY_NONE,
	HTTP_BODY_MEM,
	HTTP_BODY_FILE,
	HTTP_BODY_SOURCE,
};

#define HTTP_LENGTH_UNKNOWN UINT64_MAX

struct http_body {
	enum http_body_kind kind;
	uint64_t length; /* HTTP_LENGTH_UNKNOWN (sources only): chunked, or closed for 1.0 */
	union {
		struct {
			const char *p;
			void (*release)(void *ud); /* once, when sent or dropped; may be NULL */
			void *ud;
		} mem;
		struct {
			int fd; /* becomes the body's; closed by it */
			uint64_t offset;
			/*
			 * Size, mtime and ctime of the file when it was chosen. Differ they at
			 * the end, the connection is cut before the last bytes.
			 */
			struct stat st;
		} file;
		struct http_source *source; /* becomes the body's; ended by stop */
	};
};

/*
 * A consumer of a request's body. data: 0, or HTTP_SINK_PAUSE (the bytes were
 * taken, but no more come until http_req_resume), or -errno (the rest is not
 * read; the handler has responded or will). Bytes are valid during the call.
 * end: the body has arrived whole; comes at most once, not after an error.
 */
#define HTTP_SINK_PAUSE 1

struct http_sink_ops {
	int (*data)(void *ud, struct span bytes);
	void (*end)(void *ud);
};
