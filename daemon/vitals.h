/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What systemd hears of a running daemon: the status line of `systemctl status`,
 * and the watchdog's food. It is fed when the loop turns and the database's
 * thread has answered a question since the last time; either of them stuck, the
 * daemon is ended and started again. Without systemd nothing of this runs.
 */
#pragma once

#include <stdbool.h>
#include <uv.h>

#include "store/store.h"
#include "svc/manager.h"
#include "tor/tor.h"

struct vitals {
	uv_timer_t status, watchdog;
	struct store *store;
	struct manager *manager; /* NULL: not started, or stopped */
	struct tor *tor;
	bool asked; /* the database's thread, and no answer yet */
	char *told; /* the status line as systemd knows it */
};

/* When all of them are there; tor NULL: local only. */
void vitals_start(struct vitals *v, uv_loop_t *loop, struct store *store, struct manager *manager,
		  struct tor *tor);
/* A service's state or Tor's has changed: the status line follows in a moment. Any time. */
void vitals_changed(struct vitals *v);
/* Before what it looks at goes; also without start, and a second time. */
void vitals_stop(struct vitals *v);
