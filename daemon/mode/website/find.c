/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/website/find.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsutil.h"
#include "http/mime.h"
#include "mode/files/tree.h"
#include "proto/base/alloc.h"

#define INDEX   SPAN("index.html")
#define MISSING SPAN("404.html")
/* Stands for the dot of a name that is hidden: what is looked up then is never there. */
#define NOT_A_DOT '\1'

/* --- sites --- */

static int look_at(const struct mode_content *c, size_t i, struct stat *st)
{
	_cleanup_close_ int fd = mode_content_open(c, i, O_PATH);

	if (fd < 0) {
		return fd;
	}
	if (fstat(fd, st) < 0) {
		return -errno;
	}
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode)) {
		return S_ISLNK(st->st_mode) ? -ELOOP : -EINVAL;
	}
	if (!mode_content_allows(c, i, st)) {
		return -EPERM;
	}
	_cleanup_close_ int readable = mode_content_open(c, i, O_RDONLY);

	return readable < 0 ? readable : 0;
}

static bool is_spread(const struct mode_content *c)
{
	switch (c->layout) {
	case MODE_LAYOUT_ALONE:
		return c->n == 1;
	case MODE_LAYOUT_FIRST:
		return true;
	case MODE_LAYOUT_NAMED:
		break;
	}
	return false;
}

static int add_input(struct site *s, size_t i, struct error *err)
{
	struct site_input *in = &s->inputs[i];
	struct stat st;
	int r = look_at(s->content, i, &st);

	in->fd = -1;
	if (r < 0) {
		return tree_path_error(err, s->content->paths[i], -r);
	}
	in->is_dir = S_ISDIR(st.st_mode);
	if (i == 0 && in->is_dir && is_spread(s->content)) {
		s->spread = true;
	} else {
		in->name = names_tell_apart(s->names, tree_base_name(s->content->paths[i]),
					    in->is_dir);
	}
	return 0;
}

static void site_free(struct site *s)
{
	for (size_t i = 0; i < s->content->n; i++) {
		close_fdp(&s->inputs[i].fd);
	}
	free(s->inputs);
	names_free(s->names);
	free(s);
}

int site_new(struct mode_content *content, struct site **ret, struct error *err)
{
	struct site *s = xnew(struct site);

	s->refs = 1;
	s->content = content;
	s->names = names_new(content->n);
	s->inputs = xcalloc(content->n, sizeof(*s->inputs));
	for (size_t i = 0; i < content->n; i++) {
		s->inputs[i].fd = -1;
	}
	for (size_t i = 0; i < content->n; i++) {
		int r = add_input(s, i, err);

		if (r < 0) {
			site_free(s);
			return r;
		}
	}
	*ret = s;
	return 0;
}

struct site *site_ref(struct site *s)
{
	s->refs++;
	return s;
}

void site_unref(struct site *s)
{
	if (s && --s->refs == 0) {
		struct mode_content *content = s->content;

		site_free(s);
		mode_content_unref(content);
	}
}

/* --- opening --- */

/* A place in the site: beneath an input, or the input itself. */
struct place {
	size_t input;
	const char *path; /* "": the input */
};

static bool is_busy(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOMEM;
}

static bool is_restricted(const struct site *s, size_t input)
{
	return s->content->owners[input] != MODE_ANY_OWNER;
}

static int check_allowed(const struct site *s, size_t input, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	return mode_content_allows(s->content, input, &st) ? 0 : -EACCES;
}

/* The loop opens an input once a turn at most. Borrowed. */
static int input_on_loop(struct site *s, const struct find *f, size_t i)
{
	struct site_input *in = &s->inputs[i];
	int fd;

	if (in->fd >= 0 && in->turn == f->turn) {
		return in->fd;
	}
	fd = fs_open_no_links_cached(s->content->paths[i], O_PATH | O_DIRECTORY);
	if (fd >= 0) {
		close_fdp(&in->fd);
		in->fd = fd;
		in->turn = f->turn;
	}
	return fd;
}

/* One name after the other, for each directory on the way must be allowed. dir is taken. */
static int open_by_steps(const struct site *s, size_t input, int dir, const char *path, int flags)
{
	char name[NAME_MAX + 1];
	int r = check_allowed(s, input, dir);

	while (r == 0) {
		const char *slash = strchr(path, '/');
		size_t n = slash ? (size_t)(slash - path) : strlen(path);

		if (n > NAME_MAX) {
			r = -ENAMETOOLONG;
			break;
		}
		memcpy(name, path, n);
		name[n] = '\0';
		int fd = fs_open_beneath(dir, name, slash ? O_PATH | O_DIRECTORY : flags);

		close(dir);
		if (fd < 0 || !slash) {
			return fd;
		}
		dir = fd;
		path = slash + 1;
		r = check_allowed(s, input, dir);
	}
	close(dir);
	return r;
}

static int open_on_pool(const struct site *s, struct place p, int flags)
{
	if (!s->inputs[p.input].is_dir) {
		return *p.path ? -ENOENT : mode_content_open(s->content, p.input, flags);
	}
	int dir = mode_content_open(s->content, p.input, O_PATH | O_DIRECTORY);

	if (dir < 0) {
		return dir;
	}
	if (is_restricted(s, p.input)) {
		return open_by_steps(s, p.input, dir, p.path, flags);
	}
	int fd = fs_open_beneath(dir, p.path, flags);

	close(dir);
	return fd;
}

static int open_on_loop(struct site *s, const struct find *f, struct place p, int flags)
{
	if (is_restricted(s, p.input)) {
		return -EAGAIN;
	}
	if (!s->inputs[p.input].is_dir) {
		return *p.path ? -ENOENT
			       : fs_open_no_links_cached(s->content->paths[p.input], flags);
	}
	int dir = input_on_loop(s, f, p.input);

	return dir < 0 ? dir : fs_open_beneath_cached(dir, p.path, flags);
}

static int open_place(struct site *s, const struct find *f, struct place p, int flags,
		      struct stat *st)
{
	int fd = f->on_loop ? open_on_loop(s, f, p, flags) : open_on_pool(s, p, flags);

	if (fd < 0) {
		return fd;
	}
	int r = fstat(fd, st) < 0                               ? -errno
		: !mode_content_allows(s->content, p.input, st) ? -EACCES
								: 0;

	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

/* What is there; nothing is opened in earnest: a FIFO or a device does not notice. */
static int look(struct site *s, const struct find *f, struct place p, struct stat *st)
{
	int fd = open_place(s, f, p, O_PATH, st);

	if (fd < 0) {
		return fd;
	}
	close(fd);
	return S_ISREG(st->st_mode) || S_ISDIR(st->st_mode) ? 0 : -EINVAL;
}

static int look_for_file(struct site *s, const struct find *f, struct place p, struct stat *st)
{
	int r = look(s, f, p, st);

	return r == 0 && !S_ISREG(st->st_mode) ? -EISDIR : r;
}

/* --- what is sent --- */

/*
 * A file beside it with the same content in another coding. One that is older
 * than the file itself was forgotten when that was edited.
 */
static int find_coded(struct site *s, struct find *f, struct place p, enum http_coding coding)
{
	static const char *const ends[] = {[HTTP_CODING_BR] = ".br", [HTTP_CODING_GZIP] = ".gz"};
	char *end = f->room + strlen(f->room);
	struct stat st;
	int r;

	if (!http_accept_has(f->accept, coding) || !s->inputs[p.input].is_dir) {
		return -ENOENT;
	}
	memcpy(end, ends[coding], 4);
	r = look_for_file(s, f, p, &st);
	if (r == 0 && tree_ns(st.st_mtim) < tree_ns(f->st.st_mtim)) {
		r = -ESTALE;
	}
	if (r == 0) {
		f->st = st;
		f->coding = coding;
		return 0; /* the end stays: this is what will be opened */
	}
	*end = '\0';
	return r;
}

static int find_codings(struct site *s, struct find *f, struct place p)
{
	bool gzip_first = f->accept->weight[HTTP_CODING_GZIP] > f->accept->weight[HTTP_CODING_BR];
	enum http_coding first = gzip_first ? HTTP_CODING_GZIP : HTTP_CODING_BR;
	enum http_coding second = gzip_first ? HTTP_CODING_BR : HTTP_CODING_GZIP;
	int r = find_coded(s, f, p, first);

	if (r < 0 && r != -EAGAIN && !is_busy(r)) {
		r = find_coded(s, f, p, second);
	}
	return r == -EAGAIN || is_busy(r) ? r : 0;
}

static int open_file(struct site *s, struct find *f, struct place p)
{
	int fd = open_place(s, f, p, O_RDONLY, &f->st);

	if (fd >= 0 && !S_ISREG(f->st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	f->fd = fd < 0 ? -1 : fd;
	return fd < 0 ? fd : 0;
}

/* p is a regular file that was looked at: f->st. */
static int use_file(struct site *s, struct find *f, struct place p, struct span name, bool coded)
{
	int r = 0;

	f->type = http_mime_type(name);
	f->shrinks = http_mime_shrinks(f->type);
	if (coded && f->shrinks) {
		r = find_codings(s, f, p);
	}
	if (r == 0 && !f->look) {
		r = open_file(s, f, p);
	}
	f->has_file = r == 0;
	return r;
}

/* --- from a path to a place --- */

/* The root's file of that name. path: where it is written, within room. */
static bool root_place(const struct site *s, struct span name, char *path, struct place *ret)
{
	for (size_t i = 0; i < s->content->n; i++) {
		if (span_eq(s->inputs[i].name, name)) {
			*path = '\0';
			*ret = (struct place){i, path};
			return true;
		}
	}
	memcpy(path, name.p, name.n);
	path[name.n] = '\0';
	*ret = (struct place){0, path};
	return s->spread;
}

/* path: in room, without slashes at its ends. */
static bool place_of(const struct site *s, char *path, struct place *ret)
{
	struct span rest = span_str(path), first = span_cut(&rest, '/');

	for (size_t i = 0; first.n && i < s->content->n; i++) {
		if (span_eq(s->inputs[i].name, first)) {
			*ret = (struct place){i, rest.p ? rest.p : path + first.n};
			return true;
		}
	}
	*ret = (struct place){0, path};
	return s->spread;
}

bool site_is_hidden(struct span path)
{
	for (size_t i = 0; i < path.n; i++) {
		if (path.p[i] == '.' && (i == 0 || path.p[i - 1] == '/')) {
			return true;
		}
	}
	return false;
}

/*
 * What is hidden is looked for under a name that is not there, so that it takes
 * as long, and ends the same, as what does not exist.
 */
static void misspell(char *path)
{
	for (char *p = path; *p; p++) {
		if (*p == '.' && (p == path || p[-1] == '/')) {
			*p = NOT_A_DOT;
		}
	}
}

static int find_index(struct site *s, struct find *f, struct place dir)
{
	char *end = f->room + strlen(f->room);
	struct place p = dir;
	int r;

	if (*f->room == '\0') {
		if (!root_place(s, INDEX, f->room, &p)) {
			return -ENOENT;
		}
	} else if (!s->inputs[dir.input].is_dir) {
		return -ENOTDIR;
	} else {
		/* dir.path may be the end of room: "name" and "name/index.html" alike. */
		bool whole = *dir.path == '\0';

		memcpy(end, "/index.html", sizeof("/index.html"));
		p.path = whole ? end + 1 : dir.path;
	}
	r = look_for_file(s, f, p, &f->st);
	if (r == 0) {
		r = use_file(s, f, p, INDEX, true);
		f->kind = FIND_FILE;
	} else if (*f->room && end > f->room) {
		*end = '\0';
	} else {
		*f->room = '\0';
	}
	return r;
}

static int find_directory(struct site *s, struct find *f, struct place p, bool is_place)
{
	struct stat st;
	int r = find_index(s, f, p);

	if (r == 0 || r == -EAGAIN || is_busy(r)) {
		return r;
	}
	if (f->no_listing) {
		return -ENOENT;
	}
	f->kind = FIND_DIRECTORY;
	f->input = p.input;
	if (!is_place) {
		return 0; /* the root, and nothing but names in it */
	}
	if (f->look) {
		r = look(s, f, p, &st);
		return r == 0 && !S_ISDIR(st.st_mode) ? -ENOTDIR : r;
	}
	r = open_place(s, f, p, O_RDONLY | O_DIRECTORY, &st);
	f->fd = r < 0 ? -1 : r;
	return r < 0 ? r : 0;
}

static int find_plain(struct site *s, struct find *f, struct place p)
{
	int r = look(s, f, p, &f->st);

	if (r < 0) {
		return r;
	}
	if (S_ISREG(f->st.st_mode)) {
		f->kind = FIND_FILE;
		return use_file(s, f, p, f->name, true);
	}
	if (f->no_listing) { /* then a directory without index is not there */
		struct find index = *f;

		index.look = true;
		r = find_index(s, &index, p);
	}
	f->kind = FIND_MOVED;
	return r;
}

static int find_path(struct site *s, struct find *f)
{
	size_t n = f->path.n - 1;
	bool slash = f->path.p[n] == '/', is_place;
	struct place p;

	if (n > FIND_PATH_MAX) {
		return -ENAMETOOLONG;
	}
	n -= slash && n > 0;
	memcpy(f->room, f->path.p + 1, n);
	f->room[n] = '\0';
	bool hidden = !f->dotfiles && site_is_hidden(span_of(f->room, n));

	if (hidden) {
		misspell(f->room);
	}
	f->name = span_of(f->path.p + 1, n);
	is_place = place_of(s, f->room, &p);
	if (!is_place && n) {
		return -ENOENT;
	}
	int r = slash ? find_directory(s, f, p, is_place) : find_plain(s, f, p);

	if (hidden && r == 0) {
		close_fdp(&f->fd);
		return -ENOENT;
	}
	return r;
}

/* The site's own page for what is not there. */
static int find_missing(struct site *s, struct find *f)
{
	struct place p;
	int r;

	f->kind = FIND_NOTHING;
	f->has_file = false;
	f->coding = HTTP_CODING_NONE;
	if (!root_place(s, MISSING, f->room, &p)) {
		return 0;
	}
	r = look_for_file(s, f, p, &f->st);
	if (r == 0) {
		r = use_file(s, f, p, MISSING, false);
	}
	return r == -EAGAIN ? r : 0;
}

/* Is it the whole site that is missing? */
static int check_root(struct site *s, struct find *f)
{
	struct stat st;
	int r = s->spread ? look(s, f, (struct place){0, ""}, &st) : 0;

	if (r < 0) {
		f->kind = is_busy(r) ? FIND_BUSY : FIND_GONE;
	}
	return r == -EAGAIN ? r : 0;
}

int site_find(struct site *s, struct find *f)
{
	int r;

	f->kind = FIND_NOTHING;
	f->has_file = f->shrinks = false;
	f->fd = -1;
	f->coding = HTTP_CODING_NONE;
	r = find_path(s, f);
	if (r == -EAGAIN && f->on_loop) {
		return r;
	}
	if (is_busy(r)) {
		f->kind = FIND_BUSY;
		return 0;
	}
	if (r < 0) {
		r = find_missing(s, f);
		if (r == 0 && !f->has_file) {
			r = check_root(s, f);
		}
	}
	return r == -EAGAIN && f->on_loop ? r : 0;
}
