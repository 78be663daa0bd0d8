/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A program run as a child: its output comes as lines, its end is told with
 * all it said before. It has a session of its own, so that a terminal's Ctrl-C reaches the
 * daemon alone, which then ends it in good order.
 */
#pragma once

#include <sys/types.h>

#include "ev/ev.h"
#include "proto/base/error.h"
#include "proto/base/span.h"

#define CHILD_LINE_MAX 1024u /* bytes; the rest of a longer line is dropped */

struct child;

struct child_ops {
	/* Of stdout or stderr, without its end; valid during the call. Must not close the child. */
	void (*line)(void *ud, struct span line);
	/* Once. signum is 0 unless a signal ended it. child_close is left to do. */
	void (*exited)(void *ud, int status, int signum);
};

/*
 * argv[0] is looked for in PATH unless it has a slash; stdin is /dev/null. The
 * environment is ours without what systemd meant for us (its notification
 * socket, watchdog, listening sockets and credentials). 0 or -errno; -ENOENT: no such program.
 */
int child_spawn(struct ev *ev, const char *const *argv, const struct child_ops *ops, void *ud,
		struct child **ret);
pid_t child_pid(const struct child *c);
/* Does nothing once it has exited. */
void child_kill(struct child *c, int signum);
/* One that lives still is killed. closed (may be NULL) comes later, nothing else any more. */
void child_close(struct child *c, void (*closed)(void *ud), void *ud);
