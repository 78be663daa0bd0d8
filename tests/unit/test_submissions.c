/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Submissions as their owner sees them, on a real disk. */
#include "mode/receive/submissions.h"

#include <errno.h>
#include <time.h>

#include "mode/receive/inbox.h"
#include "proto/base/buf.h"
#include "unit.h"

#define WHEN INT64_C(1795357353000007) /* 2026-11-22 14:22:33.000007 */
#define DAY  INT64_C(86400000000)

struct fixture {
	char *dir;
	int fds;
};

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);

	f->dir = unit_tmpdir();
	f->fds = unit_open_fds();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int leaked = unit_open_fds() - f->fds;

	unit_rmtree(f->dir);
	free(f);
	return leaked;
}

/* An entry below the data directory, and the directories above it. text NULL: a directory. */
static void put(struct fixture *f, const char *path, const char *text)
{
	char *command = xasprintf("mkdir -p \"$(dirname '%s/%s')\"", f->dir, path);

	assert_int_equal(system(command), 0);
	free(command);
	if (text) {
		unit_write(f->dir, path, text);
	} else {
		char *full = xasprintf("%s/%s", f->dir, path);

		assert_int_equal(mkdir(full, 0700), 0);
		free(full);
	}
}

static bool is_there(struct fixture *f, const char *path)
{
	char *full = xasprintf("%s/%s", f->dir, path);
	struct stat st;
	bool there = lstat(full, &st) == 0;

	free(full);
	return there;
}

static json_t *list(struct fixture *f, int64_t after, size_t limit, bool expect_more)
{
	struct error err = ERROR_INIT;
	json_t *all = NULL;
	bool more = !expect_more;

	if (submissions_list(f->dir, FS_ANY_OWNER, after, limit, &all, &more, &err) < 0) {
		fail_msg("%s", error_text(&err));
	}
	assert_int_equal(more, expect_more);
	return all;
}

static void assert_ids(json_t *all, size_t n, const int64_t *ids)
{
	assert_int_equal(json_array_size(all), n);
	for (size_t i = 0; i < n; i++) {
		json_t *id = json_object_get(json_array_get(all, i), "id");

		assert_int_equal(json_integer_value(id), ids[i]);
	}
	json_decref(all);
}

static void assert_json(json_t *got, const char *want_text)
{
	json_t *want = json_loads(want_text, 0, NULL);
	char *dump = json_dumps(got, JSON_COMPACT);

	assert_non_null(want);
	if (!json_equal(got, want)) {
		fail_msg("%s instead of %s", dump, want_text);
	}
	free(dump);
	json_decref(want);
	json_decref(got);
}

static void put_usual(struct fixture *f)
{
	put(f, "2026-11-22/142233000007/b.txt", "beta");
	put(f, "2026-11-22/142233000007/a.txt", "");
	put(f, "2026-11-22/142233000007-message.txt", "hello\n");
}

static void all_of_a_submission_is_told(void **state)
{
	struct fixture *f = *state;

	put_usual(f);
	char *want = xasprintf("[{\"id\": 1795357353000007, \"received_at\":"
			       " \"2026-11-22T14:22:33Z\", \"files\": [{\"name\": \"a.txt\","
			       " \"size\": 0}, {\"name\": \"b.txt\", \"size\": 4}], \"message\":"
			       " true, \"path\": \"%s/2026-11-22/142233000007\","
			       " \"encrypted\": false}]",
			       f->dir);

	assert_json(list(f, -1, 10, false), want);
	free(want);
}

static void messages_and_what_is_encrypted_are_submissions_of_their_own(void **state)
{
	struct fixture *f = *state;

	put(f, "2026-11-22/142233000007-message.txt", "hello\n");
	put(f, "2026-11-22/142233000008.zip.age", "sealed");
	char *want = xasprintf(
		"[{\"id\": 1795357353000007, \"received_at\": \"2026-11-22T14:22:33Z\", \"files\":"
		" [], \"message\": true, \"path\": \"%s/2026-11-22/142233000007-message.txt\","
		" \"encrypted\": false}, {\"id\": 1795357353000008, \"received_at\":"
		" \"2026-11-22T14:22:33Z\", \"files\": [{\"name\": \"142233000008.zip.age\","
		" \"size\": 6}], \"message\": false, \"path\":"
		" \"%s/2026-11-22/142233000008.zip.age\", \"encrypted\": true}]",
		f->dir, f->dir);

	assert_json(list(f, -1, 10, false), want);
	free(want);
}

static void a_directory_that_is_not_there_has_none(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	json_t *all = NULL;
	bool more = true;
	char *missing = xasprintf("%s/missing", f->dir);

	assert_int_equal(submissions_list(missing, FS_ANY_OWNER, -1, 10, &all, &more, &err), 0);
	assert_int_equal(json_array_size(all), 0);
	assert_false(more);
	json_decref(all);
	free(missing);
}

static void what_is_no_submission_is_not_seen(void **state)
{
	struct fixture *f = *state;

	put(f, "2026-11-22/142233000007", NULL);
	put(f, "2026-11-22/notes.txt", "");
	put(f, "2026-11-22/142233000008.txt", "");
	put(f, "2026-11-22/142233000009", "a file");
	put(f, "2026-11-22/246060000000/a", "");
	put(f, "2026-11-22/14223300000a/a", "");
	put(f, "2026-02-30/142233000007/a", "");
	put(f, "2026-13-01/142233000007/a", "");
	put(f, "1969-12-31/142233000007/a", "");
	put(f, ".incoming/2026-11-22/142233000007/a", "");
	put(f, "2026-11-22/142233000010", NULL);
	char *link = xasprintf("%s/2026-11-22/142233000011", f->dir);

	assert_int_equal(symlink("/etc", link), 0);
	free(link);
	link = xasprintf("%s/2026-11-22/142233000012-message.txt", f->dir);
	assert_int_equal(symlink("/etc/passwd", link), 0);
	free(link);
	link = xasprintf("%s/2026-11-22/142233000010/passwd", f->dir);
	assert_int_equal(symlink("/etc/passwd", link), 0);
	free(link);
	link = xasprintf("%s/2026-11-23", f->dir);
	assert_int_equal(symlink("2026-11-22", link), 0);
	free(link);
	json_t *all = list(f, -1, 100, false);

	/* Empty directories are submissions whose files somebody took. */
	assert_int_equal(json_array_size(json_object_get(json_array_get(all, 1), "files")), 0);
	assert_ids(all, 2, (int64_t[]){WHEN, WHEN + 3});
}

static void pages_go_on_where_the_last_ended(void **state)
{
	struct fixture *f = *state;

	put(f, "2026-11-23/142233000007/a", "");
	put(f, "2026-11-22/142233000009-message.txt", "");
	put(f, "2026-11-22/142233000009/a", "");
	put(f, "2026-11-22/142233000008/a", "");
	put_usual(f);
	assert_ids(list(f, -1, 2, true), 2, (int64_t[]){WHEN, WHEN + 1});
	assert_ids(list(f, WHEN + 1, 2, false), 2, (int64_t[]){WHEN + 2, WHEN + DAY});
	assert_ids(list(f, WHEN, 1, true), 1, (int64_t[]){WHEN + 1});
	assert_ids(list(f, WHEN + DAY, 2, false), 0, NULL);
	assert_ids(list(f, INT64_MAX, 2, false), 0, NULL);
}

static void a_page_is_bounded_by_number_and_bytes(void **state)
{
	struct fixture *f = *state;
	char *command = xasprintf("cd '%s' && mkdir 2026-11-22 && cd 2026-11-22 && seq -f "
				  "142233%%06.0f-message.txt 1 1200 | xargs touch",
				  f->dir);
	json_t *all;
	char name[300];

	assert_int_equal(system(command), 0);
	all = list(f, -1, 5000, true);
	assert_int_equal(json_array_size(all), SUBMISSIONS_PAGE);
	assert_int_equal(json_integer_value(
				 json_object_get(json_array_get(all, SUBMISSIONS_PAGE - 1), "id")),
			 WHEN - 7 + SUBMISSIONS_PAGE);
	json_decref(all);
	free(command);
	/* Two with 1200 names of 250 quotes: as many as fit, and the page ends. */
	memset(name, '"', sizeof(name));
	for (int day = 1; day < 3; day++) {
		for (int i = 0; i < 1200; i++) {
			char *path = xasprintf("2026-10-%02d/000000000000/%.246s%d", day, name,
					       1000 + i);
			if (i == 0) {
				put(f, path, "");
			} else {
				unit_write(f->dir, path, "");
			}
			free(path);
		}
	}
	all = list(f, -1, 10, true);
	assert_int_equal(json_array_size(all), 1);
	size_t files = json_array_size(json_object_get(json_array_get(all, 0), "files"));

	assert_in_range(files, 500, 1000);
	assert_true(json_dumpb(all, NULL, 0, JSON_COMPACT) < 512 * 1024);
	json_decref(all);
}

static json_t *show(struct fixture *f, int64_t id, json_t **text, bool *cut)
{
	struct error err = ERROR_INIT;
	json_t *o = NULL;

	if (submissions_show(f->dir, FS_ANY_OWNER, id, &o, text, cut, &err) < 0) {
		fail_msg("%s", error_text(&err));
	}
	return o;
}

static void a_message_is_told(void **state)
{
	struct fixture *f = *state;
	json_t *text = NULL;
	bool cut = true;

	put_usual(f);
	json_decref(show(f, WHEN, &text, &cut));
	assert_string_equal(json_string_value(text), "hello\n");
	assert_false(cut);
	json_decref(text);
	put(f, "2026-11-22/142233000008/a", "");
	json_decref(show(f, WHEN + 1, &text, &cut));
	assert_true(json_is_null(text));
	json_decref(text);
}

static void a_long_message_is_cut_between_characters(void **state)
{
	struct fixture *f = *state;
	char *long_text = xmalloc(SUBMISSIONS_TEXT_MAX + 2);
	json_t *text = NULL;
	bool cut = false;

	memset(long_text, 'x', SUBMISSIONS_TEXT_MAX + 2);
	memcpy(long_text + SUBMISSIONS_TEXT_MAX - 1, "\xc3\xa4", 3);
	put(f, "2026-11-22/142233000007-message.txt", long_text);
	json_decref(show(f, WHEN, &text, &cut));
	assert_true(cut);
	assert_int_equal(json_string_length(text), SUBMISSIONS_TEXT_MAX - 1);
	json_decref(text);
	/* One that just fits is whole. */
	long_text[SUBMISSIONS_TEXT_MAX - 1] = 'x';
	long_text[SUBMISSIONS_TEXT_MAX] = '\0';
	put(f, "2026-11-22/142233000007-message.txt", long_text);
	json_decref(show(f, WHEN, &text, &cut));
	assert_false(cut);
	assert_int_equal(json_string_length(text), SUBMISSIONS_TEXT_MAX);
	json_decref(text);
	free(long_text);
}

static void a_number_that_nobody_has_is_refused(void **state)
{
	struct fixture *f = *state;
	static const int64_t ids[] = {0, -1, INT64_MIN, INT64_MAX, WHEN + 1};
	struct submissions_opened o;
	json_t *a, *b;
	bool cut;

	put_usual(f);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		struct error err = ERROR_INIT;

		assert_int_equal(submissions_show(f->dir, FS_ANY_OWNER, ids[i], &a, &b, &cut, &err),
				 -ENOENT);
		assert_int_equal(err.kind, ERROR_NO_SUCH_SUBMISSION);
		assert_int_equal(submissions_delete(f->dir, FS_ANY_OWNER, ids[i], &err), -ENOENT);
		assert_int_equal(submissions_open(f->dir, FS_ANY_OWNER, ids[i], 0, &o, &err),
				 -ENOENT);
		error_done(&err);
	}
	assert_true(is_there(f, "2026-11-22/142233000007/a.txt"));
}

static void assert_opened(struct submissions_opened *o, unsigned i, const char *name,
			  const char *kind, const char *bytes)
{
	json_t *file = json_array_get(o->files, i);
	char got[64] = "";

	assert_string_equal(json_string_value(json_object_get(file, "name")), name);
	assert_string_equal(json_string_value(json_object_get(file, "kind")), kind);
	assert_int_equal(json_integer_value(json_object_get(file, "size")), strlen(bytes));
	assert_int_equal(read(o->fds[i], got, sizeof(got)), strlen(bytes));
	assert_memory_equal(got, bytes, strlen(bytes));
	assert_int_equal(fcntl(o->fds[i], F_GETFL) & O_ACCMODE, O_RDONLY);
}

static void files_are_opened_for_reading_with_the_message_last(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct submissions_opened o;

	put_usual(f);
	put(f, "2026-11-22/142233000008.zip.age", "sealed");
	assert_int_equal(submissions_open(f->dir, FS_ANY_OWNER, WHEN, 0, &o, &err), 0);
	assert_int_equal(o.n, 3);
	assert_false(o.more);
	assert_opened(&o, 0, "a.txt", "file", "");
	assert_opened(&o, 1, "b.txt", "file", "beta");
	assert_opened(&o, 2, "message.txt", "message", "hello\n");
	submissions_opened_done(&o);
	assert_int_equal(submissions_open(f->dir, FS_ANY_OWNER, WHEN + 1, 0, &o, &err), 0);
	assert_int_equal(o.n, 1);
	assert_opened(&o, 0, "142233000008.zip.age", "encrypted", "sealed");
	submissions_opened_done(&o);
	/* Behind the last. */
	assert_int_equal(submissions_open(f->dir, FS_ANY_OWNER, WHEN, 3, &o, &err), 0);
	assert_int_equal(o.n, 0);
	submissions_opened_done(&o);
	assert_int_equal(submissions_open(f->dir, FS_ANY_OWNER, WHEN, SIZE_MAX, &o, &err), 0);
	assert_int_equal(o.n, 0);
	assert_false(o.more);
	submissions_opened_done(&o);
}

static void many_files_are_opened_in_turns(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct submissions_opened o;

	put_usual(f);
	for (unsigned i = 0; i < SUBMISSIONS_OPEN_MAX; i++) {
		char *path = xasprintf("2026-11-22/142233000007/c%02u", i);

		put(f, path, "");
		free(path);
	}
	assert_int_equal(submissions_open(f->dir, FS_ANY_OWNER, WHEN, 0, &o, &err), 0);
	assert_int_equal(o.n, SUBMISSIONS_OPEN_MAX);
	assert_true(o.more);
	submissions_opened_done(&o);
	assert_int_equal(submissions_open(f->dir, FS_ANY_OWNER, WHEN, SUBMISSIONS_OPEN_MAX, &o,
					  &err),
			 0);
	assert_int_equal(o.n, 3);
	assert_false(o.more);
	assert_opened(&o, 2, "message.txt", "message", "hello\n");
	submissions_opened_done(&o);
}

static void deleting_removes_all_of_one_and_nothing_of_others(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;

	put_usual(f);
	put(f, "2026-11-22/142233000007/below/file", "");
	put(f, "2026-11-22/142233000007.zip.age", "sealed");
	put(f, "2026-11-22/142233000008-message.txt", "");
	assert_int_equal(submissions_delete(f->dir, FS_ANY_OWNER, WHEN, &err), 0);
	assert_ids(list(f, -1, 10, false), 1, (int64_t[]){WHEN + 1});
	assert_false(is_there(f, "2026-11-22/142233000007"));
	assert_false(is_there(f, "2026-11-22/142233000007-message.txt"));
	assert_false(is_there(f, "2026-11-22/142233000007.zip.age"));
	assert_false(is_there(f, ".incoming"));
	assert_int_equal(submissions_delete(f->dir, FS_ANY_OWNER, WHEN, &err), -ENOENT);
	error_done(&err);
}

static void links_are_never_followed_by_deleting(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	char *outside = xasprintf("%s/outside", f->dir);
	char *inside = xasprintf("%s/2026-11-22/142233000007/link", f->dir);
	char *day = xasprintf("%s/2026-11-21", f->dir);

	put(f, "outside/142233000007/precious", "");
	put_usual(f);
	assert_int_equal(symlink(outside, inside), 0);
	assert_int_equal(symlink(outside, day), 0);
	assert_int_equal(submissions_delete(f->dir, FS_ANY_OWNER, WHEN, &err), 0);
	assert_int_equal(submissions_delete(f->dir, FS_ANY_OWNER, WHEN - DAY, &err), -ENOENT);
	assert_true(is_there(f, "outside/142233000007/precious"));
	error_done(&err);
	free(day);
	free(inside);
	free(outside);
}

static void deleting_beside_a_running_service_leaves_its_staging(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct inbox *inbox = NULL;

	put_usual(f);
	assert_int_equal(inbox_open(f->dir, FS_ANY_OWNER, 0, &inbox, &err), 0);
	assert_int_equal(submissions_delete(f->dir, FS_ANY_OWNER, WHEN, &err), 0);
	assert_true(is_there(f, ".incoming"));
	inbox_close(inbox);
	assert_false(is_there(f, ".incoming"));
}

/* As a crash between the renames leaves it. */
static void a_deletion_that_was_begun_is_completed(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct inbox *inbox;

	put(f, ".incoming/aaaaaaaa/2026-11-22142233000007/142233000007/a.txt", "alpha");
	put(f, "2026-11-22/142233000007-message.txt", "hello");
	put(f, "2026-11-22/142233000008-message.txt", "another");
	put(f, ".incoming/bbbbbbbb/2026-11-23142233000007/x", "its day is gone");
	put(f, ".incoming/bbbbbbbb/2026-11-2214223300000y/x", "no number");
	assert_int_equal(inbox_open(f->dir, FS_ANY_OWNER, 0, &inbox, &err), 0);
	inbox_sweep(inbox);
	inbox_close(inbox);
	assert_false(is_there(f, "2026-11-22/142233000007-message.txt"));
	assert_true(is_there(f, "2026-11-22/142233000008-message.txt"));
	assert_false(is_there(f, ".incoming"));
}

static void what_is_old_goes_with_its_empty_days(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	size_t n = 0;
	bool more = true;

	put(f, "2020-01-01/000000000000/a", "");
	put(f, "2020-01-02/000000000000-message.txt", "");
	put(f, "2020-01-02/mine.txt", "");
	put_usual(f);
	put(f, "2026-11-22/142233000008/a", "");
	assert_int_equal(submissions_expire(f->dir, FS_ANY_OWNER, WHEN + 1, 100, &n, &more, &err),
			 0);
	assert_int_equal(n, 3);
	assert_false(more);
	assert_false(is_there(f, "2020-01-01"));
	assert_true(is_there(f, "2020-01-02/mine.txt"));
	assert_ids(list(f, -1, 10, false), 1, (int64_t[]){WHEN + 1});
	/* Again: nothing left to do. */
	assert_int_equal(submissions_expire(f->dir, FS_ANY_OWNER, WHEN + 1, 100, &n, &more, &err),
			 0);
	assert_int_equal(n, 0);
}

static void what_is_old_goes_in_bounded_turns(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	size_t n = 0;
	bool more = false;

	put(f, "2020-01-01/000000000000/a", "");
	put(f, "2020-01-01/000000000001/a", "");
	put(f, "2020-01-01/000000000002/a", "");
	assert_int_equal(submissions_expire(f->dir, FS_ANY_OWNER, WHEN, 2, &n, &more, &err), 0);
	assert_int_equal(n, 2);
	assert_true(more);
	assert_int_equal(submissions_expire(f->dir, FS_ANY_OWNER, WHEN, 2, &n, &more, &err), 0);
	assert_int_equal(n, 1);
	assert_false(more);
	assert_false(is_there(f, "2020-01-01"));
}

static void the_present_day_stays_for_what_comes(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	time_t now = time(NULL);
	struct tm tm;
	char day[16], path[64];

	gmtime_r(&now, &tm);
	strftime(day, sizeof(day), "%Y-%m-%d", &tm);
	snprintf(path, sizeof(path), "%s/000000000000/a", day);
	put(f, path, "");
	assert_int_equal(submissions_delete(f->dir, FS_ANY_OWNER, now / 86400 * DAY, &err), 0);
	assert_true(is_there(f, day));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(all_of_a_submission_is_told),
		T(messages_and_what_is_encrypted_are_submissions_of_their_own),
		T(a_directory_that_is_not_there_has_none),
		T(what_is_no_submission_is_not_seen),
		T(pages_go_on_where_the_last_ended),
		T(a_page_is_bounded_by_number_and_bytes),
		T(a_message_is_told),
		T(a_long_message_is_cut_between_characters),
		T(a_number_that_nobody_has_is_refused),
		T(files_are_opened_for_reading_with_the_message_last),
		T(many_files_are_opened_in_turns),
		T(deleting_removes_all_of_one_and_nothing_of_others),
		T(links_are_never_followed_by_deleting),
		T(deleting_beside_a_running_service_leaves_its_staging),
		T(a_deletion_that_was_begun_is_completed),
		T(what_is_old_goes_with_its_empty_days),
		T(what_is_old_goes_in_bounded_turns),
		T(the_present_day_stays_for_what_comes),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
