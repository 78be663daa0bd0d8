/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/files/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fsutil.h"
#include "proto/base/alloc.h"

void tree_free(struct tree *t)
{
	if (!t) {
		return;
	}
	for (char **p = t->paths; p && *p; p++) {
		free(*p);
	}
	free(t->paths);
	free(t->path_of);
	free(t->entries);
	free(t->names);
	free(t->first_unreadable);
	free(t);
}

/* --- finding --- */

static int compare(struct span a, struct span b)
{
	int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

	return c ? c : (a.n > b.n) - (a.n < b.n);
}

static uint32_t find_among(const struct tree *t, uint32_t first, uint32_t n, struct span name)
{
	while (n) {
		uint32_t half = n / 2;
		int c = compare(name, tree_name(t, first + half));

		if (c == 0) {
			return first + half;
		}
		if (c > 0) {
			first += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return TREE_NONE;
}

static uint32_t find_child(const struct tree *t, uint32_t dir, struct span name)
{
	const struct tree_entry *d = &t->entries[dir];
	uint32_t i = find_among(t, d->dir.first, d->dir.dirs, name);

	if (i == TREE_NONE) {
		i = find_among(t, d->dir.first + d->dir.dirs, d->dir.count - d->dir.dirs, name);
	}
	return i;
}

uint32_t tree_find(const struct tree *t, struct span path)
{
	uint32_t at = TREE_ROOT;

	if (path.n == 0 || path.p[0] != '/') {
		return TREE_NONE;
	}
	path = span_from(path, 1);
	while (path.n) {
		bool slash = memchr(path.p, '/', path.n);
		struct span name = span_cut(&path, '/');

		at = t->entries[at].is_dir && name.n ? find_child(t, at, name) : TREE_NONE;
		if (at == TREE_NONE || (slash && !t->entries[at].is_dir)) {
			return TREE_NONE;
		}
	}
	return at;
}

/* --- paths --- */

/* Behind its name stands the name that a zip has for it. */
static struct span zip_name(const struct tree *t, uint32_t i)
{
	const struct tree_entry *e = &t->entries[i];

	return e->zip_name_len ? (struct span){t->names + e->name_at + e->name_len, e->zip_name_len}
			       : tree_name(t, i);
}

static size_t join(const struct tree *t, uint32_t i, uint32_t stop,
		   struct span (*name)(const struct tree *t, uint32_t i), char *ret)
{
	uint32_t chain[TREE_MAX_DEPTH + 2];
	size_t n = 0, len = 0;

	for (; i != stop; i = t->entries[i].parent) {
		chain[n++] = i;
	}
	while (n) {
		struct span s = name(t, chain[--n]);

		memcpy(ret + len, s.p, s.n);
		len += s.n;
		if (n) {
			ret[len++] = '/';
		}
	}
	return len;
}

size_t tree_path(const struct tree *t, uint32_t i, char *ret)
{
	return join(t, i, TREE_ROOT, tree_name, ret);
}

size_t tree_zip_path(const struct tree *t, uint32_t i, char *ret)
{
	size_t n = join(t, i, TREE_ROOT, zip_name, ret);

	if (t->entries[i].is_dir) {
		ret[n++] = '/';
	}
	return n;
}

uint32_t tree_source(const struct tree *t, uint32_t i, uint32_t *ret_top)
{
	uint32_t top = i;

	while (t->path_of && t->entries[top].parent != TREE_ROOT) {
		top = t->entries[top].parent;
	}
	uint32_t path = t->path_of ? t->path_of[top - t->entries[TREE_ROOT].dir.first] : 0;

	*ret_top = t->spread && path == 0 ? TREE_ROOT : top;
	return path;
}

/* The shared path that i lies beneath, or is (*ret_rel is "" then). */
static const char *locate(const struct tree *t, uint32_t i, char ret_rel[TREE_PATH_ROOM])
{
	uint32_t top, path = tree_source(t, i, &top);

	ret_rel[join(t, i, top, tree_name, ret_rel)] = '\0';
	return t->paths[path];
}

/* --- opening --- */

int tree_check(const struct tree *t, uint32_t i, int fd)
{
	const struct tree_entry *e = &t->entries[i];
	struct stat st;

	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != e->file.size ||
	    tree_ns(st.st_mtim) != e->file.mtime_ns || tree_ns(st.st_ctim) != e->file.ctime_ns) {
		return -ESTALE;
	}
	return 0;
}

int tree_open(const struct tree *t, uint32_t i)
{
	char rel[TREE_PATH_ROOM];
	const char *path = locate(t, i, rel);
	int fd;

	if (*rel == '\0') {
		fd = fs_open_no_links(path, O_RDONLY);
	} else {
		_cleanup_close_ int root = fs_open_no_links(path, O_RDONLY | O_DIRECTORY);

		fd = root < 0 ? root : fs_open_beneath(root, rel, O_RDONLY);
	}
	if (fd < 0) {
		return fd;
	}
	int r = tree_check(t, i, fd);

	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}
