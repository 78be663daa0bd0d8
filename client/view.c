/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/view.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/out.h"
#include "client/rpc.h"
#include "client/service.h"
#include "proto/base/buf.h"
#include "proto/units.h"

#define BAR_COLUMNS   12
#define RATE_AFTER_MS 500
#define TICK_MS       1000

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

static const char *noun(bool out)
{
	return out ? "download" : "upload";
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

static void print_transfer(const struct view *v, const struct view_transfer *t, const char *phase)
{
	char bytes[UNITS_SIZE_TEXT], total[UNITS_SIZE_TEXT];
	struct buf text = BUF_INIT;

	units_print_size(t->bytes, bytes);
	units_print_size(t->total, total);
	buf_printf(&text, "%s %lld ", noun(t->out), (long long)t->id);
	if (strcmp(phase, "started") == 0) {
		buf_printf(&text, "started%s%s", t->total > 0 ? ": " : "",
			   t->total > 0 ? total : "");
	} else if (strcmp(phase, "completed") == 0) {
		buf_printf(&text, "complete: %s", bytes);
	} else {
		buf_printf(&text, "cancelled at %s%s%s", bytes, t->total > 0 ? " of " : "",
			   t->total > 0 ? total : "");
	}
	print_line(v, t->name, text.p);
	buf_done(&text);
}

/* --- the live line --- */

static unsigned percent(const struct view_transfer *t)
{
	if (t->total == 0) {
		return 0;
	}
	return t->bytes >= t->total ? 100 : (unsigned)((double)t->bytes * 100 / (double)t->total);
}

/* Bytes a second since we heard of it; 0: too early to say. */
static uint64_t rate(const struct view_transfer *t)
{
	int64_t ms = rpc_now() - t->since_ms;

	return ms < RATE_AFTER_MS ? 0 : (t->bytes - t->first_bytes) * 1000 / (uint64_t)ms;
}

static void add_rate(struct buf *b, uint64_t bytes_a_second)
{
	char text[UNITS_SIZE_TEXT];

	if (bytes_a_second > 0) {
		buf_printf(b, "  %s/s", units_print_size(bytes_a_second, text));
	}
}

static void add_bar(struct buf *b, unsigned part)
{
	unsigned full = part * BAR_COLUMNS / 100;

	buf_add_char(b, '[');
	for (unsigned i = 0; i < BAR_COLUMNS; i++) {
		buf_add_char(b, i < full ? '=' : i == full ? '>' : ' ');
	}
	buf_printf(b, "] %3u%%", part);
}

static void add_one(struct buf *b, const struct view *v, const struct view_transfer *t)
{
	char bytes[UNITS_SIZE_TEXT], total[UNITS_SIZE_TEXT], left[UNITS_DURATION_TEXT];
	uint64_t speed = rate(t);

	if (!v->one_service) {
		buf_printf(b, "%s  ", t->name);
	}
	buf_printf(b, "%s %lld  ", noun(t->out), (long long)t->id);
	if (t->total > 0) {
		add_bar(b, percent(t));
		buf_printf(b, "  %s of %s", units_print_size(t->bytes, bytes),
			   units_print_size(t->total, total));
	} else {
		buf_add_str(b, units_print_size(t->bytes, bytes));
	}
	add_rate(b, speed);
	if (speed > 0 && t->total > t->bytes) {
		buf_printf(b, "  %s left",
			   units_print_duration((t->total - t->bytes) / speed, left));
	}
}

static void add_several(struct buf *b, const struct view *v)
{
	uint64_t speed = 0;

	buf_printf(b, "%zu transfers:", v->n_transfers);
	for (size_t i = 0; i < v->n_transfers; i++) {
		speed += rate(&v->transfers[i]);
	}
	add_rate(b, speed);
	for (size_t i = 0; i < v->n_transfers; i++) {
		const struct view_transfer *t = &v->transfers[i];

		buf_printf(b, "  #%lld %u%%", (long long)t->id, percent(t));
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
	return v->n_times > 0 && v->n_transfers == 0 && out_live_columns() > 0;
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

	if ((v->n_transfers == 0 && !counts_down(v)) || out_live_columns() == 0) {
		out_live_end();
		return;
	}
	if (v->n_transfers == 0) {
		add_countdown(&text, v);
	} else if (v->n_transfers == 1) {
		add_one(&text, v, &v->transfers[0]);
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

static struct view_transfer *find(struct view *v, json_int_t id)
{
	for (size_t i = 0; i < v->n_transfers; i++) {
		if (v->transfers[i].id == id) {
			return &v->transfers[i];
		}
	}
	return NULL;
}

static uint64_t amount(const json_t *event, const char *member)
{
	json_int_t n = json_integer_value(json_object_get(event, member));

	return n > 0 ? (uint64_t)n : 0;
}

static void fill(struct view_transfer *t, const json_t *event)
{
	t->id = json_integer_value(json_object_get(event, "id"));
	t->out = strcmp(service_text(event, "direction"), "in") != 0;
	t->bytes = amount(event, "bytes");
	t->total = amount(event, "total");
	if (t->total > 0 && t->bytes > t->total) {
		t->bytes = t->total; /* pieces were fetched twice */
	}
	snprintf(t->name, sizeof(t->name), "%s", service_text(event, "name"));
}

/* Small ones of a website come several at once. */
static void print_served(const struct view *v, const json_t *event, uint64_t count)
{
	char bytes[UNITS_SIZE_TEXT];
	struct buf text = BUF_INIT;

	buf_printf(&text, "%llu small file%s sent: %s", (unsigned long long)count,
		   count == 1 ? "" : "s", units_print_size(amount(event, "bytes"), bytes));
	print_line(v, service_text(event, "name"), text.p);
	buf_done(&text);
}

static void on_transfer(struct view *v, const json_t *event)
{
	uint64_t count = amount(event, "count");

	if (count) {
		print_served(v, event, count);
		return;
	}
	const char *phase = service_text(event, "phase");
	bool over = strcmp(phase, "completed") == 0 || strcmp(phase, "cancelled") == 0;
	struct view_transfer now = {0}, *known;

	fill(&now, event);
	known = find(v, now.id);
	if (!known && !over && v->n_transfers < VIEW_TRANSFERS_MAX) {
		now.first_bytes = now.bytes;
		now.since_ms = rpc_now();
		v->transfers[v->n_transfers++] = now;
	} else if (known && !over) {
		fill(known, event);
	} else if (known) {
		*known = v->transfers[--v->n_transfers];
	}
	if (strcmp(phase, "progress") != 0) {
		print_transfer(v, &now, phase);
	}
}

static void print_submission(const struct view *v, const json_t *event)
{
	long long files = json_integer_value(json_object_get(event, "files"));
	bool message = json_is_true(json_object_get(event, "message"));
	struct buf text = BUF_INIT;

	buf_printf(&text, "submission %lld is kept: ",
		   (long long)json_integer_value(json_object_get(event, "id")));
	if (files) {
		buf_printf(&text, "%lld file%s%s", files, files == 1 ? "" : "s",
			   message ? " and " : "");
	}
	buf_add_str(&text, message ? "a message" : "");
	print_line(v, service_text(event, "name"), text.p);
	buf_done(&text);
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
		print_submission(v, event);
	} else if (strcmp(kind, "members") == 0) {
		print_members(v, event);
	}
	view_draw(v);
}
