/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Private to this folder: reads a file for a response without blocking the
 * loop and without keeping memory for a visitor who is slow. What is in the page
 * cache is read on the loop, right before it is written; what the socket does not
 * take is forgotten and read again later. Only what must come from the disk goes
 * through the pool, with a buffer that is held until the next write.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "ev/ev.h"
#include "proto/base/span.h"

struct http_file;

/* fd becomes the file's. ready: something can be read (or has failed); never from within. */
struct http_file *http_file_new(struct ev *ev, int fd, uint64_t offset, uint64_t length,
				const struct stat *st, void (*ready)(void *ud), void *ud);
uint64_t http_file_left(const struct http_file *f);
/*
 * The next bytes, valid until http_file_advance in the same callback: 0; -EAGAIN:
 * ready comes; -ENODATA: the file is shorter; -ESTALE: it has changed (told
 * before the last bytes are given out); or another -errno.
 */
int http_file_next(struct http_file *f, struct span *ret);
/* How many bytes sendfile may take now: in the page cache, and not the last ones. */
size_t http_file_sendable(struct http_file *f, size_t max);
int http_file_fd(const struct http_file *f);
uint64_t http_file_offset(const struct http_file *f);
/* n bytes were written; the rest of what next gave is forgotten. */
void http_file_advance(struct http_file *f, size_t n);
/* Also while the pool reads for it. */
void http_file_free(struct http_file *f);
