/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a webhook says of a submission: never a name, a size or a second. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/error.h"
#include "proto/base/span.h"

enum webhook_format { WEBHOOK_TEXT, WEBHOOK_JSON };

struct webhook_event {
	const char *service;
	unsigned files;
	bool message;
	int64_t at_ms; /* wall time; told to the minute */
};

/* OnionShare's sentences, or a JSON object with an id of its own. Free it. */
char *webhook_body(enum webhook_format format, const struct webhook_event *event);
const char *webhook_content_type(enum webhook_format format);
/* "text", "json": 0 or -EINVAL. */
int webhook_format_parse(const char *name, enum webhook_format *ret);

#define WEBHOOK_SIGNATURE_HEADER "X-OnionShare-Signature"
#define WEBHOOK_SIGNATURE_LEN    (7 + 64)
/* "sha256=" and the HMAC-SHA-256 (RFC 2104) of the body, in hex. */
void webhook_sign(struct span secret, struct span body, char ret[WEBHOOK_SIGNATURE_LEN + 1]);

#define WEBHOOK_SECRET_MAX 1024u
/*
 * The secret in a file's text: all of it but a line end behind it. -EINVAL: it is empty,
 * too long, or there is more than one line.
 */
int webhook_secret_parse(struct span text, struct span *ret);
