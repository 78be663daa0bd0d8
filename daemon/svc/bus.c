/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "svc/bus.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/base/alloc.h"

struct bus {
	struct list subs;
};

struct bus *bus_new(void)
{
	struct bus *b = xnew(struct bus);

	list_init(&b->subs);
	return b;
}

void bus_free(struct bus *b)
{
	if (b) {
		assert(list_empty(&b->subs));
		free(b);
	}
}

void bus_subscribe(struct bus *b, struct bus_sub *sub)
{
	list_append(&b->subs, &sub->link);
}

void bus_unsubscribe(struct bus_sub *sub)
{
	list_remove(&sub->link);
}

bool bus_has_subscribers(const struct bus *b)
{
	return !list_empty(&b->subs);
}

void bus_publish(struct bus *b, const char *service, json_t *event)
{
	/* A subscriber may leave, and take others with it: go by a ring of those still to tell. */
	struct list todo;

	list_init(&todo);
	while (!list_empty(&b->subs)) {
		struct list *first = b->subs.next;

		list_remove(first);
		list_append(&todo, first);
	}
	while (!list_empty(&todo)) {
		struct bus_sub *sub = list_entry(todo.next, struct bus_sub, link);

		list_remove(&sub->link);
		list_append(&b->subs, &sub->link);
		sub->event(sub, service, event);
	}
	json_decref(event);
}
