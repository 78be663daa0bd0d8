/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/migrate.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>

#include "store/db.h"

int migrate_version(sqlite3 *h, struct error *err)
{
	int64_t version = 0;
	int r = db_exec(h, "PRAGMA user_version", &version, "cannot read the database", err);

	/* The header holds 32 bits, signed. */
	return r < 0         ? r
	       : version < 0 ? error_set(err, EBADMSG, "the database says it has version %lld",
					 (long long)version)
			     : (int)version;
}

/* Statement by statement: sqlite3_exec would hide which one failed. */
static int run_script(sqlite3 *h, const char *sql, const char *doing, struct error *err)
{
	while (*sql) {
		sqlite3_stmt *st = NULL;
		int rc = sqlite3_prepare_v2(h, sql, -1, &st, &sql);

		if (rc == SQLITE_OK && st) {
			rc = sqlite3_step(st);
		}
		int r = rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW
				? 0
				: db_error(h, rc, doing, err);

		sqlite3_finalize(st);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int run_migration(sqlite3 *h, const struct migration *m, unsigned version, struct error *err)
{
	char doing[128], set_version[64];
	int r;

	snprintf(doing, sizeof(doing), "cannot bring the database to version %u (%s)", version,
		 m->name);
	snprintf(set_version, sizeof(set_version), "PRAGMA user_version = %u", version);
	r = db_exec(h, "BEGIN IMMEDIATE", NULL, doing, err);
	if (r < 0) {
		return r;
	}
	r = run_script(h, m->sql, doing, err);
	if (r == 0) {
		r = db_exec(h, set_version, NULL, doing, err);
	}
	if (r == 0) {
		r = db_exec(h, "COMMIT", NULL, doing, err);
	}
	if (r < 0 && !sqlite3_get_autocommit(h)) {
		db_exec(h, "ROLLBACK", NULL, doing, NULL);
	}
	return r;
}

int migrate(sqlite3 *h, const struct migration *migrations, unsigned n, struct error *err)
{
	int version = migrate_version(h, err);
	int r = version < 0 ? version : 0;

	for (unsigned i = (unsigned)version; r == 0 && i < n; i++) {
		r = run_migration(h, &migrations[i], i + 1, err);
	}
	return r;
}
