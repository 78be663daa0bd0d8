/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * systemd, where it is: readiness (sd_notify(3)), sockets handed over
 * (sd_listen_fds(3)), the journal, credentials (systemd.exec(5)). Without
 * libsystemd at build time, or not started by systemd, each does nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"

/* "READY=1", "STOPPING=1", "STATUS=...": lines as in sd_notify(3). */
void sd_tell(const char *state);
/* "RELOADING=1" with the time that belongs to it; "READY=1" ends it. */
void sd_tell_reloading(void);
/* How often "WATCHDOG=1" is wanted at least, in milliseconds; 0: not at all. */
uint64_t sd_watchdog_ms(void);
/* The control socket from the socket unit, or -1. It is the caller's. */
int sd_control_socket(void);
/*
 * Is our stderr the journal? Then lines go there by sd_journal_sink, with their
 * level, MESSAGE_ID where they tell an event (systemd/onionshared.catalog
 * explains each), and ONIONSHARED_SERVICE where it is a service's.
 */
bool sd_stderr_is_journal(void);
void sd_journal_sink(const struct log_line *line);
