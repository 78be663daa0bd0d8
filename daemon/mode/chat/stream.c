/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Members without JavaScript: the room is a response that does not end. Its body comes
 * from a queue with the bounds of a WebSocket's; whoever does not read is cut. The stream is
 * the member: it begins with it and leaves with it, and the secret in its forms is
 * worth nothing any more.
 */
#include <stdlib.h>

#include "mode/chat/chat.h"
#include "mode/chat/html.h"
#include "proto/base/alloc.h"
#include "proto/base/crypto.h"

#define SECRET_LEN 26   /* of 32 characters: 130 bits */
#define STALLED_MS 1000 /* over the number of messages is who has taken nothing for so long */

struct stream {
	struct http_source src;
	struct room_member m;
	struct chat *c;
	struct list link;
	char secret[SECRET_LEN + 1];
	struct buf sending, queue;
	unsigned queued;   /* messages in queue */
	uint64_t taken_ms; /* when the connection last took what there was */
	bool wanted;       /* it waits for more */
	bool last;         /* nothing comes behind the queue */
	bool cut;
};

static struct stream *stream_of(struct room_member *m)
{
	return container_of(m, struct stream, m);
}

/* --- to the visitor --- */

static void hand_over(struct stream *s)
{
	buf_wipe(&s->sending);
	s->sending = s->queue;
	s->queue = BUF_INIT;
	s->queued = 0;
	s->wanted = false;
	s->taken_ms = ev_now_ms(s->c->ev);
	http_source_chunk(&s->src, buf_span(&s->sending), s->last);
}

static void on_pull(struct http_source *src)
{
	struct stream *s = container_of(src, struct stream, src);

	s->wanted = true;
	if (s->queue.len || s->last) {
		hand_over(s);
	} else {
		buf_wipe(&s->sending);
		s->taken_ms = ev_now_ms(s->c->ev);
	}
}

static void on_stop(struct http_source *src)
{
	struct stream *s = container_of(src, struct stream, src);

	list_remove(&s->link);
	room_leave(&s->m);
	buf_wipe(&s->sending);
	buf_wipe(&s->queue);
	crypto_wipe(s, sizeof(*s));
	free(s);
	crypto_wipe_stack(); /* the others were told his name */
}

static bool is_over_backlog(const struct stream *s)
{
	const struct ws_limits *l = &s->c->limits;

	return s->queue.len > l->queue_bytes ||
	       (s->queued > l->queue_messages && ev_now_ms(s->c->ev) - s->taken_ms > STALLED_MS);
}

/* One more message is in the queue. */
static void added(struct stream *s)
{
	s->queued++;
	if (is_over_backlog(s)) {
		s->cut = true;
		buf_wipe(&s->queue);
		http_source_fail(&s->src, 0);
	} else if (s->wanted) {
		hand_over(s);
	}
}

/* --- what the room asks --- */

/* html: the event's. own: it is the member's own doing. */
static void deliver(struct stream *s, const struct room_event *e, struct span html, bool own)
{
	if (s->cut || s->last) {
		return;
	}
	html_event_begin(&s->queue, e, own);
	buf_add_span(&s->queue, html);
	if (own && e->type != ROOM_ERROR) {
		/* What was typed is said: empty forms. After an error it stays, to be mended. */
		html_forms(&s->queue, s->secret, e->type == ROOM_WELCOME);
	}
	added(s);
}

void stream_tell_all(struct chat *c, const struct room_event *e, const struct room_member *who)
{
	struct buf html = BUF_INIT;

	if (list_empty(&c->streams)) {
		return;
	}
	html_event(&html, e);
	list_for_each (it, &c->streams) {
		struct stream *s = list_entry(it, struct stream, link);

		deliver(s, e, buf_span(&html), &s->m == who);
	}
	buf_wipe(&html);
}

static void tell(struct room_member *m, const struct room_event *e)
{
	struct buf html = BUF_INIT;

	html_event(&html, e);
	deliver(stream_of(m), e, buf_span(&html), true);
	buf_wipe(&html);
}

static void dismiss(struct room_member *m, enum room_end why)
{
	struct stream *s = stream_of(m);

	if (!s->cut) {
		html_stream_end(&s->queue, why);
		s->last = true;
		added(s);
	}
}

static const struct room_kind kind = {tell, dismiss, NULL};

void stream_beat(struct chat *c)
{
	list_for_each (it, &c->streams) {
		struct stream *s = list_entry(it, struct stream, link);

		if (!s->cut && !s->last) {
			html_beat(&s->queue);
			added(s);
		}
	}
}

/* --- coming in --- */

static struct stream *stream_new(struct chat *c)
{
	static const struct http_source_ops ops = {.pull = on_pull, .stop = on_stop};
	struct stream *s = xnew(struct stream);

	s->src.ops = &ops;
	s->src.endless = true;
	s->c = c;
	crypto_random_name(s->secret, SECRET_LEN);
	list_init(&s->link);
	html_stream_begin(&s->queue, c->title);
	return s;
}

void stream_request(struct chat *c, struct http_req *req)
{
	struct http_resp resp;
	struct stream *s;

	if (req->method != HTTP_METHOD_GET) {
		http_respond_method(req, "GET"); /* HEAD would come in and be gone */
		return;
	}
	if (http_req_cross_site(req)) {
		http_respond_error(req, 403);
		return;
	}
	s = stream_new(c);
	if (room_join(c->room, &s->m, &kind) < 0) {
		on_stop(&s->src);
		http_respond_error(req, 503);
		return;
	}
	list_append(&c->streams, &s->link);
	html_beat(&s->queue);
	http_resp_init(&resp, req, 200);
	resp.framed = true;
	http_resp_field(&resp, "Content-Type", "text/html; charset=utf-8");
	http_resp_field(&resp, "Cache-Control", "no-store");
	http_respond(req, &resp, http_body_source(&s->src, HTTP_LENGTH_UNKNOWN));
}

struct room_member *stream_find(struct chat *c, struct span secret)
{
	list_for_each (it, &c->streams) {
		struct stream *s = list_entry(it, struct stream, link);

		if (secret.n == SECRET_LEN && crypto_equal(secret.p, s->secret, SECRET_LEN)) {
			return &s->m;
		}
	}
	return NULL;
}
