/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Listening sockets, Unix and loopback TCP: accepts everything that waits (a
 * full backlog of a Unix socket fails visitors at once, see connect(2)), keeps
 * on through EMFILE with a descriptor in reserve, and tells who is calling.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "ev/ev.h"
#include "proto/base/error.h"

#define LISTENER_BACKLOG 4096

struct listener;

/*
 * A visitor's socket: non-blocking, close-on-exec, now the callee's. cred: the
 * peer as SO_PEERCRED has it, NULL for TCP. Called at most 64 times a turn of the loop.
 */
typedef void listener_accept_fn(void *ud, int fd, const struct ucred *cred);

/*
 * mode: permissions of the socket file, set before anybody can connect. A stale
 * socket file (nobody answers) is replaced; a living one is -EADDRINUSE; anything
 * else at that path is -EEXIST. path: at most 107 bytes.
 */
int listener_open_unix(struct ev *ev, const char *path, mode_t mode, listener_accept_fn *cb,
		       void *ud, struct listener **ret, struct error *err);
/* 127.0.0.1; port 0: the system chooses one. */
int listener_open_tcp(struct ev *ev, uint16_t port, listener_accept_fn *cb, void *ud,
		      struct listener **ret, struct error *err);
/* One handed over (systemd). It becomes the listener's, and is closed if it cannot. */
int listener_open_fd(struct ev *ev, int fd, listener_accept_fn *cb, void *ud, struct listener **ret,
		     struct error *err);
/*
 * One that listener_leave has kept, in this process or in one before it: a Unix socket, whose file
 * is the listener's from now on. -ENOENT: the file is gone, so that nobody can connect to it any
 * more.
 */
int listener_open_left(struct ev *ev, int fd, listener_accept_fn *cb, void *ud,
		       struct listener **ret, struct error *err);
/*
 * Stops accepting while who connects waits in the socket's queue: a descriptor of it, the
 * caller's, or -errno. Closing the listener leaves the socket file alone then.
 */
int listener_leave(struct listener *l);
/* The path of its socket file; NULL for TCP and those handed over. */
const char *listener_path(const struct listener *l);
uint16_t listener_port(const struct listener *l); /* 0 for Unix */
int listener_fd(const struct listener *l);
/*
 * Stops accepting and removes the socket file that it made (if it is still that
 * one). closed comes later, once; after it l is gone. NULL l: closed is not called.
 */
void listener_close(struct listener *l, void (*closed)(void *ud), void *ud);
