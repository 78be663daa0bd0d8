/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/age/bech32.h"

#include <errno.h>

#define CHECKSUM_LEN 6

/* One step of the checksum: a remainder over GF(32), five bits a symbol. */
static uint32_t polymod(uint32_t chk, uint32_t value)
{
	static const uint32_t generator[5] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd,
					      0x2a1462b3};
	uint32_t top = chk >> 25;

	chk = (chk & 0x1ffffff) << 5 ^ value;
	for (int i = 0; i < 5; i++) {
		chk ^= top >> i & 1 ? generator[i] : 0;
	}
	return chk;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static uint32_t prefix_checksum(struct span prefix)
{
	uint32_t chk = 1;

	for (size_t i = 0; i < prefix.n; i++) {
		chk = polymod(chk, (uint32_t)(uint8_t)lower(prefix.p[i]) >> 5);
	}
	chk = polymod(chk, 0);
	for (size_t i = 0; i < prefix.n; i++) {
		chk = polymod(chk, (uint32_t)(uint8_t)lower(prefix.p[i]) & 31);
	}
	return chk;
}

/* 0 to 31, or -1. */
static int symbol(char c, bool upper)
{
	static const char set[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
	bool is_upper = c >= 'A' && c <= 'Z', is_lower = c >= 'a' && c <= 'z';

	if (!c || (upper ? is_lower : is_upper)) {
		return -1;
	}
	const char *at = strchr(set, lower(c));

	return at ? (int)(at - set) : -1;
}

/* Symbols of five bits to bytes; what is left over must be less than a symbol, and zero. */
static int to_bytes(struct span data, bool upper, uint8_t *ret, size_t n)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t at = 0;

	for (size_t i = 0; i < data.n; i++) {
		bits = (bits << 5 | (uint32_t)symbol(data.p[i], upper)) & 0xfff;
		have += 5;
		if (have >= 8) {
			have -= 8;
			if (at == n) {
				return -EMSGSIZE;
			}
			ret[at++] = (uint8_t)(bits >> have);
		}
	}
	return at == n && have < 5 && (bits & ((1U << have) - 1)) == 0 ? 0 : -EMSGSIZE;
}

int bech32_decode(struct span s, struct span prefix, uint8_t *ret, size_t n)
{
	bool upper = prefix.p[0] >= 'A' && prefix.p[0] <= 'Z';
	struct span data = span_from(s, prefix.n + 1);
	uint32_t chk = prefix_checksum(prefix);

	if (!span_starts(s, prefix) || s.n < prefix.n + 1 + CHECKSUM_LEN || s.p[prefix.n] != '1') {
		return -EINVAL;
	}
	for (size_t i = 0; i < data.n; i++) {
		int v = symbol(data.p[i], upper);

		if (v < 0) {
			return -EILSEQ;
		}
		chk = polymod(chk, (uint32_t)v);
	}
	if (chk != 1) {
		return -EBADMSG;
	}
	return to_bytes(span_of(data.p, data.n - CHECKSUM_LEN), upper, ret, n);
}
