/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/move/obconfig.h"

#include <errno.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* What ends a key or a plain value in "{address: x, name: y}", "- address: 'x'" and the like. */
static bool is_mark(char c)
{
	return is_blank(c) || c == ',' || c == '{' || c == '}' || c == '[' || c == ']' ||
	       c == '"' || c == '\'';
}

static struct span without_comment(struct span line)
{
	for (size_t i = 0; i < line.n; i++) {
		if (line.p[i] == '#' && (i == 0 || is_blank(line.p[i - 1]))) {
			line.n = i;
		}
	}
	return line;
}

/* Blanks and quotes. */
static struct span without_lead(struct span s)
{
	while (s.n && (is_blank(s.p[0]) || s.p[0] == '"' || s.p[0] == '\'')) {
		s = span_from(s, 1);
	}
	return s;
}

/* The next "key:" of the line with what stands behind it, as far as the next mark. */
static bool next_pair(struct span *line, struct span *key, struct span *value)
{
	while (line->n) {
		size_t n = 0;

		while (n < line->n && !is_mark(line->p[n]) && line->p[n] != ':') {
			n++;
		}
		*key = span_of(line->p, n);
		*line = span_from(*line, n);
		struct span rest = key->n ? without_lead(*line) : SPAN_NONE;

		if (rest.n && rest.p[0] == ':') {
			rest = without_lead(span_from(rest, 1));
			for (n = 0; n < rest.n && !is_mark(rest.p[n]);) {
				n++;
			}
			*value = span_of(rest.p, n);
			*line = span_from(rest, n);
			return true;
		}
		*line = span_from(*line, line->n ? 1 : 0);
	}
	return false;
}

int obconfig_add(struct obconfig *c, struct span address, struct error *err)
{
	char name[ONION_NAME_LEN + 1];
	struct error why = ERROR_INIT;

	if (onion_parse(address, name, &why) < 0) {
		error_set(err, EINVAL, "an address of a backend %s", error_text(&why));
		error_done(&why);
		return -EINVAL;
	}
	for (size_t i = 0; i < c->n; i++) {
		if (strcmp(c->backends[i], name) == 0) {
			return 0;
		}
	}
	if (c->n == OBCONFIG_BACKENDS_MAX) {
		return error_set(err, EINVAL, "there are more than %u backends",
				 OBCONFIG_BACKENDS_MAX);
	}
	memcpy(c->backends[c->n++], name, sizeof(name));
	return 0;
}

int obconfig_read(struct span text, struct obconfig *ret, struct error *err)
{
	unsigned line_number = 0, services = 0, found = 0;

	while (text.n) {
		struct span line = without_comment(span_cut(&text, '\n')), key, value;

		line_number++;
		while (next_pair(&line, &key, &value)) {
			services += span_eq(key, SPAN("key"));
			if (!span_eq(key, SPAN("address"))) {
				continue;
			}
			found++;
			if (obconfig_add(ret, value, err) < 0) {
				error_context(err, "line %u", line_number);
				return -EINVAL;
			}
		}
	}
	if (services > 1) {
		return error_set(err, EINVAL,
				 "it has several services: name the backends of the one that is "
				 "meant");
	}
	return found ? 0 : error_set(err, EINVAL, "it names no backends");
}
