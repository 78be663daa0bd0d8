/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/watch/screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/out.h"
#include "client/service.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"

#define GAP           2
#define STATE_COLUMNS 10
#define NARROW        60 /* columns; below that there is no room for words */
#define BAR_NARROW    4
#define BAR_WIDE      16
#define ADDRESS_LEAST 16
#define ROOMY_ROWS    16 /* from here on there are empty lines between the parts */
#define DOTS          3

/* --- a line --- */

struct row {
	struct buf text;
	size_t used, columns;
};

/* s, escaped and cut to what is left and to most. What would be dots only is left out. */
static void row_add(struct row *r, const char *style, const char *s, size_t most)
{
	size_t left = r->columns - r->used;

	most = most < left ? most : left;
	if (out_width(out_esc(s)) > most && most <= DOTS) {
		return;
	}
	s = out_esc_cut(s, most);
	buf_printf(&r->text, "%s%s%s", style, s, style[0] ? out_plain() : "");
	r->used += out_width(s);
}

static void row_fill(struct row *r, size_t until)
{
	until = until < r->columns ? until : r->columns;
	while (r->used < until) {
		buf_add_char(&r->text, ' ');
		r->used++;
	}
}

/* A column of that width, and the gap behind it. */
static void row_column(struct row *r, const char *style, const char *s, size_t width)
{
	size_t begin = r->used;

	row_add(r, style, s, width);
	row_fill(r, begin + width + GAP);
}

static void screen_add(struct screen *screen, struct row *r)
{
	struct screen_line *line = &screen->lines[screen->n++];

	line->columns = r->used;
	line->text = buf_take(&r->text);
	*r = (struct row){.columns = r->columns};
}

static void add_line(struct screen *screen, size_t columns, const char *style, const char *text)
{
	struct row r = {.columns = columns};

	row_add(&r, style, text, columns);
	screen_add(screen, &r);
}

void screen_done(struct screen *screen)
{
	for (size_t i = 0; i < screen->n; i++) {
		free(screen->lines[i].text);
	}
	free(screen->lines);
	*screen = (struct screen){0};
}

/* --- the parts --- */

struct layout {
	const struct scene *scene;
	const struct scene_time *now;
	size_t columns;
	size_t name_width, address_width, transfer_width;
	struct screen *screen;
};

struct part {
	const char *heading;
	size_t n;      /* there are */
	size_t hidden; /* besides those: not even known */
	bool at_least; /* and perhaps others that nobody counted */
	size_t given;  /* lines */
	void (*add)(struct layout *l, size_t i);
};

/* "and N more" takes a line of its own. */
static size_t wanted(const struct part *p)
{
	return p->n + (p->hidden > 0 || p->at_least);
}

static size_t wider(size_t width, const char *text)
{
	size_t n = out_width(out_esc(text));

	return n > width ? n : width;
}

/* --- services --- */

static void add_piece(struct buf *b, const char *text)
{
	buf_printf(b, "%s%s", b->len > 0 ? ", " : "", text);
}

static void add_time(struct buf *b, const char *verb, int64_t at_ms, int64_t now_ms)
{
	char left[UNITS_DURATION_TEXT];
	uint64_t seconds = at_ms > now_ms ? (uint64_t)(at_ms - now_ms + 999) / 1000 : 0;

	buf_printf(b, "%s%s in %s", b->len > 0 ? ", " : "", verb,
		   units_print_duration(seconds, left));
}

/* Why it is so, what comes next, who is there. */
static void add_details(struct buf *b, const struct scene_service *s, int64_t now_ms)
{
	if (s->reason && !s->start_ms) { /* else it is that time, once more */
		add_piece(b, s->reason);
	}
	if (s->start_ms) {
		add_time(b, "starts", s->start_ms, now_ms);
	}
	if (s->stop_ms) {
		add_time(b, "stops", s->stop_ms, now_ms);
	}
	if (s->members > 0) {
		buf_printf(b, "%s%llu in the room", b->len > 0 ? ", " : "",
			   (unsigned long long)s->members);
	}
	if (s->completed > 0) {
		buf_printf(b, "%s%llu done", b->len > 0 ? ", " : "",
			   (unsigned long long)s->completed);
	}
}

static void add_service(struct layout *l, size_t i)
{
	const struct scene_service *s = &l->scene->services[i];
	const char *state = s->state ? s->state : "";
	bool why = strcmp(state, "failed") == 0 && s->reason; /* nobody can use the address */
	_cleanup_free_ char *address = service_short_url(s->url ? s->url : "", l->address_width);
	struct row r = {.columns = l->columns};
	struct buf details = BUF_INIT;

	add_details(&details, s, l->now->wall_ms);
	row_column(&r, out_style(STYLE_BOLD), s->name, l->name_width);
	row_column(&r, service_state_style(state), state, STATE_COLUMNS);
	if (!why && l->address_width >= ADDRESS_LEAST) {
		row_column(&r, "", address, l->address_width);
		row_add(&r, out_style(STYLE_DIM), details.len > 0 ? details.p : "", r.columns);
	} else {
		row_add(&r, "", details.len > 0 ? details.p : address, r.columns);
	}
	buf_done(&details);
	screen_add(l->screen, &r);
}

/* Half of what names and states leave, or all that no detail needs. */
static size_t address_width(const struct layout *l)
{
	size_t used = l->name_width + STATE_COLUMNS + 2 * (size_t)GAP, rest, longest = 0, most = 0;

	rest = l->columns > used ? l->columns - used : 0;
	for (size_t i = 0; i < l->scene->n_services; i++) {
		const struct scene_service *s = &l->scene->services[i];
		_cleanup_free_ char *address = service_short_url(s->url ? s->url : "", SIZE_MAX);
		struct buf details = BUF_INIT;

		add_details(&details, s, l->now->wall_ms);
		most = wider(most, details.len > 0 ? details.p : "");
		longest = wider(longest, address);
		buf_done(&details);
	}
	most = most > rest / 2 ? rest / 2 : most;
	rest -= most > 0 && rest >= most + GAP ? most + GAP : most;
	return longest < ADDRESS_LEAST && rest >= ADDRESS_LEAST ? ADDRESS_LEAST
	       : longest < rest                                 ? longest
								: rest;
}

/* --- transfers --- */

/* text behind a gap, if all of it fits before reserved columns. */
static bool fits(const struct row *r, const char *text, size_t reserved)
{
	return text[0] != '\0' && r->used + GAP + strlen(text) + reserved <= r->columns;
}

static void add_behind_gap(struct row *r, const char *text)
{
	row_fill(r, r->used + GAP);
	row_add(r, "", text, r->columns);
}

/* Of "download N": the last one's number is the greatest. */
static size_t transfer_width(const struct transfers *t)
{
	long long id = t->n > 0 ? (long long)t->all[t->n - 1].id : 0;

	return (size_t)snprintf(NULL, 0, "download %lld", id);
}

/* How much, how fast, how long: where not all fits, the time is worth most. */
static void add_numbers(struct row *r, const struct transfer *t, int64_t now_ms)
{
	char bytes[UNITS_SIZE_TEXT], total[UNITS_SIZE_TEXT], duration[UNITS_DURATION_TEXT];
	char amount[2 * UNITS_SIZE_TEXT + 8] = "", speed[UNITS_SIZE_TEXT + 8] = "",
					  left[UNITS_DURATION_TEXT + 8] = "";
	uint64_t rate = transfer_rate(t, now_ms), seconds = transfer_left(t, now_ms);
	size_t for_left, for_speed;

	snprintf(amount, sizeof(amount), "%s%s%s", units_print_size(t->bytes, bytes),
		 t->total > 0 ? " of " : "", t->total > 0 ? units_print_size(t->total, total) : "");
	if (rate > 0) {
		snprintf(speed, sizeof(speed), "%s/s", units_print_size(rate, bytes));
	}
	if (seconds > 0) {
		snprintf(left, sizeof(left), "%s%s", units_print_duration(seconds, duration),
			 r->columns < NARROW ? "" : " left");
	}
	for_left = fits(r, left, 0) ? GAP + strlen(left) : 0;
	for_speed = fits(r, speed, for_left) ? GAP + strlen(speed) : 0;
	if (fits(r, amount, for_left + for_speed)) {
		add_behind_gap(r, amount);
	}
	if (for_speed > 0) {
		add_behind_gap(r, speed);
	}
	if (for_left > 0) {
		add_behind_gap(r, left);
	}
}

static void add_transfer(struct layout *l, size_t i)
{
	const struct transfer *t = &l->scene->transfers.all[i];
	struct row r = {.columns = l->columns};
	bool narrow = l->columns < NARROW;
	struct buf text = BUF_INIT;
	size_t width = l->columns / 4;

	width = l->name_width < width ? l->name_width : width;
	if (narrow && width > 9) {
		width = 9;
	}
	row_column(&r, out_style(STYLE_BOLD), t->name, width);
	if (!narrow) {
		buf_printf(&text, "%s %lld", news_noun(t), (long long)t->id);
		row_column(&r, "", text.p, l->transfer_width);
		buf_clear(&text);
	}
	if (t->total > 0) {
		news_add_bar(&text, transfer_percent(t), narrow ? BAR_NARROW : BAR_WIDE);
		row_add(&r, out_style(STYLE_GOOD), text.p, r.columns);
	}
	add_numbers(&r, t, l->now->steady_ms);
	buf_done(&text);
	screen_add(l->screen, &r);
}

/* --- what was last --- */

static void add_entry(struct layout *l, const struct scene_entry *e)
{
	time_t at = (time_t)(e->at_ms / 1000);
	struct row r = {.columns = l->columns};
	struct tm tm;
	char text[16] = "";

	if (localtime_r(&at, &tm)) {
		strftime(text, sizeof(text), "%H:%M:%S", &tm);
	}
	row_column(&r, out_style(STYLE_DIM), text, strlen("00:00:00"));
	row_column(&r, "", e->name, l->name_width);
	row_add(&r, "", e->text, r.columns);
	screen_add(l->screen, &r);
}

static void add_submission(struct layout *l, size_t i)
{
	add_entry(l, &l->scene->submissions.all[i]);
}

static void add_finished(struct layout *l, size_t i)
{
	add_entry(l, &l->scene->finished.all[i]);
}

/* --- all of it --- */

/* Lines are dealt out one after the other, so that each part has some before one has all. */
static void deal(struct part *parts, size_t n, size_t lines, size_t heading_lines)
{
	bool dealt = true;

	while (dealt) {
		dealt = false;
		for (size_t i = 0; i < n; i++) {
			size_t cost = parts[i].given == 0 ? heading_lines + 1 : 1;

			if (parts[i].given < wanted(&parts[i]) && cost <= lines) {
				parts[i].given++;
				lines -= cost;
				dealt = true;
			}
		}
	}
}

static void add_part(struct layout *l, const struct part *p, bool roomy)
{
	size_t shown = p->given < wanted(p) || wanted(p) > p->n ? p->given - 1 : p->given;
	char more[48];

	if (roomy) {
		add_line(l->screen, l->columns, "", "");
	}
	add_line(l->screen, l->columns, out_style(STYLE_DIM), p->heading);
	for (size_t i = 0; i < shown; i++) {
		p->add(l, i);
	}
	if (shown < p->given) {
		snprintf(more, sizeof(more), "and %zu%s more", p->n + p->hidden - shown,
			 p->at_least ? "+" : "");
		add_line(l->screen, l->columns, out_style(STYLE_DIM), more);
	}
}

static void measure(struct layout *l)
{
	size_t most = l->columns < NARROW ? l->columns / 4 : 20;

	l->name_width = 1;
	for (size_t i = 0; i < l->scene->n_services; i++) {
		l->name_width = wider(l->name_width, l->scene->services[i].name);
	}
	most = l->columns / 4 > most ? l->columns / 4 : most;
	l->name_width = l->name_width < most ? l->name_width : most;
	l->address_width = address_width(l);
	l->transfer_width = transfer_width(&l->scene->transfers);
}

void screen_layout(const struct scene *s, const struct scene_time *now, size_t columns, size_t rows,
		   struct screen *ret)
{
	struct layout l = {.scene = s, .now = now, .columns = columns, .screen = ret};
	bool roomy = rows >= ROOMY_ROWS;
	struct part parts[] = {
		{"Services", s->n_services, s->n_left_out, false, 0, add_service},
		{"Transfers", s->transfers.n, 0, transfers_full(&s->transfers), 0, add_transfer},
		{"Submissions", s->submissions.n, 0, false, 0, add_submission},
		{"Finished", s->finished.n, 0, false, 0, add_finished},
	};

	*ret = (struct screen){.lines = xreallocarray(NULL, rows, sizeof(struct screen_line))};
	measure(&l);
	if (rows > 1) {
		add_line(ret, columns, out_style(s->tor_ready ? STYLE_GOOD : STYLE_WARN),
			 s->tor ? s->tor : "Tor: not known");
	}
	deal(parts, ARRAY_SIZE(parts), rows > 2 ? rows - 2 : 0, roomy ? 2 : 1);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (parts[i].given > 0) {
			add_part(&l, &parts[i], roomy);
		}
	}
	if (s->n_services == 0 && ret->n + 1 < rows) {
		add_line(ret, columns, "", "No services.");
	}
	while (ret->n + 1 < rows) {
		add_line(ret, columns, "", "");
	}
	add_line(ret, columns, out_style(STYLE_DIM), "Ctrl-C ends it");
}
