/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/cond.h"

/* The length of the entity-tag at the beginning of s, 0 if there is none. */
static size_t etag_length(struct span s)
{
	size_t i = span_starts(s, SPAN("W/")) ? 2 : 0;

	if (i >= s.n || s.p[i] != '"') {
		return 0;
	}
	for (i++; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"') {
			return i + 1;
		}
		if (c <= 0x20 || c == 0x7f) {
			return 0;
		}
	}
	return 0;
}

static bool is_weak(struct span tag)
{
	return span_starts(tag, SPAN("W/"));
}

static bool tags_match(struct span a, struct span b, bool strong)
{
	if (strong) {
		return !is_weak(a) && !is_weak(b) && span_eq(a, b);
	}
	return span_eq(span_from(a, is_weak(a) ? 2 : 0), span_from(b, is_weak(b) ? 2 : 0));
}

static struct span skip_separators(struct span s)
{
	size_t i = 0;

	while (i < s.n && (s.p[i] == ',' || s.p[i] == ' ' || s.p[i] == '\t')) {
		i++;
	}
	return span_from(s, i);
}

bool http_cond_list_matches(struct span list, struct span etag, bool strong)
{
	struct span rest = span_trim(list);

	if (span_eq(rest, SPAN("*"))) {
		return true;
	}
	while ((rest = skip_separators(rest)).n > 0) {
		size_t n = etag_length(rest);
		struct span tag = span_of(rest.p, n), behind;

		if (n == 0) {
			return false;
		}
		behind = span_trim(span_from(rest, n));
		if (behind.n && behind.p[0] != ',') {
			return false;
		}
		if (etag.p && tags_match(tag, etag, strong)) {
			return true;
		}
		rest = behind;
	}
	return false;
}

bool http_cond_if_range(struct span value, struct span etag)
{
	return etag.p && http_cond_is_etag(value, false) && tags_match(value, etag, true);
}

bool http_cond_is_etag(struct span s, bool allow_weak)
{
	return s.n > 0 && etag_length(s) == s.n && (allow_weak || !is_weak(s));
}
