/* SPDX-License-Identifier: GPL-3.0-or-later */
/* struct service_row as a thing in memory; the database is not concerned. */
#include <stdlib.h>

#include "proto/base/alloc.h"
#include "proto/base/crypto.h"
#include "store/store.h"

void service_row_free(struct service_row *row)
{
	if (!row) {
		return;
	}
	for (size_t i = 0; i < row->n_keys; i++) {
		free(row->keys[i].label);
		crypto_wipe(&row->keys[i], sizeof(row->keys[i]));
	}
	free(row->keys);
	free(row->name);
	free(row->mode);
	json_decref(row->options);
	json_decref(row->paths);
	json_decref(row->sources);
	free(row->reason);
	free(row->onion);
	crypto_wipe(row, sizeof(*row));
	free(row);
}

static char *dup_or_null(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

/* Deep: the copy goes to another thread, and Jansson's counts are not atomic. */
struct service_row *service_row_copy(const struct service_row *row)
{
	struct service_row *copy = xmalloc(sizeof(*copy));

	*copy = *row;
	copy->name = dup_or_null(row->name);
	copy->mode = dup_or_null(row->mode);
	copy->options = row->options ? json_deep_copy(row->options) : NULL;
	copy->paths = row->paths ? json_deep_copy(row->paths) : NULL;
	copy->sources = row->sources ? json_deep_copy(row->sources) : NULL;
	copy->reason = dup_or_null(row->reason);
	copy->onion = dup_or_null(row->onion);
	copy->keys = xcalloc(row->n_keys, sizeof(*copy->keys));
	for (size_t i = 0; i < row->n_keys; i++) {
		copy->keys[i] = row->keys[i];
		copy->keys[i].label = dup_or_null(row->keys[i].label);
	}
	return copy;
}
