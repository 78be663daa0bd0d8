/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/content/zip.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/alloc.h"

#define LENGTH_MAX (UINT64_C(1) << 62)

static uint64_t entry_len(const struct zip_entry *e)
{
	return zip_local_len(e) + e->size + zip_descriptor_len(e);
}

static struct zip_tail tail(const struct zip_layout *l)
{
	return (struct zip_tail){.n = l->n, .central_at = l->central_at, .end_at = l->end_at};
}

static void load(const struct zip_layout *l, struct zip_cursor *c)
{
	c->entry = (struct zip_entry){0};
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
		central += zip_central_len(&c->entry, local);
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
	struct zip_tail end = tail(l);

	l->length = l->end_at + zip_end_len(&end);
	return 0;
}

void zip_layout_done(struct zip_layout *l)
{
	free(l->index);
	*l = (struct zip_layout){0};
}

uint64_t zip_data_at(const struct zip_cursor *c)
{
	return c->local_at + zip_local_len(&c->entry);
}

static void enter(struct zip_cursor *c, enum zip_part part, uint64_t at)
{
	c->part = part;
	c->at = at;
	switch (part) {
	case ZIP_LOCAL:
		c->local_at = at;
		c->len = zip_local_len(&c->entry);
		break;
	case ZIP_DATA:
		c->len = c->entry.size;
		break;
	case ZIP_DESCRIPTOR:
		c->len = zip_descriptor_len(&c->entry);
		break;
	case ZIP_CENTRAL:
		c->len = zip_central_len(&c->entry, c->local_at);
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

void zip_render(const struct zip_layout *l, const struct zip_cursor *c, uint32_t crc, char *ret)
{
	struct zip_tail end = tail(l);
	size_t n = 0;

	switch (c->part) {
	case ZIP_LOCAL:
		n = zip_put_local(&c->entry, ret);
		break;
	case ZIP_DESCRIPTOR:
		n = zip_put_descriptor(&c->entry, crc, ret);
		break;
	case ZIP_CENTRAL:
		n = zip_put_central(&c->entry, c->local_at, crc, ret);
		break;
	case ZIP_END:
		n = zip_put_end(&end, ret);
		break;
	case ZIP_DATA:
		return;
	}
	assert(n == c->len);
}
