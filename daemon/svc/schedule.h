/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Services that start and stop by themselves. What was asked for (an absolute
 * time, or seconds from 'start') becomes two absolute times of the saved row:
 * wall time decides, whatever was restarted, suspended or set meanwhile.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "proto/base/error.h"

struct manager;
struct schedule;
struct service;

#define SCHEDULE_STOPPED "auto-stop timer" /* the reason of a service that stopped so */

struct schedule *schedule_new(struct manager *m);
void schedule_free(struct schedule *s);
/* A time has changed, or a service has come: it looks at all of them, later. */
void schedule_wake(struct schedule *s);

/*
 * The times of a run that is asked for now; 0: at once, and never. -EINVAL: it
 * would stop before it starts, or its time to stop has passed.
 */
int schedule_plan(const struct service *svc, int64_t *ret_start_ms, int64_t *ret_stop_ms,
		  struct error *err);
/* May these options be set now? Times that have passed may not. */
int schedule_check(const json_t *options, int64_t now_ms, struct error *err);
/* The newer of a time and its timer replaces the other: removes that from all. */
void schedule_replace(const json_t *changes, json_t *all);
/*
 * The times of a service that is scheduled or up, when its options become all.
 * changed: names of options, as keys. What they do not touch stays.
 */
int schedule_edit(const struct service *svc, const json_t *all, const json_t *changed,
		  int64_t *ret_start_ms, int64_t *ret_stop_ms, struct error *err);

/* It was to stop while nobody was there to do it: then it is not started again. */
int schedule_missed_stop(struct service *svc);
/* New references: when it will start and stop by itself, as far as that is known; or null. */
json_t *schedule_start_json(const struct service *svc);
json_t *schedule_stop_json(const struct service *svc);
