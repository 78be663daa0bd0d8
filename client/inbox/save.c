/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/inbox/save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/rpc.h"
#include "proto/base/alloc.h"
#include "proto/base/crypto.h"
#include "proto/base/io.h"

#define CHUNK (256u * 1024)

int save_open(const char *path, struct save *ret, struct error *err)
{
	*ret = (struct save){.dir = -1, .out = -1};
	bool made = mkdir(path, 0700) == 0;

	if (!made && errno != EEXIST) {
		return error_set(err, errno, "cannot make %s: %s", path, strerror(errno));
	}
	ret->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ret->dir < 0) {
		return error_set(err, errno, "cannot write to %s: %s", path, strerror(errno));
	}
	ret->path = xstrdup(path);
	ret->made = made;
	ret->files = json_array();
	return 0;
}

static const char *current(const struct save *s)
{
	return s->names.all[s->names.n - 1];
}

static int cannot_write(const struct save *s, int code, struct error *err)
{
	return error_set(err, code, "cannot write %s/%s: %s", s->path, current(s), strerror(code));
}

int save_begin(struct save *s, struct span name, struct error *err)
{
	const char *safe = savename_make(&s->names, name);

	s->out = openat(s->dir, safe, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (s->out < 0 && errno == EEXIST) {
		return error_set(err, EEXIST,
				 "%s/%s is there already: nothing is overwritten, and nothing was "
				 "saved; name an empty or a new directory",
				 s->path, safe);
	}
	if (s->out < 0) {
		return cannot_write(s, errno, err);
	}
	s->n_written = s->names.n;
	return 0;
}

int save_write(struct save *s, struct span bytes, struct error *err)
{
	int r = io_write_all(s->out, bytes);

	return r < 0 ? cannot_write(s, -r, err) : rpc_check_signal(err);
}

int save_end(struct save *s, uint64_t size, struct error *err)
{
	int fd = s->out;

	s->out = -1;
	if (fsync(fd) < 0) {
		int code = errno;

		close(fd);
		return cannot_write(s, code, err);
	}
	if (close(fd) < 0) {
		return cannot_write(s, errno, err);
	}
	json_array_append_new(s->files, json_pack("{s:s, s:I}", "name", current(s), "size",
						  (json_int_t)size));
	return 0;
}

int save_copy(struct save *s, struct span name, int fd, uint64_t size, struct error *err)
{
	_cleanup_free_ char *chunk = xmalloc(CHUNK);
	uint64_t done = 0;
	int r = save_begin(s, name, err);

	while (r == 0) {
		ssize_t n = read(fd, chunk, CHUNK);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			r = error_set(err, errno, "cannot read %s: %s", current(s),
				      strerror(errno));
		}
		if (n <= 0) {
			break;
		}
		done += (uint64_t)n;
		r = save_write(s, span_of(chunk, (size_t)n), err);
	}
	explicit_bzero(chunk, CHUNK);
	if (r == 0 && done != size) {
		r = error_set(err, EIO, "%s changed while it was read", current(s));
	}
	return r == 0 ? save_end(s, size, err) : r;
}

int save_temporary(struct save *s, struct error *err)
{
	char name[] = ".onionsharectl-xxxxxxxxxxxx";
	int fd = openat(s->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0) {
		/* A file system without that: one with a name, for a moment. */
		crypto_random_name(name + sizeof(name) - 13, 12);
		fd = openat(s->dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd >= 0) {
			unlinkat(s->dir, name, 0);
		}
	}
	return fd < 0 ? error_set(err, errno, "cannot write to %s: %s", s->path, strerror(errno))
		      : fd;
}

int save_finish(struct save *s, struct error *err)
{
	return fsync(s->dir) < 0
		       ? error_set(err, errno, "cannot write to %s: %s", s->path, strerror(errno))
		       : 0;
}

void save_drop(struct save *s)
{
	for (size_t i = 0; i < s->n_written; i++) {
		unlinkat(s->dir, s->names.all[i], 0);
	}
	if (s->made) {
		rmdir(s->path);
	}
}

void save_done(struct save *s)
{
	close_fdp(&s->out);
	close_fdp(&s->dir);
	free(s->path);
	savenames_done(&s->names);
	json_decref(s->files);
}
