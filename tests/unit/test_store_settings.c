/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is set of the daemon itself, over restarts; sealed on the disk. */
#include "store_fixture.h"

#include <sqlite3.h>

#include "ev/ev.h"

static char *got; /* NULL: never set */

static void on_get(void *ud, const struct error *err, struct span value)
{
	free(got);
	got = value.p ? xmemdup(value.p, value.n) : NULL;
	fixture_answered(ud, err);
}

static const char *get(struct fixture *f, const char *name)
{
	f->done = false;
	store_setting_get(f->store, name, on_get, f);
	fixture_wait(f);
	return got;
}

static void put(struct fixture *f, const char *name, struct span value)
{
	f->done = false;
	store_setting_put(f->store, name, value, fixture_on_done, f);
	fixture_wait(f);
}

static void settings_outlive_restarts_and_nothing_is_not_never(void **state)
{
	struct fixture *f = *state;

	fixture_must_open(f);
	assert_null(get(f, "a"));
	put(f, "a", SPAN("one"));
	put(f, "b", SPAN(""));
	put(f, "a", SPAN("two"));
	fixture_close(f);
	fixture_must_open(f);
	assert_string_equal(get(f, "a"), "two");
	assert_string_equal(get(f, "b"), "");
	put(f, "a", SPAN_NONE);
	assert_null(get(f, "a"));
	put(f, "never", SPAN_NONE);
	assert_int_equal(f->err.code, 0);
	fixture_close(f);
}

static void what_is_too_long_is_refused_and_the_old_one_stays(void **state)
{
	struct fixture *f = *state;
	char *text = xcalloc(STORE_SETTING_MAX + 1, 1);

	memset(text, 'x', STORE_SETTING_MAX + 1);
	fixture_must_open(f);
	put(f, "a", span_of(text, STORE_SETTING_MAX));
	assert_int_equal(f->err.code, 0);
	put(f, "a", span_of(text, STORE_SETTING_MAX + 1));
	assert_int_equal(f->err.code, EFBIG);
	assert_int_equal(strlen(get(f, "a")), STORE_SETTING_MAX);
	fixture_close(f);
	free(text);
}

static void run_sql(const struct fixture *f, const char *sql)
{
	char *path = xasprintf("%s/onionshared.db", f->dir), *message = NULL;
	sqlite3 *h;

	assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
	if (sqlite3_exec(h, sql, NULL, NULL, &message) != SQLITE_OK) {
		fail_msg("%s: %s", sql, message);
	}
	sqlite3_close(h);
	free(path);
}

static bool on_disk(const struct fixture *f, const char *text)
{
	char *command = xasprintf("grep -rqF '%s' '%s'", text, f->dir);
	int r = system(command);

	free(command);
	return r == 0;
}

static void values_are_sealed_and_one_is_not_taken_for_another(void **state)
{
	static const char *const damages[] = {
		"UPDATE settings SET value = (SELECT value FROM settings WHERE name = 'b')"
		" WHERE name = 'a'",
		"UPDATE settings SET value = x'00' WHERE name = 'a'",
		"UPDATE settings SET value = zeroblob(200000) WHERE name = 'a'",
	};
	struct fixture *f = *state;

	fixture_must_open(f);
	put(f, "a", SPAN("a-secret-of-a"));
	put(f, "b", SPAN("a-secret-of-b"));
	fixture_close(f);
	assert_false(on_disk(f, "a-secret-of"));
	for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
		run_sql(f, damages[i]);
		fixture_must_open(f);
		assert_null(get(f, "a"));
		assert_int_equal(f->err.code, EBADMSG);
		assert_non_null(strstr(error_text(&f->err), "\"a\""));
		assert_string_equal(get(f, "b"), "a-secret-of-b");
		/* What cannot be read can be set anew. */
		put(f, "a", SPAN("again"));
		assert_string_equal(get(f, "a"), "again");
		fixture_close(f);
	}
}

static int end(void **state)
{
	free(got);
	got = NULL;
	return fixture_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, end)
		T(settings_outlive_restarts_and_nothing_is_not_never),
		T(what_is_too_long_is_refused_and_the_old_one_stays),
		T(values_are_sealed_and_one_is_not_taken_for_another),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
