/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What has happened: rows of the table history, on the database's thread. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "proto/base/error.h"

struct db;

/* Within the caller's transaction. details: JSON text or NULL. */
int history_insert(struct db *db, int64_t at_ms, const char *service, const char *what,
		   const char *details, struct error *err);
/*
 * Before the service's row is written with that name, in the same transaction: its past goes
 * along. What another one of the old name did before this one was made stays where it is.
 */
int history_rename(struct db *db, int64_t service_id, const char *name, struct error *err);
/* Drops what the limits do not allow any more, within the caller's transaction. */
int history_prune(struct db *db, int64_t now_ms, struct error *err);
/* Counts the rows anew: at the start, and after a transaction that was rolled back. */
int history_measure(struct db *db, struct error *err);
/* Newest last, at most limit, of ids below before_id (0: all). A new reference. */
int history_list(struct db *db, const char *service, int64_t before_id, unsigned limit,
		 json_t **ret, struct error *err);
