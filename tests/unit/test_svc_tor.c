/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Services with a tor that answers when the test wants it to: real database, files and sockets. */
#include "unit.h"

#include "fake_tor.h"
#include "store/store.h"
#include "svc/manager.h"

struct world {
	uv_loop_t loop;
	uv_timer_t deadline;
	struct ev ev;
	struct fake fake;
	struct tor *tor;
	struct store *store;
	struct manager *m;
	char *dir;
	bool answered;
	int code;
	struct service *svc;
	bool silent;    /* tor leaves ADD_ONION NEW without an answer */
	unsigned asked; /* for keys */
};

static void too_late(uv_timer_t *timer)
{
	(void)timer;
	fail_msg("nothing happened for 30 seconds");
}

/* Runs the loop until the flag is set. */
static void run_until(struct world *w, const bool *flag)
{
	uv_timer_start(&w->deadline, too_late, 30000, 0);
	while (!*flag) {
		uv_run(&w->loop, UV_RUN_ONCE);
	}
	uv_timer_stop(&w->deadline);
}

static void run_until_asked(struct world *w, unsigned times)
{
	uv_timer_start(&w->deadline, too_late, 30000, 0);
	while (w->asked < times) {
		uv_run(&w->loop, UV_RUN_ONCE);
	}
	uv_timer_stop(&w->deadline);
}

static void mark(void *ud)
{
	*(bool *)ud = true;
}

static void loaded(void *ud, const struct error *err)
{
	struct world *w = ud;

	assert_null(err);
	w->answered = true;
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
	assert_int_equal(r, 0);
	run_until(w, &w->answered);
	w->answered = false;
	return w->code;
}

static void on_tor_changed(void *ud, const struct tor_status *status)
{
	struct world *w = ud;

	manager_tor_changed(w->m, status);
}

static bool script(struct fake_conn *c, const char *line, void *ud)
{
	struct world *w = ud;

	(void)c;
	if (!fake_begins(line, "ADD_ONION NEW")) {
		return false;
	}
	w->asked++;
	return w->silent;
}

static void open_daemon(struct world *w)
{
	static const struct tor_ops ops = {.changed = on_tor_changed};
	_cleanup_free_ char *state_dir = xasprintf("%s/state", w->dir);
	_cleanup_free_ char *runtime = xasprintf("%s/run", w->dir);
	_cleanup_free_ char *control = xasprintf("unix:%s", w->fake.path);
	struct store_config store = {.state_dir = state_dir};
	struct tor_config tor = {.mode = TOR_MODE_SYSTEM, .control = control};
	struct manager_config config = {.runtime_dir = runtime,
					.drain_ms = 1000,
					.limits = http_limits_default};
	struct error err = ERROR_INIT;
	int status;

	assert_int_equal(store_open(&w->ev, &store, &w->store, &err, &status), 0);
	w->tor = tor_new(&w->ev, &tor, &ops, w);
	assert_int_equal(manager_new(&w->ev, &config, w->store, w->tor, &w->m, &err), 0);
	manager_load(w->m, loaded, w);
	tor_start(w->tor);
	finish(w, 0);
}

/* In the order of the daemon: services, Tor, database. */
static void close_daemon(struct world *w)
{
	bool stopped = false, tor_stopped = false, closed = false;

	manager_stop(w->m, true, mark, &stopped);
	run_until(w, &stopped);
	manager_free(w->m);
	tor_stop(w->tor, mark, &tor_stopped);
	run_until(w, &tor_stopped);
	store_close(w->store, mark, &closed);
	run_until(w, &closed);
}

static int begin(void **state)
{
	struct world *w = xnew(struct world);

	uv_loop_init(&w->loop);
	uv_timer_init(&w->loop, &w->deadline);
	uv_unref((uv_handle_t *)&w->deadline);
	ev_init(&w->ev, &w->loop, 16 * 1024 * 1024);
	w->dir = unit_tmpdir();
	unit_write(w->dir, "a.txt", "hello\n");
	fake_init(&w->fake, &w->loop, w->dir);
	w->fake.script = script;
	w->fake.script_ud = w;
	open_daemon(w);
	*state = w;
	return 0;
}

static int end(void **state)
{
	struct world *w = *state;

	close_daemon(w);
	fake_close(&w->fake);
	uv_close((uv_handle_t *)&w->deadline, NULL);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	ev_done(&w->ev);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	fake_done(&w->fake);
	unit_rmtree(w->dir);
	free(w);
	return 0;
}

static void begin_create(struct world *w, const char *name)
{
	json_t *paths = json_array();
	struct manager_create c = {.name = name, .mode = "share", .paths = paths};

	json_array_append_new(paths, json_sprintf("%s/a.txt", w->dir));
	assert_int_equal(manager_create(w->m, &c, done, w, NULL), 0);
	json_decref(paths);
}

static char *member(struct service *svc, const char *name)
{
	json_t *o = manager_service_json(svc);
	const char *s = json_string_value(json_object_get(o, name));
	char *copy = s ? xstrdup(s) : NULL;

	json_decref(o);
	return copy;
}

static void wait_for_state(struct world *w, struct service *svc, const char *wanted)
{
	uv_timer_start(&w->deadline, too_late, 30000, 0);
	while (strcmp(service_state_text(svc), wanted) != 0) {
		uv_run(&w->loop, UV_RUN_ONCE);
	}
	uv_timer_stop(&w->deadline);
}

/* A saved, stopped service without an address: tor has gone while it was asked for one. */
static struct service *create_without_address(struct world *w)
{
	begin_create(w, "docs");
	run_until_asked(w, 1);
	/* The daemon ends without an answer; next time the row has no address. */
	close_daemon(w);
	w->answered = false;
	open_daemon(w);
	run_until_asked(w, 2);
	return manager_find(w->m, "docs");
}

static void an_address_is_made_when_tor_answers_at_last(void **state)
{
	struct world *w = *state;

	w->silent = true;
	struct service *svc = create_without_address(w);

	assert_null(member(svc, "onion"));
	w->silent = false;
	fake_hang_up_all(&w->fake);
	assert_int_equal(finish(w, manager_start(w->m, svc, done, w, NULL)), 0);
	wait_for_state(w, svc, "publishing");
	_cleanup_free_ char *onion = member(svc, "onion");

	assert_non_null(onion);
	assert_non_null(strstr(w->fake.log.p, onion));
}

static void a_service_deleted_while_tor_makes_its_key_is_not_told_of_it(void **state)
{
	struct world *w = *state;

	w->silent = true;
	struct service *svc = create_without_address(w);

	assert_int_equal(finish(w, manager_delete(w->m, svc, false, false, done, w, NULL)), 0);
	/* The answer comes now, to nobody. */
	w->silent = false;
	fake_hang_up_all(&w->fake);
	begin_create(w, "docs");
	assert_int_equal(finish(w, 0), 0);
	_cleanup_free_ char *onion = member(w->svc, "onion");

	assert_non_null(onion);
}

static void a_daemon_ends_while_tor_makes_keys_for_stopped_services(void **state)
{
	struct world *w = *state;

	w->silent = true;
	create_without_address(w);
	close_daemon(w);
	open_daemon(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, begin, end)
		WITH_LOOP(an_address_is_made_when_tor_answers_at_last),
		WITH_LOOP(a_service_deleted_while_tor_makes_its_key_is_not_told_of_it),
		WITH_LOOP(a_daemon_ends_while_tor_makes_keys_for_stopped_services),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
