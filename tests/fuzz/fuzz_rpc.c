/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A real server on a socketpair, with handlers that answer at once, later or
 * never: whatever the peer sends, each message that is a call has its answer or
 * the connection is closed, and every call that is not answered is told so.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/alloc.h"
#include "proto/interface.h"
#include "proto/wire.h"
#include "rpc/rpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

struct world {
	uv_loop_t loop;
	struct ev ev;
	struct rpc_server *server;
	struct rpc_call *waiting;
	bool closed;
};

static void on_gone(struct rpc_call *call)
{
	struct world *w = call->user;

	check(w->waiting == call);
	w->waiting = NULL;
}

static void m_now(struct rpc_call *call, void *ud)
{
	struct error err = ERROR_INIT;

	(void)ud;
	check(json_is_object(call->params));
	error_set(&err, EIO, "refused");
	rpc_reply_error(call, &err);
	error_done(&err);
}

static void m_later(struct rpc_call *call, void *ud)
{
	struct world *w = ud;

	w->waiting = call;
	call->user = w;
	call->gone = on_gone;
	if (call->more) {
		rpc_reply_continue(call, json_pack("{s:s}", "event", "tor"));
	}
}

#define METHODS_MAX 64

/* All of the interface: some answer at once, two later. */
static const struct rpc_method *all_methods(void)
{
	static struct rpc_method methods[METHODS_MAX + 1];

	check(interface_control.n_methods <= METHODS_MAX);
	for (size_t i = 0; i < interface_control.n_methods; i++) {
		const char *name = interface_control.methods[i].name;
		bool later = strcmp(name, "Stop") == 0 || strcmp(name, "Watch") == 0;

		methods[i] = (struct rpc_method){name, later ? m_later : m_now};
	}
	return methods;
}

static void on_closed(void *ud)
{
	struct world *w = ud;

	w->closed = true;
}

/* Takes what the server has sent: all of it must be replies. */
static void drain(int fd, struct wire_reader *r)
{
	char chunk[4096];
	struct span s;
	ssize_t n;

	while ((n = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT)) > 0) {
		check(wire_reader_feed(r, chunk, (size_t)n) == 0);
		while (wire_reader_next(r, &s)) {
			struct wire_reply reply;

			check(wire_parse_reply(s, &reply, NULL) == 0);
			wire_reply_done(&reply);
		}
	}
}

static void turn(struct world *w)
{
	for (int i = 0; i < 4; i++) {
		uv_run(&w->loop, UV_RUN_NOWAIT);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct rpc_config config = {.version = "0", .control_group = (gid_t)-1};
	const struct ucred self = {.pid = getpid(), .uid = geteuid(), .gid = getegid()};
	struct wire_reader replies = WIRE_READER_INIT;
	struct world w = {0};
	int pair[2];

	if (n > 8192) {
		return 0;
	}
	check(uv_loop_init(&w.loop) == 0);
	ev_init(&w.ev, &w.loop, 1 << 20);
	w.server = rpc_server_new(&w.ev, &config, all_methods(), &w);
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	rpc_server_adopt(w.server, pair[1], &self);

	for (size_t at = 0; at < n;) {
		size_t len = n - at < 100 ? n - at : 100;

		if (wire_send(pair[0], span_of((const char *)data + at, len), NULL, 0) < 0) {
			break; /* closed */
		}
		at += len;
		turn(&w);
		drain(pair[0], &replies);
		if (w.waiting && (at / 100) % 2) {
			m_now(take_ptr(w.waiting), NULL);
		}
	}
	shutdown(pair[0], SHUT_WR);
	turn(&w);
	drain(pair[0], &replies);
	rpc_server_close(w.server, on_closed, &w);
	while (!w.closed) {
		uv_run(&w.loop, UV_RUN_ONCE);
	}
	check(!w.waiting);
	drain(pair[0], &replies);
	close(pair[0]);
	wire_reader_done(&replies);
	ev_done(&w.ev);
	uv_run(&w.loop, UV_RUN_DEFAULT);
	check(uv_loop_close(&w.loop) == 0);
	return 0;
}
