/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bytes as text: base32 (RFC 4648 section 6, without padding, as Tor writes
 * keys and addresses), base64 (section 4) and hex. Decoding is strict: a foreign
 * character, a wrong length or bits left over are refused.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/base/span.h"

#define BASE32_LEN(n) (((n)*8 + 4) / 5)
#define BASE64_LEN(n) (((n) + 2) / 3 * 4)

/* Each writes a NUL behind the text: ret holds *_LEN(n) + 1 (hex: 2 n + 1) bytes. */
void base32_encode(const uint8_t *p, size_t n, char *ret);       /* upper case */
void base32_encode_lower(const uint8_t *p, size_t n, char *ret); /* as in addresses */
void base64_encode(const uint8_t *p, size_t n, char *ret);       /* with padding */
void hex_encode(const uint8_t *p, size_t n, char *ret);          /* lower case */

/* ret holds exactly n bytes; 0, or -EINVAL if s is not the text of n bytes. Either case. */
int base32_decode(struct span s, uint8_t *ret, size_t n);
int base64_decode(struct span s, uint8_t *ret, size_t n); /* with or without padding */
int hex_decode(struct span s, uint8_t *ret, size_t n);
/* The value of one hex digit, -1 if it is none. */
int hex_digit(char c);
