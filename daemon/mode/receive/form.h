/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The dropbox's page and what it says to people: OnionShare's words, because
 * scripts look for them. Pure.
 */
#pragma once

#include <stdbool.h>

#include "proto/base/buf.h"
#include "proto/base/span.h"

#define FORM_TEXT_MAX 524288u /* characters of a message */

struct form {
	const char *title; /* NULL: OnionShare's own */
	bool files, text;  /* what can be sent; one of them at least */
	struct span flash; /* a result to show; p NULL: none */
	bool flash_is_error;
};

void form_page(struct buf *b, const struct form *f);
/* Instead of it, for the last ones before the service stops. */
void form_thanks(struct buf *b, struct span flash);

/* names: "a.txt, b.txt" for n files. */
void form_success(struct buf *b, struct span names, unsigned files, bool message);
/* Nothing to keep was in it; text: messages can be sent. */
const char *form_nothing(bool text);
