/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The daemon's parts put together, run, and ended in order. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "proto/base/error.h"

struct app_config {
	struct config *config; /* read; owned by main, replaced by a reload */
	/* Reads the configuration anew, with the command line on top: for reloads. */
	int (*reload)(struct config *ret, struct error *err);
	bool local_only;
	bool is_system; /* the machine's daemon, not a user's own */
	const char *state_dir;
	const char *runtime_dir;
};

/* Until the daemon is asked to stop or cannot go on: the exit status. */
int app_run(const struct app_config *config);
