/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The shape of a configuration file as systemd writes them: [section] lines,
 * key = value lines, empty lines, and comments that begin a line with # or ;.
 * White space around names and values does not count; nothing is quoted, folded
 * or cut off: what stands behind the = is the value. Meanings are config.h's.
 */
#pragma once

#include "proto/base/error.h"
#include "proto/base/span.h"

/*
 * key without bytes (p NULL): the section begins here. Both spans point into
 * the text, are UTF-8 and hold no control characters. 0, or -errno with err set:
 * parsing ends and the line number is put in front of the error.
 */
typedef int ini_fn(void *ud, struct span section, struct span key, struct span value,
		   struct error *err);

/* name: of the file, for errors ("NAME:LINE: ..."). 0, -EINVAL, or what fn returned. */
int ini_parse(const char *name, struct span text, ini_fn *fn, void *ud, struct error *err);
