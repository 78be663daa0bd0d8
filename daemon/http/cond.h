/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Conditions on entity tags (RFC 9110 sections 8.8.3 and 13.1). Dates are never
 * compared: nothing here sends Last-Modified. Pure.
 */
#pragma once

#include <stdbool.h>

#include "proto/base/span.h"

/*
 * Does the list ("*", or tags separated by commas) name this tag? strong: weak tags
 * never match (If-Match); else they match as if they were strong (If-None-Match).
 * etag p NULL: the representation has none, only "*" matches. A list that is
 * malformed matches by what stands before the fault.
 */
bool http_cond_list_matches(struct span list, struct span etag, bool strong);
/* If-Range: exactly one strong tag, the same. */
bool http_cond_if_range(struct span value, struct span etag);
/* Quotes around visible characters that are no quotes; weak: "W/" before them. */
bool http_cond_is_etag(struct span s, bool allow_weak);
