/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Visits the frontend of an Onionbalance and its backends through Tor: which of them answer for
 * the frontend's name, with which validator, and how old their descriptors are. They may be
 * anybody's: nothing of it needs a service of this daemon.
 */
#pragma once

#include <jansson.h>

#include "proto/base/error.h"
#include "svc/manager.h"

#define BALANCE_BACKENDS_MAX 64u
#define BALANCE_VISITS_MAX   8u /* at once; tor looks up one after the other */

struct balance_check;

/*
 * Do all answer, with the same status and the same strong validator? UNKNOWN: with the same
 * status, but none has a validator.
 */
enum balance_release { BALANCE_SAME, BALANCE_DIFFERENT, BALANCE_UNKNOWN };

/*
 * After each visit: visits as in the RPC's BalanceVisit, those that are over, borrowed. done: that
 * was the last, and the check is gone; release counts from then on.
 */
typedef void balance_fn(void *ud, const json_t *visits, bool done, enum balance_release release);

struct balance_request {
	const char *frontend;
	const json_t *backends; /* array of strings */
	const char *path;       /* what is asked for; NULL: what a share or a website has */
};

/* -errno with err set: an address or the path is wrong, or there is no Tor. */
int balance_start(struct manager *m, const struct balance_request *request, balance_fn *cb,
		  void *ud, struct balance_check **ret, struct error *err);
/* Before done only; also from within cb. */
void balance_cancel(struct balance_check *b);
