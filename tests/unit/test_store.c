/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store.h as its users see it, on a real directory, thread and loop. */
#include "store_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void a_service_comes_back_as_it_was_saved(void **state)
{
	struct fixture *f = *state;
	struct service_row *row = fixture_row("dropbox");
	struct service_row *bare = xnew(struct service_row);

	bare->name = xstrdup("bare");
	bare->mode = xstrdup("chat");
	bare->options = json_object();
	memset(bare->secret, 1, sizeof(bare->secret));
	fixture_must_open(f);
	row->id = fixture_put(f, row);
	bare->id = fixture_put(f, bare);
	assert_true(row->id > 0);
	assert_true(bare->id > row->id);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(fixture_load(f), 0);
		assert_int_equal(f->n_rows, 2);
		assert_int_equal(f->n_broken, 0);
		assert_int_equal(f->rows[0]->id, row->id);
		assert_row_equal(f->rows[0], row);
		assert_row_equal(f->rows[1], bare);
		fixture_close(f);
		fixture_must_open(f);
	}
	service_row_free(row);
	service_row_free(bare);
}

static void an_update_replaces_the_row_and_its_keys(void **state)
{
	struct fixture *f = *state;
	struct service_row *row = fixture_row("a");

	fixture_must_open(f);
	row->id = fixture_put(f, row);
	free(row->name);
	row->name = xstrdup("b");
	free(take_ptr(row->reason));
	json_decref(take_ptr(row->paths));
	row->wanted = false;
	free(row->keys[1].label);
	row->n_keys = 1;
	memset(row->keys[0].private_key, 0x66, 32);
	assert_int_equal(fixture_put(f, row), row->id);
	fixture_load(f);
	assert_int_equal(f->n_rows, 1);
	assert_row_equal(f->rows[0], row);

	/* one that is gone is not made again by an update */
	assert_int_equal(fixture_delete(f, row->id), 0);
	assert_int_equal(fixture_put(f, row), -ENOENT);
	assert_int_equal(f->err.kind, ERROR_NO_SUCH_SERVICE);
	assert_int_equal(fixture_delete(f, row->id), -ENOENT);
	fixture_load(f);
	assert_int_equal(f->n_rows, 0);
	service_row_free(row);
}

static void a_missing_secret_is_made_once_and_kept(void **state)
{
	struct fixture *f = *state;
	struct service_row *row = fixture_row("a");
	uint8_t made[32], zero[32] = {0};

	fixture_must_open(f);
	memset(row->secret, 0, sizeof(row->secret));
	row->id = fixture_put(f, row);
	fixture_load(f);
	memcpy(made, f->rows[0]->secret, sizeof(made));
	assert_memory_not_equal(made, zero, sizeof(made));
	assert_int_equal(fixture_put(f, row), row->id);
	fixture_load(f);
	assert_memory_equal(f->rows[0]->secret, made, sizeof(made));
	service_row_free(row);
}

static void names_and_labels_are_given_once(void **state)
{
	struct fixture *f = *state;
	struct service_row *row = fixture_row("a");

	fixture_must_open(f);
	fixture_add(f, "a");
	int64_t b = fixture_add(f, "b");

	assert_int_equal(fixture_put(f, row), -EEXIST);
	assert_int_equal(f->err.kind, ERROR_NAME_IN_USE);
	assert_string_equal(f->err.param[0], "a");
	row->id = b; /* renaming b to a */
	assert_int_equal(fixture_put(f, row), -EEXIST);

	free(row->name);
	row->name = xstrdup("c");
	free(row->keys[1].label);
	row->keys[1].label = xstrdup("default");
	row->id = 0;
	assert_int_equal(fixture_put(f, row), -EEXIST);
	fixture_load(f);
	assert_int_equal(f->n_rows, 2); /* nothing of the refused ones */
	assert_string_equal(f->rows[1]->name, "b");
	assert_int_equal(f->rows[1]->n_keys, 2);
	service_row_free(row);
}

static void what_could_not_be_read_back_is_not_written(void **state)
{
	struct fixture *f = *state;
	struct service_row *row = fixture_row("a");
	char *text = xmalloc(STORE_JSON_MAX + 1);

	fixture_must_open(f);
	memset(text, 'x', STORE_JSON_MAX);
	text[STORE_JSON_MAX] = '\0';
	json_object_set_new(row->options, "title", json_string(text));
	assert_int_equal(fixture_put(f, row), -E2BIG);
	assert_int_equal(f->err.kind, ERROR_LIMIT_EXCEEDED);
	json_object_clear(row->options);
	json_array_append_new(row->paths, json_string(text));
	assert_int_equal(fixture_put(f, row), -E2BIG);
	json_array_clear(row->paths);

	text[STORE_JSON_MAX - 16] = '\0'; /* as much as may be */
	json_array_append_new(row->paths, json_string(text));
	assert_true(fixture_put(f, row) > 0);

	row->keys = xreallocarray(row->keys, STORE_KEYS_MAX + 1, sizeof(*row->keys));
	for (size_t i = 2; i <= STORE_KEYS_MAX; i++) {
		row->keys[i] = row->keys[0];
		row->keys[i].label = xasprintf("key %zu", i);
	}
	row->n_keys = STORE_KEYS_MAX + 1;
	free(row->name);
	row->name = xstrdup("b");
	assert_int_equal(fixture_put(f, row), -E2BIG);
	free(row->keys[--row->n_keys].label);
	assert_true(fixture_put(f, row) > 0);
	fixture_load(f);
	assert_int_equal(f->n_rows, 2);
	assert_int_equal(f->rows[1]->n_keys, STORE_KEYS_MAX);
	assert_string_equal(f->rows[1]->keys[STORE_KEYS_MAX - 1].label, "key 255");
	free(text);
	service_row_free(row);
}

static void history_is_listed_newest_last_and_in_pages(void **state)
{
	struct fixture *f = *state;
	json_t *details = json_pack("{s:i, s:s}", "bytes", 5, "id", "not this one");

	fixture_must_open(f);
	store_history_limits(f->store, &(struct history_limits){.max_rows = 100, .max_days = 30});
	for (int i = 0; i < 10; i++) {
		store_history_add(f->store, i % 2 ? "odd" : "even", "download",
				  i == 9 ? details : NULL);
	}
	store_history_add(f->store, NULL, "daemon started", NULL);
	/* asked at once: what was added before is in it */
	json_t *rows = fixture_history(f, NULL, 0, 3);

	assert_int_equal(json_array_size(rows), 3);
	json_t *last = json_array_get(rows, 2), *before = json_array_get(rows, 1);

	assert_true(json_is_null(json_object_get(last, "name")));
	assert_string_equal(json_string_value(json_object_get(last, "event")), "daemon started");
	assert_string_equal(json_string_value(json_object_get(before, "name")), "odd");
	assert_int_equal(json_integer_value(json_object_get(before, "bytes")), 5);
	assert_true(json_is_integer(json_object_get(before, "id")));
	assert_int_equal(strlen(json_string_value(json_object_get(before, "at"))),
			 strlen("2026-11-22T14:00:00Z"));

	int64_t page = json_integer_value(json_object_get(json_array_get(rows, 0), "id"));

	rows = fixture_history(f, NULL, page, 100);
	assert_int_equal(json_array_size(rows), 8);
	rows = fixture_history(f, "even", 0, 100);
	assert_int_equal(json_array_size(rows), 5);
	assert_int_equal(json_array_size(fixture_history(f, "none", 0, 100)), 0);
	json_decref(details);
}

static void history_keeps_no_more_rows_than_it_may(void **state)
{
	struct fixture *f = *state;

	fixture_must_open(f);
	store_history_limits(f->store, &(struct history_limits){.max_rows = 50});
	for (int i = 0; i < 500; i++) {
		store_history_add(f->store, "s", "download", NULL);
		if (i % 100 == 0) {
			fixture_history(f, NULL, 0, 1);
		}
	}
	json_t *rows = fixture_history(f, NULL, 0, 1000);

	assert_int_equal(json_array_size(rows), 50);
	/* and the newest are those that are kept */
	assert_int_equal(json_integer_value(json_object_get(json_array_get(rows, 49), "id")), 500);
	store_history_limits(f->store, &(struct history_limits){.max_rows = 5});
	assert_int_equal(json_array_size(fixture_history(f, NULL, 0, 1000)), 5);
	store_history_limits(f->store, &(struct history_limits){.max_rows = 0});
	store_history_add(f->store, "s", "download", NULL);
	assert_int_equal(json_array_size(fixture_history(f, NULL, 0, 1000)), 0);
}

static void sql(struct fixture *f, const char *text)
{
	char *path = fixture_path(f, "onionshared.db");
	char *message = NULL;
	sqlite3 *h;

	assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
	sqlite3_busy_timeout(h, 5000);
	if (sqlite3_exec(h, text, NULL, NULL, &message) != SQLITE_OK) {
		fail_msg("%s", message);
	}
	sqlite3_close(h);
	free(path);
}

/* Content is read and deleted by what stands there: nothing else than what was written may. */
static void sources_come_back_and_forged_ones_are_refused(void **state)
{
	static const char *const bad[] = {
		"[{\"copy\": \"../../etc\"}]",
		"[{\"copy\": \"/etc\"}]",
		"[{\"copy\": \"a-1/0/../../..\"}]",
		"[{\"copy\": \"a-1/./x\"}]",
		"[{\"copy\": \"a-1/0/\"}]",
		"[{\"copy\": \"\"}]",
		"[{\"copy\": 1}]",
		"[{\"owner\": -1}]",
		"[{\"owner\": 4294967295}]",
		"[{\"owner\": \"root\"}]",
		"[1]",
		"[]",
		"[{}, {}]",
		"{}",
		"nonsense",
	};
	struct fixture *f = *state;
	struct service_row *row = fixture_row("a");

	json_decref(row->paths);
	row->paths = json_pack("[s]", "/srv/site");
	row->sources = json_pack("[{s:s, s:i}]", "copy", "abcdefgh-1/0/site", "owner", 1000);
	row->layout = 2;
	fixture_must_open(f);
	row->id = fixture_put(f, row);
	assert_int_equal(fixture_load(f), 0);
	assert_int_equal(f->n_rows, 1);
	assert_true(json_equal(f->rows[0]->sources, row->sources));
	assert_int_equal(f->rows[0]->layout, 2);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char *text = xasprintf("UPDATE services SET sources = '%s'", bad[i]);

		fixture_close(f);
		sql(f, text);
		fixture_must_open(f);
		assert_int_equal(fixture_load(f), 0);
		if (f->n_broken != 1) {
			fail_msg("taken: %s", bad[i]);
		}
		free(text);
	}
	service_row_free(row);
}

static void a_rename_takes_the_past_of_its_own_service_along(void **state)
{
	struct fixture *f = *state;
	struct service_row *row = fixture_row("old");
	int64_t wall_ms = (int64_t)time(NULL) * 1000;

	fixture_must_open(f);
	store_history_limits(f->store, &(struct history_limits){.max_rows = 100, .max_days = 30});
	store_history_add(f->store, "old", "of another one", NULL);
	store_history_add(f->store, "other", "untouched", NULL);
	fixture_history(f, NULL, 0, 100);
	sql(f, "UPDATE history SET at_ms = at_ms - 3600000");
	row->created_ms = wall_ms - 60000;
	row->id = fixture_put(f, row);
	store_history_add(f->store, "old", "running", NULL);
	row->wanted = !row->wanted;
	assert_int_equal(fixture_put(f, row), row->id); /* no rename: nothing moves */
	assert_int_equal(json_array_size(fixture_history(f, "old", 0, 100)), 2);

	free(row->name);
	row->name = xstrdup("new");
	assert_int_equal(fixture_put(f, row), row->id);
	store_history_add(f->store, "new", "stopped", NULL);
	assert_int_equal(json_array_size(fixture_history(f, "new", 0, 100)), 2);
	assert_int_equal(json_array_size(fixture_history(f, "old", 0, 100)), 1);
	assert_int_equal(json_array_size(fixture_history(f, "other", 0, 100)), 1);

	/* one that is refused moves nothing */
	fixture_add(f, "taken");
	free(row->name);
	row->name = xstrdup("taken");
	assert_int_equal(fixture_put(f, row), -EEXIST);
	assert_int_equal(json_array_size(fixture_history(f, "new", 0, 100)), 2);
	assert_int_equal(json_array_size(fixture_history(f, "taken", 0, 100)), 0);
	service_row_free(row);
}

static void history_keeps_no_more_days_than_it_may(void **state)
{
	struct fixture *f = *state;

	fixture_must_open(f);
	store_history_limits(f->store, &(struct history_limits){.max_rows = 100, .max_days = 7});
	store_history_add(f->store, "s", "old", NULL);
	store_history_add(f->store, "s", "young", NULL);
	fixture_close(f);
	sql(f, "UPDATE history SET at_ms = at_ms - 8 * 86400000 WHERE event = 'old';"
	       "UPDATE history SET at_ms = at_ms - 6 * 86400000 WHERE event = 'young'");
	fixture_must_open(f);
	assert_int_equal(json_array_size(fixture_history(f, NULL, 0, 10)), 2);
	store_history_limits(f->store, &(struct history_limits){.max_rows = 100, .max_days = 7});
	json_t *rows = fixture_history(f, NULL, 0, 10);

	assert_int_equal(json_array_size(rows), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "event")),
			    "young");
}

static void a_flood_of_history_is_bounded_and_says_what_it_lost(void **state)
{
	struct fixture *f = *state;
	const json_int_t n = 60000;
	json_int_t kept = 0, lost = 0;
	json_t *rows, *row;
	size_t i;

	fixture_must_open(f);
	store_history_limits(f->store, &(struct history_limits){.max_rows = 100000});
	/* The database stands still while the flood comes, whatever the machine's speed. */
	char *path = fixture_path(f, "onionshared.db");
	sqlite3 *other;

	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	for (json_int_t k = 0; k < n; k++) {
		store_history_add(f->store, "s", "hit", NULL);
	}
	assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	free(path);
	store_history_add(f->store, "s", "after", NULL);
	for (int64_t before = 0;;
	     before = json_integer_value(json_object_get(json_array_get(rows, 0), "id"))) {
		rows = fixture_history(f, NULL, before, STORE_HISTORY_LIST_MAX);
		if (json_array_size(rows) == 0) {
			break;
		}
		json_array_foreach (rows, i, row) {
			const char *event = json_string_value(json_object_get(row, "event"));

			kept += strcmp(event, "hit") == 0 || strcmp(event, "after") == 0;
			if (strcmp(event, "lost") == 0) {
				lost += json_integer_value(json_object_get(row, "entries"));
			}
		}
	}
	assert_true(lost > 0);
	assert_true(kept <= 2 * STORE_LAZY_MAX); /* under way, and waiting */
	assert_int_equal(kept + lost, n + 1);    /* every entry is accounted for */
}

static void large_values_do_not_fill_the_queue(void **state)
{
	struct fixture *f = *state;
	char *value = xcalloc(1, STORE_CACHE_VALUE_MAX);

	fixture_must_open(f);
	int64_t id = fixture_add(f, "a");
	char *path = fixture_path(f, "onionshared.db");
	sqlite3 *other;

	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	for (int i = 0; i < 100; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%d", i);
		store_cache_put(f->store, id, key, value, STORE_CACHE_VALUE_MAX);
	}
	assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	int kept = 0;

	for (int i = 0; i < 100; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%d", i);
		kept += fixture_cached(f, id, key) != NULL;
	}
	assert_true(kept >= 7);
	assert_true(kept <= 2 * (int)(STORE_LAZY_BYTES / STORE_CACHE_VALUE_MAX));
	free(path);
	free(value);
}

static void oversized_details_are_left_out(void **state)
{
	struct fixture *f = *state;
	char text[STORE_DETAILS_MAX + 1];

	fixture_must_open(f);
	store_history_limits(f->store, &(struct history_limits){.max_rows = 10});
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	json_t *details = json_pack("{s:s}", "text", text);

	store_history_add(f->store, "s", "e", details);
	json_t *row = json_array_get(fixture_history(f, NULL, 0, 1), 0);

	assert_string_equal(json_string_value(json_object_get(row, "event")), "e");
	assert_null(json_object_get(row, "text"));
	json_decref(details);
}

static void counters_keep_their_last_value(void **state)
{
	struct fixture *f = *state;

	fixture_must_open(f);
	int64_t a = fixture_add(f, "a"), b = fixture_add(f, "b");

	for (int i = 1; i <= 20000; i++) {
		store_service_count(f->store, a, i, 2 * i, 3 * i);
		store_service_count(f->store, b, -i + 20001, 0, 0);
	}
	store_service_count(f->store, 12345, 1, 1, 1); /* nobody's */
	fixture_load(f);
	assert_int_equal(f->rows[0]->completed, 20000);
	assert_int_equal(f->rows[0]->bytes_in, 40000);
	assert_int_equal(f->rows[0]->bytes_out, 60000);
	assert_int_equal(f->rows[1]->completed, 1);

	/* a put between two counts is in its place */
	struct service_row *row = service_row_copy(f->rows[0]);

	store_service_count(f->store, a, 1, 0, 0);
	row->completed = 2;
	fixture_put(f, row);
	fixture_load(f);
	assert_int_equal(f->rows[0]->completed, 2);
	store_service_count(f->store, a, 3, 0, 0);
	fixture_close(f); /* what waits is written before it ends */
	fixture_must_open(f);
	fixture_load(f);
	assert_int_equal(f->rows[0]->completed, 3);
	service_row_free(row);
}

static void lazy_entries_reach_the_disk_without_being_asked_for(void **state)
{
	struct fixture *f = *state;
	char *path = fixture_path(f, "onionshared.db");
	int64_t begin, n = 0;
	sqlite3_stmt *st;
	sqlite3 *h;

	fixture_must_open(f);
	store_history_limits(f->store, &(struct history_limits){.max_rows = 10});
	fixture_history(f, NULL, 0, 1);
	assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(h, "SELECT count(*) FROM history", -1, &st, NULL),
			 SQLITE_OK);
	begin = now_ms();
	store_history_add(f->store, "s", "e", NULL);
	while (n == 0 && now_ms() - begin < 30000) {
		assert_int_equal(sqlite3_step(st), SQLITE_ROW);
		n = sqlite3_column_int64(st, 0);
		sqlite3_reset(st);
	}
	assert_int_equal(n, 1);
	assert_true(now_ms() - begin >= STORE_LAZY_MS - 50); /* together with others */
	/* and the loop has nothing to do with it */
	assert_int_equal(uv_backend_timeout(&f->loop), -1);
	sqlite3_finalize(st);
	sqlite3_close(h);
	free(path);
}

static void cached_values_are_found_and_go_with_their_service(void **state)
{
	struct fixture *f = *state;
	char key[STORE_CACHE_KEY_MAX + 2];

	fixture_must_open(f);
	int64_t a = fixture_add(f, "a"), b = fixture_add(f, "b");

	store_cache_put(f->store, a, "k", "one\0two", 7);
	store_cache_put(f->store, b, "k", "b", 1);
	store_cache_put(f->store, b, "empty", NULL, 0);
	assert_memory_equal(fixture_cached(f, a, "k"), "one\0two", 7);
	assert_int_equal(f->value_n, 7);
	assert_null(fixture_cached(f, a, "K"));
	assert_non_null(fixture_cached(f, b, "empty"));
	assert_int_equal(f->value_n, 0);
	store_cache_put(f->store, a, "k", "again", 5);
	assert_memory_equal(fixture_cached(f, a, "k"), "again", 5);

	fixture_delete(f, a);
	assert_null(fixture_cached(f, a, "k"));
	store_cache_put(f->store, a, "k", "late", 4); /* of a service that is gone */
	assert_null(fixture_cached(f, a, "k"));
	assert_memory_equal(fixture_cached(f, b, "k"), "b", 1);

	memset(key, 'k', sizeof(key));
	key[STORE_CACHE_KEY_MAX + 1] = '\0';
	store_cache_put(f->store, b, key, "v", 1);
	assert_null(fixture_cached(f, b, key));
	key[STORE_CACHE_KEY_MAX] = '\0';
	store_cache_put(f->store, b, key, "v", 1);
	assert_non_null(fixture_cached(f, b, key));
}

static void the_cache_drops_its_oldest_values(void **state)
{
	struct fixture *f = *state;
	const int n = STORE_CACHE_BYTES / STORE_CACHE_VALUE_MAX + 5;
	char *value = xcalloc(1, STORE_CACHE_VALUE_MAX + 1);
	char key[16];

	fixture_must_open(f);
	int64_t id = fixture_add(f, "a");

	for (int i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "%d", i);
		value[0] = (char)i;
		store_cache_put(f->store, id, key, value, STORE_CACHE_VALUE_MAX);
		fixture_cached(f, id, key); /* written now: they would not all wait together */
	}
	for (int i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "%d", i);
		const char *got = fixture_cached(f, id, key);

		assert_int_equal(got != NULL, i >= 5);
		assert_true(!got || *got == (char)i);
	}
	/* still so after a restart, which counts anew */
	fixture_close(f);
	fixture_must_open(f);
	store_cache_put(f->store, id, "one more", value, STORE_CACHE_VALUE_MAX);
	assert_non_null(fixture_cached(f, id, "one more"));
	assert_null(fixture_cached(f, id, "5"));
	assert_non_null(fixture_cached(f, id, "6"));

	store_cache_put(f->store, id, "too large", value, STORE_CACHE_VALUE_MAX + 1);
	assert_null(fixture_cached(f, id, "too large"));
	free(value);
}

struct counted {
	unsigned ok, busy;
};

static void count_answer(void *ud, const struct error *err, int64_t id)
{
	struct counted *c = ud;

	(void)id;
	if (err && err->code == EBUSY) {
		c->busy++;
	} else if (!err || err->code == EEXIST) {
		c->ok++;
	}
}

static void more_requests_than_the_queue_holds_are_refused(void **state)
{
	struct fixture *f = *state;
	struct service_row *row = fixture_row("a");
	struct counted c = {0};

	fixture_must_open(f);
	for (unsigned i = 0; i < STORE_QUEUE_MAX + 10; i++) {
		store_service_put(f->store, row, count_answer, &c);
	}
	assert_int_equal(c.ok + c.busy, 0); /* never from within */
	while (c.ok + c.busy < STORE_QUEUE_MAX + 10) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
	assert_int_equal(c.busy, 10);
	assert_int_equal(c.ok, STORE_QUEUE_MAX);
	/* and then there is room again */
	fixture_load(f);
	assert_int_equal(f->err.code, 0);
	assert_int_equal(f->n_rows, 1);
	service_row_free(row);
}

static void closing_answers_all_that_was_asked(void **state)
{
	struct fixture *f = *state;
	struct counted c = {0};
	char name[16];

	fixture_must_open(f);
	for (unsigned i = 0; i < 250; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		struct service_row *row = fixture_row(name);

		store_service_put(f->store, row, count_answer, &c);
		service_row_free(row);
	}
	fixture_close(f);
	assert_int_equal(c.ok, 250);
	fixture_must_open(f);
	fixture_load(f);
	assert_int_equal(f->n_rows, 250);
}

static void no_more_services_than_the_limit(void **state)
{
	struct fixture *f = *state;

	fixture_must_open(f);
	fixture_add(f, "a");
	sql(f, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)"
	       "INSERT INTO services (uid, name, mode, options, wanted, secret, port, created_ms,"
	       " completed, bytes_in, bytes_out) SELECT randomblob(16), 'n' || i, 'share', '{}', 0,"
	       " x'', 0, 0, 0, 0, 0 FROM n");
	struct service_row *row = fixture_row("one more");

	assert_int_equal(fixture_put(f, row), -E2BIG);
	assert_int_equal(f->err.kind, ERROR_LIMIT_EXCEEDED);
	fixture_load(f);
	assert_int_equal(f->n_rows, 1);
	assert_int_equal(f->n_broken, STORE_SERVICES_MAX - 1);
	service_row_free(row);
}

/* The acknowledged ones stand in a file of their own, written after the answer. */
static void write_until_killed(struct fixture *f, int report)
{
	fixture_must_open(f);
	for (unsigned i = 0;; i++) {
		char name[16];

		snprintf(name, sizeof(name), "k%06u", i);
		fixture_add(f, name);
		store_history_add(f->store, name, "created", NULL);
		if (write(report, &i, sizeof(i)) != sizeof(i)) {
			_exit(1);
		}
	}
}

static void acknowledged_services_survive_a_kill(void **state)
{
	struct fixture *f = *state;
	unsigned acknowledged = 0, n;
	int status;

	for (unsigned round = 0; round < 5; round++) {
		int fds[2];

		unit_rmtree(f->dir);
		f->dir = unit_tmpdir();
		assert_int_equal(pipe(fds), 0);
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			close(fds[0]);
			uv_loop_fork(&f->loop);
			write_until_killed(f, fds[1]);
		}
		close(fds[1]);
		for (acknowledged = 0; acknowledged < 20 + 17 * round; acknowledged++) {
			assert_int_equal(read(fds[0], &n, sizeof(n)), sizeof(n));
		}
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		while (read(fds[0], &n, sizeof(n)) == sizeof(n)) {
			acknowledged++;
		}
		close(fds[0]);

		fixture_must_open(f);
		fixture_load(f);
		assert_int_equal(f->n_broken, 0);
		/* at most the one whose answer was under way is more */
		assert_true(f->n_rows == acknowledged || f->n_rows == acknowledged + 1);
		for (size_t i = 0; i < f->n_rows; i++) {
			char name[32];

			snprintf(name, sizeof(name), "k%06zu", i);
			struct service_row *want = fixture_row(name);

			assert_row_equal(f->rows[i], want);
			service_row_free(want);
		}
		fixture_close(f);
	}
}

static void a_thousand_services_load_quickly(void **state)
{
	struct fixture *f = *state;
	struct counted c = {0};
	char name[16];

	fixture_must_open(f);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		struct service_row *row = fixture_row(name);

		store_service_put(f->store, row, count_answer, &c);
		service_row_free(row);
	}
	fixture_close(f);
	assert_int_equal(c.ok, 1000);
	int64_t begin = now_ms();

	fixture_must_open(f);
	int64_t opened = now_ms();

	fixture_load(f);
	print_message("1000 services: open %lld ms, load %lld ms\n", (long long)(opened - begin),
		      (long long)(now_ms() - opened));
	assert_int_equal(f->n_rows, 1000);
	assert_true(now_ms() - begin < 3000);
}

/* --- a full disk --- */

static void a_full_disk_refuses_and_goes_on_afterwards(void **state)
{
	struct fixture *f = *state;
	struct service_row *row = fixture_row("large");
	int64_t r = 0, last = 0;
	unsigned n;

	if (mount("none", f->dir, "tmpfs", 0, "size=1m,mode=0700") < 0) {
		print_message("SKIPPED: a full disk needs a mount, which is not allowed here\n");
		service_row_free(row);
		skip();
	}
	fixture_must_open(f);
	store_history_limits(f->store, &(struct history_limits){.max_rows = 1000});
	int64_t small = fixture_add(f, "small");
	char *text = xmalloc(64 << 10);

	memset(text, 'x', 64 << 10);
	text[(64 << 10) - 1] = '\0';
	json_object_set_new(row->options, "title", json_string(text));
	for (n = 0; n < 100 && r >= 0; n++) {
		free(row->name);
		row->name = xasprintf("large%u", n);
		last = r;
		r = fixture_put(f, row);
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(f->err.kind, ERROR_STORAGE);
	assert_string_equal(error_text(&f->err), "cannot save the service: the disk is full");
	assert_true(last > 0);
	store_history_add(f->store, "x", "while full", NULL);
	store_service_count(f->store, small, 5, 5, 5);
	/* what was there is there, and nothing of the refused one */
	assert_int_equal(fixture_load(f), 0);
	assert_int_equal(f->n_rows, n);
	assert_int_equal(f->n_broken, 0);

	/* room again: all goes on without a restart, and with one */
	assert_int_equal(mount("none", f->dir, "tmpfs", MS_REMOUNT, "size=8m"), 0);
	assert_true(fixture_put(f, row) > 0);
	fixture_close(f);
	fixture_must_open(f);
	fixture_load(f);
	assert_int_equal(f->n_rows, n + 1);
	fixture_close(f);

	/* first start on a disk without room: says so, leaves nothing that stops the next one */
	char *fill = fixture_path(f, "fill");
	char *sub = fixture_path(f, "sub");
	char *home = f->dir;
	int fd = open(fill, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(mkdir(sub, 0700), 0);
	while (write(fd, text, 4096) == 4096) {
	}
	close(fd);
	f->dir = sub;
	assert_int_equal(fixture_open(f), -ENOSPC);
	assert_int_equal(f->exit_status, 73);
	assert_int_equal(unlink(fill), 0);
	fixture_must_open(f);
	fixture_close(f);
	f->dir = home;
	assert_int_equal(umount2(f->dir, MNT_DETACH), 0);
	free(fill);
	free(sub);
	free(text);
	service_row_free(row);
}

static void a_read_only_disk_is_refused_at_the_start(void **state)
{
	struct fixture *f = *state;

	if (mount("none", f->dir, "tmpfs", 0, "size=4m,mode=0700") < 0) {
		print_message(
			"SKIPPED: a read-only disk needs a mount, which is not allowed here\n");
		skip();
	}
	fixture_must_open(f);
	fixture_add(f, "a");
	fixture_close(f);
	assert_int_equal(mount("none", f->dir, "tmpfs", MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_int_equal(fixture_open(f), -EROFS);
	assert_int_equal(f->exit_status, 73);
	assert_int_equal(mount("none", f->dir, "tmpfs", MS_REMOUNT, NULL), 0);
	fixture_must_open(f);
	fixture_load(f);
	assert_int_equal(f->n_rows, 1);
	fixture_close(f);
	assert_int_equal(umount2(f->dir, MNT_DETACH), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(a_service_comes_back_as_it_was_saved),
		STORE_TEST(an_update_replaces_the_row_and_its_keys),
		STORE_TEST(sources_come_back_and_forged_ones_are_refused),
		STORE_TEST(a_missing_secret_is_made_once_and_kept),
		STORE_TEST(names_and_labels_are_given_once),
		STORE_TEST(what_could_not_be_read_back_is_not_written),
		STORE_TEST(history_is_listed_newest_last_and_in_pages),
		STORE_TEST(a_rename_takes_the_past_of_its_own_service_along),
		STORE_TEST(history_keeps_no_more_rows_than_it_may),
		STORE_TEST(history_keeps_no_more_days_than_it_may),
		STORE_TEST(a_flood_of_history_is_bounded_and_says_what_it_lost),
		STORE_TEST(large_values_do_not_fill_the_queue),
		STORE_TEST(oversized_details_are_left_out),
		STORE_TEST(counters_keep_their_last_value),
		STORE_TEST(lazy_entries_reach_the_disk_without_being_asked_for),
		STORE_TEST(cached_values_are_found_and_go_with_their_service),
		STORE_TEST(the_cache_drops_its_oldest_values),
		STORE_TEST(more_requests_than_the_queue_holds_are_refused),
		STORE_TEST(closing_answers_all_that_was_asked),
		STORE_TEST(no_more_services_than_the_limit),
		STORE_TEST(acknowledged_services_survive_a_kill),
		STORE_TEST(a_thousand_services_load_quickly),
		STORE_TEST(a_full_disk_refuses_and_goes_on_afterwards),
		STORE_TEST(a_read_only_disk_is_refused_at_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
