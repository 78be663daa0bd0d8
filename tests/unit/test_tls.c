/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The HTTP client with TLS, against servers of another implementation (tls_server.py). */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/wait.h>

#include "ev/dial.h"
#include "http/client/client.h"

static struct world {
	char *dir;
	pid_t pid;
	int to_server;
	struct {
		char name[16];
		unsigned port;
	} servers[16];
	size_t n;
} world;

struct fixture {
	uv_loop_t loop;
	struct ev ev;
	struct http_client_request post;
	int done;
	int fd;
	int status;
	char problem[200];
};

static int start_servers(void **state)
{
	int in[2], out[2];

	(void)state;
	world.dir = unit_tmpdir();
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	world.pid = fork();
	if (world.pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execlp("python3", "python3", TLS_SERVER, world.dir, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	world.to_server = in[1];
	FILE *lines = fdopen(out[0], "r");
	char name[16];
	unsigned port;

	while (fscanf(lines, "%15s %u", name, &port) == 2 && strcmp(name, "ready") != 0) {
		memcpy(world.servers[world.n].name, name, sizeof(name));
		world.servers[world.n++].port = port;
	}
	fclose(lines);
	return world.n == 7 ? 0 : -1;
}

static int stop_servers(void **state)
{
	(void)state;
	close(world.to_server);
	waitpid(world.pid, NULL, 0);
	unit_rmtree(world.dir);
	return 0;
}

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);

	assert_int_equal(uv_loop_init(&f->loop), 0);
	ev_init(&f->ev, &f->loop, 1 << 20);
	f->post = (struct http_client_request){
		.authority = "localhost",
		.host = "localhost",
		.target = SPAN("/"),
		.content_type = "text/plain",
		.body = SPAN("hello"),
		.timeout_ms = 20000,
	};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ev_done(&f->ev);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	free(f);
	return 0;
}

static void on_dialled(void *ud, int fd)
{
	struct fixture *f = ud;

	f->done++;
	f->fd = fd;
}

static void on_end(void *ud, const struct http_answer *answer)
{
	struct fixture *f = ud;

	f->done++;
	f->status = answer->status;
	snprintf(f->problem, sizeof(f->problem), "%s", answer->problem ? answer->problem : "");
}

static void wait_for(struct fixture *f)
{
	while (!f->done) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
	f->done = 0;
}

static void dial(struct fixture *f, const char *server)
{
	struct sockaddr_in in = {.sin_family = AF_INET};

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (size_t i = 0; i < world.n; i++) {
		if (strcmp(world.servers[i].name, server) == 0) {
			in.sin_port = htons((uint16_t)world.servers[i].port);
		}
	}
	dial_start(&f->ev, (struct sockaddr *)&in, sizeof(in), 20000, on_dialled, f);
	wait_for(f);
	assert_true(f->fd >= 0);
}

static void run(struct fixture *f, const char *server, const char *ca)
{
	char *path = xasprintf("%s/%s", world.dir, ca);
	struct error err = ERROR_INIT;
	struct tls_trust *trust;

	if (tls_trust_load(path, &trust, &err) < 0) {
		fail_msg("%s", error_text(&err));
	}
	dial(f, server);
	f->post.trust = trust;
	http_client_send(&f->ev, f->fd, &f->post, on_end, f);
	wait_for(f);
	tls_trust_free(trust);
	free(path);
}

static void a_server_that_can_be_trusted_is_posted_to(void **state)
{
	struct fixture *f = *state;

	run(f, "good", "ca.pem");
	assert_string_equal(f->problem, "");
	assert_int_equal(f->status, 200);
	run(f, "tls12", "ca.pem");
	assert_int_equal(f->status, 200);
	f->post.authority = "else";
	run(f, "good", "ca.pem");
	assert_int_equal(f->status, 400);
}

static void one_that_cannot_gets_nothing(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *server, *ca, *problem;
	} cases[] = {
		{"good", "other-ca.pem", "not signed by an authority that this machine trusts"},
		{"named", "ca.pem", "is for another name"},
		{"expired", "ca.pem", "has expired"},
		{"tls11", "ca.pem", "TLS failed"},
		{"plain", "ca.pem", "TLS failed"},
		{"hangup", "ca.pem", "within the TLS handshake"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		run(f, cases[i].server, cases[i].ca);
		if (f->status != 0 || !strstr(f->problem, cases[i].problem)) {
			fail_msg("%s: %d %s", cases[i].server, f->status, f->problem);
		}
	}
}

static void an_answer_without_end_is_cut(void **state)
{
	struct fixture *f = *state;

	f->post.target = SPAN("/endless");
	run(f, "good", "ca.pem");
	assert_int_equal(f->status, 200);
}

static void on_cancelled(void *ud)
{
	struct fixture *f = ud;

	f->done = -1;
}

/* After each of the first turns of the loop: before, in and after the handshake. */
static void cancelled_at_any_point_nothing_is_left(void **state)
{
	struct fixture *f = *state;
	char *path = xasprintf("%s/ca.pem", world.dir);
	struct tls_trust *trust;
	int fds = unit_open_fds();

	assert_int_equal(tls_trust_load(path, &trust, NULL), 0);
	f->post.trust = trust;
	for (int turns = 0; turns < 6; turns++) {
		dial(f, "good");
		struct http_client *c = http_client_send(&f->ev, f->fd, &f->post, on_end, f);

		for (int i = 0; i < turns && !f->done; i++) {
			uv_run(&f->loop, UV_RUN_ONCE);
		}
		if (!f->done) {
			http_client_cancel(c, on_cancelled, f);
			wait_for(f);
		}
		f->done = 0;
		assert_int_equal(unit_open_fds(), fds);
	}
	tls_trust_free(trust);
	free(path);
}

static void bundles_that_are_none_are_refused_in_words(void **state)
{
	struct error err = ERROR_INIT;
	struct tls_trust *trust;
	char *path = xasprintf("%s/empty", world.dir);

	(void)state;
	assert_int_equal(tls_trust_load(path, &trust, &err), -ENOENT);
	assert_non_null(strstr(error_text(&err), path));
	unit_write(world.dir, "empty", "");
	assert_int_equal(tls_trust_load(path, &trust, &err), -EBADMSG);
	unit_write(world.dir, "empty",
		   "-----BEGIN CERTIFICATE-----\nAAAA\n"
		   "-----END CERTIFICATE-----\n");
	assert_int_equal(tls_trust_load(path, &trust, &err), -EBADMSG);
	assert_non_null(strstr(error_text(&err), "no certificate"));
	error_done(&err);
	free(path);
	/* The system's own can be read, where there is one. */
	if (access("/etc/ssl/certs/ca-certificates.crt", R_OK) == 0) {
		assert_int_equal(tls_trust_load(NULL, &trust, &err), 0);
		tls_trust_free(trust);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_server_that_can_be_trusted_is_posted_to),
		TEST(one_that_cannot_gets_nothing),
		TEST(an_answer_without_end_is_cut),
		TEST(cancelled_at_any_point_nothing_is_left),
		cmocka_unit_test(bundles_that_are_none_are_refused_in_words),
	};

	return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
