/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "svc/webhook_queue.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/alloc.h"

static int64_t backoff(unsigned tries)
{
	static const int64_t minutes[] = {1, 2, 5, 10, 30};

	return tries - 1 < ARRAY_SIZE(minutes) ? minutes[tries - 1] * WEBHOOK_MINUTE_MS
					       : WEBHOOK_HOUR_MS;
}

static void remove_at(struct webhook_queue *q, size_t i)
{
	free(q->items[i].content_type);
	free(q->items[i].body);
	q->n--;
	memmove(&q->items[i], &q->items[i + 1], (q->n - i) * sizeof(*q->items));
}

void webhook_queue_done(struct webhook_queue *q)
{
	while (q->n) {
		remove_at(q, q->n - 1);
	}
	free(q->items);
	*q = (struct webhook_queue){0};
}

void webhook_queue_add(struct webhook_queue *q, const struct webhook_item *item)
{
	if (q->n == WEBHOOK_QUEUE_MAX) {
		remove_at(q, 0);
	}
	if (q->n == q->cap) {
		q->cap = q->cap ? q->cap * 2 : 4;
		q->items = xreallocarray(q->items, q->cap, sizeof(*q->items));
	}
	q->items[q->n++] = *item;
}

struct webhook_item *webhook_queue_find(struct webhook_queue *q, int64_t id)
{
	for (size_t i = 0; i < q->n; i++) {
		if (q->items[i].id == id) {
			return &q->items[i];
		}
	}
	return NULL;
}

void webhook_queue_remove(struct webhook_queue *q, int64_t id)
{
	struct webhook_item *item = webhook_queue_find(q, id);

	if (item) {
		remove_at(q, (size_t)(item - q->items));
	}
}

int64_t webhook_queue_expired(const struct webhook_queue *q, int64_t now_ms)
{
	for (size_t i = 0; i < q->n; i++) {
		if (now_ms - q->items[i].created_ms >= WEBHOOK_DAY_MS) {
			return q->items[i].id;
		}
	}
	return 0;
}

struct webhook_item *webhook_queue_due(struct webhook_queue *q, int64_t now_ms)
{
	struct webhook_item *due = NULL;

	for (size_t i = 0; i < q->n; i++) {
		struct webhook_item *item = &q->items[i];

		if (item->created_ms > now_ms) {
			item->created_ms = now_ms;
		}
		if (item->next_ms > now_ms + WEBHOOK_HOUR_MS) {
			item->next_ms = now_ms + WEBHOOK_HOUR_MS;
		}
		if (item->next_ms <= now_ms && !due) {
			due = item;
		}
	}
	return due;
}

int64_t webhook_queue_wait(const struct webhook_queue *q, int64_t now_ms)
{
	int64_t wait = -1;

	for (size_t i = 0; i < q->n; i++) {
		int64_t left = q->items[i].next_ms - now_ms;

		left = left < 0 ? 0 : left > WEBHOOK_HOUR_MS ? WEBHOOK_HOUR_MS : left;
		wait = wait < 0 || left < wait ? left : wait;
	}
	return wait;
}

int64_t webhook_queue_failed(struct webhook_queue *q, int64_t id, int64_t now_ms)
{
	struct webhook_item *failed = webhook_queue_find(q, id);

	if (!failed) {
		return 0;
	}
	failed->tries++;
	int64_t next = now_ms + backoff(failed->tries);

	if (next - failed->created_ms >= WEBHOOK_DAY_MS) {
		webhook_queue_remove(q, id);
		return 0;
	}
	failed->next_ms = next;
	/* A target that took none of a thousand is not to be asked a thousand times. */
	for (size_t i = 0; i < q->n; i++) {
		struct webhook_item *item = &q->items[i];

		if (item->tries > 0 && item->next_ms < next) {
			item->next_ms = next;
		}
	}
	return next;
}

void webhook_queue_hurry(struct webhook_queue *q, int64_t now_ms)
{
	for (size_t i = 0; i < q->n; i++) {
		q->items[i].next_ms = now_ms;
	}
}

void webhook_queue_delivered(struct webhook_queue *q, int64_t id, int64_t now_ms)
{
	webhook_queue_remove(q, id);
	webhook_queue_hurry(q, now_ms);
}
