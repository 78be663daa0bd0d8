/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/inbox.h"

#include <errno.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "store/db.h"

#define SAVING  "cannot note down a submission"
#define LOADING "cannot read which submissions came in"

int inbox_intent_insert(struct db *db, const char *data_dir, const struct inbox_intent *intent,
			int64_t *ret_id, struct error *err)
{
	sqlite3_stmt *st = db_statement(db, STATEMENT_INBOX_INSERT);

	sqlite3_bind_text(st, 1, data_dir, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, intent->staging, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, intent->day, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 4, intent->stamp, -1, SQLITE_STATIC);
	int r = db_run(db, st, SAVING, err);

	if (r == 0) {
		*ret_id = sqlite3_last_insert_rowid(db->h);
	}
	return r;
}

int inbox_intent_delete(struct db *db, int64_t id, struct error *err)
{
	sqlite3_stmt *st = db_statement(db, STATEMENT_INBOX_DELETE);

	sqlite3_bind_int64(st, 1, id);
	return db_run(db, st, SAVING, err);
}

static int read_text(sqlite3_stmt *st, int column, char *ret, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(st, column);
	size_t n = (size_t)sqlite3_column_bytes(st, column);

	if (!text || n >= size || strlen(text) != n) {
		return -EBADMSG;
	}
	memcpy(ret, text, n + 1);
	return 0;
}

static int read_intent(sqlite3_stmt *st, struct inbox_intent *ret)
{
	ret->id = sqlite3_column_int64(st, 0);
	int r = read_text(st, 1, ret->staging, sizeof(ret->staging));

	if (r == 0) {
		r = read_text(st, 2, ret->day, sizeof(ret->day));
	}
	return r == 0 ? read_text(st, 3, ret->stamp, sizeof(ret->stamp)) : r;
}

int inbox_intents_load(struct db *db, const char *data_dir, struct inbox_intent **ret,
		       size_t *ret_n, struct error *err)
{
	sqlite3_stmt *st = db_statement(db, STATEMENT_INBOX_LIST);
	struct inbox_intent *all = NULL;
	size_t n = 0;
	int rc, r = 0;

	sqlite3_bind_text(st, 1, data_dir, -1, SQLITE_STATIC);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW && r == 0) {
		all = xreallocarray(all, n + 1, sizeof(*all));
		r = read_intent(st, &all[n++]);
	}
	int ended = db_end(db, st, rc, LOADING, err);

	if (r < 0) {
		error_set(err, -r, LOADING ": a row is damaged");
	}
	r = r < 0 ? r : ended;
	if (r < 0) {
		free(all);
		return r;
	}
	*ret = all;
	*ret_n = n;
	return 0;
}
