/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/watch/view.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/out.h"
#include "client/rpc.h"
#include "client/service.h"
#include "client/watch/news.h"
#include "proto/base/buf.h"
#include "proto/units.h"

#define BAR_COLUMNS 12
#define TICK_MS     1000
#define FRAME_MS    100 /* at least, between two live lines of many transfers */
#define LISTED_MAX  100 /* of them in it: no terminal is wider */

/* --- lines --- */

static void print_line(const struct view *v, const char *name, const char *text)
{
	time_t now = time(NULL);
	struct tm tm;
	char at[16] = "";

	if (localtime_r(&now, &tm)) {
		strftime(at, sizeof(at), "%H:%M:%S", &tm);
	}
	name = v->one_service ? "" : out_esc(name);
	if (v->notes) {
		out_note("%s  %s%s%s", at, name, name[0] ? "  " : "", out_esc(text));
	} else {
		out_line("%s  %s%s%s", at, name, name[0] ? "  " : "", out_esc(text));
	}
}

static void print_state(const struct view *v, const json_t *event)
{
	const char *reason = service_text(event, "reason");
	struct buf text = BUF_INIT;

	buf_add_str(&text, service_text(event, "state"));
	if (reason[0] != '\0') {
		buf_printf(&text, " (%s)", reason);
	}
	print_line(v, service_text(event, "name"), text.p);
	buf_done(&text);
}

static void print_transfer(const struct view *v, const struct transfer *t, const char *phase)
{
	struct buf text = BUF_INIT;

	news_add_transfer(&text, t, phase);
	print_line(v, t->name, text.p);
	buf_done(&text);
}

/* --- the live line --- */

static void add_rate(struct buf *b, uint64_t bytes_a_second)
{
	char text[UNITS_SIZE_TEXT];

	if (bytes_a_second > 0) {
		buf_printf(b, "  %s/s", units_print_size(bytes_a_second, text));
	}
}

static void add_one(struct buf *b, const struct view *v, const struct transfer *t)
{
	char bytes[UNITS_SIZE_TEXT], total[UNITS_SIZE_TEXT], left[UNITS_DURATION_TEXT];
	uint64_t speed = transfer_rate(t, rpc_now());

	if (!v->one_service) {
		buf_printf(b, "%s  ", t->name);
	}
	buf_printf(b, "%s %lld  ", news_noun(t), (long long)t->id);
	if (t->total > 0) {
		news_add_bar(b, transfer_percent(t), BAR_COLUMNS);
		buf_printf(b, "  %s of %s", units_print_size(t->bytes, bytes),
			   units_print_size(t->total, total));
	} else {
		buf_add_str(b, units_print_size(t->bytes, bytes));
	}
	add_rate(b, speed);
	if (speed > 0 && t->total > t->bytes) {
		buf_printf(b, "  %s left", units_print_duration(transfer_left(t, rpc_now()), left));
	}
}

static void add_several(struct buf *b, const struct view *v)
{
	uint64_t speed = 0;

	buf_printf(b, "%zu%s transfers:", v->transfers.n, transfers_full(&v->transfers) ? "+" : "");
	for (size_t i = 0; i < v->transfers.n; i++) {
		speed += transfer_rate(&v->transfers.all[i], rpc_now());
	}
	add_rate(b, speed);
	for (size_t i = 0; i < v->transfers.n && i < LISTED_MAX; i++) {
		const struct transfer *t = &v->transfers.all[i];

		buf_printf(b, "  #%lld %u%%", (long long)t->id, transfer_percent(t));
	}
}

/* --- times to come --- */

static int64_t time_member(const json_t *service, const char *member)
{
	int64_t ms = 0;

	units_parse_time(span_str(service_text(service, member)), &ms);
	return ms;
}

void view_note_times(struct view *v, const json_t *service)
{
	struct view_time t = {.start_ms = time_member(service, "start_at"),
			      .stop_ms = time_member(service, "stop_at")};
	size_t i = 0;

	snprintf(t.name, sizeof(t.name), "%s", service_text(service, "name"));
	if (strcmp(service_text(service, "state"), "scheduled") != 0) {
		t.start_ms = 0;
	}
	if (strcmp(service_text(service, "state"), "stopped") == 0 ||
	    strcmp(service_text(service, "state"), "deleted") == 0) {
		t.stop_ms = 0; /* of its next run */
	}
	while (i < v->n_times && strcmp(v->times[i].name, t.name) != 0) {
		i++;
	}
	if (!t.start_ms && !t.stop_ms) {
		if (i < v->n_times) {
			v->times[i] = v->times[--v->n_times];
		}
	} else if (i < VIEW_TIMES_MAX) {
		v->times[i] = t;
		v->n_times += i == v->n_times;
	}
}

/* What comes next, of all services. */
static const struct view_time *next_time(const struct view *v, int64_t *ret_ms)
{
	const struct view_time *next = NULL;

	for (size_t i = 0; i < v->n_times; i++) {
		const struct view_time *t = &v->times[i];
		int64_t ms = t->start_ms ? t->start_ms : t->stop_ms;

		if (!next || ms < *ret_ms) {
			next = t;
			*ret_ms = ms;
		}
	}
	return next;
}

static bool counts_down(const struct view *v)
{
	return v->n_times > 0 && v->transfers.n == 0 && out_live_columns() > 0;
}

static void add_countdown(struct buf *b, const struct view *v)
{
	int64_t ms = 0, now = (int64_t)time(NULL) * 1000;
	const struct view_time *t = next_time(v, &ms);
	char left[UNITS_DURATION_TEXT];

	buf_printf(b, "%s%s%s in %s", v->one_service ? "" : t->name, v->one_service ? "" : " ",
		   t->start_ms ? "starts" : "stops",
		   units_print_duration(ms > now ? (uint64_t)(ms - now + 999) / 1000 : 0, left));
}

void view_draw(const struct view *v)
{
	struct buf text = BUF_INIT;

	if ((v->transfers.n == 0 && !counts_down(v)) || out_live_columns() == 0) {
		out_live_end();
		return;
	}
	if (v->transfers.n == 0) {
		add_countdown(&text, v);
	} else if (v->transfers.n == 1) {
		add_one(&text, v, &v->transfers.all[0]);
	} else {
		add_several(&text, v);
	}
	out_live(0, out_esc_cut(text.p, out_live_columns()));
	buf_done(&text);
}

int view_receive(const struct view *v, struct rpc *rpc, int64_t deadline_ms, json_t **ret,
		 bool *ret_continues, struct error *err)
{
	for (;;) {
		int64_t tick = rpc_now() + TICK_MS;
		bool waits_longer = counts_down(v) && tick < deadline_ms;
		int r = rpc_receive(rpc, waits_longer ? tick : deadline_ms, ret, ret_continues,
				    err);

		if (r == 0 || !waits_longer || err->kind != ERROR_TIMEOUT) {
			return r;
		}
		error_done(err);
		view_draw(v);
	}
}

/* --- transfers --- */

static void print_news(const struct view *v, const json_t *event,
		       void (*add)(struct buf *b, const json_t *event))
{
	struct buf text = BUF_INIT;

	add(&text, event);
	print_line(v, service_text(event, "name"), text.p);
	buf_done(&text);
}

static void on_transfer(struct view *v, const json_t *event)
{
	const char *phase = service_text(event, "phase");
	struct transfer now;

	if (news_count(event) > 0) {
		print_news(v, event, news_add_served);
		return;
	}
	now = transfers_event(&v->transfers, event, rpc_now());
	if (strcmp(phase, "progress") != 0) {
		print_transfer(v, &now, phase);
	}
}

/* Each of a crowd tells of its progress four times a second: not each time a new line. */
static bool is_too_soon(const struct view *v, const json_t *event)
{
	return v->transfers.n > 1 && strcmp(service_text(event, "phase"), "progress") == 0 &&
	       rpc_now() - v->drawn_ms < FRAME_MS;
}

static void print_members(const struct view *v, const json_t *event)
{
	long long n = json_integer_value(json_object_get(event, "members"));
	struct buf text = BUF_INIT;

	buf_printf(&text, "%lld %s in the room", n, n == 1 ? "person is" : "people are");
	print_line(v, service_text(event, "name"), text.p);
	buf_done(&text);
}

void view_event(struct view *v, const json_t *event)
{
	const char *kind = service_text(event, "event");

	if (strcmp(kind, "state") == 0) {
		view_note_times(v, event);
		print_state(v, event);
	} else if (strcmp(kind, "transfer") == 0) {
		on_transfer(v, event);
	} else if (strcmp(kind, "submission") == 0) {
		print_news(v, event, news_add_submission);
	} else if (strcmp(kind, "members") == 0) {
		print_members(v, event);
	}
	if (!is_too_soon(v, event)) {
		view_draw(v);
		v->drawn_ms = rpc_now();
	}
}

void view_done(struct view *v)
{
	transfers_done(&v->transfers);
}
