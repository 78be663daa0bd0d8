/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/base/crypto.h"

#include <errno.h>
#include <mbedtls/chachapoly.h>
#include <mbedtls/ecp.h>
#include <mbedtls/hkdf.h>
#include <mbedtls/md.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/sha1.h>
#include <mbedtls/sha256.h>
#include <mbedtls/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* mbedtls 3 dropped the _ret suffix that 2.28 wants. */
#if MBEDTLS_VERSION_NUMBER < 0x03000000
#define mbedtls_sha1   mbedtls_sha1_ret
#define mbedtls_sha256 mbedtls_sha256_ret
#endif

static void must(int ret, const char *what)
{
	if (ret != 0) {
		fprintf(stderr, "the crypto library failed: %s (-0x%04x)\n", what, (unsigned)-ret);
		abort();
	}
}

void crypto_random(void *ret, size_t n)
{
	unsigned char *p = ret;

	while (n) {
		ssize_t got = getrandom(p, n, 0);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		must(got <= 0, "getrandom");
		p += got;
		n -= (size_t)got;
	}
}

uint64_t crypto_random_u64(void)
{
	uint64_t v;

	crypto_random(&v, sizeof(v));
	return v;
}

void crypto_random_name(char *ret, size_t n)
{
	crypto_random(ret, n);
	for (size_t i = 0; i < n; i++) {
		ret[i] = "abcdefghijklmnopqrstuvwxyz234567"[ret[i] & 31];
	}
	ret[n] = '\0';
}

bool crypto_equal(const void *a, const void *b, size_t n)
{
	const volatile unsigned char *x = a, *y = b;
	unsigned char diff = 0;

	for (size_t i = 0; i < n; i++) {
		diff |= x[i] ^ y[i];
	}
	return diff == 0;
}

void crypto_wipe(void *p, size_t n)
{
	mbedtls_platform_zeroize(p, n);
}

__attribute__((noinline)) void crypto_wipe_stack(void)
{
	char below[8192];

	crypto_wipe(below, sizeof(below));
}

void crypto_sha1(struct span data, uint8_t ret[SHA1_SIZE])
{
	must(mbedtls_sha1((const unsigned char *)data.p, data.n, ret), "SHA-1");
}

void crypto_sha256(struct span data, uint8_t ret[SHA256_SIZE])
{
	must(mbedtls_sha256((const unsigned char *)data.p, data.n, ret, 0), "SHA-256");
}

void crypto_hmac_sha256(const void *key, size_t key_len, const struct span *parts, size_t n_parts,
			uint8_t ret[SHA256_SIZE])
{
	mbedtls_md_context_t md;

	mbedtls_md_init(&md);
	must(mbedtls_md_setup(&md, mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), 1), "HMAC");
	must(mbedtls_md_hmac_starts(&md, key, key_len), "HMAC");
	for (size_t i = 0; i < n_parts; i++) {
		must(mbedtls_md_hmac_update(&md, (const unsigned char *)parts[i].p, parts[i].n),
		     "HMAC");
	}
	must(mbedtls_md_hmac_finish(&md, ret), "HMAC");
	mbedtls_md_free(&md);
}

static int mbedtls_rng(void *unused, unsigned char *ret, size_t n)
{
	(void)unused;
	crypto_random(ret, n);
	return 0;
}

static void swap_ends(uint8_t p[X25519_SIZE])
{
	for (size_t i = 0; i < X25519_SIZE / 2; i++) {
		uint8_t t = p[i];

		p[i] = p[X25519_SIZE - 1 - i];
		p[X25519_SIZE - 1 - i] = t;
	}
}

/* The clamped private key (RFC 7748 section 5) as the number mbedtls wants. */
static void read_scalar(mbedtls_mpi *d, const uint8_t private_key[X25519_SIZE])
{
	uint8_t scalar[X25519_SIZE];

	memcpy(scalar, private_key, sizeof(scalar));
	scalar[0] &= 248;
	scalar[31] &= 127;
	scalar[31] |= 64;
	swap_ends(scalar); /* mbedtls reads big-endian numbers */
	must(mbedtls_mpi_read_binary(d, scalar, sizeof(scalar)), "X25519");
	crypto_wipe(scalar, sizeof(scalar));
}

/* public_key NULL: the base point. 0, or -EINVAL for a point of low order. */
static int multiply(const uint8_t private_key[X25519_SIZE], const uint8_t *public_key,
		    uint8_t ret[X25519_SIZE])
{
	mbedtls_ecp_group grp;
	mbedtls_ecp_point p, q;
	mbedtls_mpi d;
	size_t n;
	int r;

	mbedtls_ecp_group_init(&grp);
	mbedtls_ecp_point_init(&p);
	mbedtls_ecp_point_init(&q);
	mbedtls_mpi_init(&d);
	must(mbedtls_ecp_group_load(&grp, MBEDTLS_ECP_DP_CURVE25519), "X25519");
	read_scalar(&d, private_key);
	if (public_key) {
		must(mbedtls_ecp_point_read_binary(&grp, &p, public_key, X25519_SIZE), "X25519");
	}
	r = mbedtls_ecp_mul(&grp, &q, &d, public_key ? &p : &grp.G, mbedtls_rng, NULL);
	must(r != 0 && r != MBEDTLS_ERR_ECP_INVALID_KEY ? r : 0, "X25519");
	if (r == 0) {
		/* For Montgomery curves this writes the little-endian u coordinate. */
		must(mbedtls_ecp_point_write_binary(&grp, &q, MBEDTLS_ECP_PF_UNCOMPRESSED, &n, ret,
						    X25519_SIZE),
		     "X25519");
		must(n != X25519_SIZE, "X25519");
	}
	mbedtls_mpi_free(&d);
	mbedtls_ecp_point_free(&q);
	mbedtls_ecp_point_free(&p);
	mbedtls_ecp_group_free(&grp);
	return r ? -EINVAL : 0;
}

void crypto_x25519_public(const uint8_t private_key[X25519_SIZE], uint8_t public_key[X25519_SIZE])
{
	must(multiply(private_key, NULL, public_key), "X25519");
}

int crypto_x25519_shared(const uint8_t private_key[X25519_SIZE],
			 const uint8_t public_key[X25519_SIZE], uint8_t ret[X25519_SIZE])
{
	static const uint8_t zero[X25519_SIZE];
	uint8_t shared[X25519_SIZE];

	if (multiply(private_key, public_key, shared) < 0 ||
	    crypto_equal(shared, zero, sizeof(zero))) {
		return -EINVAL;
	}
	memcpy(ret, shared, sizeof(shared));
	crypto_wipe(shared, sizeof(shared));
	return 0;
}

void crypto_x25519_keypair(uint8_t private_key[X25519_SIZE], uint8_t public_key[X25519_SIZE])
{
	crypto_random(private_key, X25519_SIZE);
	private_key[0] &= 248;
	private_key[31] &= 127;
	private_key[31] |= 64;
	crypto_x25519_public(private_key, public_key);
}

void crypto_hkdf_sha256(struct span salt, struct span secret, struct span info, void *ret, size_t n)
{
	must(mbedtls_hkdf(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256),
			  (const unsigned char *)salt.p, salt.n, (const unsigned char *)secret.p,
			  secret.n, (const unsigned char *)info.p, info.n, ret, n),
	     "HKDF");
}

void crypto_aead_seal(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE],
		      struct span ad, const void *plain, size_t n, uint8_t *ret)
{
	mbedtls_chachapoly_context ctx;

	mbedtls_chachapoly_init(&ctx);
	must(mbedtls_chachapoly_setkey(&ctx, key), "ChaCha20-Poly1305");
	must(mbedtls_chachapoly_encrypt_and_tag(&ctx, n, nonce, (const unsigned char *)ad.p, ad.n,
						plain, ret, ret + n),
	     "ChaCha20-Poly1305");
	mbedtls_chachapoly_free(&ctx);
}

int crypto_aead_open(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE],
		     struct span ad, const void *sealed, size_t n, uint8_t *ret)
{
	mbedtls_chachapoly_context ctx;
	const unsigned char *p = sealed;
	int r;

	if (n < AEAD_TAG_SIZE) {
		return -EBADMSG;
	}
	n -= AEAD_TAG_SIZE;
	mbedtls_chachapoly_init(&ctx);
	must(mbedtls_chachapoly_setkey(&ctx, key), "ChaCha20-Poly1305");
	r = mbedtls_chachapoly_auth_decrypt(&ctx, n, nonce, (const unsigned char *)ad.p, ad.n,
					    p + n, p, ret);
	mbedtls_chachapoly_free(&ctx);
	return r ? -EBADMSG : 0;
}
