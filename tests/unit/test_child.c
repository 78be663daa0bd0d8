/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "unit.h"

#include <errno.h>
#include <signal.h>

#include "ev/child.h"
#include "ev/ev.h"
#include "proto/base/buf.h"

struct fixture {
	uv_loop_t loop;
	struct ev ev;
	struct child *child;
	struct buf lines;
	unsigned n_lines;
	int status, signum, exits, closes;
};

static void on_line(void *ud, struct span line)
{
	struct fixture *f = ud;

	buf_add_span(&f->lines, line);
	buf_add_char(&f->lines, '\n');
	f->n_lines++;
}

static void on_closed(void *ud)
{
	((struct fixture *)ud)->closes++;
}

static void on_exited(void *ud, int status, int signum)
{
	struct fixture *f = ud;

	f->exits++;
	f->status = status;
	f->signum = signum;
	child_close(f->child, on_closed, f);
}

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);

	uv_loop_init(&f->loop);
	ev_init(&f->ev, &f->loop, 1 << 20);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	uv_run(&f->loop, UV_RUN_DEFAULT);
	ev_done(&f->ev);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	buf_done(&f->lines);
	free(f);
	return 0;
}

static int shell(struct fixture *f, const char *script)
{
	static const struct child_ops ops = {.line = on_line, .exited = on_exited};
	const char *argv[] = {"sh", "-c", script, NULL};

	return child_spawn(&f->ev, argv, &ops, f, &f->child);
}

static void lines_of_both_outputs_come_before_the_end(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(shell(f, "echo one; echo two >&2; printf last; exit 3"), 0);
	assert_true(child_pid(f->child) > 0);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_string_equal(f->lines.p, "one\ntwo\nlast\n");
	assert_int_equal(f->exits, 1);
	assert_int_equal(f->closes, 1);
	assert_int_equal(f->status, 3);
	assert_int_equal(f->signum, 0);
}

static void a_long_line_is_cut_and_a_grandchild_does_not_hold_up_the_end(void **state)
{
	struct fixture *f = *state;
	uint64_t begun = uv_hrtime();

	assert_int_equal(shell(f, "sleep 20 & head -c 5000 /dev/zero | tr '\\0' x; echo; "
				  "kill -9 $$"),
			 0);
	pid_t group = child_pid(f->child);

	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(kill(-group, SIGKILL), 0);
	assert_int_equal(f->signum, SIGKILL);
	assert_int_equal(f->n_lines, 1);
	assert_int_equal(f->lines.len, CHILD_LINE_MAX + 1);
	assert_true(uv_hrtime() - begun < 10000000000ull);
}

static void one_that_lives_still_is_killed_by_close(void **state)
{
	struct fixture *f = *state;
	int fds = unit_open_fds();

	assert_int_equal(shell(f, "exec sleep 100"), 0);
	pid_t pid = child_pid(f->child);

	child_close(f->child, on_closed, f);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->closes, 1);
	assert_int_equal(f->exits, 0);
	assert_true(kill(pid, 0) < 0 && errno == ESRCH);
	assert_in_range(unit_open_fds(), 0, fds + 2); /* libuv keeps its signal pipe */
}

static void what_systemd_told_us_is_not_passed_on(void **state)
{
	struct fixture *f = *state;

	setenv("NOTIFY_SOCKET", "/run/x", 1);
	setenv("LISTEN_FDS", "1", 1);
	setenv("UNIT_TEST_KEPT", "yes", 1);
	assert_int_equal(shell(f, "echo \"$NOTIFY_SOCKET,$LISTEN_FDS,$UNIT_TEST_KEPT\""), 0);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("LISTEN_FDS");
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_string_equal(f->lines.p, ",,yes\n");
}

static void a_missing_program_is_an_error(void **state)
{
	static const struct child_ops ops = {.line = on_line, .exited = on_exited};
	const char *argv[] = {"/nonexistent/program", NULL};
	struct fixture *f = *state;

	assert_int_equal(child_spawn(&f->ev, argv, &ops, f, &f->child), -ENOENT);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->exits, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(lines_of_both_outputs_come_before_the_end),
		T(a_long_line_is_cut_and_a_grandchild_does_not_hold_up_the_end),
		T(one_that_lives_still_is_killed_by_close),
		T(what_systemd_told_us_is_not_passed_on),
		T(a_missing_program_is_an_error),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
