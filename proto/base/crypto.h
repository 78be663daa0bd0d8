/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The primitives both programs use, on mbedtls (2.28 and 3.x). Failures of the
 * library itself (no entropy, a broken build) end the process: nothing sensible
 * can be done without them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/span.h"

#define SHA1_SIZE       20
#define SHA256_SIZE     32
#define X25519_SIZE     32
#define AEAD_KEY_SIZE   32
#define AEAD_NONCE_SIZE 12
#define AEAD_TAG_SIZE   16

/* Random bytes from getrandom(2). Any thread. */
void crypto_random(void *ret, size_t n);
uint64_t crypto_random_u64(void);
/* n characters out of a-z and 2-7, and a NUL behind them. */
void crypto_random_name(char *ret, size_t n);

bool crypto_equal(const void *a, const void *b, size_t n); /* in constant time */
void crypto_wipe(void *p, size_t n);
/* What functions that have returned left on the stack, some KiB below the caller. */
void crypto_wipe_stack(void);

/* For protocols that ask for it (RFC 6455); it protects nothing. */
void crypto_sha1(struct span data, uint8_t ret[SHA1_SIZE]);
void crypto_sha256(struct span data, uint8_t ret[SHA256_SIZE]);
/* The HMAC-SHA-256 (RFC 2104) of the parts one behind the other. */
void crypto_hmac_sha256(const void *key, size_t key_len, const struct span *parts, size_t n_parts,
			uint8_t ret[SHA256_SIZE]);

/* X25519 (RFC 7748). Both keys little-endian as on the wire, the private one clamped. */
void crypto_x25519_keypair(uint8_t private_key[X25519_SIZE], uint8_t public_key[X25519_SIZE]);
void crypto_x25519_public(const uint8_t private_key[X25519_SIZE], uint8_t public_key[X25519_SIZE]);
/*
 * The secret shared with whoever has the public key's other half: 0, or -EINVAL
 * and nothing written for a public key of low order (the result would be zero).
 */
int crypto_x25519_shared(const uint8_t private_key[X25519_SIZE],
			 const uint8_t public_key[X25519_SIZE], uint8_t ret[X25519_SIZE]);

/* HKDF with SHA-256 (RFC 5869); n at most 255 * SHA256_SIZE. */
void crypto_hkdf_sha256(struct span salt, struct span secret, struct span info, void *ret,
			size_t n);

/*
 * ChaCha20-Poly1305 (RFC 8439). ret takes n + AEAD_TAG_SIZE bytes, the tag at
 * the end. open: ret takes n - AEAD_TAG_SIZE; 0, or -EBADMSG and no plain text
 * in ret. Both also work in place.
 */
void crypto_aead_seal(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE],
		      struct span ad, const void *plain, size_t n, uint8_t *ret);
int crypto_aead_open(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE],
		     struct span ad, const void *sealed, size_t n, uint8_t *ret);
