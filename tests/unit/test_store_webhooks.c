/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What waits for a service's webhook, over restarts. */
#include "store_fixture.h"

#include <sqlite3.h>

#include "ev/ev.h"

#define TEXT "text/plain; charset=utf-8"

static struct store_webhook listed[STORE_WEBHOOKS_MAX];
static size_t n_listed;
static char *got_type, *got_body;

static void on_list(void *ud, const struct error *err, const struct store_webhook *list, size_t n)
{
	assert_true(n <= STORE_WEBHOOKS_MAX);
	for (size_t i = 0; i < n_listed; i++) {
		free(listed[i].last_error);
	}
	n_listed = n;
	for (size_t i = 0; i < n; i++) {
		listed[i] = list[i];
		listed[i].last_error = list[i].last_error ? xstrdup(list[i].last_error) : NULL;
	}
	fixture_answered(ud, err);
}

static void list_all(struct fixture *f, int64_t service)
{
	f->done = false;
	store_webhook_list(f->store, service, on_list, f);
	fixture_wait(f);
	assert_int_equal(f->err.code, 0);
}

static void on_get(void *ud, const struct error *err, const char *content_type, const char *body)
{
	free(got_type);
	free(got_body);
	got_type = content_type ? xstrdup(content_type) : NULL;
	got_body = body ? xstrdup(body) : NULL;
	fixture_answered(ud, err);
}

static void get(struct fixture *f, int64_t id)
{
	f->done = false;
	store_webhook_get(f->store, id, on_get, f);
	fixture_wait(f);
}

static int64_t add(struct fixture *f, int64_t service, const char *body, int64_t now)
{
	f->done = false;
	f->id = 0;
	store_webhook_add(f->store, service, TEXT, body, now, fixture_on_put, f);
	fixture_wait(f);
	return f->err.code ? -f->err.code : f->id;
}

static int forget(void **state)
{
	for (size_t i = 0; i < n_listed; i++) {
		free(listed[i].last_error);
	}
	n_listed = 0;
	free(take_ptr(got_type));
	free(take_ptr(got_body));
	return fixture_teardown(state);
}

static void reopen(struct fixture *f)
{
	fixture_close(f);
	fixture_must_open(f);
}

static void what_waits_comes_back_after_a_restart(void **state)
{
	struct fixture *f = *state;

	fixture_must_open(f);
	int64_t a = fixture_add(f, "a"), b = fixture_add(f, "b");
	int64_t first = add(f, a, "1 file submitted to OnionShare", 1000);
	int64_t other = add(f, b, "other", 1500);
	int64_t second = add(f, a,
			     "s\xc3\xa9"
			     "cond",
			     2000);

	assert_true(first > 0 && other > first && second > other);
	f->done = false;
	store_webhook_tried(f->store, first, 61000, "nobody there", fixture_on_done, f);
	fixture_wait(f);
	store_webhook_tried(f->store, first, 181000, "still nobody", NULL, NULL);
	reopen(f);
	list_all(f, a);
	assert_int_equal(n_listed, 2);
	assert_int_equal(listed[0].id, first);
	assert_int_equal(listed[0].created_ms, 1000);
	assert_int_equal(listed[0].next_ms, 181000);
	assert_int_equal(listed[0].tries, 2);
	assert_string_equal(listed[0].last_error, "still nobody");
	assert_int_equal(listed[1].id, second);
	assert_int_equal(listed[1].created_ms, 2000);
	assert_int_equal(listed[1].next_ms, 2000);
	assert_int_equal(listed[1].tries, 0);
	assert_null(listed[1].last_error);
	get(f, second);
	assert_string_equal(got_type, TEXT);
	assert_string_equal(got_body, "s\xc3\xa9"
				      "cond");
}

static void what_was_delivered_does_not_come_back(void **state)
{
	struct fixture *f = *state;

	fixture_must_open(f);
	int64_t a = fixture_add(f, "a");
	int64_t first = add(f, a, "x", 1), second = add(f, a, "y", 2);

	f->done = false;
	store_webhook_delete(f->store, first, fixture_on_done, f);
	fixture_wait(f);
	store_webhook_delete(f->store, first, NULL, NULL); /* no error */
	reopen(f);
	list_all(f, a);
	assert_int_equal(n_listed, 1);
	assert_int_equal(listed[0].id, second);
	get(f, first);
	assert_int_equal(f->err.code, 0);
	assert_null(got_body);
	f->done = false;
	store_webhook_tried(f->store, first, 5, "late", fixture_on_done, f);
	fixture_wait(f);
	assert_int_equal(f->err.code, 0);
	/* an id is never used again, so that nobody deletes another's */
	assert_true(add(f, a, "z", 3) > second);
	f->done = false;
	store_webhook_clear(f->store, a, fixture_on_done, f);
	fixture_wait(f);
	list_all(f, a);
	assert_int_equal(n_listed, 0);
}

static void it_goes_with_the_service(void **state)
{
	struct fixture *f = *state;

	fixture_must_open(f);
	int64_t a = fixture_add(f, "a"), b = fixture_add(f, "b");
	int64_t id = add(f, a, "x", 1);

	add(f, b, "y", 1);
	assert_int_equal(fixture_delete(f, a), 0);
	get(f, id);
	assert_null(got_body);
	list_all(f, a);
	assert_int_equal(n_listed, 0);
	list_all(f, b);
	assert_int_equal(n_listed, 1);
	assert_int_equal(add(f, a, "x", 1), -ENOENT);
	assert_int_equal(add(f, 0, "x", 1), -ENOENT);
}

static void over_the_bound_the_oldest_of_that_service_go(void **state)
{
	struct fixture *f = *state;

	fixture_must_open(f);
	int64_t a = fixture_add(f, "a"), b = fixture_add(f, "b");
	int64_t others = add(f, b, "y", 1), first = add(f, a, "0", 1), id = 0;

	for (unsigned i = 1; i < STORE_WEBHOOKS_MAX; i++) {
		id = add(f, a, "x", i);
	}
	list_all(f, a);
	assert_int_equal(n_listed, STORE_WEBHOOKS_MAX);
	assert_int_equal(listed[0].id, first);
	int64_t last = add(f, a, "last", 5000);

	assert_int_equal(last, id + 1);
	list_all(f, a);
	assert_int_equal(n_listed, STORE_WEBHOOKS_MAX);
	assert_int_equal(listed[0].id, first + 1);
	assert_int_equal(listed[n_listed - 1].id, last);
	list_all(f, b);
	assert_int_equal(n_listed, 1);
	assert_int_equal(listed[0].id, others);
}

static void bodies_are_bounded(void **state)
{
	struct fixture *f = *state;
	char *text = xcalloc(STORE_WEBHOOK_TEXT_MAX + 2, 1);

	fixture_must_open(f);
	int64_t a = fixture_add(f, "a");

	memset(text, 'x', STORE_WEBHOOK_TEXT_MAX);
	int64_t id = add(f, a, text, 1);

	assert_true(id > 0);
	get(f, id);
	assert_string_equal(got_body, text);
	text[STORE_WEBHOOK_TEXT_MAX] = 'x';
	assert_int_equal(add(f, a, text, 1), -EFBIG);
	free(text);
}

static void a_row_that_somebody_changed_is_not_sent(void **state)
{
	struct fixture *f = *state;
	char *path = fixture_path(f, "onionshared.db");
	sqlite3 *h;

	fixture_must_open(f);
	int64_t a = fixture_add(f, "a");
	int64_t id = add(f, a, "x", 1);

	assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
	assert_int_equal(sqlite3_exec(h,
				      "UPDATE webhooks SET body = CAST(x'ff41' AS TEXT),"
				      " tries = -7, last_error = CAST(x'c0' AS TEXT)",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	sqlite3_close(h);
	get(f, id);
	assert_int_equal(f->err.code, 0);
	assert_null(got_type);
	assert_null(got_body);
	list_all(f, a);
	assert_int_equal(listed[0].tries, 0);
	assert_null(listed[0].last_error);
	free(path);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, forget)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_waits_comes_back_after_a_restart),
		TEST(what_was_delivered_does_not_come_back),
		TEST(it_goes_with_the_service),
		TEST(over_the_bound_the_oldest_of_that_service_go),
		TEST(bodies_are_bounded),
		TEST(a_row_that_somebody_changed_is_not_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
