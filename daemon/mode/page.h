/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What all pages of all modes begin and end with. Pure. */
#pragma once

#include "proto/base/buf.h"
#include "proto/base/span.h"

/* Up to and with <main>. meta: elements for the head, HTML. */
void page_head(struct buf *b, const char *title, struct span meta);
void page_foot(struct buf *b);
