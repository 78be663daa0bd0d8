/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From a message to a handler and from its answer to a message. In this order:
 * is it a call, does the method exist, may the peer, are the parameters right.
 */
#pragma once

#include "rpc/conn.h"

/* A call that was handed to a handler. */
struct rpc_running {
	struct rpc_call call;
	struct rpc_conn *conn;
	struct wire_call wire;
	const struct interface *interface;
	const struct method_def *method;
	int fds[RPC_MAX_DESCRIPTORS];
};

/* What is no call at all breaks its connection. */
void rpc_dispatch_message(struct rpc_conn *c, struct span message);
/* The output is empty: who answers in several pieces is asked for the next. */
void rpc_dispatch_writable(struct rpc_conn *c);
/* The connection ends: who works at its call is told. */
void rpc_dispatch_gone(struct rpc_conn *c);
