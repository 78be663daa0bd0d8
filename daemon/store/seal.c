/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/seal.h"

#include <assert.h>
#include <errno.h>

#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/base/codec.h"

enum { SEAL_VERSION = 1 };

void seal_init(struct seal *s, const uint8_t secret[SEAL_SECRET_SIZE])
{
	const struct span purpose = SPAN("onionshared: sealed fields");

	static_assert(sizeof(s->key) == SHA256_SIZE, "the HMAC is the key");
	crypto_hmac_sha256(secret, SEAL_SECRET_SIZE, &purpose, 1, s->key);
}

void seal_done(struct seal *s)
{
	crypto_wipe(s, sizeof(*s));
}

static void associated_data(struct buf *b, const uint8_t *uid, struct span field)
{
	buf_add_char(b, SEAL_VERSION);
	buf_add(b, uid, SEAL_UID_SIZE);
	buf_add_span(b, field);
}

void seal_bytes(const struct seal *s, const uint8_t uid[SEAL_UID_SIZE], struct span field,
		const void *plain, size_t n, uint8_t *ret)
{
	_cleanup_(buf_done) struct buf ad = BUF_INIT;

	associated_data(&ad, uid, field);
	ret[0] = SEAL_VERSION;
	crypto_random(ret + 1, AEAD_NONCE_SIZE);
	crypto_aead_seal(s->key, ret + 1, buf_span(&ad), plain, n, ret + 1 + AEAD_NONCE_SIZE);
}

int seal_open(const struct seal *s, const uint8_t uid[SEAL_UID_SIZE], struct span field,
	      const void *sealed, size_t sealed_n, void *ret, size_t n)
{
	_cleanup_(buf_done) struct buf ad = BUF_INIT;
	const uint8_t *p = sealed;

	if (sealed_n != n + SEAL_OVERHEAD || p[0] != SEAL_VERSION) {
		return -EBADMSG;
	}
	associated_data(&ad, uid, field);
	return crypto_aead_open(s->key, p + 1, buf_span(&ad), p + 1 + AEAD_NONCE_SIZE,
				n + AEAD_TAG_SIZE, ret);
}

int seal_parse_secret(struct span text, uint8_t ret[SEAL_SECRET_SIZE])
{
	if (text.n == SEAL_SECRET_SIZE) {
		memcpy(ret, text.p, SEAL_SECRET_SIZE);
		return 0;
	}
	if (text.n == 2 * SEAL_SECRET_SIZE + 1 && text.p[text.n - 1] == '\n') {
		text.n--;
	}
	return text.n == 2 * SEAL_SECRET_SIZE ? hex_decode(text, ret, SEAL_SECRET_SIZE) : -EINVAL;
}
