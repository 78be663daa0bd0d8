/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tor/lexer.h"

#include <errno.h>
#include <stdlib.h>

#include "proto/base/alloc.h"
#include "proto/base/crypto.h"
#include "proto/base/utf8.h"

#define CODE_LEN   3
#define PREFIX_LEN 4 /* code and separator */
#define SHOWN_MAX  300u

void ctl_lexer_init(struct ctl_lexer *l)
{
	*l = (struct ctl_lexer){.state = CTL_LINE};
}

static void wipe(struct buf *b)
{
	if (b->len) {
		crypto_wipe(b->p, b->len);
	}
	buf_clear(b);
}

void ctl_lexer_done(struct ctl_lexer *l)
{
	buf_wipe(&l->line);
	buf_wipe(&l->bytes);
	free(l->extents);
	free(l->lines);
	*l = (struct ctl_lexer){.state = CTL_BROKEN};
}

static void begin_reply(struct ctl_lexer *l)
{
	wipe(&l->bytes);
	l->n = 0;
	l->state = CTL_LINE;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int add_line(struct ctl_lexer *l, struct span text, bool has_data)
{
	if (l->n == CTL_LINES_MAX) {
		return -EMSGSIZE;
	}
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 8;
		l->extents = xreallocarray(l->extents, l->cap, sizeof(*l->extents));
		l->lines = xreallocarray(l->lines, l->cap, sizeof(*l->lines));
	}
	struct ctl_extent *e = &l->extents[l->n++];

	*e = (struct ctl_extent){.text = l->bytes.len, .text_n = text.n, .has_data = has_data};
	buf_add_span(&l->bytes, text);
	e->data = l->bytes.len;
	return 0;
}

static void finish_reply(struct ctl_lexer *l, unsigned code)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct ctl_extent *e = &l->extents[i];
		const char *p = l->bytes.p;

		l->lines[i].text = span_of(p + e->text, e->text_n);
		l->lines[i].data = e->has_data ? span_of(p + e->data, e->data_n) : SPAN_NONE;
	}
	l->reply = (struct ctl_reply){.code = code, .n = l->n, .lines = l->lines};
	l->state = CTL_READY;
}

static int reply_line(struct ctl_lexer *l, struct span line)
{
	if (line.n < PREFIX_LEN || !is_digit(line.p[0]) || !is_digit(line.p[1]) ||
	    !is_digit(line.p[2])) {
		return -EBADMSG;
	}
	unsigned code = (unsigned)(line.p[0] - '0') * 100 + (unsigned)(line.p[1] - '0') * 10 +
			(unsigned)(line.p[2] - '0');
	char separator = line.p[CODE_LEN];

	if (separator != '-' && separator != '+' && separator != ' ') {
		return -EBADMSG;
	}
	/* Codes may differ within a reply, but an event does not come in the midst of one. */
	if (l->n && (l->reply.code / 100 == 6) != (code / 100 == 6)) {
		return -EBADMSG;
	}
	int r = add_line(l, span_from(line, PREFIX_LEN), separator == '+');

	if (r < 0) {
		return r;
	}
	l->reply.code = code;
	if (separator == ' ') {
		finish_reply(l, code);
	} else if (separator == '+') {
		l->state = CTL_DATA;
	}
	return 0;
}

static int data_line(struct ctl_lexer *l, struct span line)
{
	struct ctl_extent *e = &l->extents[l->n - 1];

	if (span_eq(line, SPAN("."))) {
		l->state = CTL_LINE;
		return 0;
	}
	buf_add_span(&l->bytes, span_starts(line, SPAN(".")) ? span_from(line, 1) : line);
	buf_add_char(&l->bytes, '\n');
	e->data_n = l->bytes.len - e->data;
	return 0;
}

/* The line's end has been seen. Tor writes CRLF; a bare LF is understood too. */
static int whole_line(struct ctl_lexer *l)
{
	struct span line = buf_span(&l->line);

	if (line.n && line.p[line.n - 1] == '\r') {
		line.n--;
	}
	int r = l->state == CTL_DATA ? data_line(l, line) : reply_line(l, line);

	wipe(&l->line);
	return r;
}

static int take_bytes(struct ctl_lexer *l, struct span *input)
{
	const char *lf = memchr(input->p, '\n', input->n);
	size_t n = lf ? (size_t)(lf - input->p) : input->n;

	if (memchr(input->p, '\0', n)) {
		return -EBADMSG;
	}
	if (l->bytes.len + l->line.len + n > CTL_REPLY_MAX) {
		return -EMSGSIZE;
	}
	buf_add(&l->line, input->p, n);
	*input = span_from(*input, lf ? n + 1 : n);
	return lf ? whole_line(l) : 0;
}

int ctl_lexer_feed(struct ctl_lexer *l, struct span *input, const struct ctl_reply **ret)
{
	if (l->state == CTL_READY) {
		begin_reply(l);
	}
	while (l->state != CTL_BROKEN && input->n) {
		int r = take_bytes(l, input);

		if (r < 0) {
			l->state = CTL_BROKEN;
			return r;
		}
		if (l->state == CTL_READY) {
			*ret = &l->reply;
			return 1;
		}
	}
	return l->state == CTL_BROKEN ? -EBADMSG : 0;
}

/* --- inside a line --- */

bool ctl_next_word(struct span *s, struct span *ret)
{
	bool quoted = false;
	size_t i = 0;

	while (s->n && *s->p == ' ') {
		*s = span_from(*s, 1);
	}
	if (s->n == 0) {
		return false;
	}
	for (; i < s->n && (quoted || s->p[i] != ' '); i++) {
		if (s->p[i] == '"') {
			quoted = !quoted;
		} else if (quoted && s->p[i] == '\\' && i + 1 < s->n) {
			i++;
		}
	}
	*ret = span_of(s->p, i);
	*s = span_from(*s, i);
	return true;
}

struct span ctl_value(struct span s, const char *key)
{
	struct span word, name = span_str(key);

	while (ctl_next_word(&s, &word)) {
		if (word.n > name.n && word.p[name.n] == '=' && span_starts(word, name)) {
			return span_from(word, name.n + 1);
		}
	}
	return SPAN_NONE;
}

/* *i stands behind the backslash and is left behind the escape. */
static int decode_escape(struct span s, size_t *i, char *ret)
{
	char c = s.p[(*i)++];

	switch (c) {
	case 'n':
		*ret = '\n';
		return 0;
	case 'r':
		*ret = '\r';
		return 0;
	case 't':
		*ret = '\t';
		return 0;
	default:
		break;
	}
	if (c < '0' || c > '7') {
		*ret = c;
		return 0;
	}
	unsigned value = (unsigned)(c - '0');

	for (int digits = 1; digits < 3 && *i < s.n && s.p[*i] >= '0' && s.p[*i] <= '7'; digits++) {
		value = value * 8 + (unsigned)(s.p[(*i)++] - '0');
	}
	if (value == 0 || value > 0377) {
		return -EINVAL;
	}
	*ret = (char)value;
	return 0;
}

int ctl_decode(struct span value, struct buf *ret)
{
	if (!span_starts(value, SPAN("\""))) {
		buf_add_span(ret, value);
		return 0;
	}
	for (size_t i = 1; i < value.n;) {
		char c = value.p[i++];

		if (c == '"') {
			return i == value.n ? 0 : -EINVAL;
		}
		if (c == '\\') {
			if (i == value.n || decode_escape(value, &i, &c) < 0) {
				return -EINVAL;
			}
		}
		buf_add_char(ret, c);
	}
	return -EINVAL;
}

bool ctl_getinfo(const struct ctl_reply *r, const char *key, struct span *ret)
{
	struct span name = span_str(key);

	for (size_t i = 0; i < r->n; i++) {
		const struct ctl_line *line = &r->lines[i];

		if (line->text.n > name.n && line->text.p[name.n] == '=' &&
		    span_starts(line->text, name)) {
			*ret = line->data.p ? line->data : span_from(line->text, name.n + 1);
			return true;
		}
	}
	return false;
}

char *ctl_printable(struct span text)
{
	struct buf b = BUF_INIT;

	utf8_escape(&b, span_of(text.p, text.n < SHOWN_MAX ? text.n : SHOWN_MAX));
	return buf_take(&b);
}
