/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/content/ziprec.h"

#include <string.h>

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

/* --- lengths --- */

static bool is_big(const struct zip_entry *e)
{
	return e->size >= MAX32;
}

/* Are there 64 bits for the sizes before the data and right behind it? */
static bool is_wide(const struct zip_entry *e)
{
	return e->streamed || is_big(e);
}

static bool has_descriptor(const struct zip_entry *e)
{
	return e->streamed || e->size > 0;
}

uint64_t zip_local_len(const struct zip_entry *e)
{
	return LOCAL_FIXED + e->name.n + (is_wide(e) ? LOCAL_ZIP64 : 0);
}

uint64_t zip_descriptor_len(const struct zip_entry *e)
{
	return !has_descriptor(e) ? 0 : is_wide(e) ? DESCRIPTOR_ZIP64 : DESCRIPTOR;
}

/* The ZIP64 numbers of a central record: only those that do not fit. */
static unsigned central_zip64_len(const struct zip_entry *e, uint64_t local_at)
{
	return (is_big(e) ? 16u : 0) + (local_at >= MAX32 ? 8u : 0);
}

uint64_t zip_central_len(const struct zip_entry *e, uint64_t local_at)
{
	unsigned zip64 = central_zip64_len(e, local_at);

	return CENTRAL_FIXED + e->name.n + (zip64 ? 4 + zip64 : 0);
}

static bool end_is_big(const struct zip_tail *t)
{
	return t->n >= MAX16 || t->central_at >= MAX32 || t->end_at - t->central_at >= MAX32;
}

uint64_t zip_end_len(const struct zip_tail *t)
{
	return END_FIXED + (end_is_big(t) ? END_ZIP64 + END_ZIP64_LOCATOR : 0);
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
	return FLAG_UTF8 | (has_descriptor(e) ? FLAG_DESCRIPTOR : 0);
}

size_t zip_put_local(const struct zip_entry *e, char *ret)
{
	uint64_t known = e->streamed ? 0 : e->size;
	struct out o = {ret};

	put32(&o, 0x04034b50);
	put16(&o, is_wide(e) ? VERSION_ZIP64 : VERSION_PLAIN);
	put16(&o, flags(e));
	put16(&o, 0); /* stored */
	put16(&o, 0); /* time */
	put16(&o, DOS_DATE);
	put32(&o, 0); /* checksum: in the descriptor */
	put32(&o, is_wide(e) ? MAX32 : (uint32_t)known);
	put32(&o, is_wide(e) ? MAX32 : (uint32_t)known);
	put16(&o, (unsigned)e->name.n);
	put16(&o, is_wide(e) ? LOCAL_ZIP64 : 0);
	put_name(&o, e);
	if (is_wide(e)) {
		put16(&o, 1);
		put16(&o, 16);
		put64(&o, known);
		put64(&o, known);
	}
	return (size_t)(o.p - ret);
}

size_t zip_put_descriptor(const struct zip_entry *e, uint32_t crc, char *ret)
{
	struct out o = {ret};

	if (!has_descriptor(e)) {
		return 0;
	}
	put32(&o, 0x08074b50);
	put32(&o, crc);
	if (is_wide(e)) {
		put64(&o, e->size);
		put64(&o, e->size);
	} else {
		put32(&o, (uint32_t)e->size);
		put32(&o, (uint32_t)e->size);
	}
	return (size_t)(o.p - ret);
}

size_t zip_put_central(const struct zip_entry *e, uint64_t local_at, uint32_t crc, char *ret)
{
	unsigned zip64 = central_zip64_len(e, local_at);
	unsigned version = zip64 || e->streamed ? VERSION_ZIP64 : VERSION_PLAIN;
	struct out o = {ret};

	put32(&o, 0x02014b50);
	put16(&o, MADE_ON_UNIX | version);
	put16(&o, version);
	put16(&o, flags(e));
	put16(&o, 0);
	put16(&o, 0);
	put16(&o, DOS_DATE);
	put32(&o, crc);
	put32(&o, clamp32(e->size));
	put32(&o, clamp32(e->size));
	put16(&o, (unsigned)e->name.n);
	put16(&o, zip64 ? 4 + zip64 : 0);
	put16(&o, 0); /* comment */
	put16(&o, 0); /* disk */
	put16(&o, 0); /* internal attributes */
	put32(&o, e->directory ? ATTR_DIRECTORY : ATTR_FILE);
	put32(&o, clamp32(local_at));
	put_name(&o, e);
	if (zip64) {
		put16(&o, 1);
		put16(&o, zip64);
		if (is_big(e)) {
			put64(&o, e->size);
			put64(&o, e->size);
		}
		if (local_at >= MAX32) {
			put64(&o, local_at);
		}
	}
	return (size_t)(o.p - ret);
}

size_t zip_put_end(const struct zip_tail *t, char *ret)
{
	uint64_t central = t->end_at - t->central_at;
	unsigned n = t->n >= MAX16 ? MAX16 : (unsigned)t->n;
	struct out o = {ret};

	if (end_is_big(t)) {
		put32(&o, 0x06064b50);
		put64(&o, END_ZIP64 - 12);
		put16(&o, MADE_ON_UNIX | VERSION_ZIP64);
		put16(&o, VERSION_ZIP64);
		put32(&o, 0);
		put32(&o, 0);
		put64(&o, t->n);
		put64(&o, t->n);
		put64(&o, central);
		put64(&o, t->central_at);
		put32(&o, 0x07064b50); /* locator */
		put32(&o, 0);
		put64(&o, t->end_at);
		put32(&o, 1);
	}
	put32(&o, 0x06054b50);
	put16(&o, 0);
	put16(&o, 0);
	put16(&o, n);
	put16(&o, n);
	put32(&o, clamp32(central));
	put32(&o, clamp32(t->central_at));
	put16(&o, 0);
	return (size_t)(o.p - ret);
}
