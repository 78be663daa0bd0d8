/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/files/listing.h"

#include <stdio.h>
#include <string.h>

#include "http/content/tmpl.h"
#include "mode/page.h"

void listing_size(struct buf *b, uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)bytes;
	size_t u = 0;

	/* 1023.95 would be printed as 1024.0. */
	while (v >= 1023.95 && u + 1 < sizeof(units) / sizeof(units[0])) {
		v /= 1024;
		u++;
	}
	buf_printf(b, "%.1f %s", v, units[u]);
}

static const char *title_of(const char *title)
{
	return title ? title : "OnionShare";
}

void listing_busy_page(struct buf *b, const char *title)
{
	page_head(b, title_of(title), SPAN(""));
	buf_add_str(b,
		    "<div class=\"note\" role=\"status\"><p>OnionShare download in progress</p>\n"
		    "<p>Somebody is downloading these files right now. "
		    "Please try again in a while.</p></div>\n");
	page_foot(b);
}

/* For scripts that look for them. */
static void add_meta(const struct listing *l, struct buf *b)
{
	char size[24];

	snprintf(size, sizeof(size), "%llu", (unsigned long long)l->download_size);
	tmpl(b,
	     "<meta name=\"onionshare-filename\" content=\"{}\">\n"
	     "<meta name=\"onionshare-filesize\" content=\"{}\">\n",
	     T_TEXT(l->filename), T_RAW(span_str(size)));
}

static void add_download(const struct listing *l, struct buf *b)
{
	const struct tree *t = l->tree;

	buf_add_str(b, "<div class=\"get\"><p>Total size: <b>");
	listing_size(b, t->total);
	buf_add_str(b, "</b>");
	if (!t->single) {
		buf_printf(b, " in %u %s, as one zip file", t->files,
			   t->files == 1 ? "file" : "files");
	}
	buf_add_str(b, "</p>\n<a class=\"button\" href=\"/download\">Download Files</a></div>\n");
}

void listing_breadcrumbs(struct buf *b, struct span whole)
{
	const char *path = whole.p;
	size_t n = whole.n, at = 0;

	if (n == 0) {
		return;
	}
	buf_add_str(b, "<nav aria-label=\"Folder\"><ol><li><a href=\"/\">All files</a></li>");
	while (at < n) {
		const char *slash = memchr(path + at, '/', n - at);
		size_t end = slash ? (size_t)(slash - path) : n;
		struct span name = span_of(path + at, end - at);

		if (end == n) {
			tmpl(b, "<li aria-current=\"page\"><bdi>{}</bdi></li>", T_TEXT(name));
		} else {
			tmpl(b, "<li><a href=\"/{}/\"><bdi>{}</bdi></a></li>",
			     T_PATH(span_of(path, end)), T_TEXT(name));
		}
		at = end + 1;
	}
	buf_add_str(b, "</ol></nav>\n");
}

void listing_begin_table(struct buf *b)
{
	buf_add_str(b, "<table>\n<thead><tr><th scope=\"col\">Filename</th>"
		       "<th scope=\"col\">Size</th></tr></thead>\n<tbody>\n");
}

void listing_end_table(struct buf *b)
{
	buf_add_str(b, "</tbody>\n</table>\n");
}

void listing_empty(struct buf *b)
{
	buf_add_str(b, "<div class=\"note\"><p>This folder is empty</p></div>\n");
}

void listing_row(struct buf *b, struct span path, struct span name, bool is_dir, uint64_t size,
		 bool linked)
{
	buf_add_str(b, is_dir ? "<tr class=\"dir\"><td>" : "<tr><td>");
	/* A backslash in an address means something else to browsers. */
	if (linked && !memchr(path.p, '\\', path.n)) {
		tmpl(b, "<a href=\"/{}{}\"><bdi>{}</bdi></a>", T_PATH(path),
		     T_RAW(is_dir ? SPAN("/") : SPAN("")), T_TEXT(name));
	} else {
		tmpl(b, "<bdi>{}</bdi>", T_TEXT(name));
	}
	buf_add_str(b, "</td><td>");
	if (is_dir) {
		buf_add_str(b, "&mdash;");
	} else {
		listing_size(b, size);
	}
	buf_add_str(b, "</td></tr>\n");
}

static void add_top(const struct listing *l, struct buf *b)
{
	char path[TREE_PATH_ROOM];
	struct buf meta = BUF_INIT;

	add_meta(l, &meta);
	page_head(b, title_of(l->title), buf_span(&meta));
	buf_done(&meta);
	add_download(l, b);
	listing_breadcrumbs(b, span_of(path, tree_path(l->tree, l->dir, path)));
	if (l->tree->entries[l->dir].dir.count == 0) {
		listing_empty(b);
		return;
	}
	listing_begin_table(b);
}

/* Some names have an address that is never taken. */
static bool is_reachable(const struct listing *l, uint32_t i, struct span path)
{
	return l->dir != TREE_ROOT || l->tree->entries[i].is_dir ||
	       (!span_eq(path, SPAN("download")) && !span_eq(path, SPAN("favicon.ico")));
}

static void add_row(const struct listing *l, struct buf *b, uint32_t i)
{
	const struct tree_entry *e = &l->tree->entries[i];
	struct span name = tree_name(l->tree, i);
	char room[TREE_PATH_ROOM];
	struct span path = span_of(room, tree_path(l->tree, i, room));

	listing_row(b, path, name, e->is_dir, e->is_dir ? 0 : e->file.size,
		    l->links && is_reachable(l, i, path));
}

bool listing_fill(struct listing *l, struct buf *b, size_t n)
{
	const struct tree_entry *d = &l->tree->entries[l->dir];

	if (!l->begun) {
		l->begun = true;
		add_top(l, b);
	}
	while (b->len < n) {
		if (l->next == d->dir.count) {
			if (d->dir.count) {
				listing_end_table(b);
			}
			page_foot(b);
			return true;
		}
		add_row(l, b, d->dir.first + l->next++);
	}
	return false;
}
