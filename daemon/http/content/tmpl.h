/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Text for HTML pages and for addresses in them, escaped by where it goes.
 * Pure; no templates in files: a page's form is a string in the code that
 * builds it, and what is filled in says what it is.
 */
#pragma once

#include <stddef.h>

#include "proto/base/buf.h"
#include "proto/base/span.h"

/*
 * Adds s as HTML text, safe also between double or single quotes of an
 * attribute. Characters that hide, move the cursor or turn the reading
 * direction, and bytes that are not UTF-8, are made visible (\u{202e}, \xFF).
 */
void tmpl_text(struct buf *b, struct span s);
/*
 * The same, but nothing is made visible: what people write has such characters for good
 * reasons (joiners in emoji and scripts). Only where it stands isolated, as in <bdi>.
 */
void tmpl_verbatim(struct buf *b, struct span s);
/*
 * Adds a path of raw bytes for use in an address (RFC 3986 section 2.1): all but
 * unreserved characters and "/" is percent-encoded, so that it needs no HTML escaping.
 */
void tmpl_path(struct buf *b, struct span path);

enum tmpl_kind {
	TMPL_TEXT, /* tmpl_text */
	TMPL_PATH, /* tmpl_path */
	TMPL_RAW,  /* HTML already */
};

struct tmpl_arg {
	enum tmpl_kind kind;
	struct span s;
};

#define T_TEXT(span) ((struct tmpl_arg){TMPL_TEXT, (span)})
#define T_PATH(span) ((struct tmpl_arg){TMPL_PATH, (span)})
#define T_RAW(span)  ((struct tmpl_arg){TMPL_RAW, (span)})

/* Adds form with each "{}" replaced by the next argument; there are as many of both. */
void tmpl_fill(struct buf *b, const char *form, const struct tmpl_arg *args, size_t n);

#define tmpl(b, form, ...)                                         \
	tmpl_fill(b, form, (const struct tmpl_arg[]){__VA_ARGS__}, \
		  sizeof((const struct tmpl_arg[]){__VA_ARGS__}) / sizeof(struct tmpl_arg))

/*
 * Adds a Content-Disposition value (RFC 6266): kind ("attachment", "inline"), a
 * fallback filename in ASCII without anything a parser may trip over, and the
 * name itself as filename* (RFC 8187). Bytes that are not UTF-8 become U+FFFD.
 */
void tmpl_disposition(struct buf *b, const char *kind, struct span name);
