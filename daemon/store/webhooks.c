/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/webhooks.h"

#include <errno.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "proto/base/utf8.h"
#include "store/db.h"

#define SAVING  "cannot save what a webhook is to be told"
#define LOADING "cannot read what webhooks are to be told"

static int insert(struct db *db, int64_t service_id, const char *content_type, const char *body,
		  int64_t now_ms, int64_t *ret_id, struct error *err)
{
	sqlite3_stmt *st = db_statement(db, STATEMENT_WEBHOOK_INSERT);

	sqlite3_bind_int64(st, 1, service_id);
	sqlite3_bind_text(st, 2, content_type, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, body, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 4, now_ms);
	int r = db_run(db, st, SAVING, err);

	if (r < 0) {
		return r;
	}
	if (sqlite3_changes64(db->h) == 0) {
		return error_set(err, ENOENT, SAVING ": the service is gone");
	}
	*ret_id = sqlite3_last_insert_rowid(db->h);
	st = db_statement(db, STATEMENT_WEBHOOK_BOUND);
	sqlite3_bind_int64(st, 1, service_id);
	sqlite3_bind_int64(st, 2, STORE_WEBHOOKS_MAX);
	return db_run(db, st, SAVING, err);
}

int webhooks_insert(struct db *db, int64_t service_id, const char *content_type, const char *body,
		    int64_t now_ms, int64_t *ret_id, struct error *err)
{
	int64_t id = 0;
	int r = db_begin(db, SAVING, err);

	if (r < 0) {
		return r;
	}
	r = db_finish(db, insert(db, service_id, content_type, body, now_ms, &id, err), SAVING,
		      err);
	if (r == 0) {
		*ret_id = id;
	}
	return r;
}

int webhooks_tried(struct db *db, int64_t id, int64_t next_ms, const char *why, struct error *err)
{
	sqlite3_stmt *st = db_statement(db, STATEMENT_WEBHOOK_TRIED);

	sqlite3_bind_int64(st, 1, id);
	sqlite3_bind_int64(st, 2, next_ms);
	sqlite3_bind_text(st, 3, why, -1, SQLITE_STATIC);
	return db_run(db, st, SAVING, err);
}

int webhooks_delete(struct db *db, int64_t id, struct error *err)
{
	sqlite3_stmt *st = db_statement(db, STATEMENT_WEBHOOK_DELETE);

	sqlite3_bind_int64(st, 1, id);
	return db_run(db, st, SAVING, err);
}

int webhooks_clear(struct db *db, int64_t service_id, struct error *err)
{
	sqlite3_stmt *st = db_statement(db, STATEMENT_WEBHOOK_CLEAR);

	sqlite3_bind_int64(st, 1, service_id);
	return db_run(db, st, SAVING, err);
}

/* NULL for NULL, and for what nobody here has written. */
static char *read_text(sqlite3_stmt *st, int column, size_t max)
{
	const char *p = (const char *)sqlite3_column_text(st, column);
	size_t n = (size_t)sqlite3_column_bytes(st, column);

	if (!p || n > max || memchr(p, '\0', n) || !utf8_valid(span_of(p, n))) {
		return NULL;
	}
	return xmemdup(p, n);
}

int webhooks_list(struct db *db, int64_t service_id, struct store_webhook **ret, size_t *ret_n,
		  struct error *err)
{
	sqlite3_stmt *st = db_statement(db, STATEMENT_WEBHOOK_LIST);
	struct store_webhook *all = xcalloc(STORE_WEBHOOKS_MAX, sizeof(*all));
	size_t n = 0;
	int rc;

	sqlite3_bind_int64(st, 1, service_id);
	sqlite3_bind_int64(st, 2, STORE_WEBHOOKS_MAX);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW && n < STORE_WEBHOOKS_MAX) {
		int64_t tries = sqlite3_column_int64(st, 3);

		all[n++] = (struct store_webhook){
			.id = sqlite3_column_int64(st, 0),
			.created_ms = sqlite3_column_int64(st, 1),
			.next_ms = sqlite3_column_int64(st, 2),
			.tries = tries > 0 && tries < 1000 ? (unsigned)tries : 0,
			.last_error = read_text(st, 4, STORE_WEBHOOK_TEXT_MAX),
		};
	}
	int r = db_end(db, st, rc, LOADING, err);

	if (r < 0) {
		while (n > 0) {
			free(all[--n].last_error);
		}
		free(all);
		return r;
	}
	*ret = all;
	*ret_n = n;
	return 0;
}

int webhooks_get(struct db *db, int64_t id, char **ret_content_type, char **ret_body,
		 struct error *err)
{
	sqlite3_stmt *st = db_statement(db, STATEMENT_WEBHOOK_GET);
	char *content_type = NULL, *body = NULL;

	sqlite3_bind_int64(st, 1, id);
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW) {
		content_type = read_text(st, 0, STORE_WEBHOOK_TEXT_MAX);
		body = read_text(st, 1, STORE_WEBHOOK_TEXT_MAX);
	}
	int r = db_end(db, st, rc, LOADING, err);

	if (r < 0 || !content_type || !body) {
		free(content_type);
		free(body);
		content_type = body = NULL;
	}
	*ret_content_type = content_type;
	*ret_body = body;
	return r;
}
