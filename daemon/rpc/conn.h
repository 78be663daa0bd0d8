/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One control connection: bytes in and out, one call at a time. What a call is
 * stands in dispatch.h. Callers of the daemon's methods use rpc.h.
 *
 *   OPEN -> (peer has sent all) ENDING -> CLOSED
 *
 * Replies are only added to the output; they are written, and the next call is
 * looked at, in the loop's next turn: so nothing here ever calls a handler from
 * within its own reply, and a burst of events is one write.
 */
#pragma once

#include "base/list.h"
#include "proto/wire.h"
#include "rpc/auth.h"
#include "rpc/rpc.h"

struct rpc_running; /* dispatch.h */

struct rpc_conn {
	struct rpc_server *server;
	struct list link; /* of the server's connections */
	int fd;
	uv_poll_t poll;
	int events; /* that poll waits for */
	uv_timer_t turn;
	int open_handles;
	struct ucred peer;
	enum permission permission;
	struct wire_reader reader;
	int fds[RPC_MAX_DESCRIPTORS]; /* they belong to the last message in the reader */
	unsigned n_fds;
	struct buf out;
	size_t written;                   /* of out */
	int out_fds[RPC_MAX_DESCRIPTORS]; /* go with the byte of out at out_fds_at */
	unsigned n_out_fds;
	size_t out_fds_at;
	struct rpc_running *running; /* the call that is not answered yet */
	struct list bound;
	bool ending; /* nothing more is read: the peer has sent all, or nonsense */
	bool broken; /* to be closed in the next turn */
	bool closing;
};

/* fd becomes the connection's, also on failure. Linked into the server's list. */
int rpc_conn_open(struct rpc_server *s, int fd, const struct ucred *peer, enum permission may);
/* Calls what waits (gone, closed) and closes. After it, c lives until the loop has closed its
 * handles. */
void rpc_conn_close(struct rpc_conn *c);
/* Writes and looks at the next call, soon. */
void rpc_conn_wake(struct rpc_conn *c);
/* What can be written is written: 0, or -errno if the peer is gone. */
int rpc_conn_flush(struct rpc_conn *c);
static inline size_t rpc_conn_unwritten(const struct rpc_conn *c)
{
	return c->out.len - c->written;
}
