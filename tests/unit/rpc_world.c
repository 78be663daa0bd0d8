/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
/* after those */
#include <cmocka.h>

#include "proto/base/alloc.h"
#include "rpc_world.h"

#define PATIENCE_MS 10000 /* then a test has failed; none waits that long */

/* --- methods --- */

json_t *a_service(const char *title)
{
	return json_pack("{s:s, s:s, s:s, s:b, s:n, s:s, s:n, s:n, s:b, s:[], s:s, s:n, s:n, s:{}, "
			 "s:[], s:b, s:{s:i, s:i, s:i, s:i}, s:s, s:n}",
			 "name", "a", "mode", "share", "state", "stopped", "wanted", 0, "reason",
			 "url", "http://127.0.0.1:1", "onion", "backend", "public", 1, "keys",
			 "title", title, "start_at", "stop_at", "options", "paths", "ephemeral", 0,
			 "transfers", "active", 0, "completed", 0, "bytes_in", 0, "bytes_out", 0,
			 "created_at", "2026-11-22T14:00:00Z", "started_at");
}

static void on_gone(struct rpc_call *call)
{
	struct world *f = call->user;

	f->gone++;
	f->waiting = NULL;
}

static void m_wait(struct rpc_call *call, void *ud)
{
	struct world *f = ud;

	f->calls++;
	f->waiting = call;
	call->user = f;
	call->gone = on_gone;
}

static void m_empty(struct rpc_call *call, void *ud)
{
	struct world *f = ud;

	f->calls++;
	rpc_reply(call, NULL);
}

static void m_wrong(struct rpc_call *call, void *ud)
{
	(void)ud;
	rpc_reply(call, json_pack("{s:i}", "service", 5));
}

static void m_error(struct rpc_call *call, void *ud)
{
	struct error err = ERROR_INIT;
	const char *name = json_string_value(json_object_get(call->params, "name"));

	(void)ud;
	error_set_kind(&err, ENOENT, ERROR_NO_SUCH_SERVICE, name, NULL, "no service is called %s",
		       name ? name : "that");
	rpc_reply_error(call, &err);
	error_done(&err);
}

static void m_list(struct rpc_call *call, void *ud)
{
	struct world *f = ud;
	json_t *services = json_array();

	f->calls++;
	for (unsigned i = 0; i < f->list_length; i++) {
		json_array_append_new(services, a_service("t"));
	}
	rpc_reply(call, json_pack("{s:o}", "services", services));
}

static void m_create(struct rpc_call *call, void *ud)
{
	struct world *f = ud;

	f->fds_seen = call->n_fds;
	if (call->n_fds) {
		/* One is taken; the server closes the rest. */
		close(call->fds[0]);
		call->fds[0] = -1;
	}
	rpc_reply(call, json_pack("{s:o}", "service", a_service("t")));
}

static void on_bound_closed(struct rpc_bound *bound)
{
	container_of(bound, struct world, bound)->bound_closed++;
}

static void m_bind(struct rpc_call *call, void *ud)
{
	struct world *f = ud;

	f->bound.closed = on_bound_closed;
	rpc_bind(call, &f->bound);
	rpc_reply(call, json_pack("{s:o}", "service", a_service("t")));
}

/* The service's name comes back on a pipe, too. */
static void m_give(struct rpc_call *call, void *ud)
{
	const char *name = json_string_value(json_object_get(call->params, "name"));
	int ends[2];

	(void)ud;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], name, strlen(name)), strlen(name));
	close(ends[1]);
	rpc_reply_fds(call, json_pack("{s:o}", "service", a_service(name)), ends, 1);
}

static const struct rpc_method methods[] = {
	{"Create", m_create},       {"Start", m_error},
	{"Stop", m_wait},           {"Restart", m_give},
	{"Wait", m_wait},           {"List", m_list},
	{"Show", m_wrong},          {"Edit", m_error},
	{"Rename", m_error},        {"Delete", m_empty},
	{"Keep", m_bind},           {"Status", m_error},
	{"Watch", m_wait},          {"History", m_error},
	{"InboxList", m_error},     {"InboxShow", m_error},
	{"InboxOpen", m_error},     {"InboxDelete", m_error},
	{"KeyList", m_error},       {"KeyAdd", m_error},
	{"KeyRemove", m_error},     {"Publish", m_error},
	{"Import", m_error},        {"Export", m_error},
	{"AddContent", m_error},    {"RemoveContent", m_error},
	{"HandoverBegin", m_error}, {"HandoverPut", m_error},
	{"BridgesList", m_error},   {"BridgesSet", m_error},
	{"TorCheck", m_error},      {"BalanceCheck", m_error},
	{"Reload", m_empty},        {NULL, NULL},
};

/* --- the loop --- */

/* What is ready; and if nothing is, until something is, for a moment. */
void world_turn(struct world *f)
{
	struct pollfd backend = {.fd = uv_backend_fd(&f->loop), .events = POLLIN};

	if (uv_now(&f->loop) - f->last_progress > PATIENCE_MS) {
		fail_msg("nothing has happened");
	}
	uv_run(&f->loop, UV_RUN_NOWAIT);
	poll(&backend, 1, 1);
}

/* Until nothing more is ready by itself. */
void world_settle(struct world *f)
{
	for (int i = 0; i < 50; i++) {
		uv_run(&f->loop, UV_RUN_NOWAIT);
	}
}

void world_server_closed(void *ud)
{
	struct world *f = ud;

	f->closed = true;
}

void world_open(struct world *f, gid_t control_group)
{
	const struct rpc_config config = {.version = "1.2.3", .control_group = control_group};

	*f = (struct world){0};
	assert_int_equal(uv_loop_init(&f->loop), 0);
	ev_init(&f->ev, &f->loop, 1 << 20);
	f->last_progress = uv_now(&f->loop);
	f->server = rpc_server_new(&f->ev, &config, methods, f);
}

static void close_server(struct world *f)
{
	if (!f->closed) {
		rpc_server_close(f->server, world_server_closed, f);
		assert_false(f->closed); /* never from within */
		f->last_progress = uv_now(&f->loop);
		while (!f->closed) {
			world_turn(f);
		}
	}
}

void world_close(struct world *f)
{
	close_server(f);
	ev_done(&f->ev);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
}

int world_setup(void **state)
{
	struct world *f = xnew(struct world);

	world_open(f, (gid_t)-1);
	*state = f;
	return 0;
}

int world_teardown(void **state)
{
	world_close(*state);
	free(*state);
	return 0;
}

/* --- a client --- */

void client_open_as(struct client *c, struct world *f, const struct ucred *peer)
{
	int pair[2];

	*c = (struct client){.f = f};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
			 0);
	c->fd = pair[0];
	rpc_server_adopt(f->server, pair[1], peer);
}

void client_open(struct client *c, struct world *f)
{
	const struct ucred self = {.pid = getpid(), .uid = geteuid(), .gid = getegid()};

	client_open_as(c, f, &self);
}

void client_close(struct client *c)
{
	if (c->fd >= 0) {
		close(c->fd);
	}
	c->fd = -1;
	wire_reader_done(&c->reader);
}

/* All of it, also when the socket is full for now. */
void send_span(struct client *c, struct span s)
{
	while (s.n) {
		ssize_t n = wire_send(c->fd, s, NULL, 0);

		if (n == -EAGAIN) {
			world_turn(c->f);
		} else if (n < 0) {
			return; /* the server has closed: the test sees it when it reads */
		} else {
			c->f->last_progress = uv_now(&c->f->loop);
			s = span_from(s, (size_t)n);
		}
	}
}

void send_text(struct client *c, const char *text)
{
	send_span(c, span_of(text, strlen(text) + 1));
}

/* The next message, NULL when the server has closed. The caller's. */
json_t *receive(struct client *c)
{
	char chunk[65536];
	struct span s;

	c->f->last_progress = uv_now(&c->f->loop);
	for (;;) {
		if (wire_reader_next(&c->reader, &s)) {
			json_t *message = wire_parse_json(s, NULL);

			assert_non_null(message);
			return message;
		}
		ssize_t n = recv(c->fd, chunk, sizeof(chunk), 0);

		if (n == 0 || (n < 0 && errno == ECONNRESET)) {
			c->ended = true;
			return NULL;
		}
		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			world_turn(c->f);
			continue;
		}
		assert_int_equal(wire_reader_feed(&c->reader, chunk, (size_t)n), 0);
	}
}

void assert_closed(struct client *c)
{
	assert_null(receive(c));
	assert_true(c->ended);
}

void expect_reply(struct client *c, const char *want)
{
	json_auto_t *message = receive(c);
	json_auto_t *wanted = json_loads(want, 0, NULL);

	assert_non_null(wanted);
	if (!json_equal(message, wanted)) {
		char *text = json_dumps(message, 0);

		print_error("got %s\nnot %s\n", text, want);
		free(text);
		fail();
	}
}

void expect_error(struct client *c, const char *name)
{
	json_auto_t *message = receive(c);

	assert_non_null(message);
	assert_string_equal(json_string_value(json_object_get(message, "error")), name);
}

void expect_alive(struct client *c)
{
	send_text(c, "{\"method\":\"org.varlink.service.GetInfo\"}");
	json_auto_t *message = receive(c);

	assert_non_null(message);
	assert_null(json_object_get(message, "error"));
}

json_t *tor_event(const char *state)
{
	return json_pack("{s:s, s:s, s:i}", "event", "tor", "state", state, "percent", 5);
}
