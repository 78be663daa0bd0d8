/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The chat mode: one room, in memory alone. Its life, its pages, and which way a
 * request goes. Nothing of what is said is given to the host: only how many are there.
 */
#include "mode/chat/chat.h"

#include <stdlib.h>

#include "mode/assets.h"
#include "mode/chat/html.h"
#include "proto/base/alloc.h"

#define BEAT_MS   20000
#define REPORT_MS 250 /* of the members' number, at most that often */

/* A newcomer's list of names must fit into his backlog, beside what is said meanwhile. */
#define WELCOME_BYTES (NICK_MAX + 3)
#define SPARE_BYTES   (96u * 1024)

static struct chat *chat_of(const struct mode *m)
{
	return (struct chat *)(uintptr_t)((const char *)m - offsetof(struct chat, mode));
}

/* --- how many are there --- */

static void report(struct chat *c)
{
	unsigned n = room_members(c->room);

	if (n != c->reported) {
		c->reported = n;
		c->host.members(c->host.ud, n);
	}
}

static void on_report(uv_timer_t *timer)
{
	report(container_of(timer, struct chat, report));
}

static void on_beat(uv_timer_t *timer)
{
	struct chat *c = container_of(timer, struct chat, beat);

	if (!c->started) {
		c->started = true;
		c->ready(c->ready_ud, NULL);
	} else if (!list_empty(&c->streams)) {
		stream_beat(c);
	}
}

static void on_members(void *ud, unsigned n)
{
	struct chat *c = ud;

	(void)n;
	if (!uv_is_active((uv_handle_t *)&c->report)) {
		uv_timer_start(&c->report, on_report, REPORT_MS, 0);
	}
}

static uint64_t now_ms(void *ud)
{
	return ev_now_ms(((struct chat *)ud)->ev);
}

/* --- telling --- */

static void tell_all(void *ud, const struct room_event *e, const struct room_member *who)
{
	socket_tell_all(ud, e);
	stream_tell_all(ud, e, who);
}

/* --- life --- */

static struct mode *chat_start(struct ev *ev, const struct mode_spec *spec,
			       const struct mode_host *host,
			       void (*ready)(void *ud, const struct error *err), void *ud)
{
	struct chat *c = xnew(struct chat);
	const struct room_host room_host = {.now_ms = now_ms,
					    .tell_all = tell_all,
					    .members = on_members,
					    .ud = c};
	json_int_t max = json_integer_value(json_object_get(spec->options, "max_users"));

	c->mode.ops = &mode_chat;
	c->ev = ev;
	c->host = *host;
	c->title = spec->title ? xstrdup(spec->title) : NULL;
	c->room = room_new((unsigned)max, &room_host);
	c->limits = ws_limits_default;
	if (c->limits.queue_bytes < SPARE_BYTES + (uint32_t)max * WELCOME_BYTES) {
		c->limits.queue_bytes = SPARE_BYTES + (uint32_t)max * WELCOME_BYTES;
	}
	list_init(&c->sockets);
	list_init(&c->streams);
	c->ready = ready;
	c->ready_ud = ud;
	/* None of it can fail. The first beat is the beginning. */
	uv_timer_init(ev->loop, &c->beat);
	uv_timer_init(ev->loop, &c->report);
	uv_idle_init(ev->loop, &c->turn);
	c->open_handles = 3;
	uv_timer_start(&c->beat, on_beat, 0, BEAT_MS);
	return &c->mode;
}

static void chat_closing(struct mode *m)
{
	room_close(chat_of(m)->room);
}

static void handle_closed(uv_handle_t *handle)
{
	struct chat *c = handle->data;

	if (--c->open_handles) {
		return;
	}
	void (*stopped)(void *) = c->stopped;
	void *ud = c->stopped_ud;

	room_free(c->room);
	free(c->title);
	free(c);
	stopped(ud);
}

static void chat_stop(struct mode *m, void (*stopped)(void *ud), void *ud)
{
	struct chat *c = chat_of(m);

	report(c);
	c->stopped = stopped;
	c->stopped_ud = ud;
	socket_post(c);
	c->beat.data = c->report.data = c->turn.data = c;
	uv_close((uv_handle_t *)&c->beat, handle_closed);
	uv_close((uv_handle_t *)&c->report, handle_closed);
	uv_close((uv_handle_t *)&c->turn, handle_closed);
}

/* Who is in the room is sent away by closing; a drain waits until they have gone. */
static unsigned chat_active(const struct mode *m)
{
	return room_members(chat_of(m)->room);
}

/* --- requests --- */

static void respond_page(struct chat *c, struct http_req *req,
			 void (*page)(struct buf *b, const char *title))
{
	struct http_resp resp;
	struct buf b = BUF_INIT;

	page(&b, c->title);
	http_resp_init(&resp, req, 200);
	http_resp_field(&resp, "Cache-Control", "no-store");
	http_respond_text(req, &resp, "text/html; charset=utf-8", buf_span(&b));
	buf_done(&b);
}

static void chat_request(struct mode *m, struct http_req *req)
{
	struct chat *c = chat_of(m);
	bool read = req->method == HTTP_METHOD_GET || req->method == HTTP_METHOD_HEAD;
	bool front = span_eq(req->path, SPAN("/"));
	bool plain = span_eq(req->path, SPAN("/plain"));

	if (span_eq(req->path, SPAN("/ws"))) {
		socket_request(c, req);
	} else if (span_eq(req->path, SPAN(HTML_STREAM_PATH))) {
		stream_request(c, req);
	} else if (span_eq(req->path, SPAN(HTML_SAY_PATH))) {
		post_request(c, req);
	} else if ((front || plain) && !read) {
		http_respond_method(req, "GET, HEAD");
	} else if (front || plain) {
		respond_page(c, req, front ? html_page : html_plain);
	} else if (!read || !assets_respond(req)) {
		http_respond_error(req, 404);
	}
}

const struct mode_ops mode_chat = {
	.name = "chat",
	.secret = true,
	.start = chat_start,
	.request = chat_request,
	.closing = chat_closing,
	.stop = chat_stop,
	.active = chat_active,
};
