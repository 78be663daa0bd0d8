/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/inbox/savename.h"

#include <stdlib.h>

#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/base/utf8.h"

#define NUMBER_ROOM   12u /* "-" and a number */
#define EXTENSION_MAX 32u

void savenames_done(struct savenames *names)
{
	for (size_t i = 0; i < names->n; i++) {
		free(names->all[i]);
	}
	free(names->all);
	*names = (struct savenames){0};
}

static struct span last_component(struct span path)
{
	for (size_t i = path.n; i > 0; i--) {
		if (path.p[i - 1] == '/' || path.p[i - 1] == '\\') {
			return span_from(path, i);
		}
	}
	return path;
}

static bool is_bad_start(char c)
{
	return c == '.' || c == '-' || c == ' ';
}

/* What would deceive becomes "_", a malformed byte U+FFFD. */
static void add_clean(struct buf *b, struct span raw)
{
	struct buf text = BUF_INIT;

	utf8_lossy(&text, raw);
	for (struct span s = buf_span(&text); s.n;) {
		uint32_t c = 0;
		size_t n = utf8_decode(s, &c);

		if (utf8_is_deceptive(c)) {
			buf_add_char(b, '_');
		} else if (b->len > 0 || !is_bad_start(s.p[0])) {
			buf_add(b, s.p, n);
		}
		s = span_from(s, n);
	}
	buf_done(&text);
}

/* Where the extension begins; the end if there is none. */
static size_t stem_of(const char *name)
{
	const char *dot = strrchr(name, '.');
	size_t n = strlen(name);

	return !dot || dot == name || n - (size_t)(dot - name) > EXTENSION_MAX
		       ? n
		       : (size_t)(dot - name);
}

/* number 0: none. At most SAVENAME_MAX bytes; cut before the extension, between characters. */
static char *numbered(const char *name, unsigned number)
{
	size_t whole = stem_of(name), stem = whole;
	const char *ext = name + whole;
	size_t most = SAVENAME_MAX - NUMBER_ROOM - strlen(ext);

	while (stem > most || (stem < whole && stem > 0 && ((uint8_t)name[stem] & 0xc0) == 0x80)) {
		stem--;
	}
	return number ? xasprintf("%.*s-%u%s", (int)stem, name, number, ext)
		      : xasprintf("%.*s%s", (int)stem, name, ext);
}

static bool is_taken(const struct savenames *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++) {
		if (strcmp(names->all[i], name) == 0) {
			return true;
		}
	}
	return false;
}

const char *savename_make(struct savenames *names, struct span raw)
{
	struct buf clean = BUF_INIT;
	char *name;

	add_clean(&clean, last_component(raw));
	if (clean.len == 0) {
		buf_add_str(&clean, "file");
	}
	name = numbered(clean.p, 0);
	for (unsigned i = 1; is_taken(names, name); i++) {
		free(name);
		name = numbered(clean.p, i);
	}
	buf_done(&clean);
	names->all = xreallocarray(names->all, names->n + 1, sizeof(*names->all));
	names->all[names->n++] = name;
	return name;
}
