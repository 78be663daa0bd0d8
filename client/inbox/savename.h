/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names that came out of a submission, made fit for a directory of the caller's:
 * one component, UTF-8, nothing that deceives, not hidden, no option of a command, at
 * most 255 bytes, each only once. The daemon has done so already; but what was
 * encrypted in between is believed nothing. Pure.
 */
#pragma once

#include <stddef.h>

#include "proto/base/span.h"

#define SAVENAME_MAX 255u

/* All names that were given so far. */
struct savenames {
	char **all;
	size_t n;
};

void savenames_done(struct savenames *names);
/* Never NULL, never empty; lives as long as names. */
const char *savename_make(struct savenames *names, struct span raw);
