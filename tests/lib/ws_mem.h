/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A WebSocket that echoes, over an io in memory, for tests and fuzzing; and
 * frames as a client makes them, and as it reads them.
 */
#pragma once

#include "http/ws/in.h"
#include "http/ws/ws.h"
#include "tests/lib/http_mem.h"

#define WS_MEM_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define WS_MEM_HELLO                                                                           \
	"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
	"Sec-WebSocket-Key: " WS_MEM_KEY "\r\nSec-WebSocket-Version: 13\r\n"

struct ws_mem {
	uv_loop_t loop;
	struct ev ev;
	struct http_server *server;
	struct mem_io io;
	struct ws_limits limits;
	struct ws *ws; /* NULL once it is closed, or was refused */
	bool refused, mute, enough, server_closed;
	unsigned texts, closed, requests_done, requests_aborted;
	struct buf heard;                    /* the last text */
	void (*on_text)(struct ws_mem *m);   /* instead of an echo */
	void (*on_closed)(struct ws_mem *m); /* besides */
	size_t out_at;                       /* what of io.out was looked at */
};

static inline void ws_mem_say(struct ws_mem *m, struct span text)
{
	struct ws_parcel *p = ws_parcel_text(text);

	if (m->ws) {
		ws_send(m->ws, p);
	}
	ws_parcel_unref(p);
}

static inline void ws_mem_text(void *ud, struct span text)
{
	struct ws_mem *m = ud;

	m->texts++;
	buf_clear(&m->heard);
	buf_add_span(&m->heard, text);
	if (m->on_text) {
		m->on_text(m);
	} else if (!m->mute) {
		ws_mem_say(m, text);
	}
}

static inline void ws_mem_closed(void *ud)
{
	struct ws_mem *m = ud;

	m->closed++;
	m->ws = NULL;
	if (m->on_closed) {
		m->on_closed(m);
	}
}

static inline bool ws_mem_enough(void *ud)
{
	return ((struct ws_mem *)ud)->enough;
}

static inline void ws_mem_done(void *ud)
{
	((struct ws_mem *)ud)->requests_done++;
}

static inline void ws_mem_abort(void *ud)
{
	((struct ws_mem *)ud)->requests_aborted++;
}

static inline void ws_mem_request(void *ud, struct http_req *req)
{
	static const struct ws_ops ops = {ws_mem_text, ws_mem_closed, ws_mem_enough};
	static const struct http_observer observer = {.done = ws_mem_done, .abort = ws_mem_abort};
	struct ws_mem *m = ud;

	http_req_observe(req, &observer, m);
	m->ws = ws_accept(req, &m->limits, &ops, m);
	m->refused = !m->ws;
}

static inline void ws_mem_open(struct ws_mem *m)
{
	static const struct http_server_ops ops = {.request = ws_mem_request};
	const struct http_server_config config = {.limits = http_limits_default,
						  .csp = "",
						  .peer_uid = (uid_t)-1};

	*m = (struct ws_mem){.limits = ws_limits_default};
	uv_loop_init(&m->loop);
	ev_init(&m->ev, &m->loop, 1u << 20);
	m->server = http_server_new(&m->ev, &config, &ops, m);
	mem_open(&m->io, m->server);
}

static inline void ws_mem_server_closed(void *ud)
{
	((struct ws_mem *)ud)->server_closed = true;
}

/* Also from within a callback. */
static inline void ws_mem_end_server(struct ws_mem *m)
{
	if (m->server) {
		http_server_close(take_ptr(m->server), ws_mem_server_closed, m);
	}
}

static inline void ws_mem_close(struct ws_mem *m)
{
	ws_mem_end_server(m);
	mem_run(&m->io, &m->loop);
	while (!m->server_closed) {
		uv_run(&m->loop, UV_RUN_ONCE);
	}
	mem_done(&m->io);
	buf_done(&m->heard);
	ev_done(&m->ev);
	uv_loop_close(&m->loop);
}

static inline void ws_mem_run(struct ws_mem *m)
{
	mem_run(&m->io, &m->loop);
}

static inline void ws_mem_send(struct ws_mem *m, struct span bytes)
{
	mem_send(&m->io, &m->loop, bytes);
}

/* Shakes hands; the answer's head is passed over. */
static inline void ws_mem_greet(struct ws_mem *m)
{
	ws_mem_send(m, SPAN(WS_MEM_HELLO "\r\n"));
	m->out_at = m->io.out.len;
}

/* A client's frame: first byte as it is, the shortest length, masked. */
static inline void ws_mem_frame(struct buf *b, unsigned first, struct span payload)
{
	static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
	size_t n = payload.n;

	buf_add_char(b, (char)first);
	if (n < 126) {
		buf_add_char(b, (char)(0x80 | n));
	} else if (n < 65536) {
		buf_add_char(b, (char)(0x80 | 126));
		buf_add_char(b, (char)(n >> 8));
		buf_add_char(b, (char)n);
	} else {
		buf_add_char(b, (char)(0x80 | 127));
		for (int shift = 56; shift >= 0; shift -= 8) {
			buf_add_char(b, (char)((uint64_t)n >> shift));
		}
	}
	buf_add(b, mask, sizeof(mask));
	for (size_t i = 0; i < n; i++) {
		buf_add_char(b, (char)((unsigned char)payload.p[i] ^ mask[i % 4]));
	}
}

struct ws_mem_frame_seen {
	unsigned first;
	struct span payload;
};

/*
 * The next frame in what was written: 1, 0 if there is nothing (whole), -1 if it
 * is none that a server may send. Its span is valid until more is written.
 */
static inline int ws_mem_next(struct ws_mem *m, struct ws_mem_frame_seen *ret)
{
	struct span s = span_from(buf_span(&m->io.out), m->out_at);
	const unsigned char *p = (const unsigned char *)s.p;
	size_t head = 2, n;

	if (s.n < 2) {
		return 0;
	}
	n = p[1];
	if (n == 126 && s.n >= 4) {
		head = 4;
		n = (size_t)p[2] << 8 | p[3];
	} else if (n == 127 && s.n >= 10) {
		head = 10;
		n = 0;
		for (size_t i = 2; i < 10; i++) {
			n = n << 8 | p[i];
		}
	}
	if (p[1] & 0x80 || (head == 4 && n < 126) || (head == 10 && n < 65536)) {
		return -1;
	}
	if (s.n - head < n) {
		return 0;
	}
	ret->first = p[0];
	ret->payload = span_of(s.p + head, n);
	m->out_at += head + n;
	return 1;
}
