/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/arena.h"

#include <stdio.h>
#include <string.h>

#include "proto/base/alloc.h"

#define BLOCK_SIZE 2048 /* with its header; larger wishes get a block of their own */

struct arena_block {
	struct arena_block *next;
	size_t size; /* of data */
	_Alignas(max_align_t) char data[];
};

static struct arena_block *block_new(size_t size)
{
	struct arena_block *b = xmalloc(sizeof(*b) + size);

	b->size = size;
	return b;
}

static void free_all(struct arena_block *b)
{
	while (b) {
		struct arena_block *next = b->next;

		free(b);
		b = next;
	}
}

void arena_done(struct arena *a)
{
	free_all(a->head);
	*a = ARENA_INIT;
}

void arena_wipe(struct arena *a)
{
	for (struct arena_block *b = a->head; b; b = b->next) {
		explicit_bzero(b->data, b->size);
	}
	arena_done(a);
}

void arena_reset(struct arena *a)
{
	struct arena_block *keep = a->head;

	if (!keep || sizeof(*keep) + keep->size > BLOCK_SIZE) {
		arena_done(a);
		return;
	}
	free_all(keep->next);
	keep->next = NULL;
	a->at = keep->data;
	a->end = keep->data + keep->size;
	a->total = 0;
}

void *arena_alloc(struct arena *a, size_t size)
{
	const size_t align = _Alignof(max_align_t);

	size = ((size ? size : 1) + align - 1) & ~(align - 1);
	a->total += size;
	if (size > (size_t)(a->end - a->at)) {
		size_t usual = BLOCK_SIZE - sizeof(struct arena_block);
		struct arena_block *b = block_new(size > usual / 2 ? size : usual);

		if (size > usual / 2 && a->head) {
			/* A block of its own, behind the one that still has room. */
			b->next = a->head->next;
			a->head->next = b;
			return b->data;
		}
		b->next = a->head;
		a->head = b;
		a->at = b->data;
		a->end = b->data + b->size;
	}
	void *p = a->at;

	a->at += size;
	return p;
}

void *arena_zalloc(struct arena *a, size_t size)
{
	return memset(arena_alloc(a, size), 0, size);
}

struct span arena_dup(struct arena *a, struct span s)
{
	char *p = arena_alloc(a, s.n + 1);

	if (s.n) {
		memcpy(p, s.p, s.n);
	}
	p[s.n] = '\0';
	return span_of(p, s.n);
}

struct span arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	if (n < 0) {
		n = 0;
	}
	char *p = arena_alloc(a, (size_t)n + 1);

	vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return span_of(p, (size_t)n);
}

struct span arena_printf(struct arena *a, const char *fmt, ...)
{
	struct span s;
	va_list ap;

	va_start(ap, fmt);
	s = arena_vprintf(a, fmt, ap);
	va_end(ap);
	return s;
}
