/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/age/scrypt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "proto/base/crypto.h"

#define SALSA_WORDS 16u
#define LOG_N_MAX   20u
#define FACTOR_MAX  16u

static uint32_t rotate(uint32_t x, unsigned by)
{
	return (x << by) | (x >> (32 - by));
}

static void quarter(uint32_t x[SALSA_WORDS], unsigned a, unsigned b, unsigned c, unsigned d)
{
	x[b] ^= rotate(x[a] + x[d], 7);
	x[c] ^= rotate(x[b] + x[a], 9);
	x[d] ^= rotate(x[c] + x[b], 13);
	x[a] ^= rotate(x[d] + x[c], 18);
}

/* Section 3: Salsa20 of 8 rounds. */
static void salsa(uint32_t b[SALSA_WORDS])
{
	uint32_t x[SALSA_WORDS];

	memcpy(x, b, sizeof(x));
	for (int i = 0; i < 4; i++) {
		quarter(x, 0, 4, 8, 12);
		quarter(x, 5, 9, 13, 1);
		quarter(x, 10, 14, 2, 6);
		quarter(x, 15, 3, 7, 11);
		quarter(x, 0, 1, 2, 3);
		quarter(x, 5, 6, 7, 4);
		quarter(x, 10, 11, 8, 9);
		quarter(x, 15, 12, 13, 14);
	}
	for (unsigned i = 0; i < SALSA_WORDS; i++) {
		b[i] += x[i];
	}
}

static void xor_words(uint32_t *to, const uint32_t *from, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		to[i] ^= from[i];
	}
}

/* Section 4: 2 r blocks of 16 words; the even ones come to stand before the odd ones. */
static void block_mix(uint32_t *b, uint32_t *y, unsigned r)
{
	uint32_t x[SALSA_WORDS];

	memcpy(x, b + (size_t)(2 * r - 1) * SALSA_WORDS, sizeof(x));
	for (unsigned i = 0; i < 2 * r; i++) {
		size_t place = i / 2 + (i % 2 ? r : 0);

		xor_words(x, b + (size_t)i * SALSA_WORDS, SALSA_WORDS);
		salsa(x);
		memcpy(y + place * SALSA_WORDS, x, sizeof(x));
	}
	memcpy(b, y, (size_t)2 * r * sizeof(x));
}

/* Section 5. v: N times b. */
static void ro_mix(uint32_t *b, uint32_t *v, uint32_t *y, uint64_t n, unsigned r)
{
	size_t words = (size_t)2 * r * SALSA_WORDS;

	for (uint64_t i = 0; i < n; i++) {
		memcpy(v + i * words, b, words * sizeof(*b));
		block_mix(b, y, r);
	}
	for (uint64_t i = 0; i < n; i++) {
		uint64_t j = b[words - SALSA_WORDS] & (n - 1);

		xor_words(b, v + j * words, words);
		block_mix(b, y, r);
	}
}

/* PBKDF2 with HMAC-SHA-256 and one iteration (RFC 8018 section 5.2), all that scrypt asks for. */
static void stretch(struct span passphrase, struct span salt, uint8_t *ret, size_t n)
{
	for (uint32_t i = 1; n; i++) {
		const uint8_t number[4] = {(uint8_t)(i >> 24), (uint8_t)(i >> 16),
					   (uint8_t)(i >> 8), (uint8_t)i};
		const struct span parts[] = {salt, span_of((const char *)number, sizeof(number))};
		uint8_t block[SHA256_SIZE];
		size_t part = n < sizeof(block) ? n : sizeof(block);

		crypto_hmac_sha256(passphrase.p ? passphrase.p : "", passphrase.n, parts, 2, block);
		memcpy(ret, block, part);
		crypto_wipe(block, sizeof(block));
		ret += part;
		n -= part;
	}
}

static void load(uint32_t *to, const uint8_t *from, size_t words)
{
	for (size_t i = 0; i < words; i++, from += 4) {
		to[i] = (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
			(uint32_t)from[3] << 24;
	}
}

static void store(uint8_t *to, const uint32_t *from, size_t words)
{
	for (size_t i = 0; i < words; i++, to += 4) {
		for (unsigned k = 0; k < 4; k++) {
			to[k] = (uint8_t)(from[i] >> (8 * k));
		}
	}
}

int scrypt(struct span passphrase, struct span salt, struct scrypt_cost cost, uint8_t *ret,
	   size_t n)
{
	size_t words = (size_t)2 * cost.r * SALSA_WORDS, block = words * sizeof(uint32_t);

	if (cost.log_n < 1 || cost.log_n > LOG_N_MAX || cost.r < 1 || cost.r > FACTOR_MAX ||
	    cost.p < 1 || cost.p > FACTOR_MAX) {
		return -EINVAL;
	}
	/* Large, and by what a file says: no reason to end the program. Two blocks to work in. */
	size_t room = (((size_t)1 << cost.log_n) + 2) * block;
	uint32_t *v = malloc(room);

	if (!v) {
		return -ENOMEM;
	}
	uint32_t *b = v + ((size_t)1 << cost.log_n) * words, *y = b + words;
	uint8_t *bytes = xmalloc(cost.p * block);

	stretch(passphrase, salt, bytes, cost.p * block);
	for (unsigned i = 0; i < cost.p; i++) {
		load(b, bytes + i * block, words);
		ro_mix(b, v, y, (uint64_t)1 << cost.log_n, cost.r);
		store(bytes + i * block, b, words);
	}
	stretch(passphrase, span_of((const char *)bytes, cost.p * block), ret, n);
	crypto_wipe(v, room);
	crypto_wipe(bytes, cost.p * block);
	free(v);
	free(bytes);
	return 0;
}
