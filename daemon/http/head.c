/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/head.h"

#include <errno.h>

#include "http/server.h"
#include "proto/base/alloc.h"

#define HTTP_VERSION_LEN 8 /* "HTTP/1.1" */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(unsigned char c)
{
	return is_digit((char)c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool http_is_tchar(unsigned char c)
{
	static const bool other[128] = {
		['!'] = true, ['#'] = true, ['$'] = true,  ['%'] = true, ['&'] = true,
		['*'] = true, ['+'] = true, ['\''] = true, ['-'] = true, ['.'] = true,
		['^'] = true, ['_'] = true, ['`'] = true,  ['|'] = true, ['~'] = true,
	};

	return is_alnum(c) || (c < 128 && other[c]);
}

static bool is_token(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!http_is_tchar((unsigned char)s.p[i])) {
			return false;
		}
	}
	return s.n > 0;
}

/* --- the request line --- */

static int parse_version(struct span s, struct http_head *ret)
{
	if (s.n != HTTP_VERSION_LEN || !span_starts(s, SPAN("HTTP/")) || !is_digit(s.p[5]) ||
	    s.p[6] != '.' || !is_digit(s.p[7])) {
		return -400;
	}
	ret->http10 = s.p[7] == '0';
	return s.p[5] == '1' && (s.p[7] == '0' || s.p[7] == '1') ? 0 : -505;
}

static enum http_method find_method(struct span s)
{
	static const struct {
		struct span name;
		enum http_method method;
	} table[] = {
		{SPAN("GET"), HTTP_METHOD_GET},       {SPAN("HEAD"), HTTP_METHOD_HEAD},
		{SPAN("POST"), HTTP_METHOD_POST},     {SPAN("PUT"), HTTP_METHOD_PUT},
		{SPAN("DELETE"), HTTP_METHOD_DELETE}, {SPAN("OPTIONS"), HTTP_METHOD_OPTIONS},
		{SPAN("PATCH"), HTTP_METHOD_PATCH},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (span_eq(s, table[i].name)) {
			return table[i].method;
		}
	}
	return HTTP_METHOD_OTHER;
}

/* Method, one space, target, one space, version; the target's bytes but not its form. */
static int parse_request_line(struct span line, struct http_head *ret)
{
	struct span rest = line;

	ret->method_text = span_cut(&rest, ' ');
	ret->target = span_cut(&rest, ' ');
	if (!is_token(ret->method_text) || ret->target.n == 0) {
		return -400;
	}
	ret->method = find_method(ret->method_text);
	for (size_t i = 0; i < ret->target.n; i++) {
		unsigned char c = (unsigned char)ret->target.p[i];

		if (c <= 0x20 || c >= 0x7f || c == '#') {
			return -400;
		}
	}
	return parse_version(rest, ret);
}

/* --- finding the end --- */

static ssize_t line_done(struct http_head_scan *s, struct span bytes)
{
	struct span line = span_of(bytes.p + s->line, s->pos - s->line);
	struct http_head ignored = {0};
	int r;

	s->pos += 2;
	s->line = s->pos;
	if (s->started) {
		if (line.n == 0) {
			return (ssize_t)s->pos;
		}
		return ++s->fields > HTTP_MAX_FIELDS ? -431 : 0;
	}
	if (line.n == 0) {
		/* RFC 9112 section 2.2: one empty line too many from an older client. */
		if (s->blank) {
			return -400;
		}
		s->blank = true;
		return 0;
	}
	s->started = true;
	r = parse_request_line(line, &ignored);
	return r;
}

ssize_t http_head_scan(struct http_head_scan *s, struct span bytes)
{
	size_t n = bytes.n < HTTP_MAX_HEAD ? bytes.n : HTTP_MAX_HEAD;

	while (s->pos < n) {
		unsigned char c = (unsigned char)bytes.p[s->pos];

		if (!s->started && s->pos - s->line > HTTP_MAX_REQUEST_LINE) {
			return -414;
		}
		if (c != '\r') {
			if ((c < 0x20 && c != '\t') || c == 0x7f) {
				return -400;
			}
			s->pos++;
			continue;
		}
		if (s->pos + 1 == n) {
			break;
		}
		if (bytes.p[s->pos + 1] != '\n') {
			return -400;
		}
		ssize_t r = line_done(s, bytes);

		if (r != 0) {
			return r;
		}
	}
	return bytes.n >= HTTP_MAX_HEAD ? -431 : 0;
}

/* --- target and host --- */

static bool is_reg_name(struct span s)
{
	static const char extra[] = "-._~%!$&'()*+,;=";

	for (size_t i = 0; i < s.n; i++) {
		if (!is_alnum((unsigned char)s.p[i]) && !memchr(extra, s.p[i], sizeof(extra) - 1)) {
			return false;
		}
	}
	return s.n > 0;
}

/* "[" ... "]": which address it is does not matter here. */
static bool is_ip_literal(struct span s)
{
	if (s.n < 4 || s.p[0] != '[' || s.p[s.n - 1] != ']') {
		return false;
	}
	for (size_t i = 1; i < s.n - 1; i++) {
		if (!is_alnum((unsigned char)s.p[i]) && s.p[i] != ':' && s.p[i] != '.') {
			return false;
		}
	}
	return true;
}

int http_host_split(struct span s, struct span *ret_name, int *ret_port)
{
	struct span name = s, port = SPAN_NONE;
	uint64_t value;

	for (size_t i = s.n; i > 0; i--) {
		if (s.p[i - 1] == ']') {
			break;
		}
		if (s.p[i - 1] == ':') {
			name = span_of(s.p, i - 1);
			port = span_from(s, i);
			break;
		}
	}
	if (!is_reg_name(name) && !is_ip_literal(name)) {
		return -EINVAL;
	}
	*ret_port = -1;
	if (port.n) { /* RFC 3986 section 3.2.3 allows an empty one */
		if (port.n > 5 || span_u64(port, UINT16_MAX, &value) < 0) {
			return -EINVAL;
		}
		*ret_port = (int)value;
	}
	*ret_name = name;
	return 0;
}

static int parse_origin(struct span s, struct http_head *ret)
{
	struct span rest = s;

	ret->path = span_cut(&rest, '?');
	ret->query = rest;
	if (ret->path.n == 0) {
		ret->path = SPAN("/"); /* http://host or http://host?query */
	}
	return 0;
}

static int parse_target(struct http_head *ret)
{
	static const struct span scheme = SPAN("http://");
	struct span t = ret->target;

	if (t.p[0] == '/') {
		return parse_origin(t, ret);
	}
	if (span_eq(t, SPAN("*"))) {
		ret->path = t;
		return ret->method == HTTP_METHOD_OPTIONS ? 0 : -400;
	}
	if (span_eq(ret->method_text, SPAN("CONNECT"))) {
		return -501;
	}
	if (t.n <= scheme.n || !span_eq_ci(span_of(t.p, scheme.n), scheme)) {
		return -400;
	}
	t = span_from(t, scheme.n);
	size_t n = 0;

	while (n < t.n && t.p[n] != '/' && t.p[n] != '?') {
		n++;
	}
	ret->authority = span_of(t.p, n);
	return parse_origin(span_from(t, n), ret);
}

/* --- fields --- */

static int parse_field(struct span line, struct http_field *ret)
{
	struct span rest = line;

	ret->name = span_cut(&rest, ':');
	if (!rest.p || !is_token(ret->name)) {
		return -400; /* also a folded line, and a space before the colon */
	}
	ret->value = span_trim(rest);
	return 0;
}

bool http_list_next(struct span *rest, struct span *ret)
{
	while (rest->p) {
		*ret = span_trim(span_cut(rest, ','));
		if (ret->n) {
			return true;
		}
	}
	return false;
}

static void parse_connection(struct span value, bool *close, bool *keep)
{
	struct span member;

	while (http_list_next(&value, &member)) {
		*close = *close || span_eq_ci(member, SPAN("close"));
		*keep = *keep || span_eq_ci(member, SPAN("keep-alive"));
	}
}

/* Only "chunked". Codings before it are unknown here (501); anything else has no known end. */
static int parse_transfer_encoding(struct span value, struct http_head *ret)
{
	struct span member, rest = value;
	unsigned chunked = 0;
	bool last = false;

	if (ret->http10) {
		return -400;
	}
	if (span_eq_ci(value, SPAN("chunked"))) {
		ret->chunked = true;
		return 0;
	}
	while (http_list_next(&rest, &member)) {
		last = span_eq_ci(member, SPAN("chunked"));
		chunked += last;
	}
	return last && chunked == 1 && !memchr(value.p, ';', value.n) ? -501 : -400;
}

struct seen {
	unsigned host, length, coding;
	bool close, keep;
	int later; /* an error that is told once the rest is known to be sound */
};

static int judge_host(struct span value, struct http_head *ret)
{
	struct span name;
	int port;

	if (http_host_split(value, &name, &port) < 0) {
		return -400;
	}
	if (!ret->authority.p) {
		ret->authority = value;
	}
	return 0;
}

static int judge_length(struct span value, struct http_head *ret)
{
	ret->has_length = true;
	return span_u64(value, INT64_MAX, &ret->content_length) < 0 ? -400 : 0;
}

static int judge_coding(struct span value, struct seen *seen, struct http_head *ret)
{
	int r = parse_transfer_encoding(value, ret);

	if (r == -501) {
		seen->later = r;
		return 0;
	}
	return r;
}

static int judge_field(const struct http_field *f, struct seen *seen, struct http_head *ret)
{
	switch (f->name.n) {
	case 4:
		if (span_eq_ci(f->name, SPAN("Host"))) {
			return seen->host++ ? -400 : judge_host(f->value, ret);
		}
		break;
	case 6:
		if (span_eq_ci(f->name, SPAN("Expect")) && !ret->http10) {
			if (span_eq_ci(f->value, SPAN("100-continue"))) {
				ret->expect_continue = true;
			} else {
				seen->later = -417;
			}
		}
		break;
	case 10:
		if (span_eq_ci(f->name, SPAN("Connection"))) {
			parse_connection(f->value, &seen->close, &seen->keep);
		}
		break;
	case 14:
		if (span_eq_ci(f->name, SPAN("Content-Length"))) {
			return seen->length++ ? -400 : judge_length(f->value, ret);
		}
		break;
	case 16:
		if (span_eq_ci(f->name, SPAN("Content-Encoding")) &&
		    !span_eq_ci(f->value, SPAN("identity"))) {
			seen->later = -415;
		}
		break;
	case 17:
		if (span_eq_ci(f->name, SPAN("Transfer-Encoding"))) {
			return seen->coding++ ? -400 : judge_coding(f->value, seen, ret);
		}
		break;
	default:
		break;
	}
	return 0;
}

static int judge_whole(const struct seen *seen, struct http_head *ret)
{
	struct span name;
	int port;

	if (seen->length && seen->coding) {
		return -400;
	}
	if (seen->host == 0 && !ret->http10) {
		return -400;
	}
	if (ret->authority.p && http_host_split(ret->authority, &name, &port) < 0) {
		return -400;
	}
	ret->keep_alive = !seen->close && (!ret->http10 || seen->keep);
	return seen->later;
}

static struct span next_line(struct span *rest)
{
	struct span line = span_cut(rest, '\n');

	return span_of(line.p, line.n - 1);
}

static int parse_fields(struct span rest, struct seen *seen, struct http_head *ret)
{
	struct span line;

	while ((line = next_line(&rest)).n > 0) {
		struct http_field *f = &ret->fields[ret->n_fields];
		int r = parse_field(line, f);

		if (r == 0) {
			r = judge_field(f, seen, ret);
		}
		if (r < 0) {
			return r;
		}
		ret->n_fields++;
	}
	return 0;
}

int http_head_parse(struct span head, struct http_field *fields, struct http_head *ret)
{
	struct seen seen = {0};
	struct span rest = head, line;
	int r;

	*ret = (struct http_head){.fields = fields};
	line = next_line(&rest);
	if (line.n == 0) {
		line = next_line(&rest); /* the blank line before it */
	}
	r = parse_request_line(line, ret);
	if (r == 0) {
		r = parse_target(ret);
	}
	if (r == 0) {
		r = parse_fields(rest, &seen, ret);
	}
	if (r == 0) {
		r = judge_whole(&seen, ret);
	}
	if (r == 0 && ret->method == HTTP_METHOD_OTHER) {
		r = -501;
	}
	return r;
}
