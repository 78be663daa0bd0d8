/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/etag.h"

#include "proto/base/codec.h"

void etag_make(const uint8_t key[SHA256_SIZE], const struct span *parts, size_t n,
	       char ret[ETAG_ROOM])
{
	uint8_t mac[SHA256_SIZE];

	crypto_hmac_sha256(key, SHA256_SIZE, parts, n, mac);
	ret[0] = '"';
	hex_encode(mac, 16, ret + 1);
	ret[33] = '"';
	ret[34] = '\0';
}
