/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "svc/copyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fsutil.h"
#include "proto/base/alloc.h"
#include "proto/base/io.h"

#define BUFFER_SIZE (256u * 1024)
#define MIN_INODES  1024u

int copyfile_check(int from, struct error *err)
{
	struct stat st;
	int flags = fcntl(from, F_GETFL);

	if (flags < 0 || flags & O_PATH || (flags & O_ACCMODE) == O_WRONLY ||
	    fstat(from, &st) < 0 || !S_ISREG(st.st_mode)) {
		return error_set_kind(err, EPERM, ERROR_PERMISSION_DENIED,
				      "a descriptor opened for reading", NULL,
				      "each file that is handed over needs a descriptor of a "
				      "regular file, opened for reading");
	}
	return 0;
}

static int storage_error(struct error *err, int code)
{
	if (code == ENOSPC || code == EDQUOT) {
		return error_set_kind(err, code, ERROR_STORAGE, strerror(code), NULL,
				      "the disk of the daemon's state is full: nothing was kept");
	}
	return error_set_kind(err, code, ERROR_STORAGE, strerror(code), NULL,
			      "cannot write the copy: %s", strerror(code));
}

static int check_room(const struct copyfile *c, uint64_t size, uint64_t reserve, struct error *err)
{
	struct statvfs vfs;

	if (fstatvfs(c->to, &vfs) < 0) {
		return storage_error(err, errno);
	}
	uint64_t free_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	bool no_inodes = vfs.f_files && vfs.f_favail < MIN_INODES;

	if (no_inodes || free_bytes < reserve || free_bytes - reserve < size) {
		return error_set_kind(err, ENOSPC, ERROR_STORAGE, "no room", NULL,
				      "the disk of the daemon's state has no room for a copy: "
				      "%" PRIu64 " MiB are free, of which %" PRIu64
				      " are left so; nothing was kept",
				      free_bytes >> 20, reserve >> 20);
	}
	return 0;
}

static bool clone_whole(struct copyfile *c)
{
	return c->at == 0 && c->begun.st_size > 0 && ioctl(c->to, FICLONE, c->from) == 0;
}

int copyfile_begin(struct copyfile *c, int from, int to, bool append, uint64_t reserve,
		   struct error *err)
{
	struct stat st = {0};
	int r;

	*c = (struct copyfile){.open = true, .from = from, .to = to};
	r = copyfile_check(from, err);
	if (r == 0 && (fstat(from, &c->begun) < 0 || fstat(to, &st) < 0)) {
		r = storage_error(err, errno);
	}
	if (r == 0 && append) {
		c->at = (uint64_t)st.st_size;
	}
	if (r == 0 && clone_whole(c)) {
		c->done = c->at = (uint64_t)c->begun.st_size;
		return 0;
	}
	return r < 0 ? r : check_room(c, (uint64_t)c->begun.st_size, reserve, err);
}

/* By the kernel: bytes, 0 if it cannot, -errno. */
static ssize_t copy_inside(struct copyfile *c, size_t n)
{
	off64_t in = (off64_t)c->done, out = (off64_t)c->at;
	ssize_t got = copy_file_range(c->from, &in, c->to, &out, n, 0);

	if (got >= 0) {
		return got;
	}
	switch (errno) {
	case ENOSPC:
	case EDQUOT:
	case EIO:
	case EFBIG:
		return -errno;
	default:
		return 0; /* other file systems, old kernels: the buffer can do it */
	}
}

static ssize_t copy_by_buffer(struct copyfile *c, size_t n)
{
	ssize_t got;

	if (!c->buffer) {
		c->buffer = xmalloc(BUFFER_SIZE);
	}
	do {
		got = pread(c->from, c->buffer, n < BUFFER_SIZE ? n : BUFFER_SIZE, (off_t)c->done);
	} while (got < 0 && errno == EINTR);
	if (got <= 0) {
		return got < 0 ? -errno : 0;
	}
	if (lseek(c->to, (off_t)c->at, SEEK_SET) < 0) {
		return -errno;
	}
	int r = io_write_all(c->to, span_of(c->buffer, (size_t)got));

	return r < 0 ? r : got;
}

static int has_changed(struct error *err)
{
	return error_set_kind(err, EAGAIN, ERROR_INVALID_VALUE, "entries", "a file changed",
			      "a file changed while it was copied; try again when nobody writes "
			      "to it");
}

static int check_unchanged(const struct copyfile *c, struct error *err)
{
	struct stat st;

	if (fstat(c->from, &st) < 0 || st.st_size != c->begun.st_size ||
	    st.st_mtim.tv_sec != c->begun.st_mtim.tv_sec ||
	    st.st_mtim.tv_nsec != c->begun.st_mtim.tv_nsec) {
		return has_changed(err);
	}
	return 1;
}

int copyfile_some(struct copyfile *c, uint64_t max, struct error *err)
{
	uint64_t size = (uint64_t)c->begun.st_size;

	while (c->done < size && max) {
		uint64_t want = size - c->done < max ? size - c->done : max;
		size_t n = want < (16u << 20) ? (size_t)want : 16u << 20;
		ssize_t got = c->buffer ? 0 : copy_inside(c, n);

		if (got == 0) {
			got = copy_by_buffer(c, n);
		}
		if (got < 0) {
			return storage_error(err, (int)-got);
		}
		if (got == 0) {
			return has_changed(err); /* it has become shorter */
		}
		c->done += (uint64_t)got;
		c->at += (uint64_t)got;
		max -= (uint64_t)got;
	}
	return c->done < size ? 0 : check_unchanged(c, err);
}

void copyfile_end(struct copyfile *c)
{
	if (c->open) {
		close_fdp(&c->to);
	}
	free(c->buffer);
	*c = (struct copyfile){0};
}
