/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/wipe.h"

#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/alloc.h"

/* Its size stands before each piece; the union keeps what follows aligned. */
union header {
	size_t size;
	max_align_t align;
};

static void *wiping_malloc(size_t size)
{
	union header *h;

	/* Messages are bounded: no size comes near SIZE_MAX. */
	h = xmalloc(sizeof(*h) + size);
	h->size = size;
	return h + 1;
}

static void wiping_free(void *p)
{
	union header *h = p;

	if (h) {
		h--;
		explicit_bzero(h + 1, h->size);
		free(h);
	}
}

void wipe_json_memory(void)
{
	json_set_alloc_funcs(wiping_malloc, wiping_free);
}
