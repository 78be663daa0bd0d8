/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Members with a WebSocket. What all of them are told is gathered in a parcel that they
 * share: however much is said, each of them costs one write for many messages.
 */
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
	struct chat *c;
	struct list link;
	struct ws *ws;
};

static struct member *member_of(struct room_member *m)
{
	return container_of(m, struct member, m);
}

/* --- what the room says --- */

/* As JSON; to be wiped. */
static struct buf written(const struct room_event *e)
{
	struct buf b = BUF_INIT;

	talk_write(&b, e);
	return b;
}

static void post(struct chat *c, void (*send)(struct ws *ws, struct ws_parcel *p))
{
	struct ws_parcel *p = take_ptr(c->parcel);

	c->gathered = 0;
	if (!p) {
		return;
	}
	list_for_each (it, &c->sockets) {
		send(list_entry(it, struct member, link)->ws, p);
	}
	ws_parcel_unref(p);
}

void socket_post(struct chat *c)
{
	post(c, ws_send);
}

static bool is_full(const struct chat *c)
{
	return c->parcel && !ws_parcel_has_room(c->parcel, &c->limits, 1);
}

/*
 * To look whether somebody else is saying something takes a microsecond, to write to
 * everybody takes milliseconds: first the loop looks once more, until nothing came.
 */
static void on_turn(uv_idle_t *turn)
{
	struct chat *c = container_of(turn, struct chat, turn);
	unsigned messages = c->parcel ? ws_parcel_messages(c->parcel) : 0;

	c->posted = false;
	if (messages > c->gathered && !is_full(c)) {
		c->gathered = messages;
	} else {
		uv_idle_stop(turn);
		post(c, ws_send_now);
	}
}

void socket_tell_all(struct chat *c, const struct room_event *e)
{
	struct buf b;

	if (list_empty(&c->sockets)) {
		return;
	}
	b = written(e);
	if (c->parcel && !ws_parcel_has_room(c->parcel, &c->limits, b.len)) {
		post(c, ws_send_now);
		c->posted = true;
	}
	ws_parcel_add_text(&c->parcel, buf_span(&b));
	buf_wipe(&b);
	uv_idle_start(&c->turn, on_turn); /* while it is active the loop does not wait */
}

static void send_alone(struct ws *ws, const struct room_event *e)
{
	struct buf b = written(e);
	struct ws_parcel *p = ws_parcel_text(buf_span(&b));

	buf_wipe(&b);
	ws_send(ws, p);
	ws_parcel_unref(p);
}

/* What is for one alone ends the parcel: the order stays, and a newcomer gets none of it. */
static void tell(struct room_member *m, const struct room_event *e)
{
	struct member *member = member_of(m);

	socket_post(member->c);
	send_alone(member->ws, e);
}

static void dismiss(struct room_member *m, enum room_end why)
{
	struct member *member = member_of(m);

	socket_post(member->c);
	ws_close(member->ws, why == ROOM_END_FLOOD ? CLOSE_POLICY : CLOSE_GOING_AWAY);
}

static void hold(struct room_member *m, unsigned ms)
{
	ws_pause(member_of(m)->ws, ms);
}

static const struct room_kind kind = {tell, dismiss, hold};

/* --- what the visitor does --- */

static void on_text(void *ud, struct span utf8)
{
	talk_hear(&((struct member *)ud)->m, utf8);
}

/* However many speak at once: after a full parcel other services have their turn. */
static bool on_enough(void *ud)
{
	const struct chat *c = ((struct member *)ud)->c;

	return c->posted || is_full(c);
}

static void on_closed(void *ud)
{
	struct member *member = ud;

	list_remove(&member->link);
	room_leave(&member->m);
	free(member);
	crypto_wipe_stack(); /* the others were told his name */
}

/* A browser's script does not learn the status of a refused handshake: it is told inside. */
static void turn_away(struct ws *ws)
{
	send_alone(ws, &(struct room_event){.type = ROOM_ERROR,
					    .text = SPAN("The room is full. Try again later.")});
	ws_close(ws, CLOSE_TRY_LATER);
}

void socket_request(struct chat *c, struct http_req *req)
{
	static const struct ws_ops ops = {.text = on_text,
					  .closed = on_closed,
					  .enough = on_enough};
	struct member *member = xnew(struct member);

	member->c = c;
	list_init(&member->link);
	member->ws = ws_accept(req, &c->limits, &ops, member);
	if (!member->ws) {
		free(member);
	} else if (room_join(c->room, &member->m, &kind) < 0) {
		turn_away(member->ws);
	} else {
		list_append(&c->sockets, &member->link);
	}
}
