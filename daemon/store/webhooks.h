/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reports that wait to be sent: rows of the table webhooks, on the database's thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/error.h"
#include "store/store.h"

struct db;

/* Durable when 0 comes back; makes room by dropping the oldest. -ENOENT: no such service. */
int webhooks_insert(struct db *db, int64_t service_id, const char *content_type, const char *body,
		    int64_t now_ms, int64_t *ret_id, struct error *err);
int webhooks_tried(struct db *db, int64_t id, int64_t next_ms, const char *why, struct error *err);
int webhooks_delete(struct db *db, int64_t id, struct error *err);
int webhooks_clear(struct db *db, int64_t service_id, struct error *err);
/* Oldest first; *ret: free each one's last_error, then it. */
int webhooks_list(struct db *db, int64_t service_id, struct store_webhook **ret, size_t *ret_n,
		  struct error *err);
/* Free both; NULL and NULL: it is gone. */
int webhooks_get(struct db *db, int64_t id, char **ret_content_type, char **ret_body,
		 struct error *err);
