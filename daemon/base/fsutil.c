/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/fsutil.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/base/alloc.h"
#include "proto/base/crypto.h"
#include "proto/base/io.h"

static int openat2_retry(int dirfd, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK |
					      O_NOCTTY),
		.resolve = resolve,
	};

	if (flags & O_PATH) {
		how.flags &= O_PATH | O_CLOEXEC | O_NOFOLLOW | O_DIRECTORY;
	}
	for (;;) {
		long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));

		if (fd >= 0) {
			return (int)fd;
		}
		/* EAGAIN: a rename raced with a walk through "..": try again, as the manual says.
		 */
		if (errno != EINTR && errno != EAGAIN) {
			return -errno;
		}
	}
}

int fs_open_beneath(int dirfd, const char *path, int flags)
{
	return openat2_retry(dirfd, *path ? path : ".", flags,
			     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

int fs_open_no_links(const char *path, int flags)
{
	return openat2_retry(AT_FDCWD, path, flags, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

int fs_open_owned(const char *path, int flags, uid_t owner)
{
	struct stat st;

	if (owner == FS_ANY_OWNER) {
		int fd = open(path, flags | O_CLOEXEC);

		return fd < 0 ? -errno : fd;
	}
	int fd = fs_open_no_links(path, flags);

	if (fd >= 0 && (fstat(fd, &st) < 0 || st.st_uid != owner)) {
		close(fd);
		return -EPERM;
	}
	return fd;
}

#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20
#endif

/* Kernels before 5.12 do not know how not to wait for a disk. */
static int open_cached(int dirfd, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
		.resolve = resolve | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_CACHED,
	};

	if (!(flags & O_PATH)) {
		how.flags |= O_NONBLOCK | O_NOCTTY;
	}
	long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));

	if (fd >= 0) {
		return (int)fd;
	}
	return errno == EINVAL || errno == EINTR ? -EAGAIN : -errno;
}

int fs_open_beneath_cached(int dirfd, const char *path, int flags)
{
	return open_cached(dirfd, *path ? path : ".", flags, RESOLVE_BENEATH);
}

int fs_open_no_links_cached(const char *path, int flags)
{
	return open_cached(AT_FDCWD, path, flags, 0);
}

int fs_open_file_beneath(int dirfd, const char *path, struct stat *ret_st)
{
	struct stat st;
	int fd = fs_open_beneath(dirfd, path, O_RDONLY);

	if (fd < 0) {
		return fd;
	}
	if (fstat(fd, &st) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	if (!S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	if (ret_st) {
		*ret_st = st;
	}
	return fd;
}

int fs_open_nofollow(const char *path, int flags)
{
	int fd;

	do {
		fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
	} while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

/* The mode is meant as it is: who asks for x for others lets them through, whatever the umask. */
static int make_dir(const char *path, mode_t mode)
{
	if (mkdir(path, mode) < 0) {
		return -errno;
	}
	_cleanup_close_ int fd = fs_open_nofollow(path, O_RDONLY | O_DIRECTORY);

	return fd < 0 || fchmod(fd, mode) == 0 ? 0 : -errno;
}

int fs_mkdir_p(const char *dir, mode_t mode, struct error *err)
{
	_cleanup_free_ char *path = xstrdup(dir);
	struct stat st;

	for (char *p = path + (*path != '\0');; p++) {
		if (*p != '/' && *p != '\0') {
			continue;
		}
		char c = *p;

		*p = '\0';
		int r = make_dir(path, mode);

		/* EROFS or EACCES of what exists all the same is no failure. */
		if (r < 0 && r != -EEXIST && stat(path, &st) < 0) {
			return error_set(err, -r, "cannot make the directory %s: %s", path,
					 strerror(-r));
		}
		*p = c;
		if (c == '\0') {
			break;
		}
	}
	if (stat(dir, &st) < 0) {
		return error_set(err, errno, "cannot use the directory %s: %s", dir,
				 strerror(errno));
	}
	if (!S_ISDIR(st.st_mode)) {
		return error_set(err, ENOTDIR, "%s is not a directory", dir);
	}
	return 0;
}

ssize_t fs_read_file(const char *path, size_t max, char **ret)
{
	_cleanup_close_ int fd = fs_open_nofollow(path, O_RDONLY);

	return fd < 0 ? fd : fs_read_fd(fd, max, ret);
}

ssize_t fs_read_fd(int fd, size_t max, char **ret)
{
	struct stat st;
	size_t len = 0;

	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	if (!S_ISREG(st.st_mode)) {
		return -EINVAL;
	}
	if (st.st_size < 0 || (uint64_t)st.st_size > max) {
		return -EFBIG;
	}
	/* One more than it says, to notice a file that grows. */
	size_t want = (size_t)st.st_size + 1;
	char *p = xmalloc(want + 1);

	while (len < want) {
		ssize_t n = read(fd, p + len, want - len);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			int r = -errno;

			free(p);
			return r;
		}
		if (n == 0) {
			break;
		}
		len += (size_t)n;
	}
	if (len == want) {
		explicit_bzero(p, len);
		free(p);
		return -EFBIG;
	}
	p[len] = '\0';
	*ret = p;
	return (ssize_t)len;
}

int fs_pread_all(int fd, void *to, size_t n, uint64_t offset)
{
	char *p = to;

	while (n) {
		ssize_t got = pread(fd, p, n, (off_t)offset);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got < 0) {
			return -errno;
		}
		if (got == 0) {
			return -ENODATA;
		}
		p += got;
		n -= (size_t)got;
		offset += (uint64_t)got;
	}
	return 0;
}

int fs_sync_dir(const char *dir)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0) {
		return -errno;
	}
	return 0;
}

/* What is in fd, which is closed. */
static int empty_tree(int fd, unsigned depth)
{
	DIR *d = depth ? fdopendir(fd) : NULL;
	struct dirent *e;
	int r = 0;

	if (!d) {
		r = depth ? -errno : -ELOOP;
		close(fd);
		return r;
	}
	while (r == 0 && (errno = 0, e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
			continue;
		}
		int sub = openat(dirfd(d), e->d_name,
				 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (sub >= 0) {
			r = empty_tree(sub, depth - 1);
		}
		if (r == 0 && unlinkat(dirfd(d), e->d_name, sub >= 0 ? AT_REMOVEDIR : 0) < 0 &&
		    errno != ENOENT) {
			r = -errno;
		}
	}
	if (r == 0 && errno) {
		r = -errno;
	}
	closedir(d);
	return r;
}

int fs_remove_tree(const char *dir, uid_t owner, struct error *err)
{
	int fd = fs_open_owned(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, owner);
	int r = fd < 0 ? fd : empty_tree(fd, FS_TREE_DEPTH);

	if (r == 0 && rmdir(dir) < 0) {
		r = -errno;
	}
	if (r < 0 && r != -ENOENT) {
		return error_set(err, -r, "cannot remove %s: %s", dir, strerror(-r));
	}
	return 0;
}

int fs_write_file(const char *path, struct span data, mode_t mode, struct error *err)
{
	char suffix[9];
	int r;

	crypto_random_name(suffix, sizeof(suffix) - 1);
	_cleanup_free_ char *tmp = xasprintf("%s.%s.tmp", path, suffix);
	int fd = fs_open_nofollow(tmp, O_WRONLY | O_CREAT | O_EXCL);

	if (fd < 0) {
		return error_set(err, -fd, "cannot write %s: %s", path, strerror(-fd));
	}
	r = fchmod(fd, mode) < 0 ? -errno : 0;
	if (r == 0) {
		r = io_write_all(fd, data);
	}
	if (r == 0 && fsync(fd) < 0) {
		r = -errno;
	}
	if (close(fd) < 0 && r == 0) {
		r = -errno;
	}
	if (r == 0 && rename(tmp, path) < 0) {
		r = -errno;
	}
	if (r < 0) {
		unlink(tmp);
		return error_set(err, -r, "cannot write %s: %s", path, strerror(-r));
	}
	_cleanup_free_ char *dir = xstrdup(path);
	char *slash = strrchr(dir, '/');

	if (slash) {
		slash[slash == dir ? 1 : 0] = '\0';
	}
	r = fs_sync_dir(slash ? dir : ".");
	if (r < 0) {
		return error_set(err, -r, "cannot write %s: %s", path, strerror(-r));
	}
	return 0;
}
