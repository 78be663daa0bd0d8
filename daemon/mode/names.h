/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of neighbours in one directory, told apart from each other. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "proto/base/buf.h"
#include "proto/base/span.h"

/* May this name stand in a zip as it is: UTF-8, and no backslash (some take it for a slash)? */
bool names_fit_zip(struct span name);
/* Adds it with U+FFFD for what is not UTF-8 and "_" for a backslash. */
void names_make_fit_zip(struct buf *b, struct span name);

struct names;

/* n: about so many will come. */
struct names *names_new(size_t n);
void names_free(struct names *set);
void names_add(struct names *set, struct span name);
/*
 * name itself if it is not in the set, else with the first of "-1", "-2" ... that
 * is not: before the extension (".txt", ".tar.gz"), of a directory at the end.
 * What is returned is in the set from then on, and lives as long as it.
 */
struct span names_tell_apart(struct names *set, struct span name, bool is_dir);
