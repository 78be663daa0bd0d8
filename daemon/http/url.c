/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/alloc.h"

enum { ONION_LABEL = 56, LABEL_MAX = 63 };

static int bad(const char **why, const char *text)
{
	*why = text;
	return -EINVAL;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f');
}

static bool is_alnum(char c)
{
	return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z');
}

/* --- the host --- */

static int check_label(struct span label, const char **why)
{
	if (label.n == 0 || label.n > LABEL_MAX) {
		return bad(why, "has a host name with an empty or too long part");
	}
	if (label.p[0] == '-' || label.p[label.n - 1] == '-') {
		return bad(why, "has a host name with a part that begins or ends with a dash");
	}
	for (size_t i = 0; i < label.n; i++) {
		if (!is_alnum(label.p[i]) && label.p[i] != '-' && label.p[i] != '_') {
			return bad(why, "has a host name with a character that does not belong "
					"there (names in other scripts are written as xn--)");
		}
	}
	return 0;
}

/* Would another program read a host that ends so as a number? */
static bool is_numeric(struct span label)
{
	size_t i = 0;

	if (label.n >= 2 && label.p[0] == '0' && label.p[1] == 'x') {
		for (i = 2; i < label.n && is_hex(label.p[i]); i++) {
		}
		return i == label.n;
	}
	while (i < label.n && is_digit(label.p[i])) {
		i++;
	}
	return i == label.n;
}

static bool is_onion_label(struct span label)
{
	if (label.n != ONION_LABEL) {
		return false;
	}
	for (size_t i = 0; i < label.n; i++) {
		char c = label.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '2' && c <= '7'))) {
			return false;
		}
	}
	return true;
}

static int read_ipv4(struct http_url *u, const char **why)
{
	/* inet_pton takes four decimal numbers without leading zeros, and nothing else. */
	if (inet_pton(AF_INET, u->host, u->address) != 1) {
		return bad(why, "has a host that looks like an address but is not four numbers");
	}
	u->kind = HTTP_URL_IPV4;
	return 0;
}

static int read_name(struct span host, struct http_url *u, const char **why)
{
	struct span rest, label, before = SPAN_NONE, last = SPAN_NONE;

	if (host.n == 0) {
		return bad(why, "names no host");
	}
	if (host.n > HTTP_URL_HOST_MAX) {
		return bad(why, "has a host name that is too long");
	}
	for (size_t i = 0; i < host.n; i++) {
		u->host[i] = lower(host.p[i]);
	}
	u->host[host.n] = '\0';
	rest = span_of(u->host, host.n);
	while (rest.p) {
		label = span_cut(&rest, '.');
		int r = check_label(label, why);

		if (r < 0) {
			return r;
		}
		before = last;
		last = label;
	}
	if (is_numeric(last)) {
		return read_ipv4(u, why);
	}
	u->kind = HTTP_URL_NAME;
	if (span_eq(last, SPAN("onion"))) {
		if (!is_onion_label(before)) {
			return bad(why, "has an onion address that is not 56 letters and digits");
		}
		u->kind = HTTP_URL_ONION;
	}
	return 0;
}

static int read_ipv6(struct span text, struct http_url *u, const char **why)
{
	if (text.n == 0 || text.n >= INET6_ADDRSTRLEN) {
		return bad(why, "has no valid address in its brackets");
	}
	for (size_t i = 0; i < text.n; i++) {
		u->host[i] = lower(text.p[i]);
	}
	u->host[text.n] = '\0';
	if (memchr(u->host, '\0', text.n) || inet_pton(AF_INET6, u->host, u->address) != 1) {
		return bad(why, "has no valid address in its brackets");
	}
	u->kind = HTTP_URL_IPV6;
	return 0;
}

/* --- the rest --- */

static int read_port(struct span text, struct http_url *u, const char **why)
{
	uint64_t port;

	if (text.n > 5 || span_u64(text, 65535, &port) < 0 || port == 0) {
		return bad(why, "has a port that is not a number from 1 to 65535");
	}
	u->port = (uint16_t)port;
	return 0;
}

static int read_authority(struct span text, struct http_url *u, const char **why)
{
	struct span host;
	int r;

	if (memchr(text.p, '@', text.n)) {
		return bad(why, "has a user name or password in it, which is not sent");
	}
	if (text.n > 0 && text.p[0] == '[') {
		text = span_from(text, 1);
		if (!memchr(text.p, ']', text.n)) {
			return bad(why, "has a bracket without its end");
		}
		host = span_cut(&text, ']');
		r = read_ipv6(host, u, why);
		if (r == 0 && text.n > 0 && text.p[0] != ':') {
			return bad(why, "goes on behind the bracket without a colon");
		}
		text = text.n > 0 ? span_from(text, 1) : SPAN_NONE;
	} else {
		host = span_cut(&text, ':');
		r = read_name(host, u, why);
	}
	u->port = u->tls ? 443 : 80;
	if (r == 0 && text.p) {
		r = read_port(text, u, why);
	}
	u->default_port = u->port == (u->tls ? 443 : 80);
	return r;
}

/* What may stand in a request line, percent signs in order. */
static int check_target(struct span target, const char **why)
{
	for (size_t i = 0; i < target.n; i++) {
		char c = target.p[i];

		if (c == '#') {
			return bad(why, "has a fragment (#...), which is not sent");
		}
		if (c <= ' ' || c > '~' || strchr("\"<>\\^`{|}", c)) {
			return bad(why, "has a character that must be written with a percent sign");
		}
		if (c == '%' &&
		    !(i + 2 < target.n && is_hex(target.p[i + 1]) && is_hex(target.p[i + 2]))) {
			return bad(why, "has a percent sign without two hexadecimal digits");
		}
	}
	return 0;
}

static bool take_scheme(struct span *text, struct span scheme)
{
	if (text->n < scheme.n || !span_eq_ci(span_of(text->p, scheme.n), scheme)) {
		return false;
	}
	*text = span_from(*text, scheme.n);
	return true;
}

int http_url_parse(struct span text, struct http_url *ret, const char **why)
{
	struct http_url u = {0};
	size_t n = 0;

	if (text.n > HTTP_URL_MAX) {
		return bad(why, "is longer than 2048 bytes");
	}
	u.tls = take_scheme(&text, SPAN("https://"));
	if (!u.tls && !take_scheme(&text, SPAN("http://"))) {
		return bad(why, "does not begin with http:// or https://");
	}
	while (n < text.n && text.p[n] != '/' && text.p[n] != '?' && text.p[n] != '#') {
		n++;
	}
	u.target = span_from(text, n);
	int r = read_authority(span_of(text.p, n), &u, why);

	if (r == 0) {
		r = check_target(u.target, why);
	}
	if (r == 0) {
		*ret = u;
	}
	return r;
}

/* --- where one may go --- */

struct network {
	uint8_t address[4];
	unsigned bits;
};

static bool is_within(const uint8_t *address, const uint8_t *network, unsigned bits)
{
	unsigned bytes = bits / 8, rest = bits % 8;
	uint8_t mask = (uint8_t)(0xff00 >> rest);

	return memcmp(address, network, bytes) == 0 &&
	       (rest == 0 || (address[bytes] & mask) == (network[bytes] & mask));
}

/* RFC 6890 and its successors: what is not globally reachable. */
static bool is_public_ipv4(const uint8_t *address)
{
	static const struct network special[] = {
		{{0}, 8},             /* "this network" */
		{{10}, 8},            /* private */
		{{100, 64}, 10},      /* shared by a provider's customers (CGN) */
		{{127}, 8},           /* loopback */
		{{169, 254}, 16},     /* link-local; metadata of clouds */
		{{172, 16}, 12},      /* private */
		{{192, 0, 0}, 24},    /* protocol assignments */
		{{192, 0, 2}, 24},    /* documentation */
		{{192, 88, 99}, 24},  /* 6to4 relays */
		{{192, 168}, 16},     /* private */
		{{198, 18}, 15},      /* benchmarks */
		{{198, 51, 100}, 24}, /* documentation */
		{{203, 0, 113}, 24},  /* documentation */
		{{224}, 3},           /* multicast, reserved, broadcast */
	};

	for (size_t i = 0; i < ARRAY_SIZE(special); i++) {
		if (is_within(address, special[i].address, special[i].bits)) {
			return false;
		}
	}
	return true;
}

/*
 * Global unicast is 2000::/3 alone (RFC 4291): the loopback, mapped and
 * translated IPv4, unique-local, link-local and multicast lie outside of it.
 */
static bool is_public_ipv6(const uint8_t *address)
{
	static const uint8_t global[] = {0x20}, protocol[] = {0x20, 0x01, 0x00},
			     sixtofour[] = {0x20, 0x02}, documentation[] = {0x20, 0x01, 0x0d, 0xb8},
			     documentation2[] = {0x3f, 0xff, 0x00};

	return is_within(address, global, 3) && !is_within(address, protocol, 23) &&
	       !is_within(address, sixtofour, 16) && !is_within(address, documentation, 32) &&
	       !is_within(address, documentation2, 20);
}

static bool is_loopback(const struct http_url *u)
{
	static const uint8_t one[16] = {[15] = 1};

	switch (u->kind) {
	case HTTP_URL_IPV4:
		return u->address[0] == 127;
	case HTTP_URL_IPV6:
		return memcmp(u->address, one, sizeof(one)) == 0;
	case HTTP_URL_NAME:
		return strcmp(u->host, "localhost") == 0;
	case HTTP_URL_ONION:
		break;
	}
	return false;
}

/* Names that mean this machine or its own network, or that tor reads in a way of its own. */
static bool is_local_name(const char *host)
{
	static const char *const domains[] = {"localhost", "local", "localdomain", "internal",
					      "home.arpa", "lan",   "exit"};
	struct span name = span_str(host);

	if (!strchr(host, '.')) {
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(domains); i++) {
		struct span domain = span_str(domains[i]);

		if (span_ends(name, domain) &&
		    (name.n == domain.n || name.p[name.n - domain.n - 1] == '.')) {
			return true;
		}
	}
	return false;
}

static int refuse(const char **why, const char *text)
{
	*why = text;
	return -EACCES;
}

int http_url_check(const struct http_url *u, bool local_only, const char **why)
{
	bool address = u->kind == HTTP_URL_IPV4 || u->kind == HTTP_URL_IPV6;

	if (u->port == 25) {
		return refuse(why, "has port 25, which is for mail");
	}
	if (u->tls && address) {
		return refuse(why, "has an address where https needs a name, to hold the "
				   "certificate against");
	}
	if (local_only) {
		return is_loopback(u) ? 0
				      : refuse(why, "leads away from this machine: with "
						    "--local-only it may name localhost or an "
						    "address of the loopback only");
	}
	if ((u->kind == HTTP_URL_IPV4 && !is_public_ipv4(u->address)) ||
	    (u->kind == HTTP_URL_IPV6 && !is_public_ipv6(u->address)) ||
	    (u->kind == HTTP_URL_NAME && is_local_name(u->host))) {
		return refuse(why, "names this machine or a private network, which cannot be "
				   "reached through Tor");
	}
	return 0;
}

socklen_t http_url_loopback(const struct http_url *u, struct sockaddr_storage *ret)
{
	*ret = (struct sockaddr_storage){0};
	if (u->kind == HTTP_URL_IPV6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

		in6->sin6_family = AF_INET6;
		memcpy(&in6->sin6_addr, u->address, sizeof(in6->sin6_addr));
		in6->sin6_port = htons(u->port);
		return sizeof(*in6);
	}
	struct sockaddr_in *in = (struct sockaddr_in *)ret;

	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (u->kind == HTTP_URL_IPV4) {
		memcpy(&in->sin_addr, u->address, sizeof(in->sin_addr));
	}
	in->sin_port = htons(u->port);
	return sizeof(*in);
}

void http_url_authority(const struct http_url *u, char *ret)
{
	bool brackets = u->kind == HTTP_URL_IPV6;
	char port[8] = "";

	if (!u->default_port) {
		snprintf(port, sizeof(port), ":%u", u->port);
	}
	snprintf(ret, HTTP_URL_AUTHORITY_MAX, "%s%s%s%s", brackets ? "[" : "", u->host,
		 brackets ? "]" : "", port);
}
