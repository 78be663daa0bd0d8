/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * OnionShare's settings (onionshare.json): how it comes to Tor, in the daemon's own words. Pure:
 * bytes in, text out. Whoever wrote the bytes is not trusted; no error repeats a bridge or
 * password.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "proto/base/bridge.h"

#define SETTINGS_NOTES_MAX 4u

struct settings {
	struct buf conf;                       /* lines for onionshared.conf(5) */
	struct bridges bridges;                /* by which it enters Tor; n 0: by none */
	const char *notes[SETTINGS_NOTES_MAX]; /* what it cannot say, and what to do; static */
	size_t n_notes;
};

#define SETTINGS_INIT ((struct settings){.conf = BUF_INIT, .bridges = BRIDGES_INIT})

/* Is it such a file, and no saved tab? */
bool settings_is(struct span text);
int settings_parse(struct span text, struct settings *ret, struct error *err);
void settings_done(struct settings *s);
