/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tor/socks.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ev/dial.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "tor/conn.h"
#include "tor/lexer.h"

enum {
	SOCKS_VERSION = 5,
	SOCKS_AUTH_VERSION = 1,
	SOCKS_USERPASS = 2,
	SOCKS_CMD_CONNECT = 1,
	SOCKS_IPV4 = 1,
	SOCKS_NAME = 3,
	SOCKS_IPV6 = 4,
};

/* --- the protocol --- */

static bool fits(const char *s)
{
	size_t n = s ? strlen(s) : 0;

	return n >= 1 && n <= SOCKS_TEXT_MAX;
}

static void out_byte(struct socks_wire *w, unsigned byte)
{
	w->out[w->out_n++] = (uint8_t)byte;
}

static void out_text(struct socks_wire *w, const char *s)
{
	size_t n = strlen(s);

	out_byte(w, (unsigned)n);
	memcpy(w->out + w->out_n, s, n);
	w->out_n += n;
}

int socks_wire_init(struct socks_wire *w, const struct socks_request *request)
{
	if (!fits(request->host) || !fits(request->user) || !fits(request->password) ||
	    request->port == 0) {
		return -EINVAL;
	}
	*w = (struct socks_wire){.state = SOCKS_METHOD, .request = *request};
	/* No other way in is offered: without a username circuits would be shared. */
	out_byte(w, SOCKS_VERSION);
	out_byte(w, 1);
	out_byte(w, SOCKS_USERPASS);
	return 0;
}

static int broken(struct socks_wire *w, int code, const char *why)
{
	w->state = SOCKS_BROKEN;
	w->problem = why;
	return -code;
}

/* Section 6 of RFC 1928, and from 0xf0 on tor's own (socks-extensions, section 4). */
static const struct {
	uint8_t reply;
	int code;
	const char *why;
} refusals[] = {
	{0x01, EHOSTUNREACH, "tor could not reach it"},
	{0x02, EACCES, "tor's configuration does not allow it"},
	{0x03, ENETUNREACH, "tor found no network to reach it by"},
	{0x04, EHOSTUNREACH, "tor could not find or reach the host"},
	{0x05, ECONNREFUSED, "the host refuses connections to that port"},
	{0x06, ETIMEDOUT, "the way to the host took too long"},
	{0x07, EPROTO, "tor does not take the request"},
	{0x08, EPROTO, "tor does not take that kind of address"},
	{0xf0, EHOSTUNREACH, "the onion service is not there: its descriptor was not found"},
	{0xf1, EBADMSG, "the onion service's descriptor is not valid"},
	{0xf2, EHOSTUNREACH, "the onion service could not be introduced to"},
	{0xf3, EHOSTUNREACH, "the onion service did not come to the rendezvous"},
	{0xf4, EACCES, "the onion service asks for a private key"},
	{0xf5, EACCES, "the onion service asks for another private key"},
	{0xf6, EINVAL, "that is no onion address"},
	{0xf7, ETIMEDOUT, "the onion service could not be introduced to in time"},
};

static int refused(struct socks_wire *w, uint8_t reply)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		if (refusals[i].reply == reply) {
			return broken(w, refusals[i].code, refusals[i].why);
		}
	}
	return broken(w, EPROTO, "tor refused it without a known reason");
}

/* Of a reply to the request: its length, as far as the bytes that are there tell. */
static size_t reply_length(const struct socks_wire *w)
{
	if (w->in_n < 5) {
		return 5;
	}
	switch (w->in[3]) {
	case SOCKS_IPV4:
		return 4 + 4 + 2;
	case SOCKS_NAME:
		return 5 + (size_t)w->in[4] + 2;
	default:
		return 4 + 16 + 2;
	}
}

size_t socks_wire_wants(const struct socks_wire *w)
{
	switch (w->state) {
	case SOCKS_METHOD:
	case SOCKS_AUTH:
		return 2 - w->in_n;
	case SOCKS_REPLY:
		return reply_length(w) - w->in_n;
	case SOCKS_CONNECTED:
	case SOCKS_BROKEN:
		break;
	}
	return 0;
}

static int take_method(struct socks_wire *w)
{
	if (w->in[0] != SOCKS_VERSION) {
		return broken(w, EPROTO, "what answers there is no SOCKS port");
	}
	if (w->in[1] != SOCKS_USERPASS) {
		return broken(w, EPROTO, "the SOCKS port does not take a username");
	}
	w->state = SOCKS_AUTH;
	out_byte(w, SOCKS_AUTH_VERSION);
	out_text(w, w->request.user);
	out_text(w, w->request.password);
	return 0;
}

static int take_auth(struct socks_wire *w)
{
	if (w->in[0] != SOCKS_AUTH_VERSION || w->in[1] != 0) {
		return broken(w, EPROTO, "the SOCKS port refuses the username");
	}
	w->state = SOCKS_REPLY;
	out_byte(w, SOCKS_VERSION);
	out_byte(w, SOCKS_CMD_CONNECT);
	out_byte(w, 0);
	out_byte(w, SOCKS_NAME);
	out_text(w, w->request.host);
	out_byte(w, w->request.port >> 8);
	out_byte(w, w->request.port & 0xff);
	return 0;
}

/* The fixed part says yes or no already; a refusal's address is not waited for. */
static int take_reply_head(struct socks_wire *w)
{
	uint8_t kind = w->in[3];

	if (w->in[0] != SOCKS_VERSION || w->in[2] != 0 ||
	    (kind != SOCKS_IPV4 && kind != SOCKS_NAME && kind != SOCKS_IPV6)) {
		return broken(w, EPROTO, "the SOCKS port's answer makes no sense");
	}
	return w->in[1] == 0 ? 0 : refused(w, w->in[1]);
}

/* The answer is whole, or its head is. */
static int take_answer(struct socks_wire *w)
{
	int r = 0;

	switch (w->state) {
	case SOCKS_METHOD:
		r = take_method(w);
		break;
	case SOCKS_AUTH:
		r = take_auth(w);
		break;
	case SOCKS_REPLY:
		r = take_reply_head(w);
		if (r < 0 || w->in_n < reply_length(w)) {
			return r;
		}
		w->state = SOCKS_CONNECTED;
		r = 1;
		break;
	case SOCKS_CONNECTED:
	case SOCKS_BROKEN:
		break;
	}
	w->in_n = 0;
	return r;
}

int socks_wire_feed(struct socks_wire *w, struct span *input)
{
	if (w->state == SOCKS_BROKEN) {
		return -EPROTO;
	}
	while (input->n > 0 && w->out_n == 0 && w->state != SOCKS_CONNECTED) {
		size_t wants = socks_wire_wants(w);
		size_t n = input->n < wants ? input->n : wants;

		memcpy(w->in + w->in_n, input->p, n);
		w->in_n += n;
		*input = span_from(*input, n);
		int r = n == wants ? take_answer(w) : 0;

		if (r < 0) {
			return r;
		}
	}
	return w->state == SOCKS_CONNECTED;
}

void socks_choose(struct span listeners, char *ret, size_t size)
{
	struct span word;
	char tcp[64] = "";

	ret[0] = '\0';
	while (ctl_next_word(&listeners, &word)) {
		_cleanup_(buf_done) struct buf text = BUF_INIT;
		struct ctl_addr addr;

		if (ctl_decode(word, &text) < 0 || text.len == 0 || text.len >= size ||
		    ctl_addr_parse(text.p, &addr, NULL) < 0) {
			continue; /* nowhere on this machine, or not a place at all */
		}
		if (ctl_addr_is_unix(&addr)) {
			memcpy(ret, text.p, text.len + 1);
			return;
		}
		if (!tcp[0] && text.len < sizeof(tcp)) {
			memcpy(tcp, text.p, text.len + 1);
		}
	}
	if (strlen(tcp) < size) {
		memcpy(ret, tcp, strlen(tcp) + 1);
	}
}

/* --- the connection --- */

struct socks {
	struct ev *ev;
	struct socks_wire wire;
	char *host, *user, *password;
	struct dial *dial; /* NULL: over */
	uv_poll_t poll;
	bool polled;
	uv_timer_t timer; /* the deadline; 0 ms: tells of a failure at once */
	const char *failed;
	int fd;
	unsigned open_handles;
	socks_fn *cb;
	void *ud;
};

static void on_handle_closed(uv_handle_t *handle)
{
	struct socks *s = handle->data;

	if (--s->open_handles == 0) {
		free(s->host);
		free(s->user);
		free(s->password);
		free(s);
	}
}

/* The socket is somebody else's, or closed, from here on. */
static void end(struct socks *s)
{
	if (s->dial) {
		dial_cancel(s->dial);
		s->dial = NULL;
	}
	if (s->polled) {
		uv_close((uv_handle_t *)&s->poll, on_handle_closed);
	}
	uv_close((uv_handle_t *)&s->timer, on_handle_closed);
}

static void fail(struct socks *s, int code, const char *why)
{
	end(s);
	if (s->fd >= 0) {
		close(s->fd);
	}
	s->cb(s->ud, code, why);
}

/* All that is to be sent fits the buffer of a fresh socket: what does not is a broken peer. */
static int send_out(struct socks *s)
{
	struct socks_wire *w = &s->wire;
	ssize_t n = w->out_n ? send(s->fd, w->out, w->out_n, MSG_NOSIGNAL) : 0;

	if (n < 0) {
		return -errno;
	}
	if ((size_t)n != w->out_n) {
		return -EPROTO;
	}
	w->out_n = 0;
	return 0;
}

/* Reads what belongs to the answer and not a byte more: the rest is for who gets the socket. */
static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct socks *s = poll->data;
	uint8_t bytes[sizeof(s->wire.in)];

	(void)events;
	(void)status; /* reading will tell */
	ssize_t n = recv(s->fd, bytes, socks_wire_wants(&s->wire), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (n <= 0) {
		fail(s, n < 0 ? -errno : -ECONNRESET, "tor's SOCKS port ended the connection");
		return;
	}
	struct span input = span_of((const char *)bytes, (size_t)n);
	int r = socks_wire_feed(&s->wire, &input);

	if (r < 0) {
		fail(s, r, s->wire.problem);
	} else if (r > 0) {
		end(s);
		s->cb(s->ud, s->fd, NULL);
	} else if ((r = send_out(s)) < 0) {
		fail(s, r, "lost the connection to tor's SOCKS port");
	}
}

static int begin(struct socks *s)
{
	int r = uv_poll_init(s->ev->loop, &s->poll, s->fd);

	if (r < 0) {
		return r;
	}
	s->poll.data = s;
	s->polled = true;
	s->open_handles++;
	r = uv_poll_start(&s->poll, UV_READABLE, on_readable);
	return r < 0 ? r : send_out(s);
}

static void on_dialled(void *ud, int fd)
{
	struct socks *s = ud;

	s->dial = NULL;
	s->fd = fd;
	int r = fd < 0 ? fd : begin(s);

	if (r < 0) {
		fail(s, r, "cannot connect to tor's SOCKS port");
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct socks *s = timer->data;

	if (s->failed) {
		fail(s, -EINVAL, s->failed);
	} else {
		fail(s, -ETIMEDOUT, "it took too long to connect through Tor");
	}
}

struct socks *socks_connect(struct ev *ev, const char *server, const struct socks_request *request,
			    unsigned timeout_ms, socks_fn *cb, void *ud)
{
	struct socks *s = xnew(struct socks);
	struct ctl_addr addr;
	int r = uv_timer_init(ev->loop, &s->timer);

	assert(r == 0); /* it has no way to fail */
	s->ev = ev;
	s->timer.data = s;
	s->open_handles = 1;
	s->fd = -1;
	s->cb = cb;
	s->ud = ud;
	s->host = xstrdup(request->host);
	s->user = xstrdup(request->user);
	s->password = xstrdup(request->password);
	const struct socks_request own = {s->host, request->port, s->user, s->password};

	if (ctl_addr_parse(server, &addr, NULL) < 0) {
		s->failed = "tor's SOCKS port is at no place that can be used";
	} else if (socks_wire_init(&s->wire, &own) < 0) {
		s->failed = "the target cannot be told to tor";
	} else {
		s->dial = dial_start(ev, (const struct sockaddr *)&addr.sa,
				     ctl_addr_is_unix(&addr)         ? sizeof(struct sockaddr_un)
				     : addr.sa.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
								     : sizeof(struct sockaddr_in),
				     timeout_ms, on_dialled, s);
	}
	r = uv_timer_start(&s->timer, on_timer, s->failed ? 0 : timeout_ms, 0);
	assert(r == 0);
	return s;
}

void socks_cancel(struct socks *s)
{
	int fd = s->fd;

	end(s);
	if (fd >= 0) {
		close(fd);
	}
}
