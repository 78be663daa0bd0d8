/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A control server in a loop of its own, with methods that do what a test asks
 * for, and clients on socketpairs. The loop turns while a client waits.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "proto/wire.h"
#include "rpc/rpc.h"

struct world {
	uv_loop_t loop;
	struct ev ev;
	uint64_t last_progress;
	struct rpc_server *server;
	bool closed;
	/* what the methods below have seen and shall do */
	struct rpc_call *waiting; /* Stop and Watch, until the test answers */
	unsigned gone;
	unsigned calls;
	unsigned list_length;
	unsigned fds_seen;
	struct rpc_bound bound;
	unsigned bound_closed;
};

/* cmocka's fixtures: a world without a control group. */
int world_setup(void **state);
int world_teardown(void **state);
void world_open(struct world *f, gid_t control_group);
void world_close(struct world *f);
/* What is ready; and if nothing is, until something is, for a moment. Fails after 10 s of nothing.
 */
void world_turn(struct world *f);
/* Until nothing more is ready by itself. */
void world_settle(struct world *f);
void world_server_closed(void *ud);

struct client {
	struct world *f;
	int fd;
	struct wire_reader reader;
	bool ended; /* the server has closed */
};

void client_open(struct client *c, struct world *f); /* as the test's own user */
void client_open_as(struct client *c, struct world *f, const struct ucred *peer);
void client_close(struct client *c);
void send_span(struct client *c, struct span s);
/* A message: the text and its NUL. */
void send_text(struct client *c, const char *text);
/* The next message, NULL when the server has closed. The caller's. */
json_t *receive(struct client *c);
void assert_closed(struct client *c);
void expect_reply(struct client *c, const char *want);
void expect_error(struct client *c, const char *name);
void expect_alive(struct client *c);

/* Things that methods answer. */
json_t *a_service(const char *title);
json_t *tor_event(const char *state);

#define CONTROL(method) "{\"method\":\"org.onionshared.Control." method "\"}"
#define EMPTY           "{\"parameters\":{}}"
