/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/receive/safename.h"

#include <stdlib.h>
#include <utf8proc.h>

#include "proto/base/utf8.h"

#define NAMELESS SPAN("file")
/* What is longer behind the last dot is no extension. */
#define EXTENSION_MAX 32u
/* So that a number fits behind a name that is as long as can be. */
#define NUMBER_MAX 12u
/* Composing takes time by the square of the marks that follow one letter. */
#define COMPOSED_MAX 1024u

static bool is_separator(char c)
{
	return c == '/' || c == '\\';
}

/*
 * The last component that names something. RFC 7578 section 4.2: what a sender's
 * directories are called is not to be used (and is nobody's business).
 */
static struct span last_component(struct span path)
{
	for (size_t end = path.n; end > 0;) {
		size_t from = end;

		while (from > 0 && !is_separator(path.p[from - 1])) {
			from--;
		}
		struct span part = span_of(path.p + from, end - from);

		if (part.n && !span_eq(part, SPAN(".")) && !span_eq(part, SPAN(".."))) {
			return part;
		}
		end = from ? from - 1 : 0;
	}
	return SPAN("");
}

static bool is_blank_control(uint32_t c)
{
	return c >= '\t' && c <= '\r';
}

/* Adds raw without what must not be seen or cannot be; s is UTF-8 from here on. */
static void add_visible(struct buf *b, struct span raw)
{
	struct buf text = BUF_INIT;

	utf8_lossy(&text, raw);
	for (struct span s = buf_span(&text); s.n;) {
		uint32_t c;
		size_t n = utf8_decode(s, &c);

		if (is_blank_control(c)) {
			buf_add_char(b, '_');
		} else if (!utf8_is_deceptive(c)) {
			buf_add(b, s.p, n);
		}
		s = span_from(s, n);
	}
	buf_wipe(&text);
}

static size_t leading(struct span s)
{
	size_t n = 0;

	while (s.p && n < s.n && (s.p[n] == '.' || s.p[n] == '-' || s.p[n] == ' ')) {
		n++;
	}
	return n;
}

static struct span without_tail(struct span s)
{
	while (s.p && s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '.')) {
		s.n--;
	}
	return s;
}

/* The extension with its dot, ".tar.gz" whole; empty if there is none. */
static struct span extension(struct span name)
{
	const char *dot = name.p && name.n ? memrchr(name.p, '.', name.n) : NULL;

	if (!dot || dot == name.p || (size_t)(name.p + name.n - dot) > EXTENSION_MAX) {
		return span_of(name.p + name.n, 0);
	}
	struct span stem = span_of(name.p, (size_t)(dot - name.p));

	if (stem.n > 4 && span_eq_ci(span_from(stem, stem.n - 4), SPAN(".tar"))) {
		dot -= 4;
	}
	return span_of(dot, (size_t)(name.p + name.n - dot));
}

/* At most max bytes, cut before the extension and never within a character. */
static void add_cut(struct buf *b, struct span name, size_t max)
{
	struct span ext = extension(name);
	size_t n = name.n - ext.n;

	if (name.n > max) {
		n = max - ext.n;
		while (n && ((uint8_t)name.p[n] & 0xc0) == 0x80) {
			n--;
		}
	}
	struct span stem = without_tail(span_of(name.p, n));

	buf_add_span(b, name.n > max ? stem : span_of(name.p, n));
	buf_add_span(b, ext);
}

/* Normalization form C, so that a name looks up whatever made it. */
static void add_composed(struct buf *b, struct span name)
{
	struct buf cut = BUF_INIT;
	utf8proc_uint8_t *out = NULL;

	add_cut(&cut, name, COMPOSED_MAX);
	if (cut.len) {
		utf8proc_ssize_t n =
			utf8proc_map((const utf8proc_uint8_t *)cut.p, (utf8proc_ssize_t)cut.len,
				     &out, UTF8PROC_STABLE | UTF8PROC_COMPOSE);

		buf_add(b, n >= 0 ? (const char *)out : cut.p, n >= 0 ? (size_t)n : cut.len);
	}
	if (out) {
		explicit_bzero(out, strlen((const char *)out));
	}
	free(out);
	buf_wipe(&cut);
}

static void add_safe(struct buf *b, struct span raw, size_t max)
{
	struct buf visible = BUF_INIT, clean = BUF_INIT, whole = BUF_INIT;
	struct span part = last_component(raw);

	add_visible(&visible, part);
	add_composed(&clean, buf_span(&visible));
	struct span s = buf_span(&clean);
	size_t lead = leading(s);
	struct span rest = without_tail(span_from(s, lead));
	/* A stem went, only the extension is left; but ".profile" is a name. */
	bool lost_stem = s.p && lead && s.p[lead - 1] == '.' && (lead > 1 || part.p[0] != '.') &&
			 !(rest.n && memchr(rest.p, '.', rest.n));

	if (!rest.n || lost_stem) {
		buf_add_span(&whole, NAMELESS);
	}
	if (rest.n && lost_stem) {
		buf_add_char(&whole, '.');
	}
	buf_add_span(&whole, rest);
	add_cut(b, buf_span(&whole), max);
	buf_wipe(&visible);
	buf_wipe(&clean);
	buf_wipe(&whole);
}

void safename(struct buf *b, struct span raw)
{
	add_safe(b, raw, SAFENAME_MAX);
}

void safename_apart(struct buf *b, struct names *set, struct span raw)
{
	struct buf name = BUF_INIT;

	safename(&name, raw);
	struct span apart = names_tell_apart(set, buf_span(&name), false);

	if (apart.n > SAFENAME_MAX) {
		buf_clear(&name);
		add_safe(&name, raw, SAFENAME_MAX - NUMBER_MAX);
		apart = names_tell_apart(set, buf_span(&name), false);
	}
	buf_add_span(b, apart);
	buf_wipe(&name);
}
