/* SPDX-License-Identifier: GPL-3.0-or-later */
/* URLs of targets: how they are read, and where they may lead. */
#include "unit.h"

#include <errno.h>

#include "http/url.h"

#define ONION "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrstuvwx.onion"

static void a_url_is_taken_apart(void **state)
{
	static const struct {
		const char *text, *authority, *target;
		bool tls;
		uint16_t port;
		enum http_url_host kind;
	} cases[] = {
		{"http://example.com", "example.com", "", false, 80, HTTP_URL_NAME},
		{"HTTPS://Example.COM/A?b=%C3%BC", "example.com", "/A?b=%C3%BC", true, 443,
		 HTTP_URL_NAME},
		{"https://hooks.example.com:8443/x", "hooks.example.com:8443", "/x", true, 8443,
		 HTTP_URL_NAME},
		{"http://example.com:80?q", "example.com", "?q", false, 80, HTTP_URL_NAME},
		{"https://example.com:80", "example.com:80", "", true, 80, HTTP_URL_NAME},
		{"http://" ONION "/h", ONION, "/h", false, 80, HTTP_URL_ONION},
		{"http://www." ONION, "www." ONION, "", false, 80, HTTP_URL_ONION},
		{"http://93.184.216.34:81/", "93.184.216.34:81", "/", false, 81, HTTP_URL_IPV4},
		{"http://[2A02::1]:81/", "[2a02::1]:81", "/", false, 81, HTTP_URL_IPV6},
		{"http://0x7g.example/", "0x7g.example", "/", false, 80, HTTP_URL_NAME},
		{"http://1.example.com/", "1.example.com", "/", false, 80, HTTP_URL_NAME},
		{"http://a_b.example.com/", "a_b.example.com", "/", false, 80, HTTP_URL_NAME},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char authority[HTTP_URL_AUTHORITY_MAX];
		const char *why = "";
		struct http_url u;

		if (http_url_parse(span_str(cases[i].text), &u, &why) < 0) {
			fail_msg("%s: %s", cases[i].text, why);
		}
		http_url_authority(&u, authority);
		assert_string_equal(authority, cases[i].authority);
		assert_true(span_eq(u.target, span_str(cases[i].target)));
		assert_int_equal(u.tls, cases[i].tls);
		assert_int_equal(u.port, cases[i].port);
		assert_int_equal(u.kind, cases[i].kind);
	}
	(void)state;
}

static void what_is_not_plainly_a_url_is_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"example.com",
		"ftp://example.com/",
		"http:/example.com",
		"http:example.com",
		"http://",
		"http:///x",
		"http://?q",
		"http://:80/",
		" http://example.com",
		"http://user@example.com/",
		"http://user:pw@example.com/",
		"http://@example.com",
		"http://example.com@evil.com/",
		"http://example.com/#f",
		"http://example.com#f",
		"http://exa mple.com/",
		"http://example..com/",
		"http://.example.com/",
		"http://example.com./",
		"http://localhost./",
		"http://-a.com/",
		"http://a-.com/",
		"http://example.com/a b",
		"http://example.com/\xc3\xbc",
		"http://b\xc3\xbc.de/",
		"http://example.com/%",
		"http://example.com/%2",
		"http://example.com/%zz",
		"http://example.com/a\nb",
		"http://example.com/\\",
		"http://example.com\\@evil/",
		"http://example.com:/",
		"http://example.com:0/",
		"http://example.com:65536/",
		"http://example.com:+80/",
		"http://example.com:080000/",
		"http://example.com:80:80/",
		"http://example.com:0x50/",
		/* addresses in disguise */
		"http://0x7f.1/",
		"http://0x7f000001/",
		"http://2130706433/",
		"http://127.1/",
		"http://0177.0.0.1/",
		"http://127.0.0.01/",
		"http://127.0.0.1.1/",
		"http://1/",
		"http://256.1.1.1/",
		"http://127.0.0.0x1/",
		"http://0x/",
		"http://a.0X1F/",
		/* brackets */
		"http://[]/",
		"http://[::1/",
		"http://[::1]x/",
		"http://[::1%25eth0]/",
		"http://[127.0.0.1]/",
		"http://[v1.a]/",
		"http://::1/",
		"http://[::1]:/",
		/* onions that are none */
		"http://expyuzz4wqqyqhjn.onion/",
		"http://.onion/",
		"http://onion.a.onion/",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct http_url u;
		const char *why = NULL;

		if (http_url_parse(span_str(cases[i]), &u, &why) != -EINVAL) {
			fail_msg("taken: %s", cases[i]);
		}
		assert_non_null(why);
	}
	(void)state;
}

static void lengths_are_bounded(void **state)
{
	char text[HTTP_URL_MAX + 16];
	const char *why = NULL;
	struct http_url u;
	int n = snprintf(text, sizeof(text), "http://example.com/");

	memset(text + n, 'a', sizeof(text) - (size_t)n);
	assert_int_equal(http_url_parse(span_of(text, HTTP_URL_MAX), &u, &why), 0);
	assert_int_equal(http_url_parse(span_of(text, HTTP_URL_MAX + 1), &u, &why), -EINVAL);
	/* a host of 253 and of 254 characters; a label of 63 and of 64 */
	for (size_t i = 0; i < 300; i++) {
		text[7 + i] = i % 50 == 49 ? '.' : 'b';
	}
	assert_int_equal(http_url_parse(span_of(text, 7 + HTTP_URL_HOST_MAX), &u, &why), 0);
	assert_int_equal(http_url_parse(span_of(text, 7 + HTTP_URL_HOST_MAX + 1), &u, &why),
			 -EINVAL);
	memset(text + 7, 'b', 64);
	snprintf(text + 7 + 63, 8, ".com");
	assert_int_equal(http_url_parse(span_of(text, 7 + 67), &u, &why), 0);
	snprintf(text + 7 + 63, 8, "b.com");
	assert_int_equal(http_url_parse(span_of(text, 7 + 68), &u, &why), -EINVAL);
	(void)state;
}

enum where { NOWHERE, BY_TOR, DIRECT };

static void where_a_url_may_lead(void **state)
{
	static const struct {
		const char *text;
		enum where where;
	} cases[] = {
		{"http://example.com/", BY_TOR},
		{"https://example.com/", BY_TOR},
		{"http://" ONION "/", BY_TOR},
		{"https://" ONION "/", BY_TOR},
		{"http://93.184.216.34/", BY_TOR},
		{"https://93.184.216.34/", NOWHERE}, /* no name for its certificate */
		{"http://[2a02:1::1]/", BY_TOR},
		{"http://example.com:25/", NOWHERE},
		{"http://127.0.0.1:25/", NOWHERE},
		{"http://localhost/", DIRECT},
		{"https://localhost:8443/", DIRECT},
		{"http://127.0.0.1:8000/", DIRECT},
		{"http://127.255.255.254/", DIRECT},
		{"http://[::1]:8000/", DIRECT},
		{"http://[0:0:0:0:0:0:0:1]/", DIRECT},
		{"https://127.0.0.1/", NOWHERE},
		/* names of this machine and its network */
		{"http://x.localhost/", NOWHERE},
		{"http://router/", NOWHERE},
		{"http://printer.local/", NOWHERE},
		{"http://a.b.LOCAL/", NOWHERE},
		{"http://metadata.google.internal/", NOWHERE},
		{"http://home.arpa/", NOWHERE},
		{"http://nas.home.arpa/", NOWHERE},
		{"http://example.com.abcd.exit/", NOWHERE},
		{"http://notlocal.example/", BY_TOR},
		{"http://xlocal.example.notlocal/", BY_TOR},
		/* special addresses */
		{"http://0.0.0.0/", NOWHERE},
		{"http://0.1.2.3/", NOWHERE},
		{"http://10.1.2.3/", NOWHERE},
		{"http://100.64.0.1/", NOWHERE},
		{"http://100.127.255.255/", NOWHERE},
		{"http://100.128.0.1/", BY_TOR},
		{"http://169.254.169.254/latest/meta-data/", NOWHERE},
		{"http://172.16.0.1/", NOWHERE},
		{"http://172.31.255.255/", NOWHERE},
		{"http://172.32.0.1/", BY_TOR},
		{"http://192.168.0.1/", NOWHERE},
		{"http://198.19.0.1/", NOWHERE},
		{"http://224.0.0.1/", NOWHERE},
		{"http://240.0.0.1/", NOWHERE},
		{"http://255.255.255.255/", NOWHERE},
		{"http://[::]/", NOWHERE},
		{"http://[::ffff:127.0.0.1]/", NOWHERE},
		{"http://[::ffff:93.184.216.34]/", NOWHERE},
		{"http://[::7f00:1]/", NOWHERE},
		{"http://[64:ff9b::7f00:1]/", NOWHERE},
		{"http://[2002:7f00:1::]/", NOWHERE},
		{"http://[2001::1]/", NOWHERE}, /* Teredo */
		{"http://[2001:db8::1]/", NOWHERE},
		{"http://[2001:470::1]/", BY_TOR},
		{"http://[fc00::1]/", NOWHERE},
		{"http://[fd12:3456::1]/", NOWHERE},
		{"http://[fe80::1]/", NOWHERE},
		{"http://[fec0::1]/", NOWHERE},
		{"http://[ff02::1]/", NOWHERE},
		{"http://[3fff::1]/", NOWHERE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *why = "";
		struct http_url u;

		if (http_url_parse(span_str(cases[i].text), &u, &why) < 0) {
			fail_msg("%s: %s", cases[i].text, why);
		}
		bool by_tor = http_url_check(&u, false, &why) == 0;
		bool direct = http_url_check(&u, true, &why) == 0;

		if (by_tor != (cases[i].where == BY_TOR) || direct != (cases[i].where == DIRECT)) {
			fail_msg("%s: through Tor %d, direct %d", cases[i].text, by_tor, direct);
		}
	}
	(void)state;
}

static void the_loopback_is_reached_by_address(void **state)
{
	static const struct {
		const char *text;
		const char *bytes; /* of the address */
		size_t n;
	} cases[] = {
		{"http://localhost:81/", "\x7f\0\0\1", 4},
		{"http://127.1.2.3:81/", "\x7f\1\2\3", 4},
		{"http://[::1]:81/", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sockaddr_storage sa;
		struct sockaddr_in *in = (struct sockaddr_in *)&sa;
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&sa;
		const char *why;
		struct http_url u;

		assert_int_equal(http_url_parse(span_str(cases[i].text), &u, &why), 0);
		socklen_t n = http_url_loopback(&u, &sa);

		if (cases[i].n == 4) {
			assert_int_equal(n, sizeof(*in));
			assert_int_equal(in->sin_family, AF_INET);
			assert_memory_equal(&in->sin_addr, cases[i].bytes, 4);
			assert_int_equal(in->sin_port, htons(81));
		} else {
			assert_int_equal(n, sizeof(*in6));
			assert_int_equal(in6->sin6_family, AF_INET6);
			assert_memory_equal(&in6->sin6_addr, cases[i].bytes, 16);
			assert_int_equal(in6->sin6_port, htons(81));
		}
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_url_is_taken_apart),
		cmocka_unit_test(what_is_not_plainly_a_url_is_refused),
		cmocka_unit_test(lengths_are_bounded),
		cmocka_unit_test(where_a_url_may_lead),
		cmocka_unit_test(the_loopback_is_reached_by_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
