/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ev/dial.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/base/alloc.h"

struct dial {
	uv_timer_t timer; /* of the deadline; 0 ms: tells of a failure at once */
	uv_poll_t poll;
	int fd;
	int failed; /* -errno, known before the timer comes */
	unsigned open_handles;
	dial_fn *cb;
	void *ud;
};

static void on_handle_closed(uv_handle_t *handle)
{
	struct dial *d = handle->data;

	if (--d->open_handles == 0) {
		free(d);
	}
}

/* The socket is somebody else's, or closed, from here on. */
static void end(struct dial *d)
{
	if (d->open_handles == 2) {
		uv_close((uv_handle_t *)&d->poll, on_handle_closed);
	}
	uv_close((uv_handle_t *)&d->timer, on_handle_closed);
}

static void finish(struct dial *d, int result)
{
	dial_fn *cb = d->cb;
	void *ud = d->ud;
	int fd = d->fd;

	end(d); /* first: who gets the socket will want to watch it */
	if (result < 0 && fd >= 0) {
		close(fd);
	}
	cb(ud, result < 0 ? result : fd);
}

static void on_writable(uv_poll_t *poll, int status, int events)
{
	struct dial *d = poll->data;
	socklen_t len = sizeof(int);
	int code = 0;

	(void)events;
	/* libuv calls whatever went wrong EBADF; the socket knows better. */
	if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0) {
		code = errno;
	}
	finish(d, code ? -code : status);
}

static void on_timer(uv_timer_t *timer)
{
	struct dial *d = timer->data;

	finish(d, d->failed ? d->failed : -ETIMEDOUT);
}

static int begin(struct dial *d, struct ev *ev, const struct sockaddr *addr, socklen_t len)
{
	d->fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->fd < 0) {
		return -errno;
	}
	if (connect(d->fd, addr, len) < 0 && errno != EINPROGRESS) {
		return -errno;
	}
	int r = uv_poll_init(ev->loop, &d->poll, d->fd);

	if (r < 0) {
		return r;
	}
	d->poll.data = d;
	d->open_handles++;
	return uv_poll_start(&d->poll, UV_WRITABLE, on_writable);
}

struct dial *dial_start(struct ev *ev, const struct sockaddr *addr, socklen_t len,
			unsigned timeout_ms, dial_fn *cb, void *ud)
{
	struct dial *d = xnew(struct dial);
	int r = uv_timer_init(ev->loop, &d->timer);

	assert(r == 0); /* it has no way to fail */
	d->timer.data = d;
	d->open_handles = 1;
	d->cb = cb;
	d->ud = ud;
	d->failed = begin(d, ev, addr, len);
	r = uv_timer_start(&d->timer, on_timer, d->failed ? 0 : timeout_ms, 0);
	assert(r == 0);
	return d;
}

void dial_cancel(struct dial *d)
{
	int fd = d->fd;

	end(d);
	if (fd >= 0) {
		close(fd);
	}
}
