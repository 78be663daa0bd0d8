/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is about to be moved into place, across ends of all kinds. */
#include "store_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>

static const struct inbox_intent first = {.staging = "aaaaaaaa/bbbbbbbb",
					  .day = "2026-11-22",
					  .stamp = "142233000001"};
static const struct inbox_intent second = {.staging = "aaaaaaaa/cccccccc",
					   .day = "2026-11-23",
					   .stamp = "000000000000"};

static struct inbox_intent found[8];
static size_t n_found;

static void on_pending(void *ud, const struct error *err, const struct inbox_intent *intents,
		       size_t n)
{
	assert_true(n <= ARRAY_SIZE(found));
	if (n) {
		memcpy(found, intents, n * sizeof(*intents));
	}
	n_found = n;
	fixture_answered(ud, err);
}

static size_t pending(struct fixture *f, const char *data_dir)
{
	f->done = false;
	store_inbox_pending(f->store, data_dir, on_pending, f);
	fixture_wait(f);
	return n_found;
}

static int64_t intend(struct fixture *f, const char *data_dir, const struct inbox_intent *intent)
{
	f->done = false;
	store_inbox_intend(f->store, data_dir, intent, fixture_on_put, f);
	fixture_wait(f);
	assert_int_equal(f->err.code, 0);
	return f->id;
}

static void finish(struct fixture *f, int64_t id)
{
	f->done = false;
	store_inbox_finish(f->store, id, fixture_on_done, f);
	fixture_wait(f);
	assert_int_equal(f->err.code, 0);
}

static void assert_intent(const struct inbox_intent *a, const struct inbox_intent *b, int64_t id)
{
	assert_int_equal(a->id, id);
	assert_string_equal(a->staging, b->staging);
	assert_string_equal(a->day, b->day);
	assert_string_equal(a->stamp, b->stamp);
}

static void intents_stay_until_they_are_finished(void **state)
{
	struct fixture *f = *state;

	fixture_must_open(f);
	int64_t a = intend(f, "/srv/a", &first), b = intend(f, "/srv/a", &second);
	int64_t other = intend(f, "/srv/other", &first);

	fixture_close(f);
	fixture_must_open(f);
	assert_int_equal(pending(f, "/srv/a"), 2);
	assert_intent(&found[0], &first, a);
	assert_intent(&found[1], &second, b);
	finish(f, a);
	finish(f, a); /* twice is no harm */
	assert_int_equal(pending(f, "/srv/a"), 1);
	assert_intent(&found[0], &second, b);
	finish(f, b);
	assert_int_equal(pending(f, "/srv/a"), 0);
	assert_int_equal(pending(f, "/srv/other"), 1);
	assert_intent(&found[0], &first, other);
	assert_int_equal(pending(f, "/srv/nowhere"), 0);
}

static void an_acknowledged_intent_survives_a_kill(void **state)
{
	struct fixture *f = *state;
	int ends[2];
	char c;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t pid = fork();

	if (pid == 0) {
		fixture_must_open(f);
		intend(f, "/srv/a", &first);
		(void)!write(ends[1], "x", 1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(ends[0], &c, 1), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(ends[0]);
	close(ends[1]);
	fixture_must_open(f);
	assert_int_equal(pending(f, "/srv/a"), 1);
	assert_string_equal(found[0].staging, first.staging);
}

static void a_damaged_intent_is_an_error_and_no_guess(void **state)
{
	struct fixture *f = *state;
	char *path = xasprintf("%s/onionshared.db", f->dir);
	sqlite3 *h;

	fixture_must_open(f);
	intend(f, "/srv/a", &first);
	fixture_close(f);
	assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
	assert_int_equal(sqlite3_exec(h,
				      "UPDATE inbox_intents SET staging = "
				      "'aaaaaaaa/bbbbbbbb and more than there is room for'",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	sqlite3_close(h);
	fixture_must_open(f);
	assert_int_equal(pending(f, "/srv/a"), 0);
	assert_int_equal(f->err.code, EBADMSG);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(intents_stay_until_they_are_finished),
		STORE_TEST(an_acknowledged_intent_survives_a_kill),
		STORE_TEST(a_damaged_intent_is_an_error_and_no_guess),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
