/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Saved services: rows of the tables services and service_keys, on the database's thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/base/error.h"
#include "store/store.h"

struct db;

struct services_loaded {
	struct service_row **rows;
	size_t n;
	struct store_broken *broken;
	size_t n_broken;
};

void services_loaded_done(struct services_loaded *loaded);

/* The data directories that services were given, as far as they can be read; owned. */
void services_data_dirs(struct db *db, char ***ret, size_t *ret_n);

int services_load(struct db *db, struct services_loaded *ret, struct error *err);
/* In a transaction of its own, durable when 0 comes back. */
int services_put(struct db *db, const struct service_row *row, int64_t *ret_id, struct error *err);
int services_delete(struct db *db, int64_t id, struct error *err);
/* Within the caller's transaction. */
int services_count(struct db *db, int64_t id, int64_t completed, int64_t bytes_in,
		   int64_t bytes_out, struct error *err);
