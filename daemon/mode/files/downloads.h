/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Counts what visitors have been given, reports it to the host, and says when a
 * download is complete: when every byte of a representation with one validator has
 * been handed over, in one response or in many, cut ones included.
 *
 * With autostop all responses with one validator are one download, and what
 * they delivered is remembered, also over a restart. Without, a whole
 * response is a download of its own and only those to range requests are taken together.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "ev/ev.h"
#include "mode/etag.h"
#include "mode/files/coverage.h"
#include "mode/mode.h"

struct downloads {
	const struct mode_host *host;
	struct ev *ev;
	bool autostop;
	unsigned wanted; /* complete downloads until finished is called; with autostop */
	void (*finished)(void *ud);
	void *ud;

	/* private */
	struct list transfers;
	unsigned active; /* responses on their way */
	unsigned completed;
	struct coverage coverage; /* with autostop: of the representation with this validator */
	char etag[ETAG_ROOM];
	bool dirty; /* not kept yet */
	uv_timer_t timer;
	void (*closed)(void *ud);
};

/* Responses to range requests that follow each other within that time are one download. */
#define DOWNLOADS_LINGER_MS 5000
/* Those waiting for another response; above, the oldest counts as given up. */
#define DOWNLOADS_MAX_LINGERING 64

struct transfer;

/* A response's part in it; embedded where the response is looked after. */
struct download {
	struct transfer *transfer; /* NULL: not begun, or ended */
	uint64_t from, length, sent;
};

void downloads_init(struct downloads *d, struct ev *ev, const struct mode_host *host, bool autostop,
		    unsigned wanted, void (*finished)(void *ud), void *ud);
/* No response is on its way. closed comes later. */
void downloads_close(struct downloads *d, void (*closed)(void *ud));
/* What was kept under this key comes back (autostop only): give it here. */
#define DOWNLOADS_CACHE_KEY "downloads"
void downloads_restore(struct downloads *d, struct span kept);

/* path: for the history, or NULL. The bytes [from, from + length) of total will be sent. */
void download_begin(struct downloads *d, struct download *dl, const char *etag, uint64_t total,
		    uint64_t from, uint64_t length, const char *path);
void download_sent(struct downloads *d, struct download *dl, uint64_t n);
void download_unsent(struct downloads *d, struct download *dl, uint64_t n);
/* whole: the response went out to its end. No effect if it was not begun. May call finished. */
void download_end(struct downloads *d, struct download *dl, bool whole);
