/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What import is to bring in: files and directories of the caller's, read with the
 * caller's rights before anything is asked of the daemon.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "client/move/settings.h"
#include "proto/base/error.h"

#define GATHER_MAX 4096u /* services at once: as many as a daemon has */

struct moving {
	char *from;     /* the path that it was read from */
	json_t *params; /* of Import, with a name */
	bool start;     /* it was running, or started by itself, where it was */
};

struct gathered {
	struct moving *all;
	size_t n;
	/* What is served and, of what does not say so itself (a HiddenServiceDir), how; borrowed.
	 */
	const char *mode;    /* NULL: then that is refused */
	const json_t *paths; /* NULL: what is served where it comes from */
	/* For files that export has encrypted; borrowed. NULL: the passphrase is asked for. */
	const char *passphrase_file, *identity_file;
	/* OnionShare's, if they were among it (settings_from NULL: they were not); owned. */
	struct settings settings;
	char *settings_from;
};

/*
 * What export has written, a saved tab of OnionShare's, a directory of them, its settings, all of
 * its folder, or a HiddenServiceDir of tor's: adds it to g. 0, or -errno and err names the file;
 * what was added before stays.
 */
int gather(struct gathered *g, const char *path, struct error *err);
void gathered_done(struct gathered *g);
