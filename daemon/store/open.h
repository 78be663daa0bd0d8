/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From a state directory to an open database, or to a refusal that says what
 * happened and what to do. The rule of it all: what is there but cannot be read
 * is never replaced, because the keys in it are the services' addresses.
 *
 *     first start       database made whole under another name, then secret.key, then
 *                       renamed, then the mark `created`: it can end at any moment
 *     later starts      lock, secret, kind and version, damage, secret fits, backup and
 *                       migrations if the version is older
 */
#pragma once

#include "proto/base/error.h"
#include "store/db.h"
#include "store/migrate.h"
#include "store/statedir.h"
#include "store/store.h"

/* migrations: store_migrations, but for tests. */
int open_state(const struct store_config *config, const struct migration *migrations, unsigned n,
	       struct statedir *ret_dir, struct db *ret_db, struct error *err, int *ret_exit);
