/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rpc/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "ev/listener.h"
#include "proto/base/alloc.h"
#include "proto/errors.h"
#include "rpc/conn.h"

/* --- methods --- */

static size_t method_index(const struct method_def *method)
{
	return (size_t)(method - interface_control.methods);
}

rpc_handler_fn *rpc_server_handler(const struct rpc_server *s, const struct method_def *method)
{
	return s->handlers[method_index(method)];
}

/* A method without handler or the reverse is a mistake in the program, seen at its first start. */
static rpc_handler_fn **handlers_new(const struct rpc_method *methods)
{
	rpc_handler_fn **handlers = xcalloc(interface_control.n_methods, sizeof(*handlers));

	for (; methods->name; methods++) {
		const struct method_def *m =
			interface_method(&interface_control, span_str(methods->name));

		if (!m || handlers[method_index(m)]) {
			log_error("bug: the method %s is unknown or there twice", methods->name);
			abort();
		}
		handlers[method_index(m)] = methods->fn;
	}
	for (size_t i = 0; i < interface_control.n_methods; i++) {
		if (!handlers[i]) {
			log_error("bug: the method %s has no handler",
				  interface_control.methods[i].name);
			abort();
		}
	}
	return handlers;
}

/* --- connections --- */

static unsigned connections_of(const struct rpc_server *s, uid_t uid)
{
	unsigned n = 0;

	list_for_each (it, &s->conns) {
		n += list_entry(it, struct rpc_conn, link)->peer.uid == uid;
	}
	return n;
}

/* One answer to whatever will be asked, if it fits, and the end. Takes fd. */
static void turn_away(int fd)
{
	struct error err = ERROR_INIT;
	struct buf out = BUF_INIT;
	char limit[16];

	snprintf(limit, sizeof(limit), "%u", RPC_MAX_CONNECTIONS);
	error_set_kind(&err, EMFILE, ERROR_LIMIT_EXCEEDED, "connections of one user", limit,
		       "a user may have %s connections to the daemon; close others first", limit);
	json_t *message = errors_to_wire(&err);

	if (wire_add(&out, message) == 0) {
		wire_send(fd, buf_span(&out), NULL, 0);
	}
	json_decref(message);
	buf_done(&out);
	error_done(&err);
	close(fd);
}

void rpc_server_adopt(struct rpc_server *s, int fd, const struct ucred *peer)
{
	if (s->closed) {
		close(fd);
		return;
	}
	if (connections_of(s, peer->uid) >= RPC_MAX_CONNECTIONS) {
		log_debug("control: uid %u has %u connections, one more was refused", peer->uid,
			  RPC_MAX_CONNECTIONS);
		turn_away(fd);
		return;
	}
	int r = rpc_conn_open(s, fd, peer, rpc_auth_peer(fd, peer, s->control_group));

	if (r < 0) {
		log_debug("control: a connection of uid %u cannot be watched: %s", peer->uid,
			  strerror(-r));
	}
}

static void on_accept(void *ud, int fd, const struct ucred *peer)
{
	struct rpc_server *s = ud;

	/* Only Unix sockets are listened on: there is always a peer. */
	if (!peer) {
		close(fd);
		return;
	}
	rpc_server_adopt(s, fd, peer);
}

/* --- listening --- */

/* The socket file was made for the owner only; members of the group are let in now. */
static int let_group_in(const char *path, gid_t group, struct error *err)
{
	if (lchown(path, (uid_t)-1, group) < 0 || chmod(path, 0660) < 0) {
		return error_set(err, errno, "cannot give %s to the control group: %s", path,
				 strerror(errno));
	}
	return 0;
}

static void on_listener_closed(void *ud);

int rpc_server_listen(struct rpc_server *s, const char *path, struct error *err)
{
	struct listener *l;
	int r;

	if (s->n_listeners == RPC_MAX_LISTENERS) {
		return error_set(err, EMFILE, "too many control sockets");
	}
	r = listener_open_unix(s->ev, path, 0600, on_accept, s, &l, err);
	if (r < 0) {
		return r;
	}
	s->open++;
	if (s->control_group != (gid_t)-1) {
		r = let_group_in(path, s->control_group, err);
		if (r < 0) {
			listener_close(l, on_listener_closed, s);
			return r;
		}
	}
	s->listeners[s->n_listeners++] = l;
	return 0;
}

int rpc_server_listen_fd(struct rpc_server *s, int fd, struct error *err)
{
	struct listener *l;
	int r;

	if (s->n_listeners == RPC_MAX_LISTENERS) {
		close(fd);
		return error_set(err, EMFILE, "too many control sockets");
	}
	r = listener_open_fd(s->ev, fd, on_accept, s, &l, err);
	if (r < 0) {
		return r;
	}
	s->open++;
	s->listeners[s->n_listeners++] = l;
	return 0;
}

/* --- life --- */

struct rpc_server *rpc_server_new(struct ev *ev, const struct rpc_config *config,
				  const struct rpc_method *methods, void *ud)
{
	struct rpc_server *s = xnew(struct rpc_server);

	s->ev = ev;
	s->version = xstrdup(config->version);
	s->control_group = config->control_group;
	s->handlers = handlers_new(methods);
	s->ud = ud;
	list_init(&s->conns);
	return s;
}

/* closed comes from a callback of the loop also when nothing was open. */
static void one_closed(struct rpc_server *s)
{
	if (--s->open > 0 || !s->closed) {
		return;
	}
	void (*closed)(void *) = s->closed;
	void *ud = s->closed_ud;

	free(s->handlers);
	free(s->version);
	free(s);
	closed(ud);
}

void rpc_server_conn_closed(struct rpc_server *s)
{
	one_closed(s);
}

static void on_listener_closed(void *ud)
{
	one_closed(ud);
}

static void on_end_closed(uv_handle_t *handle)
{
	struct rpc_server *s = handle->data;

	free(handle);
	one_closed(s);
}

void rpc_server_close(struct rpc_server *s, void (*closed)(void *ud), void *ud)
{
	uv_timer_t *end = xnew(uv_timer_t);

	s->closed = closed;
	s->closed_ud = ud;
	/* A handle that is closed like the others, so that there always is one. */
	uv_timer_init(s->ev->loop, end);
	end->data = s;
	s->open++;
	uv_close((uv_handle_t *)end, on_end_closed);
	for (unsigned i = 0; i < s->n_listeners; i++) {
		listener_close(s->listeners[i], on_listener_closed, s);
	}
	while (!list_empty(&s->conns)) {
		struct rpc_conn *c = list_entry(s->conns.next, struct rpc_conn, link);

		/* Answers that are ready shall arrive, if they do at once. */
		rpc_conn_flush(c);
		rpc_conn_close(c);
	}
}
