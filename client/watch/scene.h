/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What watch knows by now: Tor, the services, the transfers under way and what
 * was last. Made of Watch's events; knows nothing of terminals. Texts are as
 * they came: who shows them escapes them.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/watch/news.h"
#include "proto/units.h"

#define SCENE_SERVICES_MAX 4096 /* further ones are only counted */
#define SCENE_LATEST_MAX   16   /* of each kind */

/* All zero but the name: not known, or none. */
struct scene_service {
	char name[SERVICE_NAME_MAX + 1];
	char *state, *reason, *url;  /* NULL: none */
	int64_t start_ms, stop_ms;   /* since 1970 */
	uint64_t completed, members; /* transfers, people in the room */
};

struct scene_entry {
	int64_t at_ms; /* since 1970 */
	char name[SERVICE_NAME_MAX + 1];
	char *text;
};

/* The newest come first. */
struct scene_latest {
	struct scene_entry all[SCENE_LATEST_MAX];
	size_t n;
};

struct scene {
	char *tor; /* a line; NULL before the snapshot */
	bool tor_ready;
	struct scene_service *services; /* by name */
	size_t n_services, n_left_out;
	struct transfers transfers;
	struct scene_latest submissions, finished;
};

struct scene_time {
	int64_t steady_ms; /* rpc_now() */
	int64_t wall_ms;   /* since 1970 */
};

void scene_done(struct scene *s);
/* event: a checked reply of Watch; a snapshot with all its services. */
void scene_event(struct scene *s, const json_t *event, const struct scene_time *now);
/* Is there a service of that name whose address is not known? */
bool scene_lacks_address(const struct scene *s, const char *name);
/* A service object that was asked for. */
void scene_note_service(struct scene *s, const json_t *service);
