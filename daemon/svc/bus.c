/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "svc/bus.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/base/alloc.h"

struct bus {
	struct list subs;
	bool telling;
	struct list queue; /* struct queued */
};

struct queued {
	struct list link;
	char *service;
	json_t *event;
};

struct bus *bus_new(void)
{
	struct bus *b = xnew(struct bus);

	list_init(&b->subs);
	list_init(&b->queue);
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

static void tell_all(struct bus *b, const char *service, const json_t *event)
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
}

void bus_publish(struct bus *b, const char *service, json_t *event)
{
	struct queued *q = xnew(struct queued);

	q->service = service ? xstrdup(service) : NULL;
	q->event = event;
	list_append(&b->queue, &q->link);
	if (b->telling) {
		return;
	}
	b->telling = true;
	while (!list_empty(&b->queue)) {
		q = list_entry(b->queue.next, struct queued, link);
		list_remove(&q->link);
		tell_all(b, q->service, q->event);
		free(q->service);
		json_decref(q->event);
		free(q);
	}
	b->telling = false;
}
