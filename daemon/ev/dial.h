/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A connection to a socket on this machine, Unix or TCP, by its address: nothing is looked up. */
#pragma once

#include <sys/socket.h>

#include "ev/ev.h"

struct dial;

/* fd: connected, non-blocking, close-on-exec, now the callee's; or -errno. */
typedef void dial_fn(void *ud, int fd);

/* cb comes later, once, unless dial_cancel comes first. -ETIMEDOUT after timeout_ms. */
struct dial *dial_start(struct ev *ev, const struct sockaddr *addr, socklen_t len,
			unsigned timeout_ms, dial_fn *cb, void *ud);
/* Before cb only. */
void dial_cancel(struct dial *d);
