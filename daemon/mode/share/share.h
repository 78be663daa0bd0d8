/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The share mode's own struct: for share.c and visit.c only. */
#pragma once

#include <stdatomic.h>

#include "base/list.h"
#include "ev/work.h"
#include "mode/files/downloads.h"
#include "mode/files/listing.h"
#include "mode/mode.h"
#include "mode/share/openfiles.h"
#include "mode/share/plan.h"

/* A page that is sent again and again. */
struct page {
	unsigned refs;
	struct buf text;
};

struct share {
	struct mode mode;
	struct ev *ev;
	struct mode_host host;
	char *title;
	struct mode_content *content;
	uint8_t key[32];
	bool autostop, log_filenames;
	char zip_name[32]; /* onionshare_abcdef.zip */
	void (*ready)(void *ud, const struct error *err);
	void *ready_ud;

	struct plan *plan;
	struct page *root_page; /* of plan; NULL: not made yet */
	struct openfiles files; /* of plan */
	char *notice;
	struct downloads downloads;

	/* looking at the files again */
	struct walk_job *walk;
	struct walk_job *replacing; /* other content is looked at; NULL: none */
	void (*replaced)(void *ud, const struct error *err);
	void *replaced_ud;
	bool stale;           /* something was not as planned */
	uint64_t checked_ms;  /* the end of the last look ... */
	uint64_t interval_ms; /* ... which is good for so long */
	struct list waiting;  /* struct visit */
	atomic_bool cancel;

	bool finished;  /* autostop has struck, or the files are gone */
	unsigned users; /* zips on their way, files being opened */
	bool restoring; /* the host is looking for what was kept */
	bool stopping, closed;
	void (*stopped)(void *ud);
	void *stopped_ud;
};

/* Is what we know of the files new enough? Else share_refresh, and wait. */
bool share_is_fresh(const struct share *s);
void share_refresh(struct share *s);
/* One of s->users is gone. */
void share_user_done(struct share *s);

/* --- visit.c: one request --- */

struct visit;

/* GET or HEAD that is neither for an asset nor too early. */
void visit_request(struct share *s, struct http_req *req);
/* The files have been looked at (or that was not possible: s->finished). */
void visit_go_on(struct visit *v);
/* From its place in s->waiting. */
struct visit *visit_of_link(struct list *link);
void page_unref(struct page *p);
