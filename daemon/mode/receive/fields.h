/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the dropbox's form holds: a body's bytes go in, in pieces of any size, and
 * come out as records (inbox.h). Only file[] and text count. What is switched
 * off is refused before there is a record of it. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/content/multipart.h"
#include "mode/names.h"
#include "mode/receive/records.h"
#include "mode/receive/refusal.h"
#include "proto/base/buf.h"

/* Parts of a form's body; more are refused before they cost anything. */
#define FIELDS_PARTS_MAX 1000u

struct fields_config {
	bool files, text;  /* what is accepted */
	struct span taken; /* a name that no file gets, or none */
	/* n more bytes of files or message have come: may they? */
	enum refusal (*count)(void *ud, size_t n);
	void *ud;
};

enum fields_part {
	FIELDS_OTHER, /* nothing that counts */
	FIELDS_FILE,
	FIELDS_TEXT,
};

struct fields {
	struct fields_config config;
	struct records *out; /* borrowed */
	struct multipart mp;
	enum refusal refused;
	enum fields_part part;
	bool open;           /* the part's first record was made */
	struct buf raw_name; /* of the file */
	struct names *names;
	/* of the text */
	uint64_t chars, text_bytes;
	bool after_cr, nonblank;
	/* the result */
	struct buf shown; /* "a.txt, b.txt" */
	unsigned files;
	bool message;
};

void fields_init(struct fields *f, const struct multipart_boundary *boundary,
		 const struct fields_config *config, struct records *out);
void fields_done(struct fields *f);
/* After a refusal every further call says the same. */
enum refusal fields_feed(struct fields *f, struct span bytes);
/* The body is whole: is it a submission? */
enum refusal fields_end(struct fields *f);
