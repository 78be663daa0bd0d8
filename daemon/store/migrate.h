/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The schema's versions: migration N (migrations/NNN-*.sql) brings the database
 * from version N - 1 to N, in a transaction of its own together with
 * user_version. A migration that has been released is never changed.
 */
#pragma once

#include <sqlite3.h>

#include "proto/base/error.h"

struct migration {
	const char *name;
	const char *sql; /* statements, comments allowed */
};

extern const struct migration store_migrations[];
extern const unsigned store_migrations_n;

/* From the version the database has. 0 or -errno, and then it has one of the versions between. */
int migrate(sqlite3 *h, const struct migration *migrations, unsigned n, struct error *err);
/* user_version, or -errno. */
int migrate_version(sqlite3 *h, struct error *err);
