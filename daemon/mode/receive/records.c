/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/receive/records.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "proto/base/crypto.h"

/* What one reading of the socket may become at once, about; see chunk_new. */
#define PIECE_MAX (64u * 1024)
#define ROOM_MIN  (PIECE_MAX + 4096)

void records_init(struct records *q, struct bufpool *bufs, bool wipe)
{
	*q = (struct records){.bufs = bufs, .wipe = wipe, .tail = SIZE_MAX};
	list_init(&q->full);
}

/* At least room for n. One that finds the pool empty takes its own memory, and then waits. */
static struct records_chunk *chunk_new(struct records *q, size_t n)
{
	struct records_chunk *c = xnew(struct records_chunk);

	list_init(&c->link);
	if (q->chunks < 2 && n <= BUFPOOL_BUFFER_SIZE) {
		c->p = bufpool_get(q->bufs);
	}
	c->pooled = c->p != NULL;
	c->cap = c->pooled ? BUFPOOL_BUFFER_SIZE : n > ROOM_MIN ? n : ROOM_MIN;
	if (!c->p) {
		c->p = xmalloc(c->cap);
	}
	q->chunks++;
	return c;
}

void records_give_back(struct records *q, struct records_chunk *c)
{
	if (!c) {
		return;
	}
	list_remove(&c->link);
	if (q->wipe) {
		crypto_wipe(c->p, c->n);
	}
	if (c->pooled) {
		bufpool_put(q->bufs, c->p);
	} else {
		free(c->p);
	}
	free(c);
	q->chunks--;
}

void records_drop(struct records *q)
{
	records_give_back(q, take_ptr(q->cur));
	while (!list_empty(&q->full)) {
		records_give_back(q, list_entry(q->full.next, struct records_chunk, link));
	}
	q->tail = SIZE_MAX;
}

static void close_chunk(struct records *q)
{
	if (q->cur) {
		list_append(&q->full, &q->cur->link);
		q->cur = NULL;
		q->tail = SIZE_MAX;
	}
}

static char *reserve(struct records *q, size_t n)
{
	if (q->cur && q->cur->cap - q->cur->n < n) {
		close_chunk(q);
	}
	if (!q->cur) {
		q->cur = chunk_new(q, n);
	}
	char *p = q->cur->p + q->cur->n;

	q->cur->n += n;
	return p;
}

void records_add(struct records *q, enum inbox_record_type type, struct span payload)
{
	const struct inbox_record rec = {.type = type, .n = (uint32_t)payload.n};
	char *p = reserve(q, sizeof(rec) + payload.n);

	memcpy(p, &rec, sizeof(rec));
	if (payload.n) {
		memcpy(p + sizeof(rec), payload.p, payload.n);
	}
	q->cur->syncs |= type == INBOX_END;
	q->tail = type == INBOX_DATA ? (size_t)(p - q->cur->p) : SIZE_MAX;
}

void records_add_data(struct records *q, struct span data)
{
	while (data.n) {
		size_t n = data.n < PIECE_MAX ? data.n : PIECE_MAX;

		if (q->cur && q->tail != SIZE_MAX && q->cur->cap - q->cur->n >= n) {
			struct inbox_record rec;

			memcpy(&rec, q->cur->p + q->tail, sizeof(rec));
			rec.n += (uint32_t)n;
			memcpy(q->cur->p + q->tail, &rec, sizeof(rec));
			memcpy(reserve(q, n), data.p, n);
		} else {
			records_add(q, INBOX_DATA, span_of(data.p, n));
		}
		data = span_from(data, n);
	}
}

bool records_have_room(const struct records *q)
{
	if (!q->cur && q->chunks < 2 && list_empty(&q->full)) {
		return true;
	}
	return q->cur && q->cur->cap - q->cur->n >= ROOM_MIN;
}

struct records_chunk *records_take(struct records *q)
{
	if (list_empty(&q->full)) {
		close_chunk(q);
	}
	if (list_empty(&q->full)) {
		return NULL;
	}
	struct records_chunk *c = list_entry(q->full.next, struct records_chunk, link);

	list_remove(&c->link);
	return c;
}
