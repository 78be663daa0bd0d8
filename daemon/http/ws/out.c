/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/ws/out.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <wslay/wslay.h>

#include "proto/base/alloc.h"

#define FIRST_CAP   8  /* pointers; doubled when full */
#define KEEP_CAP    16 /* an empty ring above that is given back */
#define HEAD_MAX    10 /* bytes of a frame before its payload, without a mask */
#define FIN         0x80
#define PARCEL_PART 2 /* of a backlog, so much is in one parcel at most */

/* --- parcels --- */

static size_t put_head(char *p, unsigned opcode, size_t n)
{
	p[0] = (char)(FIN | opcode);
	if (n < 126) {
		p[1] = (char)n;
		return 2;
	}
	if (n <= UINT16_MAX) {
		uint16_t length = htobe16((uint16_t)n);

		p[1] = 126;
		memcpy(p + 2, &length, sizeof(length));
		return 2 + sizeof(length);
	}
	uint64_t length = htobe64(n);

	p[1] = 127;
	memcpy(p + 2, &length, sizeof(length));
	return 2 + sizeof(length);
}

static void add_frame(struct ws_parcel *p, unsigned opcode, struct span payload)
{
	p->n += put_head(p->bytes + p->n, opcode, payload.n);
	if (payload.n) {
		memcpy(p->bytes + p->n, payload.p, payload.n);
	}
	p->n += payload.n;
	p->messages++;
}

static struct ws_parcel *parcel_new(size_t cap)
{
	struct ws_parcel *p = xmalloc(sizeof(*p) + cap);

	*p = (struct ws_parcel){.refs = 1, .cap = cap};
	return p;
}

struct ws_parcel *ws_parcel_new(unsigned opcode, struct span payload)
{
	struct ws_parcel *p = parcel_new(HEAD_MAX + payload.n);

	add_frame(p, opcode, payload);
	return p;
}

struct ws_parcel *ws_parcel_text(struct span utf8)
{
	return ws_parcel_new(WSLAY_TEXT_FRAME, utf8);
}

static struct ws_parcel *moved(struct ws_parcel *p, size_t cap)
{
	struct ws_parcel *to = parcel_new(cap);

	memcpy(to->bytes, p->bytes, p->n);
	to->n = p->n;
	to->messages = p->messages;
	ws_parcel_unref(p);
	return to;
}

void ws_parcel_add_text(struct ws_parcel **p, struct span utf8)
{
	size_t need = HEAD_MAX + utf8.n;

	if (!*p) {
		*p = ws_parcel_text(utf8);
		return;
	}
	assert((*p)->refs == 1);
	need += (*p)->n;
	if (need > (*p)->cap) {
		*p = moved(*p, 2 * need);
	}
	add_frame(*p, WSLAY_TEXT_FRAME, utf8);
}

unsigned ws_parcel_messages(const struct ws_parcel *p)
{
	return p->messages;
}

bool ws_parcel_has_room(const struct ws_parcel *p, const struct ws_limits *limits, size_t n)
{
	return p->messages < limits->queue_messages / PARCEL_PART &&
	       p->n + n <= limits->queue_bytes / PARCEL_PART;
}

void ws_parcel_unref(struct ws_parcel *p)
{
	if (p && --p->refs == 0) {
		explicit_bzero(p->bytes, p->n);
		free(p);
	}
}

/* --- the queue --- */

static struct ws_parcel *at(const struct ws_out *q, unsigned i)
{
	return q->ring[(q->head + i) & (q->cap - 1)];
}

static void grow(struct ws_out *q)
{
	unsigned cap = q->cap ? q->cap * 2 : FIRST_CAP;
	struct ws_parcel **ring = xcalloc(cap, sizeof(struct ws_parcel *));

	for (unsigned i = 0; i < q->n; i++) {
		ring[i] = at(q, i);
	}
	free(q->ring);
	q->ring = ring;
	q->cap = cap;
	q->head = 0;
}

void ws_out_push(struct ws_out *q, struct ws_parcel *p)
{
	if (q->n == q->cap) {
		grow(q);
	}
	q->ring[(q->head + q->n++) & (q->cap - 1)] = p;
	q->messages += p->messages;
	q->bytes += p->n;
	p->refs++;
}

int ws_out_pieces(const struct ws_out *q, struct iovec *iov, int n)
{
	int i = 0;

	for (; i < n && (unsigned)i < q->n; i++) {
		struct ws_parcel *p = at(q, (unsigned)i);
		size_t sent = i == 0 ? q->sent : 0;

		iov[i] = (struct iovec){p->bytes + sent, p->n - sent};
	}
	return i;
}

static void pop(struct ws_out *q)
{
	struct ws_parcel *p = at(q, 0);

	q->head = (q->head + 1) & (q->cap - 1);
	q->n--;
	q->messages -= p->messages;
	q->bytes -= p->n;
	q->sent = 0;
	ws_parcel_unref(p);
}

/* What a burst has needed is not kept. */
static void shrink(struct ws_out *q)
{
	if (q->n == 0 && q->cap > KEEP_CAP) {
		free(take_ptr(q->ring));
		q->cap = q->head = 0;
	}
}

void ws_out_written(struct ws_out *q, size_t n)
{
	q->sent += n;
	while (q->n && q->sent >= at(q, 0)->n) {
		size_t rest = q->sent - at(q, 0)->n;

		pop(q);
		q->sent = rest;
	}
	shrink(q);
}

void ws_out_drop_unsent(struct ws_out *q)
{
	unsigned keep = q->sent > 0;

	while (q->n > keep) {
		struct ws_parcel *p = at(q, q->n - 1);

		q->n--;
		q->messages -= p->messages;
		q->bytes -= p->n;
		ws_parcel_unref(p);
	}
	shrink(q);
}

void ws_out_done(struct ws_out *q)
{
	q->sent = 0;
	ws_out_drop_unsent(q);
	free(take_ptr(q->ring));
	q->cap = q->head = 0;
}
