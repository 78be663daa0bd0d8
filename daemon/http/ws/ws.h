/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * WebSocket (RFC 6455), the server's side, on a connection that began as HTTP.
 *
 * Text messages only, no extension, no subprotocol. What is sent is framed once
 * and shared by all who get it: frames of a server are not masked, so their bytes
 * are the same for everybody, and many of them can be one piece. Messages stand in memory while
 *they are on their way and are wiped behind the last one who needs them.
 *
 *	peer's fault           closed with
 *	against the protocol   1002 (reserved bits, opcodes, no mask, bad fragments)
 *	not text               1003
 *	not UTF-8              1007
 *	floods of control, far too many fragments, a message that never ends
 *	                       1008
 *	too large              1009
 *	does not read          1013
 *	no sign of life        no close code: the connection is cut
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "http/req.h"
#include "proto/base/span.h"

/*
 * One peer. Its connection owns it: it lives from ws_accept to the end of the
 * call of closed, and is not to be used after that.
 */
struct ws;
/*
 * Messages on their way, one behind another in one piece of memory. Shared by reference
 * count: who gets it last is not known before.
 */
struct ws_parcel;

/*
 * They come from the loop, never from within a call of this header; closed also
 * from within http_server_close, and by then no peer takes anything any more.
 */
struct ws_ops {
	/*
	 * A whole message, valid UTF-8, possibly empty, for the time of the call only:
	 * it is wiped afterwards. Not called any more after ws_close.
	 */
	void (*text)(void *ud, struct span utf8);
	/*
	 * The peer is gone, or as good as gone: once, the last call, whoever closed.
	 * It comes when there is nothing more to hear; the connection may live on for
	 * close_ms to bring what is queued and the close frame to the peer.
	 */
	void (*closed)(void *ud);
	/*
	 * Enough was heard in this turn of the loop: nothing is taken from the peer before the
	 * next one. NULL: there is never enough.
	 */
	bool (*enough)(void *ud);
};

struct ws_limits {
	uint32_t message;            /* bytes of a message that comes in */
	unsigned fragments;          /* frames of one message */
	unsigned control_per_second; /* pings and pongs; bursts of twice that are fine */
	unsigned queue_messages;     /* not yet with the kernel ... */
	uint32_t queue_bytes;        /* ... and their bytes */
	unsigned ping_ms;            /* a silent peer is asked after that long ... */
	unsigned pong_ms;            /* ... and cut when it says nothing for so long */
	unsigned message_ms;         /* a message that has begun is to be whole by then */
	unsigned close_ms;           /* that long a peer may take to read what is left for it */
};

/* 64 KiB, 1024, 10, 128, 256 KiB, 30 s, 30 s, 120 s, 10 s */
extern const struct ws_limits ws_limits_default;

/*
 * Answers the handshake of req (RFC 6455 section 4.2), which must not have been
 * answered yet: 101 and the peer, or NULL after an error page: 400, 403 (an Origin
 * that is not ours, "null" among them; none at all is no browser and is let in),
 * 405, 426. limits and ops are not copied and outlive the ws. The request is done with in any case:
 * its observer is told as ever, and it is not to be used after the return.
 */
struct ws *ws_accept(struct http_req *req, const struct ws_limits *limits, const struct ws_ops *ops,
		     void *ud);

/* A text message with one reference, the caller's. utf8 must be valid; it is copied. */
struct ws_parcel *ws_parcel_text(struct span utf8);
/*
 * One more behind those in *p, which nobody else has a reference to; NULL is an empty
 * one. *p may move.
 */
void ws_parcel_add_text(struct ws_parcel **p, struct span utf8);
unsigned ws_parcel_messages(const struct ws_parcel *p);
/* For so many bytes more: with them it is half a backlog at most. */
bool ws_parcel_has_room(const struct ws_parcel *p, const struct ws_limits *limits, size_t n);
/* The bytes are wiped when the last reference goes. NULL is fine. */
void ws_parcel_unref(struct ws_parcel *p);

/*
 * Queues p for ws, which takes a reference of its own. Written in the next turn of
 * the loop at the latest, together with whatever else is queued until then. Over the
 * backlog, which ends with a whole parcel: closed with 1013, what was queued is dropped,
 * and closed comes later, from the loop. Does nothing once the ws is closing.
 */
void ws_send(struct ws *ws, struct ws_parcel *p);
/* The same, but as much as there is room for is written at once: when nothing more is to come. */
void ws_send_now(struct ws *ws, struct ws_parcel *p);
/*
 * Nothing is taken from the peer for so long, so that it has to wait: for those who
 * send too much. What came already is kept. Pings rest meanwhile; 0 ends it.
 */
void ws_pause(struct ws *ws, unsigned ms);
/*
 * Begins the close; what is queued goes out before. code: 1000 to 1003, 1007 to 1014,
 * 3000 to 4999. Does nothing if the ws is closing already.
 */
void ws_close(struct ws *ws, unsigned code);
