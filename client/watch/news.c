/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/watch/news.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/service.h"
#include "proto/base/alloc.h"

#define RATE_AFTER_MS 500

/* --- transfers --- */

static uint64_t amount(const json_t *event, const char *member)
{
	json_int_t n = json_integer_value(json_object_get(event, member));

	return n > 0 ? (uint64_t)n : 0;
}

uint64_t news_count(const json_t *event)
{
	return amount(event, "count");
}

/* Where it stands, or would. */
static size_t place(const struct transfers *t, json_int_t id)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->all[middle].id < id) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

static void insert(struct transfers *t, size_t at, const struct transfer *new)
{
	t->all = xreallocarray(t->all, t->n + 1, sizeof(t->all[0]));
	memmove(&t->all[at + 1], &t->all[at], (t->n - at) * sizeof(t->all[0]));
	t->all[at] = *new;
	t->n++;
}

static void drop(struct transfers *t, size_t at)
{
	t->n--;
	memmove(&t->all[at], &t->all[at + 1], (t->n - at) * sizeof(t->all[0]));
}

static void fill(struct transfer *t, const json_t *event)
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

struct transfer transfers_event(struct transfers *t, const json_t *event, int64_t now_ms)
{
	const char *phase = service_text(event, "phase");
	bool over = strcmp(phase, "completed") == 0 || strcmp(phase, "cancelled") == 0;
	struct transfer now = {0};
	size_t at;
	bool known;

	fill(&now, event);
	at = place(t, now.id);
	known = at < t->n && t->all[at].id == now.id;
	if (!known && !over && !transfers_full(t)) {
		now.first_bytes = now.bytes;
		now.since_ms = now_ms;
		insert(t, at, &now);
	} else if (known && !over) {
		fill(&t->all[at], event);
	} else if (known) {
		drop(t, at);
	}
	return now;
}

bool transfers_full(const struct transfers *t)
{
	return t->n == TRANSFERS_MAX;
}

void transfers_done(struct transfers *t)
{
	free(t->all);
	*t = (struct transfers){0};
}

unsigned transfer_percent(const struct transfer *t)
{
	if (t->total == 0) {
		return 0;
	}
	return t->bytes >= t->total ? 100 : (unsigned)((double)t->bytes * 100 / (double)t->total);
}

uint64_t transfer_rate(const struct transfer *t, int64_t now_ms)
{
	int64_t ms = now_ms - t->since_ms;

	if (ms < RATE_AFTER_MS || t->bytes < t->first_bytes) {
		return 0;
	}
	return (t->bytes - t->first_bytes) * 1000 / (uint64_t)ms;
}

uint64_t transfer_left(const struct transfer *t, int64_t now_ms)
{
	uint64_t speed = transfer_rate(t, now_ms);

	return speed > 0 && t->total > t->bytes ? (t->total - t->bytes) / speed : 0;
}

/* --- words --- */

const char *news_noun(const struct transfer *t)
{
	return t->out ? "download" : "upload";
}

void news_add_bar(struct buf *b, unsigned percent, unsigned columns)
{
	unsigned full = percent * columns / 100;

	buf_add_char(b, '[');
	for (unsigned i = 0; i < columns; i++) {
		buf_add_char(b, i < full ? '=' : i == full ? '>' : ' ');
	}
	buf_printf(b, "] %3u%%", percent);
}

void news_add_transfer(struct buf *b, const struct transfer *t, const char *phase)
{
	char bytes[UNITS_SIZE_TEXT], total[UNITS_SIZE_TEXT];

	units_print_size(t->bytes, bytes);
	units_print_size(t->total, total);
	buf_printf(b, "%s %lld ", news_noun(t), (long long)t->id);
	if (strcmp(phase, "started") == 0) {
		buf_printf(b, "started%s%s", t->total > 0 ? ": " : "", t->total > 0 ? total : "");
	} else if (strcmp(phase, "completed") == 0) {
		buf_printf(b, "complete: %s", bytes);
	} else {
		buf_printf(b, "cancelled at %s%s%s", bytes, t->total > 0 ? " of " : "",
			   t->total > 0 ? total : "");
	}
}

/* Small ones of a website come several at once. */
void news_add_served(struct buf *b, const json_t *event)
{
	uint64_t count = news_count(event);
	char bytes[UNITS_SIZE_TEXT];

	buf_printf(b, "%llu small file%s sent: %s", (unsigned long long)count,
		   count == 1 ? "" : "s", units_print_size(amount(event, "bytes"), bytes));
}

void news_add_submission(struct buf *b, const json_t *event)
{
	long long files = json_integer_value(json_object_get(event, "files"));
	bool message = json_is_true(json_object_get(event, "message"));

	buf_printf(b, "submission %lld is kept: ",
		   (long long)json_integer_value(json_object_get(event, "id")));
	if (files) {
		buf_printf(b, "%lld file%s%s", files, files == 1 ? "" : "s",
			   message ? " and " : "");
	}
	buf_add_str(b, message ? "a message" : "");
}
