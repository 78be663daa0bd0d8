/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Facts that can be found out again: rows of the table cache, on the database's thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/base/error.h"

struct db;

/* Within the caller's transaction; makes room by dropping the oldest. A service that is gone is
 * no error. */
int cache_insert(struct db *db, int64_t service_id, const char *key, const void *value, size_t n,
		 struct error *err);
/* *ret: a copy (free it), or NULL: not there. */
int cache_lookup(struct db *db, int64_t service_id, const char *key, void **ret, size_t *ret_n,
		 struct error *err);
/* Counts anew: at the start, after a roll-back, after a service is gone. */
int cache_measure(struct db *db, struct error *err);
