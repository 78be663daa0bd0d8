/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/content/param.h"

#include <errno.h>

#include "proto/base/codec.h"

static bool is_token_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

bool http_is_token(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!is_token_char(s.p[i])) {
			return false;
		}
	}
	return s.n > 0;
}

struct span http_param_main(struct span value, struct span *rest)
{
	const char *semicolon = value.n ? memchr(value.p, ';', value.n) : NULL;
	size_t n = semicolon ? (size_t)(semicolon - value.p) : value.n;

	*rest = span_from(value, n);
	return span_trim(span_of(value.p, n));
}

static void skip_blank(struct span *s)
{
	while (s->n && (*s->p == ' ' || *s->p == '\t')) {
		*s = span_from(*s, 1);
	}
}

static struct span take_token(struct span *s)
{
	size_t n = 0;

	while (n < s->n && is_token_char(s->p[n])) {
		n++;
	}
	struct span token = span_of(s->p, n);

	*s = span_from(*s, n);
	return token;
}

/* *s begins behind the first quote and will begin behind the last one. */
static int take_quoted(struct span *s, struct span *ret)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->p[i] == '"') {
			*ret = span_of(s->p, i);
			*s = span_from(*s, i + 1);
			return 0;
		}
		if (s->p[i] == '\\' && i + 1 < s->n &&
		    (s->p[i + 1] == '"' || s->p[i + 1] == '\\')) {
			i++;
		}
	}
	return -EINVAL;
}

int http_param_next(struct span *rest, struct http_param *ret)
{
	skip_blank(rest);
	/* Empty parameters are allowed: ";;" and a ';' at the end. */
	while (rest->n && *rest->p == ';') {
		*rest = span_from(*rest, 1);
		skip_blank(rest);
		if (rest->n && *rest->p != ';') {
			break;
		}
	}
	if (!rest->n) {
		return 0;
	}
	ret->name = take_token(rest);
	if (!ret->name.n || !rest->n || *rest->p != '=') {
		return -EINVAL;
	}
	*rest = span_from(*rest, 1);
	ret->quoted = rest->n && *rest->p == '"';
	if (ret->quoted) {
		*rest = span_from(*rest, 1);
		if (take_quoted(rest, &ret->value) < 0) {
			return -EINVAL;
		}
	} else {
		ret->value = take_token(rest);
		if (!ret->value.n) {
			return -EINVAL;
		}
	}
	skip_blank(rest);
	return rest->n && *rest->p != ';' ? -EINVAL : 1;
}

void http_param_unquote(const struct http_param *p, struct buf *ret)
{
	struct span v = p->value;

	for (size_t i = 0; i < v.n; i++) {
		if (p->quoted && v.p[i] == '\\' && i + 1 < v.n &&
		    (v.p[i + 1] == '"' || v.p[i + 1] == '\\')) {
			i++;
		}
		buf_add_char(ret, v.p[i]);
	}
}

static int percent_decode(struct span s, struct buf *ret)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t byte = (uint8_t)s.p[i];

		if (s.p[i] == '%') {
			if (s.n - i < 3 || hex_decode(span_of(s.p + i + 1, 2), &byte, 1) < 0) {
				return -EINVAL;
			}
			i += 2;
		}
		buf_add_char(ret, (char)byte);
	}
	return 0;
}

static void latin1_to_utf8(struct buf *b)
{
	struct buf out = BUF_INIT;

	for (size_t i = 0; i < b->len; i++) {
		uint8_t c = (uint8_t)b->p[i];

		if (c < 0x80) {
			buf_add_char(&out, (char)c);
		} else {
			buf_add_char(&out, (char)(0xc0 | c >> 6));
			buf_add_char(&out, (char)(0x80 | (c & 0x3f)));
		}
	}
	buf_wipe(b);
	*b = out;
}

int http_param_extended(struct span value, struct buf *ret)
{
	struct span charset = span_cut(&value, '\'');

	if (!value.p) {
		return -EINVAL;
	}
	(void)span_cut(&value, '\''); /* the language */
	buf_clear(ret);
	if (!value.p || percent_decode(value, ret) < 0) {
		return -EINVAL;
	}
	if (span_eq_ci(charset, SPAN("UTF-8"))) {
		return 0;
	}
	if (span_eq_ci(charset, SPAN("ISO-8859-1"))) {
		latin1_to_utf8(ret);
		return 0;
	}
	return -ENOTSUP;
}
