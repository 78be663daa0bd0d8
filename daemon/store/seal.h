/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Secrets as they lie in the database: ChaCha20-Poly1305 (RFC 8439) with a
 * random nonce, bound to the service's uid and the field's name, so that a
 * sealed value is worth nothing in another row or column. Pure.
 *
 *     format version (1 byte) | nonce (12) | ciphertext | tag (16)
 *
 * associated data: format version | uid (16) | field
 */
#pragma once

#include <stdint.h>

#include "proto/base/crypto.h"
#include "proto/base/span.h"

#define SEAL_SECRET_SIZE 32
#define SEAL_UID_SIZE    16
#define SEAL_OVERHEAD    (1 + AEAD_NONCE_SIZE + AEAD_TAG_SIZE)

struct seal {
	uint8_t key[AEAD_KEY_SIZE];
};

/* The key is derived from the secret, which may so have other uses one day. */
void seal_init(struct seal *s, const uint8_t secret[SEAL_SECRET_SIZE]);
void seal_done(struct seal *s); /* wipes */

/* ret takes n + SEAL_OVERHEAD bytes. */
void seal_bytes(const struct seal *s, const uint8_t uid[SEAL_UID_SIZE], struct span field,
		const void *plain, size_t n, uint8_t *ret);
/* 0 and n bytes in ret, or -EBADMSG: another key, row, field, length or version, or damage. */
int seal_open(const struct seal *s, const uint8_t uid[SEAL_UID_SIZE], struct span field,
	      const void *sealed, size_t sealed_n, void *ret, size_t n);

/* A secret as it stands in a file: 32 raw bytes, or 64 hex digits and perhaps a newline. */
int seal_parse_secret(struct span text, uint8_t ret[SEAL_SECRET_SIZE]);
