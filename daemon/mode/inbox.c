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
#include "proto/base/alloc.h"
#include "proto/base/crypto.h"

#define INCOMING     ".incoming"
#define FILES        "files"
#define MESSAGE      "message.txt"
#define ID_LEN       8
#define MAX_DEPTH    16 /* of directories in a data directory, for measuring */
#define STAMP_TRIES  1000
#define MESSAGE_ROOM (INBOX_DAY_LEN + INBOX_STAMP_LEN + 32)

_Static_assert(INBOX_STAGING_LEN == 2 * ID_LEN + 1, "RUN/SUBMISSION");

struct inbox {
	int fd;       /* DATA */
	int incoming; /* DATA/.incoming */
	int run;      /* DATA/.incoming/RUN, locked */
	char run_name[ID_LEN + 1];
	uint64_t min_free;
};

/* --- small things --- */

static int open_dir_at(int fd, const char *name)
{
	int dir = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return dir < 0 ? -errno : dir;
}

static int make_dir_at(int fd, const char *name)
{
	return mkdirat(fd, name, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int sync_fd(int fd)
{
	return fsync(fd) < 0 ? -errno : 0;
}

static bool exists_at(int fd, const char *name)
{
	return faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Never over something else: 0, -EEXIST, -ENOENT ... */
static int rename_new(int from_fd, const char *from, int to_fd, const char *to)
{
	if (syscall(SYS_renameat2, from_fd, from, to_fd, to, RENAME_NOREPLACE) == 0) {
		return 0;
	}
	if (errno != EINVAL && errno != ENOSYS) {
		return -errno;
	}
	/* A file system that cannot promise it: nobody else makes such names. */
	if (exists_at(to_fd, to)) {
		return -EEXIST;
	}
	return renameat(from_fd, from, to_fd, to) < 0 ? -errno : 0;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* name and all that is below it; what cannot be removed stays. */
static void remove_tree(int fd, const char *name, int depth)
{
	if (unlinkat(fd, name, 0) == 0 || (errno != EISDIR && errno != EPERM) || depth == 0) {
		return;
	}
	int dir = open_dir_at(fd, name);
	DIR *d = dir < 0 ? NULL : fdopendir(dir);
	struct dirent *entry;

	if (!d) {
		close_fdp(&dir);
		return;
	}
	while ((entry = readdir(d))) {
		if (!is_dots(entry->d_name)) {
			remove_tree(dirfd(d), entry->d_name, depth - 1);
		}
	}
	closedir(d);
	unlinkat(fd, name, AT_REMOVEDIR);
}

/* --- places --- */

static bool matches(const char *s, const char *shape)
{
	for (; *s && *shape; s++, shape++) {
		bool ok = *shape == '9'   ? *s >= '0' && *s <= '9'
			  : *shape == 'x' ? (*s >= 'a' && *s <= 'z') || (*s >= '2' && *s <= '7')
					  : *s == *shape;

		if (!ok) {
			return false;
		}
	}
	return *s == *shape;
}

bool inbox_place_valid(const struct inbox_place *p)
{
	return matches(p->staging, "xxxxxxxx/xxxxxxxx") && matches(p->day, "9999-99-99") &&
	       matches(p->stamp, "999999999999");
}

static void name_time(int64_t us, struct inbox_place *ret)
{
	time_t t = (time_t)(us / 1000000);
	struct tm tm;

	if (us < 0 || !gmtime_r(&t, &tm) || tm.tm_year > 8099) {
		memset(&tm, 0, sizeof(tm));
		tm.tm_year = 70;
		tm.tm_mday = 1;
	}
	snprintf(ret->day, sizeof(ret->day), "%04u-%02u-%02u",
		 (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
		 (unsigned)tm.tm_mday % 100);
	snprintf(ret->stamp, sizeof(ret->stamp), "%02u%02u%02u%06u", (unsigned)tm.tm_hour % 100,
		 (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100, (unsigned)(us % 1000000));
}

static const char *message_name(const char *stamp, char room[static MESSAGE_ROOM])
{
	snprintf(room, MESSAGE_ROOM, "%s-%s", stamp, MESSAGE);
	return room;
}

/* The next microsecond, as digits; after the last one of a day its first. */
static void next_stamp(char stamp[INBOX_STAMP_LEN + 1])
{
	static const char last[] = "235959999999";

	if (strcmp(stamp, last) >= 0) {
		memset(stamp, '0', INBOX_STAMP_LEN);
		return;
	}
	/* 60 seconds are no second: such names sort right all the same. */
	for (int i = INBOX_STAMP_LEN - 1; i >= 0; i--) {
		if (stamp[i] < '9') {
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
	char room[MESSAGE_ROOM];

	for (int i = 0; i < STAMP_TRIES; i++) {
		int r = rename_new(from_fd, from, day_fd,
				   message ? message_name(stamp, room) : stamp);

		if (r != -EEXIST) {
			return r;
		}
		next_stamp(stamp);
	}
	return -EEXIST;
}

/* --- the directory --- */

static int open_incoming(struct inbox *b)
{
	int r = make_dir_at(b->fd, INCOMING);

	if (r == 0) {
		b->incoming = r = open_dir_at(b->fd, INCOMING);
	}
	return r < 0 ? r : sync_fd(b->fd);
}

/* A directory of our own; while the parent is locked nobody sweeps. */
static int open_run(struct inbox *b)
{
	int r;

	crypto_random_name(b->run_name, ID_LEN);
	if (flock(b->incoming, LOCK_EX) < 0) {
		return -errno;
	}
	r = make_dir_at(b->incoming, b->run_name);
	if (r == 0) {
		b->run = r = open_dir_at(b->incoming, b->run_name);
	}
	if (r >= 0) {
		r = flock(b->run, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
	}
	if (r >= 0) {
		r = sync_fd(b->incoming);
	}
	flock(b->incoming, LOCK_UN);
	return r;
}

int inbox_open(const char *path, uint64_t min_free, struct inbox **ret, struct error *err)
{
	struct inbox *b = xnew(struct inbox);
	int r = fs_mkdir_p(path, 0700, err);

	b->fd = b->incoming = b->run = -1;
	b->min_free = min_free;
	if (r < 0) {
		goto fail;
	}
	b->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = b->fd < 0 ? -errno : open_incoming(b);
	if (r == 0) {
		r = open_run(b);
	}
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
	if (b->run >= 0) {
		/* Both only if nothing is in them. */
		unlinkat(b->incoming, b->run_name, AT_REMOVEDIR);
		unlinkat(b->fd, INCOMING, AT_REMOVEDIR);
	}
	close_fdp(&b->run);
	close_fdp(&b->incoming);
	close_fdp(&b->fd);
	free(b);
}

void inbox_sweep(const struct inbox *b)
{
	int dir = flock(b->incoming, LOCK_EX) < 0 ? -1 : open_dir_at(b->incoming, ".");
	DIR *d = dir < 0 ? NULL : fdopendir(dir);
	struct dirent *entry;

	if (!d) {
		close_fdp(&dir);
		return;
	}
	while ((entry = readdir(d))) {
		if (is_dots(entry->d_name) || strcmp(entry->d_name, b->run_name) == 0) {
			continue;
		}
		_cleanup_close_ int run = open_dir_at(b->incoming, entry->d_name);

		if (run >= 0 && flock(run, LOCK_EX | LOCK_NB) < 0) {
			continue;
		}
		remove_tree(b->incoming, entry->d_name, 4);
	}
	closedir(d);
	flock(b->incoming, LOCK_UN);
}

static int add_usage(int fd, const char *name, int depth, uint64_t *sum)
{
	int dir = open_dir_at(fd, name);
	DIR *d = dir < 0 ? NULL : fdopendir(dir);
	struct dirent *entry;

	if (!d) {
		close_fdp(&dir);
		return dir < 0 ? dir : -ENOMEM;
	}
	while ((entry = readdir(d))) {
		struct stat st;

		/* What comes in is counted by who lets it in. */
		if (is_dots(entry->d_name) || strcmp(entry->d_name, INCOMING) == 0 ||
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
	char run[ID_LEN + 1];

	memcpy(run, staging, ID_LEN);
	run[ID_LEN] = '\0';
	*ret_run = open_dir_at(b->incoming, run);
	return *ret_run < 0 ? *ret_run : open_dir_at(*ret_run, staging + ID_LEN + 1);
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
	r = staging < 0 ? staging : make_dir_at(b->fd, p->day);
	if (r < 0) {
		return r;
	}
	day = open_dir_at(b->fd, p->day);
	if (day < 0) {
		return day;
	}
	r = exists_at(staging, FILES) ? move_to(staging, FILES, day, to.stamp, false) : 0;
	if (r == 0 && exists_at(staging, MESSAGE)) {
		r = move_to(staging, MESSAGE, day, to.stamp, true);
	}
	if (r == 0) {
		r = sync_fd(day);
	}
	if (r == 0) {
		r = sync_fd(b->fd);
	}
	if (r == 0) {
		unlinkat(run, p->staging + ID_LEN + 1, AT_REMOVEDIR);
	}
	return r;
}

/* --- a submission --- */

struct inbox_sub {
	const struct inbox *b;
	char id[ID_LEN + 1];
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
	crypto_random_name(s->id, ID_LEN);
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
	r = open_dir_at(at, name);
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
	int r = make_and_open(s->b->run, s->id, &s->dir);

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
		r = sync_fd(s->out);
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
	int r = make_dir_at(b->fd, day);

	if (r == 0) {
		*ret = r = open_dir_at(b->fd, day);
	}
	return r < 0 ? r : 0;
}

static bool is_free(int day_fd, const char *stamp)
{
	char room[MESSAGE_ROOM];

	return !exists_at(day_fd, stamp) && !exists_at(day_fd, message_name(stamp, room));
}

static int choose_place(struct inbox_sub *s, int64_t when_us)
{
	_cleanup_close_ int day = -1;
	int r;

	snprintf(s->place.staging, sizeof(s->place.staging), "%s/%s", s->b->run_name, s->id);
	name_time(when_us, &s->place);
	r = open_day(s->b, s->place.day, &day);
	for (int i = 0; r == 0 && i < STAMP_TRIES && !is_free(day, s->place.stamp); i++) {
		name_time(when_us + i + 1, &s->place);
	}
	return r == 0 ? sync_fd(s->b->fd) : r;
}

int inbox_sub_settle(struct inbox_sub *s, int64_t when_us, struct inbox_place *ret)
{
	if (s->error) {
		return s->error;
	}
	int r = s->out >= 0 || s->dir < 0 ? -EINVAL : 0;

	if (r == 0 && s->files >= 0) {
		r = set_time(s->files);
		r = r == 0 ? sync_fd(s->files) : r;
	}
	if (r == 0) {
		r = sync_fd(s->dir);
	}
	if (r == 0) {
		r = sync_fd(s->b->run);
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
	char room[MESSAGE_ROOM];
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
		r = sync_fd(day);
	}
	if (r == 0) {
		r = sync_fd(s->b->fd);
	}
	if (r < 0 && message_moved) {
		rename_new(day, message_name(message_stamp, room), s->dir, MESSAGE);
	}
	if (r < 0 && files_moved) {
		rename_new(day, files_stamp, s->dir, FILES);
	}
	if (r == 0) {
		unlinkat(s->b->run, s->id, AT_REMOVEDIR);
	}
	s->error = r;
	return r;
}

void inbox_sub_discard(struct inbox_sub *s)
{
	if (s->dir >= 0) {
		remove_tree(s->b->run, s->id, 3);
	}
}
