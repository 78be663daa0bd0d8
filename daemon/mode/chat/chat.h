/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The chat mode's own struct, and the two kinds of members: for this folder only. */
#pragma once

#include "http/ws/ws.h"
#include "mode/chat/room.h"
#include "mode/mode.h"

/* What of a form's body is kept, in bytes; more is not read. */
#define POST_BODY_MAX (64u * 1024)

struct chat {
	struct mode mode;
	struct ev *ev;
	struct mode_host host;
	char *title;
	struct room *room;
	struct ws_limits limits;
	struct list sockets;      /* of socket.c */
	struct ws_parcel *parcel; /* what all those are still to be told */
	unsigned gathered;        /* messages that were in it when the turn of the loop began */
	bool posted;              /* one was full in this turn and went out */
	uv_idle_t turn;           /* runs while there is a parcel */
	struct list streams;      /* of stream.c */
	uv_timer_t beat;          /* runs while there are streams */
	uv_timer_t report;        /* of how many there are, to the host */
	unsigned reported;
	bool started;
	void (*ready)(void *ud, const struct error *err);
	void *ready_ud;
	unsigned open_handles;
	void (*stopped)(void *ud);
	void *stopped_ud;
};

/* --- socket.c: members with a WebSocket --- */
void socket_request(struct chat *c, struct http_req *req);
/* They hear of it together with whatever else is being said. */
void socket_tell_all(struct chat *c, const struct room_event *e);
/* Whoever they are now, what is still to be told is theirs. */
void socket_post(struct chat *c);

/* --- stream.c: members without JavaScript --- */
void stream_request(struct chat *c, struct http_req *req);
void stream_tell_all(struct chat *c, const struct room_event *e, const struct room_member *who);
/* The member who has this secret, or NULL. In constant time for each one. */
struct room_member *stream_find(struct chat *c, struct span secret);
/* A sign of life to all of them. */
void stream_beat(struct chat *c);

/* --- post.c: what they send --- */
void post_request(struct chat *c, struct http_req *req);
