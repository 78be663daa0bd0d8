/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * On mbedtls's long numbers: slow, and plainly the formulas of RFC 8032, 5.1.4, which hold
 * for all pairs of points.
 */
#include "proto/base/ed25519.h"

#include <mbedtls/bignum.h>
#include <mbedtls/sha512.h>
#include <mbedtls/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/crypto.h"

#if MBEDTLS_VERSION_NUMBER < 0x03000000
#define mbedtls_sha512 mbedtls_sha512_ret
#endif

#define BITS 256

static void must(int ret)
{
	if (ret != 0) {
		fprintf(stderr, "the crypto library failed: numbers (-0x%04x)\n", (unsigned)-ret);
		abort();
	}
}

/* Twisted Edwards, a = -1: x = X/Z, y = Y/Z, x y = T/Z. */
struct point {
	mbedtls_mpi x, y, z, t;
};

struct curve {
	mbedtls_mpi p, d, d2, order, root; /* root: the square root of -1 */
	struct point base;
};

static void point_init(struct point *a)
{
	mbedtls_mpi_init(&a->x);
	mbedtls_mpi_init(&a->y);
	mbedtls_mpi_init(&a->z);
	mbedtls_mpi_init(&a->t);
}

/* mbedtls wipes what it frees. */
static void point_free(struct point *a)
{
	mbedtls_mpi_free(&a->x);
	mbedtls_mpi_free(&a->y);
	mbedtls_mpi_free(&a->z);
	mbedtls_mpi_free(&a->t);
}

/* The neutral element. */
static void point_zero(struct point *a)
{
	must(mbedtls_mpi_lset(&a->x, 0));
	must(mbedtls_mpi_lset(&a->y, 1));
	must(mbedtls_mpi_lset(&a->z, 1));
	must(mbedtls_mpi_lset(&a->t, 0));
}

static void read_hex(mbedtls_mpi *ret, const char *hex)
{
	must(mbedtls_mpi_read_string(ret, 16, hex));
}

static void curve_init(struct curve *c)
{
	mbedtls_mpi_init(&c->p);
	mbedtls_mpi_init(&c->d);
	mbedtls_mpi_init(&c->d2);
	mbedtls_mpi_init(&c->order);
	mbedtls_mpi_init(&c->root);
	point_init(&c->base);
	read_hex(&c->p, "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed");
	read_hex(&c->d, "52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3");
	read_hex(&c->d2, "2406d9dc56dffce7198e80f2eef3d13000e0149a8283b156ebd69b9426b2f159");
	read_hex(&c->order, "1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed");
	read_hex(&c->root, "2b8324804fc1df0b2b4d00993dfbd7a72f431806ad2fe478c4ee1b274a0ea0b0");
	read_hex(&c->base.x, "216936d3cd6e53fec0a4e231fdd6dc5c692cc7609525a7b2c9562d608f25d51a");
	read_hex(&c->base.y, "6666666666666666666666666666666666666666666666666666666666666658");
	read_hex(&c->base.t, "67875f0fd78b766566ea4e8e64abe37d20f09f80775152f56dde8ab3a5b7dda3");
	must(mbedtls_mpi_lset(&c->base.z, 1));
}

static void curve_free(struct curve *c)
{
	mbedtls_mpi_free(&c->p);
	mbedtls_mpi_free(&c->d);
	mbedtls_mpi_free(&c->d2);
	mbedtls_mpi_free(&c->order);
	mbedtls_mpi_free(&c->root);
	point_free(&c->base);
}

/* --- numbers modulo p; ret may be one of the others --- */

static void multiply(const struct curve *c, mbedtls_mpi *ret, const mbedtls_mpi *a,
		     const mbedtls_mpi *b)
{
	must(mbedtls_mpi_mul_mpi(ret, a, b));
	must(mbedtls_mpi_mod_mpi(ret, ret, &c->p));
}

static void add(const struct curve *c, mbedtls_mpi *ret, const mbedtls_mpi *a, const mbedtls_mpi *b)
{
	must(mbedtls_mpi_add_mpi(ret, a, b));
	must(mbedtls_mpi_mod_mpi(ret, ret, &c->p));
}

static void subtract(const struct curve *c, mbedtls_mpi *ret, const mbedtls_mpi *a,
		     const mbedtls_mpi *b)
{
	must(mbedtls_mpi_sub_mpi(ret, a, b));
	must(mbedtls_mpi_mod_mpi(ret, ret, &c->p));
}

/* --- points --- */

static void point_copy(struct point *ret, const struct point *a)
{
	must(mbedtls_mpi_copy(&ret->x, &a->x));
	must(mbedtls_mpi_copy(&ret->y, &a->y));
	must(mbedtls_mpi_copy(&ret->z, &a->z));
	must(mbedtls_mpi_copy(&ret->t, &a->t));
}

/* sum += more. They may be the same point, as the formulas are complete. */
static void point_add(const struct curve *c, struct point *sum, const struct point *more)
{
	mbedtls_mpi v[6];
	mbedtls_mpi *a = &v[0], *b = &v[1], *cc = &v[2], *d = &v[3], *e = &v[4], *f = &v[5];

	for (int i = 0; i < 6; i++) {
		mbedtls_mpi_init(&v[i]);
	}
	subtract(c, a, &sum->y, &sum->x);
	subtract(c, e, &more->y, &more->x);
	multiply(c, a, a, e); /* A = (Y1 - X1) (Y2 - X2) */
	add(c, b, &sum->y, &sum->x);
	add(c, e, &more->y, &more->x);
	multiply(c, b, b, e); /* B = (Y1 + X1) (Y2 + X2) */
	multiply(c, cc, &sum->t, &c->d2);
	multiply(c, cc, cc, &more->t); /* C = T1 2 d T2 */
	add(c, d, &sum->z, &sum->z);
	multiply(c, d, d, &more->z); /* D = Z1 2 Z2 */
	subtract(c, e, b, a);
	add(c, b, b, a); /* H */
	subtract(c, f, d, cc);
	add(c, d, d, cc); /* G */
	multiply(c, &sum->x, e, f);
	multiply(c, &sum->y, d, b);
	multiply(c, &sum->t, e, b);
	multiply(c, &sum->z, f, d);
	for (int i = 0; i < 6; i++) {
		mbedtls_mpi_free(&v[i]);
	}
}

static void point_multiply(const struct curve *c, struct point *ret, const mbedtls_mpi *by,
			   const struct point *a)
{
	struct point twice;

	point_init(&twice);
	point_zero(ret);
	for (int i = BITS - 1; i >= 0; i--) {
		point_copy(&twice, ret);
		point_add(c, ret, &twice);
		if (mbedtls_mpi_get_bit(by, (size_t)i)) {
			point_add(c, ret, a);
		}
	}
	point_free(&twice);
}

static bool is_zero(const struct point *a)
{
	return mbedtls_mpi_cmp_int(&a->x, 0) == 0 && mbedtls_mpi_cmp_mpi(&a->y, &a->z) == 0;
}

/* --- their bytes: y from the least on, and in the last bit whether x is odd --- */

static void read_bytes(mbedtls_mpi *ret, const uint8_t *p)
{
	uint8_t turned[32];

	for (unsigned i = 0; i < 32; i++) {
		turned[i] = p[31 - i];
	}
	must(mbedtls_mpi_read_binary(ret, turned, sizeof(turned)));
	crypto_wipe(turned, sizeof(turned));
}

static void write_bytes(const mbedtls_mpi *a, uint8_t ret[32])
{
	uint8_t turned[32];

	must(mbedtls_mpi_write_binary(a, turned, sizeof(turned)));
	for (unsigned i = 0; i < 32; i++) {
		ret[i] = turned[31 - i];
	}
}

/* The square root of what has one (RFC 8032, 5.1.3): false if it has none. */
static bool find_root(const struct curve *c, const mbedtls_mpi *square, mbedtls_mpi *ret)
{
	mbedtls_mpi power, check;
	bool found;

	mbedtls_mpi_init(&power);
	mbedtls_mpi_init(&check);
	must(mbedtls_mpi_add_int(&power, &c->p, 3));
	must(mbedtls_mpi_shift_r(&power, 3)); /* (p + 3) / 8 */
	must(mbedtls_mpi_exp_mod(ret, square, &power, &c->p, NULL));
	multiply(c, &check, ret, ret);
	found = mbedtls_mpi_cmp_mpi(&check, square) == 0;
	if (!found) {
		multiply(c, ret, ret, &c->root);
		multiply(c, &check, ret, ret);
		found = mbedtls_mpi_cmp_mpi(&check, square) == 0;
	}
	mbedtls_mpi_free(&power);
	mbedtls_mpi_free(&check);
	return found;
}

/* x of y: x^2 = (y^2 - 1) / (d y^2 + 1). The divisor is never zero. */
static bool find_x(const struct curve *c, const mbedtls_mpi *y, bool odd, mbedtls_mpi *ret)
{
	mbedtls_mpi over, under;
	bool found;

	mbedtls_mpi_init(&over);
	mbedtls_mpi_init(&under);
	multiply(c, &over, y, y);
	multiply(c, &under, &over, &c->d);
	must(mbedtls_mpi_sub_int(&over, &over, 1));
	must(mbedtls_mpi_mod_mpi(&over, &over, &c->p));
	must(mbedtls_mpi_add_int(&under, &under, 1));
	must(mbedtls_mpi_inv_mod(&under, &under, &c->p));
	multiply(c, &over, &over, &under);
	found = find_root(c, &over, ret);
	if (found && odd && mbedtls_mpi_cmp_int(ret, 0) == 0) {
		found = false;
	} else if (found && (mbedtls_mpi_get_bit(ret, 0) == 1) != odd) {
		must(mbedtls_mpi_sub_mpi(ret, &c->p, ret));
	}
	mbedtls_mpi_free(&over);
	mbedtls_mpi_free(&under);
	return found;
}

static bool point_read(const struct curve *c, const uint8_t key[32], struct point *ret)
{
	uint8_t y[32];

	memcpy(y, key, sizeof(y));
	y[31] &= 0x7f;
	read_bytes(&ret->y, y);
	if (mbedtls_mpi_cmp_mpi(&ret->y, &c->p) >= 0 ||
	    !find_x(c, &ret->y, key[31] & 0x80, &ret->x)) {
		return false;
	}
	must(mbedtls_mpi_lset(&ret->z, 1));
	multiply(c, &ret->t, &ret->x, &ret->y);
	return true;
}

static void point_write(const struct curve *c, const struct point *a, uint8_t ret[32])
{
	mbedtls_mpi x, y, inverse;

	mbedtls_mpi_init(&x);
	mbedtls_mpi_init(&y);
	mbedtls_mpi_init(&inverse);
	must(mbedtls_mpi_inv_mod(&inverse, &a->z, &c->p));
	multiply(c, &x, &a->x, &inverse);
	multiply(c, &y, &a->y, &inverse);
	write_bytes(&y, ret);
	ret[31] |= mbedtls_mpi_get_bit(&x, 0) ? 0x80 : 0;
	mbedtls_mpi_free(&x);
	mbedtls_mpi_free(&y);
	mbedtls_mpi_free(&inverse);
}

bool ed25519_is_public(const uint8_t key[ED25519_PUBLIC_SIZE])
{
	struct curve c;
	struct point a, product;
	bool good;

	curve_init(&c);
	point_init(&a);
	point_init(&product);
	good = point_read(&c, key, &a) && !is_zero(&a);
	if (good) {
		point_multiply(&c, &product, &c.order, &a);
		good = is_zero(&product);
	}
	point_free(&a);
	point_free(&product);
	curve_free(&c);
	return good;
}

void ed25519_public(const uint8_t expanded[ED25519_EXPANDED_SIZE], uint8_t ret[ED25519_PUBLIC_SIZE])
{
	struct curve c;
	struct point a;
	mbedtls_mpi scalar;

	curve_init(&c);
	point_init(&a);
	mbedtls_mpi_init(&scalar);
	read_bytes(&scalar, expanded);
	point_multiply(&c, &a, &scalar, &c.base);
	point_write(&c, &a, ret);
	mbedtls_mpi_free(&scalar);
	point_free(&a);
	curve_free(&c);
}

void ed25519_make(uint8_t ret_expanded[ED25519_EXPANDED_SIZE],
		  uint8_t ret_public[ED25519_PUBLIC_SIZE])
{
	uint8_t seed[32];

	crypto_random(seed, sizeof(seed));
	must(mbedtls_sha512(seed, sizeof(seed), ret_expanded, 0));
	crypto_wipe(seed, sizeof(seed));
	ret_expanded[0] &= 248;
	ret_expanded[31] &= 63;
	ret_expanded[31] |= 64;
	ed25519_public(ret_expanded, ret_public);
}
