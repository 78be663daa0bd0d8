/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files and text made smaller for the way (RFC 1952). No name, no time in the result. */
#pragma once

#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/span.h"

/*
 * Blocks: for the pool. The first n bytes of the file, appended to out: 0, -ENODATA if it
 * is shorter, -EFBIG as soon as the result is larger than max, or another -errno.
 */
int http_gzip_file(int fd, uint64_t n, size_t max, struct buf *out);
/* The same for what is in memory; it may grow a little, so that -EFBIG is told likewise. */
int http_gzip_text(struct span text, size_t max, struct buf *out);
/* Changes when equal input may give other bytes than before. */
const char *http_gzip_version(void);
