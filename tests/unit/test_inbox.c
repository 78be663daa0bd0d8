/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Submissions on a real disk: what is there, and when. */
#include "mode/receive/inbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>

#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "unit.h"

/* Made by Debian's age-keygen, for these tests. */
#define RECIPIENT "age1hjt9pj3sf557lu7ymacxwv4rl0vsegddugagdywgtn0vr3guxueqvz6pew"

#define WHEN INT64_C(1795357353000007) /* 2026-11-22 14:22:33.000007 */

struct fixture {
	char *dir; /* the data directory */
	struct inbox *inbox;
};

static void reopen(struct fixture *f)
{
	struct error err = ERROR_INIT;

	inbox_close(take_ptr(f->inbox));
	if (inbox_open(f->dir, FS_ANY_OWNER, 0, &f->inbox, &err) < 0) {
		fail_msg("%s", error_text(&err));
	}
}

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);

	f->dir = unit_tmpdir();
	reopen(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	inbox_close(f->inbox);
	unit_rmtree(f->dir);
	free(f);
	return 0;
}

static void add(struct buf *b, enum inbox_record_type type, struct span payload)
{
	const struct inbox_record rec = {.type = type, .n = (uint32_t)payload.n};

	buf_add(b, &rec, sizeof(rec));
	buf_add_span(b, payload);
}

static void add_file(struct buf *b, const char *name, struct span data)
{
	add(b, INBOX_FILE, span_str(name));
	add(b, INBOX_DATA, data);
	add(b, INBOX_END, SPAN(""));
}

static void add_message(struct buf *b, struct span text)
{
	add(b, INBOX_MESSAGE, SPAN(""));
	add(b, INBOX_DATA, text);
	add(b, INBOX_END, SPAN(""));
}

static void write_all(struct inbox_sub *s, struct buf *b)
{
	assert_int_equal(inbox_sub_write(s, buf_span(b)), 0);
	buf_clear(b);
}

/* All paths below dir with their sizes, one a line in order; what is hidden is left out. */
static void list_into(struct buf *b, const char *dir, const char *prefix, bool hidden)
{
	struct dirent **names;
	int n = scandir(dir, &names, NULL, alphasort);

	assert_true(n >= 0);
	for (int i = 0; i < n; i++) {
		char *path = xasprintf("%s/%s", dir, names[i]->d_name);
		char *shown = xasprintf("%s%s", prefix, names[i]->d_name);
		struct stat st;

		if (strcmp(names[i]->d_name, ".") != 0 && strcmp(names[i]->d_name, "..") != 0 &&
		    (hidden || names[i]->d_name[0] != '.') && lstat(path, &st) == 0) {
			if (S_ISDIR(st.st_mode)) {
				char *below = xasprintf("%s/", shown);

				assert_int_equal(st.st_mode & 07777, 0700);
				buf_printf(b, "%s\n", below);
				list_into(b, path, below, hidden);
				free(below);
			} else {
				assert_int_equal(st.st_mode & 07777, 0600);
				assert_int_equal(st.st_mtim.tv_sec % 86400, 0);
				assert_int_equal(st.st_mtim.tv_nsec, 0);
				buf_printf(b, "%s %lld\n", shown, (long long)st.st_size);
			}
		}
		free(path);
		free(shown);
		free(names[i]);
	}
	free(names);
}

static void assert_listing(struct fixture *f, const char *expected)
{
	struct buf b = BUF_INIT;

	list_into(&b, f->dir, "", false);
	assert_string_equal(b.p ? b.p : "", expected);
	buf_done(&b);
}

static unsigned count_hidden(struct fixture *f)
{
	struct buf all = BUF_INIT, shown = BUF_INIT;
	unsigned n = 0;

	list_into(&all, f->dir, "", true);
	list_into(&shown, f->dir, "", false);
	for (size_t i = 0; i < all.len; i++) {
		n += all.p[i] == '\n';
	}
	for (size_t i = 0; i < shown.len; i++) {
		n -= shown.p[i] == '\n';
	}
	buf_done(&all);
	buf_done(&shown);
	return n;
}

/* .incoming and the run's own directory. */
#define HIDDEN_IDLE 2

static struct inbox_sub *make_submission(struct fixture *f, struct inbox_place *place)
{
	struct inbox_sub *s = inbox_sub_new(f->inbox);
	struct buf b = BUF_INIT;

	add_file(&b, "a.txt", SPAN("alpha"));
	add_message(&b, SPAN("hello"));
	write_all(s, &b);
	add_file(&b, "b.txt", SPAN(""));
	write_all(s, &b);
	buf_done(&b);
	assert_int_equal(inbox_sub_settle(s, WHEN, place), 0);
	return s;
}

#define DAY "2026-11-22/\n"
#define ALL                                     \
	DAY "2026-11-22/142233000007/\n"        \
	    "2026-11-22/142233000007/a.txt 5\n" \
	    "2026-11-22/142233000007/b.txt 0\n" \
	    "2026-11-22/142233000007-message.txt 5\n"

static void a_submission_is_invisible_until_it_is_committed(void **state)
{
	struct fixture *f = *state;
	struct inbox_place place;
	struct inbox_sub *s = inbox_sub_new(f->inbox);

	assert_int_equal(count_hidden(f), HIDDEN_IDLE); /* nothing before the first record */
	inbox_sub_free(s);
	s = make_submission(f, &place);
	assert_listing(f, DAY);
	assert_true(inbox_place_valid(&place));
	assert_string_equal(place.day, "2026-11-22");
	assert_string_equal(place.stamp, "142233000007");
	assert_int_equal(inbox_sub_commit(s), 0);
	assert_listing(f, ALL);
	assert_int_equal(count_hidden(f), HIDDEN_IDLE);
	inbox_sub_free(s);
}

static void a_message_alone_has_no_directory(void **state)
{
	struct fixture *f = *state;
	struct inbox_sub *s = inbox_sub_new(f->inbox);
	struct inbox_place place;
	struct buf b = BUF_INIT;

	add_message(&b, SPAN("hi"));
	write_all(s, &b);
	buf_done(&b);
	assert_int_equal(inbox_sub_settle(s, WHEN, &place), 0);
	assert_int_equal(inbox_sub_commit(s), 0);
	assert_listing(f, DAY "2026-11-22/142233000007-message.txt 2\n");
	inbox_sub_free(s);
}

static void a_dropped_message_leaves_the_files(void **state)
{
	struct fixture *f = *state;
	struct inbox_sub *s = inbox_sub_new(f->inbox);
	struct inbox_place place;
	struct buf b = BUF_INIT;

	add(&b, INBOX_MESSAGE, SPAN(""));
	add(&b, INBOX_DATA, SPAN("  \r\n"));
	add(&b, INBOX_DROP, SPAN(""));
	add_file(&b, "a", SPAN("1"));
	write_all(s, &b);
	buf_done(&b);
	assert_int_equal(inbox_sub_settle(s, WHEN, &place), 0);
	assert_int_equal(inbox_sub_commit(s), 0);
	assert_listing(f, DAY "2026-11-22/142233000007/\n2026-11-22/142233000007/a 1\n");
	inbox_sub_free(s);
}

static void what_is_discarded_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct inbox_place place;
	struct inbox_sub *s = make_submission(f, &place);

	inbox_sub_discard(s);
	inbox_sub_free(s);
	assert_listing(f, DAY);
	assert_int_equal(count_hidden(f), HIDDEN_IDLE);
	/* Also in the middle of a file. */
	struct buf b = BUF_INIT;

	s = inbox_sub_new(f->inbox);
	add(&b, INBOX_FILE, SPAN("a"));
	add(&b, INBOX_DATA, SPAN("part"));
	write_all(s, &b);
	buf_done(&b);
	inbox_sub_discard(s);
	inbox_sub_free(s);
	assert_int_equal(count_hidden(f), HIDDEN_IDLE);
}

static void equal_times_get_names_of_their_own(void **state)
{
	struct fixture *f = *state;
	struct inbox_place a, b;
	struct inbox_sub *first = make_submission(f, &a), *second = make_submission(f, &b);

	/* Both looked before either was there. */
	assert_string_equal(a.stamp, b.stamp);
	assert_int_equal(inbox_sub_commit(first), 0);
	assert_int_equal(inbox_sub_commit(second), 0);
	inbox_sub_free(first);
	inbox_sub_free(second);
	/* And one that comes later sees them. */
	first = make_submission(f, &a);
	assert_string_equal(a.stamp, "142233000009");
	inbox_sub_discard(first);
	inbox_sub_free(first);
	assert_listing(f, ALL "2026-11-22/142233000008/\n"
			      "2026-11-22/142233000008/a.txt 5\n"
			      "2026-11-22/142233000008/b.txt 0\n"
			      "2026-11-22/142233000008-message.txt 5\n");
}

/* As a crash leaves it: the submission stays, its run ends. */
static struct inbox_place crash_after_settling(struct fixture *f)
{
	struct inbox_place place;
	struct inbox_sub *s = make_submission(f, &place);

	inbox_sub_free(s);
	reopen(f);
	return place;
}

static void assert_arrival(const struct inbox_arrival *a, unsigned files, bool message)
{
	assert_true(a->there);
	assert_int_equal(a->number, WHEN);
	assert_int_equal(a->files, files);
	assert_int_equal(a->message, message);
}

static void what_was_settled_is_completed_after_a_crash(void **state)
{
	struct fixture *f = *state;
	struct inbox_place place = crash_after_settling(f);

	struct inbox_arrival arrival;

	assert_listing(f, DAY);
	assert_int_equal(inbox_complete(f->inbox, &place, &arrival), 0);
	assert_listing(f, ALL);
	assert_arrival(&arrival, 2, true);
	assert_int_equal(inbox_complete(f->inbox, &place, &arrival), 0); /* twice is no harm */
	assert_listing(f, ALL);
	assert_arrival(&arrival, 2, true);
	inbox_sweep(f->inbox);
	assert_listing(f, ALL);
	assert_int_equal(count_hidden(f), HIDDEN_IDLE);
}

static void a_crash_between_the_two_renames_is_completed(void **state)
{
	struct fixture *f = *state;
	struct inbox_place place = crash_after_settling(f);
	struct inbox_arrival arrival;
	char *from = xasprintf("%s/.incoming/%.17s/files", f->dir, place.staging);
	char *to = xasprintf("%s/%s/%s", f->dir, place.day, place.stamp);

	assert_int_equal(rename(from, to), 0);
	free(from);
	free(to);
	assert_int_equal(inbox_complete(f->inbox, &place, &arrival), 0);
	assert_listing(f, ALL);
	assert_arrival(&arrival, 2, true);
}

static void what_was_deleted_meanwhile_has_not_arrived(void **state)
{
	struct fixture *f = *state;
	struct inbox_place place = crash_after_settling(f);
	struct inbox_arrival arrival;

	inbox_sweep(f->inbox);
	assert_int_equal(inbox_complete(f->inbox, &place, &arrival), 0);
	assert_false(arrival.there);
	assert_listing(f, DAY);
}

static void what_was_not_settled_is_swept_away(void **state)
{
	struct fixture *f = *state;

	crash_after_settling(f);
	inbox_sweep(f->inbox);
	assert_listing(f, DAY);
	assert_int_equal(count_hidden(f), HIDDEN_IDLE);
}

static void a_run_that_goes_on_is_not_swept_away(void **state)
{
	struct fixture *f = *state;
	struct inbox_place place;
	struct inbox_sub *s = make_submission(f, &place);
	struct inbox *other;

	assert_int_equal(inbox_open(f->dir, FS_ANY_OWNER, 0, &other, NULL), 0);
	inbox_sweep(other);
	inbox_close(other);
	assert_int_equal(inbox_sub_commit(s), 0);
	assert_listing(f, ALL);
	inbox_sub_free(s);
}

static void places_that_lead_elsewhere_are_refused(void **state)
{
	static const struct inbox_place wrong[] = {
		{.staging = "../../aaaaa/bbbbb+1", .day = "2026-11-22", .stamp = "142233000007"},
		{.staging = "aaaaaaaa/bbbbbbbb+1", .day = "../../../x", .stamp = "142233000007"},
		{.staging = "aaaaaaaa/bbbbbbbb+1", .day = "2026-11-22", .stamp = "14223300000/"},
		{.staging = "aaaaaaaa/bbbbbbbb", .day = "2026-11-22", .stamp = "142233000007"},
		{.staging = "aaaaaaaa/bbbbbbbb+", .day = "2026-11-22", .stamp = "142233000007"},
		{.staging = "aaaaaaaa/bbbbbbbb+m", .day = "2026-11-22", .stamp = "142233000007"},
		{.staging = "aaaaaaaa/bbbbbbbb+1x", .day = "2026-11-22", .stamp = "142233000007"},
		{.staging = "aaaaaaaa/bbbbbbbb+1mm", .day = "2026-11-22", .stamp = "142233000007"},
		{.staging = "aaaaaaaa/bbbbbbbb+12345",
		 .day = "2026-11-22",
		 .stamp = "142233000007"},
		{.staging = "aaaaaaaa/bbbbbbb+1", .day = "2026-11-22", .stamp = "142233000007"},
		{.staging = "", .day = "", .stamp = ""},
	};
	struct fixture *f = *state;
	struct inbox_arrival arrival;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_false(inbox_place_valid(&wrong[i]));
		assert_int_equal(inbox_complete(f->inbox, &wrong[i], &arrival), -EINVAL);
		assert_false(arrival.there);
	}
}

static void broken_records_write_nothing_more(void **state)
{
	struct fixture *f = *state;
	struct inbox_sub *s = inbox_sub_new(f->inbox);
	struct inbox_place place;
	struct buf b = BUF_INIT;

	add(&b, INBOX_DATA, SPAN("of nothing"));
	assert_int_equal(inbox_sub_write(s, buf_span(&b)), -EINVAL);
	buf_clear(&b);
	add_file(&b, "a", SPAN("1"));
	assert_int_equal(inbox_sub_write(s, buf_span(&b)), -EINVAL);
	assert_int_equal(inbox_sub_settle(s, WHEN, &place), -EINVAL);
	inbox_sub_discard(s);
	inbox_sub_free(s);
	/* Cut in the middle. */
	s = inbox_sub_new(f->inbox);
	assert_int_equal(inbox_sub_write(s, span_of(b.p, b.len - 1)), -EINVAL);
	inbox_sub_discard(s);
	inbox_sub_free(s);
	buf_done(&b);
	assert_int_equal(count_hidden(f), HIDDEN_IDLE);
	/* A name twice: the names are made unique before they come here. */
	s = inbox_sub_new(f->inbox);
	add_file(&b, "a", SPAN("1"));
	add_file(&b, "a", SPAN("2"));
	assert_int_equal(inbox_sub_write(s, buf_span(&b)), -EEXIST);
	inbox_sub_discard(s);
	inbox_sub_free(s);
	buf_done(&b);
}

static void what_it_uses_is_measured(void **state)
{
	struct fixture *f = *state;
	struct inbox_place place;
	uint64_t used;
	struct inbox_sub *s = make_submission(f, &place);

	assert_int_equal(inbox_usage(f->inbox, &used), 0);
	assert_int_equal(used, 0); /* what comes in is not in it yet */
	assert_int_equal(inbox_sub_commit(s), 0);
	inbox_sub_free(s);
	assert_int_equal(inbox_usage(f->inbox, &used), 0);
	assert_int_equal(used, 10);
}

static void room_is_left_to_others(void **state)
{
	struct fixture *f = *state;
	struct inbox *careful;

	assert_int_equal(inbox_room(f->inbox, 1, 1), 0);
	assert_int_equal(inbox_room(f->inbox, UINT64_MAX, 1), -ENOSPC);
	assert_int_equal(inbox_open(f->dir, FS_ANY_OWNER, UINT64_MAX / 2, &careful, NULL), 0);
	assert_int_equal(inbox_room(careful, 1, 1), -ENOSPC);
	/* And not a byte is written. */
	struct inbox_sub *s = inbox_sub_new(careful);
	struct buf b = BUF_INIT;

	add_file(&b, "a", SPAN("1"));
	assert_int_equal(inbox_sub_write(s, buf_span(&b)), -ENOSPC);
	buf_done(&b);
	inbox_sub_discard(s);
	inbox_sub_free(s);
	assert_int_equal(count_hidden(f), HIDDEN_IDLE + 1);
	inbox_close(careful);
}

/* In a mount namespace's tmpfs, where that is allowed. */
static void a_full_disk_is_told_and_nothing_stays(void **state)
{
	struct fixture *f = *state;
	static char piece[256 * 1024];
	struct inbox *small;
	int r = 0;

	char *dir = xasprintf("%s/mnt", f->dir);

	assert_int_equal(mkdir(dir, 0700), 0);
	if (mount("none", dir, "tmpfs", 0, "size=2m,nr_inodes=64,mode=0700") < 0) {
		printf("# a full disk needs a mount, which is not allowed here\n");
		free(dir);
		return;
	}
	assert_int_equal(inbox_open(dir, FS_ANY_OWNER, 256 * 1024, &small, NULL), 0);
	for (int round = 0; round < 3; round++) {
		struct inbox_sub *s = inbox_sub_new(small);
		struct buf b = BUF_INIT;

		add(&b, INBOX_FILE, SPAN("big"));
		for (int i = 0; i < 16; i++) {
			add(&b, INBOX_DATA, span_of(piece, sizeof(piece)));
			r = inbox_sub_write(s, buf_span(&b));
			buf_clear(&b);
		}
		assert_int_equal(r, -ENOSPC);
		buf_done(&b);
		inbox_sub_discard(s);
		inbox_sub_free(s);
		/* As many inodes as there are, less those that are kept free. */
		s = inbox_sub_new(small);
		for (int i = 0; i < 64; i++) {
			char name[16];

			snprintf(name, sizeof(name), "%d", i);
			add_file(&b, name, SPAN("x"));
			r = inbox_sub_write(s, buf_span(&b));
			buf_clear(&b);
		}
		assert_int_equal(r, -ENOSPC);
		buf_done(&b);
		inbox_sub_discard(s);
		inbox_sub_free(s);
	}
	assert_int_equal(inbox_room(small, 1024 * 1024, 16), 0);
	inbox_close(small);
	assert_int_equal(umount2(dir, MNT_DETACH), 0);
	assert_int_equal(rmdir(dir), 0);
	free(dir);
}

static void an_unusable_directory_is_named(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct inbox *inbox;

	unit_write(f->dir, "plain", "");
	char *path = xasprintf("%s/plain", f->dir);

	assert_true(inbox_open(path, FS_ANY_OWNER, 0, &inbox, &err) < 0);
	assert_non_null(strstr(error_text(&err), path));
	error_done(&err);
	unlink(path);
	free(path);
}

/* --- sealed --- */

static void seal(struct fixture *f)
{
	struct age_recipient to;

	assert_int_equal(age_parse_recipient(SPAN(RECIPIENT), &to, NULL), 0);
	inbox_seal_to(f->inbox, &to, 1);
	assert_true(inbox_seals(f->inbox));
}

/* The listing but for the size of the one sealed file, which is *ret_size. */
static void assert_sealed(struct fixture *f, uint64_t *ret_size)
{
	static const char name[] = DAY "2026-11-22/142233000007.zip.age ";
	struct buf b = BUF_INIT;

	list_into(&b, f->dir, "", false);
	assert_non_null(b.p);
	assert_int_equal(strncmp(b.p, name, strlen(name)), 0);
	assert_ptr_equal(strchr(b.p + strlen(name), '\n') + 1, b.p + b.len);
	*ret_size = strtoull(b.p + strlen(name), NULL, 10);
	buf_done(&b);
}

static void a_sealed_submission_is_one_file(void **state)
{
	struct fixture *f = *state;
	struct inbox_place place;
	uint64_t size, used;

	seal(f);
	struct inbox_sub *s = make_submission(f, &place);
	struct buf hidden = BUF_INIT;

	list_into(&hidden, f->dir, "", true);
	assert_non_null(strstr(hidden.p, "/sealed "));
	assert_null(strstr(hidden.p, "a.txt"));
	assert_null(strstr(hidden.p, "message"));
	buf_done(&hidden);
	assert_listing(f, DAY);
	assert_int_equal(inbox_sub_commit(s), 0);
	assert_sealed(f, &size);
	assert_int_equal(inbox_sub_size(s), size);
	assert_true(size >= inbox_least_size(f->inbox, 10));
	assert_int_equal(inbox_sub_number(s), WHEN);
	assert_int_equal(inbox_usage(f->inbox, &used), 0);
	assert_int_equal(used, size);
	assert_int_equal(count_hidden(f), HIDDEN_IDLE);
	inbox_sub_free(s);
}

static void a_sealed_submission_is_completed_after_a_crash(void **state)
{
	struct fixture *f = *state;
	struct inbox_arrival arrival;
	uint64_t size;

	seal(f);
	struct inbox_place place = crash_after_settling(f);

	assert_listing(f, DAY);
	assert_int_equal(inbox_complete(f->inbox, &place, &arrival), 0);
	assert_sealed(f, &size);
	assert_arrival(&arrival, 2, true);
	inbox_sweep(f->inbox);
	assert_sealed(f, &size);
	assert_int_equal(count_hidden(f), HIDDEN_IDLE);
}

static void a_sealed_one_takes_no_name_of_another(void **state)
{
	struct fixture *f = *state;
	struct inbox_place a, b;
	struct inbox_sub *plain = make_submission(f, &a);

	seal(f);
	struct inbox_sub *sealed = make_submission(f, &b);

	assert_string_equal(a.stamp, b.stamp);
	assert_int_equal(inbox_sub_commit(plain), 0);
	assert_int_equal(inbox_sub_commit(sealed), 0);
	/* It would not be in its way, but have its number. */
	assert_int_not_equal(inbox_sub_number(plain), inbox_sub_number(sealed));
	inbox_sub_free(plain);
	inbox_sub_free(sealed);
}

static void discarded_and_cut_sealed_ones_leave_nothing(void **state)
{
	struct fixture *f = *state;
	struct inbox_place place;
	struct buf b = BUF_INIT;

	seal(f);
	struct inbox_sub *s = make_submission(f, &place);

	inbox_sub_discard(s);
	inbox_sub_free(s);
	s = inbox_sub_new(f->inbox);
	add(&b, INBOX_FILE, SPAN("a"));
	add(&b, INBOX_DATA, SPAN("part"));
	write_all(s, &b);
	buf_done(&b);
	assert_int_equal(inbox_sub_settle(s, WHEN, &place), -EINVAL);
	inbox_sub_discard(s);
	inbox_sub_free(s);
	assert_listing(f, DAY);
	assert_int_equal(count_hidden(f), HIDDEN_IDLE);
}

static void the_padding_leaves_room_to_others_too(void **state)
{
	struct fixture *f = *state;
	struct inbox_place place;
	struct inbox *small;
	char *dir = xasprintf("%s/mnt", f->dir);
	static char piece[64 * 1024];
	struct buf b = BUF_INIT;
	int r = 0, settled = 0;

	assert_int_equal(mkdir(dir, 0700), 0);
	if (mount("none", dir, "tmpfs", 0, "size=4m,mode=0700") < 0) {
		printf("# a full disk needs a mount, which is not allowed here\n");
		free(dir);
		return;
	}
	assert_int_equal(inbox_open(dir, FS_ANY_OWNER, 64 * 1024, &small, NULL), 0);
	struct age_recipient to;

	assert_int_equal(age_parse_recipient(SPAN(RECIPIENT), &to, NULL), 0);
	inbox_seal_to(small, &to, 1);
	/* Content that grows until there is no room for it, for its padding first. */
	for (int n = 50; r == 0 && n < 70; n++) {
		struct inbox_sub *s = inbox_sub_new(small);

		add(&b, INBOX_FILE, SPAN("big"));
		for (int i = 0; i < n && r == 0; i++) {
			add(&b, INBOX_DATA, span_of(piece, sizeof(piece)));
			r = inbox_sub_write(s, buf_span(&b));
			buf_clear(&b);
		}
		add(&b, INBOX_END, SPAN(""));
		r = r ? r : inbox_sub_write(s, buf_span(&b));
		buf_clear(&b);
		if (r == 0) {
			r = inbox_sub_settle(s, WHEN, &place);
			settled += r == 0;
		}
		inbox_sub_discard(s);
		inbox_sub_free(s);
	}
	assert_int_equal(r, -ENOSPC);
	assert_true(settled > 0);
	buf_done(&b);
	inbox_close(small);
	assert_int_equal(umount2(dir, MNT_DETACH), 0);
	assert_int_equal(rmdir(dir), 0);
	free(dir);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_submission_is_invisible_until_it_is_committed),
		T(a_message_alone_has_no_directory),
		T(a_dropped_message_leaves_the_files),
		T(what_is_discarded_leaves_nothing),
		T(equal_times_get_names_of_their_own),
		T(what_was_settled_is_completed_after_a_crash),
		T(a_crash_between_the_two_renames_is_completed),
		T(what_was_not_settled_is_swept_away),
		T(a_run_that_goes_on_is_not_swept_away),
		T(places_that_lead_elsewhere_are_refused),
		T(broken_records_write_nothing_more),
		T(what_it_uses_is_measured),
		T(room_is_left_to_others),
		T(a_full_disk_is_told_and_nothing_stays),
		T(an_unusable_directory_is_named),
		T(what_was_deleted_meanwhile_has_not_arrived),
		T(a_sealed_submission_is_one_file),
		T(a_sealed_submission_is_completed_after_a_crash),
		T(a_sealed_one_takes_no_name_of_another),
		T(discarded_and_cut_sealed_ones_leave_nothing),
		T(the_padding_leaves_room_to_others_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
