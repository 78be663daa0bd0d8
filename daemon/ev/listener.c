/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ev/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/base/alloc.h"

#define ACCEPTS_A_TURN 64
#define PAUSE_MS       100 /* without descriptors, look again after that long */

struct listener {
	struct ev *ev;
	uv_poll_t poll;
	uv_timer_t pause;
	int fd;
	int reserve; /* given up for a moment to turn a visitor away when none is left */
	bool tcp;
	uint16_t port;
	char *path; /* of a socket file that this listener made */
	dev_t dev;
	ino_t ino;
	listener_accept_fn *cb;
	void *ud;
	void (*closed)(void *ud);
	void *closed_ud;
	int open_handles;
};

static int open_reserve(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_pause_over(uv_timer_t *timer)
{
	struct listener *l = container_of(timer, struct listener, pause);

	if (l->reserve < 0) {
		l->reserve = open_reserve();
	}
	uv_poll_start(&l->poll, UV_READABLE, on_readable);
}

/* No descriptor left: take the visitor with the reserve and let him go, else the loop spins. */
static void turn_away(struct listener *l)
{
	if (l->reserve >= 0) {
		close(l->reserve);
		int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0) {
			close(fd);
		}
		l->reserve = open_reserve();
	}
	uv_poll_stop(&l->poll);
	uv_timer_start(&l->pause, on_pause_over, PAUSE_MS, 0);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct listener *l = container_of(poll, struct listener, poll);

	(void)status;
	(void)events;
	for (int i = 0; i < ACCEPTS_A_TURN && !l->closed; i++) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0) {
			if (errno == EINTR || errno == ECONNABORTED) {
				continue;
			}
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			    errno == ENOMEM) {
				turn_away(l);
			}
			return;
		}
		struct ucred cred;
		socklen_t len = sizeof(cred);
		bool known = !l->tcp && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0;

		if (!l->tcp && !known) {
			close(fd);
			continue;
		}
		l->cb(l->ud, fd, known ? &cred : NULL);
	}
}

static void nothing(void *ud)
{
	(void)ud;
}

/* Takes fd, also on failure. */
static int start(struct ev *ev, int fd, bool tcp, listener_accept_fn *cb, void *ud,
		 struct listener **ret)
{
	struct listener *l = xnew(struct listener);
	int r;

	l->ev = ev;
	l->fd = fd;
	l->tcp = tcp;
	l->cb = cb;
	l->ud = ud;
	l->reserve = open_reserve();
	r = uv_poll_init(ev->loop, &l->poll, fd);
	if (r < 0) {
		close_fdp(&l->reserve);
		close(fd);
		free(l);
		return r;
	}
	l->open_handles = 2;
	uv_timer_init(ev->loop, &l->pause);
	r = uv_poll_start(&l->poll, UV_READABLE, on_readable);
	if (r < 0) {
		listener_close(l, nothing, NULL);
		return r;
	}
	*ret = l;
	return 0;
}

/* To be removed with it. */
static void own_file(struct listener *l, const char *path, const struct stat *st)
{
	l->path = xstrdup(path);
	l->dev = st->st_dev;
	l->ino = st->st_ino;
}

/* A socket file from an earlier life: removed if nobody listens. */
static int remove_stale(const struct sockaddr_un *addr, struct error *err)
{
	struct stat st;

	if (lstat(addr->sun_path, &st) < 0) {
		return errno == ENOENT ? 0
				       : error_set(err, errno, "cannot use the socket %s: %s",
						   addr->sun_path, strerror(errno));
	}
	if (!S_ISSOCK(st.st_mode)) {
		return error_set(err, EEXIST, "%s is there and is not a socket", addr->sun_path);
	}
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0) {
		return error_set(err, errno, "cannot make a socket: %s", strerror(errno));
	}
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EAGAIN) {
		return error_set(err, EADDRINUSE, "another program listens on %s", addr->sun_path);
	}
	if (errno != ECONNREFUSED || unlink(addr->sun_path) < 0) {
		return error_set(err, errno, "cannot replace the socket %s: %s", addr->sun_path,
				 strerror(errno));
	}
	return 0;
}

int listener_open_unix(struct ev *ev, const char *path, mode_t mode, listener_accept_fn *cb,
		       void *ud, struct listener **ret, struct error *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct stat st;
	int r;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		return error_set(err, ENAMETOOLONG,
				 "the socket path %s is longer than %zu bytes; use a shorter "
				 "runtime directory",
				 path, sizeof(addr.sun_path) - 1);
	}
	memcpy(addr.sun_path, path, strlen(path) + 1);
	r = remove_stale(&addr, err);
	if (r < 0) {
		return r;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0) {
		return error_set(err, errno, "cannot make a socket: %s", strerror(errno));
	}
	/* Nobody can connect before listen(), so the mode may be set in between. */
	bool bound = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;

	if (!bound || chmod(path, mode) < 0 || listen(fd, LISTENER_BACKLOG) < 0 ||
	    lstat(path, &st) < 0) {
		r = error_set(err, errno, "cannot listen on %s: %s", path, strerror(errno));
		close(fd);
		if (bound) {
			unlink(path);
		}
		return r;
	}
	r = start(ev, fd, false, cb, ud, ret);
	if (r < 0) {
		unlink(path);
		return error_set(err, -r, "cannot watch %s: %s", path, strerror(-r));
	}
	own_file(*ret, path, &st);
	return 0;
}

int listener_open_tcp(struct ev *ev, uint16_t port, listener_accept_fn *cb, void *ud,
		      struct listener **ret, struct error *err)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_port = htons(port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1, r;

	if (fd < 0) {
		return error_set(err, errno, "cannot make a socket: %s", strerror(errno));
	}
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, LISTENER_BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) < 0) {
		r = error_set(err, errno, "cannot listen on 127.0.0.1:%u: %s", port,
			      strerror(errno));
		close(fd);
		return r;
	}
	r = start(ev, fd, true, cb, ud, ret);
	if (r < 0) {
		return error_set(err, -r, "cannot watch 127.0.0.1:%u: %s", port, strerror(-r));
	}
	(*ret)->port = ntohs(addr.sin_port);
	return 0;
}

/* As listener_open_fd; *ret_addr is where it listens. */
static int open_fd(struct ev *ev, int fd, listener_accept_fn *cb, void *ud, struct listener **ret,
		   struct sockaddr_un *ret_addr, struct error *err)
{
	struct sockaddr_un addr = {0};
	socklen_t len = sizeof(addr) - 1; /* so that a path of full length ends, too */
	int listening = 0, r;
	socklen_t int_len = sizeof(listening);

	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &int_len) < 0 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
		r = error_set(err, errno, "the socket handed over cannot be used: %s",
			      strerror(errno));
		close(fd);
		return r;
	}
	if (!listening || addr.sun_family != AF_UNIX) {
		close(fd);
		return error_set(err, EINVAL,
				 "the socket handed over is not a listening Unix socket");
	}
	r = start(ev, fd, false, cb, ud, ret);
	if (r < 0) {
		return error_set(err, -r, "cannot watch the socket handed over: %s", strerror(-r));
	}
	*ret_addr = addr;
	return 0;
}

int listener_open_fd(struct ev *ev, int fd, listener_accept_fn *cb, void *ud, struct listener **ret,
		     struct error *err)
{
	struct sockaddr_un addr;

	return open_fd(ev, fd, cb, ud, ret, &addr, err);
}

int listener_open_left(struct ev *ev, int fd, listener_accept_fn *cb, void *ud,
		       struct listener **ret, struct error *err)
{
	struct sockaddr_un addr;
	struct listener *l = NULL;
	struct stat st;
	int r = open_fd(ev, fd, cb, ud, &l, &addr, err);

	if (!l) {
		return r;
	}
	if (lstat(addr.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode)) {
		listener_close(l, nothing, NULL);
		return error_set(err, ENOENT, "the socket %s is gone", addr.sun_path);
	}
	own_file(l, addr.sun_path, &st);
	*ret = l;
	return 0;
}

int listener_leave(struct listener *l)
{
	int fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0) {
		return -errno;
	}
	free(take_ptr(l->path));
	uv_poll_stop(&l->poll);
	uv_timer_stop(&l->pause);
	return fd;
}

const char *listener_path(const struct listener *l)
{
	return l->path;
}

uint16_t listener_port(const struct listener *l)
{
	return l->port;
}

int listener_fd(const struct listener *l)
{
	return l->fd;
}

static void on_closed(uv_handle_t *handle)
{
	struct listener *l = handle->data;

	if (--l->open_handles == 0) {
		void (*closed)(void *) = l->closed;
		void *ud = l->closed_ud;

		close(l->fd);
		close_fdp(&l->reserve);
		free(l->path);
		free(l);
		closed(ud);
	}
}

void listener_close(struct listener *l, void (*closed)(void *ud), void *ud)
{
	struct stat st;

	if (!l || l->closed) {
		return;
	}
	l->closed = closed ? closed : nothing;
	l->closed_ud = ud;
	if (l->path && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino) {
		unlink(l->path);
	}
	l->poll.data = l->pause.data = l;
	uv_close((uv_handle_t *)&l->poll, on_closed);
	uv_close((uv_handle_t *)&l->pause, on_closed);
}
