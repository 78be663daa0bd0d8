/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Content types by a file name's end. No bytes of a file are looked at. */
#pragma once

#include <stdbool.h>

#include "proto/base/span.h"

/* Of a name or path; text types with "; charset=utf-8". Never NULL, a literal. */
const char *http_mime_type(struct span name);
/* Of that function: is a file of this type worth to be made smaller for the way? */
bool http_mime_shrinks(const char *type);
