/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Services that start and stop by themselves, by a clock that the test sets. No Tor. */
#include "turn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/units.h"
#include "store/store.h"
#include "svc/registry.h"

#define SECOND INT64_C(1000)
#define HOUR   (3600 * SECOND)
#define NOON   INT64_C(1795262400000) /* 2026-11-21T12:00:00Z */

static int64_t clock_ms; /* as the manager sees it */

static int64_t test_clock(void)
{
	return clock_ms;
}

struct world {
	uv_loop_t loop;
	uv_timer_t soon;
	struct ev ev;
	struct store *store;
	struct manager *m;
	char *dir;
	bool answered;
	int code;
	struct service *svc;
	unsigned drain_ms;
};

/* --- turning the loop --- */

static void mark(void *ud)
{
	*(bool *)ud = true;
}

static void on_soon(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

/* The schedule looks, and what it begins gets some turns of the loop. */
static void settle(struct world *w)
{
	bool passed = false;

	schedule_wake(w->m->schedule);
	w->soon.data = &passed;
	uv_timer_start(&w->soon, on_soon, 50, 0);
	turn_until(w, passed);
}

static void set_clock(struct world *w, int64_t ms)
{
	clock_ms = ms;
	settle(w);
}

static void loaded(void *ud, const struct error *err)
{
	assert_null(err);
	mark(&((struct world *)ud)->answered);
}

static void done(void *ud, const struct error *err, struct service *svc)
{
	struct world *w = ud;

	w->answered = true;
	w->code = err ? err->code : 0;
	w->svc = svc;
}

static int finish(struct world *w, int r)
{
	if (r < 0) {
		return r;
	}
	turn_until(w, w->answered);
	w->answered = false;
	return -w->code;
}

/* --- a daemon without its outside --- */

static void open_daemon(struct world *w)
{
	_cleanup_free_ char *state_dir = xasprintf("%s/state", w->dir);
	_cleanup_free_ char *runtime = xasprintf("%s/run", w->dir);
	struct store_config store = {.state_dir = state_dir};
	struct manager_config config = {.local_only = true,
					.runtime_dir = runtime,
					.drain_ms = w->drain_ms,
					.limits = http_limits_default};
	int status;

	assert_int_equal(store_open(&w->ev, &store, &w->store, NULL, &status), 0);
	assert_int_equal(manager_new(&w->ev, &config, w->store, NULL, &w->m, NULL), 0);
	w->m->wall_ms = test_clock;
	manager_load(w->m, loaded, w);
	finish(w, 0);
}

static void close_daemon(struct world *w)
{
	bool stopped = false, closed = false;

	manager_stop(w->m, true, mark, &stopped);
	turn_until(w, stopped);
	manager_free(w->m);
	store_close(w->store, mark, &closed);
	turn_until(w, closed);
}

static int begin(void **state)
{
	struct world *w = xnew(struct world);

	clock_ms = NOON;
	w->drain_ms = 20000;
	turn_begin(&w->loop, &w->ev, 16 * 1024 * 1024);
	uv_timer_init(&w->loop, &w->soon);
	w->dir = unit_tmpdir();
	unit_write(w->dir, "a.txt", "hello\n");
	open_daemon(w);
	*state = w;
	return 0;
}

static int end(void **state)
{
	struct world *w = *state;

	close_daemon(w);
	uv_close((uv_handle_t *)&w->soon, NULL);
	turn_end(&w->loop, &w->ev);
	unit_rmtree(w->dir);
	free(w);
	return 0;
}

/* --- what is asked for --- */

/* options: taken. */
static int create(struct world *w, json_t *options, struct error *err)
{
	json_t *paths = json_array();
	struct manager_create c = {.name = "docs",
				   .mode = "share",
				   .paths = paths,
				   .options = options};

	json_array_append_new(paths, json_sprintf("%s/a.txt", w->dir));
	int r = finish(w, manager_create(w->m, &c, done, w, err));

	json_decref(paths);
	json_decref(options);
	return r;
}

static int start(struct world *w, struct error *err)
{
	return finish(w, manager_start(w->m, manager_find(w->m, "docs"), done, w, err));
}

static int stop(struct world *w)
{
	return finish(w,
		      manager_stop_service(w->m, manager_find(w->m, "docs"), false, done, w, NULL));
}

/* changes, unset: taken. */
static int edit(struct world *w, json_t *changes, json_t *unset, struct error *err)
{
	json_t *restart = NULL;
	int r = finish(w, manager_edit(w->m, manager_find(w->m, "docs"), changes, unset, NULL,
				       &restart, done, w, err));

	json_decref(restart);
	json_decref(changes);
	json_decref(unset);
	return r;
}

static json_t *at(const char *option, int64_t ms)
{
	char text[UNITS_TIME_TEXT];

	return json_pack("{s:s}", option, units_print_time(ms, text));
}

static const char *state(struct world *w)
{
	return service_state_text(manager_find(w->m, "docs"));
}

static void wait_for(struct world *w, const char *wanted)
{
	turn_until(w, !(strcmp(state(w), wanted) != 0));
}

static void expect(struct world *w, const char *member, const char *value)
{
	json_t *o = manager_service_json(manager_find(w->m, "docs"));
	const char *is = json_string_value(json_object_get(o, member));

	if (value) {
		assert_non_null(is);
		assert_string_equal(is, value);
	} else {
		assert_null(is);
	}
	json_decref(o);
}

/* --- starting --- */

static void a_start_time_is_waited_for(void **test_state)
{
	struct world *w = *test_state;

	assert_int_equal(create(w, at("start_at", NOON + HOUR), NULL), 0);
	assert_string_equal(state(w), "stopped"); /* nobody has said start yet */
	expect(w, "start_at", "2026-11-21T13:00:00Z");
	assert_int_equal(start(w, NULL), 0);
	assert_string_equal(state(w), "scheduled");
	expect(w, "reason", "starts at 2026-11-21T13:00:00Z");
	set_clock(w, NOON + HOUR - 1);
	assert_string_equal(state(w), "scheduled");
	clock_ms = NOON + HOUR;
	schedule_wake(w->m->schedule);
	wait_for(w, "running");
	expect(w, "reason", NULL);
	expect(w, "start_at", NULL);
	/* The clock goes back: what has begun has begun, also for the next daemon. */
	set_clock(w, NOON);
	assert_string_equal(state(w), "running");
	close_daemon(w);
	open_daemon(w);
	wait_for(w, "running");
}

static void seconds_count_from_start_and_become_a_time(void **test_state)
{
	struct world *w = *test_state;

	assert_int_equal(
		create(w, json_pack("{s:i, s:i}", "auto_start_timer", 60, "auto_stop_timer", 120),
		       NULL),
		0);
	clock_ms += HOUR;
	assert_int_equal(start(w, NULL), 0);
	expect(w, "start_at", "2026-11-21T13:01:00Z");
	expect(w, "stop_at", "2026-11-21T13:02:00Z");
	/* Neither said again nor after a restart do they count anew. */
	clock_ms += 30 * SECOND;
	assert_int_equal(start(w, NULL), 0);
	close_daemon(w);
	open_daemon(w);
	assert_string_equal(state(w), "scheduled");
	expect(w, "start_at", "2026-11-21T13:01:00Z");
	expect(w, "stop_at", "2026-11-21T13:02:00Z");
	set_clock(w, NOON + HOUR + 60 * SECOND);
	wait_for(w, "running");
	set_clock(w, NOON + HOUR + 120 * SECOND);
	wait_for(w, "stopped");
	expect(w, "reason", SCHEDULE_STOPPED);
	/* The next run has times of its own. */
	assert_int_equal(start(w, NULL), 0);
	expect(w, "start_at", "2026-11-21T13:03:00Z");
}

static void a_start_that_was_missed_is_made_up_for(void **test_state)
{
	struct world *w = *test_state;

	assert_int_equal(create(w, at("start_at", NOON + HOUR), NULL), 0);
	assert_int_equal(start(w, NULL), 0);
	close_daemon(w);
	clock_ms = NOON + 2 * HOUR;
	open_daemon(w);
	wait_for(w, "running");
}

static void a_start_time_that_passed_before_start_is_none(void **test_state)
{
	struct world *w = *test_state;

	assert_int_equal(create(w, at("start_at", NOON + HOUR), NULL), 0);
	clock_ms = NOON + 2 * HOUR;
	assert_int_equal(start(w, NULL), 0);
	wait_for(w, "running");
}

static void a_clock_that_is_set_counts_at_once(void **test_state)
{
	struct world *w = *test_state;

	assert_int_equal(create(w, at("start_at", NOON + HOUR), NULL), 0);
	assert_int_equal(start(w, NULL), 0);
	set_clock(w, NOON - 400 * 24 * HOUR);
	assert_string_equal(state(w), "scheduled");
	set_clock(w, NOON + 400 * 24 * HOUR);
	wait_for(w, "running");
}

static void a_clock_that_is_set_is_seen_without_being_told(void **test_state)
{
	struct world *w = *test_state;

	assert_int_equal(create(w, at("start_at", NOON + HOUR), NULL), 0);
	assert_int_equal(start(w, NULL), 0);
	settle(w);
	/* As after a sleep of the machine: no timer of ours knows how long that was. */
	clock_ms = NOON + HOUR;
	wait_for(w, "running");
}

static void a_scheduled_service_can_be_stopped_and_deleted(void **test_state)
{
	struct world *w = *test_state;

	assert_int_equal(create(w, at("start_at", NOON + HOUR), NULL), 0);
	assert_int_equal(start(w, NULL), 0);
	assert_int_equal(stop(w), 0);
	assert_string_equal(state(w), "stopped");
	set_clock(w, NOON + 2 * HOUR);
	assert_string_equal(state(w), "stopped");
	clock_ms = NOON;
	assert_int_equal(start(w, NULL), 0);
	assert_string_equal(state(w), "scheduled");
	assert_int_equal(finish(w, manager_delete(w->m, manager_find(w->m, "docs"), false, false,
						  done, w, NULL)),
			 0);
	assert_null(manager_find(w->m, "docs"));
	set_clock(w, NOON + 2 * HOUR);
}

static void a_restart_of_a_running_service_goes_by_the_schedule(void **test_state)
{
	struct world *w = *test_state;

	assert_int_equal(create(w, json_object(), NULL), 0);
	assert_int_equal(start(w, NULL), 0);
	wait_for(w, "running");
	assert_int_equal(edit(w, at("start_at", NOON + HOUR), NULL, NULL), 0);
	assert_string_equal(state(w), "running"); /* of the next run */
	expect(w, "start_at", "2026-11-21T13:00:00Z");
	assert_int_equal(finish(w,
				manager_restart(w->m, manager_find(w->m, "docs"), done, w, NULL)),
			 0);
	wait_for(w, "scheduled");
}

/* --- the dead man's switch --- */

static void it_can_be_put_off_again_and_again(void **test_state)
{
	struct world *w = *test_state;
	struct error err = ERROR_INIT;

	assert_int_equal(create(w, json_pack("{s:i}", "auto_start_timer", 3600), NULL), 0);
	assert_int_equal(start(w, NULL), 0);
	for (int day = 1; day <= 3; day++) {
		clock_ms += HOUR - SECOND;
		settle(w);
		assert_string_equal(state(w), "scheduled");
		assert_int_equal(edit(w, at("start_at", clock_ms + HOUR), NULL, NULL), 0);
	}
	/* By seconds too: they count from now. */
	clock_ms += HOUR - SECOND;
	assert_int_equal(edit(w, json_pack("{s:i}", "auto_start_timer", 7200), NULL, NULL), 0);
	set_clock(w, clock_ms + 2 * HOUR - SECOND);
	assert_string_equal(state(w), "scheduled");
	/* Neither by taking the time away nor by one in the past does it go off. */
	assert_true(edit(w, NULL, json_pack("[s]", "auto_start_timer"), &err) < 0);
	assert_non_null(strstr(error_text(&err), "stop it first"));
	assert_true(edit(w, at("start_at", clock_ms), NULL, &err) < 0);
	assert_non_null(strstr(error_text(&err), "in the past"));
	settle(w);
	assert_string_equal(state(w), "scheduled");
	/* What was put off is so for the next daemon. */
	close_daemon(w);
	open_daemon(w);
	assert_string_equal(state(w), "scheduled");
	set_clock(w, clock_ms + SECOND);
	wait_for(w, "running");
	error_done(&err);
}

/* --- stopping --- */

static void a_stop_time_stops_once_and_is_remembered(void **test_state)
{
	struct world *w = *test_state;
	struct error err = ERROR_INIT;

	assert_int_equal(create(w, at("stop_at", NOON + HOUR), NULL), 0);
	assert_int_equal(start(w, NULL), 0);
	wait_for(w, "running");
	set_clock(w, NOON + HOUR);
	wait_for(w, "stopped");
	expect(w, "reason", SCHEDULE_STOPPED);
	close_daemon(w);
	open_daemon(w);
	assert_string_equal(state(w), "stopped");
	expect(w, "reason", SCHEDULE_STOPPED);
	/* It would stop at once again. */
	assert_true(start(w, &err) < 0);
	assert_non_null(strstr(error_text(&err), "edit --unset stop-at"));
	assert_int_equal(edit(w, NULL, json_pack("[s]", "stop_at"), NULL), 0);
	assert_int_equal(start(w, NULL), 0);
	wait_for(w, "running");
	set_clock(w, NOON + 100 * HOUR);
	assert_string_equal(state(w), "running");
	error_done(&err);
}

static void a_stop_that_was_missed_is_not_started_again(void **test_state)
{
	struct world *w = *test_state;

	assert_int_equal(
		create(w, json_pack("{s:i, s:i}", "auto_start_timer", 10, "auto_stop_timer", 20),
		       NULL),
		0);
	assert_int_equal(start(w, NULL), 0);
	close_daemon(w);
	clock_ms += HOUR;
	open_daemon(w);
	assert_string_equal(state(w), "stopped");
	expect(w, "reason", SCHEDULE_STOPPED);
	settle(w);
	assert_false(manager_find(w->m, "docs")->row->wanted);
}

static void a_stop_time_is_changed_while_it_runs(void **test_state)
{
	struct world *w = *test_state;

	assert_int_equal(create(w, json_pack("{s:i}", "auto_stop_timer", 3600), NULL), 0);
	assert_int_equal(start(w, NULL), 0);
	wait_for(w, "running");
	assert_int_equal(edit(w, at("stop_at", NOON + 2 * HOUR), NULL, NULL), 0);
	expect(w, "stop_at", "2026-11-21T14:00:00Z");
	/* Options that are no times leave them alone. */
	assert_int_equal(edit(w, json_pack("{s:s}", "title", "x"), NULL, NULL), 0);
	close_daemon(w);
	open_daemon(w);
	wait_for(w, "running");
	set_clock(w, NOON + 2 * HOUR - SECOND);
	assert_string_equal(state(w), "running");
	assert_int_equal(edit(w, NULL, json_pack("[s]", "stop_at"), NULL), 0);
	set_clock(w, NOON + 3 * HOUR);
	assert_string_equal(state(w), "running");
	expect(w, "stop_at", NULL);
}

static void a_failed_service_stops_at_its_time_too(void **test_state)
{
	struct world *w = *test_state;
	_cleanup_free_ char *file = xasprintf("%s/a.txt", w->dir);

	assert_int_equal(create(w, at("stop_at", NOON + HOUR), NULL), 0);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(start(w, NULL), 0);
	wait_for(w, "failed");
	set_clock(w, NOON + HOUR);
	wait_for(w, "stopped");
	expect(w, "reason", SCHEDULE_STOPPED);
}

/* A visitor who has asked and does not read; -1: the socket's buffers took all of it. */
static int slow_visitor(struct world *w)
{
	json_t *o = manager_service_json(manager_find(w->m, "docs"));
	const char *backend = json_string_value(json_object_get(o, "backend"));
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	static const char ask[] = "GET /download HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 4096;

	to.sin_port = htons((uint16_t)atoi(strrchr(backend, ':') + 1));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(write(fd, ask, strlen(ask)), strlen(ask));
	json_decref(o);
	return fd;
}

static void a_transfer_may_finish_when_the_time_to_stop_has_come(void **test_state)
{
	struct world *w = *test_state;
	enum { SIZE = 32 * 1024 * 1024 };
	_cleanup_free_ char *big = xmalloc(SIZE + 1);
	static char sink[1 << 20];
	size_t got = 0;
	ssize_t n;

	memset(big, 'x', SIZE);
	big[SIZE] = '\0';
	unit_write(w->dir, "a.txt", big);
	json_t *options = at("stop_at", NOON + HOUR);

	json_object_set_new(options, "no_autostop_sharing", json_true());
	assert_int_equal(create(w, options, NULL), 0);
	assert_int_equal(start(w, NULL), 0);
	wait_for(w, "running");
	int fd = slow_visitor(w);

	settle(w);
	set_clock(w, NOON + HOUR);
	wait_for(w, "draining");
	settle(w);
	assert_string_equal(state(w), "draining");
	while ((n = recv(fd, sink, sizeof(sink), MSG_DONTWAIT)) != 0) {
		got += n > 0 ? (size_t)n : 0;
		uv_run(&w->loop, UV_RUN_NOWAIT);
	}
	assert_true(got > SIZE);
	wait_for(w, "stopped");
	expect(w, "reason", SCHEDULE_STOPPED);
	close(fd);
}

static void a_daemon_that_ends_while_it_drains_does_not_start_it_again(void **test_state)
{
	struct world *w = *test_state;
	enum { SIZE = 32 * 1024 * 1024 };
	_cleanup_free_ char *big = xmalloc(SIZE + 1);

	memset(big, 'x', SIZE);
	big[SIZE] = '\0';
	unit_write(w->dir, "a.txt", big);
	assert_int_equal(create(w, at("stop_at", NOON + HOUR), NULL), 0);
	assert_int_equal(start(w, NULL), 0);
	wait_for(w, "running");
	int fd = slow_visitor(w);

	settle(w);
	set_clock(w, NOON + HOUR);
	wait_for(w, "draining");
	close_daemon(w);
	open_daemon(w);
	assert_string_equal(state(w), "stopped");
	expect(w, "reason", SCHEDULE_STOPPED);
	close(fd);
}

/* --- what is refused --- */

static void times_that_contradict_each_other_are_refused(void **test_state)
{
	struct world *w = *test_state;
	struct error err = ERROR_INIT;
	json_t *both = at("start_at", NOON + HOUR);

	assert_true(create(w, at("start_at", NOON), &err) < 0);
	assert_non_null(strstr(error_text(&err), "in the past"));
	assert_true(create(w, at("stop_at", NOON - 1), &err) < 0);
	assert_true(create(w,
			   json_pack("{s:i, s:i}", "auto_start_timer", 60, "auto_stop_timer", 60),
			   &err) < 0);
	assert_non_null(strstr(error_text(&err), "later than the start"));
	json_object_set_new(both, "auto_start_timer", json_integer(5));
	assert_true(create(w, both, &err) < 0);
	assert_non_null(strstr(error_text(&err), "together"));
	assert_true(create(w, json_pack("{s:s}", "start_at", "tomorrow"), &err) < 0);
	assert_true(create(w, json_pack("{s:i}", "auto_stop_timer", 0), &err) < 0);
	/* A time and seconds can only be told apart when the seconds begin to count. */
	json_t *mixed = at("start_at", NOON + HOUR);

	json_object_set_new(mixed, "auto_stop_timer", json_integer(60));
	assert_int_equal(create(w, mixed, NULL), 0);
	assert_true(start(w, &err) < 0);
	assert_non_null(strstr(error_text(&err), "later than the start"));
	assert_string_equal(state(w), "stopped");
	error_done(&err);
}

static void an_end_before_the_start_is_refused_while_it_waits(void **test_state)
{
	struct world *w = *test_state;
	struct error err = ERROR_INIT;

	assert_int_equal(create(w, json_pack("{s:i}", "auto_start_timer", 3600), NULL), 0);
	assert_int_equal(start(w, NULL), 0);
	assert_true(edit(w, at("stop_at", NOON + HOUR), NULL, &err) < 0);
	expect(w, "stop_at", NULL);
	assert_int_equal(edit(w, at("stop_at", NOON + 2 * HOUR), NULL, NULL), 0);
	assert_true(edit(w, at("start_at", NOON + 2 * HOUR), NULL, &err) < 0);
	expect(w, "start_at", "2026-11-21T13:00:00Z");
	error_done(&err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(test) cmocka_unit_test_setup_teardown(test, begin, end)
		T(a_start_time_is_waited_for),
		T(seconds_count_from_start_and_become_a_time),
		T(a_start_that_was_missed_is_made_up_for),
		T(a_start_time_that_passed_before_start_is_none),
		T(a_clock_that_is_set_counts_at_once),
		T(a_clock_that_is_set_is_seen_without_being_told),
		T(a_scheduled_service_can_be_stopped_and_deleted),
		T(a_restart_of_a_running_service_goes_by_the_schedule),
		T(it_can_be_put_off_again_and_again),
		T(a_stop_time_stops_once_and_is_remembered),
		T(a_stop_that_was_missed_is_not_started_again),
		T(a_stop_time_is_changed_while_it_runs),
		T(a_failed_service_stops_at_its_time_too),
		T(a_transfer_may_finish_when_the_time_to_stop_has_come),
		T(a_daemon_that_ends_while_it_drains_does_not_start_it_again),
		T(times_that_contradict_each_other_are_refused),
		T(an_end_before_the_start_is_refused_while_it_waits),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
