/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/zip.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/alloc.h"

#define LENGTH_MAX (UINT64_C(1) << 62)

/* Numbers that do not fit are all ones, and stand in the ZIP64 fields instead. */
#define MAX16 0xFFFFu
#define MAX32 0xFFFFFFFFu

#define LOCAL_FIXED       30u
#define LOCAL_ZIP64       20u /* extra field: two sizes */
#define DESCRIPTOR        16u
#define DESCRIPTOR_ZIP64  24u
#define CENTRAL_FIXED     46u
#define END_FIXED         22u
#define END_ZIP64         56u
#define END_ZIP64_LOCATOR 20u
#define VERSION_PLAIN     20u
#define VERSION_ZIP64     45u
#define MADE_ON_UNIX      (3u << 8)
#define FLAG_DESCRIPTOR   0x0008u
#define FLAG_UTF8         0x0800u
#define DOS_DATE          0x0021u /* 1980-01-01 */
#define DOS_DIRECTORY     0x10u
#define ATTR_FILE         (0100644u << 16)
#define ATTR_DIRECTORY    ((040755u << 16) | DOS_DIRECTORY)

static bool is_big(const struct zip_entry *e)
{
	return e->size >= MAX32;
}

static uint64_t local_len(const struct zip_entry *e)
{
	return LOCAL_FIXED + e->name.n + (is_big(e) ? LOCAL_ZIP64 : 0);
}

static uint64_t descriptor_len(const struct zip_entry *e)
{
	return e->size == 0 ? 0 : is_big(e) ? DESCRIPTOR_ZIP64 : DESCRIPTOR;
}

/* The ZIP64 numbers of a central record: only those that do not fit. */
static unsigned central_zip64_len(const struct zip_entry *e, uint64_t local_at)
{
	return (is_big(e) ? 16u : 0) + (local_at >= MAX32 ? 8u : 0);
}

static uint64_t central_len(const struct zip_entry *e, uint64_t local_at)
{
	unsigned zip64 = central_zip64_len(e, local_at);

	return CENTRAL_FIXED + e->name.n + (zip64 ? 4 + zip64 : 0);
}

static bool end_is_big(const struct zip_layout *l)
{
	return l->n >= MAX16 || l->central_at >= MAX32 || l->end_at - l->central_at >= MAX32;
}

static uint64_t entry_len(const struct zip_entry *e)
{
	return local_len(e) + e->size + descriptor_len(e);
}

static void load(const struct zip_layout *l, struct zip_cursor *c)
{
	l->entry(l->ud, c->i, c->name, &c->entry);
	assert(c->entry.name.n <= ZIP_NAME_MAX);
}

int zip_layout_init(struct zip_layout *l, size_t n, zip_entry_fn *entry, void *ud)
{
	struct zip_cursor *c = xnew(struct zip_cursor);
	uint64_t local = 0, central = 0;
	int r = 0;

	*l = (struct zip_layout){.n = n, .entry = entry, .ud = ud};
	l->index = xreallocarray(NULL, n / ZIP_INDEX_STEP + 1, sizeof(*l->index));
	for (c->i = 0; c->i < n; c->i++) {
		load(l, c);
		if (c->i % ZIP_INDEX_STEP == 0) {
			l->index[c->i / ZIP_INDEX_STEP] = (struct zip_index){local, central};
		}
		central += central_len(&c->entry, local);
		if (c->entry.size > LENGTH_MAX ||
		    local + central + entry_len(&c->entry) > LENGTH_MAX) {
			r = -EOVERFLOW;
			break;
		}
		local += entry_len(&c->entry);
	}
	free(c);
	if (r < 0) {
		zip_layout_done(l);
		return r;
	}
	l->central_at = local;
	l->end_at = local + central;
	l->length = l->end_at + END_FIXED + (end_is_big(l) ? END_ZIP64 + END_ZIP64_LOCATOR : 0);
	return 0;
}

void zip_layout_done(struct zip_layout *l)
{
	free(l->index);
	*l = (struct zip_layout){0};
}

uint64_t zip_data_at(const struct zip_cursor *c)
{
	return c->local_at + local_len(&c->entry);
}

static void enter(struct zip_cursor *c, enum zip_part part, uint64_t at)
{
	c->part = part;
	c->at = at;
	switch (part) {
	case ZIP_LOCAL:
		c->local_at = at;
		c->len = local_len(&c->entry);
		break;
	case ZIP_DATA:
		c->len = c->entry.size;
		break;
	case ZIP_DESCRIPTOR:
		c->len = descriptor_len(&c->entry);
		break;
	case ZIP_CENTRAL:
		c->len = central_len(&c->entry, c->local_at);
		break;
	case ZIP_END:
		break;
	}
}

static void enter_end(const struct zip_layout *l, struct zip_cursor *c)
{
	c->i = l->n;
	c->len = l->length - l->end_at;
	enter(c, ZIP_END, l->end_at);
}

static void enter_first_central(const struct zip_layout *l, struct zip_cursor *c)
{
	if (l->n == 0) {
		enter_end(l, c);
		return;
	}
	c->i = 0;
	c->local_at = 0;
	load(l, c);
	enter(c, ZIP_CENTRAL, l->central_at);
}

/* From one part to the one behind it, which may be empty. */
static void step(const struct zip_layout *l, struct zip_cursor *c)
{
	uint64_t at = c->at + c->len;

	switch (c->part) {
	case ZIP_LOCAL:
		enter(c, ZIP_DATA, at);
		break;
	case ZIP_DATA:
		enter(c, ZIP_DESCRIPTOR, at);
		break;
	case ZIP_DESCRIPTOR:
		if (++c->i == l->n) {
			enter_first_central(l, c);
		} else {
			load(l, c);
			enter(c, ZIP_LOCAL, at);
		}
		break;
	case ZIP_CENTRAL:
		c->local_at += entry_len(&c->entry);
		if (++c->i == l->n) {
			enter_end(l, c);
		} else {
			load(l, c);
			enter(c, ZIP_CENTRAL, at);
		}
		break;
	case ZIP_END:
		break;
	}
}

void zip_next(const struct zip_layout *l, struct zip_cursor *c)
{
	assert(c->part != ZIP_END);
	do {
		step(l, c);
	} while (c->len == 0);
}

/* The last indexed entry that begins at or before offset. */
static size_t index_find(const struct zip_layout *l, uint64_t offset, bool central)
{
	size_t lo = 0, hi = (l->n - 1) / ZIP_INDEX_STEP;

	while (lo < hi) {
		size_t mid = hi - (hi - lo) / 2;
		uint64_t at = central ? l->index[mid].central : l->index[mid].local;

		if (at <= offset) {
			lo = mid;
		} else {
			hi = mid - 1;
		}
	}
	return lo;
}

void zip_seek(const struct zip_layout *l, struct zip_cursor *c, uint64_t offset)
{
	assert(offset < l->length);
	if (offset >= l->end_at) {
		enter_end(l, c);
		return;
	}
	bool central = offset >= l->central_at;
	size_t k = index_find(l, central ? offset - l->central_at : offset, central);

	c->i = k * ZIP_INDEX_STEP;
	load(l, c);
	if (central) {
		c->local_at = l->index[k].local;
		enter(c, ZIP_CENTRAL, l->central_at + l->index[k].central);
	} else {
		enter(c, ZIP_LOCAL, l->index[k].local);
	}
	while (offset >= c->at + c->len) {
		step(l, c);
	}
}

bool zip_needs_crc(const struct zip_cursor *c)
{
	return (c->part == ZIP_DESCRIPTOR || c->part == ZIP_CENTRAL) && c->entry.size > 0;
}

/* --- bytes --- */

struct out {
	char *p;
};

static void put16(struct out *o, unsigned v)
{
	*o->p++ = (char)(v & 0xFF);
	*o->p++ = (char)(v >> 8 & 0xFF);
}

static void put32(struct out *o, uint32_t v)
{
	put16(o, v & MAX16);
	put16(o, v >> 16);
}

static void put64(struct out *o, uint64_t v)
{
	put32(o, (uint32_t)v);
	put32(o, (uint32_t)(v >> 32));
}

static void put_name(struct out *o, const struct zip_entry *e)
{
	memcpy(o->p, e->name.p, e->name.n);
	o->p += e->name.n;
}

static uint32_t clamp32(uint64_t v)
{
	return v >= MAX32 ? MAX32 : (uint32_t)v;
}

static unsigned flags(const struct zip_entry *e)
{
	return FLAG_UTF8 | (e->size ? FLAG_DESCRIPTOR : 0);
}

static void put_local(struct out *o, const struct zip_entry *e)
{
	put32(o, 0x04034b50);
	put16(o, is_big(e) ? VERSION_ZIP64 : VERSION_PLAIN);
	put16(o, flags(e));
	put16(o, 0); /* stored */
	put16(o, 0); /* time */
	put16(o, DOS_DATE);
	put32(o, 0); /* checksum: in the descriptor */
	put32(o, clamp32(e->size));
	put32(o, clamp32(e->size));
	put16(o, (unsigned)e->name.n);
	put16(o, is_big(e) ? LOCAL_ZIP64 : 0);
	put_name(o, e);
	if (is_big(e)) {
		put16(o, 1);
		put16(o, 16);
		put64(o, e->size);
		put64(o, e->size);
	}
}

static void put_descriptor(struct out *o, const struct zip_entry *e, uint32_t crc)
{
	put32(o, 0x08074b50);
	put32(o, crc);
	if (is_big(e)) {
		put64(o, e->size);
		put64(o, e->size);
	} else {
		put32(o, (uint32_t)e->size);
		put32(o, (uint32_t)e->size);
	}
}

static void put_central(struct out *o, const struct zip_entry *e, uint64_t local_at, uint32_t crc)
{
	unsigned zip64 = central_zip64_len(e, local_at);
	unsigned version = zip64 ? VERSION_ZIP64 : VERSION_PLAIN;

	put32(o, 0x02014b50);
	put16(o, MADE_ON_UNIX | version);
	put16(o, version);
	put16(o, flags(e));
	put16(o, 0);
	put16(o, 0);
	put16(o, DOS_DATE);
	put32(o, crc);
	put32(o, clamp32(e->size));
	put32(o, clamp32(e->size));
	put16(o, (unsigned)e->name.n);
	put16(o, zip64 ? 4 + zip64 : 0);
	put16(o, 0); /* comment */
	put16(o, 0); /* disk */
	put16(o, 0); /* internal attributes */
	put32(o, e->directory ? ATTR_DIRECTORY : ATTR_FILE);
	put32(o, clamp32(local_at));
	put_name(o, e);
	if (zip64) {
		put16(o, 1);
		put16(o, zip64);
		if (is_big(e)) {
			put64(o, e->size);
			put64(o, e->size);
		}
		if (local_at >= MAX32) {
			put64(o, local_at);
		}
	}
}

static void put_end(struct out *o, const struct zip_layout *l)
{
	uint64_t central = l->end_at - l->central_at;
	unsigned n = l->n >= MAX16 ? MAX16 : (unsigned)l->n;

	if (end_is_big(l)) {
		put32(o, 0x06064b50);
		put64(o, END_ZIP64 - 12);
		put16(o, MADE_ON_UNIX | VERSION_ZIP64);
		put16(o, VERSION_ZIP64);
		put32(o, 0);
		put32(o, 0);
		put64(o, l->n);
		put64(o, l->n);
		put64(o, central);
		put64(o, l->central_at);
		put32(o, 0x07064b50); /* locator */
		put32(o, 0);
		put64(o, l->end_at);
		put32(o, 1);
	}
	put32(o, 0x06054b50);
	put16(o, 0);
	put16(o, 0);
	put16(o, n);
	put16(o, n);
	put32(o, clamp32(central));
	put32(o, clamp32(l->central_at));
	put16(o, 0);
}

void zip_render(const struct zip_layout *l, const struct zip_cursor *c, uint32_t crc, char *ret)
{
	struct out o = {ret};

	switch (c->part) {
	case ZIP_LOCAL:
		put_local(&o, &c->entry);
		break;
	case ZIP_DESCRIPTOR:
		put_descriptor(&o, &c->entry, crc);
		break;
	case ZIP_CENTRAL:
		put_central(&o, &c->entry, c->local_at, crc);
		break;
	case ZIP_END:
		put_end(&o, l);
		break;
	case ZIP_DATA:
		return;
	}
	assert((uint64_t)(o.p - ret) == c->len);
}
