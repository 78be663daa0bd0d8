/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/names.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "proto/base/alloc.h"
#include "proto/base/crypto.h"
#include "proto/base/utf8.h"

struct slot {
	struct span name; /* p NULL: free */
	unsigned next;    /* the number to try next for those of this name */
};

struct names {
	struct arena arena;
	struct slot *slots;
	size_t n, cap; /* cap: a power of two */
	uint64_t seed; /* so that nobody can choose names that collide */
};

bool names_fit_zip(struct span name)
{
	return utf8_valid(name) && !memchr(name.p, '\\', name.n);
}

void names_make_fit_zip(struct buf *b, struct span name)
{
	size_t from = b->len;

	utf8_lossy(b, name);
	for (size_t i = from; i < b->len; i++) {
		if (b->p[i] == '\\') {
			b->p[i] = '_';
		}
	}
}

static void make_slots(struct names *set, size_t cap)
{
	set->cap = cap;
	set->slots = xcalloc(cap, sizeof(*set->slots));
}

struct names *names_new(size_t n)
{
	struct names *set = xnew(struct names);
	size_t cap = 16;

	while (cap < 2 * n) {
		cap *= 2;
	}
	make_slots(set, cap);
	set->seed = crypto_random_u64();
	return set;
}

void names_free(struct names *set)
{
	if (set) {
		arena_wipe(&set->arena);
		free(set->slots);
		free(set);
	}
}

/* FNV-1a, begun at a secret place. */
static size_t hash(const struct names *set, struct span name)
{
	uint64_t h = set->seed;

	for (size_t i = 0; i < name.n; i++) {
		h = (h ^ (unsigned char)name.p[i]) * UINT64_C(0x100000001b3);
	}
	return (size_t)(h ^ h >> 29);
}

/* The slot of that name, or the free one where it would stand. */
static struct slot *find(const struct names *set, struct span name)
{
	size_t at = hash(set, name);

	for (;; at++) {
		struct slot *s = &set->slots[at & (set->cap - 1)];

		if (!s->name.p || span_eq(s->name, name)) {
			return s;
		}
	}
}

static void grow(struct names *set)
{
	struct slot *old = set->slots;
	size_t cap = set->cap;

	make_slots(set, 2 * cap);
	for (size_t i = 0; i < cap; i++) {
		if (old[i].name.p) {
			*find(set, old[i].name) = old[i];
		}
	}
	free(old);
}

static struct span insert(struct names *set, struct span name)
{
	if (2 * (set->n + 1) > set->cap) {
		grow(set);
	}
	struct slot *s = find(set, name);

	if (!s->name.p) {
		*s = (struct slot){.name = arena_dup(&set->arena, name), .next = 1};
		set->n++;
	}
	return s->name;
}

void names_add(struct names *set, struct span name)
{
	insert(set, name);
}

/* Where ".ext" begins; a dot in front begins none. */
static size_t extension(struct span name)
{
	const char *dot = memrchr(name.p, '.', name.n);
	size_t at = dot && dot != name.p ? (size_t)(dot - name.p) : name.n;

	if (at < name.n && at > 4 && memcmp(name.p + at - 4, ".tar", 4) == 0) {
		at -= 4;
	}
	return at;
}

struct span names_tell_apart(struct names *set, struct span name, bool is_dir)
{
	struct slot *s = find(set, name);
	size_t at = is_dir ? name.n : extension(name);

	if (!s->name.p) {
		return insert(set, name);
	}
	for (;;) {
		struct span other = arena_printf(&set->arena, "%.*s-%u%.*s", (int)at, name.p,
						 s->next++, (int)(name.n - at), name.p + at);

		if (!find(set, other)->name.p) {
			return insert(set, other);
		}
	}
}
