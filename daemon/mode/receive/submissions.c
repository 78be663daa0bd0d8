/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/receive/submissions.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fsutil.h"
#include "mode/receive/inboxdir.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/base/utf8.h"

#define DAYS_MAX    100000u /* in a data directory; more than two centuries */
#define TRASH_DEPTH 16      /* of what is removed; a submission has one level */

/* Of what a submission consists; several share one number. */
enum part {
	PART_FILES = 1,
	PART_MESSAGE = 2,
	PART_SEALED = 4,
};

struct found {
	int64_t id;
	unsigned parts;
};

/* --- names and numbers --- */

/* The part that is called so in a day's directory; *ret: since the day's begin. 0: none. */
static unsigned part_of(const char *name, int64_t *ret)
{
	char stamp[INBOX_STAMP_LEN + 1];
	unsigned part;

	if (strlen(name) < INBOX_STAMP_LEN) {
		return 0;
	}
	memcpy(stamp, name, INBOX_STAMP_LEN);
	stamp[INBOX_STAMP_LEN] = '\0';
	name += INBOX_STAMP_LEN;
	part = !*name                                     ? PART_FILES
	       : strcmp(name, INBOXDIR_MESSAGE_TAIL) == 0 ? PART_MESSAGE
	       : strcmp(name, INBOXDIR_SEALED_TAIL) == 0  ? PART_SEALED
							  : 0;
	*ret = inboxdir_stamp_us(stamp);
	return *ret < 0 ? 0 : part;
}

/* --- looking --- */

static int no_such(int64_t id, struct error *err)
{
	char number[24];

	snprintf(number, sizeof(number), "%lld", (long long)id);
	return error_set_kind(err, ENOENT, ERROR_NO_SUCH_SUBMISSION, number, NULL,
			      "there is no submission %s", number);
}

static int cannot(const char *what, const char *data_dir, int r, struct error *err)
{
	return error_set_kind(err, -r, ERROR_PATH_NOT_READABLE, data_dir, strerror(-r),
			      "cannot %s in %s: %s", what, data_dir, strerror(-r));
}

static int open_data(const char *path, uid_t owner)
{
	return fs_open_owned(path, O_RDONLY | O_DIRECTORY, owner);
}

static int by_number(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Days as numbers, in order. *ret: the caller's. */
static int read_days(int data, int64_t **ret, size_t *ret_n)
{
	int fd = inboxdir_open(data, ".");
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int64_t *days = NULL;
	size_t n = 0, cap = 0;
	struct dirent *entry;

	if (!d) {
		close_fdp(&fd);
		return fd < 0 ? fd : -ENOMEM;
	}
	while (n < DAYS_MAX && (entry = readdir(d))) {
		int64_t day = inboxdir_day_us(entry->d_name);

		if (day < 0) {
			continue;
		}
		if (n == cap) {
			cap = cap ? cap * 2 : 64;
			days = xreallocarray(days, cap, sizeof(*days));
		}
		days[n++] = day;
	}
	closedir(d);
	if (n) {
		qsort(days, n, sizeof(*days), by_number);
	}
	*ret = days;
	*ret_n = n;
	return 0;
}

/* The oldest of all that were added, at most max of them, in order. */
struct oldest {
	struct found *all;
	size_t n, max;
	bool more; /* some did not fit */
};

static void oldest_add(struct oldest *o, int64_t id, unsigned part)
{
	size_t low = 0, high = o->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (o->all[middle].id < id) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	if (low < o->n && o->all[low].id == id) {
		o->all[low].parts |= part;
		return;
	}
	if (o->n == o->max) {
		o->more = true;
		if (low == o->n) {
			return;
		}
		o->n--;
	}
	memmove(o->all + low + 1, o->all + low, (o->n - low) * sizeof(*o->all));
	o->all[low] = (struct found){.id = id, .parts = part};
	o->n++;
}

/* Adds what is in a day and has a number above after. A day that went meanwhile has none. */
static void look_at_day(int data, int64_t day, int64_t after, struct oldest *o)
{
	char name[INBOX_DAY_LEN + 1], stamp[INBOX_STAMP_LEN + 1];

	inboxdir_name_time(day, name, stamp);
	int fd = inboxdir_open(data, name);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!d) {
		close_fdp(&fd);
		return;
	}
	while ((entry = readdir(d))) {
		int64_t in_day = 0;
		unsigned part = part_of(entry->d_name, &in_day);

		if (part && day + in_day > after) {
			oldest_add(o, day + in_day, part);
		}
	}
	closedir(d);
}

#define DAY_US INT64_C(86400000000)

/* The oldest above after, and before before; o->all is the caller's. */
static int find_oldest(int data, int64_t after, int64_t before, struct oldest *o)
{
	_cleanup_free_ int64_t *days = NULL;
	size_t n = 0;
	int r = read_days(data, &days, &n);

	o->all = xcalloc(o->max, sizeof(*o->all));
	for (size_t i = 0; r == 0 && i < n && days[i] < before && !o->more; i++) {
		if (days[i] + DAY_US > after) {
			look_at_day(data, days[i], after, o);
		}
	}
	while (o->n && o->all[o->n - 1].id >= before) {
		o->n--;
		o->more = false;
	}
	return r;
}

/* --- one submission --- */

struct sub {
	int64_t id;
	int day;      /* descriptor */
	int files;    /* descriptor of the directory; -1: none */
	char **names; /* in it; in order */
	size_t n;
	bool message, sealed;
	char day_name[INBOX_DAY_LEN + 1];
	char stamp[INBOX_STAMP_LEN + 1];
};

static void sub_done(struct sub *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->names[i]);
	}
	free(s->names);
	close_fdp(&s->files);
	close_fdp(&s->day);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_file_at(int fd, const char *name, struct stat *st)
{
	return fstatat(fd, name, st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st->st_mode);
}

static int read_names(struct sub *s)
{
	int fd = inboxdir_open(s->files, ".");
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	size_t cap = 0;
	struct stat st;

	if (!d) {
		close_fdp(&fd);
		return fd < 0 ? fd : -ENOMEM;
	}
	while (s->n < SUBMISSIONS_FILES_KEPT && (entry = readdir(d))) {
		if (inboxdir_is_dots(entry->d_name) || !is_file_at(fd, entry->d_name, &st)) {
			continue;
		}
		if (s->n == cap) {
			cap = cap ? cap * 2 : 16;
			s->names = xreallocarray(s->names, cap, sizeof(*s->names));
		}
		s->names[s->n++] = xstrdup(entry->d_name);
	}
	closedir(d);
	if (s->n) {
		qsort(s->names, s->n, sizeof(*s->names), by_name);
	}
	return 0;
}

/* 0, or -ENOENT. *ret is to be given back either way. */
static int sub_load(int data, int64_t id, struct sub *ret)
{
	char room[INBOXDIR_NAME_ROOM];
	struct stat st;
	int r;

	*ret = (struct sub){.id = id, .day = -1, .files = -1};
	inboxdir_name_time(id, ret->day_name, ret->stamp);
	ret->day = r = id < 0 ? -ENOENT : inboxdir_open(data, ret->day_name);
	if (r < 0) {
		return r == -ELOOP || r == -ENOTDIR ? -ENOENT : r;
	}
	ret->files = inboxdir_open(ret->day, ret->stamp);
	r = ret->files < 0 ? 0 : read_names(ret);
	ret->message =
		is_file_at(ret->day, inboxdir_name(ret->stamp, INBOXDIR_MESSAGE_TAIL, room), &st);
	ret->sealed =
		is_file_at(ret->day, inboxdir_name(ret->stamp, INBOXDIR_SEALED_TAIL, room), &st);
	if (r == 0 && ret->files < 0 && !ret->message && !ret->sealed) {
		r = -ENOENT;
	}
	return r;
}

/* What is to be called valid UTF-8 is: names that were put there by others may be anything. */
static json_t *text_json(struct span s)
{
	struct buf b = BUF_INIT;

	utf8_lossy(&b, s);
	json_t *text = json_stringn(b.p ? b.p : "", b.len);

	buf_done(&b);
	return text;
}

static json_t *file_json(int fd, const char *name)
{
	struct stat st = {0};
	json_t *o = json_object();

	(void)is_file_at(fd, name, &st); /* gone meanwhile: of no size */
	json_object_set_new(o, "name", text_json(span_str(name)));
	json_object_set_new(o, "size", json_integer((json_int_t)st.st_size));
	return o;
}

static json_t *files_json(const struct sub *s)
{
	char room[INBOXDIR_NAME_ROOM];
	json_t *files = json_array();
	size_t bytes = 0;

	if (s->sealed) {
		inboxdir_name(s->stamp, INBOXDIR_SEALED_TAIL, room);
		json_array_append_new(files, file_json(s->day, room));
	}
	for (size_t i = 0; i < s->n && i < SUBMISSIONS_FILES_MAX; i++) {
		json_t *file = file_json(s->files, s->names[i]);

		bytes += json_dumpb(file, NULL, 0, JSON_COMPACT);
		if (bytes > SUBMISSIONS_FILES_TOLD) {
			json_decref(file);
			break;
		}
		json_array_append_new(files, file);
	}
	return files;
}

static json_t *sub_json(const struct sub *s, const char *data_dir)
{
	char at[40] = "";
	time_t t = (time_t)(s->id / 1000000);
	const char *tail = s->files >= 0 ? ""
			   : s->sealed   ? INBOXDIR_SEALED_TAIL
					 : INBOXDIR_MESSAGE_TAIL;
	_cleanup_free_ char *path = xasprintf("%s/%s/%s%s", data_dir, s->day_name, s->stamp, tail);
	struct tm tm;
	json_t *o = json_object();

	if (gmtime_r(&t, &tm)) {
		strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", &tm);
	}
	json_object_set_new(o, "id", json_integer(s->id));
	json_object_set_new(o, "received_at", json_string(at));
	json_object_set_new(o, "files", files_json(s));
	json_object_set_new(o, "message", json_boolean(s->message));
	json_object_set_new(o, "path", text_json(span_str(path)));
	json_object_set_new(o, "encrypted", json_boolean(s->sealed));
	return o;
}

int submissions_list(const char *data_dir, uid_t owner, int64_t after, size_t limit, json_t **ret,
		     bool *ret_more, struct error *err)
{
	_cleanup_close_ int data = open_data(data_dir, owner);
	struct oldest found = {.max = limit < SUBMISSIONS_PAGE ? limit : SUBMISSIONS_PAGE};
	json_t *list = json_array();
	size_t bytes = 0, i;
	int r = data == -ENOENT ? 0 : data;

	if (data >= 0) {
		r = find_oldest(data, after, INT64_MAX, &found);
	}
	for (i = 0; r == 0 && i < found.n && bytes < SUBMISSIONS_PAGE_BYTES; i++) {
		struct sub s;

		/* One that goes meanwhile is not there any more. */
		if (sub_load(data, found.all[i].id, &s) == 0) {
			json_t *o = sub_json(&s, data_dir);

			bytes += json_dumpb(o, NULL, 0, JSON_COMPACT);
			json_array_append_new(list, o);
		}
		sub_done(&s);
	}
	found.more |= i < found.n;
	free(found.all);
	if (r < 0) {
		json_decref(list);
		return cannot("look for submissions", data_dir, r, err);
	}
	*ret = list;
	*ret_more = found.more;
	return 0;
}

/* Opens the data directory and the submission, which is to be given back also on failure. */
static int load(const char *data_dir, uid_t owner, int64_t id, struct sub *s, struct error *err)
{
	_cleanup_close_ int data = open_data(data_dir, owner);

	*s = (struct sub){.day = -1, .files = -1};
	int r = data < 0 ? data : sub_load(data, id, s);

	return r == 0         ? 0
	       : r == -ENOENT ? no_such(id, err)
			      : cannot("read the submission", data_dir, r, err);
}

/* At most max bytes, whole characters. */
static struct span cut_text(struct span s, size_t max, bool *ret_cut)
{
	*ret_cut = s.n > max;
	if (*ret_cut) {
		s.n = max;
		while (s.n && ((uint8_t)s.p[s.n] & 0xc0) == 0x80) {
			s.n--;
		}
	}
	return s;
}

static json_t *read_text(const struct sub *s, bool *ret_cut)
{
	char room[INBOXDIR_NAME_ROOM];
	struct stat st;
	_cleanup_close_ int fd =
		fs_open_file_beneath(s->day, inboxdir_name(s->stamp, INBOXDIR_MESSAGE_TAIL, room),
				     &st);
	json_t *text = NULL;

	if (fd >= 0) {
		/* One byte more tells where a character is cut. */
		size_t n = st.st_size > SUBMISSIONS_TEXT_MAX ? SUBMISSIONS_TEXT_MAX + 1
							     : (size_t)st.st_size;
		char *bytes = xmalloc(n);

		if (fs_pread_all(fd, bytes, n, 0) == 0) {
			text = text_json(
				cut_text(span_of(bytes, n), SUBMISSIONS_TEXT_MAX, ret_cut));
		}
		explicit_bzero(bytes, n);
		free(bytes);
	}
	return text ? text : json_null();
}

int submissions_show(const char *data_dir, uid_t owner, int64_t id, json_t **ret, json_t **ret_text,
		     bool *ret_cut, struct error *err)
{
	struct sub s;
	int r = load(data_dir, owner, id, &s, err);

	if (r == 0) {
		*ret_cut = false;
		*ret = sub_json(&s, data_dir);
		*ret_text = s.message ? read_text(&s, ret_cut) : json_null();
	}
	sub_done(&s);
	return r;
}

/* --- opening --- */

void submissions_opened_done(struct submissions_opened *o)
{
	json_decref(o->files);
	o->files = NULL;
	while (o->n) {
		close_fdp(&o->fds[--o->n]);
	}
}

static int open_one(struct submissions_opened *o, int at, const char *name, const char *shown,
		    const char *kind)
{
	struct stat st;
	int fd = fs_open_file_beneath(at, name, &st);

	if (fd < 0) {
		return fd;
	}
	o->fds[o->n++] = fd;
	json_array_append_new(o->files,
			      json_pack("{s:o, s:I, s:s}", "name", text_json(span_str(shown)),
					"size", (json_int_t)st.st_size, "kind", kind));
	return 0;
}

/* The i-th of its parts: files, then the message, then what is encrypted. -ENODATA: no more. */
static int open_nth(struct submissions_opened *o, const struct sub *s, size_t i)
{
	char room[INBOXDIR_NAME_ROOM];

	if (i < s->n) {
		return open_one(o, s->files, s->names[i], s->names[i], "file");
	}
	i -= s->n;
	if (s->message && i-- == 0) {
		return open_one(o, s->day, inboxdir_name(s->stamp, INBOXDIR_MESSAGE_TAIL, room),
				"message.txt", "message");
	}
	if (s->sealed && i == 0) {
		inboxdir_name(s->stamp, INBOXDIR_SEALED_TAIL, room);
		return open_one(o, s->day, room, room, "encrypted");
	}
	return -ENODATA;
}

int submissions_open(const char *data_dir, uid_t owner, int64_t id, size_t first,
		     struct submissions_opened *ret, struct error *err)
{
	struct sub s;
	int r = load(data_dir, owner, id, &s, err);

	*ret = (struct submissions_opened){.files = json_array()};
	if (r == 0) {
		size_t all = s.n + s.message + s.sealed;

		while (r == 0 && ret->n < SUBMISSIONS_OPEN_MAX && first + ret->n < all) {
			r = open_nth(ret, &s, first + ret->n);
		}
		ret->more = first < all && first + ret->n < all;
		if (r < 0) {
			cannot("open the submission's files", data_dir, r, err);
		}
	}
	sub_done(&s);
	if (r < 0) {
		submissions_opened_done(ret);
	}
	return r;
}

/* --- deleting --- */

/* Things are moved to a run's directory, where a crash leaves them, all, to the next sweep. */
static void trash_close(int data, struct inboxdir_run *t)
{
	if (t->run >= 0) {
		inboxdir_remove_tree(t->incoming, t->name, TRASH_DEPTH);
	}
	inboxdir_run_close(data, t);
}

/* The day's directory too, if it is empty; a day that goes on may be made again. */
static int remove_from(int data, struct sub *s, const struct inboxdir_run *t, bool day_is_over)
{
	int r = inboxdir_bury(t->run, s->day, s->day_name, s->stamp);

	if (r == 0 && day_is_over && unlinkat(data, s->day_name, AT_REMOVEDIR) == 0) {
		r = inboxdir_sync(data);
	}
	return r;
}

static bool day_is_over(const struct sub *s)
{
	/* An hour for submissions that are named and not moved yet. */
	return s->id / DAY_US < ((int64_t)time(NULL) - 3600) / 86400;
}

int submissions_delete(const char *data_dir, uid_t owner, int64_t id, struct error *err)
{
	_cleanup_close_ int data = open_data(data_dir, owner);
	struct inboxdir_run trash;
	struct sub s = {.day = -1, .files = -1};
	int r = data < 0 ? data : sub_load(data, id, &s);

	if (r == 0) {
		r = inboxdir_run_open(data, &trash);
		if (r == 0) {
			r = remove_from(data, &s, &trash, day_is_over(&s));
		}
		trash_close(data, &trash);
	}
	sub_done(&s);
	return r == 0         ? 0
	       : r == -ENOENT ? no_such(id, err)
			      : cannot("delete the submission", data_dir, r, err);
}

int submissions_expire(const char *data_dir, uid_t owner, int64_t before_us, size_t limit,
		       size_t *ret_n, bool *ret_more, struct error *err)
{
	_cleanup_close_ int data = open_data(data_dir, owner);
	struct oldest found = {.max = limit < SUBMISSIONS_PAGE ? limit : SUBMISSIONS_PAGE};
	struct inboxdir_run trash = {.incoming = -1, .run = -1};
	int r = data == -ENOENT ? 0 : data;

	*ret_n = 0;
	if (data >= 0) {
		r = find_oldest(data, -1, before_us, &found);
	}
	if (r == 0 && found.n) {
		r = inboxdir_run_open(data, &trash);
	}
	for (size_t i = 0; r == 0 && i < found.n; i++) {
		struct sub s;

		r = sub_load(data, found.all[i].id, &s);
		if (r == 0) {
			r = remove_from(data, &s, &trash, day_is_over(&s));
			*ret_n += r == 0;
		} else if (r == -ENOENT) {
			r = 0; /* somebody deleted it just now */
		}
		sub_done(&s);
	}
	if (data >= 0) {
		trash_close(data, &trash);
	}
	free(found.all);
	*ret_more = found.more;
	return r == 0 ? 0 : cannot("delete old submissions", data_dir, r, err);
}
