/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A page about a directory: its names are read and sorted anew each time, sizes
 * are looked up for those on the page only, so that a large directory is quick too.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mode/files/listing.h"
#include "mode/page.h"
#include "mode/website/website.h"
#include "proto/base/alloc.h"

/* More names than that are not listed; each of them is served all the same. */
#define NAMES_MAX TREE_MAX_ENTRIES

struct item {
	uint32_t name_at;
	uint16_t name_len;
	bool is_dir;
	uint16_t input; /* one more than its number, for a path of the content; 0: of the directory
			 */
};

struct items {
	const struct site_listing *l;
	struct item *p;
	size_t n, cap;
	struct buf names;
};

static void add(struct items *all, struct span name, bool is_dir, size_t input)
{
	if (all->n == all->cap) {
		all->cap = all->cap ? 2 * all->cap : 64;
		all->p = xreallocarray(all->p, all->cap, sizeof(*all->p));
	}
	all->p[all->n++] = (struct item){.name_at = (uint32_t)all->names.len,
					 .name_len = (uint16_t)name.n,
					 .is_dir = is_dir,
					 .input = (uint16_t)input};
	buf_add_span(&all->names, name);
}

static struct span name_of(const struct items *all, const struct item *item)
{
	return span_of(all->names.p + item->name_at, item->name_len);
}

static int compare(const void *a, const void *b, void *ud)
{
	const struct item *x = a, *y = b;
	const struct items *all = ud;

	if (x->is_dir != y->is_dir) {
		return x->is_dir ? -1 : 1;
	}
	size_t n = x->name_len < y->name_len ? x->name_len : y->name_len;
	int c = memcmp(all->names.p + x->name_at, all->names.p + y->name_at, n);

	return c ? c : (x->name_len > y->name_len) - (x->name_len < y->name_len);
}

static bool is_root(const struct site_listing *l)
{
	return l->path.n == 0;
}

/* Does a path of the content stand in the root under this name? */
static bool is_covered(const struct site_listing *l, struct span name)
{
	for (size_t i = 0; is_root(l) && i < l->site->content->n; i++) {
		if (span_eq(l->site->inputs[i].name, name)) {
			return true;
		}
	}
	return false;
}

static unsigned char kind_of(int dir, const struct dirent *e)
{
	struct stat st;

	if (e->d_type != DT_UNKNOWN) {
		return e->d_type;
	}
	if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return DT_UNKNOWN;
	}
	return (unsigned char)IFTODT(st.st_mode);
}

static int read_names(struct items *all)
{
	int fd = openat(all->l->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		int r = -errno;

		close_fdp(&fd);
		return r;
	}
	while (all->n < NAMES_MAX && (e = readdir(d))) {
		struct span name = span_str(e->d_name);
		unsigned char kind;

		if (span_eq(name, SPAN(".")) || span_eq(name, SPAN("..")) ||
		    (!all->l->dotfiles && site_is_hidden(name)) || is_covered(all->l, name)) {
			continue;
		}
		kind = kind_of(dirfd(d), e);
		if (kind == DT_REG || kind == DT_DIR) {
			add(all, name, kind == DT_DIR, 0);
		}
	}
	closedir(d);
	return 0;
}

static void add_inputs(struct items *all)
{
	const struct site *s = all->l->site;

	for (size_t i = 0; is_root(all->l) && i < s->content->n; i++) {
		struct span name = s->inputs[i].name;

		if (name.n && (all->l->dotfiles || !site_is_hidden(name))) {
			add(all, name, s->inputs[i].is_dir, i + 1);
		}
	}
}

/* --- the page --- */

/* As it is now: false for what is not there any more, or is not for visitors. */
static bool look_at_item(const struct items *all, const struct item *item, struct stat *st)
{
	const struct site_listing *l = all->l;
	char name[NAME_MAX + 1];
	size_t input = l->input;

	if (item->input) {
		input = item->input - 1u;
		_cleanup_close_ int fd = mode_content_open(l->site->content, input, O_PATH);

		if (fd < 0 || fstat(fd, st) < 0) {
			return false;
		}
	} else {
		memcpy(name, all->names.p + item->name_at, item->name_len);
		name[item->name_len] = '\0';
		if (fstatat(l->fd, name, st, AT_SYMLINK_NOFOLLOW) < 0) {
			return false;
		}
	}
	return S_ISDIR(st->st_mode) == item->is_dir && (item->is_dir || S_ISREG(st->st_mode)) &&
	       mode_content_allows(l->site->content, input, st);
}

static void add_row(const struct items *all, const struct item *item, struct buf *b)
{
	struct span name = name_of(all, item);
	struct buf path = BUF_INIT;
	struct stat st;

	if (!look_at_item(all, item, &st)) {
		return;
	}
	buf_add_span(&path, all->l->path);
	if (path.len) {
		buf_add_char(&path, '/');
	}
	buf_add_span(&path, name);
	listing_row(b, buf_span(&path), name, item->is_dir, (uint64_t)st.st_size, true);
	buf_done(&path);
}

static void add_page_link(struct buf *b, unsigned page, const char *rel, const char *text)
{
	buf_printf(b, "<li><a href=\"?page=%u\" rel=\"%s\">%s</a></li>", page + 1, rel, text);
}

static void add_pages(const struct items *all, unsigned pages, struct buf *b)
{
	unsigned page = all->l->page;

	if (pages <= 1) {
		return;
	}
	buf_add_str(b, "<nav class=\"pages\" aria-label=\"Pages\"><ol>");
	if (page > 0) {
		add_page_link(b, page - 1, "prev", "Previous");
	}
	buf_printf(b, "<li aria-current=\"page\">Page %u of %u</li>", page + 1, pages);
	if (page + 1 < pages) {
		add_page_link(b, page + 1, "next", "Next");
	}
	buf_add_str(b, "</ol></nav>\n");
}

static int make_page(const struct items *all, struct buf *b)
{
	unsigned pages = (unsigned)((all->n + WEBSITE_LIST_ROWS - 1) / WEBSITE_LIST_ROWS);
	size_t first = (size_t)all->l->page * WEBSITE_LIST_ROWS;

	if (all->l->page > 0 && first >= all->n) {
		return -ENOENT;
	}
	page_head(b, all->l->title ? all->l->title : "OnionShare", SPAN(""));
	listing_breadcrumbs(b, all->l->path);
	if (all->n == 0) {
		listing_empty(b);
	} else {
		listing_begin_table(b);
		for (size_t i = first; i < all->n && i < first + WEBSITE_LIST_ROWS; i++) {
			add_row(all, &all->p[i], b);
		}
		listing_end_table(b);
	}
	add_pages(all, pages, b);
	page_foot(b);
	return 0;
}

int website_list(const struct site_listing *l, struct buf *ret)
{
	struct items all = {.l = l};
	int r = l->fd < 0 ? 0 : read_names(&all);

	if (r == 0) {
		add_inputs(&all);
		if (all.n) {
			qsort_r(all.p, all.n, sizeof(*all.p), compare, &all);
		}
		r = make_page(&all, ret);
	}
	free(all.p);
	buf_done(&all.names);
	return r;
}
