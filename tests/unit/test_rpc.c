/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The control socket's server: calls, answers, streams, and how connections end. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
/* after those */
#include <cmocka.h>

#include "base/log.h"
#include "proto/base/alloc.h"
#include "proto/idl.h"
#include "rpc_world.h"

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
		      "\"parameters\":{\"title\":\"x\"}}");
	expect_reply(&c, "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":"
			 "{\"parameter\":\"title\",\"message\":\"title: is not known here\"}}");
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
	struct world *f = *state;
	struct client c;

	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Stop\","
		      "\"parameters\":{\"name\":\"x\"}}");
	send_text(&c, CONTROL("Reload"));
	world_settle(f);
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
	struct world *f = *state;
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
	struct world *f = *state;
	struct client c;

	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Reload\",\"oneway\":true}");
	send_text(&c, "{\"method\":\"org.onionshared.Control.Explode\",\"oneway\":true}");
	expect_alive(&c);
	assert_int_equal(f->calls, 1);
	assert_true(wire_reader_empty(&c.reader));
	client_close(&c);
}

static void streams_go_on_until_the_last_answer(void **state)
{
	struct world *f = *state;
	struct client c;

	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Watch\",\"more\":true}");
	world_settle(f);
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
	struct world *f = *state;
	struct client c;

	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Stop\",\"more\":true,"
		      "\"parameters\":{\"name\":\"x\"}}");
	world_settle(f);
	assert_false(f->waiting->more);
	client_close(&c);
	world_settle(f);
	assert_int_equal(f->gone, 1);
}

static void who_has_shut_down_his_sending_side_gets_his_answer(void **state)
{
	struct world *f = *state;
	struct client c;

	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Stop\","
		      "\"parameters\":{\"name\":\"x\"}}");
	assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
	world_settle(f);
	assert_non_null(f->waiting);
	rpc_reply(f->waiting, json_pack("{s:o}", "service", a_service("t")));
	json_auto_t *reply = receive(&c);
	assert_non_null(reply);
	assert_closed(&c);
	client_close(&c);
}

static void half_closed_watcher_who_leaves_is_noticed(void **state)
{
	struct world *f = *state;
	struct client c;

	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Watch\",\"more\":true}");
	assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
	world_settle(f);
	assert_int_equal(f->gone, 0);
	assert_true(rpc_reply_continue(f->waiting, tor_event("one")));
	json_auto_t *event = receive(&c);
	assert_non_null(event);
	client_close(&c);
	world_settle(f);
	assert_int_equal(f->gone, 1);
}

static void caller_who_leaves_is_noticed_once(void **state)
{
	struct world *f = *state;
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
	world_settle(f);
	assert_int_equal(f->bound_closed, 0);
	client_close(&c);
	world_settle(f);
	assert_int_equal(f->gone, 1);
	assert_int_equal(f->bound_closed, 1);
	assert_int_equal(f->calls, 1);
	rpc_unbind(&f->bound);
}

static void unbound_things_are_left_alone(void **state)
{
	struct world *f = *state;
	struct client c;

	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Keep\",\"parameters\":"
		      "{\"name\":\"x\",\"new_name\":\"y\"}}");
	json_auto_t *reply = receive(&c);
	assert_non_null(reply);
	rpc_unbind(&f->bound);
	client_close(&c);
	world_settle(f);
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

static void keep_quiet(const struct log_line *line)
{
	(void)line;
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

/* --- life --- */

static void closing_ends_every_call(void **state)
{
	struct world *f = *state;
	struct client c, idle, late;
	const struct ucred self = {.uid = geteuid(), .gid = getegid()};
	int pair[2];

	client_open(&idle, f);
	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Watch\",\"more\":true}");
	world_settle(f);
	/* What is ready is still sent. */
	rpc_reply_continue(f->waiting, tor_event("last"));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
			 0);
	rpc_server_close(f->server, world_server_closed, f);
	assert_int_equal(f->gone, 1);
	assert_false(f->closed);
	/* One that was accepted in the same turn is not forgotten. */
	late = (struct client){.f = f, .fd = pair[0]};
	rpc_server_adopt(f->server, pair[1], &self);
	while (!f->closed) {
		world_turn(f);
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
		struct world f;
		struct stat st;

		world_open(&f, group);
		assert_int_equal(rpc_server_listen(f.server, path, &err), 0);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, rows[i].mode);
		struct client c = {.f = &f, .fd = connect_to(path)};
		expect_alive(&c);
		/* A second daemon does not get it. */
		assert_int_equal(rpc_server_listen(f.server, path, &err), -EADDRINUSE);
		error_done(&err);
		client_close(&c);
		world_close(&f);
		assert_int_equal(stat(path, &st), -1);
	}
	rmdir(dir);
}

static void socket_handed_over_is_served(void **state)
{
	struct world *f = *state;
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

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)
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
		T(answer_that_the_interface_does_not_know_is_an_error),
		T(closing_ends_every_call),
		cmocka_unit_test(socket_file_is_open_to_those_who_may),
		T(socket_handed_over_is_served),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
