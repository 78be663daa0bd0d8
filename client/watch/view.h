/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Events of Watch as a person sees them: a line for what begins and ends, the
 * live line for transfers under way. Not for --json.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/rpc.h"
#include "client/watch/news.h"

#define VIEW_TIMES_MAX 64 /* services with a time to come */

struct view_time {
	char name[64 + 1];
	int64_t start_ms, stop_ms; /* 0: none */
};

struct view {
	bool one_service; /* its name need not be said */
	bool notes;       /* lines go to stderr: they are not the result */

	struct transfers transfers;
	struct view_time times[VIEW_TIMES_MAX];
	size_t n_times;
	int64_t drawn_ms; /* the live line, for an event */
};

void view_done(struct view *v);

/* event: a checked reply of Watch. Snapshots and Tor's events are the caller's. */
void view_event(struct view *v, const json_t *event);
/* The times of a service, as it or an event of its state has them. */
void view_note_times(struct view *v, const json_t *service);
/*
 * rpc_receive, with the live line drawn each second while it counts down.
 */
int view_receive(const struct view *v, struct rpc *rpc, int64_t deadline_ms, json_t **ret,
		 bool *ret_continues, struct error *err);
/* Draws the live line again, as after lines of somebody else's. */
void view_draw(const struct view *v);
