/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A server that follows a script: it waits for bytes, answers, waits again. On the
 * test's own loop, on a Unix socket or the loopback; one connection at a time.
 */
#pragma once

#include "unit.h"

#include <errno.h>
#include <sys/socket.h>
#include <uv.h>

#include "ev/listener.h"
#include "proto/base/buf.h"

struct peer_step {
	size_t wait;       /* bytes */
	const char *until; /* instead: up to and with this text */
	const char *say;   /* then this */
	size_t say_n;      /* 0: say is text */
	bool end;          /* then hang up */
};

struct peer {
	struct listener *listener;
	uv_loop_t *loop;
	uv_poll_t *poll; /* NULL: nobody is connected */
	int fd;
	const struct peer_step *steps; /* up to one that is all zero */
	size_t at;
	struct buf in;  /* what waits to be matched */
	struct buf all; /* everything that came, over all connections */
	unsigned accepted;
	bool ended; /* the other side hung up */
	bool closed;
};

static inline void peer_poll_closed(uv_handle_t *handle)
{
	free(handle);
}

static inline void peer_hang_up(struct peer *p)
{
	if (p->poll) {
		uv_close((uv_handle_t *)take_ptr(p->poll), peer_poll_closed);
		close(p->fd);
	}
}

static inline size_t peer_matched(const struct peer *p, const struct peer_step *step)
{
	const char *at = step->until && p->in.len ? strstr(p->in.p, step->until) : NULL;

	if (step->until) {
		return at ? (size_t)(at - p->in.p) + strlen(step->until) : 0;
	}
	return p->in.len >= step->wait ? step->wait : 0;
}

static inline void peer_go_on(struct peer *p)
{
	const struct peer_step *step;

	while (p->poll && ((step = &p->steps[p->at])->wait || step->until)) {
		size_t n = peer_matched(p, step);

		if (!n) {
			return;
		}
		buf_consume(&p->in, n);
		p->at++;
		if (step->say) {
			size_t say_n = step->say_n ? step->say_n : strlen(step->say);

			assert_int_equal(send(p->fd, step->say, say_n, MSG_NOSIGNAL), say_n);
		}
		if (step->end) {
			peer_hang_up(p);
		}
	}
}

static inline void peer_on_readable(uv_poll_t *poll, int status, int events)
{
	struct peer *p = poll->data;
	char bytes[4096];
	ssize_t n = status < 0 ? status : recv(p->fd, bytes, sizeof(bytes), 0);

	(void)events;
	if (n < 0 && errno == EAGAIN) {
		return;
	}
	if (n <= 0) {
		p->ended = true;
		peer_hang_up(p);
		return;
	}
	buf_add(&p->in, bytes, (size_t)n);
	buf_add(&p->all, bytes, (size_t)n);
	peer_go_on(p);
}

static inline void peer_on_accept(void *ud, int fd, const struct ucred *cred)
{
	struct peer *p = ud;

	(void)cred;
	peer_hang_up(p); /* on one that is gone, though we have not read that yet */
	buf_clear(&p->in);
	p->accepted++;
	p->fd = fd;
	p->ended = false;
	p->poll = xnew(uv_poll_t);
	assert_int_equal(uv_poll_init(p->loop, p->poll, fd), 0);
	p->poll->data = p;
	assert_int_equal(uv_poll_start(p->poll, UV_READABLE, peer_on_readable), 0);
}

static inline void peer_script(struct peer *p, const struct peer_step *steps)
{
	p->steps = steps;
	p->at = 0;
	buf_clear(&p->in);
}

static inline void peer_open_unix(struct peer *p, struct ev *ev, const char *path)
{
	p->loop = ev->loop;
	assert_int_equal(listener_open_unix(ev, path, 0600, peer_on_accept, p, &p->listener, NULL),
			 0);
}

static inline uint16_t peer_open_tcp(struct peer *p, struct ev *ev)
{
	p->loop = ev->loop;
	assert_int_equal(listener_open_tcp(ev, 0, peer_on_accept, p, &p->listener, NULL), 0);
	return listener_port(p->listener);
}

static inline void peer_on_closed(void *ud)
{
	((struct peer *)ud)->closed = true;
}

static inline void peer_close(struct peer *p, uv_loop_t *loop)
{
	peer_hang_up(p);
	if (p->listener) {
		listener_close(p->listener, peer_on_closed, p);
		while (!p->closed) {
			uv_run(loop, UV_RUN_ONCE);
		}
	}
	buf_done(&p->in);
	buf_done(&p->all);
}
