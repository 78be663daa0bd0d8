/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The control socket's server, with methods of its own, from the outside of its sockets. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
/* after those */
#include <cmocka.h>

#include "base/log.h"
#include "proto/base/alloc.h"
#include "proto/idl.h"
#include "proto/interface.h"
#include "proto/validate.h"
#include "proto/wire.h"
#include "rpc/auth.h"
#include "rpc/rpc.h"

#define PATIENCE_MS 10000 /* then a test has failed; none waits that long */

struct fixture {
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

/* --- methods --- */

static json_t *a_service(const char *title)
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
	struct fixture *f = call->user;

	f->gone++;
	f->waiting = NULL;
}

static void m_wait(struct rpc_call *call, void *ud)
{
	struct fixture *f = ud;

	f->calls++;
	f->waiting = call;
	call->user = f;
	call->gone = on_gone;
}

static void m_empty(struct rpc_call *call, void *ud)
{
	struct fixture *f = ud;

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
	struct fixture *f = ud;
	json_t *services = json_array();

	f->calls++;
	for (unsigned i = 0; i < f->list_length; i++) {
		json_array_append_new(services, a_service("t"));
	}
	rpc_reply(call, json_pack("{s:o}", "services", services));
}

static void m_create(struct rpc_call *call, void *ud)
{
	struct fixture *f = ud;

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
	container_of(bound, struct fixture, bound)->bound_closed++;
}

static void m_bind(struct rpc_call *call, void *ud)
{
	struct fixture *f = ud;

	f->bound.closed = on_bound_closed;
	rpc_bind(call, &f->bound);
	rpc_reply(call, json_pack("{s:o}", "service", a_service("t")));
}

static const struct rpc_method methods[] = {
	{"Create", m_create}, {"Start", m_error},   {"Stop", m_wait},    {"Restart", m_error},
	{"Wait", m_wait},     {"List", m_list},     {"Show", m_wrong},   {"Edit", m_error},
	{"Rename", m_error},  {"Delete", m_empty},  {"Keep", m_bind},    {"Status", m_error},
	{"Watch", m_wait},    {"History", m_error}, {"Reload", m_empty}, {NULL, NULL},
};

/* --- the loop --- */

/* What is ready; and if nothing is, until something is, for a moment. */
static void turn(struct fixture *f)
{
	struct pollfd backend = {.fd = uv_backend_fd(&f->loop), .events = POLLIN};

	if (uv_now(&f->loop) - f->last_progress > PATIENCE_MS) {
		fail_msg("nothing has happened");
	}
	uv_run(&f->loop, UV_RUN_NOWAIT);
	poll(&backend, 1, 1);
}

/* Until nothing more is ready by itself. */
static void settle(struct fixture *f)
{
	for (int i = 0; i < 50; i++) {
		uv_run(&f->loop, UV_RUN_NOWAIT);
	}
}

static void on_server_closed(void *ud)
{
	struct fixture *f = ud;

	f->closed = true;
}

static void fixture_open(struct fixture *f, gid_t control_group)
{
	const struct rpc_config config = {.version = "1.2.3", .control_group = control_group};

	*f = (struct fixture){0};
	assert_int_equal(uv_loop_init(&f->loop), 0);
	ev_init(&f->ev, &f->loop, 1 << 20);
	f->last_progress = uv_now(&f->loop);
	f->server = rpc_server_new(&f->ev, &config, methods, f);
}

static void close_server(struct fixture *f)
{
	if (!f->closed) {
		rpc_server_close(f->server, on_server_closed, f);
		assert_false(f->closed); /* never from within */
		f->last_progress = uv_now(&f->loop);
		while (!f->closed) {
			turn(f);
		}
	}
}

static void fixture_close(struct fixture *f)
{
	close_server(f);
	ev_done(&f->ev);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
}

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);

	fixture_open(f, (gid_t)-1);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_close(*state);
	free(*state);
	return 0;
}

/* --- a client --- */

struct client {
	struct fixture *f;
	int fd;
	struct wire_reader reader;
	bool ended; /* the server has closed */
};

static void client_open_as(struct client *c, struct fixture *f, const struct ucred *peer)
{
	int pair[2];

	*c = (struct client){.f = f};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
			 0);
	c->fd = pair[0];
	rpc_server_adopt(f->server, pair[1], peer);
}

static void client_open(struct client *c, struct fixture *f)
{
	const struct ucred self = {.pid = getpid(), .uid = geteuid(), .gid = getegid()};

	client_open_as(c, f, &self);
}

static void client_close(struct client *c)
{
	if (c->fd >= 0) {
		close(c->fd);
	}
	c->fd = -1;
	wire_reader_done(&c->reader);
}

/* All of it, also when the socket is full for now. */
static void send_span(struct client *c, struct span s)
{
	while (s.n) {
		ssize_t n = wire_send(c->fd, s, NULL, 0);

		if (n == -EAGAIN) {
			turn(c->f);
		} else if (n < 0) {
			return; /* the server has closed: the test sees it when it reads */
		} else {
			c->f->last_progress = uv_now(&c->f->loop);
			s = span_from(s, (size_t)n);
		}
	}
}

static void send_text(struct client *c, const char *text)
{
	send_span(c, span_of(text, strlen(text) + 1));
}

/* The next message, NULL when the server has closed. The caller's. */
static json_t *receive(struct client *c)
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
			turn(c->f);
			continue;
		}
		assert_int_equal(wire_reader_feed(&c->reader, chunk, (size_t)n), 0);
	}
}

static void assert_closed(struct client *c)
{
	assert_null(receive(c));
	assert_true(c->ended);
}

static void expect_reply(struct client *c, const char *want)
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

static void expect_error(struct client *c, const char *name)
{
	json_auto_t *message = receive(c);

	assert_non_null(message);
	assert_string_equal(json_string_value(json_object_get(message, "error")), name);
}

#define CONTROL(method) "{\"method\":\"org.onionshared.Control." method "\"}"
#define EMPTY           "{\"parameters\":{}}"

static void expect_alive(struct client *c)
{
	send_text(c, "{\"method\":\"org.varlink.service.GetInfo\"}");
	json_auto_t *message = receive(c);

	assert_non_null(message);
	assert_null(json_object_get(message, "error"));
}

/* --- tests --- */

static void server_tells_who_it_is(void **state)
{
	struct client c;

	client_open(&c, *state);
	send_text(&c, "{\"method\":\"org.varlink.service.GetInfo\"}");
	expect_reply(&c, "{\"parameters\":{\"vendor\":\"onionshared\",\"product\":\"onionshared\","
			 "\"version\":\"1.2.3\",\"url\":\"\",\"interfaces\":["
			 "\"org.varlink.service\",\"org.onionshared.Control\"]}}");
	client_close(&c);
}

static void server_describes_its_interfaces(void **state)
{
	static const char *const names[] = {INTERFACE_CONTROL, INTERFACE_VARLINK};
	struct client c;

	client_open(&c, *state);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *call =
			xasprintf("{\"method\":\"org.varlink.service.GetInterfaceDescription\","
				  "\"parameters\":{\"interface\":\"%s\"}}",
				  names[i]);
		struct buf text = BUF_INIT;

		send_text(&c, call);
		json_auto_t *reply = receive(&c);
		const json_t *params = json_object_get(reply, "parameters");

		idl_write(&text, interface_find(span_str(names[i])));
		assert_string_equal(json_string_value(json_object_get(params, "description")),
				    text.p);
		buf_done(&text);
	}
	send_text(&c, "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
		      "\"parameters\":{\"interface\":\"a.b\"}}");
	expect_reply(&c, "{\"error\":\"org.varlink.service.InterfaceNotFound\","
			 "\"parameters\":{\"interface\":\"a.b\"}}");
	client_close(&c);
}

static void calls_that_cannot_be_have_varlinks_errors(void **state)
{
	struct client c;

	client_open(&c, *state);
	send_text(&c, "{\"method\":\"org.example.Thing.Do\"}");
	expect_reply(&c, "{\"error\":\"org.varlink.service.InterfaceNotFound\","
			 "\"parameters\":{\"interface\":\"org.example.Thing\"}}");
	send_text(&c, CONTROL("Explode"));
	expect_reply(&c, "{\"error\":\"org.varlink.service.MethodNotFound\","
			 "\"parameters\":{\"method\":\"org.onionshared.Control.Explode\"}}");
	send_text(&c, "{\"method\":\"org.onionshared.Control.Start\","
		      "\"parameters\":{\"nam\":\"x\"}}");
	expect_reply(&c, "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":"
			 "{\"parameter\":\"nam\",\"message\":\"nam: is not known here\"}}");
	send_text(&c, "{\"method\":\"org.onionshared.Control.Stop\","
		      "\"parameters\":{\"name\":\"x\",\"now\":\"yes\"}}");
	expect_reply(&c, "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":"
			 "{\"parameter\":\"now\",\"message\":"
			 "\"now: must be true or false, not a string\"}}");
	send_text(&c, CONTROL("Watch"));
	expect_error(&c, "org.varlink.service.ExpectedMore");
	send_text(&c, "{\"method\":\"org.onionshared.Control.Reload\",\"upgrade\":true}");
	expect_error(&c, "org.varlink.service.MethodNotImplemented");
	expect_alive(&c);
	client_close(&c);
}

static void errors_of_handlers_are_typed(void **state)
{
	struct client c;

	client_open(&c, *state);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Start\","
		      "\"parameters\":{\"name\":\"x\"}}");
	expect_reply(&c, "{\"error\":\"org.onionshared.Control.NoSuchService\",\"parameters\":"
			 "{\"name\":\"x\",\"message\":\"no service is called x\"}}");
	client_close(&c);
}

static void calls_are_answered_in_order_one_at_a_time(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Stop\","
		      "\"parameters\":{\"name\":\"x\"}}");
	send_text(&c, CONTROL("Reload"));
	settle(f);
	assert_int_equal(f->calls, 1);
	assert_non_null(f->waiting);
	rpc_reply(f->waiting, json_pack("{s:o}", "service", a_service("first")));
	json_auto_t *first = receive(&c);
	assert_non_null(json_object_get(json_object_get(first, "parameters"), "service"));
	expect_reply(&c, EMPTY);
	assert_int_equal(f->calls, 2);
	assert_int_equal(f->gone, 0);
	client_close(&c);
}

static void many_calls_at_once_are_all_answered(void **state)
{
	struct fixture *f = *state;
	struct client c;

	/* More than the server takes in one turn. */
	client_open(&c, f);
	for (int i = 0; i < 350; i++) {
		send_text(&c, CONTROL("Reload"));
	}
	for (int i = 0; i < 350; i++) {
		expect_reply(&c, EMPTY);
	}
	assert_int_equal(f->calls, 350);
	client_close(&c);
}

static void oneway_calls_have_no_answer(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Reload\",\"oneway\":true}");
	send_text(&c, "{\"method\":\"org.onionshared.Control.Explode\",\"oneway\":true}");
	expect_alive(&c);
	assert_int_equal(f->calls, 1);
	assert_true(wire_reader_empty(&c.reader));
	client_close(&c);
}

static json_t *tor_event(const char *state)
{
	return json_pack("{s:s, s:s, s:i}", "event", "tor", "state", state, "percent", 5);
}

static void streams_go_on_until_the_last_answer(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Watch\",\"more\":true}");
	settle(f);
	assert_true(f->waiting->more);
	assert_true(rpc_reply_continue(f->waiting, tor_event("one")));
	assert_true(rpc_reply_continue(f->waiting, tor_event("two")));
	rpc_reply(f->waiting, tor_event("three"));
	expect_reply(&c, "{\"parameters\":{\"event\":\"tor\",\"state\":\"one\",\"percent\":5},"
			 "\"continues\":true}");
	expect_reply(&c, "{\"parameters\":{\"event\":\"tor\",\"state\":\"two\",\"percent\":5},"
			 "\"continues\":true}");
	expect_reply(&c, "{\"parameters\":{\"event\":\"tor\",\"state\":\"three\",\"percent\":5}}");
	expect_alive(&c);
	assert_int_equal(f->gone, 0);
	client_close(&c);
}

static void more_is_nothing_to_methods_that_do_not_stream(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Stop\",\"more\":true,"
		      "\"parameters\":{\"name\":\"x\"}}");
	settle(f);
	assert_false(f->waiting->more);
	client_close(&c);
	settle(f);
	assert_int_equal(f->gone, 1);
}

static void who_has_shut_down_his_sending_side_gets_his_answer(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Stop\","
		      "\"parameters\":{\"name\":\"x\"}}");
	assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
	settle(f);
	assert_non_null(f->waiting);
	rpc_reply(f->waiting, json_pack("{s:o}", "service", a_service("t")));
	json_auto_t *reply = receive(&c);
	assert_non_null(reply);
	assert_closed(&c);
	client_close(&c);
}

static void half_closed_watcher_who_leaves_is_noticed(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Watch\",\"more\":true}");
	assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
	settle(f);
	assert_int_equal(f->gone, 0);
	assert_true(rpc_reply_continue(f->waiting, tor_event("one")));
	json_auto_t *event = receive(&c);
	assert_non_null(event);
	client_close(&c);
	settle(f);
	assert_int_equal(f->gone, 1);
}

static void caller_who_leaves_is_noticed_once(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Keep\",\"parameters\":"
		      "{\"name\":\"x\",\"new_name\":\"y\"}}");
	json_auto_t *reply = receive(&c);
	assert_non_null(reply);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Stop\","
		      "\"parameters\":{\"name\":\"x\"}}");
	/* A call that waits behind the other must not hide the end. */
	send_text(&c, CONTROL("Reload"));
	settle(f);
	assert_int_equal(f->bound_closed, 0);
	client_close(&c);
	settle(f);
	assert_int_equal(f->gone, 1);
	assert_int_equal(f->bound_closed, 1);
	assert_int_equal(f->calls, 1);
	rpc_unbind(&f->bound);
}

static void unbound_things_are_left_alone(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Keep\",\"parameters\":"
		      "{\"name\":\"x\",\"new_name\":\"y\"}}");
	json_auto_t *reply = receive(&c);
	assert_non_null(reply);
	rpc_unbind(&f->bound);
	client_close(&c);
	settle(f);
	assert_int_equal(f->bound_closed, 0);
}

static void malformed_message_closes_only_its_connection(void **state)
{
	static const char *const bad[] = {
		"", "{", "hello", "{}", "{\"method\":\"x\"}", "{\"method\":\"a.b.C\",\"what\":1}"};
	struct client good;

	client_open(&good, *state);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct client c;

		client_open(&c, *state);
		expect_alive(&c);
		/* What was asked before it, in the same turn, is still answered. */
		_cleanup_free_ char *both = xasprintf("%s%c%s", CONTROL("Reload"), 0, bad[i]);

		send_span(&c, span_of(both, sizeof(CONTROL("Reload")) + strlen(bad[i]) + 1));
		expect_reply(&c, EMPTY);
		assert_closed(&c);
		client_close(&c);
		expect_alive(&good);
	}
	client_close(&good);
}

static void message_without_end_is_refused(void **state)
{
	_cleanup_free_ char *big = xmalloc(RPC_MAX_MESSAGE + 70000);
	struct client c, good;

	client_open(&good, *state);
	client_open(&c, *state);
	memset(big, ' ', RPC_MAX_MESSAGE + 70000);
	send_span(&c, span_of(big, RPC_MAX_MESSAGE + 70000));
	expect_error(&c, "org.onionshared.Control.LimitExceeded");
	assert_closed(&c);
	client_close(&c);
	expect_alive(&good);
	client_close(&good);
}

static void message_of_the_largest_size_is_answered(void **state)
{
	static const char call[] = CONTROL("Reload");
	struct buf b = BUF_INIT;
	struct client c;

	client_open(&c, *state);
	memset(buf_reserve(&b, RPC_MAX_MESSAGE), ' ', RPC_MAX_MESSAGE);
	memcpy(b.p, call, sizeof(call) - 1);
	b.len = RPC_MAX_MESSAGE;
	buf_add_char(&b, '\0');
	send_span(&c, buf_span(&b));
	expect_reply(&c, EMPTY);
	buf_done(&b);
	client_close(&c);
}

static void answer_too_long_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_open(&c, f);
	f->list_length = 4000;
	send_text(&c, CONTROL("List"));
	expect_error(&c, "org.onionshared.Control.LimitExceeded");
	f->list_length = 1;
	send_text(&c, CONTROL("List"));
	json_auto_t *reply = receive(&c);
	assert_non_null(json_object_get(json_object_get(reply, "parameters"), "services"));
	client_close(&c);
}

static void keep_quiet(enum log_level level, const char *text)
{
	(void)level;
	(void)text;
}

static void answer_that_the_interface_does_not_know_is_an_error(void **state)
{
	struct client c;

	log_set_sink(keep_quiet);
	client_open(&c, *state);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Show\","
		      "\"parameters\":{\"name\":\"x\"}}");
	json_auto_t *reply = receive(&c);
	const char *error = json_string_value(json_object_get(reply, "error"));

	/* Only where the server is built for tests; elsewhere the answer goes out as it is. */
	if (error) {
		assert_string_equal(error, "org.onionshared.Control.Internal");
	} else {
		assert_non_null(json_object_get(reply, "parameters"));
	}
	expect_alive(&c);
	client_close(&c);
	log_set_sink(NULL);
}

static void watcher_who_does_not_read_is_dropped(void **state)
{
	struct fixture *f = *state;
	struct client c, good;
	size_t sent = 0;
	_cleanup_free_ char *text = xmalloc(1001);

	memset(text, 't', 1000);
	text[1000] = '\0';
	client_open(&good, f);
	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Watch\",\"more\":true}");
	settle(f);
	while (f->waiting && rpc_reply_continue(f->waiting, tor_event(text))) {
		sent += 1000;
		/* Not without end: the bound and what the kernel takes. */
		assert_true(sent < 16 * RPC_MAX_OUTPUT);
	}
	assert_true(sent > RPC_MAX_OUTPUT);
	assert_int_equal(f->gone, 1);
	expect_alive(&good);
	/* What the kernel has taken is still there, then comes the end. */
	for (json_t *event; (event = receive(&c));) {
		json_decref(event);
	}
	assert_true(c.ended);
	client_close(&c);
	client_close(&good);
}

static void watcher_who_reads_is_not_dropped_by_a_burst(void **state)
{
	struct fixture *f = *state;
	struct client c;
	_cleanup_free_ char *text = xmalloc(100001);

	memset(text, 't', 100000);
	text[100000] = '\0';
	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Watch\",\"more\":true}");
	settle(f);
	for (int burst = 0; burst < 20; burst++) {
		for (int i = 0; i < 8; i++) {
			assert_true(rpc_reply_continue(f->waiting, tor_event(text)));
		}
		for (int i = 0; i < 8; i++) {
			json_auto_t *event = receive(&c);

			assert_non_null(event);
		}
	}
	assert_int_equal(f->gone, 0);
	client_close(&c);
	settle(f);
	assert_int_equal(f->gone, 1);
}

static void event_too_long_ends_the_stream_with_an_error(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *text = xmalloc(RPC_MAX_MESSAGE + 1);
	struct client c;

	memset(text, 't', RPC_MAX_MESSAGE);
	text[RPC_MAX_MESSAGE] = '\0';
	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Watch\",\"more\":true}");
	settle(f);
	assert_false(rpc_reply_continue(f->waiting, tor_event(text)));
	assert_int_equal(f->gone, 1);
	expect_error(&c, "org.onionshared.Control.LimitExceeded");
	expect_alive(&c);
	client_close(&c);
}

static void who_does_not_read_answers_is_asked_to_wait(void **state)
{
	enum { CALLS = 4000 };
	struct fixture *f = *state;
	struct client c;
	struct buf b = BUF_INIT;
	unsigned before;

	client_open(&c, f);
	f->list_length = 20;
	for (int i = 0; i < CALLS; i++) {
		buf_add(&b, CONTROL("List"), sizeof(CONTROL("List")));
	}
	/* The kernel holds what the server does not take. */
	ssize_t sent = wire_send(c.fd, buf_span(&b), NULL, 0);
	assert_true(sent > 0);
	for (int i = 0; i < 20; i++) {
		settle(f);
	}
	before = f->calls;
	assert_true(before < CALLS / 2);
	settle(f);
	assert_int_equal(f->calls, before);
	/* When he reads, it goes on. */
	unsigned answers = 0, complete = (unsigned)((size_t)sent / sizeof(CONTROL("List")));
	while (answers < complete) {
		json_auto_t *reply = receive(&c);

		assert_non_null(reply);
		answers++;
	}
	assert_int_equal(f->calls, complete);
	buf_done(&b);
	client_close(&c);
}

/* --- descriptors --- */

static void send_with_fds(struct client *c, const char *text, unsigned n)
{
	int fds[WIRE_MAX_DESCRIPTORS];

	for (unsigned i = 0; i < n; i++) {
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		assert_true(fds[i] >= 0);
	}
	assert_int_equal(wire_send(c->fd, span_of(text, strlen(text) + 1), fds, n),
			 strlen(text) + 1);
	for (unsigned i = 0; i < n; i++) {
		close(fds[i]);
	}
}

#define CREATE "{\"method\":\"org.onionshared.Control.Create\",\"parameters\":{\"mode\":\"share\"}}"

/* The lowest number that is free: the same before and after if nothing was left open. */
static int lowest_free(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(fd);
	return fd;
}

static void descriptors_come_with_their_message_and_are_closed(void **state)
{
	struct fixture *f = *state;
	struct client c;
	int before;

	client_open(&c, f);
	before = lowest_free();
	send_text(&c, CONTROL("Reload"));
	send_with_fds(&c, CREATE, 3);
	expect_reply(&c, EMPTY);
	json_auto_t *reply = receive(&c);
	assert_non_null(reply);
	assert_int_equal(f->fds_seen, 3);
	send_text(&c, CREATE);
	json_auto_t *second = receive(&c);
	assert_non_null(second);
	assert_int_equal(f->fds_seen, 0);
	/* To a method that takes none. */
	send_with_fds(&c, CONTROL("Reload"), 2);
	expect_reply(&c, EMPTY);
	assert_int_equal(lowest_free(), before);
	client_close(&c);
}

static void as_many_descriptors_as_allowed_and_not_more(void **state)
{
	struct fixture *f = *state;
	struct client c;
	int before = lowest_free();

	client_open(&c, f);
	send_with_fds(&c, CREATE, RPC_MAX_DESCRIPTORS);
	json_auto_t *reply = receive(&c);
	assert_non_null(reply);
	assert_int_equal(f->fds_seen, RPC_MAX_DESCRIPTORS);
	/* In two parts of one message. */
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int fds[RPC_MAX_DESCRIPTORS];
	for (unsigned i = 0; i < RPC_MAX_DESCRIPTORS; i++) {
		fds[i] = null;
	}
	assert_int_equal(wire_send(c.fd, SPAN("{"), fds, RPC_MAX_DESCRIPTORS), 1);
	settle(f);
	assert_int_equal(wire_send(c.fd, SPAN("\"method\":"), fds, 1), 9);
	close(null);
	expect_error(&c, "org.onionshared.Control.LimitExceeded");
	assert_closed(&c);
	client_close(&c);
	settle(f);
	assert_int_equal(lowest_free(), before);
}

/* --- who may --- */

static void rule_of_permissions(void **state)
{
	const struct ucred root = {.uid = 0, .gid = 0}, own = {.uid = 1000, .gid = 1000},
			   member = {.uid = 2000, .gid = 50}, other = {.uid = 3000, .gid = 3000},
			   nobody = {.uid = 65534, .gid = (gid_t)-1};
	const gid_t groups[] = {7, 50, 9};

	(void)state;
	assert_int_equal(rpc_auth_rule(&root, NULL, 0, 1000, 50), PERMISSION_ADMIN);
	assert_int_equal(rpc_auth_rule(&own, NULL, 0, 1000, 50), PERMISSION_ADMIN);
	assert_int_equal(rpc_auth_rule(&own, NULL, 0, 1001, 50), PERMISSION_NONE);
	assert_int_equal(rpc_auth_rule(&member, NULL, 0, 1000, 50), PERMISSION_CONTROL);
	assert_int_equal(rpc_auth_rule(&other, groups, 3, 1000, 50), PERMISSION_CONTROL);
	assert_int_equal(rpc_auth_rule(&other, groups, 1, 1000, 50), PERMISSION_NONE);
	assert_int_equal(rpc_auth_rule(&other, groups, 3, 1000, (gid_t)-1), PERMISSION_NONE);
	/* No group is no group, also where numbers happen to be equal. */
	assert_int_equal(rpc_auth_rule(&nobody, NULL, 0, 1000, (gid_t)-1), PERMISSION_NONE);
}

static void members_may_control_and_strangers_nothing(void **state)
{
	struct fixture f;
	const struct ucred member = {.pid = 1, .uid = 54321, .gid = 4242};
	const struct ucred stranger = {.pid = 1, .uid = 54322, .gid = 1};
	struct client c;

	(void)state;
	fixture_open(&f, 4242);
	client_open_as(&c, &f, &member);
	f.list_length = 0;
	send_text(&c, CONTROL("List"));
	expect_reply(&c, "{\"parameters\":{\"services\":[]}}");
	send_text(&c, "{\"method\":\"org.onionshared.Control.Delete\","
		      "\"parameters\":{\"name\":\"x\"}}");
	expect_reply(&c, EMPTY);
	send_text(&c, CONTROL("Reload"));
	expect_reply(&c, "{\"error\":\"org.onionshared.Control.PermissionDenied\",\"parameters\":"
			 "{\"needs\":\"admin\",\"message\":\"Reload needs the permission "
			 "\\\"admin\\\": be root or the daemon's own user\"}}");
	client_close(&c);

	client_open_as(&c, &f, &stranger);
	send_text(&c, "{\"method\":\"org.varlink.service.GetInfo\"}");
	expect_error(&c, "org.onionshared.Control.PermissionDenied");
	/* Refused before the parameters are looked at. */
	send_text(&c, CONTROL("Start"));
	expect_error(&c, "org.onionshared.Control.PermissionDenied");
	client_close(&c);
	fixture_close(&f);
}

/* In the child: another user whose supplementary group is 4242 makes the sockets. */
static void be_a_member_elsewhere(int to)
{
	const gid_t group = 4242;
	int pair[2];

	if (setgroups(1, &group) < 0 || setgid(65534) < 0 || setuid(65534) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 ||
	    wire_send(to, SPAN("x"), pair, 1) != 1) {
		_exit(1);
	}
	_exit(0);
}

static void groups_of_a_peer_are_those_of_its_socket(void **state)
{
	int pair[2], fd = -1, status;
	unsigned n = 0;
	struct ucred peer;
	socklen_t len = sizeof(peer);
	char byte;

	(void)state;
	if (geteuid() != 0) {
		print_message("only root can become somebody else\n");
		return;
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		be_a_member_elsewhere(pair[1]);
	}
	assert_int_equal(wire_recv(pair[0], &byte, 1, &fd, 1, &n), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len), 0);
	assert_int_equal(peer.uid, 65534);
	/* The process is gone, its number may be another's: the socket still knows. */
	assert_int_equal(rpc_auth_peer(fd, &peer, 4242), PERMISSION_CONTROL);
	assert_int_equal(rpc_auth_peer(fd, &peer, 4243), PERMISSION_NONE);
	assert_int_equal(rpc_auth_peer(fd, &peer, (gid_t)-1), PERMISSION_NONE);
	close(fd);
	close(pair[0]);
	close(pair[1]);
}

/* --- limits of connections --- */

static void connections_of_one_user_are_counted(void **state)
{
	static struct client many[RPC_MAX_CONNECTIONS];
	const struct ucred other = {.pid = 1, .uid = 54321, .gid = 4242};
	struct fixture f;
	struct client c;

	(void)state;
	fixture_open(&f, 4242);
	for (unsigned i = 0; i < RPC_MAX_CONNECTIONS; i++) {
		client_open(&many[i], &f);
		/* They hang half-way. */
		send_span(&many[i], SPAN("{\"method\":\"org."));
	}
	settle(&f);
	client_open(&c, &f);
	expect_error(&c, "org.onionshared.Control.LimitExceeded");
	assert_closed(&c);
	client_close(&c);
	/* Nobody else minds. */
	client_open_as(&c, &f, &other);
	expect_alive(&c);
	client_close(&c);
	/* Where one leaves there is room for one. */
	client_close(&many[0]);
	settle(&f);
	client_open(&c, &f);
	expect_alive(&c);
	client_close(&c);
	for (unsigned i = 1; i < RPC_MAX_CONNECTIONS; i++) {
		client_close(&many[i]);
	}
	fixture_close(&f);
}

/* --- life --- */

static void closing_ends_every_call(void **state)
{
	struct fixture *f = *state;
	struct client c, idle, late;
	const struct ucred self = {.uid = geteuid(), .gid = getegid()};
	int pair[2];

	client_open(&idle, f);
	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Watch\",\"more\":true}");
	settle(f);
	/* What is ready is still sent. */
	rpc_reply_continue(f->waiting, tor_event("last"));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
			 0);
	rpc_server_close(f->server, on_server_closed, f);
	assert_int_equal(f->gone, 1);
	assert_false(f->closed);
	/* One that was accepted in the same turn is not forgotten. */
	late = (struct client){.f = f, .fd = pair[0]};
	rpc_server_adopt(f->server, pair[1], &self);
	while (!f->closed) {
		turn(f);
	}
	expect_reply(&c, "{\"parameters\":{\"event\":\"tor\",\"state\":\"last\",\"percent\":5},"
			 "\"continues\":true}");
	assert_closed(&c);
	assert_closed(&idle);
	assert_closed(&late);
	client_close(&c);
	client_close(&idle);
	client_close(&late);
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void socket_file_is_open_to_those_who_may(void **state)
{
	static const struct {
		gid_t group;
		mode_t mode;
	} rows[] = {{(gid_t)-1, 0600}, {0, 0660}};
	char dir[] = "/tmp/onionshared-rpc-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(dir));
	_cleanup_free_ char *path = xasprintf("%s/control.sock", dir);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		gid_t group = i ? getegid() : rows[i].group;
		struct error err = ERROR_INIT;
		struct fixture f;
		struct stat st;

		fixture_open(&f, group);
		assert_int_equal(rpc_server_listen(f.server, path, &err), 0);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, rows[i].mode);
		struct client c = {.f = &f, .fd = connect_to(path)};
		expect_alive(&c);
		/* A second daemon does not get it. */
		assert_int_equal(rpc_server_listen(f.server, path, &err), -EADDRINUSE);
		error_done(&err);
		client_close(&c);
		fixture_close(&f);
		assert_int_equal(stat(path, &st), -1);
	}
	rmdir(dir);
}

static void socket_handed_over_is_served(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char dir[] = "/tmp/onionshared-rpc-XXXXXX";
	struct error err = ERROR_INIT;

	assert_non_null(mkdtemp(dir));
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/control.sock", dir);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(rpc_server_listen_fd(f->server, fd, &err), 0);
	struct client c = {.f = f, .fd = connect_to(addr.sun_path)};
	expect_alive(&c);
	client_close(&c);
	/* Not what does not listen. */
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_true(rpc_server_listen_fd(f->server, pair[0], &err) < 0);
	close(pair[1]);
	error_done(&err);
	unlink(addr.sun_path);
	rmdir(dir);
}

/* --- hostile input --- */

static uint32_t random_state = 1;

static uint32_t next_random(void)
{
	random_state = random_state * 1664525u + 1013904223u;
	return random_state >> 8;
}

/* A valid call, cut, doubled, with bytes changed; or noise. Ends in NUL mostly. */
static void random_frame(struct buf *b)
{
	static const char *const seeds[] = {
		CONTROL("Reload"),
		CREATE,
		"{\"method\":\"org.varlink.service.GetInfo\",\"more\":true}",
		"{\"method\":\"org.onionshared.Control.List\",\"oneway\":true}",
		"{\"method\":\"org.onionshared.Control.Edit\",\"parameters\":{\"name\":\"a\"}}",
		"{\"a\":1,\"a\":2}",
		"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
		"{\"method\":\"\xff\xfe\"}",
		"\x01\xff\xff\xff\xff",
	};
	const char *seed = seeds[next_random() % ARRAY_SIZE(seeds)];

	buf_clear(b);
	buf_add_str(b, seed);
	for (uint32_t changes = next_random() % 4; changes > 0 && b->len; changes--) {
		b->p[next_random() % b->len] = (char)next_random();
	}
	if (next_random() % 8 == 0) {
		b->len = next_random() % (b->len + 1);
	}
	if (next_random() % 16) {
		buf_add_char(b, '\0');
	}
}

static void drain(struct client *c)
{
	char chunk[65536];
	ssize_t n;

	do {
		n = recv(c->fd, chunk, sizeof(chunk), 0);
	} while (n > 0);
	c->ended = n == 0 || errno != EAGAIN;
}

static void ten_thousand_random_frames_keep_the_server_answering(void **state)
{
	struct fixture *f = *state;
	struct buf b = BUF_INIT;
	struct client good, c;
	unsigned closed = 0;

	client_open(&good, f);
	client_open(&c, f);
	for (int i = 0; i < 10000; i++) {
		random_frame(&b);
		send_span(&c, buf_span(&b));
		uv_run(&f->loop, UV_RUN_NOWAIT);
		drain(&c);
		if (c.ended) {
			closed++;
			client_close(&c);
			client_open(&c, f);
		}
		if (i % 100 == 0) {
			uint64_t start = uv_hrtime();

			expect_alive(&good);
			assert_true(uv_hrtime() - start < UINT64_C(2000000000));
		}
	}
	assert_true(closed > 100);
	assert_true(f->calls > 100); /* some were right */
	client_close(&c);
	client_close(&good);
	buf_done(&b);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(server_tells_who_it_is),
		T(server_describes_its_interfaces),
		T(calls_that_cannot_be_have_varlinks_errors),
		T(errors_of_handlers_are_typed),
		T(calls_are_answered_in_order_one_at_a_time),
		T(many_calls_at_once_are_all_answered),
		T(oneway_calls_have_no_answer),
		T(streams_go_on_until_the_last_answer),
		T(more_is_nothing_to_methods_that_do_not_stream),
		T(who_has_shut_down_his_sending_side_gets_his_answer),
		T(half_closed_watcher_who_leaves_is_noticed),
		T(caller_who_leaves_is_noticed_once),
		T(unbound_things_are_left_alone),
		T(malformed_message_closes_only_its_connection),
		T(message_without_end_is_refused),
		T(message_of_the_largest_size_is_answered),
		T(answer_too_long_is_an_error),
		T(answer_that_the_interface_does_not_know_is_an_error),
		T(watcher_who_does_not_read_is_dropped),
		T(watcher_who_reads_is_not_dropped_by_a_burst),
		T(event_too_long_ends_the_stream_with_an_error),
		T(who_does_not_read_answers_is_asked_to_wait),
		T(descriptors_come_with_their_message_and_are_closed),
		T(as_many_descriptors_as_allowed_and_not_more),
		cmocka_unit_test(rule_of_permissions),
		cmocka_unit_test(members_may_control_and_strangers_nothing),
		cmocka_unit_test(groups_of_a_peer_are_those_of_its_socket),
		cmocka_unit_test(connections_of_one_user_are_counted),
		T(closing_ends_every_call),
		cmocka_unit_test(socket_file_is_open_to_those_who_may),
		T(socket_handed_over_is_served),
		T(ten_thousand_random_frames_keep_the_server_answering),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
