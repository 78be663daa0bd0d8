/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ev/bufpool.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/base/alloc.h"

#define KEEP_IDLE 4

struct bufpool {
	uv_loop_t *loop;
	size_t limit, in_use, n_idle; /* buffers */
	char *idle[KEEP_IDLE];
	struct list waiting;
};

struct bufpool *bufpool_new(uv_loop_t *loop, size_t limit)
{
	struct bufpool *p = xnew(struct bufpool);

	p->loop = loop;
	p->limit = limit / BUFPOOL_BUFFER_SIZE;
	if (p->limit == 0) {
		p->limit = 1;
	}
	list_init(&p->waiting);
	return p;
}

void bufpool_free(struct bufpool *p)
{
	if (!p) {
		return;
	}
	assert(p->in_use == 0);
	while (p->n_idle) {
		free(p->idle[--p->n_idle]);
	}
	free(p);
}

char *bufpool_get(struct bufpool *p)
{
	if (p->in_use >= p->limit) {
		return NULL;
	}
	p->in_use++;
	return p->n_idle ? p->idle[--p->n_idle] : xmalloc(BUFPOOL_BUFFER_SIZE);
}

void bufpool_put(struct bufpool *p, char *buffer)
{
	if (!buffer) {
		return;
	}
	p->in_use--;
	if (p->n_idle < KEEP_IDLE) {
		p->idle[p->n_idle++] = buffer;
	} else {
		free(buffer);
	}
	/* Who is called need not take the buffer; then the next in line may have it. */
	while (p->in_use < p->limit && !list_empty(&p->waiting)) {
		struct bufpool_wait *wait = list_entry(p->waiting.next, struct bufpool_wait, link);

		list_remove(&wait->link);
		wait->ready(wait);
	}
}

void bufpool_wait_init(struct bufpool_wait *wait, void (*ready)(struct bufpool_wait *))
{
	wait->ready = ready;
	list_init(&wait->link);
}

void bufpool_wait(struct bufpool *p, struct bufpool_wait *wait)
{
	list_remove(&wait->link);
	list_append(&p->waiting, &wait->link);
}

void bufpool_wait_cancel(struct bufpool_wait *wait)
{
	list_remove(&wait->link);
}

size_t bufpool_in_use(const struct bufpool *p)
{
	return p->in_use;
}
