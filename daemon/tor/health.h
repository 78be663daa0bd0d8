/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What tor says about its way into the network (control-spec sections 4.1.10
 * and 3.9, "status/bootstrap-phase"), as a percentage and as sentences for people. Pure.
 */
#pragma once

#include <stdbool.h>

#include "proto/base/span.h"

struct health {
	int percent; /* -1: not known */
	char summary[128];
	char *problem; /* what is wrong and what to do; owned; NULL if nothing */
	char *skew;    /* the same for the clock, which outlives other progress */
};

#define HEALTH_INIT ((struct health){.percent = -1})

void health_done(struct health *h);
/* Back to knowing nothing. */
void health_reset(struct health *h);
/*
 * "NOTICE BOOTSTRAP PROGRESS=...", as GETINFO has it and as it stands behind
 * STATUS_CLIENT; or "WARN CLOCK_SKEW ..." behind STATUS_GENERAL. Others are
 * ignored. True if something changed.
 */
bool health_feed(struct health *h, struct span status);
/* Nothing has moved for so many seconds. True if that was news. */
bool health_stuck(struct health *h, unsigned seconds);
/* The worse of the problems, or NULL. */
const char *health_problem(const struct health *h);
