/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What was copied for services: STATE/content/RELEASE/N/..., a release for each
 * time that somebody handed files over, and in it a part N for each path.
 *
 * Nothing here decides what a service shows: its row in the database does. A part
 * that neither a row nor anybody who still reads needs is deleted; what a crash
 * has left without a row is swept away by the next daemon. So a release is whole
 * or not there, without a rename.
 */
#pragma once

#include <jansson.h>

#include "mode/content.h"

struct manager;

#define COPIES_DIR "content" /* beneath the state directory */

/* The directory of releases, and what names the releases of this run of the daemon. */
void copies_init(struct manager *m);
/* Nothing is deleted any more: what rows refer to stays. */
void copies_done(struct manager *m);
/* Of this run, never used before. Owned by the caller. */
char *copies_new_release(struct manager *m);

/* sources: as in struct service_row, or NULL. A part is held as often as it is dropped. */
void copies_hold(struct manager *m, const json_t *sources);
void copies_drop(struct manager *m, const json_t *sources);
/* A whole release that nobody has held. */
void copies_remove_release(struct manager *m, const char *release);
/*
 * At start, when all rows are known and held: deletes what earlier runs of the
 * daemon left without a row.
 */
void copies_sweep(struct manager *m);

/* Of these paths; what it serves of them is held as long as it lives. One reference. */
struct mode_content *copies_content(struct manager *m, const json_t *paths, const json_t *sources,
				    unsigned layout);
