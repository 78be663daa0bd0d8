/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/db.h"

#include <errno.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "store/cache.h"
#include "store/history.h"

enum {
	VALUE_MAX = 8 << 20,    /* bytes of a value or row */
	JOURNAL_KEPT = 4 << 20, /* bytes of journal left on disk after a checkpoint */
};

static const char *const statement_sql[] = {
#define X(name, sql) [STATEMENT_##name] = sql,
	STATEMENTS(X)
#undef X
};

static int errno_of(sqlite3 *h, int rc)
{
	int sys = h ? sqlite3_system_errno(h) : 0;

	switch (rc & 0xff) {
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return EBUSY;
	case SQLITE_READONLY:
		return EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return EACCES;
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
	case SQLITE_SCHEMA:
	case SQLITE_ERROR: /* our own SQL: the schema is not what it says it is */
		return EBADMSG;
	case SQLITE_CONSTRAINT:
		return EEXIST;
	case SQLITE_TOOBIG:
		return EFBIG;
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
	default:
		return sys > 0 ? sys : EIO;
	}
}

int db_error(sqlite3 *h, int rc, const char *doing, struct error *err)
{
	int code = errno_of(h, rc);
	const char *what = sqlite3_errstr(rc);

	if (code == ENOSPC || code == EDQUOT) {
		what = "the disk is full";
	} else if (code == EBUSY) {
		what = "another program holds the database locked";
	} else if (code == EROFS) {
		what = "the disk or the database's file cannot be written to";
	} else if (code == EBADMSG) {
		what = h ? sqlite3_errmsg(h) : what;
	} else if ((rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN) {
		what = strerror(code);
	}
	return error_set_kind(err, code, ERROR_STORAGE, what, NULL, "%s: %s", doing, what);
}

static int defend(sqlite3 *h)
{
	static const int off[] = {SQLITE_DBCONFIG_TRUSTED_SCHEMA,
				  SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION,
				  SQLITE_DBCONFIG_ENABLE_TRIGGER,
				  SQLITE_DBCONFIG_ENABLE_VIEW,
				  SQLITE_DBCONFIG_DQS_DML,
				  SQLITE_DBCONFIG_DQS_DDL};
	static const int on[] = {SQLITE_DBCONFIG_DEFENSIVE, SQLITE_DBCONFIG_ENABLE_FKEY};

	for (size_t i = 0; i < ARRAY_SIZE(off); i++) {
		if (sqlite3_db_config(h, off[i], 0, NULL) != SQLITE_OK) {
			return SQLITE_ERROR;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(on); i++) {
		if (sqlite3_db_config(h, on[i], 1, NULL) != SQLITE_OK) {
			return SQLITE_ERROR;
		}
	}
	sqlite3_limit(h, SQLITE_LIMIT_LENGTH, VALUE_MAX);
	sqlite3_limit(h, SQLITE_LIMIT_ATTACHED, 0);
	return sqlite3_busy_timeout(h, DB_BUSY_MS);
}

int db_connect(const char *path, sqlite3 **ret, struct error *err)
{
	sqlite3 *h = NULL;
	int rc = sqlite3_open_v2(path, &h,
				 SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
					 SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE,
				 NULL);

	if (rc == SQLITE_OK) {
		rc = defend(h);
	}
	int r = rc == SQLITE_OK ? 0 : db_error(h, rc, "cannot open the database", err);

	static const char *const pragmas[] = {
		"PRAGMA cell_size_check = ON",
		"PRAGMA temp_store = MEMORY",
		"PRAGMA secure_delete = ON",
		"PRAGMA synchronous = FULL",
	};
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(pragmas); i++) {
		r = db_exec(h, pragmas[i], NULL, "cannot open the database", err);
	}
	if (r < 0) {
		sqlite3_close(h);
		return r;
	}
	*ret = h;
	return 0;
}

int db_exec(sqlite3 *h, const char *sql, int64_t *ret, const char *doing, struct error *err)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(h, sql, -1, &st, NULL);

	if (rc == SQLITE_OK) {
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW && ret) {
			*ret = sqlite3_column_int64(st, 0);
		}
		while (rc == SQLITE_ROW) {
			rc = sqlite3_step(st);
		}
	}
	int r = rc == SQLITE_OK || rc == SQLITE_DONE ? 0 : db_error(h, rc, doing, err);

	sqlite3_finalize(st);
	return r;
}

/* Whether the journal is kept apart is a file system's business: WAL needs shared memory. */
static int use_wal(sqlite3 *h, struct error *err)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(h, "PRAGMA journal_mode = WAL", -1, &st, NULL);
	bool wal = false;

	if (rc == SQLITE_OK) {
		rc = sqlite3_step(st);
		wal = rc == SQLITE_ROW &&
		      strcmp((const char *)sqlite3_column_text(st, 0), "wal") == 0;
	}
	int r = wal                ? 0
		: rc == SQLITE_ROW ? error_set(err, ENOTSUP,
					       "the file system cannot keep the database's "
					       "journal (WAL): is it a network's?")
				   : db_error(h, rc, "cannot begin the database's journal", err);

	sqlite3_finalize(st);
	return r;
}

int db_prepare(struct db *db, struct error *err)
{
	char limit[64];
	int r = use_wal(db->h, err);

	/* Until somebody says how much, nothing is thrown away. */
	db->history_limits = (struct history_limits){.max_rows = INT64_MAX};

	snprintf(limit, sizeof(limit), "PRAGMA journal_size_limit = %d", JOURNAL_KEPT);
	if (r == 0) {
		r = db_exec(db->h, limit, NULL, "cannot open the database", err);
	}
	for (size_t i = 0; r == 0 && i < STATEMENTS_N; i++) {
		int rc = sqlite3_prepare_v3(db->h, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
					    &db->statements[i], NULL);

		if (rc != SQLITE_OK) {
			r = db_error(db->h, rc, "the database's tables are not as they should be",
				     err);
		}
	}
	if (r == 0) {
		r = history_measure(db, err);
	}
	return r == 0 ? cache_measure(db, err) : r;
}

void db_close(struct db *db)
{
	for (size_t i = 0; i < STATEMENTS_N; i++) {
		sqlite3_finalize(db->statements[i]);
	}
	sqlite3_close(db->h);
	seal_done(&db->seal);
	*db = (struct db){0};
}

sqlite3_stmt *db_statement(struct db *db, enum statement which)
{
	return db->statements[which];
}

int db_end(struct db *db, sqlite3_stmt *st, int rc, const char *doing, struct error *err)
{
	int r = rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : db_error(db->h, rc, doing, err);

	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return r;
}

int db_run(struct db *db, sqlite3_stmt *st, const char *doing, struct error *err)
{
	int rc;

	do {
		rc = sqlite3_step(st);
	} while (rc == SQLITE_ROW);
	return db_end(db, st, rc, doing, err);
}

int db_begin(struct db *db, const char *doing, struct error *err)
{
	return db_run(db, db_statement(db, STATEMENT_BEGIN), doing, err);
}

int db_finish(struct db *db, int r, const char *doing, struct error *err)
{
	if (r == 0) {
		r = db_run(db, db_statement(db, STATEMENT_COMMIT), doing, err);
	}
	/* A full disk may have rolled back already. */
	if (r < 0 && !sqlite3_get_autocommit(db->h)) {
		db_run(db, db_statement(db, STATEMENT_ROLLBACK), doing, NULL);
	}
	return r;
}
