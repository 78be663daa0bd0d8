/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/listing.h"

#include <stdio.h>
#include <string.h>

#include "http/tmpl.h"
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

/* The way down from the root; each part but the last is a link. */
static void add_breadcrumbs(const struct listing *l, struct buf *b)
{
	char path[TREE_PATH_ROOM];
	size_t n = tree_path(l->tree, l->dir, path), at = 0;

	if (l->dir == TREE_ROOT) {
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

static void add_top(const struct listing *l, struct buf *b)
{
	struct buf meta = BUF_INIT;

	add_meta(l, &meta);
	page_head(b, title_of(l->title), buf_span(&meta));
	buf_done(&meta);
	add_download(l, b);
	add_breadcrumbs(l, b);
	if (l->tree->entries[l->dir].dir.count == 0) {
		buf_add_str(b, "<div class=\"note\"><p>This folder is empty</p></div>\n");
		return;
	}
	buf_add_str(b, "<table>\n<thead><tr><th scope=\"col\">Filename</th>"
		       "<th scope=\"col\">Size</th></tr></thead>\n<tbody>\n");
}

/* Some names have an address that means something else, or one that is never taken. */
static bool is_reachable(const struct listing *l, uint32_t i, struct span path)
{
	if (memchr(path.p, '\\', path.n)) {
		return false;
	}
	return l->dir != TREE_ROOT || l->tree->entries[i].is_dir ||
	       (!span_eq(path, SPAN("download")) && !span_eq(path, SPAN("favicon.ico")));
}

static void add_row(const struct listing *l, struct buf *b, uint32_t i)
{
	const struct tree_entry *e = &l->tree->entries[i];
	struct span name = tree_name(l->tree, i);
	char room[TREE_PATH_ROOM];
	struct span path = span_of(room, tree_path(l->tree, i, room));

	buf_add_str(b, e->is_dir ? "<tr class=\"dir\"><td>" : "<tr><td>");
	if (l->links && is_reachable(l, i, path)) {
		tmpl(b, "<a href=\"/{}{}\"><bdi>{}</bdi></a>", T_PATH(path),
		     T_RAW(e->is_dir ? SPAN("/") : SPAN("")), T_TEXT(name));
	} else {
		tmpl(b, "<bdi>{}</bdi>", T_TEXT(name));
	}
	buf_add_str(b, "</td><td>");
	if (e->is_dir) {
		buf_add_str(b, "&mdash;");
	} else {
		listing_size(b, e->file.size);
	}
	buf_add_str(b, "</td></tr>\n");
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
				buf_add_str(b, "</tbody>\n</table>\n");
			}
			page_foot(b);
			return true;
		}
		add_row(l, b, d->dir.first + l->next++);
	}
	return false;
}
