/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/wipe.h"

#include <jansson.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/alloc.h"

static void wiping_free(void *p)
{
	if (p) {
		/* The allocator knows the size, Jansson does not say it. */
		explicit_bzero(p, malloc_usable_size(p));
		free(p);
	}
}

void wipe_json_memory(void)
{
	json_set_alloc_funcs(xmalloc, wiping_free);
}
