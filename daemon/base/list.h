/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A doubly linked ring through the objects themselves. The list owns nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "proto/base/alloc.h"

struct list {
	struct list *next, *prev;
};

#ifdef __clang_analyzer__
/*
 * The analyzer does not see that an item that is taken out is no longer its
 * neighbours' neighbour, and takes each second turn of a loop that frees for a
 * use after free. It gets these as unknown functions that may change the list.
 */
void list_init(struct list *l);
bool list_empty(struct list *l);
void list_insert_before(struct list *at, struct list *item);
void list_append(struct list *head, struct list *item);
void list_prepend(struct list *head, struct list *item);
void list_remove(struct list *item);
#else
static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_insert_before(struct list *at, struct list *item)
{
	item->prev = at->prev;
	item->next = at;
	at->prev->next = item;
	at->prev = item;
}

static inline void list_append(struct list *head, struct list *item)
{
	list_insert_before(head, item);
}

static inline void list_prepend(struct list *head, struct list *item)
{
	list_insert_before(head->next, item);
}

/* May be called again, and on an item that is in no list but was initialised. */
static inline void list_remove(struct list *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	list_init(item);
}

#endif

#define list_entry(ptr, type, member) container_of(ptr, type, member)

#define list_for_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)

/* The body may remove the item it is at, and nothing else. */
#define list_for_each_safe(it, head)                                              \
	for (struct list *it = (head)->next, *it##_next = it->next; it != (head); \
	     it = it##_next, it##_next = it->next)
