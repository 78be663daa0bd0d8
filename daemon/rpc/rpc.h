/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The control socket: Varlink calls (varlink.org), one JSON object ending in
 * NUL each, answered in order on their connection. Peers are known by
 * SO_PEERCRED; every method has a permission (proto/interface.h). What comes in
 * is validated against the interface before a handler sees it.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/list.h"
#include "ev/ev.h"
#include "proto/base/error.h"
#include "proto/wire.h"

#define RPC_MAX_MESSAGE     WIRE_MAX_MESSAGE
#define RPC_MAX_CONNECTIONS 64u            /* a user */
#define RPC_MAX_OUTPUT      (1024u * 1024) /* waiting for a subscriber, who is dropped above */
#define RPC_MAX_DESCRIPTORS WIRE_MAX_DESCRIPTORS /* with one message */

struct rpc_server;

/*
 * One call that waits for its answer. Lives until it is answered for the last
 * time (reply without more to come, or error) or its connection is gone: then
 * gone is called, once, and the call may not be touched any more. No gone after
 * the last answer.
 */
struct rpc_call {
	const json_t *params; /* validated object; borrowed */
	bool more;            /* the caller wants a stream */
	const struct ucred *peer;
	int *fds; /* n_fds descriptors that came with it; take one by setting it to -1 */
	unsigned n_fds;
	void *user; /* the handler's */
	/* May be NULL: after an answer with more to come, all that was answered has gone out. */
	void (*writable)(struct rpc_call *call);
	void (*gone)(struct rpc_call *call);
};

typedef void rpc_handler_fn(struct rpc_call *call, void *ud);

/* result: an object or NULL (empty); the reference is taken. Call is over. */
void rpc_reply(struct rpc_call *call, json_t *result);
/*
 * The same with n descriptors (1 to RPC_MAX_DESCRIPTORS) that the caller gets beside
 * it; they are taken, also if the answer cannot be sent.
 */
void rpc_reply_fds(struct rpc_call *call, json_t *result, const int *fds, unsigned n);
/* One of several: more will come. Only if call->more. false: dropped, gone was called. */
bool rpc_reply_continue(struct rpc_call *call, json_t *result);
/* A typed error as its kind says. Call is over. */
void rpc_reply_error(struct rpc_call *call, const struct error *err);

/*
 * The connection behind a call, to bind things to its life (one-off services):
 * closed is called once when it ends, however it ends.
 */
struct rpc_bound {
	void (*closed)(struct rpc_bound *bound);
	struct list link; /* private */
};
void rpc_bind(struct rpc_call *call, struct rpc_bound *bound);
/* Also when it was closed already. */
void rpc_unbind(struct rpc_bound *bound);

struct rpc_method {
	const char *name; /* without the interface: "Start" */
	rpc_handler_fn *fn;
};

struct rpc_config {
	const char *version; /* of the program, for GetInfo */
	gid_t control_group; /* members may control; (gid_t)-1: none */
};

/* methods: ends with name NULL; each must be in the interface and all of the interface there. */
struct rpc_server *rpc_server_new(struct ev *ev, const struct rpc_config *config,
				  const struct rpc_method *methods, void *ud);
/* The socket file is open to the daemon's user alone, or to the control group too. */
int rpc_server_listen(struct rpc_server *s, const char *path, struct error *err);
/* One handed over (systemd). It becomes the server's, and is closed if it cannot. */
int rpc_server_listen_fd(struct rpc_server *s, int fd, struct error *err);
/*
 * A connection that was accepted elsewhere, or one end of a socketpair: it
 * becomes the server's. The same rules as for those that it accepts.
 */
void rpc_server_adopt(struct rpc_server *s, int fd, const struct ucred *peer);
/* Every connection ends, calls that wait are gone; then closed is called and s is no more. */
void rpc_server_close(struct rpc_server *s, void (*closed)(void *ud), void *ud);
