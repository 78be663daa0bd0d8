/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The server on real sockets: files, resets, lingering, and being full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* after those */
#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ev/bufpool.h"
#include "http/server.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"

#define H         "Host: localhost\r\n"
#define FILE_SIZE (3u * 1024 * 1024 + 17)

struct site {
	uv_loop_t loop;
	struct ev ev;
	struct http_server *server;
	char dir[64];
	char socket[96], file[96];
	bool closed, alone;
	unsigned accepted; /* times that it was not alone any more */
	unsigned requests, done, aborted;
	uint64_t sent, unsent;
	char *content; /* of file */
	void (*change)(struct site *t);
	struct http_req *kept; /* answered later */
	struct http_source endless;
	unsigned stopped; /* endless was */
};

static void on_sent(void *ud, uint64_t n)
{
	struct site *t = ud;

	t->sent += n;
	if (t->change && t->sent >= FILE_SIZE / 3) {
		t->change(t);
		t->change = NULL;
	}
}

static void on_unsent(void *ud, uint64_t n)
{
	((struct site *)ud)->unsent += n;
}

static void on_done(void *ud)
{
	((struct site *)ud)->done++;
}

static void on_abort(void *ud)
{
	struct site *t = ud;

	t->aborted++;
	t->kept = NULL;
}

static const struct http_observer observer = {on_sent, on_unsent, on_done, on_abort};

static int open_file(void *ud, uint64_t offset, uint64_t length, struct http_body *ret)
{
	struct site *t = ud;
	struct stat st;
	int fd = open(t->file, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		return -errno;
	}
	fstat(fd, &st);
	*ret = http_body_file(fd, offset, length, &st);
	return 0;
}

static void on_endless_pull(struct http_source *src)
{
	(void)src; /* says nothing more */
}

static void on_endless_stop(struct http_source *src)
{
	container_of(src, struct site, endless)->stopped++;
}

static void respond_endless(struct site *t, struct http_req *req)
{
	static const struct http_source_ops source_ops = {on_endless_pull, on_endless_stop};
	struct http_resp resp;

	t->endless = (struct http_source){.ops = &source_ops, .endless = true};
	http_resp_init(&resp, req, 200);
	http_respond(req, &resp, http_body_source(&t->endless, HTTP_LENGTH_UNKNOWN));
}

static void on_request(void *ud, struct http_req *req)
{
	struct site *t = ud;
	struct http_repr repr = {.length = FILE_SIZE, .etag = "\"f\"", .open = open_file, .ud = t};
	struct http_resp resp;

	t->requests++;
	http_req_observe(req, &observer, t);
	if (span_eq(req->path, SPAN("/file"))) {
		http_respond_repr(req, &repr);
	} else if (span_eq(req->path, SPAN("/later"))) {
		t->kept = req;
	} else if (span_eq(req->path, SPAN("/endless"))) {
		respond_endless(t, req);
	} else if (span_eq(req->path, SPAN("/no"))) {
		http_respond_error(req, 413);
	} else {
		http_resp_init(&resp, req, 200);
		http_respond_text(req, &resp, "text/plain", SPAN("hello"));
	}
}

static void on_idle(void *ud, bool idle)
{
	struct site *t = ud;

	t->alone = idle;
	t->accepted += !idle;
}

static const struct http_server_ops ops = {.request = on_request, .idle = on_idle};

static void write_file(struct site *t)
{
	FILE *f = fopen(t->file, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(t->content, 1, FILE_SIZE, f), FILE_SIZE);
	assert_int_equal(fclose(f), 0);
}

static void open_site_for(struct site *t, const struct http_limits *limits, bool tcp, uid_t peer)
{
	struct http_server_config config = {.limits = *limits, .csp = "", .peer_uid = peer};
	struct error err = ERROR_INIT;

	*t = (struct site){.alone = true};
	uv_loop_init(&t->loop);
	ev_init(&t->ev, &t->loop, 1u << 20);
	strcpy(t->dir, "http-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	snprintf(t->socket, sizeof(t->socket), "%s/sock", t->dir);
	snprintf(t->file, sizeof(t->file), "%s/file", t->dir);
	t->content = malloc(FILE_SIZE);
	for (size_t i = 0; i < FILE_SIZE; i++) {
		t->content[i] = (char)(i * 31 >> 3);
	}
	write_file(t);
	t->server = http_server_new(&t->ev, &config, &ops, t);
	if (tcp) {
		assert_int_equal(http_server_listen_tcp(t->server, 0, &err), 0);
	} else {
		assert_int_equal(http_server_listen_unix(t->server, t->socket, 0600, &err), 0);
	}
}

static void open_site(struct site *t, const struct http_limits *limits, bool tcp)
{
	open_site_for(t, limits, tcp, (uid_t)-1);
}

static void on_closed(void *ud)
{
	((struct site *)ud)->closed = true;
}

static void close_site(struct site *t)
{
	http_server_close(t->server, on_closed, t);
	while (!t->closed) {
		uv_run(&t->loop, UV_RUN_ONCE);
	}
	uv_run(&t->loop, UV_RUN_DEFAULT); /* jobs on the pool */
	assert_int_equal(bufpool_in_use(t->ev.bufs), 0);
	ev_done(&t->ev);
	assert_int_equal(uv_loop_close(&t->loop), 0);
	unlink(t->file);
	assert_int_equal(rmdir(t->dir), 0); /* the socket file is gone, too */
	free(t->content);
}

/* --- visitors --- */

static int dial(const struct site *t)
{
	uint16_t port = http_server_port(t->server);
	int fd;

	if (port) {
		struct sockaddr_in a = {.sin_family = AF_INET,
					.sin_port = htons(port),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	} else {
		struct sockaddr_un a = {.sun_family = AF_UNIX};

		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		strcpy(a.sun_path, t->socket);
		assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	}
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Reads until the end, the loop running meanwhile: 0 or the error that ended it. */
static int read_all(struct site *t, int fd, struct buf *ret)
{
	for (;;) {
		char *p = buf_reserve(ret, 65536);
		ssize_t n = read(fd, p, 65536);

		if (n > 0) {
			ret->len += (size_t)n;
		} else if (n == 0) {
			return 0;
		} else if (errno != EAGAIN) {
			return errno;
		}
		uv_run(&t->loop, UV_RUN_NOWAIT);
	}
}

static int fetch(struct site *t, const char *text, struct buf *ret)
{
	int fd = dial(t), r;

	say(fd, text);
	r = read_all(t, fd, ret);
	close(fd);
	return r;
}

static struct span body_of(const struct buf *b)
{
	const char *p = memmem(b->p, b->len, "\r\n\r\n", 4);

	assert_non_null(p);
	return span_from(buf_span(b), (size_t)(p + 4 - b->p));
}

static void wait_until_alone(struct site *t)
{
	while (!t->alone) {
		uv_run(&t->loop, UV_RUN_ONCE);
	}
}

/* --- tests --- */

static void files_arrive_whole_on_both_kinds_of_sockets(void **state)
{
	struct site t;

	(void)state;
	for (int tcp = 0; tcp <= 1; tcp++) {
		struct buf b = BUF_INIT;

		open_site(&t, &http_limits_default, tcp);
		assert_int_equal(fetch(&t, "GET /file HTTP/1.1\r\n" H "Connection: close\r\n\r\n",
				       &b),
				 0);
		assert_true(span_eq(body_of(&b), span_of(t.content, FILE_SIZE)));
		assert_int_equal(t.sent, FILE_SIZE);
		assert_int_equal(t.done, 1);
		buf_clear(&b);
		assert_int_equal(fetch(&t,
				       "GET /file HTTP/1.1\r\n" H
				       "Range: bytes=1000-2000000\r\nConnection: close\r\n\r\n",
				       &b),
				 0);
		assert_true(span_eq(body_of(&b), span_of(t.content + 1000, 1999001)));
		wait_until_alone(&t);
		close_site(&t);
		buf_done(&b);
	}
}

/* What is not in the page cache comes by way of the pool. */
static void files_come_from_the_disk_as_well(void **state)
{
	struct site t;
	struct buf b = BUF_INIT;

	(void)state;
	for (int tcp = 0; tcp <= 1; tcp++) {
		open_site(&t, &http_limits_default, tcp);
		int fd = open(t.file, O_RDONLY | O_CLOEXEC);

		assert_int_equal(fsync(fd), 0);
		assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
		close(fd);
		buf_clear(&b);
		assert_int_equal(fetch(&t, "GET /file HTTP/1.1\r\n" H "Connection: close\r\n\r\n",
				       &b),
				 0);
		assert_true(span_eq(body_of(&b), span_of(t.content, FILE_SIZE)));
		close_site(&t);
	}
	buf_done(&b);
}

static void truncate_file(struct site *t)
{
	assert_int_equal(truncate(t->file, FILE_SIZE / 2), 0);
}

static void grow_file(struct site *t)
{
	assert_int_equal(truncate(t->file, FILE_SIZE * 2), 0);
}

static void rewrite_file(struct site *t)
{
	int fd = open(t->file, O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, "changed", 7, FILE_SIZE - 10), 7);
	close(fd);
}

/* The name stands for another file: who began with the old one gets the old one. */
static void replace_file(struct site *t)
{
	assert_int_equal(unlink(t->file), 0);
	t->content[0] ^= 1;
	write_file(t);
	t->content[0] ^= 1;
}

static void a_file_that_changes_ends_in_a_cut_connection(void **state)
{
	static void (*const changes[])(struct site *) = {truncate_file, grow_file, rewrite_file};
	struct site t;

	(void)state;
	for (int tcp = 0; tcp <= 1; tcp++) {
		for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
			struct buf b = BUF_INIT;

			open_site(&t, &http_limits_default, tcp);
			t.change = changes[i];
			int r = fetch(&t, "GET /file HTTP/1.1\r\n" H "\r\n", &b);

			assert_null(t.change);
			assert_true(r == 0 || r == ECONNRESET);
			assert_true(body_of(&b).n < FILE_SIZE);
			assert_int_equal(t.aborted, 1);
			assert_int_equal(t.done, 0);
			wait_until_alone(&t);
			close_site(&t);
			buf_done(&b);
		}
	}
}

static void a_replaced_file_is_sent_as_it_was_opened(void **state)
{
	struct site t;
	struct buf b = BUF_INIT;

	(void)state;
	open_site(&t, &http_limits_default, false);
	t.change = replace_file;
	fetch(&t, "GET /file HTTP/1.1\r\n" H "Connection: close\r\n\r\n", &b);
	assert_null(t.change);
	assert_true(span_eq(body_of(&b), span_of(t.content, FILE_SIZE)));
	assert_int_equal(t.done, 1);
	close_site(&t);
	buf_done(&b);
}

static void what_a_lost_visitor_did_not_get_is_not_counted(void **state)
{
	struct site t;

	(void)state;
	for (int tcp = 0; tcp <= 1; tcp++) {
		open_site(&t, &http_limits_default, tcp);
		int fd = dial(&t);
		char *p = malloc(100000);
		size_t got = 0;

		say(fd, "GET /file HTTP/1.1\r\n" H "\r\n");
		while (got < 100000) {
			ssize_t n = read(fd, p, 100000 - got);

			got += n > 0 ? (size_t)n : 0;
			uv_run(&t.loop, UV_RUN_NOWAIT);
		}
		close(fd);
		while (!t.aborted && !t.done) {
			uv_run(&t.loop, UV_RUN_ONCE);
		}
		assert_true(t.sent >= 90000);
		assert_true(t.unsent <= t.sent);
		wait_until_alone(&t);
		close_site(&t);
		free(p);
	}
}

/* An answer before 50 MiB of a body are sent reaches the visitor who sends on. */
static void an_early_answer_survives_what_is_still_coming(void **state)
{
	struct site t;

	(void)state;
	for (int tcp = 0; tcp <= 1; tcp++) {
		const size_t total = 50u * 1024 * 1024;
		struct buf b = BUF_INIT;
		char *junk = calloc(1, 1 << 20);
		size_t sent = 0;

		open_site(&t, &http_limits_default, tcp);
		int fd = dial(&t);

		say(fd, "POST /no HTTP/1.1\r\n" H "Content-Length: 52428800\r\n\r\n");
		while (sent < total) {
			size_t n = total - sent < 1 << 20 ? total - sent : 1 << 20;
			ssize_t r = send(fd, junk, n, MSG_NOSIGNAL);

			assert_true(r > 0 || errno == EAGAIN);
			sent += r > 0 ? (size_t)r : 0;
			uv_run(&t.loop, UV_RUN_NOWAIT);
		}
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
		assert_int_equal(read_all(&t, fd, &b), 0);
		assert_true(span_starts(buf_span(&b), SPAN("HTTP/1.1 413 Content Too Large\r\n")));
		close(fd);
		wait_until_alone(&t);
		close_site(&t);
		buf_done(&b);
		free(junk);
	}
}

static void above_the_limit_visitors_get_503(void **state)
{
	struct http_limits limits = http_limits_default;
	struct site t;
	struct buf b = BUF_INIT;
	int held[3];

	(void)state;
	limits.max_connections = 3;
	open_site(&t, &limits, false);
	for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
		held[i] = dial(&t);
	}
	while (http_server_connections(t.server) < 3) {
		uv_run(&t.loop, UV_RUN_ONCE);
	}
	assert_int_equal(fetch(&t, "GET / HTTP/1.1\r\n" H "\r\n", &b), 0);
	assert_true(span_starts(buf_span(&b), SPAN("HTTP/1.1 503 ")));
	assert_non_null(memmem(b.p, b.len, "\r\nRetry-After: ", 15));
	assert_int_equal(http_server_connections(t.server), 3);
	assert_int_equal(t.requests, 0);

	close(held[0]);
	while (http_server_connections(t.server) == 3) {
		uv_run(&t.loop, UV_RUN_ONCE);
	}
	buf_clear(&b);
	assert_int_equal(fetch(&t, "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", &b), 0);
	assert_true(span_starts(buf_span(&b), SPAN("HTTP/1.1 200 ")));
	close(held[1]);
	close(held[2]);
	wait_until_alone(&t);
	close_site(&t);
	buf_done(&b);
}

#define TOLD 256 /* so many at once are told that there is no room */

static void far_above_the_limit_visitors_are_just_closed(void **state)
{
	struct http_limits limits = http_limits_default;
	struct site t;
	int fds[TOLD + 20], silent = 0;
	char c[12];

	(void)state;
	limits.max_connections = 0;
	open_site(&t, &limits, false);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = dial(&t);
		uv_run(&t.loop, UV_RUN_NOWAIT);
	}
	for (int i = 0; i < 20; i++) {
		uv_run(&t.loop, UV_RUN_NOWAIT);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		ssize_t n = read(fds[i], c, sizeof(c));

		assert_true(n == 0 || (n == sizeof(c) && memcmp(c, "HTTP/1.1 503", n) == 0));
		silent += n == 0;
	}
	assert_int_equal(silent, ARRAY_SIZE(fds) - TOLD);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		close(fds[i]);
	}
	wait_until_alone(&t);
	close_site(&t);
}

static void a_half_closed_visitor_is_still_answered(void **state)
{
	struct site t;

	(void)state;
	for (int tcp = 0; tcp <= 1; tcp++) {
		struct buf b = BUF_INIT;
		struct http_resp resp;

		open_site(&t, &http_limits_default, tcp);
		int fd = dial(&t);

		say(fd, "GET /later HTTP/1.1\r\n" H "\r\n");
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
		while (!t.kept) {
			uv_run(&t.loop, UV_RUN_ONCE);
		}
		for (int i = 0; i < 20; i++) {
			uv_run(&t.loop, UV_RUN_NOWAIT);
		}
		assert_int_equal(t.aborted, 0);
		http_resp_init(&resp, t.kept, 200);
		http_respond_text(t.kept, &resp, "text/plain", SPAN("late"));
		assert_int_equal(read_all(&t, fd, &b), 0);
		assert_true(span_eq(body_of(&b), SPAN("late")));
		close(fd);
		close_site(&t);
		buf_done(&b);
	}
}

/* A body without end: not even a beat is to be written before it is noticed. */
static void a_listener_who_hangs_up_is_gone_at_once(void **state)
{
	static const char *const requests[] = {
		"GET /endless HTTP/1.1\r\n" H "\r\n",
		"GET / HTTP/1.1\r\n" H "\r\nGET /endless HTTP/1.1\r\n" H "\r\n",
		"GET /endless HTTP/1.1\r\n" H "\r\nmore that is never read",
		"GET /endless HTTP/1.0\r\n\r\n",
	};
	struct site t;

	(void)state;
	for (unsigned i = 0; i < 4 * ARRAY_SIZE(requests); i++) {
		bool tcp = i & 1, half = i & 2;

		open_site(&t, &http_limits_default, tcp);
		int fd = dial(&t);

		say(fd, requests[i / 4]);
		while (!t.endless.conn) {
			uv_run(&t.loop, UV_RUN_ONCE);
		}
		for (int k = 0; k < 20; k++) {
			uv_run(&t.loop, UV_RUN_NOWAIT);
		}
		assert_int_equal(t.stopped, 0);
		assert_int_equal(half ? shutdown(fd, SHUT_WR) : close(fd), 0);
		while (!t.stopped) {
			uv_run(&t.loop, UV_RUN_ONCE);
		}
		wait_until_alone(&t);
		assert_int_equal(t.stopped, 1);
		if (half) {
			close(fd);
		}
		close_site(&t);
	}
}

/* Also one who had hung up before the body began. */
static void a_listener_who_has_hung_up_already_is_not_waited_for(void **state)
{
	struct site t;

	(void)state;
	for (int tcp = 0; tcp <= 1; tcp++) {
		open_site(&t, &http_limits_default, tcp);
		int fd = dial(&t);

		say(fd, "GET /later HTTP/1.1\r\n" H "\r\n");
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
		while (!t.kept) {
			uv_run(&t.loop, UV_RUN_ONCE);
		}
		for (int k = 0; k < 20; k++) {
			uv_run(&t.loop, UV_RUN_NOWAIT);
		}
		assert_int_equal(t.aborted, 0);
		respond_endless(&t, t.kept);
		while (!t.stopped) {
			uv_run(&t.loop, UV_RUN_ONCE);
		}
		wait_until_alone(&t);
		close(fd);
		close_site(&t);
	}
}

/* On a Unix socket it is noticed while the handler still thinks. */
static void a_visitor_who_leaves_early_aborts_his_request(void **state)
{
	struct site t;

	(void)state;
	open_site(&t, &http_limits_default, false);
	int fd = dial(&t);

	say(fd, "GET /later HTTP/1.1\r\n" H "\r\n");
	while (!t.kept) {
		uv_run(&t.loop, UV_RUN_ONCE);
	}
	close(fd);
	while (!t.aborted) {
		uv_run(&t.loop, UV_RUN_ONCE);
	}
	wait_until_alone(&t);
	close_site(&t);
}

static void without_descriptors_the_server_goes_on(void **state)
{
	struct rlimit old, tight;
	struct site t;
	struct buf b = BUF_INIT;
	int fds[8], last;

	(void)state;
	open_site(&t, &http_limits_default, false);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = dial(&t);
	}
	last = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	tight = old;
	tight.rlim_cur = (rlim_t)last + 3; /* room for three more visitors */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	for (int i = 0; i < 20; i++) {
		uv_run(&t.loop, UV_RUN_NOWAIT);
	}
	assert_in_range(http_server_connections(t.server), 1, 5);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	close(last);
	say(fds[0], "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
	assert_int_equal(read_all(&t, fds[0], &b), 0);
	assert_true(span_starts(buf_span(&b), SPAN("HTTP/1.1 200 ")));
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		close(fds[i]);
	}
	wait_until_alone(&t);
	close_site(&t);
	buf_done(&b);
}

static void no_timer_runs_while_nobody_is_there(void **state)
{
	struct site t;
	struct buf b = BUF_INIT;

	(void)state;
	open_site(&t, &http_limits_default, false);
	fetch(&t, "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", &b);
	wait_until_alone(&t);
	uv_run(&t.loop, UV_RUN_NOWAIT);
	assert_int_equal(uv_backend_timeout(&t.loop), -1);
	close_site(&t);
	buf_done(&b);
}

static void after_stop_listening_connections_go_on(void **state)
{
	struct site t;
	struct buf b = BUF_INIT;
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	(void)state;
	open_site(&t, &http_limits_default, false);
	int fd = dial(&t);

	while (http_server_connections(t.server) == 0) {
		uv_run(&t.loop, UV_RUN_ONCE);
	}
	http_server_stop_listening(t.server);
	uv_run(&t.loop, UV_RUN_NOWAIT);
	int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(a.sun_path, t.socket);
	assert_int_equal(connect(other, (struct sockaddr *)&a, sizeof(a)), -1);
	close(other);
	say(fd, "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
	assert_int_equal(read_all(&t, fd, &b), 0);
	assert_true(span_starts(buf_span(&b), SPAN("HTTP/1.1 200 ")));
	close(fd);
	close_site(&t);
	buf_done(&b);
}

static void a_socket_handed_over_is_served(void **state)
{
	struct site t;
	int pair[2];
	struct buf b = BUF_INIT;

	(void)state;
	open_site(&t, &http_limits_default, false);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	http_server_adopt(t.server, pair[1]);
	say(pair[0], "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
	assert_int_equal(read_all(&t, pair[0], &b), 0);
	assert_true(span_starts(buf_span(&b), SPAN("HTTP/1.1 200 ")));
	close(pair[0]);
	close_site(&t);
	buf_done(&b);
}

#define STRANGER 12345

/* In a process of its own: connects as somebody else and hopes for a byte. */
static int visit_as_stranger(const struct site *t)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char c;

	strcpy(a.sun_path, t->socket);
	if (setuid(STRANGER) < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		return 2;
	}
	return read(fd, &c, 1) <= 0 ? 0 : 1;
}

static int exit_status_of(struct site *t, pid_t child)
{
	int status = 0;

	while (waitpid(child, &status, WNOHANG) == 0) {
		uv_run(&t->loop, UV_RUN_NOWAIT);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Needs a second user, so only root can try it. */
static void only_the_named_peer_is_admitted(void **state)
{
	struct http_limits limits = http_limits_default;
	struct site t;

	(void)state;
	limits.idle_ms = limits.head_ms = 50; /* an admitted stranger is closed after that */
	for (int admitted = 0; admitted <= 1; admitted++) {
		open_site_for(&t, &limits, false, admitted ? STRANGER : STRANGER + 1);
		if (geteuid() == 0) {
			assert_int_equal(chmod(t.dir, 0755), 0);
			assert_int_equal(chmod(t.socket, 0666), 0);
			fflush(NULL);
			pid_t child = fork();

			if (child == 0) {
				_exit(visit_as_stranger(&t));
			}
			assert_int_equal(exit_status_of(&t, child), 0);
			assert_int_equal(t.accepted, admitted);
			wait_until_alone(&t);
		}
		close_site(&t);
	}
}

/* Downloads whose readers stop hold no large buffer, and the small page is served beside them. */
static void stopped_readers_hold_no_buffers(void **state)
{
	struct site t;
	struct buf b = BUF_INIT;
	int fds[20];

	(void)state;
	open_site(&t, &http_limits_default, false);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = dial(&t);
		say(fds[i], "GET /file HTTP/1.1\r\n" H "\r\n");
	}
	while (t.requests < ARRAY_SIZE(fds)) {
		uv_run(&t.loop, UV_RUN_ONCE);
	}
	assert_int_equal(fetch(&t, "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", &b), 0);
	assert_true(span_starts(buf_span(&b), SPAN("HTTP/1.1 200 ")));
	assert_int_equal(bufpool_in_use(t.ev.bufs), 0);
	assert_int_equal(http_server_busy(t.server), ARRAY_SIZE(fds));
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		close(fds[i]);
	}
	wait_until_alone(&t);
	assert_int_equal(t.aborted, ARRAY_SIZE(fds));
	assert_int_equal(http_server_busy(t.server), 0);
	close_site(&t);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_arrive_whole_on_both_kinds_of_sockets),
		cmocka_unit_test(files_come_from_the_disk_as_well),
		cmocka_unit_test(a_file_that_changes_ends_in_a_cut_connection),
		cmocka_unit_test(a_replaced_file_is_sent_as_it_was_opened),
		cmocka_unit_test(what_a_lost_visitor_did_not_get_is_not_counted),
		cmocka_unit_test(an_early_answer_survives_what_is_still_coming),
		cmocka_unit_test(above_the_limit_visitors_get_503),
		cmocka_unit_test(far_above_the_limit_visitors_are_just_closed),
		cmocka_unit_test(a_half_closed_visitor_is_still_answered),
		cmocka_unit_test(a_listener_who_hangs_up_is_gone_at_once),
		cmocka_unit_test(a_listener_who_has_hung_up_already_is_not_waited_for),
		cmocka_unit_test(a_visitor_who_leaves_early_aborts_his_request),
		cmocka_unit_test(without_descriptors_the_server_goes_on),
		cmocka_unit_test(no_timer_runs_while_nobody_is_there),
		cmocka_unit_test(after_stop_listening_connections_go_on),
		cmocka_unit_test(a_socket_handed_over_is_served),
		cmocka_unit_test(only_the_named_peer_is_admitted),
		cmocka_unit_test(stopped_readers_hold_no_buffers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
