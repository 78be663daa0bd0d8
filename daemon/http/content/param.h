/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The parameters behind a field's value: ; name=value, the value a token or a
 * quoted string (RFC 9110 section 5.6.6, RFC 2183). Inside of quotes every byte is
 * taken: what it may be is its reader's business. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "proto/base/buf.h"
#include "proto/base/span.h"

struct http_param {
	struct span name;
	struct span value; /* of a quoted string: between the quotes, escapes still in it */
	bool quoted;
};

/* What stands before the first ';', trimmed; *rest is left for http_param_next. */
struct span http_param_main(struct span value, struct span *rest);
/* 1: *ret is the next parameter, 0: there is none, -EINVAL. */
int http_param_next(struct span *rest, struct http_param *ret);
/*
 * The value as meant: \" and \\ in quotes lose their backslash, any other
 * backslash is one (old browsers send paths that way).
 */
void http_param_unquote(const struct http_param *p, struct buf *ret);
/*
 * An extended value (RFC 8187: charset'language'percent-encoded) in UTF-8: 0,
 * -EINVAL if it is none, -ENOTSUP for a charset other than UTF-8 and ISO-8859-1;
 * then ret holds the bytes as they were sent.
 */
int http_param_extended(struct span value, struct buf *ret);
/* A token of RFC 9110 section 5.6.2, not empty. */
bool http_is_token(struct span s);
