/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A request's path, percent-decoded once and judged. What could mean one thing
 * to us and another to a file system is refused as a whole, never cleaned up.
 */
#pragma once

#include "proto/base/span.h"

/*
 * raw begins with '/'. ret: room for raw.n + 1 bytes; gets the decoded path and a
 * NUL. Its length, or -ENOENT for a bad escape, an encoded NUL, slash or
 * backslash, a plain backslash, an empty segment within, and "." or ".." as segment.
 */
int http_path_decode(struct span raw, char *ret);
