/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The website mode's own struct: for website*.c only. */
#pragma once

#include <uv.h>

#include "ev/work.h"
#include "mode/files/downloads.h"
#include "mode/mode.h"
#include "mode/website/cache.h"
#include "mode/website/find.h"

/* More than that do not wait for a listing: 503. */
#define WEBSITE_SLOW_MAX 1024u
/* While so much text waits to be made smaller, further text is sent as it is. */
#define WEBSITE_PACKING_BYTES (8u * 1024 * 1024)

struct website {
	struct mode mode;
	struct ev *ev;
	struct mode_host host;
	char *title;
	uint8_t key[32];
	bool no_listing, dotfiles, log_filenames;
	void (*ready)(void *ud, const struct error *err);
	void *ready_ud;

	struct site *site; /* what is served; NULL before ready */
	struct bodies bodies;
	struct list packing;    /* struct errand, each making a body smaller */
	uint64_t packing_bytes; /* of the files that are made smaller */
	/* What takes long, one after the other: listings, bodies that are made smaller. */
	struct {
		struct list queue; /* struct errand */
		unsigned n;
		bool busy;
	} slow;
	struct downloads downloads;
	char *room; /* for looking up on the loop */
	uint64_t turn;
	uv_prepare_t prepare; /* counts the loop's turns */

	/* small responses, told together */
	struct {
		uint64_t count, bytes;
	} told;
	uv_timer_t tell;

	/* another content is being looked at */
	struct site_job *job;
	void (*replaced)(void *ud, const struct error *err);
	void *replaced_ud;

	unsigned users;   /* errands */
	unsigned closing; /* handles and downloads, on their way down */
	bool stopping;
	void (*stopped)(void *ud);
	void *stopped_ud;
};

/* An errand is over. */
void website_user_done(struct website *w);
/* n bytes of a small response were handed over (or were not, after all). */
void website_count_bytes(struct website *w, int64_t n);
void website_count_response(struct website *w);

/* --- website_visit.c: a request --- */

/* GET or HEAD, not for an asset. */
void website_visit(struct website *w, struct http_req *req);

/* --- website_send.c: from what was found to a response --- */

/*
 * The body that is to be sent, if it is in memory. *ret_pack: it is not, and
 * ought to be made smaller first.
 */
struct body *website_body(struct website *w, const struct http_accept *accept, const struct find *f,
			  bool *ret_pack);
void website_send_body(struct website *w, struct http_req *req, struct find *f, struct body *body);
/* f->fd is taken. */
void website_send_file(struct website *w, struct http_req *req, struct find *f);
/* Another response than one with a file. */
void website_send_other(struct http_req *req, enum find_kind kind);
/* page: HTML, taken out of the buffer; or that, made smaller. */
void website_send_page(struct website *w, struct http_req *req, struct buf *page, bool packed);
void website_make_etag(const struct website *w, const struct stat *st, enum http_coding coding,
		       char ret[ETAG_ROOM]);
/* May it change once more without that being seen? */
bool website_is_young(const struct stat *st);

/* --- website_list.c: a page about a directory --- */

struct site_listing {
	struct site *site;
	const char *title;
	struct span path; /* of the directory, without slashes at its ends; "": the root */
	size_t input;
	int fd;        /* -1: the root of a site whose paths all have names */
	unsigned page; /* from 0 on */
	bool dotfiles;
};

/* Blocks: for the pool. -errno; -ENOENT: no such page. */
int website_list(const struct site_listing *l, struct buf *ret);
/* What is on one page. */
#define WEBSITE_LIST_ROWS 1000u
