/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The last bytes of a response are always copied, and given out only if the
 * file's size and times are still those of its choice: a visitor never holds a
 * complete-looking mixture. sendfile hands the cache's own pages to the socket, so
 * what a writer changes in place while they wait there is sent changed. On a Unix
 * socket that cannot escape the check: TAIL bytes of copies do not fit into its
 * queue, so nothing but copies is in it when the last of them are given out. On
 * loopback TCP the peer's receive queue may hold more; that is accepted there.
 */
#include "http/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ev/bufpool.h"
#include "ev/work.h"
#include "proto/base/alloc.h"

#define TAIL       (512u * 1024)       /* never by sendfile: over twice a Unix socket's queue */
#define MIN_READ   (16u * 1024)        /* a slow visitor's window */
#define PROBE_STEP (128u * 1024)       /* one byte of each is looked at */
#define AHEAD      (1024u * 1024)      /* asked of the disk beyond a read */
#define MAX_READ   BUFPOOL_BUFFER_SIZE /* and so many bytes at most */

struct http_file {
	struct job job;
	struct bufpool_wait wait;
	struct ev *ev;
	void (*ready)(void *ud);
	void *ud;
	int fd;
	uint64_t offset, left;
	struct stat st;
	size_t window; /* how much to read at once: what the socket took lately */
	bool busy;     /* the pool reads */
	bool waiting;  /* for a buffer */
	bool orphan;   /* freed meanwhile */
	bool no_probe; /* this file system cannot say what is in memory */
	char *buf;     /* of the pool of buffers, or NULL */
	size_t buf_n;  /* bytes at offset that it holds; given by the job */
	size_t given;  /* bytes that next gave out */
	int error;
	bool checked; /* the job compared the file after its read */
};

struct http_file *http_file_new(struct ev *ev, int fd, uint64_t offset, uint64_t length,
				const struct stat *st, void (*ready)(void *ud), void *ud)
{
	struct http_file *f = xnew(struct http_file);

	f->ev = ev;
	f->fd = fd;
	f->offset = offset;
	f->left = length;
	f->st = *st;
	f->ready = ready;
	f->ud = ud;
	f->window = EV_SCRATCH_SIZE;
	return f;
}

uint64_t http_file_left(const struct http_file *f)
{
	return f->left;
}

int http_file_fd(const struct http_file *f)
{
	return f->fd;
}

uint64_t http_file_offset(const struct http_file *f)
{
	return f->offset;
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/*
 * Another number of links explains another ctime: the file was replaced or
 * unlinked, and what is open here is still whole.
 */
static int check_unchanged(const struct http_file *f)
{
	struct stat now;
	bool same;

	if (fstat(f->fd, &now) < 0) {
		return -errno;
	}
	same = now.st_size == f->st.st_size && same_time(now.st_mtim, f->st.st_mtim) &&
	       (same_time(now.st_ctim, f->st.st_ctim) || now.st_nlink != f->st.st_nlink);
	return same ? 0 : -ESTALE;
}

static void put_buffer(struct http_file *f)
{
	bufpool_put(f->ev->bufs, take_ptr(f->buf));
	f->buf_n = 0;
	f->checked = false;
}

static size_t next_size(const struct http_file *f)
{
	return f->left < f->window ? (size_t)f->left : f->window;
}

/* --- from the disk, on the pool --- */

static void read_job(struct job *job)
{
	struct http_file *f = container_of(job, struct http_file, job);
	size_t want = next_size(f), n = 0;

	while (n < want) {
		ssize_t r = pread(f->fd, f->buf + n, want - n, (off_t)(f->offset + n));

		if (r < 0 && errno == EINTR) {
			continue;
		}
		if (r <= 0) {
			f->error = r < 0 ? -errno : -ENODATA;
			return;
		}
		n += (size_t)r;
	}
	f->buf_n = n;
	if (n == f->left) {
		f->error = check_unchanged(f);
		f->checked = true;
		return;
	}
	/* Only a hint: what comes next should be in memory when it is asked for. */
	(void)posix_fadvise(f->fd, (off_t)(f->offset + n), AHEAD, POSIX_FADV_WILLNEED);
}

static void file_destroy(struct http_file *f)
{
	put_buffer(f);
	close(f->fd);
	free(f);
}

static void read_done(struct job *job)
{
	struct http_file *f = container_of(job, struct http_file, job);

	f->busy = false;
	if (f->orphan) {
		file_destroy(f);
		return;
	}
	f->ready(f->ud);
}

static void buffer_free(struct bufpool_wait *wait)
{
	struct http_file *f = container_of(wait, struct http_file, wait);

	f->waiting = false;
	f->ready(f->ud);
}

static int read_from_disk(struct http_file *f)
{
	f->buf = bufpool_get(f->ev->bufs);
	if (!f->buf) {
		bufpool_wait_init(&f->wait, buffer_free);
		bufpool_wait(f->ev->bufs, &f->wait);
		f->waiting = true;
		return -EAGAIN;
	}
	f->busy = true;
	work_submit(f->ev->work, WORK_FAST, &f->job, read_job, read_done);
	return -EAGAIN;
}

/* --- from memory, on the loop --- */

static ssize_t read_cached(struct http_file *f, void *p, size_t n, uint64_t offset)
{
	struct iovec iov = {.iov_base = p, .iov_len = n};
	ssize_t r;

	if (f->no_probe) {
		return -EAGAIN;
	}
	do {
		r = preadv2(f->fd, &iov, 1, (off_t)offset, RWF_NOWAIT);
	} while (r < 0 && errno == EINTR);
	if (r < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL)) {
		f->no_probe = true;
		return -EAGAIN;
	}
	return r < 0 ? -errno : r;
}

/* The loop's scratch memory if it is enough, else a large buffer if one is free. */
static char *borrow(struct http_file *f, size_t *n)
{
	if (*n > f->ev->scratch_size) {
		f->buf = bufpool_get(f->ev->bufs);
		if (f->buf) {
			return f->buf;
		}
		*n = f->ev->scratch_size;
	}
	return f->ev->scratch;
}

int http_file_next(struct http_file *f, struct span *ret)
{
	size_t n = next_size(f);
	int r;

	if (f->busy || f->waiting) {
		return -EAGAIN;
	}
	if (f->error) {
		return f->error;
	}
	if (!f->buf_n) {
		char *p = borrow(f, &n);
		ssize_t got = read_cached(f, p, n, f->offset);

		if (got <= 0) {
			put_buffer(f);
			return got == 0 ? -ENODATA : got == -EAGAIN ? read_from_disk(f) : (int)got;
		}
		*ret = span_of(p, (size_t)got);
	} else {
		*ret = span_of(f->buf, f->buf_n);
	}
	f->given = ret->n;
	if (ret->n == f->left && !f->checked) {
		r = check_unchanged(f);
		if (r < 0) {
			put_buffer(f);
			return r;
		}
	}
	return 0;
}

size_t http_file_sendable(struct http_file *f, size_t max)
{
	char byte;
	size_t n;

	if (f->busy || f->waiting || f->buf_n || f->error || f->left <= TAIL) {
		return 0;
	}
	n = f->left - TAIL < max ? (size_t)(f->left - TAIL) : max;
	for (size_t at = 0; at < n; at += PROBE_STEP) {
		if (read_cached(f, &byte, 1, f->offset + at) != 1) {
			return at ? at - PROBE_STEP : 0; /* up to the last one seen */
		}
	}
	return read_cached(f, &byte, 1, f->offset + n - 1) == 1 ? n : 0;
}

void http_file_advance(struct http_file *f, size_t n)
{
	if (f->given) {
		if (n == f->given) {
			f->window = f->window < MAX_READ / 2 ? f->window * 2 : MAX_READ;
		} else if (n < f->given && n > 0) {
			f->window = (n + MIN_READ - 1) / MIN_READ * MIN_READ;
		}
		f->given = 0;
	}
	put_buffer(f);
	f->offset += n;
	f->left -= n;
}

void http_file_free(struct http_file *f)
{
	if (!f) {
		return;
	}
	if (f->waiting) {
		bufpool_wait_cancel(&f->wait);
	}
	if (f->busy) {
		f->orphan = true;
		return;
	}
	file_destroy(f);
}
