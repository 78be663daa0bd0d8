/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Members with a WebSocket. */
#include <stdlib.h>

#include "mode/chat/chat.h"
#include "mode/chat/talk.h"
#include "proto/base/alloc.h"
#include "proto/base/crypto.h"

#define CLOSE_GOING_AWAY 1001 /* RFC 6455 section 7.4.1 */
#define CLOSE_POLICY     1008
#define CLOSE_TRY_LATER  1013

struct member {
	struct room_member m;
	struct ws *ws;
};

static struct member *member_of(struct room_member *m)
{
	return container_of(m, struct member, m);
}

/* --- what the room asks --- */

static void *render(const struct room_event *e)
{
	struct buf b = BUF_INIT;
	struct ws_frame *f;

	talk_write(&b, e);
	f = ws_frame_text(buf_span(&b));
	buf_wipe(&b);
	return f;
}

static void release(void *rendered)
{
	ws_frame_unref(rendered);
}

static void deliver(struct room_member *m, const struct room_event *e, void *rendered, bool own)
{
	(void)e;
	(void)own;
	ws_send(member_of(m)->ws, rendered);
}

static void dismiss(struct room_member *m, enum room_end why)
{
	ws_close(member_of(m)->ws, why == ROOM_END_FLOOD ? CLOSE_POLICY : CLOSE_GOING_AWAY);
}

static void hold(struct room_member *m, unsigned ms)
{
	ws_pause(member_of(m)->ws, ms);
}

static const struct room_kind kind = {render, release, deliver, dismiss, hold};

/* --- what the visitor does --- */

static void on_text(void *ud, struct span utf8)
{
	talk_hear(&((struct member *)ud)->m, utf8);
}

static void on_closed(void *ud)
{
	struct member *member = ud;

	room_leave(&member->m);
	free(member);
	crypto_wipe_stack(); /* the others were told his name */
}

/* A browser's script does not learn the status of a refused handshake: it is told inside. */
static void turn_away(struct ws *ws)
{
	void *full =
		render(&(struct room_event){.type = ROOM_ERROR,
					    .text = SPAN("The room is full. Try again later.")});

	ws_send(ws, full);
	release(full);
	ws_close(ws, CLOSE_TRY_LATER);
}

void socket_request(struct chat *c, struct http_req *req)
{
	static const struct ws_ops ops = {.text = on_text, .closed = on_closed};
	struct member *member = xnew(struct member);

	member->ws = ws_accept(req, &c->limits, &ops, member);
	if (!member->ws) {
		free(member);
	} else if (room_join(c->room, &member->m, &kind) < 0) {
		turn_away(member->ws);
	}
}
