/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/website/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mode/files/tree.h"
#include "proto/base/alloc.h"

void bodies_init(struct bodies *b)
{
	*b = (struct bodies){.count = 0};
	list_init(&b->used);
	for (unsigned i = 0; i < BODIES_BUCKETS; i++) {
		list_init(&b->buckets[i]);
	}
}

struct body_key body_key(const struct stat *st, enum http_coding coding)
{
	return (struct body_key){
		.device = st->st_dev,
		.inode = st->st_ino,
		.size = (uint64_t)st->st_size,
		.mtime_ns = tree_ns(st->st_mtim),
		.ctime_ns = tree_ns(st->st_ctim),
		.coding = coding,
	};
}

bool body_key_eq(const struct body_key *a, const struct body_key *b)
{
	return memcmp(a, b, sizeof(*a)) == 0; /* no holes: eight bytes each */
}

static struct list *bucket_of(struct bodies *b, const struct body_key *key)
{
	uint64_t h = key->inode ^ (key->device << 32) ^ key->coding;

	h ^= (uint64_t)key->ctime_ns;
	h *= UINT64_C(0x9e3779b97f4a7c15); /* Fibonacci hashing: the upper bits are mixed well */
	return &b->buckets[h >> 54];
}

static void forget(struct body *body)
{
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what is freed has left the list */
	struct bodies *b = body->owner;

	list_remove(&body->bucket);
	list_remove(&body->used);
	b->count--;
	b->bytes -= body->n;
	body_unref(body);
}

void bodies_done(struct bodies *b)
{
	list_for_each_safe (it, &b->used) {
		forget(list_entry(it, struct body, used));
	}
}

struct body *bodies_get(struct bodies *b, const struct body_key *key)
{
	list_for_each (it, bucket_of(b, key)) {
		struct body *body = list_entry(it, struct body, bucket);

		if (body_key_eq(&body->key, key)) {
			list_remove(&body->used);
			list_append(&b->used, &body->used);
			return body;
		}
	}
	return NULL;
}

bool bodies_have_room(const struct bodies *b, size_t n)
{
	return n <= BODIES_BYTES && b->bytes_all + n <= BODIES_BYTES_ALL;
}

struct body *bodies_put(struct bodies *b, const struct body_key *key, char *p, size_t n,
			const char *etag)
{
	struct body *body = bodies_get(b, key);

	if (body) { /* two have read it at once */
		free(p);
		return body;
	}
	while (b->count && (b->count >= BODIES_MAX || b->bytes + n > BODIES_BYTES)) {
		forget(list_entry(b->used.next, struct body, used));
	}
	body = xnew(struct body);
	body->owner = b;
	body->refs = 1;
	body->key = *key;
	body->p = p;
	body->n = n;
	snprintf(body->etag, sizeof(body->etag), "%s", etag);
	list_append(bucket_of(b, key), &body->bucket);
	list_append(&b->used, &body->used);
	b->count++;
	b->bytes += n;
	b->bytes_all += n;
	return body;
}

struct body *bodies_count(struct bodies *b, char *p, size_t n)
{
	struct body *body = xnew(struct body);

	body->owner = b;
	body->refs = 1;
	body->p = p;
	body->n = n;
	b->bytes_all += n;
	return body;
}

struct body *body_ref(struct body *body)
{
	body->refs++;
	return body;
}

void body_unref(struct body *body)
{
	if (--body->refs == 0) {
		body->owner->bytes_all -= body->n;
		free(body->p);
		free(body);
	}
}
