/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/base/onion.h"

#include <errno.h>
#include <string.h>

#include "proto/base/codec.h"
#include "proto/base/sha3.h"

#define VERSION       3
#define CHECKSUM_SIZE 2
#define RAW_SIZE      (ED25519_PUBLIC_SIZE + CHECKSUM_SIZE + 1)

static void checksum(const uint8_t key[ED25519_PUBLIC_SIZE], uint8_t ret[CHECKSUM_SIZE])
{
	static const struct span mark = SPAN(".onion checksum");
	uint8_t text[64], digest[SHA3_256_SIZE];
	size_t n = mark.n;

	memcpy(text, mark.p, n);
	memcpy(text + n, key, ED25519_PUBLIC_SIZE);
	n += ED25519_PUBLIC_SIZE;
	text[n++] = VERSION;
	crypto_sha3_256(span_of((const char *)text, n), digest);
	memcpy(ret, digest, CHECKSUM_SIZE);
}

void onion_print(const uint8_t public_key[ED25519_PUBLIC_SIZE], char ret[ONION_NAME_LEN + 1])
{
	uint8_t raw[RAW_SIZE];

	memcpy(raw, public_key, ED25519_PUBLIC_SIZE);
	checksum(public_key, raw + ED25519_PUBLIC_SIZE);
	raw[RAW_SIZE - 1] = VERSION;
	base32_encode_lower(raw, sizeof(raw), ret);
}

static struct span bare(struct span s)
{
	static const struct span scheme = SPAN("http://"), tail = SPAN(".onion");

	if (span_starts(s, scheme)) {
		s = span_from(s, scheme.n);
	}
	if (span_ends(s, SPAN("/"))) {
		s.n--;
	}
	if (s.n > tail.n && span_eq_ci(span_from(s, s.n - tail.n), tail)) {
		s.n -= tail.n;
	}
	return s;
}

int onion_parse(struct span text, char ret[ONION_NAME_LEN + 1], struct error *err)
{
	struct span s = bare(text);
	uint8_t raw[RAW_SIZE], right[CHECKSUM_SIZE];

	if (s.n != ONION_NAME_LEN || base32_decode(s, raw, sizeof(raw)) < 0) {
		return error_set(err, EINVAL, "must be an onion address: 56 characters and .onion");
	}
	if (raw[RAW_SIZE - 1] != VERSION) {
		return error_set(err, EINVAL,
				 "is no onion address of version 3: its last character is wrong");
	}
	checksum(raw, right);
	if (memcmp(raw + ED25519_PUBLIC_SIZE, right, CHECKSUM_SIZE) != 0) {
		return error_set(err, EINVAL, "is mistyped: its checksum does not fit");
	}
	if (!ed25519_is_public(raw)) {
		return error_set(err, EINVAL, "is the address of no key: nobody can be behind it");
	}
	base32_encode_lower(raw, sizeof(raw), ret);
	return 0;
}
