/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Results that are shown once, on the page to which a form's sender is led, without
 * a cookie: the address holds a token that nobody can guess and that is worth
 * nothing once it was used. Bounded; the oldest go first. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/span.h"

#define FLASH_TOKEN_LEN 26
#define FLASH_MAX       128u
#define FLASH_TEXT_MAX  (4u * 1024) /* longer ones are cut */
#define FLASH_LIFE_MS   600000u

struct flashes;

struct flashes *flashes_new(void);
void flashes_free(struct flashes *set);
void flashes_put(struct flashes *set, uint64_t now_ms, struct span text, bool is_error,
		 char token[static FLASH_TOKEN_LEN + 1]);
/* True: ret holds the text, and the token is used up. */
bool flashes_take(struct flashes *set, uint64_t now_ms, struct span token, struct buf *ret,
		  bool *ret_is_error);
