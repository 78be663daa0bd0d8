/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The control socket's server: who may, how much, how many, descriptors, hostile input. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* after those */
#include <cmocka.h>

#include "proto/base/alloc.h"
#include "rpc/auth.h"
#include "rpc_world.h"

/* --- sizes --- */

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
	struct world *f = *state;
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

static void watcher_who_does_not_read_is_dropped(void **state)
{
	struct world *f = *state;
	struct client c, good;
	size_t sent = 0;
	_cleanup_free_ char *text = xmalloc(1001);

	memset(text, 't', 1000);
	text[1000] = '\0';
	client_open(&good, f);
	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Watch\",\"more\":true}");
	world_settle(f);
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
	struct world *f = *state;
	struct client c;
	_cleanup_free_ char *text = xmalloc(100001);

	memset(text, 't', 100000);
	text[100000] = '\0';
	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Watch\",\"more\":true}");
	world_settle(f);
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
	world_settle(f);
	assert_int_equal(f->gone, 1);
}

static void event_too_long_ends_the_stream_with_an_error(void **state)
{
	struct world *f = *state;
	_cleanup_free_ char *text = xmalloc(RPC_MAX_MESSAGE + 1);
	struct client c;

	memset(text, 't', RPC_MAX_MESSAGE);
	text[RPC_MAX_MESSAGE] = '\0';
	client_open(&c, f);
	send_text(&c, "{\"method\":\"org.onionshared.Control.Watch\",\"more\":true}");
	world_settle(f);
	assert_false(rpc_reply_continue(f->waiting, tor_event(text)));
	assert_int_equal(f->gone, 1);
	expect_error(&c, "org.onionshared.Control.LimitExceeded");
	expect_alive(&c);
	client_close(&c);
}

static void who_does_not_read_answers_is_asked_to_wait(void **state)
{
	enum { CALLS = 1500 };
	struct world *f = *state;
	struct client c;
	struct buf b = BUF_INIT;
	unsigned before;

	client_open(&c, f);
	f->list_length = 4;
	for (int i = 0; i < CALLS; i++) {
		buf_add(&b, CONTROL("List"), sizeof(CONTROL("List")));
	}
	/* The kernel holds what the server does not take. */
	ssize_t sent = wire_send(c.fd, buf_span(&b), NULL, 0);
	assert_true(sent > 0);
	for (int i = 0; i < 20; i++) {
		world_settle(f);
	}
	before = f->calls;
	assert_true(before < CALLS / 2);
	world_settle(f);
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

/* How many this process has: the same before and after if nothing was left open. */
static int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d)) {
		n++;
	}
	closedir(d);
	return n;
}

static void descriptors_come_with_their_message_and_are_closed(void **state)
{
	struct world *f = *state;
	struct client c;
	int before;

	client_open(&c, f);
	before = open_fds();
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
	assert_int_equal(open_fds(), before);
	client_close(&c);
}

static void as_many_descriptors_as_allowed_and_not_more(void **state)
{
	struct world *f = *state;
	struct client c;
	int before = open_fds();

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
	world_settle(f);
	assert_int_equal(wire_send(c.fd, SPAN("\"method\":"), fds, 1), 9);
	close(null);
	expect_error(&c, "org.onionshared.Control.LimitExceeded");
	assert_closed(&c);
	client_close(&c);
	world_settle(f);
	assert_int_equal(open_fds(), before);
}

static void descriptors_of_a_message_that_never_came_are_closed(void **state)
{
	struct world *f = *state;
	struct client c;
	int before = open_fds();
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	client_open(&c, f);
	assert_int_equal(wire_send(c.fd, SPAN("{\"method\""), &null, 1), 9);
	world_settle(f);
	close(null);
	client_close(&c);
	world_settle(f);
	assert_int_equal(open_fds(), before);
}

#define GIVE(name) \
	"{\"method\":\"org.onionshared.Control.Restart\",\"parameters\":{\"name\":\"" name "\"}}"

/* The next message; what comes beside it is read byte by byte, so that it is its own. */
static json_t *receive_fds(struct client *c, int fds[4], unsigned *n_fds)
{
	struct span s;

	*n_fds = 0;
	c->f->last_progress = uv_now(&c->f->loop);
	while (!wire_reader_next(&c->reader, &s)) {
		char byte;
		ssize_t n = wire_recv(c->fd, &byte, 1, fds, 4, n_fds);

		if (n == -EAGAIN) {
			world_turn(c->f);
			continue;
		}
		assert_int_equal(n, 1);
		assert_int_equal(wire_reader_feed(&c->reader, &byte, 1), 0);
	}
	return wire_parse_json(s, NULL);
}

static void expect_nothing_given(struct client *c)
{
	int fds[4];
	unsigned n_fds;
	json_auto_t *message = receive_fds(c, fds, &n_fds);

	assert_non_null(message);
	assert_int_equal(n_fds, 0);
}

/* A service, and one descriptor on which its title stands. */
static void expect_given(struct client *c, const char *want)
{
	int fds[4];
	unsigned n_fds;
	char got[64] = "";
	json_auto_t *message = receive_fds(c, fds, &n_fds);
	json_t *service = json_object_get(json_object_get(message, "parameters"), "service");

	assert_string_equal(json_string_value(json_object_get(service, "title")), want);
	assert_int_equal(n_fds, 1);
	assert_int_equal(read(fds[0], got, sizeof(got)), strlen(want));
	assert_string_equal(got, want);
	close(fds[0]);
}

static void descriptors_go_with_their_answer(void **state)
{
	struct world *f = *state;
	struct client c;
	int before;

	client_open(&c, f);
	before = open_fds();
	send_text(&c, CONTROL("Reload"));
	send_text(&c, GIVE("a"));
	send_text(&c, GIVE("b"));
	send_text(&c, CONTROL("Reload"));
	send_text(&c, GIVE("c"));
	expect_nothing_given(&c);
	expect_given(&c, "a");
	expect_given(&c, "b");
	expect_nothing_given(&c);
	expect_given(&c, "c");
	assert_int_equal(open_fds(), before);
	client_close(&c);
}

static void descriptors_that_nobody_takes_are_closed(void **state)
{
	struct world *f = *state;
	struct client c;
	int before = open_fds();

	client_open(&c, f);
	/* Nobody waits for an answer that they could go with. */
	send_text(&c, "{\"method\":\"org.onionshared.Control.Restart\",\"parameters\":"
		      "{\"name\":\"a\"},\"oneway\":true}");
	send_text(&c, CONTROL("Reload"));
	expect_reply(&c, EMPTY);
	/* An answer that is not read: what stands before it fills the socket. */
	f->list_length = 1000;
	send_text(&c, CONTROL("List"));
	send_text(&c, GIVE("a"));
	world_settle(f);
	client_close(&c);
	world_settle(f);
	assert_int_equal(open_fds(), before);
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
	struct world f;
	const struct ucred member = {.pid = 1, .uid = 54321, .gid = 4242};
	const struct ucred stranger = {.pid = 1, .uid = 54322, .gid = 1};
	struct client c;

	(void)state;
	world_open(&f, 4242);
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
	world_close(&f);
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
	struct world f;
	struct client c;

	(void)state;
	world_open(&f, 4242);
	for (unsigned i = 0; i < RPC_MAX_CONNECTIONS; i++) {
		client_open(&many[i], &f);
		/* They hang half-way. */
		send_span(&many[i], SPAN("{\"method\":\"org."));
	}
	world_settle(&f);
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
	world_settle(&f);
	client_open(&c, &f);
	expect_alive(&c);
	client_close(&c);
	for (unsigned i = 1; i < RPC_MAX_CONNECTIONS; i++) {
		client_close(&many[i]);
	}
	world_close(&f);
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
	struct world *f = *state;
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
#define T(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(message_without_end_is_refused),
		T(message_of_the_largest_size_is_answered),
		T(answer_too_long_is_an_error),
		T(watcher_who_does_not_read_is_dropped),
		T(watcher_who_reads_is_not_dropped_by_a_burst),
		T(event_too_long_ends_the_stream_with_an_error),
		T(who_does_not_read_answers_is_asked_to_wait),
		T(descriptors_come_with_their_message_and_are_closed),
		T(as_many_descriptors_as_allowed_and_not_more),
		T(descriptors_of_a_message_that_never_came_are_closed),
		T(descriptors_go_with_their_answer),
		T(descriptors_that_nobody_takes_are_closed),
		cmocka_unit_test(rule_of_permissions),
		cmocka_unit_test(members_may_control_and_strangers_nothing),
		cmocka_unit_test(groups_of_a_peer_are_those_of_its_socket),
		cmocka_unit_test(connections_of_one_user_are_counted),
		T(ten_thousand_random_frames_keep_the_server_answering),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
