/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Small bodies in memory, by what they are made of: a file as stat(2) describes
 * it, and a coding. A file that is another has another ctime and is never found
 * here; what is found is valid as soon as the path still leads to that file.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/list.h"
#include "http/accept.h"
#include "mode/etag.h"

#define BODIES_MAX       4096u
#define BODIES_BYTES     (16u * 1024 * 1024)
#define BODIES_BYTES_ALL (48u * 1024 * 1024) /* with those that are only still being sent */
#define BODIES_BUCKETS   1024u

struct body_key {
	uint64_t device, inode, size;
	int64_t mtime_ns, ctime_ns;
	uint64_t coding;
};

struct bodies;

struct body {
	struct list bucket, used; /* while it is in the cache */
	struct bodies *owner;
	unsigned refs;
	struct body_key key;
	char *p; /* NULL: a coding that makes it no smaller */
	size_t n;
	char etag[ETAG_ROOM];
};

struct bodies {
	struct list buckets[BODIES_BUCKETS];
	struct list used; /* the one not used for longest is first */
	unsigned count;
	size_t bytes, bytes_all;
};

void bodies_init(struct bodies *b);
/* None is being sent any more. */
void bodies_done(struct bodies *b);

struct body_key body_key(const struct stat *st, enum http_coding coding);
bool body_key_eq(const struct body_key *a, const struct body_key *b);
/* Borrowed; NULL: not there. */
struct body *bodies_get(struct bodies *b, const struct body_key *key);
/* May n more bytes be kept in memory? */
bool bodies_have_room(const struct bodies *b, size_t n);
/* p becomes the cache's (malloc). Borrowed. Others go if that is too much. */
struct body *bodies_put(struct bodies *b, const struct body_key *key, char *p, size_t n,
			const char *etag);
/* The same for what is sent once: it only counts. The reference is the caller's. */
struct body *bodies_count(struct bodies *b, char *p, size_t n);
struct body *body_ref(struct body *body);
void body_unref(struct body *body);
