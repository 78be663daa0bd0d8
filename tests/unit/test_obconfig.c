/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The backends in an Onionbalance's configuration. */
#include <errno.h>

#include "client/move/obconfig.h"
#include "proto/base/buf.h"
#include "unit.h"

#define ONE "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid"
#define TWO "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad"

static void addresses_are_found_however_yaml_has_them(void **state)
{
	static const char *const texts[] = {
		"# one: " ONE ".onion\nservices:\n- key: frontend.key\n  instances:\n"
		"  - address: " ONE ".onion\n    name: node1\n"
		"  - address: " TWO ".onion\n    name: node2\n",
		"services: [{key: fe.key, instances: [{address: " ONE ".onion},"
		"{address: " TWO ".onion, name: b}]}]",
		"services:\r\n- instances:\r\n  - name: a\r\n    address: '" ONE ".onion' # b\r\n"
		"  - {\"address\": \"http://" TWO ".onion/\"}\r\n  key: k\r\n",
		/* the same once more is no more */
		"address: " ONE ".onion\naddress: " TWO ".onion\naddress: " ONE ".onion\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct obconfig c = {.n = 0};
		struct error err = ERROR_INIT;

		if (obconfig_read(span_str(texts[i]), &c, &err) < 0) {
			fail_msg("%s: %s", texts[i], error_text(&err));
		}
		assert_int_equal(c.n, 2);
		assert_string_equal(c.backends[0], ONE);
		assert_string_equal(c.backends[1], TWO);
	}
}

static void what_cannot_be_taken_is_said(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "no backends"},
		{"services:\n- key: a\n  # address: " ONE ".onion\n", "no backends"},
		{"my-address: " ONE ".onion\n", "no backends"},
		{"\naddress: example.org\n", "line 2: an address of a backend must be"},
		{"address: " ONE ".onion\nservices:\n- key: a\n- key: b\n", "several services"},
		{"address:\n  " ONE ".onion\n", "line 1"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct obconfig c = {.n = 0};
		struct error err = ERROR_INIT;

		assert_int_equal(obconfig_read(span_str(cases[i].text), &c, &err), -EINVAL);
		if (!strstr(error_text(&err), cases[i].why)) {
			fail_msg("%s: %s", cases[i].text, error_text(&err));
		}
		error_done(&err);
	}
}

static void there_is_a_bound(void **state)
{
	struct obconfig c = {.n = 0};
	struct error err = ERROR_INIT;
	struct buf text = BUF_INIT;
	uint8_t secret[ED25519_EXPANDED_SIZE], key[ED25519_PUBLIC_SIZE];
	char name[ONION_NAME_LEN + 1];

	(void)state;
	for (size_t i = 0; i < OBCONFIG_BACKENDS_MAX; i++) {
		ed25519_make(secret, key);
		onion_print(key, name);
		buf_printf(&text, "- address: %s.onion\n", name);
	}
	assert_int_equal(obconfig_read(buf_span(&text), &c, &err), 0);
	assert_int_equal(c.n, OBCONFIG_BACKENDS_MAX);
	assert_int_equal(obconfig_add(&c, span_str(ONE), &err), -EINVAL);
	assert_non_null(strstr(error_text(&err), "more than 64"));
	error_done(&err);
	buf_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_found_however_yaml_has_them),
		cmocka_unit_test(what_cannot_be_taken_is_said),
		cmocka_unit_test(there_is_a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
