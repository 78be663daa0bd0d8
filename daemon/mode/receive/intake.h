/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One submission, from the first byte of its form to the disk. It knows nothing
 * of requests: the body may come in one, or in many with hours between them.
 *
 * Callbacks come from the loop, and also from within intake_feed, intake_end and
 * intake_cancel, not from within intake_new.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "http/body.h"
#include "http/content/multipart.h"
#include "mode/receive/receive.h"
#include "mode/receive/refusal.h"

struct intake;

struct intake_ops {
	/* Bytes are wanted: at first, and after intake_feed or intake_wants said no. */
	void (*more)(void *ud);
	/*
	 * Decided, once, unless it was cancelled: why it was refused, or REFUSED_NOT
	 * and what to say; then it is on the disk for good. text is for the call.
	 */
	void (*result)(void *ud, enum refusal why, struct span text);
	/* Nothing is left to do; once, the last call, never from within another function. */
	void (*over)(void *ud);
};

/* total: bytes of the body, or HTTP_LENGTH_UNKNOWN; it must be kept to. r outlives it. */
struct intake *intake_new(struct receive *r, const struct multipart_boundary *boundary,
			  uint64_t total, const struct intake_ops *ops, void *ud);
/* May bytes be fed? If not yet, ops->more comes. */
bool intake_wants(struct intake *in);
/* 0; HTTP_SINK_PAUSE: taken, but wait for ops->more; -ECANCELED: decided already. */
int intake_feed(struct intake *in, struct span bytes);
/* The body is whole. */
void intake_end(struct intake *in);
/* True: nothing of it will be kept, no result comes. False: too late, or decided already. */
bool intake_cancel(struct intake *in);
/*
 * Between two pieces it waits for its sender: then it does not count as active
 * (mode.h). At first it is not parked.
 */
void intake_park(struct intake *in, bool parked);
/* Bytes of the body that were fed. */
uint64_t intake_received(const struct intake *in);
