/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files without surprises: what a peer or a share names is opened beneath a
 * directory descriptor by openat2(2), never through a link, and what the daemon
 * writes is on disk before it counts. These calls block: on the loop thread
 * they are for start-up only.
 */
#pragma once

#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "proto/base/error.h"
#include "proto/base/span.h"

/*
 * Opens path beneath dirfd. No symbolic or magic link anywhere in it, no way
 * out of the tree; O_CLOEXEC, O_NOFOLLOW and O_NONBLOCK are added to flags, so
 * that a FIFO does not hang. An absolute path or one with ".." that leaves is
 * -EXDEV, a link -ELOOP. "" or "." is the directory itself. The descriptor, or -errno.
 */
int fs_open_beneath(int dirfd, const char *path, int flags);
/* The same for a regular file that will be read: others are -EINVAL; ret_st may be NULL. */
int fs_open_file_beneath(int dirfd, const char *path, struct stat *ret_st);
/* Opens an absolute path without following a link in its last part. */
int fs_open_nofollow(const char *path, int flags);
/* Opens an absolute path without following a link anywhere in it; no O_CREAT. -ELOOP: there is one.
 */
int fs_open_no_links(const char *path, int flags);

/*
 * What one user chose whom the daemon is not to lend its rights: as fs_open_no_links, and it
 * must be his own, else -EPERM. FS_ANY_OWNER: as open(2).
 */
#define FS_ANY_OWNER ((uid_t)-1)
int fs_open_owned(const char *path, int flags, uid_t owner);

/*
 * The same two for the loop thread: they never wait for a disk. -EAGAIN: what is
 * known in memory is not enough, another thread has to ask.
 */
int fs_open_beneath_cached(int dirfd, const char *path, int flags);
int fs_open_no_links_cached(const char *path, int flags);

/* Makes dir and what is missing above it; those made get mode. An existing one is left as it is. */
int fs_mkdir_p(const char *dir, mode_t mode, struct error *err);
/* A whole file of at most max bytes into a new buffer (NUL behind it): its length or -errno
 * (-EFBIG above max, -EINVAL if it is no regular file). The caller wipes and frees. */
ssize_t fs_read_file(const char *path, size_t max, char **ret);
/* The same of what is open. */
ssize_t fs_read_fd(int fd, size_t max, char **ret);
/* Writes path anew and whole: temporary file beside it, fsync, rename, fsync of the directory. */
int fs_write_file(const char *path, struct span data, mode_t mode, struct error *err);
int fs_sync_dir(const char *dir);
/*
 * Removes a directory with all that is in it; links are removed, never followed.
 * 0 also if it is not there. At most FS_TREE_DEPTH levels. Nothing is overwritten
 * on the disk: no program can promise that for today's disks and file systems.
 */
#define FS_TREE_DEPTH 64
/* owner: as for fs_open_owned. */
int fs_remove_tree(const char *dir, uid_t owner, struct error *err);
/* Reads all, over EINTR and short counts: 0 or -errno (-ENODATA at a premature end). */
int fs_pread_all(int fd, void *p, size_t n, uint64_t offset);
