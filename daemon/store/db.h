/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The open database: connection, prepared statements, errors in words. Used by
 * one thread at a time; these calls block. What is in the tables is with
 * services.h, history.h and cache.h.
 */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/error.h"
#include "store/seal.h"
#include "store/statements.h"
#include "store/store.h"

#define DB_APPLICATION_ID   0x6f6e5368 /* "onSh" */
#define DB_BUSY_MS          5000       /* another program holds it locked */
#define DB_QUICK_CHECK_SIZE (64u << 20)

struct db {
	sqlite3 *h;
	sqlite3_stmt *statements[STATEMENTS_N];
	struct seal seal;
	struct history_limits history_limits;
	int64_t history_rows;
	int64_t cache_rows, cache_bytes;
};

/* 0, or -errno with err set from what SQLite last said. doing: "cannot save the service". */
int db_error(sqlite3 *h, int rc, const char *doing, struct error *err);

/*
 * A connection with the defences on: no trust in the schema, no extensions, no
 * links, sizes bounded, temporary tables in memory. flags: SQLITE_OPEN_READWRITE.
 */
int db_connect(const char *path, sqlite3 **ret, struct error *err);
/* A pragma or another statement without parameters; its first value, if ret. */
int db_exec(sqlite3 *h, const char *sql, int64_t *ret, const char *doing, struct error *err);

/* On an open connection of the right version: journal, statements, measures. */
int db_prepare(struct db *db, struct error *err);
/* Finalizes, writes the journal back, closes, wipes. */
void db_close(struct db *db);

/* The statement, ready to be bound. */
sqlite3_stmt *db_statement(struct db *db, enum statement which);
/* Runs it to its end (rows are ignored) and resets it. */
int db_run(struct db *db, sqlite3_stmt *st, const char *doing, struct error *err);
/* Ends reading rows: rc is what the last sqlite3_step returned. */
int db_end(struct db *db, sqlite3_stmt *st, int rc, const char *doing, struct error *err);

int db_begin(struct db *db, const char *doing, struct error *err);
/* r 0: commits, durable when 0 comes back; otherwise rolls back and returns r. */
int db_finish(struct db *db, int r, const char *doing, struct error *err);
