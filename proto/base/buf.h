/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A growing run of bytes. There is always a NUL behind the last one (not
 * counted in len), so that text can be read as a C string.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include "proto/base/span.h"

struct buf {
	char *p; /* NULL until the first byte */
	size_t len;
	size_t cap;
};

#define BUF_INIT ((struct buf){0})

void buf_done(struct buf *b);
/* The same, and what was in it is wiped first. For secrets. */
void buf_wipe(struct buf *b);
static inline void buf_clear(struct buf *b)
{
	b->len = 0;
	if (b->p) {
		b->p[0] = '\0';
	}
}
/*
 * Room for n more bytes and a NUL; returns where they begin. Add what was written
 * to len, and put the NUL behind it if somebody will read it as a string.
 */
char *buf_reserve(struct buf *b, size_t n);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_add_str(struct buf *b, const char *s);
void buf_add_span(struct buf *b, struct span s);
void buf_add_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* Drops the first n bytes. */
void buf_consume(struct buf *b, size_t n);
static inline struct span buf_span(const struct buf *b)
{
	return span_of(b->p, b->len);
}
/* Gives the bytes away (NUL behind them) and leaves the buffer empty. Never NULL. */
char *buf_take(struct buf *b);
