/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A connection to the daemon: Varlink calls, waited for without a thread and
 * without deaf moments: a signal that ends the program ends every wait.
 */
#pragma once

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/error.h"
#include "proto/interface.h"
#include "proto/wire.h"

/* error.code when no daemon answers: none there, or gone in the middle of a call. */
#define RPC_NO_DAEMON ENOTCONN
/* error.code when a signal ended the wait; rpc_signal() tells which. */
#define RPC_INTERRUPTED EINTR

/* error.code when one of those that rpc_heed_terminal() speaks of ended the wait. */
#define RPC_WOKEN EAGAIN

/* Where the daemon's socket is: by option, environment, then the usual places. */
enum rpc_scope { RPC_ANY, RPC_USER, RPC_SYSTEM };

struct rpc {
	int sock;
	struct wire_reader reader;
	char *path;                      /* of the socket */
	const struct method_def *method; /* that was called last; NULL: one we do not know */
	int fds[WIRE_MAX_DESCRIPTORS];   /* that came, until somebody takes them */
	unsigned n_fds;
};

/* Blocks SIGINT, SIGTERM and SIGHUP and waits for them beside everything else. Once. */
void rpc_init(void);
/*
 * For who owns the terminal's whole screen: while heed, a change of its size
 * (SIGWINCH) or the wish to be suspended (SIGTSTP) ends a wait with RPC_WOKEN,
 * and SIGQUIT ends the program as the others do. false: they wait.
 */
void rpc_heed_terminal(bool heed);
/* Which of the two came last. */
int rpc_woken_by(void);
/* The signal that came, 0 if none. */
int rpc_signal(void);

/* path: --socket or NULL. 0 or -errno with what to do. */
int rpc_open(const char *path, enum rpc_scope scope, struct rpc **ret, struct error *err);
void rpc_close(struct rpc *rpc);

struct rpc_fds {
	int fd[WIRE_MAX_DESCRIPTORS];
	unsigned n;
};
void rpc_fds_close(struct rpc_fds *fds);

/* method: of our interface, or with its own. params are taken. fds may be NULL, stay the caller's.
 */
int rpc_send(struct rpc *rpc, const char *method, json_t *params, bool more,
	     const struct rpc_fds *fds, struct error *err);
/*
 * The next reply: *ret is its parameters (new reference, never NULL). An error
 * from the daemon comes as its struct error. deadline_ms: rpc_now() and
 * something, or RPC_FOREVER; ETIMEDOUT and ERROR_TIMEOUT when it passes.
 */
#define RPC_FOREVER INT64_MAX
int rpc_receive(struct rpc *rpc, int64_t deadline_ms, json_t **ret, bool *ret_continues,
		struct error *err);
/* rpc_send and the one reply, checked against the interface. */
int rpc_call(struct rpc *rpc, const char *method, json_t *params, json_t **ret, struct error *err);
/* The same; descriptors that came beside the reply are the caller's (also on an error). */
int rpc_call_fds(struct rpc *rpc, const char *method, json_t *params, json_t **ret,
		 struct rpc_fds *ret_fds, struct error *err);
/* Milliseconds of a clock that only goes forward. */
int64_t rpc_now(void);

/* Has a signal come that ends the program? -EINTR then; for work that never waits. */
int rpc_check_signal(struct error *err);
/* Waits until fd can be read or a signal has come (-EINTR). */
int rpc_wait_readable(int fd, struct error *err);
