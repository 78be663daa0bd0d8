/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a service's webhook is still to be told, and when each is to be tried. No
 * clock of its own: times are wall time in milliseconds, given by the caller. A
 * clock that was set back delays nothing by more than an hour.
 *
 * Tried at once, then after 1, 2, 5, 10, 30 minutes and each hour, for a day. While
 * the target fails, those that have failed before wait for the next try of one of
 * them; as soon as one is taken, all are due.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEBHOOK_QUEUE_MAX 1000u /* the oldest go first */
#define WEBHOOK_MINUTE_MS INT64_C(60000)
#define WEBHOOK_HOUR_MS   (60 * WEBHOOK_MINUTE_MS)
#define WEBHOOK_DAY_MS    (24 * WEBHOOK_HOUR_MS)

struct webhook_item {
	int64_t id; /* of the queue's owner; each only once */
	int64_t created_ms, next_ms;
	unsigned tries;
	char *content_type, *body; /* NULL: kept elsewhere; owned */
};

struct webhook_queue {
	struct webhook_item *items; /* oldest first */
	size_t n, cap;
};

void webhook_queue_done(struct webhook_queue *q);
/* Takes the item's texts. */
void webhook_queue_add(struct webhook_queue *q, const struct webhook_item *item);
/* NULL: it is not there (any more). Valid until the queue is changed. */
struct webhook_item *webhook_queue_find(struct webhook_queue *q, int64_t id);
void webhook_queue_remove(struct webhook_queue *q, int64_t id);
/* One that is older than a day, else 0. */
int64_t webhook_queue_expired(const struct webhook_queue *q, int64_t now_ms);
/* The oldest that is to be tried now, or NULL. Puts right what a clock that was set has made of the
 * times. */
struct webhook_item *webhook_queue_due(struct webhook_queue *q, int64_t now_ms);
/* Milliseconds until one will be due; -1: there is none. */
int64_t webhook_queue_wait(const struct webhook_queue *q, int64_t now_ms);
/* When it is tried again; 0: never, and it is removed. */
int64_t webhook_queue_failed(struct webhook_queue *q, int64_t id, int64_t now_ms);
/* It is removed, and the others are due. */
void webhook_queue_delivered(struct webhook_queue *q, int64_t id, int64_t now_ms);
/* All are due: the target is another one, or can be reached again. */
void webhook_queue_hurry(struct webhook_queue *q, int64_t now_ms);
