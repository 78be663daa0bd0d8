/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/base/sha3.h"

#include <stddef.h>
#include <string.h>

#define LANES  25
#define RATE   136 /* bytes a block: 1600 bits without twice 256 */
#define ROUNDS 24

static uint64_t rotate(uint64_t v, unsigned by)
{
	return by ? v << by | v >> (64 - by) : v;
}

/* FIPS 202, 3.2.5: a round's constant, from a register of eight bits. */
static uint64_t round_constant(uint8_t *lfsr)
{
	uint64_t c = 0;

	for (unsigned j = 0; j < 7; j++) {
		if (*lfsr & 1) {
			c |= UINT64_C(1) << ((1u << j) - 1);
		}
		*lfsr = (uint8_t)(*lfsr << 1 ^ (*lfsr & 0x80 ? 0x71 : 0));
	}
	return c;
}

static void theta(uint64_t a[LANES])
{
	uint64_t parity[5];

	for (unsigned x = 0; x < 5; x++) {
		parity[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
	}
	for (unsigned i = 0; i < LANES; i++) {
		a[i] ^= parity[(i + 4) % 5] ^ rotate(parity[(i + 1) % 5], 1);
	}
}

static void rho_pi(uint64_t a[LANES])
{
	unsigned x = 1, y = 0;
	uint64_t carried = a[1];

	for (unsigned t = 0; t < 24; t++) {
		unsigned next = (2 * x + 3 * y) % 5;

		x = y;
		y = next;
		uint64_t here = a[x + 5 * y];

		a[x + 5 * y] = rotate(carried, (t + 1) * (t + 2) / 2 % 64);
		carried = here;
	}
}

static void chi(uint64_t a[LANES])
{
	for (unsigned y = 0; y < LANES; y += 5) {
		uint64_t row[5];

		memcpy(row, a + y, sizeof(row));
		for (unsigned x = 0; x < 5; x++) {
			a[y + x] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
		}
	}
}

static void permute(uint64_t a[LANES])
{
	uint8_t lfsr = 1;

	for (unsigned round = 0; round < ROUNDS; round++) {
		theta(a);
		rho_pi(a);
		chi(a);
		a[0] ^= round_constant(&lfsr);
	}
}

static void absorb(uint64_t a[LANES], const uint8_t block[RATE])
{
	for (unsigned i = 0; i < RATE; i++) {
		a[i / 8] ^= (uint64_t)block[i] << (i % 8 * 8);
	}
	permute(a);
}

void crypto_sha3_256(struct span data, uint8_t ret[SHA3_256_SIZE])
{
	uint64_t a[LANES] = {0};
	uint8_t last[RATE] = {0};
	const uint8_t *p = (const uint8_t *)data.p;
	size_t n = data.n;

	for (; n >= RATE; n -= RATE, p += RATE) {
		absorb(a, p);
	}
	if (n) {
		memcpy(last, p, n);
	}
	last[n] = 0x06;
	last[RATE - 1] |= 0x80;
	absorb(a, last);
	for (unsigned i = 0; i < SHA3_256_SIZE; i++) {
		ret[i] = (uint8_t)(a[i / 8] >> (i % 8 * 8));
	}
}
