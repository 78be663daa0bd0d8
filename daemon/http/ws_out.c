/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/ws_out.h"

#include <endian.h>
#include <stdlib.h>
#include <wslay/wslay.h>

#include "proto/base/alloc.h"

#define FIRST_CAP 8  /* pointers; doubled when full */
#define KEEP_CAP  16 /* an empty ring above that is given back */
#define HEAD_MAX  10 /* bytes of a frame before its payload, without a mask */
#define FIN       0x80

/* --- frames --- */

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

struct ws_frame *ws_frame_new(unsigned opcode, struct span payload)
{
	struct ws_frame *f = xmalloc(sizeof(*f) + HEAD_MAX + payload.n);
	size_t head = put_head(f->bytes, opcode, payload.n);

	if (payload.n) {
		memcpy(f->bytes + head, payload.p, payload.n);
	}
	f->refs = 1;
	f->n = head + payload.n;
	return f;
}

struct ws_frame *ws_frame_text(struct span utf8)
{
	return ws_frame_new(WSLAY_TEXT_FRAME, utf8);
}

void ws_frame_unref(struct ws_frame *f)
{
	if (f && --f->refs == 0) {
		explicit_bzero(f->bytes, f->n);
		free(f);
	}
}

/* --- the queue --- */

static struct ws_frame *at(const struct ws_out *q, unsigned i)
{
	return q->ring[(q->head + i) & (q->cap - 1)];
}

static void grow(struct ws_out *q)
{
	unsigned cap = q->cap ? q->cap * 2 : FIRST_CAP;
	struct ws_frame **ring = xcalloc(cap, sizeof(struct ws_frame *));

	for (unsigned i = 0; i < q->n; i++) {
		ring[i] = at(q, i);
	}
	free(q->ring);
	q->ring = ring;
	q->cap = cap;
	q->head = 0;
}

void ws_out_push(struct ws_out *q, struct ws_frame *f)
{
	if (q->n == q->cap) {
		grow(q);
	}
	q->ring[(q->head + q->n++) & (q->cap - 1)] = f;
	q->bytes += f->n;
	f->refs++;
}

int ws_out_pieces(const struct ws_out *q, struct iovec *iov, int n)
{
	int i = 0;

	for (; i < n && (unsigned)i < q->n; i++) {
		struct ws_frame *f = at(q, (unsigned)i);
		size_t sent = i == 0 ? q->sent : 0;

		iov[i] = (struct iovec){f->bytes + sent, f->n - sent};
	}
	return i;
}

static void pop(struct ws_out *q)
{
	struct ws_frame *f = at(q, 0);

	q->head = (q->head + 1) & (q->cap - 1);
	q->n--;
	q->bytes -= f->n;
	q->sent = 0;
	ws_frame_unref(f);
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
		struct ws_frame *f = at(q, q->n - 1);

		q->n--;
		q->bytes -= f->n;
		ws_frame_unref(f);
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
