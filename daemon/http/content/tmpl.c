/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/content/tmpl.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "proto/base/utf8.h"

static const char *entity(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

static bool is_plain(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < ' ' || s.p[i] > '~' || entity(s.p[i])) {
			return false;
		}
	}
	return true;
}

void tmpl_verbatim(struct buf *b, struct span s)
{
	size_t done = 0;

	for (size_t i = 0; i < s.n; i++) {
		const char *e = entity(s.p[i]);

		if (e) {
			buf_add(b, s.p + done, i - done);
			buf_add_str(b, e);
			done = i + 1;
		}
	}
	buf_add_span(b, span_from(s, done));
}

void tmpl_text(struct buf *b, struct span s)
{
	struct buf visible = BUF_INIT;

	if (is_plain(s)) {
		buf_add_span(b, s);
		return;
	}
	utf8_escape(&visible, s);
	tmpl_verbatim(b, buf_span(&visible));
	buf_done(&visible);
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static void percent(struct buf *b, char c)
{
	static const char digits[] = "0123456789ABCDEF";

	buf_add_char(b, '%');
	buf_add_char(b, digits[(unsigned char)c >> 4]);
	buf_add_char(b, digits[(unsigned char)c & 15]);
}

void tmpl_path(struct buf *b, struct span path)
{
	for (size_t i = 0; i < path.n; i++) {
		char c = path.p[i];

		if (is_alnum(c) || (c != '\0' && strchr("/-._~", c))) {
			buf_add_char(b, c);
		} else {
			percent(b, c);
		}
	}
}

void tmpl_fill(struct buf *b, const char *form, const struct tmpl_arg *args, size_t n)
{
	size_t used = 0;

	for (;;) {
		const char *hole = strstr(form, "{}");

		if (!hole) {
			break;
		}
		buf_add(b, form, (size_t)(hole - form));
		form = hole + 2;
		assert(used < n);
		switch (args[used].kind) {
		case TMPL_TEXT:
			tmpl_text(b, args[used].s);
			break;
		case TMPL_PATH:
			tmpl_path(b, args[used].s);
			break;
		case TMPL_RAW:
			buf_add_span(b, args[used].s);
			break;
		}
		used++;
	}
	assert(used == n);
	buf_add_str(b, form);
}

void tmpl_disposition(struct buf *b, const char *kind, struct span name)
{
	struct buf utf8 = BUF_INIT;

	utf8_lossy(&utf8, name);
	buf_printf(b, "%s; filename=\"", kind);
	for (size_t i = 0; i < utf8.len; i++) {
		char c = utf8.p[i];

		if (((unsigned char)c & 0xC0) == 0x80) {
			continue; /* the rest of a character that has its underscore already */
		}
		/* Some agents undo %XX in it, others stumble over backslashes. */
		buf_add_char(b, is_alnum(c) || (c != '\0' && strchr(" !#$&'()+,-.=@[]^_`{}~", c))
					? c
					: '_');
	}
	buf_add_str(b, "\"; filename*=UTF-8''");
	for (size_t i = 0; i < utf8.len; i++) {
		char c = utf8.p[i];

		/* attr-char of RFC 8187 section 3.2.1 */
		if (is_alnum(c) || (c != '\0' && strchr("!#$&+-.^_`|~", c))) {
			buf_add_char(b, c);
		} else {
			percent(b, c);
		}
	}
	buf_done(&utf8);
}
