/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tor/conn.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "proto/base/alloc.h"
#include "proto/base/crypto.h"
#include "tor/tor.h"

struct ctl_conn {
	struct ev *ev;
	struct ctl_ops ops;
	void *ud;
	union {
		uv_stream_t stream;
		uv_pipe_t pipe;
		uv_tcp_t tcp;
	} io;
	uv_connect_t connect;
	uv_timer_t timer; /* of the connect or the command; 0 ms: tells of a loss */
	unsigned timeout_ms;
	struct ctl_lexer lexer;
	bool connected, closing;
	ctl_reply_fn *cb; /* of the command in flight */
	void *cb_ud;
	struct error why; /* set: lost */
	void (*closed)(void *ud);
	void *closed_ud;
	unsigned open_handles;
};

struct outgoing {
	uv_write_t req;
	struct buf bytes;
};

/* --- addresses --- */

static int parse_unix(const char *path, struct ctl_addr *ret, struct error *err)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&ret->sa;
	size_t n = strlen(path);

	if (path[0] != '/') {
		return error_set(err, EINVAL, "\"%s\" is not the absolute path of a socket", path);
	}
	if (n >= sizeof(un->sun_path)) {
		return error_set(err, EINVAL, "the socket path %s is longer than %zu bytes", path,
				 sizeof(un->sun_path) - 1);
	}
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, n + 1);
	return 0;
}

static int parse_host(struct span host, uint16_t port, struct ctl_addr *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&ret->sa;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ret->sa;
	struct in_addr v4;
	char text[64];

	if (host.n == 0 || span_eq_ci(host, SPAN("localhost"))) {
		host = SPAN("127.0.0.1");
	}
	if (host.n >= sizeof(text)) {
		return -EINVAL;
	}
	memcpy(text, host.p, host.n);
	text[host.n] = '\0';
	if (span_eq(host, SPAN("[::1]"))) {
		in6->sin6_family = AF_INET6;
		in6->sin6_addr = in6addr_loopback;
		in6->sin6_port = htons(port);
		return 0;
	}
	if (inet_pton(AF_INET, text, &v4) != 1 || ntohl(v4.s_addr) >> 24 != 127) {
		return -EINVAL;
	}
	in->sin_family = AF_INET;
	in->sin_addr = v4;
	in->sin_port = htons(port);
	return 0;
}

static int parse_tcp(const char *s, struct ctl_addr *ret, struct error *err)
{
	const char *colon = strrchr(s, ':');
	struct span host = colon ? span_of(s, (size_t)(colon - s)) : SPAN_NONE;
	uint64_t port;

	if (span_u64(span_str(colon ? colon + 1 : s), 65535, &port) < 0 || port == 0) {
		return error_set(err, EINVAL,
				 "\"%s\" is no control port: write unix:/PATH, PORT or "
				 "127.0.0.1:PORT",
				 s);
	}
	if (parse_host(host, (uint16_t)port, ret) < 0) {
		return error_set(err, EINVAL,
				 "the control port %s is not on this machine's loopback; keys "
				 "would cross the network",
				 s);
	}
	return 0;
}

int ctl_addr_parse(const char *s, struct ctl_addr *ret, struct error *err)
{
	struct ctl_addr addr = {0};
	bool prefixed = strncmp(s, "unix:", 5) == 0;
	int r = prefixed || s[0] == '/' ? parse_unix(prefixed ? s + 5 : s, &addr, err)
					: parse_tcp(s, &addr, err);

	if (r < 0) {
		return r;
	}
	snprintf(addr.text, sizeof(addr.text), "%s", prefixed ? s + 5 : s);
	*ret = addr;
	return 0;
}

void ctl_addr_print_tcp(const struct ctl_addr *a, char *ret, size_t size)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&a->sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a->sa;
	char host[INET_ADDRSTRLEN] = "";

	if (a->sa.ss_family == AF_INET6) {
		snprintf(ret, size, "[::1]:%u", ntohs(in6->sin6_port));
		return;
	}
	inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
	snprintf(ret, size, "%s:%u", host, ntohs(in->sin_port));
}

int tor_check_control(const char *control, struct error *err)
{
	struct ctl_addr addr;

	return ctl_addr_parse(control, &addr, err);
}

/* --- its end --- */

static void handle_closed(uv_handle_t *handle)
{
	struct ctl_conn *c = handle->data;

	if (--c->open_handles == 0) {
		void (*closed)(void *) = c->closed;
		void *ud = c->closed_ud;

		ctl_lexer_done(&c->lexer);
		error_done(&c->why);
		free(c);
		if (closed) {
			closed(ud);
		}
	}
}

void ctl_close(struct ctl_conn *c, void (*closed)(void *ud), void *ud)
{
	assert(!c->closing);
	c->closing = true;
	c->cb = NULL;
	c->closed = closed;
	c->closed_ud = ud;
	uv_close((uv_handle_t *)&c->io, handle_closed);
	uv_close((uv_handle_t *)&c->timer, handle_closed);
}

static void on_timer(uv_timer_t *timer);

static void arm(struct ctl_conn *c, unsigned ms)
{
	/* Fails only without a callback or on a closing handle. */
	int r = uv_timer_start(&c->timer, on_timer, ms, 0);

	assert(r == 0);
	(void)r;
}

/* why is taken. The owner is told by the timer, never from within. */
static void lose(struct ctl_conn *c, struct error *why)
{
	if (c->why.code || c->closing) {
		error_done(why);
		return;
	}
	error_move(&c->why, why);
	c->connected = false;
	c->cb = NULL;
	uv_read_stop(&c->io.stream);
	arm(c, 0);
}

void ctl_fail(struct ctl_conn *c, const char *fmt, ...)
{
	struct error why = ERROR_INIT;
	struct buf text = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	error_set(&why, EPROTO, "%s", text.p ? text.p : "");
	buf_done(&text);
	lose(c, &why);
}

static void on_timer(uv_timer_t *timer)
{
	struct ctl_conn *c = timer->data;
	struct error why = ERROR_INIT;

	if (!c->why.code) {
		error_set(&why, ETIMEDOUT, "tor did not answer for %u seconds",
			  c->timeout_ms / 1000);
		lose(c, &why);
		return; /* armed anew */
	}
	c->ops.lost(c->ud, &c->why);
}

/* --- reading --- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct ctl_conn *c = handle->data;

	(void)suggested;
	*buf = uv_buf_init(c->ev->scratch, (unsigned)c->ev->scratch_size);
}

static void take_reply(struct ctl_conn *c, const struct ctl_reply *reply)
{
	ctl_reply_fn *cb = c->cb;

	if (ctl_is_event(reply)) {
		c->ops.event(c->ud, reply);
		return;
	}
	if (!cb) {
		ctl_fail(c, "tor answered %u to no command", reply->code);
		return;
	}
	c->cb = NULL;
	uv_timer_stop(&c->timer);
	cb(c->cb_ud, reply);
}

static void take_bytes(struct ctl_conn *c, struct span input)
{
	const struct ctl_reply *reply;
	int r;

	while (!c->closing && !c->why.code &&
	       (r = ctl_lexer_feed(&c->lexer, &input, &reply)) != 0) {
		if (r < 0) {
			ctl_fail(c, "%s",
				 r == -EMSGSIZE ? "tor sent a reply above the limit"
						: "what answers is not a control port of tor");
			return;
		}
		take_reply(c, reply);
	}
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct ctl_conn *c = stream->data;
	struct error why = ERROR_INIT;

	if (n < 0) {
		error_set(&why, n == UV_EOF ? ECONNRESET : (int)-n, "%s",
			  n == UV_EOF ? "tor closed the control connection" : strerror((int)-n));
		lose(c, &why);
		return;
	}
	/* No callback reads from a socket itself, so the scratch buffer stays what it is. */
	take_bytes(c, span_of(buf->base, (size_t)n));
	crypto_wipe(buf->base, (size_t)n);
}

/* --- writing --- */

bool ctl_idle(const struct ctl_conn *c)
{
	return c->connected && !c->cb && !c->why.code && !c->closing;
}

static void on_written(uv_write_t *req, int status)
{
	struct outgoing *out = container_of(req, struct outgoing, req);

	(void)status; /* the reader sees the end, too */
	buf_wipe(&out->bytes);
	free(out);
}

/* Behind the first word may stand keys and bridges. */
static void log_command(struct span line)
{
	struct span word = span_cut(&line, ' ');

	log_debug("tor is told: " SPAN_FMT, SPAN_ARG(word));
}

void ctl_send(struct ctl_conn *c, struct buf *line, ctl_reply_fn *cb, void *ud)
{
	struct outgoing *out = xnew(struct outgoing);

	assert(ctl_idle(c));
	log_command(buf_span(line));
	out->bytes = *line;
	*line = BUF_INIT;
	buf_add_str(&out->bytes, "\r\n");
	c->cb = cb;
	c->cb_ud = ud;
	arm(c, c->timeout_ms);

	uv_buf_t buf = uv_buf_init(out->bytes.p, (unsigned)out->bytes.len);
	int r = uv_write(&out->req, &c->io.stream, &buf, 1, on_written);

	if (r < 0) {
		struct error why = ERROR_INIT;

		on_written(&out->req, r);
		error_set(&why, -r, "%s", strerror(-r));
		lose(c, &why);
	}
}

void ctl_sendf(struct ctl_conn *c, ctl_reply_fn *cb, void *ud, const char *fmt, ...)
{
	struct buf line = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&line, fmt, ap);
	va_end(ap);
	ctl_send(c, &line, cb, ud);
}

/* --- connecting --- */

static void on_connect(uv_connect_t *req, int status)
{
	struct ctl_conn *c = container_of(req, struct ctl_conn, connect);
	struct error why = ERROR_INIT;
	int r = status;

	if (c->closing || c->why.code) {
		return;
	}
	if (r == 0) {
		r = uv_read_start(&c->io.stream, on_alloc, on_read);
	}
	if (r < 0) {
		error_set(&why, -r, "%s", strerror(-r));
		lose(c, &why);
		return;
	}
	uv_timer_stop(&c->timer);
	c->connected = true;
	c->ops.connected(c->ud);
}

static struct ctl_conn *conn_new(struct ev *ev, bool is_unix, unsigned timeout_ms,
				 const struct ctl_ops *ops, void *ud)
{
	struct ctl_conn *c = xnew(struct ctl_conn);
	int r;

	c->ev = ev;
	c->ops = *ops;
	c->ud = ud;
	c->timeout_ms = timeout_ms;
	ctl_lexer_init(&c->lexer);
	c->open_handles = 2;
	r = uv_timer_init(ev->loop, &c->timer);
	assert(r == 0);
	c->timer.data = c;
	r = is_unix ? uv_pipe_init(ev->loop, &c->io.pipe, 0) : uv_tcp_init(ev->loop, &c->io.tcp);
	assert(r == 0);
	c->io.stream.data = c;
	arm(c, timeout_ms);
	return c;
}

struct ctl_conn *ctl_open(struct ev *ev, const struct ctl_addr *addr, unsigned timeout_ms,
			  const struct ctl_ops *ops, void *ud)
{
	struct ctl_conn *c = conn_new(ev, ctl_addr_is_unix(addr), timeout_ms, ops, ud);
	const struct sockaddr_un *un = (const struct sockaddr_un *)&addr->sa;
	int r;

	if (ctl_addr_is_unix(addr)) {
		uv_pipe_connect(&c->connect, &c->io.pipe, un->sun_path, on_connect);
		return c;
	}
	r = uv_tcp_connect(&c->connect, &c->io.tcp, (const struct sockaddr *)&addr->sa, on_connect);
	if (r < 0) {
		struct error why = ERROR_INIT;

		error_set(&why, -r, "%s", strerror(-r));
		lose(c, &why);
	}
	return c;
}

/* --- from one process to the next --- */

bool ctl_is_at(int fd, const struct ctl_addr *addr)
{
	struct sockaddr_storage peer = {0};
	socklen_t n = sizeof(peer);

	/* What is behind the address is zero in both: nothing, or the rest of a path. */
	return getpeername(fd, (struct sockaddr *)&peer, &n) == 0 &&
	       memcmp(&peer, &addr->sa, sizeof(peer)) == 0;
}

/* As if it had connected just now: from the loop. */
static void on_inherited(uv_timer_t *timer)
{
	struct ctl_conn *c = timer->data;

	on_connect(&c->connect, 0);
}

int ctl_inherit(struct ev *ev, int fd, unsigned timeout_ms, const struct ctl_ops *ops, void *ud,
		struct ctl_conn **ret)
{
	int domain = 0, r;
	socklen_t n = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	struct ctl_conn *c = conn_new(ev, domain == AF_UNIX, timeout_ms, ops, ud);

	r = domain == AF_UNIX ? uv_pipe_open(&c->io.pipe, fd) : uv_tcp_open(&c->io.tcp, fd);
	if (r < 0) {
		close(fd);
		ctl_close(c, NULL, NULL);
		return r;
	}
	r = uv_timer_start(&c->timer, on_inherited, 0, 0);
	assert(r == 0);
	*ret = c;
	return 0;
}

int ctl_leave(struct ctl_conn *c)
{
	uv_os_fd_t fd;
	int r = uv_fileno((const uv_handle_t *)&c->io, &fd);

	assert(ctl_idle(c));
	if (r < 0) {
		return r;
	}
	uv_read_stop(&c->io.stream);
	r = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return r < 0 ? -errno : r;
}

uid_t ctl_peer_uid(const struct ctl_conn *c)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);
	uv_os_fd_t fd;

	if (c->io.stream.type != UV_NAMED_PIPE || uv_fileno((const uv_handle_t *)&c->io, &fd) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0) {
		return (uid_t)-1;
	}
	return cred.uid;
}

/* The label is "PROFILE (enforce)" or "PROFILE (complain)", with or without a NUL behind it. */
bool ctl_peer_confined(const struct ctl_conn *c)
{
	char label[256] = "";
	socklen_t n = sizeof(label) - 1;
	uv_os_fd_t fd;

	return c->io.stream.type == UV_NAMED_PIPE &&
	       uv_fileno((const uv_handle_t *)&c->io, &fd) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_PEERSEC, label, &n) == 0 &&
	       strcmp(label, "system_tor (enforce)") == 0;
}
