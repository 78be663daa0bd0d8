/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/receive/inbox.h"

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
#include "base/landlock.h"
#include "mode/receive/inboxdir.h"
#include "mode/receive/sealer.h"
#include "mode/receive/subwriter.h"
#include "proto/base/alloc.h"
#include "proto/base/crypto.h"

#define MAX_DEPTH   16 /* of directories in a data directory, for measuring and removing */
#define STAMP_TRIES 1000

/* RUN/SUBMISSION */
#define STAGING_PATH_LEN (2 * INBOXDIR_ID_LEN + 1)
_Static_assert(INBOX_STAGING_LEN == STAGING_PATH_LEN + sizeof("+1000m") - 1, "and what is in it");
_Static_assert(INBOX_FILES_MAX == 1000, "four digits");

struct inbox {
	int fd; /* DATA */
	struct inboxdir_run run;
	uint64_t min_free;
	struct age_recipient recipients[AGE_RECIPIENTS_MAX];
	size_t n_recipients; /* 0: nothing is sealed */
};

/* What a submission consists of: in its staging directory, and behind the stamp in the end. */
static const struct {
	const char *name, *tail;
} parts[] = {
	{SUBWRITER_FILES, ""},
	{SUBWRITER_MESSAGE, INBOXDIR_MESSAGE_TAIL},
	{SUBWRITER_SEALED, INBOXDIR_SEALED_TAIL},
};

/* --- places --- */

/* "+3m" -> 3 files and a message. */
static bool parse_counts(const char *s, unsigned *ret_files, bool *ret_message)
{
	unsigned files = 0;
	size_t n = 1;

	if (s[0] != '+') {
		return false;
	}
	for (; s[n] >= '0' && s[n] <= '9' && n <= 4; n++) {
		files = files * 10 + (unsigned)(s[n] - '0');
	}
	*ret_files = files;
	*ret_message = s[n] == 'm';
	return n > 1 && strcmp(s + n, *ret_message ? "m" : "") == 0;
}

static bool staging_valid(const char *staging)
{
	char path[STAGING_PATH_LEN + 1] = "";
	unsigned files;
	bool message;

	if (strlen(staging) <= STAGING_PATH_LEN) {
		return false;
	}
	memcpy(path, staging, STAGING_PATH_LEN);
	return inboxdir_matches(path, "xxxxxxxx/xxxxxxxx") &&
	       parse_counts(staging + STAGING_PATH_LEN, &files, &message);
}

bool inbox_place_valid(const struct inbox_place *p)
{
	return staging_valid(p->staging) && inboxdir_matches(p->day, "9999-99-99") &&
	       inboxdir_matches(p->stamp, "999999999999");
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

/* No part of any submission is called so. */
static bool is_free(int day_fd, const char *stamp)
{
	char room[INBOXDIR_NAME_ROOM];

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (inboxdir_exists(day_fd, inboxdir_name(stamp, parts[i].tail, room))) {
			return false;
		}
	}
	return true;
}

static void move_back(int staging, int day_fd, const char *stamp, unsigned moved)
{
	char room[INBOXDIR_NAME_ROOM];

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (moved & 1U << i) {
			inboxdir_rename_new(day_fd, inboxdir_name(stamp, parts[i].tail, room),
					    staging, parts[i].name);
		}
	}
}

/* All that is there, or nothing; *ret_moved: a bit for each of parts. */
static int move_to(int staging, int day_fd, const char *stamp, unsigned *ret_moved)
{
	char room[INBOXDIR_NAME_ROOM];
	unsigned moved = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(parts); i++) {
		if (inboxdir_exists(staging, parts[i].name)) {
			r = inboxdir_rename_new(staging, parts[i].name, day_fd,
						inboxdir_name(stamp, parts[i].tail, room));
			moved |= r == 0 ? 1U << i : 0;
		}
	}
	if (r < 0) {
		move_back(staging, day_fd, stamp, moved);
		moved = 0;
	}
	*ret_moved = moved;
	return r;
}

/*
 * To the day's first names that are free from stamp on. begun: some part may be there
 * already, and the others belong to it.
 */
static int move_parts(int staging, int day_fd, char stamp[INBOX_STAMP_LEN + 1], bool begun,
		      unsigned *ret_moved)
{
	*ret_moved = 0;
	for (int i = 0; i < STAMP_TRIES; i++) {
		int r = begun || is_free(day_fd, stamp) ? move_to(staging, day_fd, stamp, ret_moved)
							: -EEXIST;

		if (r != -EEXIST) {
			return r;
		}
		next_stamp(stamp);
	}
	return -EEXIST;
}

/* --- the directory --- */

int inbox_open(const char *path, uid_t owner, uint64_t min_free, struct inbox **ret,
	       struct error *err)
{
	struct inbox *b = xnew(struct inbox);
	int r = owner == FS_ANY_OWNER ? fs_mkdir_p(path, 0700, err) : 0;

	b->fd = b->run.incoming = b->run.run = -1;
	b->min_free = min_free;
	if (r < 0) {
		goto fail;
	}
	b->fd = fs_open_owned(path, O_RDONLY | O_DIRECTORY, owner);
	r = b->fd < 0 ? b->fd : inboxdir_run_open(b->fd, &b->run);
	if (r < 0) {
		error_set_kind(err, -r, ERROR_PATH_NOT_READABLE, path, strerror(-r),
			       "cannot keep submissions in %s: %s", path, strerror(-r));
		goto fail;
	}
	*ret = b;
	return 0;

fail:
	if (r == -EACCES && landlock_is_in_force()) {
		error_context(err, "the daemon is confined to the directories that it knew when it "
				   "started (restart it, or set [daemon] writable-dir)");
	}
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

void inbox_seal_to(struct inbox *b, const struct age_recipient *recipients, size_t n)
{
	memcpy(b->recipients, recipients, n * sizeof(*recipients));
	b->n_recipients = n;
}

bool inbox_seals(const struct inbox *b)
{
	return b->n_recipients > 0;
}

uint64_t inbox_least_size(const struct inbox *b, uint64_t content)
{
	return inbox_seals(b) ? sealer_least_size(content, b->n_recipients) : content;
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
		/* What it was deleting stays until all of it can go. */
		if (run < 0 || inboxdir_bury_rest(b->fd, run) == 0) {
			inboxdir_remove_tree(b->run.incoming, entry->d_name, MAX_DEPTH);
		}
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

/* "RUN/SUBMISSION+..." -> its directory, opened step by step; id: of the last one. */
static int open_staging(const struct inbox *b, const char *staging, int *ret_run,
			char id[INBOXDIR_ID_LEN + 1])
{
	char run[INBOXDIR_ID_LEN + 1] = "";

	memcpy(run, staging, INBOXDIR_ID_LEN);
	memcpy(id, staging + INBOXDIR_ID_LEN + 1, INBOXDIR_ID_LEN);
	id[INBOXDIR_ID_LEN] = '\0';
	*ret_run = inboxdir_open(b->run.incoming, run);
	return *ret_run < 0 ? *ret_run : inboxdir_open(*ret_run, id);
}

/* It has been moved, now or before: is it there? */
static void look_for(const struct inbox *b, const struct inbox_place *p, struct inbox_arrival *ret)
{
	_cleanup_close_ int day = inboxdir_open(b->fd, p->day);

	ret->there = day >= 0 && !is_free(day, p->stamp);
	ret->number = inboxdir_day_us(p->day) + inboxdir_stamp_us(p->stamp);
}

static int complete(const struct inbox *b, struct inbox_place *to)
{
	_cleanup_close_ int run = -1, staging = -1, day = -1;
	char id[INBOXDIR_ID_LEN + 1];
	unsigned moved;
	int r;

	staging = open_staging(b, to->staging, &run, id);
	if (staging == -ENOENT) {
		return 0;
	}
	r = staging < 0 ? staging : inboxdir_make(b->fd, to->day);
	if (r < 0) {
		return r;
	}
	day = inboxdir_open(b->fd, to->day);
	if (day < 0) {
		return day;
	}
	r = move_parts(staging, day, to->stamp, true, &moved);
	if (r == 0) {
		r = inboxdir_sync(day);
	}
	if (r == 0) {
		r = inboxdir_sync(b->fd);
	}
	if (r == 0) {
		unlinkat(run, id, AT_REMOVEDIR);
	}
	return r;
}

int inbox_complete(const struct inbox *b, const struct inbox_place *p, struct inbox_arrival *ret)
{
	struct inbox_place to = *p;

	*ret = (struct inbox_arrival){.there = false};
	if (!inbox_place_valid(p)) {
		return -EINVAL;
	}
	int r = complete(b, &to);

	parse_counts(p->staging + STAGING_PATH_LEN, &ret->files, &ret->message);
	look_for(b, &to, ret);
	return r;
}

/* --- a submission --- */

struct inbox_sub {
	const struct inbox *b;
	char id[INBOXDIR_ID_LEN + 1];
	int error;
	int dir;                  /* RUN/SUBMISSION; -1: nothing is on the disk yet */
	struct subwriter *writer; /* as long as dir is there */
	unsigned files;
	bool message;
	struct inbox_place place;
};

struct inbox_sub *inbox_sub_new(const struct inbox *b)
{
	struct inbox_sub *s = xnew(struct inbox_sub);

	s->b = b;
	s->dir = -1;
	crypto_random_name(s->id, INBOXDIR_ID_LEN);
	return s;
}

void inbox_sub_free(struct inbox_sub *s)
{
	if (s) {
		if (s->writer) {
			s->writer->ops->free(s->writer);
		}
		close_fdp(&s->dir);
		free(s);
	}
}

/* The staging directory and what writes into it. */
static int open_dir(struct inbox_sub *s)
{
	int r;

	if (s->dir >= 0) {
		return 0;
	}
	if (mkdirat(s->b->run.run, s->id, 0700) < 0) {
		return -errno;
	}
	r = inboxdir_open(s->b->run.run, s->id);
	if (r < 0) {
		return r;
	}
	s->dir = r;
	if (inbox_seals(s->b)) {
		return subwriter_sealed(s->dir, s->b->recipients, s->b->n_recipients, &s->writer);
	}
	s->writer = subwriter_plain(s->dir);
	return 0;
}

static int begin(struct inbox_sub *s, enum inbox_record_type type, struct span name)
{
	int r = open_dir(s);

	if (r == 0) {
		r = s->writer->ops->begin(s->writer, type, name);
	}
	s->files += type == INBOX_FILE;
	s->message |= type == INBOX_MESSAGE;
	return s->files > INBOX_FILES_MAX ? -EINVAL : r;
}

static int on_record(struct inbox_sub *s, enum inbox_record_type type, struct span payload)
{
	if (type != INBOX_FILE && type != INBOX_MESSAGE && !s->writer) {
		return -EINVAL;
	}
	switch (type) {
	case INBOX_FILE:
	case INBOX_MESSAGE:
		return begin(s, type, payload);
	case INBOX_DATA:
		return s->writer->ops->data(s->writer, payload);
	case INBOX_END:
		return s->writer->ops->end(s->writer);
	case INBOX_DROP:
		s->message = false;
		return s->writer->ops->drop(s->writer);
	}
	return -EINVAL;
}

int inbox_sub_write(struct inbox_sub *s, struct span records)
{
	if (s->error == 0) {
		s->error = inbox_room(s->b, inbox_least_size(s->b, records.n), 2);
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

static int choose_place(struct inbox_sub *s, int64_t when_us)
{
	_cleanup_close_ int day = -1;
	int r;

	snprintf(s->place.staging, sizeof(s->place.staging), "%s/%s+%u%s", s->b->run.name, s->id,
		 s->files % (INBOX_FILES_MAX + 1), s->message ? "m" : "");
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
	uint64_t rest = s->writer ? s->writer->ops->rest(s->writer) : 0;
	int r = rest ? inbox_room(s->b, rest, 1) : s->writer ? 0 : -EINVAL;

	if (r == 0) {
		r = s->writer->ops->settle(s->writer);
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

uint64_t inbox_sub_size(const struct inbox_sub *s)
{
	return s->writer ? s->writer->ops->size(s->writer) : 0;
}

int inbox_sub_commit(struct inbox_sub *s)
{
	_cleanup_close_ int day = -1;
	unsigned moved = 0;
	int r = open_day(s->b, s->place.day, &day);

	if (r == 0) {
		r = move_parts(s->dir, day, s->place.stamp, false, &moved);
	}
	if (r == 0) {
		r = inboxdir_sync(day);
	}
	if (r == 0) {
		r = inboxdir_sync(s->b->fd);
	}
	if (r < 0) {
		move_back(s->dir, day, s->place.stamp, moved);
	} else {
		unlinkat(s->b->run.run, s->id, AT_REMOVEDIR);
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
