/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * systemd, where it is: readiness (sd_notify(3)), sockets handed over
 * (sd_listen_fds(3)), the journal, credentials (systemd.exec(5)). Without
 * libsystemd at build time, or not started by systemd, each does nothing.
 */
#pragma once

#include <stdbool.h>

#include "base/log.h"

/* "READY=1", "STOPPING=1", "STATUS=...": lines as in sd_notify(3). */
void sd_tell(const char *state);
/* The control socket from the socket unit, or -1. It is the caller's. */
int sd_control_socket(void);
/* Is our stderr the journal? Then sd_journal_sink gives lines their level there. */
bool sd_stderr_is_journal(void);
void sd_journal_sink(enum log_level level, const char *text);
