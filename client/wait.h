/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Waiting for a service's state, with the way there as the live line. */
#pragma once

#include "client/cmd.h"

/*
 * goal: "running", "stopped" or "reachable". deadline_ms: as for rpc_receive.
 * *ret: the service as it is then.
 */
int wait_for_service(struct ctl *ctl, const char *name, const char *goal, int64_t deadline_ms,
		     json_t **ret, struct error *err);

/* The live line for a service that is on its way, and for Tor; tor NULL or JSON null: without Tor.
 */
void wait_show(const json_t *service, const json_t *tor);
