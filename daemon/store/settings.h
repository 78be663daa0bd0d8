/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is set of the daemon itself: rows of the table settings, on the database's thread. */
#pragma once

#include "proto/base/buf.h"
#include "proto/base/error.h"

struct db;

/* 1 and its bytes behind those of ret, 0: it was never set, or -errno. */
int settings_get(struct db *db, const char *name, struct buf *ret, struct error *err);
/* Durable when 0 comes back. value.p NULL: as if it had never been set. */
int settings_put(struct db *db, const char *name, struct span value, struct error *err);
