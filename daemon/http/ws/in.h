/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a WebSocket client sends (RFC 6455 section 5), made into events: pure and
 * incremental, bytes in, events out. wslay takes frames apart and unmasks them;
 * what a sequence of frames means is judged here. Whatever was said is wiped by the
 * next call, and memory is held only while a frame or message is partly here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/span.h"
#include "proto/base/utf8.h"

#define WS_MAX_CONTROL 125 /* bytes of a control frame (section 5.5) */

/* Close codes (section 7.4.1, and the registry of RFC 6455 section 11.7). */
#define WS_CLOSE_NONE        0 /* the frame had no code */
#define WS_CLOSE_NORMAL      1000
#define WS_CLOSE_GOING_AWAY  1001
#define WS_CLOSE_PROTOCOL    1002
#define WS_CLOSE_UNSUPPORTED 1003
#define WS_CLOSE_NOT_UTF8    1007
#define WS_CLOSE_POLICY      1008
#define WS_CLOSE_TOO_BIG     1009
#define WS_CLOSE_TRY_LATER   1013

/* May it stand in a close frame? */
bool ws_close_code_is_valid(unsigned code);

enum ws_in_kind {
	WS_IN_MORE, /* nothing before more bytes come */
	WS_IN_TEXT, /* payload: a whole message, valid UTF-8 */
	WS_IN_PING, /* payload: what to answer with */
	WS_IN_PONG,
	WS_IN_CLOSE,  /* code: the peer's */
	WS_IN_FAILED, /* code: to close with. No call may follow */
};

struct ws_in_event {
	enum ws_in_kind kind;
	struct span payload; /* until the next call */
	unsigned code;
};

struct ws_parser;

/* All zero but for the limits: nothing has come yet. */
struct ws_in {
	uint32_t max_message;
	unsigned max_fragments;

	struct ws_parser *parser; /* NULL between two frames */
	bool unread;              /* it holds bytes behind the last event */
	/* the frame that is partly here */
	bool in_frame, fin;
	uint8_t opcode;
	uint64_t frame_left;
	/* the message that is partly here */
	bool in_message;
	unsigned fragments;
	struct utf8_state utf8;
	char *text;
	size_t len, cap;
	struct span shown; /* what the last event showed, to be wiped */
};

/* The next event of what begins in *bytes, whose front is taken. */
void ws_in_next(struct ws_in *in, struct span *bytes, struct ws_in_event *ret);
/* Wipes what the last event showed, sooner than the next call would. */
void ws_in_forget(struct ws_in *in);
/* A frame or a message is partly here. */
bool ws_in_is_partial(const struct ws_in *in);
/* Wipes and gives back what is held. */
void ws_in_done(struct ws_in *in);
