/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One WebSocket: what comes in (ws_in), what goes out (ws_out), the clock, the end.
 *
 *	OPEN      messages go both ways
 *	CLOSING   the close frame is the last one in the queue; nothing is heard any
 *	          more, and the user is told so at the end of the turn. When it is
 *	          written the connection closes, or lingers if the peer knows nothing of it
 */
#include "http/ws/ws.h"

#include <endian.h>
#include <stdlib.h>
#include <wslay/wslay.h>

#include "http/upgrade.h"
#include "http/ws/handshake.h"
#include "http/ws/in.h"
#include "http/ws/out.h"
#include "proto/base/alloc.h"

#define EVENTS_A_TURN 100

const struct ws_limits ws_limits_default = {
	.message = 64 * 1024,
	.fragments = 1024,
	.control_per_second = 10,
	.queue_messages = 128,
	.queue_bytes = 256 * 1024,
	.ping_ms = 30 * 1000,
	.pong_ms = 30 * 1000,
	.message_ms = 120 * 1000,
	.close_ms = 10 * 1000,
};

enum ws_state {
	WS_OPEN,
	WS_CLOSING,
};

struct ws {
	struct http_upgrade up;
	const struct ws_limits *limits;
	const struct ws_ops *ops;
	void *ud;
	enum ws_state state;
	bool told;        /* the user, of the end */
	bool peer_closed; /* its close frame came first */
	bool pinged;      /* since then nothing was heard */
	bool lost;        /* it did not answer in time */
	struct ws_in in;
	struct ws_out out;
	/* in ms */
	uint64_t heard;         /* when the peer gave its last sign of life */
	uint64_t asked;         /* when the ping was queued */
	uint64_t message_since; /* 0: no message is partly here */
	uint64_t paused_until;  /* 0: not paused */
	uint64_t closing_since;
	uint64_t control_due; /* runs ahead of the clock by what control frames have used up */
};

static struct ws *self_of(const struct http_upgrade *u)
{
	return container_of(u, struct ws, up);
}

static uint64_t now_ms(const struct ws *ws)
{
	return http_upgrade_now(&ws->up);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* --- going out --- */

static void push_new(struct ws *ws, unsigned opcode, struct span payload)
{
	struct ws_parcel *p = ws_parcel_new(opcode, payload);

	ws_out_push(&ws->out, p);
	ws_parcel_unref(p);
}

static void begin_close(struct ws *ws, unsigned code)
{
	uint16_t wire = htobe16((uint16_t)code);

	if (ws->state != WS_OPEN) {
		return;
	}
	ws->state = WS_CLOSING;
	ws->closing_since = now_ms(ws);
	push_new(ws, WSLAY_CONNECTION_CLOSE,
		 code ? span_of((const char *)&wire, sizeof(wire)) : SPAN_NONE);
	http_upgrade_kick(&ws->up);
}

static bool is_full(const struct ws *ws, size_t n)
{
	return ws->out.messages >= ws->limits->queue_messages ||
	       ws->out.bytes + n > ws->limits->queue_bytes;
}

/*
 * Many messages may be queued before the turn in which they are written: a queue that
 * others fill faster than that is no sign of a peer who does not read.
 */
static bool enqueue(struct ws *ws, struct ws_parcel *p)
{
	if (ws->state != WS_OPEN) {
		return false;
	}
	if (is_full(ws, p->n)) {
		http_upgrade_flush(&ws->up);
	}
	if (is_full(ws, p->n)) {
		ws_out_drop_unsent(&ws->out);
		begin_close(ws, WS_CLOSE_TRY_LATER);
		return false;
	}
	ws_out_push(&ws->out, p);
	return true;
}

void ws_send(struct ws *ws, struct ws_parcel *p)
{
	if (enqueue(ws, p)) {
		http_upgrade_kick(&ws->up);
	}
}

void ws_send_now(struct ws *ws, struct ws_parcel *p)
{
	if (enqueue(ws, p)) {
		http_upgrade_flush(&ws->up);
	}
}

static void send_control(struct ws *ws, unsigned opcode, struct span payload)
{
	struct ws_parcel *p = ws_parcel_new(opcode, payload);

	ws_send(ws, p);
	ws_parcel_unref(p);
}

void ws_close(struct ws *ws, unsigned code)
{
	begin_close(ws, code);
}

void ws_pause(struct ws *ws, unsigned ms)
{
	ws->paused_until = ms ? now_ms(ws) + ms : 0;
	ws->heard = now_ms(ws);
	ws->pinged = false;
	http_upgrade_kick(&ws->up);
}

static int ws_output(struct http_upgrade *u, struct iovec *iov, int n)
{
	return ws_out_pieces(&self_of(u)->out, iov, n);
}

static void ws_written(struct http_upgrade *u, size_t n)
{
	ws_out_written(&self_of(u)->out, n);
}

/* --- coming in --- */

/* A peer that makes us answer all the time is no peer. */
static bool is_control_flood(struct ws *ws)
{
	uint64_t now = now_ms(ws);

	if (ws->control_due < now) {
		ws->control_due = now;
	}
	ws->control_due += 1000 / ws->limits->control_per_second;
	return ws->control_due > now + 2 * 1000;
}

static void on_event(struct ws *ws, const struct ws_in_event *ev)
{
	switch (ev->kind) {
	case WS_IN_MORE:
		break;
	case WS_IN_TEXT:
		ws->ops->text(ws->ud, ev->payload);
		break;
	case WS_IN_PING:
	case WS_IN_PONG:
		if (is_control_flood(ws)) {
			begin_close(ws, WS_CLOSE_POLICY);
		} else if (ev->kind == WS_IN_PING) {
			send_control(ws, WSLAY_PONG, ev->payload);
		}
		break;
	case WS_IN_CLOSE:
		ws->peer_closed = true;
		begin_close(ws, ev->code);
		break;
	case WS_IN_FAILED:
		begin_close(ws, ev->code);
		break;
	}
}

static bool ws_reads(const struct http_upgrade *u)
{
	const struct ws *ws = self_of(u);

	return ws->state == WS_OPEN && !ws->paused_until;
}

static bool ws_enough(const struct http_upgrade *u)
{
	const struct ws *ws = self_of(u);

	return ws->state == WS_OPEN && ws->ops->enough && ws->ops->enough(ws->ud);
}

static bool ws_busy(const struct http_upgrade *u)
{
	return self_of(u)->in.unread;
}

/* Only what has begun and not ended is held against the clock. */
static void watch_message(struct ws *ws)
{
	if (!ws_in_is_partial(&ws->in)) {
		ws->message_since = 0;
	} else if (!ws->message_since) {
		ws->message_since = now_ms(ws);
	}
}

static size_t ws_input(struct http_upgrade *u, struct span bytes)
{
	struct ws *ws = self_of(u);
	struct span rest = bytes;
	struct ws_in_event ev;

	ws->heard = now_ms(ws);
	ws->pinged = false;
	for (int i = 0; i < EVENTS_A_TURN && ws_reads(u); i++) {
		ws_in_next(&ws->in, &rest, &ev);
		if (ev.kind == WS_IN_MORE) {
			break;
		}
		on_event(ws, &ev);
		ws_in_forget(&ws->in);
		if (!ws->in.in_message) {
			ws->message_since = 0;
		}
	}
	watch_message(ws);
	return ws->state == WS_OPEN ? bytes.n - rest.n : bytes.n;
}

/* --- the end --- */

static void tell_closed(struct ws *ws)
{
	if (!ws->told) {
		ws->told = true;
		ws->ops->closed(ws->ud);
	}
}

static enum http_upgrade_fate ws_settle(struct http_upgrade *u)
{
	struct ws *ws = self_of(u);

	if (ws->lost) {
		return HTTP_UPGRADE_CUT;
	}
	if (ws->state == WS_OPEN) {
		return HTTP_UPGRADE_STAYS;
	}
	ws_in_done(&ws->in);
	tell_closed(ws);
	if (ws->out.n) {
		return HTTP_UPGRADE_STAYS;
	}
	/* Section 7.1.1: the server closes first, but not so that a reset eats the close frame. */
	return ws->peer_closed ? HTTP_UPGRADE_CLOSES : HTTP_UPGRADE_LINGERS;
}

static void ws_stop(struct http_upgrade *u)
{
	begin_close(self_of(u), WS_CLOSE_GOING_AWAY);
}

static void ws_gone(struct http_upgrade *u)
{
	struct ws *ws = self_of(u);

	ws->state = WS_CLOSING;
	tell_closed(ws);
}

static void ws_release(struct http_upgrade *u)
{
	struct ws *ws = self_of(u);

	ws_in_done(&ws->in);
	ws_out_done(&ws->out);
	free(ws);
}

/* --- the clock --- */

static uint64_t ws_deadline(const struct http_upgrade *u)
{
	const struct ws *ws = self_of(u);
	const struct ws_limits *l = ws->limits;
	uint64_t at;

	if (ws->state == WS_CLOSING) {
		return ws->closing_since + l->close_ms;
	}
	if (ws->paused_until) {
		return ws->paused_until;
	}
	at = ws->pinged ? ws->asked + l->pong_ms : ws->heard + l->ping_ms;
	return ws->message_since ? earlier(at, ws->message_since + l->message_ms) : at;
}

static void ping(struct ws *ws)
{
	ws->pinged = true;
	ws->asked = now_ms(ws);
	send_control(ws, WSLAY_PING, SPAN_NONE);
}

static bool message_is_overdue(const struct ws *ws)
{
	return ws->message_since && ws->message_since + ws->limits->message_ms <= now_ms(ws);
}

static void ws_timeout(struct http_upgrade *u)
{
	struct ws *ws = self_of(u);
	bool open = ws->state == WS_OPEN;

	if (open && ws->paused_until) {
		ws_pause(ws, 0);
	} else if (open && message_is_overdue(ws)) {
		begin_close(ws, WS_CLOSE_POLICY);
	} else if (open && !ws->pinged) {
		ping(ws);
	} else { /* neither a pong came nor, at the end, room for the close frame */
		ws->lost = true;
	}
}

/* --- the beginning --- */

static const struct http_upgrade_ops upgrade_ops = {
	.input = ws_input,
	.reads = ws_reads,
	.enough = ws_enough,
	.busy = ws_busy,
	.output = ws_output,
	.written = ws_written,
	.settle = ws_settle,
	.deadline = ws_deadline,
	.timeout = ws_timeout,
	.stop = ws_stop,
	.gone = ws_gone,
	.release = ws_release,
};

struct ws *ws_accept(struct http_req *req, const struct ws_limits *limits, const struct ws_ops *ops,
		     void *ud)
{
	int status = ws_handshake_judge(req);
	struct http_resp resp;
	struct ws *ws;

	if (status) {
		ws_handshake_refuse(req, status);
		return NULL;
	}
	ws = xnew(struct ws);
	ws->up.ops = &upgrade_ops;
	ws->limits = limits;
	ws->ops = ops;
	ws->ud = ud;
	ws->in.max_message = limits->message;
	ws->in.max_fragments = limits->fragments;
	ws_handshake_answer(req, &resp);
	if (!http_upgrade(req, &resp, &ws->up)) {
		free(ws);
		http_respond_error(req, 503);
		return NULL;
	}
	ws->heard = now_ms(ws);
	return ws;
}
