/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A connection without a socket, for tests and fuzzing: what the visitor sends is
 * put into in, what the server writes is found in out, at most room bytes of it.
 */
#pragma once

#include <errno.h>
#include <string.h>

#include "ev/bufpool.h"
#include "http/conn.h"
#include "proto/base/alloc.h"

struct mem_io {
	struct http_io io;
	struct buf in, out;
	size_t in_at;
	size_t room;      /* what writev still takes; SIZE_MAX: all */
	size_t read_most; /* what one read gives; 0: as much as is asked for */
	bool in_end;      /* the visitor sends no more */
	bool broken;      /* writing fails */
	unsigned want;
	bool shut, closing, reset, gone;
};

static inline struct mem_io *mem_io_of(struct http_io *io)
{
	return container_of(io, struct mem_io, io);
}

static inline ssize_t mem_read(struct http_io *io, void *p, size_t n)
{
	struct mem_io *m = mem_io_of(io);
	size_t left = m->in.len - m->in_at;

	if (left == 0) {
		return m->in_end ? 0 : -EAGAIN;
	}
	n = n < left ? n : left;
	if (m->read_most && n > m->read_most) {
		n = m->read_most;
	}
	memcpy(p, m->in.p + m->in_at, n);
	m->in_at += n;
	return (ssize_t)n;
}

static inline ssize_t mem_writev(struct http_io *io, const struct iovec *iov, int n)
{
	struct mem_io *m = mem_io_of(io);
	size_t written = 0;

	if (m->broken) {
		return -EPIPE;
	}
	for (int i = 0; i < n; i++) {
		size_t most = iov[i].iov_len < m->room ? iov[i].iov_len : m->room;

		buf_add(&m->out, iov[i].iov_base, most);
		written += most;
		m->room -= m->room == SIZE_MAX ? 0 : most;
	}
	return written ? (ssize_t)written : -EAGAIN;
}

static inline void mem_want(struct http_io *io, unsigned events)
{
	mem_io_of(io)->want = events;
}

static inline void mem_shutdown(struct http_io *io)
{
	mem_io_of(io)->shut = true;
}

static inline uint64_t mem_unsent(struct http_io *io)
{
	(void)io;
	return 0;
}

static inline void mem_close(struct http_io *io, bool reset)
{
	struct mem_io *m = mem_io_of(io);

	m->closing = true;
	m->reset = reset;
	m->want = 0;
}

static const struct http_io_ops mem_io_ops = {
	.read = mem_read,
	.writev = mem_writev,
	.want = mem_want,
	.shutdown = mem_shutdown,
	.unsent = mem_unsent,
	.close = mem_close,
};

static inline void mem_open(struct mem_io *m, struct http_server *s)
{
	*m = (struct mem_io){.io.ops = &mem_io_ops, .room = SIZE_MAX};
	http_conn_new(s, &m->io, false);
}

static inline bool mem_can_read(const struct mem_io *m)
{
	return (m->want & HTTP_IO_READ) && (m->in_at < m->in.len || m->in_end);
}

/* The connection asked for another turn. */
static inline bool mem_is_kicked(const struct mem_io *m)
{
	const struct http_conn *c = m->io.ud;

	return !m->gone && !list_empty(&c->kicked);
}

/* Lets the connection do all that it can do now, the loop's turns included. */
static inline void mem_run(struct mem_io *m, uv_loop_t *loop)
{
	for (int idle = 0; idle < 2; idle++) {
		unsigned ready = mem_can_read(m) ? HTTP_IO_READ : 0;

		if ((m->want & HTTP_IO_WRITE) && m->room) {
			ready |= HTTP_IO_WRITE;
		}
		if (ready) {
			m->io.ready(m->io.ud, ready);
			idle = -1;
		}
		uv_run(loop, UV_RUN_NOWAIT);
		if (mem_is_kicked(m)) {
			idle = -1;
		}
		if (m->closing && !m->gone) {
			m->gone = true;
			m->io.closed(m->io.ud);
		}
	}
}

static inline void mem_send(struct mem_io *m, uv_loop_t *loop, struct span bytes)
{
	buf_add_span(&m->in, bytes);
	mem_run(m, loop);
}

static inline void mem_done(struct mem_io *m)
{
	buf_done(&m->in);
	buf_done(&m->out);
}
