/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Visits a service as a stranger would, and finds out where that breaks: is there Tor,
 * does the service run, does it answer on this machine, was its address announced, do
 * the network's directories hand it out, does a connection through Tor come, and what is
 * answered on it. The visit is like any other: a HEAD of the first page.
 */
#pragma once

#include <jansson.h>

#include "ev/ev.h"
#include "proto/base/error.h"
#include "svc/manager.h"

struct check;

/*
 * After each step: steps as in the RPC's CheckStep, borrowed. done: that was the last, and c is
 * gone; good: all of them were.
 */
typedef void check_fn(void *ud, const json_t *steps, bool done, bool good);

/* -errno with err set: there is no Tor. */
int check_start(struct manager *m, struct service *svc, check_fn *cb, void *ud, struct check **ret,
		struct error *err);
/* Before done only; also from within cb. */
void check_cancel(struct check *c);
