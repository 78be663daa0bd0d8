/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Memory for small things: running out of it ends the process. Every size that
 * a peer, a file or the database controls is checked against a named limit
 * before it comes here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Never NULL, also for a size of 0. The caller frees with free(). */
void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1)));
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1, 2)));
void *xrealloc(void *p, size_t size) __attribute__((returns_nonnull, alloc_size(2)));
void *xreallocarray(void *p, size_t count, size_t size)
	__attribute__((returns_nonnull, alloc_size(2, 3)));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
/* A NUL is put behind the copy, so that text can be taken this way. */
void *xmemdup(const void *p, size_t size) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *fmt, ...)
	__attribute__((malloc, returns_nonnull, format(printf, 1, 2)));

/* xnew(struct foo): one zeroed object. */
#define xnew(type) ((type *)xcalloc(1, sizeof(type)))

/* Hands the pointer in a local variable to somebody else and forgets it here. */
#define take_ptr(p)                            \
	({                                     \
		__typeof__(p) take_ptr_ = (p); \
		(p) = NULL;                    \
		take_ptr_;                     \
	})

/* _cleanup_(fn) type v: calls fn(&v) when v goes out of scope. */
#define _cleanup_(fn)   __attribute__((cleanup(fn)))
#define _cleanup_free_  _cleanup_(free_charp)
#define _cleanup_close_ _cleanup_(close_fdp)

void free_charp(void *pp);
/* Closes *fd unless it is negative and sets it to -1, so that nobody closes the number again when
 * it is another file's; errno is kept. */
void close_fdp(int *fd);

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member)                                      \
	({                                                                   \
		const __typeof__(((type *)0)->member) *mptr_ = (ptr);        \
		(type *)((char *)(uintptr_t)mptr_ - offsetof(type, member)); \
	})
