/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/files/downloads.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/alloc.h"

#define TICK_MS     1000
#define PROGRESS_MS 100

struct transfer {
	struct list link;
	uint64_t id, total;
	uint64_t bytes; /* handed over in it, also twice */
	char etag[ETAG_ROOM];
	char *path;
	struct coverage coverage; /* without autostop */
	unsigned active;          /* responses */
	bool joinable;            /* by the next response with this validator */
	bool over;                /* has been reported as such */
	uint64_t idle_since, told;
};

static void report(struct downloads *d, const struct transfer *t, enum mode_transfer_phase phase)
{
	d->host->transfer(d->host->ud, t->id, phase, true, t->bytes, t->total, t->path);
}

static void drop(struct transfer *t)
{
	list_remove(&t->link);
	coverage_done(&t->coverage);
	free(t->path);
	free(t);
}

static void cancel(struct downloads *d, struct transfer *t)
{
	if (!t->over) {
		report(d, t, MODE_TRANSFER_CANCELLED);
	}
	drop(t);
}

/* How many were complete, the validator, the ranges. */
static void keep(struct downloads *d)
{
	struct buf b = BUF_INIT;

	d->dirty = false;
	buf_printf(&b, "%u %s ", d->completed, d->etag);
	coverage_encode(&d->coverage, &b);
	d->host->cache_put(d->host->ud, DOWNLOADS_CACHE_KEY, buf_span(&b));
	buf_done(&b);
}

void downloads_restore(struct downloads *d, struct span kept)
{
	struct span count = span_cut(&kept, ' '), etag = span_cut(&kept, ' ');
	uint64_t n;

	if (!kept.p || etag.n >= sizeof(d->etag) || span_u64(count, UINT32_MAX, &n) < 0 ||
	    n >= d->wanted || coverage_decode(&d->coverage, kept) < 0) {
		return;
	}
	d->completed = (unsigned)n;
	memcpy(d->etag, etag.p, etag.n);
	d->etag[etag.n] = '\0';
}

static void tick(uv_timer_t *timer)
{
	struct downloads *d = container_of(timer, struct downloads, timer);
	unsigned lingering = 0;

	list_for_each_safe (it, &d->transfers) {
		struct transfer *t = list_entry(it, struct transfer, link);

		if (t->active) {
			continue;
		}
		if (ev_now_ms(d->ev) - t->idle_since >= DOWNLOADS_LINGER_MS) {
			cancel(d, t);
		} else {
			lingering++;
		}
	}
	if (d->dirty) {
		keep(d);
	}
	if (lingering == 0) {
		uv_timer_stop(timer);
	}
}

static void tick_later(struct downloads *d)
{
	if (!uv_is_active((uv_handle_t *)&d->timer)) {
		uv_timer_start(&d->timer, tick, TICK_MS, TICK_MS);
	}
}

void downloads_init(struct downloads *d, struct ev *ev, const struct mode_host *host, bool autostop,
		    unsigned wanted, void (*finished)(void *ud), void *ud)
{
	*d = (struct downloads){.host = host,
				.ev = ev,
				.autostop = autostop,
				.wanted = wanted,
				.finished = finished,
				.ud = ud};
	list_init(&d->transfers);
	uv_timer_init(ev->loop, &d->timer);
}

static void timer_closed(uv_handle_t *handle)
{
	struct downloads *d = container_of((uv_timer_t *)handle, struct downloads, timer);

	d->closed(d->ud);
}

void downloads_close(struct downloads *d, void (*closed)(void *ud))
{
	list_for_each_safe (it, &d->transfers) {
		cancel(d, list_entry(it, struct transfer, link));
	}
	if (d->dirty) {
		keep(d);
	}
	coverage_done(&d->coverage);
	d->closed = closed;
	uv_close((uv_handle_t *)&d->timer, timer_closed);
}

static struct transfer *find_joinable(struct downloads *d, const char *etag, uint64_t total)
{
	list_for_each (it, &d->transfers) {
		struct transfer *t = list_entry(it, struct transfer, link);

		if (t->joinable && !t->over && t->total == total && strcmp(t->etag, etag) == 0) {
			return t;
		}
	}
	return NULL;
}

static void give_up_oldest_lingering(struct downloads *d)
{
	struct transfer *oldest = NULL;
	unsigned n = 0;

	list_for_each (it, &d->transfers) {
		struct transfer *t = list_entry(it, struct transfer, link);

		if (t->active == 0) {
			n++;
			oldest = oldest && oldest->idle_since <= t->idle_since ? oldest : t;
		}
	}
	if (n > DOWNLOADS_MAX_LINGERING) {
		cancel(d, oldest);
	}
}

static struct transfer *transfer_new(struct downloads *d, const char *etag, uint64_t total,
				     const char *path)
{
	struct transfer *t = xnew(struct transfer);

	t->id = d->host->transfer_id(d->host->ud);
	t->total = total;
	memcpy(t->etag, etag, strlen(etag) + 1);
	t->path = path ? xstrdup(path) : NULL;
	list_append(&d->transfers, &t->link);
	report(d, t, MODE_TRANSFER_STARTED);
	return t;
}

void download_begin(struct downloads *d, struct download *dl, const char *etag, uint64_t total,
		    uint64_t from, uint64_t length, const char *path)
{
	bool joins = d->autostop || length < total;
	struct transfer *t = joins ? find_joinable(d, etag, total) : NULL;

	if (d->autostop && strcmp(d->etag, etag) != 0) {
		/* Other content: what was delivered of the old one counts no more. */
		coverage_done(&d->coverage);
		memcpy(d->etag, etag, strlen(etag) + 1);
	}
	if (!t) {
		t = transfer_new(d, etag, total, path);
		t->joinable = joins;
	}
	t->active++;
	d->active++;
	*dl = (struct download){.transfer = t, .from = from, .length = length};
}

void download_sent(struct downloads *d, struct download *dl, uint64_t n)
{
	struct transfer *t = dl->transfer;

	if (!t) {
		return;
	}
	dl->sent += n;
	t->bytes += n;
	if (!t->over && ev_now_ms(d->ev) - t->told >= PROGRESS_MS) {
		t->told = ev_now_ms(d->ev);
		report(d, t, MODE_TRANSFER_PROGRESS);
	}
}

void download_unsent(struct downloads *d, struct download *dl, uint64_t n)
{
	(void)d;
	if (dl->transfer) {
		n = n < dl->sent ? n : dl->sent;
		dl->sent -= n;
		dl->transfer->bytes -= n;
	}
}

static void complete(struct downloads *d, struct transfer *t)
{
	t->over = true;
	report(d, t, MODE_TRANSFER_COMPLETED);
	if (!d->autostop) {
		return;
	}
	d->completed++;
	coverage_done(&d->coverage);
	if (d->completed >= d->wanted) {
		/* Started again it begins anew. */
		d->completed = 0;
		d->etag[0] = '\0';
		keep(d);
		d->finished(d->ud);
	}
}

/* What a response has delivered. */
static void count(struct downloads *d, const struct download *dl, struct transfer *t, bool whole)
{
	struct coverage *c = d->autostop ? &d->coverage : &t->coverage;
	bool all = dl->from == 0 && dl->sent == t->total;

	/* If the files have changed since, only one that has it all counts. */
	if (!d->autostop || strcmp(t->etag, d->etag) == 0) {
		coverage_add(c, dl->from, dl->from + dl->sent);
		d->dirty = d->autostop;
		all = coverage_is_whole(c, t->total);
	}
	/* Of no bytes nothing can be handed over: the response must have gone out. */
	if (all && (t->total || whole)) {
		complete(d, t);
	}
}

void download_end(struct downloads *d, struct download *dl, bool whole)
{
	struct transfer *t = take_ptr(dl->transfer);

	if (!t) {
		return;
	}
	t->active--;
	d->active--;
	if (!t->over) {
		count(d, dl, t, whole);
	}
	t->idle_since = ev_now_ms(d->ev);
	if (t->active == 0 && (t->over || !whole)) {
		cancel(d, t);
	} else if (t->active == 0) {
		give_up_oldest_lingering(d);
	}
	if (d->dirty || !list_empty(&d->transfers)) {
		tick_later(d);
	}
}
