/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The layout of a zip archive of stored entries, made of ziprec.h's records, pure:
 * where each byte stands is known from names and sizes alone, so that a
 * range in the middle of a huge archive is made without what lies before it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/content/ziprec.h"

/*
 * Tells about entry i. name: room for ZIP_NAME_MAX bytes, for ret->name if it
 * stands nowhere else. Any thread; always the same answer.
 */
typedef void zip_entry_fn(void *ud, size_t i, char *name, struct zip_entry *ret);

struct zip_index {
	uint64_t local, central;
};

struct zip_layout {
	size_t n;
	zip_entry_fn *entry;
	void *ud;
	struct zip_index *index; /* of every ZIP_INDEX_STEP-th entry; central from central_at on */
	uint64_t central_at, end_at;
	uint64_t length; /* of the whole archive */
};

#define ZIP_INDEX_STEP 64

/* 0, or -EOVERFLOW above 2^62 bytes. */
int zip_layout_init(struct zip_layout *l, size_t n, zip_entry_fn *entry, void *ud);
void zip_layout_done(struct zip_layout *l);

enum zip_part {
	ZIP_LOCAL,
	ZIP_DATA,
	ZIP_DESCRIPTOR,
	ZIP_CENTRAL,
	ZIP_END,
};

/* A place in the archive: one part of one entry. */
struct zip_cursor {
	enum zip_part part;
	size_t i;          /* the entry; n in ZIP_END */
	uint64_t at, len;  /* the part's first byte in the archive, its length */
	uint64_t local_at; /* of entry i */
	struct zip_entry entry;
	char name[ZIP_NAME_MAX];
};

/* To the part that holds the byte at offset (below l->length). */
void zip_seek(const struct zip_layout *l, struct zip_cursor *c, uint64_t offset);
/* To the next part that has bytes; not called in ZIP_END. */
void zip_next(const struct zip_layout *l, struct zip_cursor *c);
/* The part's bytes carry a checksum that must be known. */
bool zip_needs_crc(const struct zip_cursor *c);
/* Writes the c->len bytes of any part but ZIP_DATA; ret holds ZIP_PART_MAX. */
void zip_render(const struct zip_layout *l, const struct zip_cursor *c, uint32_t crc, char *ret);
/* Where the data of the entry at c (in ZIP_LOCAL, ZIP_DATA, ZIP_DESCRIPTOR) begins. */
uint64_t zip_data_at(const struct zip_cursor *c);
