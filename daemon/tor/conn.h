/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One connection to a tor's control port: a Unix socket or loopback TCP. One
 * command is in flight at a time, and there is no queue: who wants to send
 * waits for idle. Replies belong to commands by their order alone, and tor has been
 * seen to leave a command without any; so a command that is not answered in time
 * ends the connection.
 *
 * Everything read and written is wiped after use: onion keys pass through here.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "ev/ev.h"
#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "tor/lexer.h"

#define CTL_TIMEOUT_MS 30000u

struct ctl_addr {
	struct sockaddr_storage sa;
	char text[128]; /* for people */
};

/*
 * "unix:/path", "/path", "HOST:PORT" or "PORT"; HOST is localhost or an address
 * of the loopback, for onion keys are sent there in the clear. -EINVAL.
 */
int ctl_addr_parse(const char *s, struct ctl_addr *ret, struct error *err);
static inline bool ctl_addr_is_unix(const struct ctl_addr *a)
{
	return a->sa.ss_family == AF_UNIX;
}

/* "127.0.0.1:PORT" or "[::1]:PORT" */
void ctl_addr_print_tcp(const struct ctl_addr *a, char *ret, size_t size);

struct ctl_conn;

/* None is called from within a ctl_ function. In each, the connection may be closed. */
struct ctl_ops {
	void (*connected)(void *ud);
	/* A 650 line or lines; valid during the call. */
	void (*event)(void *ud, const struct ctl_reply *event);
	/* It failed or ended: once, after which only ctl_close is left. */
	void (*lost)(void *ud, const struct error *why);
};

/* reply is valid during the call. Not called when the connection is lost or closed first. */
typedef void ctl_reply_fn(void *ud, const struct ctl_reply *reply);

/* timeout_ms: to be connected, and for each command. */
struct ctl_conn *ctl_open(struct ev *ev, const struct ctl_addr *addr, unsigned timeout_ms,
			  const struct ctl_ops *ops, void *ud);
/*
 * fd: a connection that ctl_leave has returned, logged in and without a command under way; it is
 * taken. connected comes later. -errno: it is none, and closed.
 */
int ctl_inherit(struct ev *ev, int fd, unsigned timeout_ms, const struct ctl_ops *ops, void *ud,
		struct ctl_conn **ret);
/* Is fd connected to that address? */
bool ctl_is_at(int fd, const struct ctl_addr *addr);
/*
 * Only when idle, and with no event asked for: a descriptor of it that outlives ctl_close,
 * which is all that may follow. -errno.
 */
int ctl_leave(struct ctl_conn *c);
/* closed (may be NULL) comes later, once; nothing else any more. */
void ctl_close(struct ctl_conn *c, void (*closed)(void *ud), void *ud);
/* Connected, and no command in flight. */
bool ctl_idle(const struct ctl_conn *c);
/* One line without its end; moved out of line and wiped once sent. Only when idle. */
void ctl_send(struct ctl_conn *c, struct buf *line, ctl_reply_fn *cb, void *ud);
void ctl_sendf(struct ctl_conn *c, ctl_reply_fn *cb, void *ud, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/*
 * Ends the connection as if it had failed: lost comes later. For replies that
 * make no sense.
 */
void ctl_fail(struct ctl_conn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Who listens on a Unix socket; (uid_t)-1 if it is not known. */
uid_t ctl_peer_uid(const struct ctl_conn *c);
/* Does Debian's AppArmor profile of tor hold it? False where nobody can tell. */
bool ctl_peer_confined(const struct ctl_conn *c);
