/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Makes trees: level by level, one directory open at a time. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fsutil.h"
#include "mode/files/tree.h"
#include "mode/names.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/base/utf8.h"

struct walk {
	struct tree *t;
	uint32_t cap;
	struct buf names;
	const struct tree_options *options;
	uint32_t max_entries;
	struct error *err;
};

/* --- what people are told --- */

static void user_name(char *ret, size_t size)
{
	struct passwd pw, *found = NULL;
	char room[1024];

	if (getpwuid_r(geteuid(), &pw, room, sizeof(room), &found) == 0 && found) {
		snprintf(ret, size, "%s", pw.pw_name);
	} else {
		snprintf(ret, size, "%u", (unsigned)geteuid());
	}
}

int tree_path_error(struct error *err, const char *path, int code)
{
	char user[64];

	switch (code) {
	case ENOENT:
	case ENOTDIR:
		return error_set_kind(err, code, ERROR_PATH_NOT_READABLE, path, "it does not exist",
				      "%s does not exist", path);
	case ELOOP:
		return error_set_kind(err, code, ERROR_PATH_NOT_READABLE, path,
				      "it is a symbolic link",
				      "%s is a symbolic link, or goes through one, and links are "
				      "not followed: share what it points to",
				      path);
	case EINVAL:
		return error_set_kind(err, code, ERROR_PATH_NOT_READABLE, path,
				      "it is neither a file nor a directory",
				      "%s is neither a file nor a directory", path);
	case EPERM:
		return error_set_kind(err, code, ERROR_PATH_NOT_READABLE, path,
				      "it is not for everybody",
				      "%s belongs to somebody else, and not everybody may read it; "
				      "share a copy of it (--copy)",
				      path);
	case EACCES:
		user_name(user, sizeof(user));
		return error_set_kind(
			err, code, ERROR_PATH_NOT_READABLE, path, strerror(code),
			"the daemon runs as the user %s, who may not read %s; give access, "
			"for instance with: setfacl -R -m u:%s:rX '%s' "
			"(the directories above need u:%s:x)",
			user, path, user, path, user);
	default:
		return error_set_kind(err, code, ERROR_PATH_NOT_READABLE, path, strerror(code),
				      "cannot read %s: %s", path, strerror(code));
	}
}

static int limit_error(struct walk *w, const char *what, unsigned limit)
{
	char number[16];

	snprintf(number, sizeof(number), "%u", limit);
	return error_set_kind(w->err, E2BIG, ERROR_LIMIT_EXCEEDED, what, number,
			      "a share has at most %u %s; pack some of it into an archive", limit,
			      what);
}

static void note_unreadable(struct walk *w, struct span dir, struct span name)
{
	struct buf b = BUF_INIT;

	if (w->t->unreadable++ == 0) {
		utf8_escape(&b, dir);
		if (dir.n) {
			buf_add_char(&b, '/');
		}
		utf8_escape(&b, name);
		w->t->first_unreadable = buf_take(&b);
	}
}

/* --- entries --- */

static int add_entry(struct walk *w, struct tree_entry e)
{
	struct tree *t = w->t;

	if (t->n > w->max_entries) { /* the root is not one */
		return limit_error(w, "files and directories", w->max_entries);
	}
	if (t->n == w->cap) {
		w->cap = w->cap ? 2 * w->cap : 16;
		t->entries = xreallocarray(t->entries, w->cap, sizeof(*t->entries));
	}
	t->entries[t->n++] = e;
	return 0;
}

static uint32_t add_name(struct walk *w, struct span name)
{
	size_t at = w->names.len;

	buf_add_span(&w->names, name);
	w->t->names = w->names.p;
	return (uint32_t)at;
}

static struct tree_entry entry_of(const struct stat *st, uint32_t parent)
{
	struct tree_entry e = {.parent = parent, .is_dir = S_ISDIR(st->st_mode)};

	if (!e.is_dir) {
		e.file.size = (uint64_t)st->st_size;
		e.file.mtime_ns = tree_ns(st->st_mtim);
		e.file.ctime_ns = tree_ns(st->st_ctim);
	}
	return e;
}

static int compare_entries(const void *a, const void *b, void *names)
{
	const struct tree_entry *x = a, *y = b;

	if (x->is_dir != y->is_dir) {
		return x->is_dir ? -1 : 1;
	}
	size_t n = x->name_len < y->name_len ? x->name_len : y->name_len;
	int c = memcmp((const char *)names + x->name_at, (const char *)names + y->name_at, n);

	return c ? c : (x->name_len > y->name_len) - (x->name_len < y->name_len);
}

/* The entries from first on are the children of dir: in order, and with names for a zip. */
static void close_dir(struct walk *w, uint32_t dir, uint32_t first)
{
	struct tree *t = w->t;
	struct tree_entry *d = &t->entries[dir];
	bool odd = false;

	d->dir.first = first;
	d->dir.count = t->n - first;
	d->dir.dirs = 0;
	qsort_r(t->entries + first, d->dir.count, sizeof(*d), compare_entries, w->names.p);
	for (uint32_t i = first; i < t->n; i++) {
		d->dir.dirs += t->entries[i].is_dir;
		odd |= !names_fit_zip(tree_name(t, i));
	}
	if (!odd) {
		return;
	}
	struct names *set = names_new(d->dir.count);

	for (uint32_t i = first; i < t->n; i++) {
		if (names_fit_zip(tree_name(t, i))) {
			names_add(set, tree_name(t, i));
		}
	}
	for (uint32_t i = first; i < t->n; i++) {
		struct buf fit = BUF_INIT;
		struct tree_entry *e = &t->entries[i];

		if (names_fit_zip(tree_name(t, i))) {
			continue;
		}
		names_make_fit_zip(&fit, tree_name(t, i));
		struct span other = names_tell_apart(set, buf_span(&fit), e->is_dir);

		/* The two stand together, so the name moves. */
		uint32_t at = (uint32_t)w->names.len;

		buf_reserve(&w->names, e->name_len + other.n);
		buf_add(&w->names, w->names.p + e->name_at, e->name_len);
		add_name(w, other);
		e->name_at = at;
		e->zip_name_len = (uint16_t)other.n;
		buf_done(&fit);
	}
	names_free(set);
}

/* --- directories --- */

static bool is_readable(int dirfd, const char *name, bool is_dir)
{
	return faccessat(dirfd, name, is_dir ? R_OK | X_OK : R_OK,
			 AT_EACCESS | AT_SYMLINK_NOFOLLOW) == 0;
}

/* path: which of the shared ones it is, or is in */
static bool is_allowed(const struct walk *w, uint32_t path, const struct stat *st)
{
	return !w->options->content || mode_content_allows(w->options->content, path, st);
}

/* One name found in a directory. */
static int visit(struct walk *w, int dirfd, uint32_t dir, struct span path, const char *name)
{
	uint32_t top, of = tree_source(w->t, dir, &top);
	struct stat st;
	struct span s = span_str(name);

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT) { /* else it has just vanished */
			note_unreadable(w, path, s);
		}
		return 0;
	}
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		*(S_ISLNK(st.st_mode) ? &w->t->links : &w->t->special) += 1;
		return 0;
	}
	if (!is_allowed(w, of, &st) || !is_readable(dirfd, name, S_ISDIR(st.st_mode))) {
		note_unreadable(w, path, s);
		return 0;
	}
	if (path.n + 1 + s.n > TREE_MAX_PATH) {
		return limit_error(w, "bytes in a path", TREE_MAX_PATH);
	}
	struct tree_entry e = entry_of(&st, dir);

	e.name_at = add_name(w, s);
	e.name_len = (uint16_t)s.n;
	return add_entry(w, e);
}

static unsigned depth(const struct tree *t, uint32_t i)
{
	unsigned n = 0;

	for (; i != TREE_ROOT; i = t->entries[i].parent) {
		n++;
	}
	return n;
}

/* fd is taken. Adds what is in it behind all others. path: below the root, for people. */
static int list_dir(struct walk *w, int fd, uint32_t dir, struct span path)
{
	DIR *d = fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!d) {
		close(fd);
		return 0;
	}
	while (r == 0 && (entry = readdir(d))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
			continue;
		}
		if (entry->d_type == DT_LNK) {
			w->t->links++;
			continue;
		}
		r = visit(w, dirfd(d), dir, path, entry->d_name);
	}
	closedir(d);
	return r;
}

static int read_dir(struct walk *w, int fd, uint32_t dir, struct span path)
{
	uint32_t first = w->t->n;
	int r = list_dir(w, fd, dir, path);

	if (r == 0) {
		close_dir(w, dir, first);
	}
	return r;
}

/* A shared path beneath which directories are read, open as long as they follow each other. */
struct open_root {
	uint32_t path; /* TREE_NONE: none yet */
	int fd;
};

/* Was it another when its name was found? Then it is looked at next time. */
static int check_dir(const struct walk *w, uint32_t path, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	return is_allowed(w, path, &st) ? 0 : -EPERM;
}

static int open_dir(struct walk *w, struct open_root *root, uint32_t dir, char *path, size_t len)
{
	const struct tree *t = w->t;
	uint32_t top, of = tree_source(t, dir, &top);
	/* A top's own name is not in the path beneath it. */
	size_t skip = top == TREE_ROOT ? 0 : t->entries[top].name_len + (top != dir);

	path[len] = '\0';
	if (root->path != of) {
		close_fdp(&root->fd);
		root->path = of;
		root->fd = fs_open_no_links(t->paths[of], O_RDONLY | O_DIRECTORY);
	}
	int fd = root->fd < 0 ? root->fd
			      : fs_open_beneath(root->fd, path + skip, O_RDONLY | O_DIRECTORY);
	int r = fd < 0 ? fd : check_dir(w, of, fd);

	if (r < 0 && fd >= 0) {
		close(fd);
	}
	return r < 0 ? r : fd;
}

static int walk_dir(struct walk *w, struct open_root *root, uint32_t dir)
{
	char path[TREE_PATH_ROOM];
	size_t len = tree_path(w->t, dir, path);

	if (depth(w->t, dir) >= TREE_MAX_DEPTH) {
		return limit_error(w, "levels of directories", TREE_MAX_DEPTH);
	}
	int fd = open_dir(w, root, dir, path, len);

	if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM) {
		return error_set(w->err, -fd, "cannot look into a directory: %s", strerror(-fd));
	}
	if (fd < 0) {
		if (fd != -ENOENT && fd != -ENOTDIR && fd != -ELOOP) { /* else it vanished */
			note_unreadable(w, SPAN(""), span_of(path, len));
		}
		w->t->entries[dir].dir.first = w->t->n;
		return 0;
	}
	return read_dir(w, fd, dir, span_of(path, len));
}

static bool is_cancelled(const struct walk *w)
{
	return w->options->cancel && atomic_load_explicit(w->options->cancel, memory_order_relaxed);
}

static int walk_below(struct walk *w)
{
	struct open_root root = {.path = TREE_NONE, .fd = -1};
	int r = 0;

	for (uint32_t i = w->t->path_of ? 1 : TREE_ROOT; r == 0 && i < w->t->n; i++) {
		if (is_cancelled(w)) {
			r = -ECANCELED;
		} else if (w->t->entries[i].is_dir) {
			r = walk_dir(w, &root, i);
		}
	}
	close_fdp(&root.fd);
	return r;
}

/* --- shared paths --- */

/* 0 or -errno; -EPERM: the user who chose it may not show it */
static int look_at(const struct walk *w, uint32_t i, struct stat *st)
{
	const char *path = w->t->paths[i];
	_cleanup_close_ int fd = fs_open_no_links(path, O_PATH);

	if (fd < 0) {
		return fd;
	}
	if (fstat(fd, st) < 0) {
		return -errno;
	}
	if (S_ISLNK(st->st_mode)) {
		return -ELOOP;
	}
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode)) {
		return -EINVAL;
	}
	if (!is_readable(AT_FDCWD, path, S_ISDIR(st->st_mode))) {
		return errno == EPERM ? -EACCES : -errno;
	}
	return is_allowed(w, i, st) ? 0 : -EPERM;
}

struct span tree_base_name(const char *path)
{
	struct span s = span_str(path);

	while (s.n > 1 && s.p[s.n - 1] == '/') {
		s.n--;
	}
	const char *slash = memrchr(s.p, '/', s.n);

	if (slash && s.n > 1) {
		s.n -= (size_t)(slash + 1 - s.p);
		s.p = slash + 1;
	}
	/* Of "/" nothing is left that could be a name. */
	return s.n == 1 && *s.p == '/' ? SPAN("root") : s;
}

/* Which path a top entry came from, kept beside it while they are sorted. */
struct top {
	struct tree_entry e;
	uint32_t path;
};

static int compare_tops(const void *a, const void *b, void *names)
{
	return compare_entries(&((const struct top *)a)->e, &((const struct top *)b)->e, names);
}

/* The children of the root so far, and in which path each of them is. */
struct tops {
	uint32_t path_of[TREE_TOPS_MAX]; /* of those that were added as such */
	uint32_t first;                  /* the first of them: what is before is in paths[0] */
	struct names *names;
};

/* What is in paths[0], a directory, goes into the root. */
static int add_spread(struct walk *w, struct tops *tops)
{
	struct tree *t = w->t;
	struct open_root root = {.path = TREE_NONE, .fd = -1};
	char path[TREE_PATH_ROOM];
	int fd = open_dir(w, &root, TREE_ROOT, path, 0);

	close_fdp(&root.fd);
	if (fd < 0) {
		tree_path_error(w->err, t->paths[0], -fd);
		if (!w->options->strict) {
			note_unreadable(w, SPAN(""), tree_base_name(t->paths[0]));
		}
		return fd;
	}
	int r = list_dir(w, fd, TREE_ROOT, SPAN(""));

	for (uint32_t i = 1; r == 0 && i < t->n; i++) {
		names_add(tops->names, tree_name(t, i));
	}
	tops->first = t->n;
	return r;
}

/* One path, under its own name. */
static int add_top(struct walk *w, struct tops *tops, uint32_t path)
{
	struct tree *t = w->t;
	struct stat st = {0};
	int code = look_at(w, path, &st);
	/* Also one that is missing now keeps its name from others. */
	struct span name =
		names_tell_apart(tops->names, tree_base_name(t->paths[path]), S_ISDIR(st.st_mode));

	if (code < 0) {
		tree_path_error(w->err, t->paths[path], -code);
		if (!w->options->strict) {
			note_unreadable(w, SPAN(""), name);
		}
		return code;
	}
	struct tree_entry e = entry_of(&st, TREE_ROOT);

	e.name_at = add_name(w, name);
	e.name_len = (uint16_t)name.n;
	tops->path_of[t->n - tops->first] = path;
	return add_entry(w, e);
}

/* In the order of their names, and which path each is in. */
static void sort_tops(struct walk *w, const struct tops *tops)
{
	struct tree *t = w->t;
	uint32_t n = t->n - 1;
	struct top *all = xcalloc(n, sizeof(*all));

	for (uint32_t i = 0; i < n; i++) {
		all[i].e = t->entries[1 + i];
		all[i].path = 1 + i < tops->first ? 0 : tops->path_of[1 + i - tops->first];
	}
	qsort_r(all, n, sizeof(*all), compare_tops, w->names.p);
	t->path_of = xcalloc(n, sizeof(*t->path_of));
	for (uint32_t i = 0; i < n; i++) {
		t->path_of[i] = all[i].path;
		t->entries[1 + i] = all[i].e;
	}
	free(all);
	close_dir(w, TREE_ROOT, 1);
}

/* Not the fault of a path. */
static bool is_fatal(int r)
{
	return r == -E2BIG || r == -EMFILE || r == -ENFILE || r == -ENOMEM;
}

static int add_tops(struct walk *w, size_t n_paths)
{
	struct tree *t = w->t;
	struct tops tops = {.names = names_new(n_paths), .first = 1};
	uint32_t found = 0;
	int r = 0, last = 0;

	if (n_paths > TREE_TOPS_MAX) {
		r = limit_error(w, "paths", TREE_TOPS_MAX);
	}
	for (uint32_t i = 0; i < n_paths && r == 0; i++) {
		r = t->spread && i == 0 ? add_spread(w, &tops) : add_top(w, &tops, i);
		found += r == 0;
		if (r < 0 && !w->options->strict && !is_fatal(r)) {
			last = r;
			r = 0;
		}
	}
	names_free(tops.names);
	if (r < 0 || !found) {
		return r < 0 ? r : last;
	}
	if (w->err) {
		error_done(w->err); /* of one that others make up for */
	}
	sort_tops(w, &tops);
	t->single = n_paths == 1 && !t->spread && !t->entries[1].is_dir;
	return 0;
}

static int walk_paths(struct walk *w, size_t n_paths)
{
	enum mode_layout layout =
		w->options->content ? w->options->content->layout : MODE_LAYOUT_ALONE;
	struct tree *t = w->t;
	struct stat st;
	int r;

	add_entry(w, (struct tree_entry){.is_dir = true});
	t->spread = layout == MODE_LAYOUT_FIRST;
	if (n_paths == 1 && layout != MODE_LAYOUT_NAMED) {
		r = look_at(w, 0, &st);
		if (r < 0) {
			return tree_path_error(w->err, t->paths[0], -r);
		}
		t->spread = S_ISDIR(st.st_mode);
		if (t->spread) {
			return walk_below(w);
		}
	}
	r = add_tops(w, n_paths);
	return r < 0 ? r : walk_below(w);
}

/* --- what it all comes to --- */

struct digest {
	const uint8_t *key;
	uint8_t state[SHA256_SIZE];
	struct buf b;
};

static void digest_flush(struct digest *d)
{
	const struct span parts[] = {
		SPAN("onionshared tree 1"),
		{(const char *)d->state, sizeof(d->state)},
		buf_span(&d->b),
	};
	uint8_t next[SHA256_SIZE];

	crypto_hmac_sha256(d->key, 32, parts, ARRAY_SIZE(parts), next);
	memcpy(d->state, next, sizeof(next));
	buf_clear(&d->b);
}

static void digest_u64(struct digest *d, uint64_t v)
{
	buf_add(&d->b, &v, sizeof(v));
}

static void finish(struct tree *t, const uint8_t *key, bool released)
{
	struct digest d = {.key = key};

	digest_u64(&d, t->single);
	for (uint32_t i = 1; i < t->n; i++) {
		const struct tree_entry *e = &t->entries[i];

		digest_u64(&d, (uint64_t)e->parent << 1 | e->is_dir);
		digest_u64(&d, e->name_len);
		buf_add_span(&d.b, tree_name(t, i));
		if (!e->is_dir) {
			digest_u64(&d, e->file.size);
			digest_u64(&d, (uint64_t)e->file.mtime_ns);
			digest_u64(&d, released ? 0 : (uint64_t)e->file.ctime_ns);
			t->files++;
			if (__builtin_add_overflow(t->total, e->file.size, &t->total)) {
				t->total = UINT64_MAX;
			}
		}
		if (d.b.len >= 64 * 1024) {
			digest_flush(&d);
		}
	}
	digest_flush(&d);
	memcpy(t->digest, d.state, sizeof(d.state));
	buf_done(&d.b);
}

int tree_walk(const char *const *paths, const uint8_t key[32], const struct tree_options *options,
	      struct tree **ret, struct error *err)
{
	struct tree *t = xnew(struct tree);
	struct walk w = {
		.t = t,
		.options = options,
		.max_entries = options->max_entries ? options->max_entries : TREE_MAX_ENTRIES,
		.err = err,
	};
	size_t n = 0;

	while (paths[n]) {
		n++;
	}
	t->paths = xcalloc(n + 1, sizeof(*t->paths));
	for (size_t i = 0; i < n; i++) {
		t->paths[i] = xstrdup(paths[i]);
	}
	int r = n ? walk_paths(&w, n) : error_set(err, EINVAL, "nothing is shared");

	t->names = w.names.p;
	if (r < 0) {
		tree_free(t);
		return r;
	}
	t->entries = xreallocarray(t->entries, t->n, sizeof(*t->entries));
	finish(t, key, options->content && options->content->released);
	*ret = t;
	return 0;
}
