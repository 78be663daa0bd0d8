/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The outer layer of an onion's descriptor, and when it was published. */
#include <errno.h>

#include "tor/hsdesc.h"
#include "unit.h"

#define HEAD "hs-descriptor 3\n"
#define LIFE "descriptor-lifetime 180\n"
#define CERT                                                                                 \
	"descriptor-signing-key-cert\n-----BEGIN ED25519 CERT-----\nAQgAB5xaAaNsS1dw\n-----" \
	"END ED25519 CERT-----\n"
#define REVISION "revision-counter 6063854\n"
#define REST     "superencrypted\n-----BEGIN MESSAGE-----\nrevision-counter 1\n"

#define EXPIRES INT64_C(0x00079c5a) * 3600

static void a_descriptor_of_tors_is_read(void **state)
{
	struct hsdesc d;

	(void)state;
	assert_int_equal(hsdesc_parse(SPAN(HEAD LIFE CERT REVISION REST), &d), 0);
	assert_int_equal(d.lifetime, 10800);
	assert_int_equal(d.revision, 6063854);
	assert_int_equal(d.expires, EXPIRES);
	/* What is not known is passed over, and so are the ends of lines. */
	assert_int_equal(hsdesc_parse(SPAN("hs-descriptor 3\r\nnew thing\r\n" REVISION LIFE CERT),
				      &d),
			 0);
}

static void what_is_none_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"hs-descriptor 2\n" LIFE CERT REVISION REST,
		LIFE HEAD CERT REVISION REST,
		HEAD CERT REVISION REST,
		HEAD LIFE REVISION REST,
		HEAD LIFE CERT REST, /* what is in the encrypted part does not count */
		HEAD LIFE LIFE CERT REVISION REST,
		HEAD LIFE CERT CERT REVISION REST,
		HEAD LIFE CERT REVISION REVISION REST,
		HEAD "descriptor-lifetime 29\n" CERT REVISION REST,
		HEAD "descriptor-lifetime 721\n" CERT REVISION REST,
		HEAD LIFE CERT "revision-counter 9223372036854775808\n" REST,
		HEAD LIFE CERT "revision-counter -1\n" REST,
		HEAD LIFE "descriptor-signing-key-cert\n" REVISION REST,
		HEAD LIFE
		"descriptor-signing-key-cert\n-----BEGIN ED25519 CERT-----\nAQgAB5x\n" REST,
		/* of a relay's key, and of another version */
		HEAD LIFE
		"descriptor-signing-key-cert\n-----BEGIN ED25519 CERT-----\nAQQAB5xa\n" REVISION
			REST,
		HEAD LIFE
		"descriptor-signing-key-cert\n-----BEGIN ED25519 CERT-----\nAggAB5xa\n" REVISION
			REST,
	};
	struct hsdesc d;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (hsdesc_parse(span_str(bad[i]), &d) != -EINVAL) {
			fail_msg("taken: %s", bad[i]);
		}
	}
}

static void the_hour_of_its_publication_is_known(void **state)
{
	const struct hsdesc d = {.expires = EXPIRES};
	const int64_t hour = EXPIRES - 54 * 3600;
	int64_t from, to;

	(void)state;
	/* tor: at 9:30, for 54 hours, up to the next whole one */
	assert_true(hsdesc_published(&d, HSDESC_TOR, hour + 7200, &from, &to));
	assert_int_equal(from, hour - 3600);
	assert_int_equal(to, hour);
	assert_true(hsdesc_published(&d, HSDESC_ONIONBALANCE, hour + 7200, &from, &to));
	assert_int_equal(from, hour);
	assert_int_equal(to, hour + 3600);
	/* an hour that is not over */
	assert_true(hsdesc_published(&d, HSDESC_TOR, hour - 1000, &from, &to));
	assert_int_equal(from, hour - 3600);
	assert_int_equal(to, hour - 1000);
	assert_false(hsdesc_published(&d, HSDESC_ONIONBALANCE, hour - 1000, &from, &to));
	assert_false(hsdesc_published(&d, HSDESC_TOR, hour - 3601, &from, &to));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_descriptor_of_tors_is_read),
		cmocka_unit_test(what_is_none_is_refused),
		cmocka_unit_test(the_hour_of_its_publication_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
