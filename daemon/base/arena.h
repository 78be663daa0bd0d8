/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Memory that lives as long as one request: taken in pieces, given back at
 * once. An arena that never took anything holds nothing.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include "proto/base/span.h"

struct arena_block;

struct arena {
	struct arena_block *head;
	char *at, *end;
	size_t total; /* bytes handed out since the last reset */
};

#define ARENA_INIT ((struct arena){0})

/* Gives everything back. */
void arena_done(struct arena *a);
/* The same, and what was in it is wiped first. */
void arena_wipe(struct arena *a);
/* Likewise arena_done, but the newest block is kept for the next request if it is small. */
void arena_reset(struct arena *a);
/* Aligned for any object, not zeroed. Sizes that a peer controls are checked by the caller. */
void *arena_alloc(struct arena *a, size_t size) __attribute__((returns_nonnull));
void *arena_zalloc(struct arena *a, size_t size) __attribute__((returns_nonnull));
/* A copy with a NUL behind it. */
struct span arena_dup(struct arena *a, struct span s);
struct span arena_printf(struct arena *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
struct span arena_vprintf(struct arena *a, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));
