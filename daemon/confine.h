/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which directories the daemon writes to, and that the kernel holds it to them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "config.h"

struct confine {
	const struct config *config;
	bool is_unit; /* the machine's daemon, started by systemd */
	const char *state_dir, *runtime_dir;
};

/*
 * Before the daemon has threads; ud is a struct confine, dirs are the services'
 * data directories. Where the kernel cannot, a line in the log is all.
 */
void confine_writes(void *ud, char *const *dirs, size_t n);
