/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The HTTP client against a server that follows a script, without TLS. */
#include "peer.h"

#include "http/client/client.h"

struct fixture {
	uv_loop_t loop;
	struct ev ev;
	struct peer peer;
	struct http_client_request post;
	struct http_client *client;
	int done;
	int status;
	char problem[128];
	char etag[HTTP_CLIENT_ETAG_MAX + 1];
};

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);

	assert_int_equal(uv_loop_init(&f->loop), 0);
	ev_init(&f->ev, &f->loop, 1 << 20);
	f->peer.loop = &f->loop;
	f->post = (struct http_client_request){
		.authority = "example.com:8080",
		.target = SPAN("/hook?a=b"),
		.content_type = "text/plain; charset=utf-8",
		.body = SPAN("hello"),
		.timeout_ms = 20000,
	};
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
	free(f);
	return 0;
}

static void on_end(void *ud, const struct http_answer *answer)
{
	struct fixture *f = ud;

	f->done++;
	f->status = answer->status;
	snprintf(f->problem, sizeof(f->problem), "%s", answer->problem ? answer->problem : "");
	snprintf(f->etag, sizeof(f->etag), "%s", answer->etag);
}

static void start(struct fixture *f, const struct peer_step *steps)
{
	int fds[2];

	peer_hang_up(&f->peer);
	peer_script(&f->peer, steps);
	buf_clear(&f->peer.all);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	peer_on_accept(&f->peer, fds[1], NULL);
	f->done = 0;
	f->client = http_client_send(&f->ev, fds[0], &f->post, on_end, f);
	assert_int_equal(f->done, 0);
}

static void run(struct fixture *f, const struct peer_step *steps)
{
	start(f, steps);
	while (!f->done) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
	assert_int_equal(f->done, 1);
}

#define ALL_OF_IT .until = "\r\n\r\nhello"

static void the_request_says_what_it_must_and_no_more(void **state)
{
	struct fixture *f = *state;
	static const struct peer_step steps[] = {
		{ALL_OF_IT, .say = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
		{0},
	};

	run(f, steps);
	assert_int_equal(f->status, 200);
	assert_string_equal(f->problem, "");
	assert_string_equal(f->peer.all.p, "POST /hook?a=b HTTP/1.1\r\n"
					   "Host: example.com:8080\r\n"
					   "User-Agent: OnionShare\r\n"
					   "Accept: */*\r\n"
					   "Connection: close\r\n"
					   "Content-Type: text/plain; charset=utf-8\r\n"
					   "Content-Length: 5\r\n"
					   "\r\n"
					   "hello");

	f->post.target = SPAN("?q");
	f->post.header = "X-OnionShare-Signature";
	f->post.header_value = "sha256=00";
	run(f, steps);
	assert_non_null(strstr(f->peer.all.p, "POST /?q HTTP/1.1\r\n"));
	assert_non_null(strstr(f->peer.all.p, "\r\nX-OnionShare-Signature: sha256=00\r\n\r\n"));
	f->post.target = SPAN("");
	run(f, steps);
	assert_non_null(strstr(f->peer.all.p, "POST / HTTP/1.1\r\n"));
}

static void answers_are_known_by_their_status(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *answer;
		int status;
		bool end;
	} cases[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, false},
		{"HTTP/1.0 202\r\nContent-Length: 1\r\n\r\nx", 202, false},
		{"HTTP/1.1 204 No Content\r\n\r\n", 204, false},
		{"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno.", 404, false},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200,
		 false},
		/* not followed */
		{"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
		 302, false},
		/* until the end of the connection; or less than was promised */
		{"HTTP/1.1 200 OK\r\n\r\nsome text", 200, true},
		{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome text", 200, true},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
		 "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n",
		 500, false},
		{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n"
		 "Connection: Upgrade\r\n\r\nPRI",
		 101, false},
		/* what comes behind a status does not undo it */
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 200, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct peer_step steps[] = {
			{ALL_OF_IT, .say = cases[i].answer, .end = cases[i].end},
			{0},
		};

		run(f, steps);
		if (f->status != cases[i].status) {
			fail_msg("%s: %d %s", cases[i].answer, f->status, f->problem);
		}
		assert_string_equal(f->problem, "");
	}
}

static void a_strong_validator_is_told(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *fields, *etag;
	} cases[] = {
		{"ETag: \"abc\"\r\n", "\"abc\""},
		{"X-ETag: \"a\"\r\netag:\t\"b!\" \r\nETagX: \"c\"\r\n", "\"b!\""},
		{"", ""},
		{"ETag: W/\"abc\"\r\n", ""},
		{"ETag: abc\r\n", ""},
		{"ETag: \"\r\n", ""},
		{"ETag: \"a b\"\r\n", ""},
		{"ETag: \"a\xff\"\r\n", ""},
		{"ETag: \"a\"\r\nETag: \"b\"\r\n", ""},
	};
	char text[256];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct peer_step steps[] = {{ALL_OF_IT, .say = text}, {0}};

		snprintf(text, sizeof(text),
			 "HTTP/1.1 103 Early\r\nETag: \"early\"\r\n\r\n"
			 "HTTP/1.1 200 OK\r\n%sTransfer-Encoding: chunked\r\n\r\n"
			 "0\r\nETag: \"late\"\r\n\r\n",
			 cases[i].fields);
		run(f, steps);
		if (f->status != 200 || strcmp(f->etag, cases[i].etag) != 0) {
			fail_msg("%s: %d %s", text, f->status, f->etag);
		}
	}
}

static void a_validator_has_a_bound(void **state)
{
	struct fixture *f = *state;
	char tag[HTTP_CLIENT_ETAG_MAX + 2], text[256];
	const struct peer_step steps[] = {{ALL_OF_IT, .say = text}, {0}};

	for (size_t n = HTTP_CLIENT_ETAG_MAX; n <= HTTP_CLIENT_ETAG_MAX + 1; n++) {
		memset(tag, 'a', n);
		tag[0] = tag[n - 1] = '"';
		tag[n] = '\0';
		snprintf(text, sizeof(text), "HTTP/1.1 204 No\r\nETag: %s\r\n\r\n", tag);
		run(f, steps);
		assert_string_equal(f->etag, n == HTTP_CLIENT_ETAG_MAX ? tag : "");
	}
}

static void what_is_no_answer_is_told_in_words(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *answer, *problem;
		bool end;
	} cases[] = {
		{"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP", false},
		{"HTTP/2.0 200 OK\r\n\r\n", "not HTTP", false},
		{"HTTP/1.1 99 Odd\r\n\r\n", "not HTTP", false},
		{"HTTP/1.1 200 OK\r\nbroken header\r\n\r\n", "not HTTP", false},
		{"HTTP/1.1 200 OK\r\nContent-Len", "without an answer", true},
		{"HTTP/1.1 100 Continue\r\n\r\n", "without an answer", true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct peer_step steps[] = {
			{ALL_OF_IT, .say = cases[i].answer, .end = cases[i].end},
			{0},
		};

		run(f, steps);
		if (f->status != 0 || !strstr(f->problem, cases[i].problem)) {
			fail_msg("%s: %d %s", cases[i].answer, f->status, f->problem);
		}
	}
	static const struct peer_step hang_up[] = {{ALL_OF_IT, .end = true}, {0}};

	run(f, hang_up);
	assert_int_equal(f->status, 0);
	assert_non_null(strstr(f->problem, "without an answer"));
}

static void an_answer_without_end_is_cut(void **state)
{
	struct fixture *f = *state;
	static char head[80000] = "HTTP/1.1 200 OK\r\nX-Long: ";
	static char body[80000] = "HTTP/1.1 201 OK\r\nContent-Length: 10737418240\r\n\r\n";
	const struct peer_step endless_head[] = {
		{ALL_OF_IT, .say = head, .say_n = sizeof(head)},
		{0},
	};
	const struct peer_step endless_body[] = {
		{ALL_OF_IT, .say = body, .say_n = sizeof(body)},
		{0},
	};

	memset(head + strlen(head), 'a', sizeof(head) - strlen(head));
	memset(body + strlen(body), 'a', sizeof(body) - strlen(body));
	run(f, endless_head);
	assert_int_equal(f->status, 0);
	assert_non_null(strstr(f->problem, "too long"));
	run(f, endless_body);
	assert_int_equal(f->status, 201);
	while (!f->peer.ended) {
		uv_run(&f->loop, UV_RUN_ONCE); /* it was hung up on */
	}
}

static void a_slow_server_is_given_up(void **state)
{
	struct fixture *f = *state;
	static const struct peer_step silent[] = {{0}};
	static const struct peer_step half_head[] = {{ALL_OF_IT, .say = "HTTP/1.1 2"}, {0}};
	static const struct peer_step half_body[] = {
		{ALL_OF_IT, .say = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"},
		{0},
	};

	f->post.timeout_ms = 50;
	run(f, silent);
	assert_int_equal(f->status, 0);
	assert_non_null(strstr(f->problem, "too long"));
	run(f, half_head);
	assert_int_equal(f->status, 0);
	run(f, half_body); /* it has said what matters */
	assert_int_equal(f->status, 200);
}

static void an_answer_before_the_request_was_read_counts(void **state)
{
	struct fixture *f = *state;
	static char large[1 << 20];
	static const struct peer_step steps[] = {
		{.until = "POST", .say = "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n"},
		{0},
	};

	memset(large, 'x', sizeof(large));
	f->post.body = span_of(large, sizeof(large));
	run(f, steps);
	assert_int_equal(f->status, 413);

	static const struct peer_step and_gone[] = {
		{.until = "POST",
		 .say = "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n",
		 .end = true},
		{0},
	};

	run(f, and_gone);
	assert_int_equal(f->status, 413);
}

static void a_large_body_arrives_whole(void **state)
{
	struct fixture *f = *state;
	static char large[1 << 20];
	static const struct peer_step steps[] = {
		{.until = "xEND", .say = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{0},
	};

	memset(large, 'x', sizeof(large));
	snprintf(large + sizeof(large) - 4, 4, "END");
	f->post.body = span_str(large);
	run(f, steps);
	assert_int_equal(f->status, 200);
	assert_true(f->peer.all.len > sizeof(large));
	assert_string_equal(f->peer.all.p + f->peer.all.len - strlen(large), large);
}

static void on_cancelled(void *ud)
{
	struct fixture *f = ud;

	f->done = -1;
}

static void cancelled_at_any_point_nothing_is_told_and_nothing_is_left(void **state)
{
	struct fixture *f = *state;
	static const struct peer_step steps[] = {
		{.until = "POST", .say = "HTTP/1.1 200 OK\r\n"},
		{ALL_OF_IT, .say = "Content-Length: 5\r\n\r\nab"},
		{0},
	};
	int fds = unit_open_fds();

	for (size_t stop_at = 0; stop_at < 3; stop_at++) {
		start(f, steps);
		while (f->peer.at < stop_at) {
			uv_run(&f->loop, UV_RUN_ONCE);
		}
		http_client_cancel(f->client, on_cancelled, f);
		assert_int_equal(f->done, 0);
		while (!f->done || !f->peer.ended) {
			uv_run(&f->loop, UV_RUN_ONCE);
		}
		assert_int_equal(f->done, -1);
		assert_int_equal(unit_open_fds(), fds);
	}
}

static void what_cannot_be_watched_is_told_later(void **state)
{
	struct fixture *f = *state;
	char *dir = unit_tmpdir();

	unit_write(dir, "file", "");
	char *path = xasprintf("%s/file", dir);
	int fd = open(path, O_RDWR | O_CLOEXEC); /* no socket: epoll does not take it */

	http_client_send(&f->ev, fd, &f->post, on_end, f);
	assert_int_equal(f->done, 0);
	while (!f->done) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
	assert_int_equal(f->status, 0);
	assert_non_null(strstr(f->problem, "cannot be watched"));
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	free(path);
	unit_rmtree(dir);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_request_says_what_it_must_and_no_more),
		TEST(answers_are_known_by_their_status),
		TEST(a_strong_validator_is_told),
		TEST(a_validator_has_a_bound),
		TEST(what_is_no_answer_is_told_in_words),
		TEST(an_answer_without_end_is_cut),
		TEST(a_slow_server_is_given_up),
		TEST(an_answer_before_the_request_was_read_counts),
		TEST(a_large_body_arrives_whole),
		TEST(cancelled_at_any_point_nothing_is_told_and_nothing_is_left),
		TEST(what_cannot_be_watched_is_told_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
