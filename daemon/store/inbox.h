/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is about to be moved into place: rows of the table inbox_intents, on the database's thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/base/error.h"
#include "store/store.h"

struct db;

/* Both durable when 0 comes back. */
int inbox_intent_insert(struct db *db, const char *data_dir, const struct inbox_intent *intent,
			int64_t *ret_id, struct error *err);
int inbox_intent_delete(struct db *db, int64_t id, struct error *err);
/* Oldest first; *ret: free it. A row whose texts are not what was written is an error. */
int inbox_intents_load(struct db *db, const char *data_dir, struct inbox_intent **ret,
		       size_t *ret_n, struct error *err);
