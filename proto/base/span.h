/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A piece of somebody else's bytes: pointer and length, no NUL, no ownership.
 * What peers send is handled this way until it has been validated.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const char *p;
	size_t n;
};

#define SPAN(lit)   ((struct span){"" lit, sizeof(lit) - 1})
#define SPAN_FMT    "%.*s"
#define SPAN_ARG(s) (int)(s).n, (s).p
#define SPAN_NONE   ((struct span){NULL, 0})

static inline struct span span_of(const char *p, size_t n)
{
	return (struct span){p, n};
}

static inline struct span span_str(const char *s)
{
	return (struct span){s, s ? strlen(s) : 0};
}

static inline bool span_eq(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline struct span span_from(struct span s, size_t off)
{
	size_t n = off < s.n ? off : s.n;

	/* Nothing is added to the null pointer of an empty span. */
	return n ? (struct span){s.p + n, s.n - n} : s;
}

/* ASCII case is ignored, the locale too. */
bool span_eq_ci(struct span a, struct span b);
bool span_starts(struct span s, struct span prefix);
bool span_ends(struct span s, struct span suffix);
/* Without SP and HTAB at both ends. */
struct span span_trim(struct span s);
/*
 * Cuts s at the first c: returns what stands before it and leaves what stands
 * behind it in *s. Without a c, returns all and leaves *s empty with p NULL.
 */
struct span span_cut(struct span *s, char c);

/* Digits only, no sign, no space: 0, -EINVAL, or -ERANGE above max. */
int span_u64(struct span s, uint64_t max, uint64_t *ret);
