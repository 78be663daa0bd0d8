/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The server as its own connections see it; for others it is rpc.h. */
#pragma once

#include "base/list.h"
#include "proto/interface.h"
#include "rpc/rpc.h"

struct listener;

#define RPC_MAX_LISTENERS 2u

struct rpc_server {
	struct ev *ev;
	char *version;
	gid_t control_group;
	rpc_handler_fn **handlers; /* in the order of the interface's methods */
	void *ud;
	struct listener *listeners[RPC_MAX_LISTENERS];
	unsigned n_listeners;
	struct list conns;
	unsigned open; /* listeners and connections that the loop has not closed yet */
	void (*closed)(void *ud);
	void *closed_ud;
};

rpc_handler_fn *rpc_server_handler(const struct rpc_server *s, const struct method_def *method);
void rpc_server_conn_closed(struct rpc_server *s);
