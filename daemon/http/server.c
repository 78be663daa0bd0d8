/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One listener's connections: admission, hosts, the clock, the end. */
#include "http/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ev/listener.h"
#include "http/conn.h"

/* Through Tor a request comes a round trip behind its connection. */
#define EXPECT_MS 5000

#define MAX_REJECTED 256 /* visitors too many who are being told so; others are just closed */

const struct http_limits http_limits_default = {
	.max_connections = 1000,
	.head_ms = 30 * 1000,
	.idle_ms = 120 * 1000,
	.body_ms = 120 * 1000,
	.drain_body_ms = 15 * 1000,
	.write_ms = 300 * 1000,
	.min_rate = 100,
	.min_rate_ms = 60 * 1000,
	.linger_ms = 30 * 1000,
	.linger_bytes = 64ull * 1024 * 1024,
};

/* ancestors: who may frame it. */
#define POLICY(ancestors)                                                         \
	"default-src 'self'; frame-ancestors " ancestors "; form-action 'self'; " \
	"base-uri 'self'; img-src 'self' data:;"

static struct span format_fields(const char *csp, const char *frame_options)
{
	struct buf b = BUF_INIT;

	if (csp) {
		buf_printf(&b, "Content-Security-Policy: %s\r\n", csp);
	}
	buf_printf(&b,
		   "X-Frame-Options: %s\r\n"
		   "X-Content-Type-Options: nosniff\r\n"
		   "Referrer-Policy: no-referrer\r\n"
		   "X-Xss-Protection: 1; mode=block\r\n"
		   "Server: OnionShare\r\n",
		   frame_options);
	size_t n = b.len;

	return span_of(buf_take(&b), n);
}

/* --- the clock: one timer, set to the earliest deadline, while there are connections --- */

static void on_sweep(uv_timer_t *timer);

static void set_sweep(struct http_server *s, uint64_t due)
{
	uint64_t now = ev_now_ms(s->ev);

	s->sweep_due = due;
	uv_timer_start(&s->sweep, on_sweep, due > now ? due - now : 0, 0);
}

void http_server_deadline(struct http_server *s, uint64_t deadline)
{
	if (deadline < s->sweep_due && !s->closing) {
		set_sweep(s, deadline);
	}
}

static void on_sweep(uv_timer_t *timer)
{
	struct http_server *s = container_of(timer, struct http_server, sweep);
	uint64_t now = ev_now_ms(s->ev), next = UINT64_MAX;

	s->sweep_due = UINT64_MAX;
	/* Connections leave the list from the loop only, never from within this one. */
	list_for_each (it, &s->conns) {
		struct http_conn *c = list_entry(it, struct http_conn, link);

		if (c->state != HTTP_CONN_CLOSED && c->deadline <= now) {
			http_conn_timeout(c);
		}
		if (c->state != HTTP_CONN_CLOSED && c->deadline < next) {
			next = c->deadline;
		}
	}
	if (next != UINT64_MAX && !s->closing) {
		set_sweep(s, next);
	}
}

/*
 * --- connections that are to run outside their own events ---
 *
 * While an idle handle is active the loop does not block (with a prepare handle it
 * would), so what is kicked from within on_idle itself has its turn too.
 */

static void on_idle(uv_idle_t *idle)
{
	struct http_server *s = container_of(idle, struct http_server, idle);
	struct list run;

	uv_idle_stop(idle);
	list_init(&run);
	list_insert_before(&s->kicked, &run);
	list_remove(&s->kicked);
	while (!list_empty(&run)) {
		struct http_conn *c = list_entry(run.next, struct http_conn, kicked);

		list_remove(&c->kicked);
		http_conn_run(c);
	}
}

void http_server_kicked(struct http_server *s)
{
	if (!s->closing) {
		uv_idle_start(&s->idle, on_idle);
	}
}

/* --- admission --- */

static void admit(struct http_server *s, int fd)
{
	bool full = s->n_counted >= s->limits.max_connections;
	struct http_io *io;

	if ((full && s->n_rejected >= MAX_REJECTED) || s->closing) {
		close(fd);
		return;
	}
	if (http_io_sock_new(s->ev, fd, &io) < 0) {
		return;
	}
	if (s->n_alive == 0 && s->ops.idle) {
		s->ops.idle(s->ud, false);
	}
	http_conn_new(s, io, full);
}

static bool may_connect(const struct http_server *s, const struct ucred *cred)
{
	return s->peer_uid == (uid_t)-1 || cred->uid == s->peer_uid || cred->uid == 0 ||
	       cred->uid == geteuid();
}

static void on_accept(void *ud, int fd, const struct ucred *cred)
{
	struct http_server *s = ud;

	if (cred && !may_connect(s, cred)) {
		close(fd);
		return;
	}
	admit(s, fd);
}

/* Answers are written whole; waiting for more to fill a packet only delays them. */
static void tune_tcp(int fd)
{
	int one = 1;

	/* Both are inherited by what is accepted, and neither is needed to work. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	/*
	 * Loopback has no congestion. A system default that paces (bbr) costs it
	 * a factor of two to five; reno is always permitted.
	 */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
}

void http_server_adopt(struct http_server *s, int fd)
{
	int domain = 0;
	socklen_t len = sizeof(domain);
	bool tcp = getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_INET;

	if (tcp) {
		tune_tcp(fd);
	}
	admit(s, fd);
}

/* --- hosts --- */

static bool is_loopback(struct span name)
{
	return span_eq(name, SPAN("127.0.0.1")) || span_eq(name, SPAN("[::1]")) ||
	       span_eq_ci(name, SPAN("localhost"));
}

bool http_server_is_host(const struct http_server *s, struct span authority)
{
	struct span name;
	int port;

	if (!authority.p) {
		return true; /* HTTP/1.0 asks whoever it reached */
	}
	if (http_host_split(authority, &name, &port) < 0) {
		return false;
	}
	if (!s->host) {
		return is_loopback(name);
	}
	return (port == -1 || port == 80) && (span_eq_ci(name, span_str(s->host)) ||
					      (s->alias && span_eq_ci(name, span_str(s->alias))));
}

void http_server_set_peer_uid(struct http_server *s, uid_t uid)
{
	s->peer_uid = uid;
}

void http_server_set_host(struct http_server *s, const char *host)
{
	free(s->host);
	s->host = host ? xstrdup(host) : NULL;
}

void http_server_set_alias(struct http_server *s, const char *alias)
{
	free(s->alias);
	s->alias = alias ? xstrdup(alias) : NULL;
}

/* --- life --- */

struct http_server *http_server_new(struct ev *ev, const struct http_server_config *config,
				    const struct http_server_ops *ops, void *ud)
{
	struct http_server *s = xnew(struct http_server);

	s->ev = ev;
	s->limits = config->limits;
	s->ops = *ops;
	s->ud = ud;
	s->host = config->host ? xstrdup(config->host) : NULL;
	s->alias = config->alias ? xstrdup(config->alias) : NULL;
	s->peer_uid = config->peer_uid;
	s->secret = config->secret;
	s->assets = config->assets ? xstrdup(config->assets) : NULL;
	s->fields = format_fields(config->csp && !*config->csp ? POLICY("'none'") : config->csp,
				  "DENY");
	s->framed = format_fields(POLICY("'self'"), "SAMEORIGIN");
	s->sweep_due = UINT64_MAX;
	list_init(&s->conns);
	list_init(&s->kicked);
	/* Neither can fail. */
	uv_timer_init(ev->loop, &s->sweep);
	uv_idle_init(ev->loop, &s->idle);
	s->open_handles = 2;
	return s;
}

int http_server_listen_unix(struct http_server *s, const char *path, mode_t mode, struct error *err)
{
	int r = listener_open_unix(s->ev, path, mode, on_accept, s, &s->listener, err);

	s->listener_open = r == 0;
	return r;
}

int http_server_listen_tcp(struct http_server *s, uint16_t port, struct error *err)
{
	int r = listener_open_tcp(s->ev, port, on_accept, s, &s->listener, err);

	if (r < 0) {
		return r;
	}
	s->listener_open = true;
	s->port = listener_port(s->listener);
	tune_tcp(listener_fd(s->listener));
	return 0;
}

int http_server_listen_left(struct http_server *s, int fd, struct error *err)
{
	int r = listener_open_left(s->ev, fd, on_accept, s, &s->listener, err);

	s->listener_open = r == 0;
	return r;
}

const char *http_server_path(const struct http_server *s)
{
	return s->listener ? listener_path(s->listener) : NULL;
}

uint16_t http_server_port(const struct http_server *s)
{
	return s->port;
}

void http_server_set_draining(struct http_server *s, bool on)
{
	s->draining = on;
	/* Their deadlines are others now. */
	list_for_each (it, &s->conns) {
		http_conn_kick(list_entry(it, struct http_conn, link));
	}
}

unsigned http_server_body_ms(const struct http_server *s)
{
	const struct http_limits *l = &s->limits;

	return s->draining && l->drain_body_ms < l->body_ms ? l->drain_body_ms : l->body_ms;
}

int http_server_leave(struct http_server *s)
{
	int fd = s->listener ? listener_leave(s->listener) : -EBADF;

	if (fd < 0) {
		return fd;
	}
	s->leaving = true;
	/* Who has nothing to say now connects anew when he has. */
	list_for_each (it, &s->conns) {
		struct http_conn *c = list_entry(it, struct http_conn, link);

		if (c->state == HTTP_CONN_OPEN && c->served && !c->x &&
		    http_conn_stored(c).n == 0) {
			http_conn_close(c, false);
		}
	}
	return fd;
}

bool http_server_expects(const struct http_server *s)
{
	uint64_t now = ev_now_ms(s->ev);

	list_for_each (it, &s->conns) {
		const struct http_conn *c = list_entry(it, const struct http_conn, link);

		if (c->state == HTTP_CONN_OPEN && !c->served && !c->x &&
		    now - c->since < EXPECT_MS) {
			return true;
		}
	}
	return false;
}

unsigned http_server_connections(const struct http_server *s)
{
	return s->n_counted;
}

unsigned http_server_busy(const struct http_server *s)
{
	return s->n_busy;
}

static void maybe_free(struct http_server *s)
{
	if (!s->closing || s->open_handles || s->n_alive || s->listener_open) {
		return;
	}
	void (*closed)(void *) = s->closed;
	void *ud = s->closed_ud;

	arena_done(&s->spare);
	free((char *)(uintptr_t)s->fields.p);
	free((char *)(uintptr_t)s->framed.p);
	free(s->host);
	free(s->alias);
	free(s->assets);
	free(s);
	closed(ud);
}

void http_server_conn_gone(struct http_conn *c)
{
	struct http_server *s = c->server;

	list_remove(&c->link);
	free(c);
	s->n_alive--;
	if (s->n_alive == 0 && !s->closing) {
		uv_timer_stop(&s->sweep);
		s->sweep_due = UINT64_MAX;
		if (s->ops.idle) {
			s->ops.idle(s->ud, true);
		}
	}
	maybe_free(s);
}

static void on_listener_closed(void *ud)
{
	struct http_server *s = ud;

	s->listener_open = false;
	maybe_free(s);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct http_server *s = handle->data;

	s->open_handles--;
	maybe_free(s);
}

void http_server_stop_listening(struct http_server *s)
{
	if (s->listener) {
		listener_close(take_ptr(s->listener), on_listener_closed, s);
	}
}

void http_server_close(struct http_server *s, void (*closed)(void *ud), void *ud)
{
	if (s->closing) {
		return;
	}
	s->closing = true;
	s->closed = closed;
	s->closed_ud = ud;
	http_server_stop_listening(s);
	/* First all of them, for those who hear of the end of one may turn to another. */
	list_for_each (it, &s->conns) {
		http_upgrade_stop(list_entry(it, struct http_conn, link));
	}
	list_for_each (it, &s->conns) {
		http_conn_close(list_entry(it, struct http_conn, link), false);
	}
	s->sweep.data = s->idle.data = s;
	uv_close((uv_handle_t *)&s->sweep, on_handle_closed);
	uv_close((uv_handle_t *)&s->idle, on_handle_closed);
}
