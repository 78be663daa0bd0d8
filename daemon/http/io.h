/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What lies between a connection and its socket, so that a connection can be
 * driven without one. Nothing here blocks; nothing calls back from within,
 * but ready and closed, which come from the loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "ev/ev.h"

#define HTTP_IO_READ  1u
#define HTTP_IO_WRITE 2u
#define HTTP_IO_GONE  4u /* reset, or both directions shut: nobody is there any more */
#define HTTP_IO_SHUT  8u /* the peer sends no more; told once, while READ is not wanted */

struct http_io;

struct http_io_ops {
	ssize_t (*read)(struct http_io *io, void *p, size_t n); /* 0: end; or -errno */
	ssize_t (*writev)(struct http_io *io, const struct iovec *iov, int n);
	/* NULL where it is not possible. The bytes stay the page cache's. */
	ssize_t (*sendfile)(struct http_io *io, int fd, uint64_t offset, size_t n);
	/* READ and WRITE: ready is called while it is possible. 0: only GONE and SHUT are told. */
	void (*want)(struct http_io *io, unsigned events);
	/* Nothing more will be written. */
	void (*shutdown)(struct http_io *io);
	/* Bytes written that have not left the kernel, as far as it tells. */
	uint64_t (*unsent)(struct http_io *io);
	/* reset: the peer shall notice that something is missing. closed follows, once. */
	void (*close)(struct http_io *io, bool reset);
};

struct http_io {
	const struct http_io_ops *ops;
	void (*ready)(void *ud, unsigned events);
	void (*closed)(void *ud); /* io is gone when it is called */
	void *ud;
};

/* A connected, non-blocking stream socket, which becomes the io's also on failure. 0 or -errno. */
int http_io_sock_new(struct ev *ev, int fd, struct http_io **ret);
