/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * URLs of targets: what is taken can be written again and read as the same, fits
 * a request line, and never leads to this machine through Tor nor away from it without.
 */
#include <stdint.h>
#include <stdlib.h>

#include "http/url.h"
#include "proto/base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char authority[HTTP_URL_AUTHORITY_MAX];
	struct sockaddr_storage sa;
	struct http_url u, again;
	const char *why = NULL;

	if (http_url_parse(span_of((const char *)data, n), &u, &why) < 0) {
		check(why != NULL);
		return 0;
	}
	struct buf text = BUF_INIT;

	http_url_authority(&u, authority);
	buf_printf(&text, "%s://%s", u.tls ? "https" : "http", authority);
	buf_add_span(&text, u.target);
	check(http_url_parse(buf_span(&text), &again, &why) == 0);
	check(strcmp(again.host, u.host) == 0 && again.port == u.port && again.kind == u.kind &&
	      again.tls == u.tls && span_eq(again.target, u.target));
	buf_done(&text);
	for (size_t i = 0; i < u.target.n; i++) {
		check(u.target.p[i] > ' ' && u.target.p[i] < 0x7f && u.target.p[i] != '#');
	}
	bool by_tor = http_url_check(&u, false, &why) == 0;
	bool direct = http_url_check(&u, true, &why) == 0;

	check(!(by_tor && direct));
	check(u.port != 25 || (!by_tor && !direct));
	if (direct) {
		check(http_url_loopback(&u, &sa) > 0);
		check(strcmp(u.host, "localhost") == 0 || strncmp(u.host, "127.", 4) == 0 ||
		      u.kind == HTTP_URL_IPV6);
	}
	return 0;
}
