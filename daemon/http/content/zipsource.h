/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A zip archive, or any range of it, made while it is sent (http/body.h's
 * source). Files are read on the worker pool, checked against what was planned
 * before and after each read, and their checksums taken in passing; the source
 * holds two large buffers, one path and one file at a time, whatever the archive's size.
 *
 * A checksum that is needed but did not pass by (a range begins in the middle)
 * is taken from what is known, from what the owner kept, and only else by
 * reading the file again.
 */
#pragma once

#include <stdint.h>

#include "ev/ev.h"
#include "http/body.h"
#include "http/content/zip.h"
#include "http/content/zipsum.h"

struct zip_files_ops {
	/*
	 * On a pool thread. open: the file of entry i, the very one that was planned:
	 * a descriptor, or -errno (-ESTALE: it is another or has changed). check: 0 while it
	 * still is, else -errno.
	 */
	int (*open)(void *ud, size_t i);
	int (*check)(void *ud, size_t i, int fd);
	/*
	 * On the loop. recall: puts what was kept about entry i into the sums, then
	 * calls cb: once, later. keep: the sums near entry i may have changed, keep them.
	 */
	void (*recall)(void *ud, size_t i, void (*cb)(void *cb_ud), void *cb_ud);
	void (*keep)(void *ud, size_t i);
	/*
	 * The source is about to be gone and uses nothing of the owner's any more.
	 * err: -errno if a file was the reason.
	 */
	void (*over)(void *ud, int err);
};

/* Checksums of unfinished entries are kept each time so many bytes have passed. */
#define ZIP_KEEP_STEP (UINT64_C(256) * 1024 * 1024)

/*
 * The bytes [offset, offset + length) of the archive; length above 0. layout, sums and
 * ud are the caller's and stay until over. Belongs to the response's body.
 */
struct http_source *zip_source_new(struct ev *ev, const struct zip_layout *layout,
				   struct zip_sums *sums, const struct zip_files_ops *ops, void *ud,
				   uint64_t offset, uint64_t length);
