/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The SOCKS client: its bytes, what it makes of answers, and its life on a loop. */
#include "peer.h"

#include <sys/un.h>

#include "ev/dial.h"
#include "tor/socks.h"

#define OK_REPLY "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"

static const struct socks_request request = {"example.com", 443, "user", "pass"};

struct fixture {
	char *dir, *path, *server;
	uv_loop_t loop;
	struct ev ev;
	struct peer peer;
	int done;
	int fd;
	char why[128];
};

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);

	f->dir = unit_tmpdir();
	f->path = xasprintf("%s/socks", f->dir);
	f->server = xasprintf("unix:%s", f->path);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	ev_init(&f->ev, &f->loop, 1 << 20);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	peer_close(&f->peer, &f->loop);
	ev_done(&f->ev);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	free(f->server);
	free(f->path);
	unit_rmtree(f->dir);
	free(f);
	return 0;
}

static void on_end(void *ud, int fd, const char *why)
{
	struct fixture *f = ud;

	f->done++;
	f->fd = fd;
	snprintf(f->why, sizeof(f->why), "%s", why ? why : "");
}

static void connect_and_wait(struct fixture *f, unsigned timeout_ms)
{
	f->done = 0;
	socks_connect(&f->ev, f->server, &request, timeout_ms, on_end, f);
	assert_int_equal(f->done, 0); /* never from within */
	while (!f->done) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
}

static void the_name_goes_to_tor_as_it_is_with_a_username(void **state)
{
	struct fixture *f = *state;
	static const struct peer_step steps[] = {
		{.wait = 3, .say = "\x05\x02", .say_n = 2},
		{.wait = 11, .say = "\x01\x00", .say_n = 2},
		/* the target's first bytes come in the same packet */
		{.wait = 18, .say = OK_REPLY "hello", .say_n = 15},
		{0},
	};
	static const char sent[] = "\x05\x01\x02"
				   "\x01\x04user\x04pass"
				   "\x05\x01\x00\x03\x0b"
				   "example.com\x01\xbb";
	char bytes[16];

	peer_open_unix(&f->peer, &f->ev, f->path);
	peer_script(&f->peer, steps);
	connect_and_wait(f, 10000);
	assert_true(f->fd >= 0);
	assert_string_equal(f->why, "");
	assert_int_equal(f->peer.all.len, sizeof(sent) - 1);
	assert_memory_equal(f->peer.all.p, sent, sizeof(sent) - 1);
	assert_int_equal(recv(f->fd, bytes, sizeof(bytes), 0), 5);
	assert_memory_equal(bytes, "hello", 5);
	assert_true(fcntl(f->fd, F_GETFL) & O_NONBLOCK);
	close(f->fd);
}

static void what_tor_says_becomes_words(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *reply;
		int code;
		const char *why;
	} cases[] = {
		{"\x05\x05\x00\x01", -ECONNREFUSED, "refuses connections"},
		{"\x05\xf0\x00\x01", -EHOSTUNREACH, "descriptor was not found"},
		{"\x05\xf4\x00\x01", -EACCES, "asks for a private key"},
		{"\x05\xf6\x00\x01", -EINVAL, "no onion address"},
		{"\x05\x77\x00\x01", -EPROTO, "without a known reason"},
		{"\x05\x00\x01\x01", -EPROTO, "makes no sense"},
		{"\x05\x00\x00\x02", -EPROTO, "makes no sense"},
		{"\x04\x00\x00\x01", -EPROTO, "makes no sense"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct socks_wire w;
		char answer[14] = "\x05\x02\x01\x00";
		struct span input = span_of(answer, sizeof(answer));
		int r = 0;

		memcpy(answer + 4, cases[i].reply, 4);
		assert_int_equal(socks_wire_init(&w, &request), 0);
		while (r == 0 && input.n) {
			w.out_n = 0;
			r = socks_wire_feed(&w, &input);
		}
		assert_int_equal(r, cases[i].code);
		assert_non_null(strstr(w.problem, cases[i].why));
		assert_int_equal(socks_wire_wants(&w), 0);
		assert_int_equal(socks_wire_feed(&w, &input), -EPROTO);
	}
	(void)f;
}

static void a_port_that_is_no_socks_port_or_takes_no_username_is_refused(void **state)
{
	struct fixture *f = *state;
	static const struct peer_step http[] = {{.wait = 3, .say = "HTTP/1.0 400\r\n"}, {0}};
	static const struct peer_step open[] = {{.wait = 3, .say = "\x05\xff", .say_n = 2}, {0}};
	static const struct peer_step denied[] = {{.wait = 3, .say = "\x05\x02", .say_n = 2},
						  {.wait = 11, .say = "\x01\x01", .say_n = 2},
						  {0}};
	static const struct {
		const struct peer_step *steps;
		const char *why;
	} cases[] = {{http, "no SOCKS port"}, {open, "take a username"}, {denied, "refuses the"}};

	peer_open_unix(&f->peer, &f->ev, f->path);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		peer_hang_up(&f->peer);
		peer_script(&f->peer, cases[i].steps);
		connect_and_wait(f, 10000);
		assert_int_equal(f->fd, -EPROTO);
		assert_non_null(strstr(f->why, cases[i].why));
		while (!f->peer.ended) {
			uv_run(&f->loop, UV_RUN_ONCE); /* our side has hung up */
		}
	}
}

static void an_answer_may_come_in_any_pieces(void **state)
{
	static const char answers[] = "\x05\x02"
				      "\x01\x00"
				      "\x05\x00\x00\x03\x07"
				      "abc.def\x00\x50"
				      "rest";

	for (size_t step = 1; step <= sizeof(answers) - 1; step++) {
		struct span input = span_of(answers, sizeof(answers) - 1);
		struct socks_wire w;
		int r = 0;

		assert_int_equal(socks_wire_init(&w, &request), 0);
		while (r == 0) {
			struct span piece = span_of(input.p, input.n < step ? input.n : step);
			size_t n = piece.n;

			w.out_n = 0;
			r = socks_wire_feed(&w, &piece);
			input = span_from(input, n - piece.n);
		}
		assert_int_equal(r, 1);
		assert_true(span_eq(input, SPAN("rest")));
	}
	(void)state;
}

static void texts_that_do_not_fit_are_refused(void **state)
{
	struct fixture *f = *state;
	char longest[SOCKS_TEXT_MAX + 2];
	struct socks_wire w;
	struct socks_request r = {longest, 1, "u", "p"};

	memset(longest, 'a', sizeof(longest));
	longest[SOCKS_TEXT_MAX] = '\0';
	assert_int_equal(socks_wire_init(&w, &r), 0);
	r.user = r.password = longest;
	assert_int_equal(socks_wire_init(&w, &r), 0);
	struct span input = SPAN("\x05\x02");

	w.out_n = 0;
	assert_int_equal(socks_wire_feed(&w, &input), 0);
	assert_int_equal(w.out_n, sizeof(w.out)); /* the buffer is as large as it must be */

	longest[SOCKS_TEXT_MAX] = 'a';
	longest[SOCKS_TEXT_MAX + 1] = '\0';
	r = (struct socks_request){longest, 1, "u", "p"};
	assert_int_equal(socks_wire_init(&w, &r), -EINVAL);
	r = (struct socks_request){"h", 1, "", "p"};
	assert_int_equal(socks_wire_init(&w, &r), -EINVAL);
	r = (struct socks_request){"h", 0, "u", "p"};
	assert_int_equal(socks_wire_init(&w, &r), -EINVAL);

	socks_connect(&f->ev, f->server, &r, 1000, on_end, f);
	while (!f->done) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
	assert_int_equal(f->fd, -EINVAL);
}

static void nobody_there_silence_and_hanging_up_are_told_apart(void **state)
{
	struct fixture *f = *state;
	static const struct peer_step silent[] = {{0}};
	static const struct peer_step gone[] = {{.wait = 3, .say = "\x05", .end = true}, {0}};
	int fds = unit_open_fds();

	connect_and_wait(f, 10000);
	assert_int_equal(f->fd, -ENOENT);
	assert_int_equal(unit_open_fds(), fds);

	peer_open_unix(&f->peer, &f->ev, f->path);
	peer_script(&f->peer, silent);
	connect_and_wait(f, 50);
	assert_int_equal(f->fd, -ETIMEDOUT);
	assert_non_null(strstr(f->why, "too long"));
	while (!f->peer.ended) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
	peer_script(&f->peer, gone);
	connect_and_wait(f, 10000);
	assert_int_equal(f->fd, -ECONNRESET);

	free(f->server);
	f->server = xstrdup("10.0.0.1:9050"); /* not on this machine */
	connect_and_wait(f, 10000);
	assert_int_equal(f->fd, -EINVAL);
}

static void cancelled_at_any_point_nothing_is_told_and_nothing_is_left(void **state)
{
	struct fixture *f = *state;
	static const struct peer_step steps[] = {
		{.wait = 3, .say = "\x05\x02", .say_n = 2},
		{.wait = 11, .say = "\x01\x00", .say_n = 2},
		{0},
	};

	peer_open_unix(&f->peer, &f->ev, f->path);
	for (size_t stop_at = 0; stop_at < 3; stop_at++) {
		peer_hang_up(&f->peer);
		peer_script(&f->peer, steps);
		int fds = unit_open_fds();
		unsigned accepted = f->peer.accepted;
		struct socks *s = socks_connect(&f->ev, f->server, &request, 10000, on_end, f);

		while (f->peer.at < stop_at) {
			uv_run(&f->loop, UV_RUN_ONCE);
		}
		socks_cancel(s);
		while (f->peer.accepted == accepted || !f->peer.ended) {
			uv_run(&f->loop, UV_RUN_ONCE);
		}
		assert_int_equal(f->done, 0);
		assert_int_equal(unit_open_fds(), fds);
	}
}

static void on_dialled(void *ud, int fd)
{
	struct fixture *f = ud;

	f->done++;
	f->fd = fd;
}

static void a_dial_ends_in_a_socket_or_a_reason(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in in = {.sin_family = AF_INET};
	uint16_t port = peer_open_tcp(&f->peer, &f->ev);

	peer_script(&f->peer, (const struct peer_step[]){{0}});
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons(port);
	dial_start(&f->ev, (struct sockaddr *)&in, sizeof(in), 10000, on_dialled, f);
	assert_int_equal(f->done, 0);
	while (!f->done || !f->peer.accepted) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
	assert_int_equal(f->done, 1);
	assert_true(f->fd >= 0);
	close(f->fd);

	in.sin_port = htons(1); /* nobody listens on it in a test's network */
	dial_start(&f->ev, (struct sockaddr *)&in, sizeof(in), 10000, on_dialled, f);
	while (f->done == 1) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
	assert_int_equal(f->fd, -ECONNREFUSED);
	in.sin_family = 0x7fff; /* no such kind of socket */
	dial_start(&f->ev, (struct sockaddr *)&in, sizeof(in), 10000, on_dialled, f);
	assert_int_equal(f->done, 2);
	while (f->done == 2) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
	assert_int_equal(f->fd, -EAFNOSUPPORT);
}

static void of_several_listeners_the_best_is_chosen(void **state)
{
	static const struct {
		const char *listeners, *chosen;
	} cases[] = {
		{"\"127.0.0.1:9050\" \"unix:/run/tor/socks\"", "unix:/run/tor/socks"},
		{"\"127.0.0.1:9050\" \"127.0.0.1:9150\"", "127.0.0.1:9050"},
		{"\"192.168.1.1:9050\" \"[::1]:9150\"", "[::1]:9150"},
		{"\"0.0.0.0:9050\"", ""},
		{"\"unix:relative\" \"127.0.0.1:0\" \"", ""},
		{"", ""},
	};
	char ret[128];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		socks_choose(span_str(cases[i].listeners), ret, sizeof(ret));
		assert_string_equal(ret, cases[i].chosen);
	}
	socks_choose(SPAN("\"127.0.0.1:9050\""), ret, 8); /* what does not fit is left */
	assert_string_equal(ret, "");
	(void)state;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_name_goes_to_tor_as_it_is_with_a_username),
		TEST(what_tor_says_becomes_words),
		TEST(a_port_that_is_no_socks_port_or_takes_no_username_is_refused),
		cmocka_unit_test(an_answer_may_come_in_any_pieces),
		TEST(texts_that_do_not_fit_are_refused),
		TEST(nobody_there_silence_and_hanging_up_are_told_apart),
		TEST(cancelled_at_any_point_nothing_is_told_and_nothing_is_left),
		TEST(a_dial_ends_in_a_socket_or_a_reason),
		cmocka_unit_test(of_several_listeners_the_best_is_chosen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
