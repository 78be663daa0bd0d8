/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The records of a zip archive of stored entries (PKWARE's APPNOTE 6.3.10), pure.
 *
 *   [local header, data, descriptor] each entry · [central record] each entry · end
 *
 * Local headers carry no checksum, which is not known yet; it follows in the
 * data descriptor (bit 3) and in the central record. Entries of no bytes have no
 * descriptor. ZIP64 only where a number does not fit. All times are 1980-01-01, modes 0644
 * and 0755: nothing tells one machine from another, and the same input gives the
 * same bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/span.h"

/* Bytes of an entry's name: a path of 4096 whose every byte became U+FFFD, and some to spare. */
#define ZIP_NAME_MAX (16u * 1024)
/* The longest record. */
#define ZIP_PART_MAX (ZIP_NAME_MAX + 128)

struct zip_entry {
	struct span name; /* UTF-8, relative, "/" between; a directory's ends with "/" */
	uint64_t size;    /* 0 for a directory */
	bool directory;
	/*
	 * The size is known only when all data has come: the local header has none, and room
	 * for 64 bits of it is made there and in the descriptor, whatever it turns out to be.
	 */
	bool streamed;
};

/* What stands behind the central records. */
struct zip_tail {
	uint64_t n;                  /* entries */
	uint64_t central_at, end_at; /* where the central records begin and end */
};

/* Bytes of a record; local_at: where the entry's local header stands. */
uint64_t zip_local_len(const struct zip_entry *e);
uint64_t zip_descriptor_len(const struct zip_entry *e);
uint64_t zip_central_len(const struct zip_entry *e, uint64_t local_at);
uint64_t zip_end_len(const struct zip_tail *t);

/* Write so many bytes to ret, which holds ZIP_PART_MAX, and return how many. */
size_t zip_put_local(const struct zip_entry *e, char *ret);
size_t zip_put_descriptor(const struct zip_entry *e, uint32_t crc, char *ret);
size_t zip_put_central(const struct zip_entry *e, uint64_t local_at, uint32_t crc, char *ret);
size_t zip_put_end(const struct zip_tail *t, char *ret);
