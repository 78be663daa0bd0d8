/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/receive/inboxdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/alloc.h"
#include "proto/base/crypto.h"

#define OPEN_TRIES 10

int inboxdir_open(int fd, const char *name)
{
	int dir = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return dir < 0 ? -errno : dir;
}

int inboxdir_make(int fd, const char *name)
{
	return mkdirat(fd, name, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int inboxdir_sync(int fd)
{
	return fsync(fd) < 0 ? -errno : 0;
}

int inboxdir_create(int fd, const char *name)
{
	int out = openat(fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	return out < 0 ? -errno : out;
}

int inboxdir_set_day(int fd)
{
	time_t now = time(NULL);
	struct timespec day = {.tv_sec = now - now % 86400};
	const struct timespec times[2] = {day, day};

	return futimens(fd, times) < 0 ? -errno : 0;
}

bool inboxdir_exists(int fd, const char *name)
{
	return faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int inboxdir_rename_new(int from_fd, const char *from, int to_fd, const char *to)
{
	if (syscall(SYS_renameat2, from_fd, from, to_fd, to, RENAME_NOREPLACE) == 0) {
		return 0;
	}
	if (errno != EINVAL && errno != ENOSYS) {
		return -errno;
	}
	/* A file system that cannot promise it: nobody else makes such names. */
	if (inboxdir_exists(to_fd, to)) {
		return -EEXIST;
	}
	return renameat(from_fd, from, to_fd, to) < 0 ? -errno : 0;
}

bool inboxdir_is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

void inboxdir_remove_tree(int fd, const char *name, int depth)
{
	if (unlinkat(fd, name, 0) == 0 || (errno != EISDIR && errno != EPERM) || depth == 0) {
		return;
	}
	int dir = inboxdir_open(fd, name);
	DIR *d = dir < 0 ? NULL : fdopendir(dir);
	struct dirent *entry;

	if (!d) {
		close_fdp(&dir);
		return;
	}
	while ((entry = readdir(d))) {
		if (!inboxdir_is_dots(entry->d_name)) {
			inboxdir_remove_tree(dirfd(d), entry->d_name, depth - 1);
		}
	}
	closedir(d);
	unlinkat(fd, name, AT_REMOVEDIR);
}

bool inboxdir_matches(const char *s, const char *shape)
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

void inboxdir_name_time(int64_t us, char day[INBOX_DAY_LEN + 1], char stamp[INBOX_STAMP_LEN + 1])
{
	time_t t = (time_t)(us / 1000000);
	struct tm tm;

	if (us < 0 || !gmtime_r(&t, &tm) || tm.tm_year > 8099) {
		memset(&tm, 0, sizeof(tm));
		tm.tm_year = 70;
		tm.tm_mday = 1;
	}
	snprintf(day, INBOX_DAY_LEN + 1, "%04u-%02u-%02u", (unsigned)(tm.tm_year + 1900) % 10000,
		 (unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100);
	snprintf(stamp, INBOX_STAMP_LEN + 1, "%02u%02u%02u%06u", (unsigned)tm.tm_hour % 100,
		 (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100, (unsigned)(us % 1000000));
}

static int64_t two(const char *digits)
{
	return (digits[0] - '0') * 10 + (digits[1] - '0');
}

int64_t inboxdir_day_us(const char *day)
{
	char again[INBOX_DAY_LEN + 1], stamp[INBOX_STAMP_LEN + 1];

	if (!inboxdir_matches(day, "9999-99-99")) {
		return -1;
	}
	struct tm tm = {.tm_year = (int)(two(day) * 100 + two(day + 2) - 1900),
			.tm_mon = (int)two(day + 5) - 1,
			.tm_mday = (int)two(day + 8)};
	int64_t us = (int64_t)timegm(&tm) * 1000000;

	/* The 31st of February is another day. */
	inboxdir_name_time(us, again, stamp);
	return us >= 0 && strcmp(again, day) == 0 ? us : -1;
}

int64_t inboxdir_stamp_us(const char *stamp)
{
	if (!inboxdir_matches(stamp, "999999999999")) {
		return -1;
	}
	int64_t h = two(stamp), m = two(stamp + 2), s = two(stamp + 4);

	return h > 23 || m > 59 || s > 59
		       ? -1
		       : ((h * 60 + m) * 60 + s) * 1000000 + strtol(stamp + 6, NULL, 10);
}

/* While the parent is locked nobody sweeps. */
static int make_run(struct inboxdir_run *ret)
{
	int r;

	if (flock(ret->incoming, LOCK_EX) < 0) {
		return -errno;
	}
	r = inboxdir_make(ret->incoming, ret->name);
	if (r == 0) {
		ret->run = r = inboxdir_open(ret->incoming, ret->name);
	}
	if (r >= 0) {
		r = flock(ret->run, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
	}
	if (r >= 0) {
		r = inboxdir_sync(ret->incoming);
	}
	flock(ret->incoming, LOCK_UN);
	return r;
}

int inboxdir_run_open(int data_fd, struct inboxdir_run *ret)
{
	int r = -ENOENT;

	ret->incoming = ret->run = -1;
	crypto_random_name(ret->name, INBOXDIR_ID_LEN);
	/* Somebody else may just remove it, because it is empty. */
	for (int i = 0; r == -ENOENT && i < OPEN_TRIES; i++) {
		close_fdp(&ret->incoming);
		ret->incoming = -1;
		r = inboxdir_make(data_fd, INBOXDIR_INCOMING);
		if (r == 0) {
			ret->incoming = r = inboxdir_open(data_fd, INBOXDIR_INCOMING);
		}
		if (r >= 0) {
			r = inboxdir_sync(data_fd);
		}
		if (r == 0) {
			r = make_run(ret);
		}
	}
	return r;
}

void inboxdir_run_close(int data_fd, struct inboxdir_run *r)
{
	if (r->run >= 0) {
		unlinkat(r->incoming, r->name, AT_REMOVEDIR);
		unlinkat(data_fd, INBOXDIR_INCOMING, AT_REMOVEDIR);
	}
	close_fdp(&r->run);
	close_fdp(&r->incoming);
	r->run = r->incoming = -1;
}

int inboxdir_bury(int run, int day_fd, const char *day, const char *stamp)
{
	static const char *const tails[] = {"", INBOXDIR_MESSAGE_TAIL, INBOXDIR_SEALED_TAIL};
	char name[INBOX_DAY_LEN + INBOX_STAMP_LEN + 1], room[INBOXDIR_NAME_ROOM];

	snprintf(name, sizeof(name), "%s%s", day, stamp);
	int r = inboxdir_make(run, name);

	if (r == 0) {
		r = inboxdir_sync(run);
	}
	_cleanup_close_ int grave = r < 0 ? r : inboxdir_open(run, name);

	r = grave < 0 ? grave : 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(tails); i++) {
		inboxdir_name(stamp, tails[i], room);
		r = inboxdir_rename_new(day_fd, room, grave, room);
		r = r == -ENOENT ? 0 : r;
	}
	return r == 0 ? inboxdir_sync(day_fd) : r;
}

/* name: of a directory that inboxdir_bury made, or of something else. */
static int bury_again(int data_fd, int run, const char *name)
{
	char day[INBOX_DAY_LEN + 1], stamp[INBOX_STAMP_LEN + 1];

	if (!inboxdir_matches(name, "9999-99-99999999999999")) {
		return 0;
	}
	memcpy(day, name, INBOX_DAY_LEN);
	day[INBOX_DAY_LEN] = '\0';
	memcpy(stamp, name + INBOX_DAY_LEN, sizeof(stamp));
	_cleanup_close_ int day_fd = inboxdir_open(data_fd, day);

	return day_fd == -ENOENT ? 0 : day_fd < 0 ? day_fd : inboxdir_bury(run, day_fd, day, stamp);
}

int inboxdir_bury_rest(int data_fd, int run)
{
	int fd = inboxdir_open(run, ".");
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!d) {
		close_fdp(&fd);
		return fd < 0 ? fd : -ENOMEM;
	}
	while (r == 0 && (entry = readdir(d))) {
		r = bury_again(data_fd, run, entry->d_name);
	}
	closedir(d);
	return r;
}

const char *inboxdir_name(const char *stamp, const char *tail, char room[static INBOXDIR_NAME_ROOM])
{
	snprintf(room, INBOXDIR_NAME_ROOM, "%s%s", stamp, tail);
	return room;
}
