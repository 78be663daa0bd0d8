/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Has an onion's descriptor reached the directories? Read from tor's HS_DESC
 * events (control-spec section 4.1.25) of that onion. Pure.
 *
 * Tor uploads two descriptors (this and the next time period, told apart by
 * their blinded keys), each to up to eight directories. "UPLOADED" and "FAILED" do not
 * say which descriptor they speak of, so they are matched with the uploads
 * that are under way at the same directory, the oldest first.
 */
#pragma once

#include <stdbool.h>

#include "proto/base/span.h"

#define DESC_BLINDED_MAX  4
#define DESC_BLINDED_SIZE 44 /* a 32-byte key in base64 */
#define DESC_UPLOADS_MAX  64 /* 2 x 8, and the tries again */
#define DESC_DIRS_ENOUGH  3u /* distinct directories that took it */

struct desc_track {
	struct desc_blinded {
		char key[DESC_BLINDED_SIZE];
		unsigned char n;
		bool uploaded;
	} blinded[DESC_BLINDED_MAX];
	unsigned n_blinded;
	struct desc_upload {
		char dir[40]; /* the directory's fingerprint */
		unsigned char blinded;
	} under_way[DESC_UPLOADS_MAX];
	unsigned n_under_way;
	char took_it[DESC_DIRS_ENOUGH][40];
	unsigned n_took_it;
	unsigned refused; /* since the last success */
	bool published;
};

struct desc_event {
	enum desc_action {
		DESC_CREATED,
		DESC_UPLOAD,
		DESC_UPLOADED,
		DESC_FAILED,
		DESC_OTHER
	} action;
	struct span address;
	struct span dir;     /* fingerprint: 40 characters, or empty */
	struct span blinded; /* or empty */
};

/* The text of a 650 line: false if it is no HS_DESC event, or one that makes no sense. */
bool desc_parse(struct span text, struct desc_event *ret);
/* True if the event changed what is known: published came, or all that was tried has failed. */
bool desc_feed(struct desc_track *t, const struct desc_event *e);
/* Some directory was, or is, to take it. */
bool desc_attempted(const struct desc_track *t);
/* Nothing is under way, nothing succeeded, and something was refused. */
bool desc_all_refused(const struct desc_track *t);
