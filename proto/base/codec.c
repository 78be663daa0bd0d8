/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/base/codec.h"

#include <errno.h>

static const char upper32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
static const char lower32[] = "abcdefghijklmnopqrstuvwxyz234567";
static const char digits64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char digits16[] = "0123456789abcdef";

/* Writes n bytes as digits of width bits each, the last one filled up with zeros. */
static size_t encode(const uint8_t *p, size_t n, unsigned width, const char *digits, char *ret)
{
	uint32_t acc = 0;
	unsigned bits = 0;
	size_t out = 0;

	for (size_t i = 0; i < n; i++) {
		acc = acc << 8 | p[i];
		bits += 8;
		while (bits >= width) {
			bits -= width;
			ret[out++] = digits[acc >> bits & ((1U << width) - 1)];
		}
	}
	if (bits) {
		ret[out++] = digits[acc << (width - bits) & ((1U << width) - 1)];
	}
	ret[out] = '\0';
	return out;
}

void base32_encode(const uint8_t *p, size_t n, char *ret)
{
	encode(p, n, 5, upper32, ret);
}

void base32_encode_lower(const uint8_t *p, size_t n, char *ret)
{
	encode(p, n, 5, lower32, ret);
}

void base64_encode(const uint8_t *p, size_t n, char *ret)
{
	size_t out = encode(p, n, 6, digits64, ret);

	while (out % 4) {
		ret[out++] = '=';
	}
	ret[out] = '\0';
}

void hex_encode(const uint8_t *p, size_t n, char *ret)
{
	encode(p, n, 4, digits16, ret);
}

static int digit32(char c)
{
	if (c >= 'a' && c <= 'z') {
		return c - 'a';
	}
	if (c >= 'A' && c <= 'Z') {
		return c - 'A';
	}
	return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

static int digit64(char c)
{
	if (c >= 'A' && c <= 'Z') {
		return c - 'A';
	}
	if (c >= 'a' && c <= 'z') {
		return c - 'a' + 26;
	}
	if (c >= '0' && c <= '9') {
		return c - '0' + 52;
	}
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int hex_digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int decode(struct span s, unsigned width, int (*digit)(char), uint8_t *ret, size_t n)
{
	uint32_t acc = 0;
	unsigned bits = 0;
	size_t out = 0;

	if (s.n != (n * 8 + width - 1) / width) {
		return -EINVAL;
	}
	for (size_t i = 0; i < s.n; i++) {
		int d = digit(s.p[i]);

		if (d < 0) {
			return -EINVAL;
		}
		acc = acc << width | (uint32_t)d;
		bits += width;
		if (bits >= 8) {
			bits -= 8;
			ret[out++] = (uint8_t)(acc >> bits);
		}
	}
	/* Two texts must not stand for the same bytes. */
	return acc & ((1U << bits) - 1) ? -EINVAL : 0;
}

int base32_decode(struct span s, uint8_t *ret, size_t n)
{
	return decode(s, 5, digit32, ret, n);
}

int base64_decode(struct span s, uint8_t *ret, size_t n)
{
	if (s.n % 4 == 0) {
		for (int i = 0; i < 2 && s.n && s.p[s.n - 1] == '='; i++) {
			s.n--;
		}
	}
	return decode(s, 6, digit64, ret, n);
}

int hex_decode(struct span s, uint8_t *ret, size_t n)
{
	return decode(s, 4, hex_digit, ret, n);
}
