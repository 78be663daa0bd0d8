/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A tree and the zip that it makes: which entries, in which order, how long, and
 * the validators. A plan never changes; downloads that run keep theirs when the
 * files change and a new one is made. Memory: 12 bytes an entry besides the tree's.
 */
#pragma once

#include <stdint.h>

#include "ev/ev.h"
#include "http/body.h"
#include "http/content/zip.h"
#include "http/content/zipsum.h"
#include "mode/etag.h"
#include "mode/files/tree.h"
#include "mode/mode.h"

#define PLAN_ETAGS 64 /* of files, kept so that a hot one costs no hash */

struct plan {
	unsigned refs; /* the share's, and one for each body that is made of it */
	struct tree *tree;
	uint32_t *entries; /* of the tree: all files, and directories without children */
	struct zip_layout zip;
	struct zip_sums sums;
	char zip_etag[ETAG_ROOM];
	struct {
		uint32_t i;
		char text[ETAG_ROOM]; /* "": none yet */
	} etags[PLAN_ETAGS];
	uint8_t key[32];
	bool released; /* mode/content.h */
	struct mode_host host;
	struct mode_content *content; /* a reference: files are opened as long as there is a plan */
};

/*
 * As tree_walk of options->content, and like it for the pool. One reference, the
 * caller's, who puts one to the content into it, on the loop.
 */
int plan_make(const uint8_t key[32], const struct mode_host *host,
	      const struct tree_options *options, struct plan **ret, struct error *err);
struct plan *plan_ref(struct plan *p);
void plan_unref(struct plan *p);

/*
 * Strong, keyed, the same after a restart: no size, time or name can be read
 * from it, and equal files of two services have different ones. Borrowed until
 * the etag of another file is asked for.
 */
const char *plan_file_etag(struct plan *p, uint32_t i);

/*
 * The bytes [offset, offset + length) of the zip, length above 0. over: once, when
 * the source is gone; err: -errno if a file was not as planned.
 */
struct http_body plan_zip_body(struct plan *p, struct ev *ev, uint64_t offset, uint64_t length,
			       void (*over)(void *ud, int err), void *ud);
