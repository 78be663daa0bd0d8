/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/content/gzip.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/fsutil.h"
#include "proto/base/alloc.h"

#define PIECE       (64u * 1024)
#define LEVEL       6
#define WINDOW_GZIP (15 + 16) /* zlib's way to ask for its wrapper */
#define MEMORY      8

const char *http_gzip_version(void)
{
	return zlibVersion();
}

static void begin(z_stream *z)
{
	*z = (z_stream){0};
	/* Fails for want of memory only, or of the library. */
	if (deflateInit2(z, LEVEL, Z_DEFLATED, WINDOW_GZIP, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK) {
		abort();
	}
}

/* Takes all of the input, or all that is left to come with Z_FINISH. */
static int squeeze(z_stream *z, int flush, size_t max, size_t from, struct buf *out)
{
	int r;

	do {
		z->next_out = (unsigned char *)buf_reserve(out, PIECE);
		z->avail_out = PIECE;
		r = deflate(z, flush);
		out->len += PIECE - z->avail_out;
		if (out->len - from > max) {
			return -EFBIG;
		}
	} while (z->avail_out == 0 || (flush == Z_FINISH && r != Z_STREAM_END));
	return 0;
}

int http_gzip_file(int fd, uint64_t n, size_t max, struct buf *out)
{
	char *piece = xmalloc(PIECE);
	size_t from = out->len;
	uint64_t at = 0;
	z_stream z;
	int r = 0;

	begin(&z);
	do {
		size_t want = n - at < PIECE ? (size_t)(n - at) : PIECE;

		r = fs_pread_all(fd, piece, want, at);
		at += want;
		z.next_in = (unsigned char *)piece;
		z.avail_in = (unsigned)want;
		if (r == 0) {
			r = squeeze(&z, at == n ? Z_FINISH : Z_NO_FLUSH, max, from, out);
		}
	} while (r == 0 && at < n);
	deflateEnd(&z);
	free(piece);
	return r;
}

int http_gzip_text(struct span text, size_t max, struct buf *out)
{
	size_t from = out->len;
	z_stream z;
	int r;

	if (text.n > UINT32_MAX) {
		return -EFBIG;
	}
	begin(&z);
	z.next_in = (unsigned char *)(uintptr_t)text.p;
	z.avail_in = (unsigned)text.n;
	r = squeeze(&z, Z_FINISH, max, from, out);
	deflateEnd(&z);
	return r;
}
