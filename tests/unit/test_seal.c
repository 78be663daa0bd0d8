/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "unit.h"

#include <errno.h>

#include "store/seal.h"

static const uint8_t secret[SEAL_SECRET_SIZE] = {1, 2, 3};
static const uint8_t alice[SEAL_UID_SIZE] = "alice", bob[SEAL_UID_SIZE] = "bob";
static const char plain[32] = "the key of an onion";

static void what_was_sealed_opens_again_and_nothing_else_does(void **state)
{
	uint8_t sealed[sizeof(plain) + SEAL_OVERHEAD];
	char back[sizeof(plain)];
	struct seal s;

	(void)state;
	seal_init(&s, secret);
	seal_bytes(&s, alice, SPAN("key"), plain, sizeof(plain), sealed);
	assert_int_equal(seal_open(&s, alice, SPAN("key"), sealed, sizeof(sealed), back,
				   sizeof(back)),
			 0);
	assert_memory_equal(back, plain, sizeof(plain));
	for (size_t i = 0; i < sizeof(sealed) * 8; i++) {
		sealed[i / 8] ^= (uint8_t)(1u << (i % 8));
		assert_int_equal(seal_open(&s, alice, SPAN("key"), sealed, sizeof(sealed), back,
					   sizeof(back)),
				 -EBADMSG);
		sealed[i / 8] ^= (uint8_t)(1u << (i % 8));
	}
	for (size_t n = 0; n < sizeof(sealed); n++) {
		assert_int_equal(seal_open(&s, alice, SPAN("key"), sealed, n, back, sizeof(back)),
				 -EBADMSG);
	}
	assert_int_equal(seal_open(&s, alice, SPAN("key"), sealed, sizeof(sealed), back, 31),
			 -EBADMSG);
	seal_done(&s);
}

static void another_row_field_or_secret_does_not_open_it(void **state)
{
	const uint8_t other_secret[SEAL_SECRET_SIZE] = {1, 2, 4};
	uint8_t sealed[sizeof(plain) + SEAL_OVERHEAD];
	char back[sizeof(plain)];
	struct seal s, other;

	(void)state;
	seal_init(&s, secret);
	seal_init(&other, other_secret);
	seal_bytes(&s, alice, SPAN("key"), plain, sizeof(plain), sealed);
	assert_int_equal(seal_open(&s, bob, SPAN("key"), sealed, sizeof(sealed), back,
				   sizeof(back)),
			 -EBADMSG);
	assert_int_equal(seal_open(&s, alice, SPAN("kex"), sealed, sizeof(sealed), back,
				   sizeof(back)),
			 -EBADMSG);
	assert_int_equal(seal_open(&s, alice, SPAN("key "), sealed, sizeof(sealed), back,
				   sizeof(back)),
			 -EBADMSG);
	assert_int_equal(seal_open(&other, alice, SPAN("key"), sealed, sizeof(sealed), back,
				   sizeof(back)),
			 -EBADMSG);
	seal_done(&s);
	seal_done(&other);
}

static void the_same_text_never_seals_the_same(void **state)
{
	uint8_t a[sizeof(plain) + SEAL_OVERHEAD], b[sizeof(plain) + SEAL_OVERHEAD];
	struct seal s;

	(void)state;
	seal_init(&s, secret);
	seal_bytes(&s, alice, SPAN("key"), plain, sizeof(plain), a);
	seal_bytes(&s, alice, SPAN("key"), plain, sizeof(plain), b);
	assert_memory_not_equal(a + 1, b + 1, AEAD_NONCE_SIZE);
	assert_memory_not_equal(a + 13, b + 13, sizeof(plain));
	seal_done(&s);
}

static void a_secret_is_32_bytes_or_64_hex_digits(void **state)
{
	char text[66], raw[32];
	uint8_t got[SEAL_SECRET_SIZE];

	(void)state;
	memset(raw, '\n', sizeof(raw));
	assert_int_equal(seal_parse_secret(span_of(raw, 32), got), 0);
	assert_memory_equal(got, raw, 32);
	memset(text, 'a', 64);
	text[64] = '\n';
	assert_int_equal(seal_parse_secret(span_of(text, 64), got), 0);
	assert_int_equal(got[31], 0xaa);
	assert_int_equal(seal_parse_secret(span_of(text, 65), got), 0);
	assert_int_equal(seal_parse_secret(span_of(text, 63), got), -EINVAL);
	assert_int_equal(seal_parse_secret(span_of(text, 31), got), -EINVAL);
	assert_int_equal(seal_parse_secret(span_of(text, 0), got), -EINVAL);
	text[64] = 'a';
	assert_int_equal(seal_parse_secret(span_of(text, 65), got), -EINVAL);
	text[5] = 'g';
	assert_int_equal(seal_parse_secret(span_of(text, 64), got), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_sealed_opens_again_and_nothing_else_does),
		cmocka_unit_test(another_row_field_or_secret_does_not_open_it),
		cmocka_unit_test(the_same_text_never_seals_the_same),
		cmocka_unit_test(a_secret_is_32_bytes_or_64_hex_digits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
