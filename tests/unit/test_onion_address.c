/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Onion addresses, and the cryptography that checks them. */
#include <ctype.h>
#include <errno.h>

#include "proto/base/buf.h"
#include "proto/base/codec.h"
#include "proto/base/crypto.h"
#include "proto/base/onion.h"
#include "proto/base/sha3.h"
#include "unit.h"

/* rend-spec-v3 has no vectors; these are well-known services. */
static const char *const good[] = {
	"duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad",
	"2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid",
	"pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd",
};

static void sha3_of_known_texts(void **state)
{
	static const struct {
		const char *text, *hex;
	} known[] = {
		{"", "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a"},
		{"abc", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"},
		{"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopq"
		 "klmnopqrlmnopqrsmnopqrstnopqrstu",
		 "916f6061fe879741ca6469b43971dfdb28b1a32dc36cb3254e812be27aad1d18"},
	};
	uint8_t digest[SHA3_256_SIZE];
	char hex[2 * SHA3_256_SIZE + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		crypto_sha3_256(span_str(known[i].text), digest);
		hex_encode(digest, sizeof(digest), hex);
		assert_string_equal(hex, known[i].hex);
	}
}

/* Around the end of a block, where the padding is one byte or a whole block (Python's hashlib). */
static void sha3_at_the_edges_of_a_block(void **state)
{
	static const struct {
		size_t n;
		const char *hex;
	} known[] = {
		{135, "8094bb53c44cfb1e67b7c30447f9a1c33696d2463ecc1d9c92538913392843c9"},
		{136, "3fc5559f14db8e453a0a3091edbd2bc25e11528d81c66fa570a4efdcc2695ee1"},
		{137, "f8d6846cedd2ccfadf15c5879ef95af724d799eed7391fb1c91f95344e738614"},
		{272, "a490357b9b3fb39d0a89a117734e5b020b1f33c7bf3fa3575c396425432003d3"},
	};
	uint8_t text[272], digest[SHA3_256_SIZE];
	char hex[2 * SHA3_256_SIZE + 1];

	(void)state;
	memset(text, 'a', sizeof(text));
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		crypto_sha3_256(span_of((const char *)text, known[i].n), digest);
		hex_encode(digest, sizeof(digest), hex);
		assert_string_equal(hex, known[i].hex);
	}
}

/* RFC 8032, 7.1, tests 1 to 3. */
static void keys_of_the_rfc_are_keys(void **state)
{
	static const char *const hex[] = {
		"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
		"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
		"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
	};
	uint8_t key[ED25519_PUBLIC_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hex); i++) {
		assert_int_equal(hex_decode(span_str(hex[i]), key, sizeof(key)), 0);
		assert_true(ed25519_is_public(key));
		key[31] ^= 0x80; /* the point on the other side */
		assert_true(ed25519_is_public(key));
	}
}

/* RFC 8032, 7.1, test 1: the scalar is the clamped first half of the seed's SHA-512. */
static void the_public_half_of_the_rfcs_first_secret(void **state)
{
	static const char scalar[] =
		"307c83864f2833cb427a2ef1c00a013cfdff2768d980c0a3a520f006904de94f";
	static const char expected[] =
		"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
	uint8_t expanded[ED25519_EXPANDED_SIZE] = {0}, key[ED25519_PUBLIC_SIZE];
	char hex[65];

	(void)state;
	assert_int_equal(hex_decode(span_str(scalar), expanded, 32), 0);
	ed25519_public(expanded, key);
	hex_encode(key, sizeof(key), hex);
	assert_string_equal(hex, expected);
}

/* All points of small order, not canonical ones included, and such with a part of it. */
static void what_tor_would_die_of_is_no_key(void **state)
{
	static const char *const hex[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000080",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		/* not on the curve */
		"0200000000000000000000000000000000000000000000000000000000000000",
		/* the key of the RFC's first test and the point of order two */
		"16a567fe7d4ef5482ab4012c369bf8c5f11e8d0c2559dcda50fde59708f8aee5",
	};
	uint8_t key[ED25519_PUBLIC_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hex); i++) {
		assert_int_equal(hex_decode(span_str(hex[i]), key, sizeof(key)), 0);
		assert_false(ed25519_is_public(key));
	}
}

static void made_keys_are_keys_and_have_addresses(void **state)
{
	uint8_t expanded[ED25519_EXPANDED_SIZE], key[ED25519_PUBLIC_SIZE];
	char name[ONION_NAME_LEN + 1], again[ONION_NAME_LEN + 1];

	(void)state;
	for (int i = 0; i < 4; i++) {
		ed25519_make(expanded, key);
		assert_int_equal(expanded[0] & 7, 0);
		assert_int_equal(expanded[31] & 0xc0, 0x40);
		assert_true(ed25519_is_public(key));
		onion_print(key, name);
		assert_int_equal(onion_parse(span_str(name), again, NULL), 0);
		assert_string_equal(name, again);
	}
}

static void addresses_are_taken_as_people_copy_them(void **state)
{
	static const char *const forms[] = {"%s", "%s.onion", "http://%s.onion", "http://%s.onion/",
					    "%s.ONION"};
	char name[ONION_NAME_LEN + 1];
	struct error err = ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(forms); k++) {
			struct buf b = BUF_INIT;

			for (const char *p = forms[k]; *p; p++) {
				if (*p == '%') {
					buf_add_str(&b, good[i]);
					p++;
				} else {
					buf_add_char(&b, *p);
				}
			}
			assert_int_equal(onion_parse(buf_span(&b), name, &err), 0);
			assert_string_equal(name, good[i]);
			buf_done(&b);
		}
		struct buf upper = BUF_INIT;

		for (const char *p = good[i]; *p; p++) {
			buf_add_char(&upper, (char)toupper((unsigned char)*p));
		}
		assert_int_equal(onion_parse(buf_span(&upper), name, &err), 0);
		assert_string_equal(name, good[i]);
		buf_done(&upper);
	}
}

/* The zero key with a right checksum, and with a wrong one. */
static void what_is_wrong_with_an_address_is_said(void **state)
{
	static const uint8_t zero[ED25519_PUBLIC_SIZE];
	char name[ONION_NAME_LEN + 1], bad[ONION_NAME_LEN + 8];
	struct error err = ERROR_INIT;

	(void)state;
	onion_print(zero, bad);
	assert_int_equal(onion_parse(span_str(bad), name, &err), -EINVAL);
	assert_non_null(strstr(error_text(&err), "no key"));
	for (int at = 0; at < ONION_NAME_LEN; at++) {
		strcpy(bad, good[1]);
		bad[at] = bad[at] == 'b' ? 'c' : 'b';
		assert_int_equal(onion_parse(span_str(bad), name, &err), -EINVAL);
	}
	strcpy(bad, good[1]);
	bad[20] = bad[20] == 'b' ? 'c' : 'b';
	assert_int_equal(onion_parse(span_str(bad), name, &err), -EINVAL);
	assert_non_null(strstr(error_text(&err), "checksum"));
	strcpy(bad, good[1]);
	bad[ONION_NAME_LEN - 1] = 'a';
	assert_int_equal(onion_parse(span_str(bad), name, &err), -EINVAL);
	assert_non_null(strstr(error_text(&err), "version 3"));
	static const char *const none[] = {
		"",          ".onion", "http://", "expyuzz4wqqyqhjn.onion", "example.org",
		"x.y.onion", "a b"};

	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		assert_int_equal(onion_parse(span_str(none[i]), name, &err), -EINVAL);
		assert_non_null(strstr(error_text(&err), "56 characters"));
	}
	error_done(&err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha3_of_known_texts),
		cmocka_unit_test(sha3_at_the_edges_of_a_block),
		cmocka_unit_test(keys_of_the_rfc_are_keys),
		cmocka_unit_test(the_public_half_of_the_rfcs_first_secret),
		cmocka_unit_test(what_tor_would_die_of_is_no_key),
		cmocka_unit_test(made_keys_are_keys_and_have_addresses),
		cmocka_unit_test(addresses_are_taken_as_people_copy_them),
		cmocka_unit_test(what_is_wrong_with_an_address_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
