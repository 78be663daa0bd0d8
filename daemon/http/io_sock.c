/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sockets by uv_poll and our own system calls: resets by SO_LINGER, sendfile
 * without a second descriptor, and no memory for a connection that is idle.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/io.h"
#include "proto/base/alloc.h"

struct io_sock {
	struct http_io io;
	uv_poll_t poll;
	int fd;
	int events;       /* what libuv watches */
	bool half_closed; /* the peer sends no more: watching for that would spin */
};

static struct io_sock *self_of(struct http_io *io)
{
	return container_of(io, struct io_sock, io);
}

static ssize_t sock_read(struct http_io *io, void *p, size_t n)
{
	ssize_t r;

	do {
		r = recv(self_of(io)->fd, p, n, 0);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static ssize_t sock_writev(struct http_io *io, const struct iovec *iov, int n)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
	int fd = self_of(io)->fd;
	ssize_t r;

	do { /* one piece, which is the usual case, costs the kernel less as what it is */
		r = n == 1 ? send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL)
			   : sendmsg(fd, &msg, MSG_NOSIGNAL);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static ssize_t sock_sendfile(struct http_io *io, int fd, uint64_t offset, size_t n)
{
	off_t at = (off_t)offset;
	ssize_t r;

	do {
		r = sendfile(self_of(io)->fd, fd, &at, n);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static void on_event(uv_poll_t *poll, int status, int events);

static void watch(struct io_sock *s, int events)
{
	if (events == s->events) {
		return;
	}
	s->events = events;
	/* They fail for closing handles only. */
	if (events) {
		uv_poll_start(&s->poll, events, on_event);
	} else {
		uv_poll_stop(&s->poll);
	}
}

static void sock_want(struct http_io *io, unsigned want)
{
	struct io_sock *s = self_of(io);
	int events = 0;

	if (want & HTTP_IO_READ) {
		events |= UV_READABLE;
	} else if (!s->half_closed) {
		events |= UV_DISCONNECT;
	}
	if (want & HTTP_IO_WRITE) {
		events |= UV_WRITABLE;
	}
	watch(s, events);
}

/* The peer shut its sending side: is it still there to be answered? */
static bool is_gone(struct io_sock *s)
{
	struct pollfd p = {.fd = s->fd, .events = 0};

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

static void on_event(uv_poll_t *poll, int status, int events)
{
	struct io_sock *s = container_of(poll, struct io_sock, poll);
	unsigned ready = 0;

	if (status < 0) {
		s->events = 0; /* libuv has stopped watching */
		ready = HTTP_IO_GONE;
	}
	if (events & UV_READABLE) {
		ready |= HTTP_IO_READ;
	}
	if (events & UV_WRITABLE) {
		ready |= HTTP_IO_WRITE;
	}
	if (events & UV_DISCONNECT) {
		s->half_closed = true;
		watch(s, s->events & ~UV_DISCONNECT);
		ready |= is_gone(s) ? HTTP_IO_GONE : HTTP_IO_SHUT;
	}
	if (ready) {
		s->io.ready(s->io.ud, ready);
	}
}

static void sock_shutdown(struct http_io *io)
{
	shutdown(self_of(io)->fd, SHUT_WR); /* may fail: then the peer is gone already */
}

static uint64_t sock_unsent(struct http_io *io)
{
	int n = 0;

	return ioctl(self_of(io)->fd, SIOCOUTQ, &n) < 0 || n < 0 ? 0 : (uint64_t)n;
}

static void on_closed(uv_handle_t *handle)
{
	struct io_sock *s = container_of((uv_poll_t *)(uintptr_t)handle, struct io_sock, poll);
	void (*closed)(void *) = s->io.closed;
	void *ud = s->io.ud;

	free(s);
	closed(ud);
}

static void sock_close(struct http_io *io, bool reset)
{
	struct io_sock *s = self_of(io);

	if (reset) {
		struct linger now = {.l_onoff = 1, .l_linger = 0};

		/* Without it the peer sees an end instead of a reset; it still misses bytes. */
		if (setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) < 0) {
			shutdown(s->fd, SHUT_RDWR);
		}
	}
	uv_close((uv_handle_t *)&s->poll, on_closed); /* it is watched no more */
	close(s->fd);
}

static const struct http_io_ops sock_ops = {
	.read = sock_read,
	.writev = sock_writev,
	.sendfile = sock_sendfile,
	.want = sock_want,
	.shutdown = sock_shutdown,
	.unsent = sock_unsent,
	.close = sock_close,
};

int http_io_sock_new(struct ev *ev, int fd, struct http_io **ret)
{
	struct io_sock *s = xnew(struct io_sock);
	int r;

	s->fd = fd;
	s->io.ops = &sock_ops;
	r = uv_poll_init(ev->loop, &s->poll, fd);
	if (r < 0) {
		close(fd);
		free(s);
		return r;
	}
	*ret = &s->io;
	return 0;
}
