/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/inbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fsutil.h"
#include "mode/inboxdir.h"
#include "proto/base/alloc.h"
#include "proto/base/crypto.h"

#define FILES       "files"
#define MESSAGE     "message.txt"
#define MAX_DEPTH   16 /* of directories in a data directory, for measuring */
#define STAMP_TRIES 1000

_Static_assert(INBOX_STAGING_LEN == 2 * INBOXDIR_ID_LEN + 1, "RUN/SUBMISSION");

struct inbox {
	int fd; /* DATA */
	struct inboxdir_run run;
	uint64_t min_free;
};

/* --- places --- */

bool inbox_place_valid(const struct inbox_place *p)
{
	return inboxdir_matches(p->staging, "xxxxxxxx/xxxxxxxx") &&
	       inboxdir_matches(p->day, "9999-99-99") && inboxdir_matches(p->stamp, "999999999999");
}

/* The next microsecond, as digits; after the last one of a day its first. */
static void next_stamp(char stamp[INBOX_STAMP_LEN + 1])
{
	static const char last[] = "235959999999";

	if (strcmp(stamp, last) >= 0) {
		memset(stamp, '0', INBOX_STAMP_LEN);
		return;
	}
	for (int i = INBOX_STAMP_LEN - 1; i >= 0; i--) {
		char top = i == 2 || i == 4 ? '5' : '9'; /* tens of minutes and seconds */

		if (stamp[i] < top) {
			stamp[i]++;
			return;
		}
		stamp[i] = '0';
	}
}

/* Moves what is at from to the day's first name that is free from stamp on. */
static int move_to(int from_fd, const char *from, int day_fd, char stamp[INBOX_STAMP_LEN + 1],
		   bool message)
{
	char room[INBOXDIR_NAME_ROOM];

	for (int i = 0; i < STAMP_TRIES; i++) {
		int r = inboxdir_rename_new(from_fd, from, day_fd,
					    message ? inboxdir_name(stamp, INBOXDIR_MESSAGE_TAIL,
								    room)
						    : stamp);

		if (r != -EEXIST) {
			return r;
		}
		next_stamp(stamp);
	}
	return -EEXIST;
}

/* --- the directory --- */

int inbox_open(const char *path, uint64_t min_free, struct inbox **ret, struct error *err)
{
	struct inbox *b = xnew(struct inbox);
	int r = fs_mkdir_p(path, 0700, err);

	b->fd = b->run.incoming = b->run.run = -1;
	b->min_free = min_free;
	if (r < 0) {
		goto fail;
	}
	b->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = b->fd < 0 ? -errno : inboxdir_run_open(b->fd, &b->run);
	if (r < 0) {
		error_set_kind(err, -r, ERROR_PATH_NOT_READABLE, path, strerror(-r),
			       "cannot keep submissions in %s: %s", path, strerror(-r));
		goto fail;
	}
	*ret = b;
	return 0;

fail:
	inbox_close(b);
	return r;
}

void inbox_close(struct inbox *b)
{
	if (!b) {
		return;
	}
	inboxdir_run_close(b->fd, &b->run);
	close_fdp(&b->fd);
	free(b);
}

void inbox_sweep(const struct inbox *b)
{
	int dir = flock(b->run.incoming, LOCK_EX) < 0 ? -1 : inboxdir_open(b->run.incoming, ".");
	DIR *d = dir < 0 ? NULL : fdopendir(dir);
	struct dirent *entry;

	if (!d) {
		close_fdp(&dir);
		return;
	}
	while ((entry = readdir(d))) {
		if (inboxdir_is_dots(entry->d_name) || strcmp(entry->d_name, b->run.name) == 0) {
			continue;
		}
		_cleanup_close_ int run = inboxdir_open(b->run.incoming, entry->d_name);

		if (run >= 0 && flock(run, LOCK_EX | LOCK_NB) < 0) {
			continue;
		}
		inboxdir_remove_tree(b->run.incoming, entry->d_name, 4);
	}
	closedir(d);
	flock(b->run.incoming, LOCK_UN);
}

static int add_usage(int fd, const char *name, int depth, uint64_t *sum)
{
	int dir = inboxdir_open(fd, name);
	DIR *d = dir < 0 ? NULL : fdopendir(dir);
	struct dirent *entry;

	if (!d) {
		close_fdp(&dir);
		return dir < 0 ? dir : -ENOMEM;
	}
	while ((entry = readdir(d))) {
		struct stat st;

		/* What comes in is counted by who lets it in. */
		if (inboxdir_is_dots(entry->d_name) ||
		    strcmp(entry->d_name, INBOXDIR_INCOMING) == 0 ||
		    fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			continue;
		}
		if (S_ISREG(st.st_mode)) {
			*sum += (uint64_t)st.st_size;
		} else if (S_ISDIR(st.st_mode) && depth > 0) {
			/* One that went away meanwhile takes up no room. */
			(void)add_usage(dirfd(d), entry->d_name, depth - 1, sum);
		}
	}
	closedir(d);
	return 0;
}

int inbox_usage(const struct inbox *b, uint64_t *ret)
{
	*ret = 0;
	return add_usage(b->fd, ".", MAX_DEPTH, ret);
}

int inbox_room(const struct inbox *b, uint64_t bytes, uint64_t files)
{
	struct statvfs v;

	if (fstatvfs(b->fd, &v) < 0) {
		return -errno;
	}
	uint64_t free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	bool bytes_left = bytes <= free_bytes && b->min_free <= free_bytes - bytes;
	/* Where f_files is 0, inodes are made as they are needed. */
	bool inodes_left = v.f_files == 0 || files + INBOX_SPARE_INODES <= v.f_favail;

	return bytes_left && inodes_left ? 0 : -ENOSPC;
}

/* --- completing what a crash interrupted --- */

/* Of the last component: "RUN/SUBMISSION" -> its directory, opened step by step. */
static int open_staging(const struct inbox *b, const char *staging, int *ret_run)
{
	char run[INBOXDIR_ID_LEN + 1];

	memcpy(run, staging, INBOXDIR_ID_LEN);
	run[INBOXDIR_ID_LEN] = '\0';
	*ret_run = inboxdir_open(b->run.incoming, run);
	return *ret_run < 0 ? *ret_run : inboxdir_open(*ret_run, staging + INBOXDIR_ID_LEN + 1);
}

int inbox_complete(const struct inbox *b, const struct inbox_place *p)
{
	_cleanup_close_ int run = -1, staging = -1, day = -1;
	struct inbox_place to = *p;
	int r;

	if (!inbox_place_valid(p)) {
		return -EINVAL;
	}
	staging = open_staging(b, p->staging, &run);
	if (staging == -ENOENT) {
		return 0;
	}
	r = staging < 0 ? staging : inboxdir_make(b->fd, p->day);
	if (r < 0) {
		return r;
	}
	day = inboxdir_open(b->fd, p->day);
	if (day < 0) {
		return day;
	}
	r = inboxdir_exists(staging, FILES) ? move_to(staging, FILES, day, to.stamp, false) : 0;
	if (r == 0 && inboxdir_exists(staging, MESSAGE)) {
		r = move_to(staging, MESSAGE, day, to.stamp, true);
	}
	if (r == 0) {
		r = inboxdir_sync(day);
	}
	if (r == 0) {
		r = inboxdir_sync(b->fd);
	}
	if (r == 0) {
		unlinkat(run, p->staging + INBOXDIR_ID_LEN + 1, AT_REMOVEDIR);
	}
	return r;
}

/* --- a submission --- */

struct inbox_sub {
	const struct inbox *b;
	char id[INBOXDIR_ID_LEN + 1];
	int error;
	int dir;   /* RUN/SUBMISSION; -1: nothing is on the disk yet */
	int files; /* the directory "files"; -1: no file yet */
	int out;   /* what is being written; -1: nothing */
	bool message;
	struct inbox_place place;
};

struct inbox_sub *inbox_sub_new(const struct inbox *b)
{
	struct inbox_sub *s = xnew(struct inbox_sub);

	s->b = b;
	s->dir = s->files = s->out = -1;
	crypto_random_name(s->id, INBOXDIR_ID_LEN);
	return s;
}

void inbox_sub_free(struct inbox_sub *s)
{
	if (s) {
		close_fdp(&s->out);
		close_fdp(&s->files);
		close_fdp(&s->dir);
		free(s);
	}
}

static int make_and_open(int at, const char *name, int *fd)
{
	int r;

	if (*fd >= 0) {
		return 0;
	}
	if (mkdirat(at, name, 0700) < 0) {
		return -errno;
	}
	r = inboxdir_open(at, name);
	*fd = r < 0 ? -1 : r;
	return r < 0 ? r : 0;
}

static int create_at(int at, const char *name)
{
	int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

static int begin_out(struct inbox_sub *s, enum inbox_record_type type, struct span name)
{
	char text[NAME_MAX + 1];
	int r = make_and_open(s->b->run.run, s->id, &s->dir);

	if (r == 0 && type == INBOX_FILE) {
		r = make_and_open(s->dir, FILES, &s->files);
	}
	if (r < 0) {
		return r;
	}
	if (s->out >= 0 || name.n > NAME_MAX) {
		return -EINVAL;
	}
	if (type == INBOX_FILE) {
		memcpy(text, name.p, name.n);
		text[name.n] = '\0';
		r = create_at(s->files, text);
	} else {
		r = create_at(s->dir, MESSAGE);
		s->message |= r >= 0;
	}
	s->out = r < 0 ? -1 : r;
	return r < 0 ? r : 0;
}

/* The day, to all files of that day alike. */
static int set_time(int fd)
{
	time_t now = time(NULL);
	struct timespec day = {.tv_sec = now - now % 86400};
	const struct timespec times[2] = {day, day};

	return futimens(fd, times) < 0 ? -errno : 0;
}

static int end_out(struct inbox_sub *s)
{
	int r = s->out < 0 ? -EINVAL : set_time(s->out);

	if (r == 0) {
		r = inboxdir_sync(s->out);
	}
	close_fdp(&s->out);
	s->out = -1;
	return r;
}

static int drop_message(struct inbox_sub *s)
{
	close_fdp(&s->out);
	s->out = -1;
	s->message = false;
	return unlinkat(s->dir, MESSAGE, 0) < 0 ? -errno : 0;
}

static int on_record(struct inbox_sub *s, enum inbox_record_type type, struct span payload)
{
	switch (type) {
	case INBOX_FILE:
	case INBOX_MESSAGE:
		return begin_out(s, type, payload);
	case INBOX_DATA:
		return s->out < 0 ? -EINVAL : fs_write_all(s->out, payload.p, payload.n);
	case INBOX_END:
		return end_out(s);
	case INBOX_DROP:
		return drop_message(s);
	}
	return -EINVAL;
}

int inbox_sub_write(struct inbox_sub *s, struct span records)
{
	if (s->error == 0) {
		s->error = inbox_room(s->b, records.n, 2);
	}
	while (records.n && s->error == 0) {
		struct inbox_record rec;

		if (records.n < sizeof(rec)) {
			s->error = -EINVAL;
			break;
		}
		memcpy(&rec, records.p, sizeof(rec));
		records = span_from(records, sizeof(rec));
		if (rec.n > records.n) {
			s->error = -EINVAL;
			break;
		}
		s->error = on_record(s, rec.type, span_of(records.p, rec.n));
		records = span_from(records, rec.n);
	}
	return s->error;
}

static int open_day(const struct inbox *b, const char *day, int *ret)
{
	int r = inboxdir_make(b->fd, day);

	if (r == 0) {
		*ret = r = inboxdir_open(b->fd, day);
	}
	return r < 0 ? r : 0;
}

static bool is_free(int day_fd, const char *stamp)
{
	char room[INBOXDIR_NAME_ROOM];

	return !inboxdir_exists(day_fd, stamp) &&
	       !inboxdir_exists(day_fd, inboxdir_name(stamp, INBOXDIR_MESSAGE_TAIL, room));
}

static int choose_place(struct inbox_sub *s, int64_t when_us)
{
	_cleanup_close_ int day = -1;
	int r;

	snprintf(s->place.staging, sizeof(s->place.staging), "%s/%s", s->b->run.name, s->id);
	inboxdir_name_time(when_us, s->place.day, s->place.stamp);
	r = open_day(s->b, s->place.day, &day);
	for (int i = 0; r == 0 && i < STAMP_TRIES && !is_free(day, s->place.stamp); i++) {
		inboxdir_name_time(when_us + i + 1, s->place.day, s->place.stamp);
	}
	return r == 0 ? inboxdir_sync(s->b->fd) : r;
}

int inbox_sub_settle(struct inbox_sub *s, int64_t when_us, struct inbox_place *ret)
{
	if (s->error) {
		return s->error;
	}
	int r = s->out >= 0 || s->dir < 0 ? -EINVAL : 0;

	if (r == 0 && s->files >= 0) {
		r = set_time(s->files);
		r = r == 0 ? inboxdir_sync(s->files) : r;
	}
	if (r == 0) {
		r = inboxdir_sync(s->dir);
	}
	if (r == 0) {
		r = inboxdir_sync(s->b->run.run);
	}
	if (r == 0) {
		r = choose_place(s, when_us);
	}
	s->error = r;
	if (r == 0) {
		*ret = s->place;
	}
	return r;
}

int inbox_sub_commit(struct inbox_sub *s)
{
	_cleanup_close_ int day = -1;
	char files_stamp[INBOX_STAMP_LEN + 1], message_stamp[INBOX_STAMP_LEN + 1];
	char room[INBOXDIR_NAME_ROOM];
	bool files_moved = false, message_moved = false;
	int r = open_day(s->b, s->place.day, &day);

	memcpy(files_stamp, s->place.stamp, sizeof(files_stamp));
	if (r == 0 && s->files >= 0) {
		r = move_to(s->dir, FILES, day, files_stamp, false);
		files_moved = r == 0;
	}
	memcpy(message_stamp, files_stamp, sizeof(message_stamp));
	if (r == 0 && s->message) {
		r = move_to(s->dir, MESSAGE, day, message_stamp, true);
		message_moved = r == 0;
	}
	if (r == 0) {
		r = inboxdir_sync(day);
	}
	if (r == 0) {
		r = inboxdir_sync(s->b->fd);
	}
	if (r < 0 && message_moved) {
		inboxdir_rename_new(day, inboxdir_name(message_stamp, INBOXDIR_MESSAGE_TAIL, room),
				    s->dir, MESSAGE);
	}
	if (r < 0 && files_moved) {
		inboxdir_rename_new(day, files_stamp, s->dir, FILES);
	}
	if (r == 0) {
		unlinkat(s->b->run.run, s->id, AT_REMOVEDIR);
		memcpy(s->place.stamp, message_stamp, sizeof(message_stamp));
	}
	s->error = r;
	return r;
}

int64_t inbox_sub_number(const struct inbox_sub *s)
{
	return inboxdir_day_us(s->place.day) + inboxdir_stamp_us(s->place.stamp);
}

void inbox_sub_discard(struct inbox_sub *s)
{
	if (s->dir >= 0) {
		inboxdir_remove_tree(s->b->run.run, s->id, 3);
	}
}
