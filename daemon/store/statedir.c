/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/statedir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/fsutil.h"
#include "proto/base/alloc.h"

int statedir_exit_status(int code)
{
	switch (code) {
	case EACCES:
	case EPERM:
		return EX_NOPERM;
	case EROFS:
	case ENOSPC:
	case EDQUOT:
	case ENOENT:
	case ENOTDIR:
	case ENAMETOOLONG:
		return EX_CANTCREAT;
	case EBUSY:
		return EX_TEMPFAIL;
	default:
		return EX_OSERR;
	}
}

char *statedir_file(const struct statedir *dir, const char *name, const char *suffix)
{
	return xasprintf("%s/%s%s", dir->path, name, suffix);
}

/* Who may write here can put files of their own in the place of ours. */
static int close_to_others(const char *path, struct error *err)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		return error_set(err, errno, "cannot use the state directory %s: %s", path,
				 strerror(errno));
	}
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) && chmod(path, st.st_mode & 0755) < 0) {
		return error_set(err, errno,
				 "other users may write to the state directory %s, and that cannot "
				 "be changed (%s): choose another one with --state-dir",
				 path, strerror(errno));
	}
	return 0;
}

static int lock_refused(int fd, const char *path, struct error *err)
{
	char pid[16] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[n > 0 ? n : 0] = '\0';
	pid[strspn(pid, "0123456789")] = '\0';
	return error_set(err, EADDRINUSE,
			 "another onionshared%s%s%s uses the state directory %s: stop it, or give "
			 "this one its own with --state-dir",
			 *pid ? " (process " : "", pid, *pid ? ")" : "", path);
}

static int take_lock(struct statedir *dir, struct error *err)
{
	_cleanup_free_ char *path = statedir_file(dir, "lock", "");
	int fd = fs_open_nofollow(path, O_RDWR | O_CREAT);
	char pid[16];

	if (fd < 0) {
		return error_set(err, -fd, "cannot make %s: %s", path, strerror(-fd));
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int r = errno == EWOULDBLOCK ? lock_refused(fd, dir->path, err)
					     : error_set(err, errno, "cannot lock %s: %s", path,
							 strerror(errno));

		close(fd);
		return r;
	}
	/* For people; on a full disk the lock is as good without it. */
	int n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());

	if (ftruncate(fd, 0) == 0) {
		(void)!pwrite(fd, pid, (size_t)n, 0);
	}
	dir->lock_fd = fd;
	return 0;
}

int statedir_open(struct statedir *ret, const char *path, struct error *err, int *ret_exit)
{
	struct statedir dir = {.lock_fd = -1};
	int r = fs_mkdir_p(path, 0700, err);

	if (r == 0) {
		dir.path = realpath(path, NULL);
		r = dir.path ? close_to_others(dir.path, err)
			     : error_set(err, errno, "cannot use the state directory %s: %s", path,
					 strerror(errno));
	}
	if (r == 0) {
		r = take_lock(&dir, err);
	}
	if (r < 0) {
		*ret_exit = r == -EADDRINUSE ? EX_UNAVAILABLE : statedir_exit_status(-r);
		free(dir.path);
		return r;
	}
	*ret = dir;
	return 0;
}

void statedir_close(struct statedir *dir)
{
	if (dir->path) {
		close(dir->lock_fd);
	}
	free(dir->path);
	*dir = (struct statedir){.lock_fd = -1};
}
