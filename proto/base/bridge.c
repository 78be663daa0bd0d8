/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/base/bridge.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "proto/base/crypto.h"

#define FINGERPRINT_LEN 40
#define ARGS_MAX        510 /* what tor can hand to a transport: SOCKS username and password */

/* Of the programs: lyrebird is obfs4proxy's successor. */
static const char *const obfs4_programs[] = {"lyrebird", "obfs4proxy", NULL};
static const char *const snowflake_programs[] = {"snowflake-client", "lyrebird", NULL};
static const char *const webtunnel_programs[] = {"webtunnel-client", "lyrebird", NULL};

const struct bridge_transport bridge_transports[] = {
	{"obfs4", obfs4_programs},
	{"snowflake", snowflake_programs},
	{"meek_lite", obfs4_programs},
	{"webtunnel", webtunnel_programs},
};
const size_t n_bridge_transports = ARRAY_SIZE(bridge_transports);

static int refuse(struct error *err, const char *why)
{
	return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "bridge", why,
			      "this is no bridge line: %s", why);
}

/* --- words --- */

static struct span next_word(struct span *s)
{
	size_t n = 0;

	if (s->n == 0) {
		return SPAN_NONE;
	}
	*s = span_trim(*s);
	while (n < s->n && s->p[n] != ' ' && s->p[n] != '\t') {
		n++;
	}
	struct span word = span_of(s->p, n);

	*s = span_trim(span_from(*s, n));
	return word;
}

/* What would end or change its meaning in torrc (a comment, a quoted string) is no part of it. */
static bool characters_fine(struct span line)
{
	for (size_t i = 0; i < line.n; i++) {
		char c = line.p[i];

		if ((c < ' ' && c != '\t') || c > '~' || c == '#' || c == '"' || c == '\\') {
			return false;
		}
	}
	return true;
}

static bool is_word(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '_' || c == '-')) {
			return false;
		}
	}
	return s.n > 0;
}

static bool is_fingerprint(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || (c >= '0' && c <= '9'))) {
			return false;
		}
	}
	return s.n == FINGERPRINT_LEN;
}

/* An IPv4 address or one of IPv6 in brackets, and a port. */
static bool is_address(struct span s)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t raw[16];
	struct span host, port;
	bool v6 = s.n && s.p[0] == '[';
	uint64_t number;

	if (v6) {
		host = span_cut(&s, ']');
		host = span_from(host, 1);
		if (!span_starts(s, SPAN(":"))) {
			return false;
		}
		port = span_from(s, 1);
	} else {
		host = span_cut(&s, ':');
		port = s;
	}
	if (host.n == 0 || host.n >= sizeof(text) || span_u64(port, UINT16_MAX, &number) < 0 ||
	    number == 0) {
		return false;
	}
	memcpy(text, host.p, host.n);
	text[host.n] = '\0';
	return inet_pton(v6 ? AF_INET6 : AF_INET, text, raw) == 1;
}

static const struct bridge_transport *find_transport(struct span name)
{
	for (size_t i = 0; i < n_bridge_transports; i++) {
		if (span_eq(name, span_str(bridge_transports[i].name))) {
			return &bridge_transports[i];
		}
	}
	return NULL;
}

/* --- arguments --- */

/* The value behind "key=", p NULL if there is none. */
static struct span arg(struct span args, const char *key)
{
	while (args.n) {
		struct span value = next_word(&args);
		struct span name = span_cut(&value, '=');

		if (span_eq(name, span_str(key))) {
			return value;
		}
	}
	return SPAN_NONE;
}

static int check_args(struct span args, struct error *err)
{
	size_t total = 0;

	while (args.n) {
		struct span value = next_word(&args);

		total += value.n + 1;

		struct span key = span_cut(&value, '=');

		if (!is_word(key) || value.n == 0) {
			return refuse(err, "behind the fingerprint come KEY=VALUE only");
		}
	}
	return total > ARGS_MAX ? refuse(err, "it has more KEY=VALUE than tor can use") : 0;
}

static bool has_url(struct span args)
{
	struct span url = arg(args, "url");

	return span_starts(url, SPAN("https://")) || span_starts(url, SPAN("http://"));
}

/* Without these the transport's program refuses the bridge, later and in words of its own. */
static int check_needs(const struct bridge *b, struct error *err)
{
	const char *name = b->transport->name;

	if (b->fingerprint.n == 0) {
		return refuse(err, "the fingerprint (40 hexadecimal digits) is missing");
	}
	if (strcmp(name, "obfs4") == 0 && !arg(b->args, "cert").n &&
	    !(arg(b->args, "node-id").n && arg(b->args, "public-key").n)) {
		return refuse(err, "obfs4 needs cert=");
	}
	if ((strcmp(name, "meek_lite") == 0 || strcmp(name, "webtunnel") == 0) &&
	    !has_url(b->args)) {
		return refuse(err, "meek_lite and webtunnel need url=https://");
	}
	return 0;
}

/* --- the line --- */

static int take_transport(struct span *rest, struct bridge *b, struct error *err)
{
	struct span before = *rest, word = next_word(rest);

	if (!is_word(word)) {
		*rest = before;
		return 0;
	}
	b->transport = find_transport(word);
	return b->transport
		       ? 0
		       : refuse(err, "its transport is not one of obfs4, snowflake, meek_lite, "
				     "webtunnel");
}

static int parse_words(struct span rest, struct bridge *b, struct error *err)
{
	int r = take_transport(&rest, b, err);

	if (r < 0) {
		return r;
	}
	b->address = next_word(&rest);
	if (!is_address(b->address)) {
		return refuse(err, "the bridge's address is written as 192.0.2.1:443 or "
				   "[2001:db8::1]:443");
	}
	struct span before = rest, word = next_word(&rest);

	if (is_fingerprint(word)) {
		b->fingerprint = word;
	} else {
		rest = before;
	}
	b->args = span_trim(rest);
	if (!b->transport) {
		return b->args.n ? refuse(err, "behind address and fingerprint (40 hexadecimal "
					       "digits) of a plain bridge comes nothing")
				 : 0;
	}
	r = check_args(b->args, err);
	return r < 0 ? r : check_needs(b, err);
}

int bridge_parse(struct span line, struct bridge *ret, struct error *err)
{
	struct bridge b = {0};
	struct span rest = span_trim(line);
	struct span after = rest;

	if (rest.n > BRIDGE_LINE_MAX) {
		return refuse(err, "it is too long");
	}
	if (!characters_fine(rest)) {
		return refuse(err,
			      "it has characters that none has (controls, quotes, #, or none of "
			      "ASCII)");
	}
	if (span_eq_ci(next_word(&after), SPAN("Bridge"))) {
		rest = after;
	}
	if (rest.n == 0) {
		return refuse(err, "it is empty");
	}
	int r = parse_words(rest, &b, err);

	if (r == 0) {
		*ret = b;
	}
	return r;
}

void bridge_print(const struct bridge *b, struct buf *ret)
{
	struct span args = b->args;

	if (b->transport) {
		buf_printf(ret, "%s ", b->transport->name);
	}
	buf_add_span(ret, b->address);
	if (b->fingerprint.n) {
		buf_add_char(ret, ' ');
		buf_add_span(ret, b->fingerprint);
	}
	while (args.n) {
		buf_add_char(ret, ' ');
		buf_add_span(ret, next_word(&args));
	}
}

/* --- several --- */

static void line_free(char *line)
{
	crypto_wipe(line, strlen(line));
	free(line);
}

void bridges_done(struct bridges *b)
{
	for (size_t i = 0; i < b->n; i++) {
		line_free(b->lines[i]);
	}
	b->n = 0;
}

void bridges_copy(struct bridges *to, const struct bridges *from)
{
	to->n = from->n;
	for (size_t i = 0; i < from->n; i++) {
		to->lines[i] = xstrdup(from->lines[i]);
	}
}

static bool is_there(const struct bridges *b, const char *line)
{
	for (size_t i = 0; i < b->n; i++) {
		if (strcmp(b->lines[i], line) == 0) {
			return true;
		}
	}
	return false;
}

int bridges_add(struct bridges *b, struct span line, struct error *err)
{
	struct buf text = BUF_INIT;
	struct bridge bridge = {0};
	int r = bridge_parse(line, &bridge, err);

	if (r < 0) {
		return r;
	}
	bridge_print(&bridge, &text);

	char *copy = buf_take(&text);

	if (is_there(b, copy)) {
		line_free(copy);
		return 0;
	}
	if (b->n == BRIDGES_MAX) {
		line_free(copy);
		return error_set_kind(err, E2BIG, ERROR_LIMIT_EXCEEDED, "bridges", "64",
				      "more than %u bridges are too many", BRIDGES_MAX);
	}
	b->lines[b->n++] = copy;
	return 0;
}

int bridges_add_text(struct bridges *b, struct span text, struct error *err)
{
	for (unsigned number = 1; text.n; number++) {
		struct span line = span_cut(&text, '\n');

		if (span_ends(line, SPAN("\r"))) {
			line.n--;
		}
		line = span_trim(line);
		if (line.n == 0 || line.p[0] == '#') {
			continue;
		}
		int r = bridges_add(b, line, err);

		if (r < 0) {
			error_context(err, "line %u", number);
			return r;
		}
	}
	return 0;
}

bool bridges_use(const struct bridges *b, const struct bridge_transport *t)
{
	for (size_t i = 0; i < b->n; i++) {
		struct bridge bridge = {0};

		if (bridge_parse(span_str(b->lines[i]), &bridge, NULL) == 0 &&
		    bridge.transport == t) {
			return true;
		}
	}
	return false;
}

static bool contains(struct span text, struct span word)
{
	for (size_t i = 0; word.n && i + word.n <= text.n; i++) {
		if (span_eq_ci(span_of(text.p + i, word.n), word)) {
			return true;
		}
	}
	return false;
}

bool bridges_named_in(const struct bridges *b, struct span text)
{
	for (size_t i = 0; i < b->n; i++) {
		struct bridge bridge = {0};

		if (bridge_parse(span_str(b->lines[i]), &bridge, NULL) == 0 &&
		    (contains(text, bridge.address) || contains(text, bridge.fingerprint) ||
		     contains(text, bridge.args))) {
			return true;
		}
	}
	return false;
}
