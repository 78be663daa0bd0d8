/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/cache.h"

#include "proto/base/alloc.h"
#include "store/db.h"

#define DOING "cannot keep a checksum"

static int drop_oldest(struct db *db, struct error *err)
{
	sqlite3_stmt *st = db_statement(db, STATEMENT_CACHE_OLDEST);
	int rc = sqlite3_step(st);
	int64_t age = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
	int r = db_end(db, st, rc, DOING, err);

	if (r < 0) {
		return r;
	}
	st = db_statement(db, STATEMENT_CACHE_DROP);
	sqlite3_bind_int64(st, 1, age);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		db->cache_rows--;
		db->cache_bytes -= sqlite3_column_int64(st, 0);
		rc = sqlite3_step(st);
	} else if (rc == SQLITE_DONE) {
		/* Nothing left to drop: the measures were wrong. */
		db->cache_rows = db->cache_bytes = 0;
	}
	return db_end(db, st, rc, DOING, err);
}

int cache_insert(struct db *db, int64_t service_id, const char *key, const void *value, size_t n,
		 struct error *err)
{
	sqlite3_stmt *st = db_statement(db, STATEMENT_CACHE_DELETE);
	void *old;
	size_t old_n;
	int r = cache_lookup(db, service_id, key, &old, &old_n, err);

	if (r == 0 && old) {
		free(old);
		sqlite3_bind_int64(st, 1, service_id);
		sqlite3_bind_text(st, 2, key, -1, SQLITE_STATIC);
		r = db_run(db, st, DOING, err);
		db->cache_rows--;
		db->cache_bytes -= (int64_t)old_n;
	}
	while (r == 0 && (db->cache_rows >= STORE_CACHE_ROWS ||
			  db->cache_bytes + (int64_t)n > STORE_CACHE_BYTES)) {
		r = drop_oldest(db, err);
	}
	if (r < 0) {
		return r;
	}
	st = db_statement(db, STATEMENT_CACHE_INSERT);
	sqlite3_bind_int64(st, 1, service_id);
	sqlite3_bind_text(st, 2, key, -1, SQLITE_STATIC);
	sqlite3_bind_blob64(st, 3, n ? value : "", n, SQLITE_STATIC);
	r = db_run(db, st, DOING, err);
	if (r == 0 && sqlite3_changes64(db->h) > 0) {
		db->cache_rows++;
		db->cache_bytes += (int64_t)n;
	}
	return r;
}

int cache_lookup(struct db *db, int64_t service_id, const char *key, void **ret, size_t *ret_n,
		 struct error *err)
{
	sqlite3_stmt *st = db_statement(db, STATEMENT_CACHE_GET);

	*ret = NULL;
	*ret_n = 0;
	sqlite3_bind_int64(st, 1, service_id);
	sqlite3_bind_text(st, 2, key, -1, SQLITE_STATIC);
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW) {
		const void *value = sqlite3_column_blob(st, 0);

		*ret_n = (size_t)sqlite3_column_bytes(st, 0);
		*ret = xmemdup(*ret_n ? value : "", *ret_n);
	}
	return db_end(db, st, rc, "cannot read a checksum", err);
}

int cache_measure(struct db *db, struct error *err)
{
	sqlite3_stmt *st = db_statement(db, STATEMENT_CACHE_SIZE);
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW) {
		db->cache_rows = sqlite3_column_int64(st, 0);
		db->cache_bytes = sqlite3_column_int64(st, 1);
	}
	return db_end(db, st, rc, "cannot read the checksums", err);
}
