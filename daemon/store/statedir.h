/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The state directory: made, checked, and locked for one daemon. The files in
 * it, apart from the database's own:
 *
 *     lock         held (flock) while a daemon lives; left behind, which blocks nobody
 *     secret.key   what seals the keys, unless systemd hands over a credential
 *     created      says that there was a database once: its absence is then an alarm
 */
#pragma once

#include "proto/base/error.h"

#define STATEDIR_DB      "onionshared.db"
#define STATEDIR_SECRET  "secret.key"
#define STATEDIR_CREATED "created"

struct statedir {
	char *path; /* without links in it; NULL: not open */
	int lock_fd;
};

/* Refusals put the exit status for main into *ret_exit. */
int statedir_open(struct statedir *ret, const char *path, struct error *err, int *ret_exit);
void statedir_close(struct statedir *dir);
/* PATH/NAME SUFFIX, owned by the caller. */
char *statedir_file(const struct statedir *dir, const char *name, const char *suffix);
/* The exit status (sysexits(3)) for a file that could not be made or used because of code. */
int statedir_exit_status(int code);
