/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/history.h"

#include <time.h>

#include "proto/base/alloc.h"
#include "store/db.h"

#define DAY_MS INT64_C(86400000)

int history_insert(struct db *db, int64_t at_ms, const char *service, const char *what,
		   const char *details, struct error *err)
{
	sqlite3_stmt *st = db_statement(db, STATEMENT_HISTORY_INSERT);

	sqlite3_bind_int64(st, 1, at_ms);
	sqlite3_bind_text(st, 2, service, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, what, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 4, details, -1, SQLITE_STATIC);
	int r = db_run(db, st, "cannot write the history", err);

	if (r == 0) {
		db->history_rows++;
	}
	return r;
}

int history_rename(struct db *db, int64_t service_id, const char *name, struct error *err)
{
	sqlite3_stmt *st = db_statement(db, STATEMENT_HISTORY_RENAME);

	sqlite3_bind_int64(st, 1, service_id);
	sqlite3_bind_text(st, 2, name, -1, SQLITE_STATIC);
	return db_run(db, st, "cannot write the history", err);
}

int history_prune(struct db *db, int64_t now_ms, struct error *err)
{
	const struct history_limits *limits = &db->history_limits;
	int64_t excess = db->history_rows - limits->max_rows;
	sqlite3_stmt *st;
	int r = 0;

	if (limits->max_days > 0) {
		st = db_statement(db, STATEMENT_HISTORY_DROP_BEFORE);
		sqlite3_bind_int64(st, 1, now_ms - limits->max_days * DAY_MS);
		r = db_run(db, st, "cannot shorten the history", err);
		if (r == 0) {
			db->history_rows -= sqlite3_changes64(db->h);
			excess = db->history_rows - limits->max_rows;
		}
	}
	if (r == 0 && excess > 0) {
		st = db_statement(db, STATEMENT_HISTORY_DROP_OLDEST);
		sqlite3_bind_int64(st, 1, excess);
		r = db_run(db, st, "cannot shorten the history", err);
		if (r == 0) {
			db->history_rows -= sqlite3_changes64(db->h);
		}
	}
	return r;
}

int history_measure(struct db *db, struct error *err)
{
	sqlite3_stmt *st = db_statement(db, STATEMENT_HISTORY_COUNT);
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW) {
		db->history_rows = sqlite3_column_int64(st, 0);
	}
	return db_end(db, st, rc, "cannot read the history", err);
}

static json_t *row_json(sqlite3_stmt *st)
{
	const char *details = (const char *)sqlite3_column_text(st, 4);
	json_t *row = details ? json_loads(details, JSON_REJECT_DUPLICATES, NULL) : NULL;
	time_t at = sqlite3_column_int64(st, 1) / 1000;
	char text[40] = "";
	struct tm tm;

	if (!json_is_object(row)) {
		json_decref(row);
		row = json_object();
	}
	if (gmtime_r(&at, &tm)) {
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	}
	/* Set last, so that details cannot take their places. */
	json_object_set_new(row, "id", json_integer(sqlite3_column_int64(st, 0)));
	json_object_set_new(row, "at", json_string(text));
	json_object_set_new(row, "name",
			    sqlite3_column_type(st, 2) == SQLITE_NULL
				    ? json_null()
				    : json_string((const char *)sqlite3_column_text(st, 2)));
	json_object_set_new(row, "event", json_string((const char *)sqlite3_column_text(st, 3)));
	return row;
}

int history_list(struct db *db, const char *service, int64_t before_id, unsigned limit,
		 json_t **ret, struct error *err)
{
	sqlite3_stmt *st =
		db_statement(db, service ? STATEMENT_HISTORY_LIST_SERVICE : STATEMENT_HISTORY_LIST);
	unsigned max = limit < STORE_HISTORY_LIST_MAX ? limit : STORE_HISTORY_LIST_MAX;
	json_t **newest_first = xcalloc(max, sizeof(json_t *));
	unsigned n = 0;
	int rc;

	sqlite3_bind_int64(st, 1, before_id > 0 ? before_id : INT64_MAX);
	sqlite3_bind_int64(st, 2, max);
	if (service) {
		sqlite3_bind_text(st, 3, service, -1, SQLITE_STATIC);
	}
	while ((rc = sqlite3_step(st)) == SQLITE_ROW && n < max) {
		newest_first[n++] = row_json(st);
	}
	int r = db_end(db, st, rc, "cannot read the history", err);
	json_t *rows = json_array();

	while (n > 0) {
		json_array_append_new(rows, newest_first[--n]);
	}
	free(newest_first);
	if (r < 0) {
		json_decref(rows);
		return r;
	}
	*ret = rows;
	return 0;
}
