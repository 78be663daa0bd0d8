/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Content that changes while its row cannot be saved: a real database that somebody holds. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "ev/work.h"
#include "svc/manager.h"
#include "turn.h"

/* Many enough for any pool. */
#define HOLDS 64

struct answer {
	bool there;
	int code;
};

struct fixture {
	uv_loop_t loop;
	struct ev ev;
	struct store *store;
	struct manager *m;
	char *dir;
	struct service *svc;
	sqlite3 *other; /* another program's connection to the database */
	/* the slow lane, held */
	struct job holds[HOLDS];
	uv_sem_t sem;
};

static struct fixture *fixture;

static void mark(void *ud)
{
	*(bool *)ud = true;
}

static void loaded(void *ud, const struct error *err)
{
	assert_null(err);
	*(bool *)ud = true;
}

static void done(void *ud, const struct error *err, struct service *svc)
{
	struct answer *a = ud;

	a->there = true;
	a->code = err ? err->code : 0;
	fixture->svc = svc;
}

static int begin(void **state)
{
	struct fixture *f = xnew(struct fixture);
	bool there = false;
	struct error err = ERROR_INIT;
	int status;

	fixture = *state = f;
	signal(SIGXFSZ, SIG_IGN);
	turn_begin(&f->loop, &f->ev, 16 * 1024 * 1024);
	f->dir = unit_tmpdir();
	_cleanup_free_ char *state_dir = xasprintf("%s/state", f->dir);
	_cleanup_free_ char *runtime = xasprintf("%s/run", f->dir);
	_cleanup_free_ char *database = xasprintf("%s/onionshared.db", state_dir);
	const struct store_config store = {.state_dir = state_dir};
	const struct manager_config config = {.local_only = true,
					      .runtime_dir = runtime,
					      .drain_ms = 1000,
					      .limits = http_limits_default};

	assert_int_equal(store_open(&f->ev, &store, &f->store, &err, &status), 0);
	assert_int_equal(manager_new(&f->ev, &config, f->store, NULL, &f->m, &err), 0);
	manager_load(f->m, loaded, &there);
	turn_until(f, there);
	assert_int_equal(sqlite3_open(database, &f->other), SQLITE_OK);
	sqlite3_busy_timeout(f->other, 10000);
	return 0;
}

static int end(void **state)
{
	struct fixture *f = *state;
	bool stopped = false, closed = false;

	manager_stop(f->m, true, mark, &stopped);
	turn_until(f, stopped);
	manager_free(f->m);
	store_close(f->store, mark, &closed);
	turn_until(f, closed);
	sqlite3_close(f->other);
	turn_end(&f->loop, &f->ev);
	unit_rmtree(f->dir);
	free(f);
	return 0;
}

/* --- a website of two contents --- */

static json_t *folder(struct fixture *f, const char *name)
{
	_cleanup_free_ char *dir = xasprintf("%s/%s", f->dir, name);

	if (mkdir(dir, 0755) == 0) {
		unit_write(dir, "index.html", name);
	}
	return json_pack("[s]", dir);
}

static void run_website(struct fixture *f)
{
	json_t *paths = folder(f, "old");
	const struct manager_create c = {.name = "web", .mode = "website", .paths = paths};
	struct answer made = {.there = false}, started = {.there = false};

	assert_int_equal(manager_create(f->m, &c, done, &made, NULL), 0);
	turn_until(f, made.there);
	assert_int_equal(made.code, 0);
	assert_int_equal(manager_start(f->m, f->svc, done, &started, NULL), 0);
	turn_until(f, started.there && strcmp(service_state_text(f->svc), "running") == 0);
	json_decref(paths);
}

static void publish(struct fixture *f, const char *name, struct answer *ret)
{
	json_t *paths = folder(f, name);
	const struct manager_create c = {.paths = paths};

	ret->there = false;
	assert_int_equal(manager_publish(f->m, f->svc, &c, done, ret, NULL), 0);
	json_decref(paths);
}

static bool row_says(struct fixture *f, const char *name)
{
	json_t *o = manager_service_json(f->svc);
	const char *path = json_string_value(json_array_get(json_object_get(o, "paths"), 0));
	bool says = strcmp(strrchr(path, '/') + 1, name) == 0;

	json_decref(o);
	return says;
}

static bool shows(struct fixture *f, const char *name)
{
	static const char request[] =
		"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
	json_t *o = manager_service_json(f->svc);
	const char *url = json_string_value(json_object_get(o, "url"));
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				   .sin_port = htons(
					   (uint16_t)strtoul(strrchr(url, ':') + 1, NULL, 10))};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char answer[4096];
	size_t n = 0;
	ssize_t got;

	json_decref(o);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
	turn_until(f, (got = recv(fd, answer + n, sizeof(answer) - n, MSG_DONTWAIT)) == 0 ||
			      (n += got > 0 ? (size_t)got : 0, false));
	return n > strlen(name) && memcmp(answer + n - strlen(name), name, strlen(name)) == 0;
}

/* --- what keeps things waiting --- */

static void hold_run(struct job *job)
{
	(void)job;
	uv_sem_wait(&fixture->sem);
}

static void hold_done(struct job *job)
{
	(void)job;
}

static void hold_lane(struct fixture *f)
{
	assert_int_equal(uv_sem_init(&f->sem, 0), 0);
	for (size_t i = 0; i < HOLDS; i++) {
		work_submit(f->ev.work, WORK_SLOW, &f->holds[i], hold_run, hold_done);
	}
}

static void let_lane_go(struct fixture *f)
{
	for (size_t i = 0; i < HOLDS; i++) {
		uv_sem_post(&f->sem);
	}
	turn_until(f, work_pending(f->ev.work) == 0);
	uv_sem_destroy(&f->sem);
}

static void hold_database(struct fixture *f)
{
	assert_int_equal(sqlite3_exec(f->other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
}

/* From now on each write of this process to a file fails, as on a full disk. */
static void let_writes_fail(bool fail)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = fail ? 0 : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void let_database_go(struct fixture *f)
{
	assert_int_equal(sqlite3_exec(f->other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
}

/* --- tests --- */

static void content_whose_row_cannot_be_saved_is_the_old_one_again(void **state)
{
	struct fixture *f = *state;
	struct answer published;

	run_website(f);
	assert_true(shows(f, "old"));
	hold_database(f);
	publish(f, "new", &published);
	turn_until(f, row_says(f, "new"));
	assert_true(shows(f, "new"));
	let_writes_fail(true);
	let_database_go(f);
	turn_until(f, published.there);
	let_writes_fail(false);
	assert_int_not_equal(published.code, 0);
	assert_true(row_says(f, "old") && shows(f, "old"));
	publish(f, "new", &published);
	turn_until(f, published.there);
	assert_int_equal(published.code, 0);
	assert_true(row_says(f, "new") && shows(f, "new"));
}

/* Its mode is just looking at the new content when that is taken back. */
static void content_is_taken_back_from_a_service_that_was_started_again(void **state)
{
	struct fixture *f = *state;
	struct answer published, restarted = {.there = false};

	run_website(f);
	hold_database(f);
	publish(f, "new", &published);
	turn_until(f, row_says(f, "new"));
	hold_lane(f);
	assert_int_equal(manager_restart(f->m, f->svc, done, &restarted, NULL), 0);
	turn_until(f, strcmp(service_state_text(f->svc), "preparing") == 0);
	let_writes_fail(true);
	let_database_go(f);
	turn_until(f, row_says(f, "old"));
	assert_false(published.there);
	let_lane_go(f);
	turn_until(f, published.there && restarted.there);
	let_writes_fail(false);
	assert_int_not_equal(published.code, 0);
	turn_until(f, strcmp(service_state_text(f->svc), "running") == 0);
	assert_true(row_says(f, "old") && shows(f, "old"));
}

/* The same, but it goes down before it was ready. */
static void a_service_that_goes_down_meanwhile_ends_it_too(void **state)
{
	struct fixture *f = *state;
	struct answer published, restarted = {.there = false}, stopped = {.there = false};

	run_website(f);
	hold_database(f);
	publish(f, "new", &published);
	turn_until(f, row_says(f, "new"));
	hold_lane(f);
	assert_int_equal(manager_restart(f->m, f->svc, done, &restarted, NULL), 0);
	turn_until(f, strcmp(service_state_text(f->svc), "preparing") == 0);
	let_writes_fail(true);
	let_database_go(f);
	turn_until(f, row_says(f, "old"));
	let_writes_fail(false);
	assert_int_equal(manager_stop_service(f->m, f->svc, true, done, &stopped, NULL), 0);
	let_lane_go(f);
	turn_until(f, published.there && restarted.there && stopped.there);
	assert_int_not_equal(published.code, 0);
	assert_true(row_says(f, "old"));
}

int main(void)
{
#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, begin, end)
	const struct CMUnitTest tests[] = {
		WITH_LOOP(content_whose_row_cannot_be_saved_is_the_old_one_again),
		WITH_LOOP(content_is_taken_back_from_a_service_that_was_started_again),
		WITH_LOOP(a_service_that_goes_down_meanwhile_ends_it_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
