/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * systemd, where it is: readiness (sd_notify(3)), sockets handed over
 * (sd_listen_fds(3)), the journal, credentials (systemd.exec(5)). Without
 * libsystemd at build time, or not started by systemd, each does nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

/* "READY=1", "STOPPING=1", "STATUS=...": lines as in sd_notify(3). */
void sd_tell(const char *state);
/* "RELOADING=1" with the time that belongs to it; "READY=1" ends it. */
void sd_tell_reloading(void);
/* How often "WATCHDOG=1" is wanted at least, in milliseconds; 0: not at all. */
uint64_t sd_watchdog_ms(void);
/*
 * Descriptors that systemd hands over: of a socket unit, and those that an earlier daemon has
 * had kept (and which it does not keep any longer). All are the caller's, to be freed by
 * sd_fds_free behind the descriptors; a second call finds none.
 */
struct sd_fds {
	struct sd_fd {
		int fd;
		char *name;
	} * all;
	size_t n;
};
struct sd_fds sd_take_fds(void);
void sd_fds_free(struct sd_fds *fds);
/*
 * Are descriptors kept from one process of the unit to the next? Its $FDSTORE says so, which
 * systemd sets from version 254 on, and our unit for those before.
 */
bool sd_keeps_fds(void);
/* Keeps a copy of fd under that name (FDSTORE=1 of sd_notify(3)). */
void sd_keep_fd(const char *name, int fd);
/*
 * Is our stderr the journal? Then lines go there by sd_journal_sink, with their
 * level, MESSAGE_ID where they tell an event (systemd/onionshared.catalog
 * explains each), and ONIONSHARED_SERVICE where it is a service's.
 */
bool sd_stderr_is_journal(void);
void sd_journal_sink(const struct log_line *line);
