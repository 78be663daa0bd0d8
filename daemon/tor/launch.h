/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A tor of our own: its configuration written, the process started, its log
 * read, its death explained. Who connects to it and when is tor.c's matter. It
 * does not outlive us: it watches this process (__OwningControllerProcess), and
 * the control connection owns it from SETUP on.
 */
#pragma once

#include <stdbool.h>

#include "ev/ev.h"
#include "proto/base/bridge.h"
#include "proto/base/buf.h"
#include "proto/base/error.h"

#define LAUNCH_LOG_LINES 50u
#define LAUNCH_STOP_MS   5000u /* from SIGTERM to SIGKILL */

struct launch_config {
	const char *binary;            /* NULL: "tor" in PATH, or where systems keep it */
	const char *extra;             /* lines for the end of torrc, or NULL */
	const char *data_dir;          /* made if need be */
	const char *runtime_dir;       /* made if need be; torrc and sockets are in it */
	const struct bridges *bridges; /* that it shall go by; NULL or none: directly */
};

/* None is called from within a launch_ function. */
struct launch_ops {
	/* Its control socket is open. */
	void (*listening)(void *ud);
	/* It is gone; why: a sentence, valid during the call. May be started again. */
	void (*exited)(void *ud, const char *why);
};

struct launch;

/* config is copied. */
struct launch *launch_new(struct ev *ev, const struct launch_config *config,
			  const struct launch_ops *ops, void *ud);
/* Makes the directories and writes torrc. Blocks a little; again before each start does no harm. */
int launch_prepare(struct launch *l, struct error *err);
/* Others, in torrc at once, from where a tor that is running takes them after a SIGHUP. */
void launch_use_bridges(struct launch *l, const struct bridges *b);
/* 0 or -errno; it is not running. */
int launch_start(struct launch *l, struct error *err);
bool launch_running(const struct launch *l);
/* "/RUNTIME/control" */
const char *launch_control(const struct launch *l);
/* Asks it to end, in the end kills it; exited follows. Nothing if it does not run. */
void launch_end(struct launch *l);
/* Its last log lines, the oldest first, one a line. */
void launch_log(const struct launch *l, struct buf *ret);
/* The same as launch_end without exited; frees l, then calls freed. NULL l: freed is not called. */
void launch_free(struct launch *l, void (*freed)(void *ud), void *ud);

/*
 * What torrc says, for a daemon with this process id. -EINVAL: a path that tor
 * cannot be told of.
 */
int launch_torrc(const struct launch_config *config, int pid, struct buf *ret, struct error *err);
