/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "ev/bufpool.h"
#include "ev/ev.h"
#include "ev/listener.h"
#include "ev/work.h"
#include "unit.h"

/* One loop a test; the deadline turns a hang into a failure. */
struct fixture {
	uv_loop_t loop;
	uv_timer_t deadline;
	struct ev ev;
	char *dir;
	int fds_before;
};

static void too_late(uv_timer_t *timer)
{
	(void)timer;
	fail_msg("nothing happened for 20 seconds");
}

static int begin(void **state)
{
	struct fixture *f = xnew(struct fixture);

	/* The pool's own descriptors are made once a process and stay: before counting. */
	assert_int_equal(uv_loop_init(&f->loop), 0);
	uv_timer_init(&f->loop, &f->deadline);
	uv_timer_start(&f->deadline, too_late, 20000, 0);
	uv_unref((uv_handle_t *)&f->deadline);
	ev_init(&f->ev, &f->loop, 4 * BUFPOOL_BUFFER_SIZE);
	f->dir = unit_tmpdir();
	f->fds_before = unit_open_fds();
	*state = f;
	return 0;
}

static int end(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(unit_open_fds(), f->fds_before);
	ev_done(&f->ev);
	uv_close((uv_handle_t *)&f->deadline, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	unit_rmtree(f->dir);
	free(f);
	return 0;
}

/* Turns the loop until *flag is at least n. */
static void turn_until(struct fixture *f, const int *flag, int n)
{
	uv_ref((uv_handle_t *)&f->deadline);
	while (*flag < n) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
	uv_unref((uv_handle_t *)&f->deadline);
}

/* ev */

static void an_environment_has_all_its_parts(void **state)
{
	struct fixture *f = *state;

	assert_non_null(f->ev.work);
	assert_non_null(f->ev.bufs);
	assert_int_equal(f->ev.scratch_size, EV_SCRATCH_SIZE);
	memset(f->ev.scratch, 'x', f->ev.scratch_size);
	assert_true(ev_now_ms(&f->ev) == uv_now(&f->loop));
	/* After 2020, before 2200: milliseconds, not seconds or microseconds. */
	assert_true(ev_wall_ms() > 1577836800000 && ev_wall_ms() < 7258118400000);
}

/* bufpool */

struct waiter {
	struct bufpool_wait wait;
	struct bufpool *pool;
	bool takes;
	int called;
	char *got;
	int *clock, when;
};

static void waiter_ready(struct bufpool_wait *wait)
{
	struct waiter *w = container_of(wait, struct waiter, wait);

	w->called++;
	w->when = ++*w->clock;
	if (w->takes) {
		w->got = bufpool_get(w->pool);
		assert_non_null(w->got);
	}
}

static void buffers_are_bounded_and_come_in_turn(void **state)
{
	struct fixture *f = *state;
	struct bufpool *p = bufpool_new(&f->loop, 2 * BUFPOOL_BUFFER_SIZE + 1);
	char *a = bufpool_get(p), *b = bufpool_get(p);
	int clock = 0;
	struct waiter w[3] = {0};

	assert_non_null(a);
	assert_non_null(b);
	assert_null(bufpool_get(p));
	assert_int_equal(bufpool_in_use(p), 2);
	memset(a, 1, BUFPOOL_BUFFER_SIZE);
	memset(b, 2, BUFPOOL_BUFFER_SIZE);
	for (int i = 0; i < 3; i++) {
		w[i].pool = p;
		w[i].clock = &clock;
		w[i].takes = true;
		bufpool_wait_init(&w[i].wait, waiter_ready);
		bufpool_wait_cancel(&w[i].wait); /* also when it does not wait */
		bufpool_wait(p, &w[i].wait);
	}
	bufpool_wait_cancel(&w[1].wait);
	assert_int_equal(w[0].called, 0);
	bufpool_put(p, a);
	assert_int_equal(w[0].called, 1);
	assert_int_equal(w[2].called, 0);
	assert_int_equal(bufpool_in_use(p), 2);
	bufpool_put(p, b);
	assert_int_equal(w[1].called, 0);
	assert_int_equal(w[2].called, 1);
	assert_true(w[0].when < w[2].when);
	bufpool_put(p, w[0].got);
	bufpool_put(p, w[2].got);
	bufpool_put(p, NULL);
	assert_int_equal(bufpool_in_use(p), 0);
	bufpool_free(p);
	bufpool_free(NULL);
}

static void a_waiter_that_gave_up_does_not_hold_up_the_next(void **state)
{
	struct fixture *f = *state;
	struct bufpool *p = bufpool_new(&f->loop, 0); /* one is always allowed */
	char *a = bufpool_get(p);
	int clock = 0;
	struct waiter w[2] = {{.pool = p, .clock = &clock, .takes = false},
			      {.pool = p, .clock = &clock, .takes = true}};

	assert_non_null(a);
	for (int i = 0; i < 2; i++) {
		bufpool_wait_init(&w[i].wait, waiter_ready);
		bufpool_wait(p, &w[i].wait);
	}
	bufpool_put(p, a);
	assert_int_equal(w[0].called, 1);
	assert_int_equal(w[1].called, 1);
	bufpool_put(p, w[1].got);
	bufpool_free(p);
}

static void many_buffers_go_and_come_back(void **state)
{
	struct fixture *f = *state;
	struct bufpool *p = bufpool_new(&f->loop, 20 * BUFPOOL_BUFFER_SIZE);
	char *all[20];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 20; i++) {
			all[i] = bufpool_get(p);
			assert_non_null(all[i]);
			all[i][BUFPOOL_BUFFER_SIZE - 1] = (char)i;
		}
		assert_null(bufpool_get(p));
		for (int i = 0; i < 20; i++) {
			assert_int_equal(all[i][BUFPOOL_BUFFER_SIZE - 1], i);
			bufpool_put(p, all[i]);
		}
	}
	bufpool_free(p);
}

/* work */

/* A gate that jobs on the pool wait at until the test opens it. */
struct gate {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	bool open;
	int waiting, running_slow, most_slow;
};

#define GATE_INIT                                                                    \
	{                                                                            \
		.mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER \
	}

struct test_job {
	struct job job;
	struct gate *gate;
	int *clock, *done_count;
	int ran, done, when;
	int again; /* submit itself that many times more */
};

static void run_at_gate(struct job *job)
{
	struct test_job *j = container_of(job, struct test_job, job);
	struct gate *g = j->gate;

	pthread_mutex_lock(&g->mutex);
	g->waiting++;
	g->running_slow++;
	if (g->running_slow > g->most_slow) {
		g->most_slow = g->running_slow;
	}
	pthread_cond_broadcast(&g->cond);
	while (!g->open) {
		pthread_cond_wait(&g->cond, &g->mutex);
	}
	g->running_slow--;
	pthread_mutex_unlock(&g->mutex);
	j->ran++;
}

static void run_at_once(struct job *job)
{
	container_of(job, struct test_job, job)->ran++;
}

static void job_done(struct job *job)
{
	struct test_job *j = container_of(job, struct test_job, job);

	j->done++;
	j->when = ++*j->clock;
	++*j->done_count;
	if (j->again > 0) {
		j->again--;
		work_submit(job->work, job->lane, job, job->run, job_done);
	}
}

static void open_gate(struct gate *g)
{
	pthread_mutex_lock(&g->mutex);
	g->open = true;
	pthread_cond_broadcast(&g->cond);
	pthread_mutex_unlock(&g->mutex);
}

static void wait_at_gate(struct gate *g, int n)
{
	pthread_mutex_lock(&g->mutex);
	while (g->waiting < n) {
		pthread_cond_wait(&g->cond, &g->mutex);
	}
	pthread_mutex_unlock(&g->mutex);
}

static void slow_jobs_leave_room_for_fast_ones(void **state)
{
	struct fixture *f = *state;
	struct gate gate = GATE_INIT;
	int clock = 0, slow_done = 0, fast_done = 0;
	struct test_job slow[8] = {0}, fast[8] = {0};

	for (int i = 0; i < 8; i++) {
		slow[i].gate = &gate;
		slow[i].clock = fast[i].clock = &clock;
		slow[i].done_count = &slow_done;
		fast[i].done_count = &fast_done;
		work_submit(f->ev.work, WORK_SLOW, &slow[i].job, run_at_gate, job_done);
	}
	wait_at_gate(&gate, 2);
	for (int i = 0; i < 8; i++) {
		work_submit(f->ev.work, WORK_FAST, &fast[i].job, run_at_once, job_done);
		assert_int_equal(fast[i].done, 0); /* done never comes from within */
	}
	assert_int_equal(work_pending(f->ev.work), 16);
	/* All slow ones that may run stand at the gate, and yet: */
	turn_until(f, &fast_done, 8);
	assert_int_equal(slow_done, 0);
	assert_int_equal(gate.most_slow, 2);
	open_gate(&gate);
	turn_until(f, &slow_done, 8);
	assert_int_equal(work_pending(f->ev.work), 0);
	assert_true(gate.most_slow <= 2);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(slow[i].ran, 1);
		assert_int_equal(slow[i].done, 1);
		assert_int_equal(fast[i].ran, 1);
		assert_int_equal(fast[i].done, 1);
	}
}

static void waiting_slow_jobs_run_first_come_first_served(void **state)
{
	struct fixture *f = *state;
	struct gate gates[2] = {GATE_INIT, GATE_INIT};
	int clock = 0, done = 0;
	struct test_job blockers[2] = {0}, queue[50] = {0};

	for (int i = 0; i < 2; i++) {
		blockers[i] =
			(struct test_job){.gate = &gates[i], .clock = &clock, .done_count = &done};
		work_submit(f->ev.work, WORK_SLOW, &blockers[i].job, run_at_gate, job_done);
		wait_at_gate(&gates[i], 1);
	}
	for (int i = 0; i < 50; i++) {
		queue[i] = (struct test_job){.clock = &clock, .done_count = &done};
		work_submit(f->ev.work, WORK_SLOW, &queue[i].job, run_at_once, job_done);
	}
	/* One place is free and the other stays taken: the order is to be seen. */
	open_gate(&gates[0]);
	turn_until(f, &done, 51);
	for (int i = 0; i + 1 < 50; i++) {
		assert_true(queue[i].when < queue[i + 1].when);
	}
	open_gate(&gates[1]);
	turn_until(f, &done, 52);
}

static void a_finished_job_may_be_submitted_again(void **state)
{
	struct fixture *f = *state;
	int clock = 0, done = 0;
	struct test_job fast = {.clock = &clock, .done_count = &done, .again = 9};
	struct test_job slow = {.clock = &clock, .done_count = &done, .again = 9};

	work_submit(f->ev.work, WORK_FAST, &fast.job, run_at_once, job_done);
	work_submit(f->ev.work, WORK_SLOW, &slow.job, run_at_once, job_done);
	turn_until(f, &done, 20);
	assert_int_equal(fast.ran, 10);
	assert_int_equal(slow.ran, 10);
	assert_int_equal(work_pending(f->ev.work), 0);
	work_free(NULL);
}

/* listener */

struct visitors {
	struct fixture *f;
	int n, closed;
	int fds[256];
	pid_t pid;
	uid_t uid;
	bool cred, close_at_first;
	struct listener *l;
};

static void listener_is_closed(void *ud)
{
	((struct visitors *)ud)->closed++;
}

static void on_visitor(void *ud, int fd, const struct ucred *cred)
{
	struct visitors *v = ud;

	assert_true(v->n < (int)ARRAY_SIZE(v->fds));
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	v->fds[v->n++] = fd;
	v->cred = cred != NULL;
	if (cred) {
		v->pid = cred->pid;
		v->uid = cred->uid;
	}
	if (v->close_at_first) {
		listener_close(v->l, listener_is_closed, v);
	}
}

static void let_go(struct visitors *v)
{
	for (int i = 0; i < v->n; i++) {
		close(v->fds[i]);
	}
	v->n = 0;
}

static void close_listener(struct visitors *v)
{
	int before = v->closed;

	listener_close(v->l, listener_is_closed, v);
	assert_int_equal(v->closed, before); /* never from within */
	listener_close(v->l, listener_is_closed, v);
	turn_until(v->f, &v->closed, before + 1);
	uv_run(&v->f->loop, UV_RUN_NOWAIT);
	assert_int_equal(v->closed, before + 1);
}

static struct sockaddr_un unix_address(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	assert_true(strlen(path) < sizeof(addr.sun_path));
	memcpy(addr.sun_path, path, strlen(path) + 1);
	return addr;
}

static int call_unix(const char *path)
{
	struct sockaddr_un addr = unix_address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

static int listen_unix(struct visitors *v, const char *path, struct error *err)
{
	return listener_open_unix(&v->f->ev, path, 0660, on_visitor, v, &v->l, err);
}

static void unix_visitors_are_known_by_their_credentials(void **state)
{
	struct fixture *f = *state;
	struct visitors v = {.f = f};
	_cleanup_error_ struct error err = ERROR_INIT;
	char *path = xasprintf("%s/s", f->dir);
	struct stat st;

	assert_int_equal(listen_unix(&v, path, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(listener_port(v.l), 0);
	assert_true(listener_fd(v.l) >= 0);
	int c = call_unix(path);

	assert_true(c >= 0);
	turn_until(f, &v.n, 1);
	assert_true(v.cred);
	assert_int_equal(v.pid, getpid());
	assert_int_equal(v.uid, geteuid());
	close(c);
	let_go(&v);
	close_listener(&v);
	assert_int_equal(stat(path, &st), -1);
	free(path);
}

static void all_who_wait_are_taken_over_several_turns(void **state)
{
	struct fixture *f = *state;
	struct visitors v = {.f = f};
	char *path = xasprintf("%s/s", f->dir);
	int c[200];

	assert_int_equal(listen_unix(&v, path, NULL), 0);
	for (int i = 0; i < 200; i++) {
		c[i] = call_unix(path);
		assert_true(c[i] >= 0);
	}
	while (v.n < 200) {
		int before = v.n;

		uv_run(&f->loop, UV_RUN_ONCE);
		assert_true(v.n - before <= 64);
	}
	for (int i = 0; i < 200; i++) {
		close(c[i]);
	}
	let_go(&v);
	close_listener(&v);
	free(path);
}

static void loopback_gets_a_port_and_keeps_it(void **state)
{
	struct fixture *f = *state;
	struct visitors v = {.f = f}, w = {.f = f};
	_cleanup_error_ struct error err = ERROR_INIT;
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};

	assert_int_equal(listener_open_tcp(&f->ev, 0, on_visitor, &v, &v.l, &err), 0);
	uint16_t port = listener_port(v.l);

	assert_true(port > 0);
	assert_int_equal(listener_open_tcp(&f->ev, port, on_visitor, &w, &w.l, &err), -EADDRINUSE);
	char *expected = xasprintf("127.0.0.1:%u", port);

	assert_non_null(strstr(error_text(&err), expected));
	free(expected);
	addr.sin_port = htons(port);
	int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(c, (struct sockaddr *)&addr, sizeof(addr)), 0);
	turn_until(f, &v.n, 1);
	assert_false(v.cred);
	/* The server's end closes first, as at a restart, and the port can be had again. */
	let_go(&v);
	close_listener(&v);
	close(c);
	assert_int_equal(listener_open_tcp(&f->ev, port, on_visitor, &w, &w.l, &err), 0);
	assert_int_equal(listener_port(w.l), port);
	close_listener(&w);
}

static void a_stale_socket_is_replaced(void **state)
{
	struct fixture *f = *state;
	struct visitors v = {.f = f};
	char *path = xasprintf("%s/s", f->dir);
	struct sockaddr_un addr = unix_address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	close(fd); /* as after kill -9: the file stays and nobody answers */
	assert_int_equal(listen_unix(&v, path, NULL), 0);
	int c = call_unix(path);

	turn_until(f, &v.n, 1);
	close(c);
	let_go(&v);
	close_listener(&v);
	free(path);
}

static void a_living_socket_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct visitors v = {.f = f};
	_cleanup_error_ struct error err = ERROR_INIT;
	char *path = xasprintf("%s/s", f->dir);
	struct sockaddr_un addr = unix_address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(listen_unix(&v, path, &err), -EADDRINUSE);
	assert_non_null(strstr(error_text(&err), path));
	/* Still so when its backlog is full by now. */
	assert_int_equal(listen_unix(&v, path, &err), -EADDRINUSE);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	close(fd);
	free(path);
}

static void what_is_no_socket_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct visitors v = {.f = f};
	_cleanup_error_ struct error err = ERROR_INIT;
	char *path = xasprintf("%s/precious", f->dir), *missing = xasprintf("%s/no/s", f->dir);
	char *link = xasprintf("%s/link", f->dir);
	struct stat st;

	unit_write(f->dir, "precious", "data");
	assert_int_equal(listen_unix(&v, path, &err), -EEXIST);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(symlink("precious", link), 0);
	assert_int_equal(listen_unix(&v, link, &err), -EEXIST);
	assert_int_equal(listen_unix(&v, missing, &err), -ENOENT);
	free(path);
	free(missing);
	free(link);
}

static void a_path_too_long_for_a_socket_is_refused(void **state)
{
	struct fixture *f = *state;
	struct visitors v = {.f = f};
	_cleanup_error_ struct error err = ERROR_INIT;
	char path[109];

	memset(path, 'x', 108);
	path[108] = '\0';
	assert_int_equal(listen_unix(&v, path, &err), -ENAMETOOLONG);
	assert_non_null(strstr(error_text(&err), "107"));
}

static void only_its_own_socket_file_is_removed(void **state)
{
	struct fixture *f = *state;
	struct visitors v = {.f = f}, w = {.f = f};
	char *path = xasprintf("%s/s", f->dir), *aside = xasprintf("%s/aside", f->dir);
	struct stat st;

	assert_int_equal(listen_unix(&v, path, NULL), 0);
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(listen_unix(&w, path, NULL), 0);
	close_listener(&v);
	assert_int_equal(stat(path, &st), 0); /* the other one's */
	close_listener(&w);
	assert_int_equal(stat(path, &st), -1);
	free(path);
	free(aside);
}

static void a_listener_may_be_closed_while_it_accepts(void **state)
{
	struct fixture *f = *state;
	struct visitors v = {.f = f, .close_at_first = true};
	char *path = xasprintf("%s/s", f->dir);

	assert_int_equal(listen_unix(&v, path, NULL), 0);
	int a = call_unix(path), b = call_unix(path);

	turn_until(f, &v.closed, 1);
	assert_int_equal(v.n, 1);
	close(a);
	close(b);
	let_go(&v);
	listener_close(NULL, listener_is_closed, &v);
	uv_run(&f->loop, UV_RUN_NOWAIT);
	assert_int_equal(v.closed, 1);
	free(path);
}

static void a_listener_handed_over_is_used(void **state)
{
	struct fixture *f = *state;
	struct visitors v = {.f = f};
	_cleanup_error_ struct error err = ERROR_INIT;
	char *path = xasprintf("%s/s", f->dir);
	struct sockaddr_un addr = unix_address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat st;

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(listener_open_fd(&f->ev, fd, on_visitor, &v, &v.l, &err), 0);
	int c = call_unix(path);

	turn_until(f, &v.n, 1);
	assert_true(v.cred);
	close(c);
	let_go(&v);
	close_listener(&v);
	assert_int_equal(stat(path, &st), 0); /* systemd's file, not ours */
	free(path);
}

static void who_comes_between_two_listeners_waits_for_the_second(void **state)
{
	struct fixture *f = *state;
	struct visitors v = {.f = f}, next = {.f = f};
	_cleanup_error_ struct error err = ERROR_INIT;
	char *path = xasprintf("%s/s", f->dir);
	struct stat st;

	assert_int_equal(listen_unix(&v, path, &err), 0);
	assert_string_equal(listener_path(v.l), path);
	int fd = listener_leave(v.l);

	assert_true(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
	int c = call_unix(path);

	assert_true(c >= 0);
	close_listener(&v);
	assert_int_equal(v.n, 0);
	int later = call_unix(path);

	assert_true(later >= 0);
	assert_int_equal(listener_open_left(&f->ev, fd, on_visitor, &next, &next.l, &err), 0);
	assert_string_equal(listener_path(next.l), path);
	turn_until(f, &next.n, 2);
	close(c);
	close(later);
	let_go(&next);
	close_listener(&next);
	assert_int_equal(stat(path, &st), -1); /* its file now */
	free(path);
}

static void a_socket_that_nobody_finds_any_more_is_not_gone_on_with(void **state)
{
	struct fixture *f = *state;
	struct visitors v = {.f = f};
	_cleanup_error_ struct error err = ERROR_INIT;
	char *path = xasprintf("%s/s", f->dir);
	struct listener *l;

	assert_int_equal(listen_unix(&v, path, &err), 0);
	int fd = listener_leave(v.l);

	close_listener(&v);
	assert_int_equal(unlink(path), 0);
	unit_write(f->dir, "s", "something else");
	assert_int_equal(listener_open_left(&f->ev, fd, on_visitor, &v, &l, &err), -ENOENT);
	uv_run(&f->loop, UV_RUN_NOWAIT);
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* it was taken all the same */
	free(path);
}

static void what_cannot_be_listened_on_is_refused(void **state)
{
	struct fixture *f = *state;
	struct visitors v = {.f = f};
	_cleanup_error_ struct error err = ERROR_INIT;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(listener_open_fd(&f->ev, pair[0], on_visitor, &v, &v.l, &err), -EINVAL);
	close(pair[1]); /* pair[0] was closed for us */
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_int_equal(listener_open_fd(&f->ev, null, on_visitor, &v, &v.l, &err), -ENOTSOCK);
	int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(listener_open_fd(&f->ev, tcp, on_visitor, &v, &v.l, &err), -EINVAL);
}

static void count_down(uv_timer_t *timer)
{
	++*(int *)timer->data;
}

/* Out of descriptors: visitors are turned away slowly, the loop does not spin, and it recovers. */
static void without_descriptors_visitors_are_turned_away(void **state)
{
	struct fixture *f = *state;
	struct visitors v = {.f = f};
	char *path = xasprintf("%s/s", f->dir), byte;
	int c[3], filler[4096], n_fillers = 0, elapsed = 0, turns = 0;
	struct rlimit old, low;
	uv_timer_t clock;

	assert_int_equal(listen_unix(&v, path, NULL), 0);
	for (int i = 0; i < 3; i++) {
		c[i] = call_unix(path);
		assert_true(c[i] >= 0);
	}
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = 256;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	for (;;) {
		int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		if (fd < 0) {
			assert_int_equal(errno, EMFILE);
			break;
		}
		filler[n_fillers++] = fd;
	}
	uv_timer_init(&f->loop, &clock);
	clock.data = &elapsed;
	uv_timer_start(&clock, count_down, 50, 0);
	while (elapsed < 1) {
		uv_run(&f->loop, UV_RUN_ONCE);
		turns++;
	}
	assert_true(turns < 10);
	assert_int_equal(v.n, 0);
	assert_int_equal(read(c[0], &byte, 1), 0); /* turned away, not left hanging */
	for (int i = 0; i < n_fillers; i++) {
		close(filler[i]);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	turn_until(f, &v.n, 2); /* the others are served after the pause */
	uv_close((uv_handle_t *)&clock, NULL);
	for (int i = 0; i < 3; i++) {
		close(c[i]);
	}
	let_go(&v);
	close_listener(&v);
	free(path);
}

#define loop_test(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		loop_test(an_environment_has_all_its_parts),
		loop_test(buffers_are_bounded_and_come_in_turn),
		loop_test(a_waiter_that_gave_up_does_not_hold_up_the_next),
		loop_test(many_buffers_go_and_come_back),
		loop_test(slow_jobs_leave_room_for_fast_ones),
		loop_test(waiting_slow_jobs_run_first_come_first_served),
		loop_test(a_finished_job_may_be_submitted_again),
		loop_test(unix_visitors_are_known_by_their_credentials),
		loop_test(all_who_wait_are_taken_over_several_turns),
		loop_test(loopback_gets_a_port_and_keeps_it),
		loop_test(a_stale_socket_is_replaced),
		loop_test(a_living_socket_is_left_alone),
		loop_test(what_is_no_socket_is_left_alone),
		loop_test(a_path_too_long_for_a_socket_is_refused),
		loop_test(only_its_own_socket_file_is_removed),
		loop_test(a_listener_may_be_closed_while_it_accepts),
		loop_test(a_listener_handed_over_is_used),
		loop_test(who_comes_between_two_listeners_waits_for_the_second),
		loop_test(a_socket_that_nobody_finds_any_more_is_not_gone_on_with),
		loop_test(what_cannot_be_listened_on_is_refused),
		loop_test(without_descriptors_visitors_are_turned_away),
	};

	/* The default of libuv, half of which the slow lane may take. */
	unsetenv("UV_THREADPOOL_SIZE");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
