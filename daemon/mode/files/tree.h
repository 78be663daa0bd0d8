/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a service shares, as it was at one moment: all files and directories
 * beneath the shared paths. Symbolic links and special files are left out and
 * never opened or followed, here and when a file is opened later; so is what
 * cannot be read (and is counted), and what vanishes meanwhile.
 *
 * How the paths stand in the root is a matter of layout (mode/content.h): what is in
 * a directory is the root itself, or each path is in it by its own name, or both.
 * Where two names would be equal, the later one in the list gets "-1", "-2" ...
 * before its extension (a directory: at the end).
 *
 * A tree never changes once it is made, so any thread may read it. Memory: 40
 * bytes and its name for each entry.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "mode/content.h"
#include "proto/base/crypto.h"
#include "proto/base/error.h"
#include "proto/base/span.h"

#define TREE_MAX_ENTRIES 1000000u
#define TREE_TOPS_MAX    64u /* paths */
#define TREE_MAX_DEPTH   128u
#define TREE_MAX_PATH    4095u /* bytes, beneath a shared path */

#define TREE_ROOT 0u
#define TREE_NONE UINT32_MAX

/* Entries are numbered: the root is 0, the children of a directory stand together, directories
 * first, each kind sorted by bytes; what is deeper comes later. */
struct tree_entry {
	union {
		struct {
			uint64_t size;
			int64_t mtime_ns, ctime_ns;
		} file;
		struct {
			uint32_t first, count; /* children ... */
			uint32_t dirs;         /* ... the first so many of which are directories */
		} dir;
	};
	uint32_t name_at;
	uint32_t parent;
	uint16_t name_len;
	uint16_t zip_name_len; /* behind the name, if it is another; else 0 */
	bool is_dir;
};

struct tree {
	struct tree_entry *entries;
	uint32_t n;
	char *names;
	char **paths;      /* the shared ones, NULL at the end */
	uint32_t *path_of; /* of each child of the root; NULL: all are in paths[0] */
	bool spread;       /* what is in paths[0] is in the root, not paths[0] itself */
	bool single;       /* one file, shared as such */
	uint64_t total;    /* bytes of all files */
	uint32_t files;
	/* left out */
	uint32_t unreadable, links, special;
	char *first_unreadable; /* escaped, or NULL */
	/* Keyed: of all names, sizes and times. Equal digests: the same content. */
	uint8_t digest[SHA256_SIZE];
};

struct tree_options {
	bool strict;               /* every path must be there and readable; else only some must */
	const atomic_bool *cancel; /* once true: -ECANCELED; may be NULL */
	uint32_t max_entries;      /* 0: TREE_MAX_ENTRIES */
	/* Its layout, and whether it allows what is found; NULL: MODE_LAYOUT_ALONE, all. */
	const struct mode_content *content;
};

/* Blocks: for the pool. key: of the digest. */
int tree_walk(const char *const *paths, const uint8_t key[32], const struct tree_options *options,
	      struct tree **ret, struct error *err);
void tree_free(struct tree *t);

/* Of a file's times, as entries have them. */
static inline int64_t tree_ns(struct timespec ts)
{
	return (int64_t)((uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec);
}

static inline struct span tree_name(const struct tree *t, uint32_t i)
{
	return (struct span){t->names + t->entries[i].name_at, t->entries[i].name_len};
}

/* Any bytes, "/" in front; a "/" at the end fits directories only. TREE_NONE: not there. */
uint32_t tree_find(const struct tree *t, struct span path);

/*
 * Writes the names from below the root down to i with "/" between them, no NUL;
 * ret holds TREE_PATH_ROOM bytes. The length.
 */
#define TREE_PATH_ROOM (TREE_MAX_PATH + 1 + 256)
size_t tree_path(const struct tree *t, uint32_t i, char *ret);
/*
 * The same for a zip: UTF-8 (what is not becomes U+FFFD, and is told apart from
 * its neighbours), no backslash, "/" behind a directory. ret holds ZIP_NAME_MAX bytes.
 */
size_t tree_zip_path(const struct tree *t, uint32_t i, char *ret);
/*
 * The shared path that i is beneath, or is itself: its place among paths, and in
 * *ret_top the ancestor below which names count from it (TREE_ROOT where it is spread).
 */
uint32_t tree_source(const struct tree *t, uint32_t i, uint32_t *ret_top);

/*
 * On the pool. The file as it was seen: a descriptor, or -errno; -ESTALE: it
 * has changed, or is another. check: 0 while fd still is what was seen.
 */
int tree_open(const struct tree *t, uint32_t i);
/* Does not block on local disks: it asks about an open file. */
int tree_check(const struct tree *t, uint32_t i, int fd);

/* Why the path cannot be served, in words; code as of errno. -code. */
int tree_path_error(struct error *err, const char *path, int code);
/* The name by which a shared path stands in the root. */
struct span tree_base_name(const char *path);
