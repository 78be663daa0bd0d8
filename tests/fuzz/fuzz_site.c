/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A request's path against a real folder with links to the outside, a FIFO and
 * hidden names: the first byte says which options and codings, the rest is the
 * path as it came. Nothing but the site's own regular files is ever found, and the
 * loop, if it finds anything, finds what the pool does.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/path.h"
#include "mode/website/find.h"
#include "proto/base/alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

/* --- the folder --- */

static char folder[] = "/tmp/onionshared-fuzz-XXXXXX";
static struct site *site;
static ino_t outside; /* what must not be found */

static const char *const files[] = {
	"site/index.html", "site/a.txt",         "site/a.txt.gz",    "site/a.txt.br",
	"site/404.html",   "site/sub/page.html", "site/.git/config",
};
static const char *const folders[] = {"site", "site/sub", "site/.git", "site/empty"};
static const char *const links[] = {"site/link", "site/sub/index.html", "site/sub/page.html.gz"};

static char *path_of(const char *name)
{
	return xasprintf("%s/%s", folder, name);
}

static void make_file(const char *name)
{
	_cleanup_free_ char *path = path_of(name);
	FILE *f = fopen(path, "we");

	check(f && fputs(name, f) >= 0 && fclose(f) == 0);
}

static void make_link(const char *name)
{
	_cleanup_free_ char *path = path_of(name), *target = path_of("secret");

	check(symlink(target, path) == 0);
}

static void forget(const char *name, bool is_dir)
{
	_cleanup_free_ char *path = path_of(name);

	(void)(is_dir ? rmdir(path) : unlink(path));
}

static void remove_world(void)
{
	site_unref(site);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		forget(files[i], false);
	}
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		forget(links[i], false);
	}
	forget("secret", false);
	forget("site/fifo", false);
	for (size_t i = ARRAY_SIZE(folders); i > 0; i--) {
		forget(folders[i - 1], true);
	}
	rmdir(folder);
}

static void make_world(void)
{
	struct error err = ERROR_INIT;
	struct stat st;

	check(mkdtemp(folder) != NULL);
	atexit(remove_world);
	make_file("secret");
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		_cleanup_free_ char *path = path_of(folders[i]);

		check(mkdir(path, 0755) == 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		make_file(files[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		make_link(links[i]);
	}
	_cleanup_free_ char *fifo = path_of("site/fifo"), *secret = path_of("secret"),
			    *root = path_of("site");
	const char *const paths[] = {root};

	check(mkfifo(fifo, 0644) == 0 && stat(secret, &st) == 0);
	outside = st.st_ino;
	check(site_new(mode_content_new(paths, NULL, 1, MODE_LAYOUT_ALONE, NULL, NULL), &site,
		       &err) == 0);
}

/* --- one request --- */

static void check_found(const struct find *f)
{
	struct stat st;

	check(f->kind != FIND_BUSY && f->kind != FIND_GONE);
	if (f->has_file) {
		check(S_ISREG(f->st.st_mode) && f->st.st_ino != outside && f->type);
		check(f->fd < 0 || (fstat(f->fd, &st) == 0 && st.st_ino == f->st.st_ino));
		check((f->fd < 0) == f->look);
	}
	if (f->kind == FIND_DIRECTORY || f->kind == FIND_MOVED) {
		check(!f->has_file && (f->kind == FIND_MOVED || !f->no_listing));
	}
	check(f->name.n <= f->path.n);
	if (!f->dotfiles && site_is_hidden(f->name)) {
		check(f->kind == FIND_NOTHING);
	}
}

/* What is found, without its descriptor. */
static int ask(struct find f, struct find *ret)
{
	static char room[FIND_ROOM];
	int r;

	f.room = room;
	r = site_find(site, &f);
	if (r == 0) {
		check_found(&f);
	}
	close_fdp(&f.fd);
	*ret = f;
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static uint64_t turn;
	_cleanup_free_ char *path = n ? xmalloc(n) : NULL;
	int len;

	if (!site) {
		make_world();
	}
	len = n ? http_path_decode(span_of((const char *)data + 1, n - 1), path) : -1;
	if (len < 0) {
		return 0;
	}
	struct http_accept accept = http_accept_parse(data[0] & 4   ? SPAN("gzip, br")
						      : data[0] & 8 ? SPAN("gzip")
								    : SPAN(""));
	struct find f = {.path = span_of(path, (size_t)len),
			 .accept = &accept,
			 .dotfiles = data[0] & 1,
			 .no_listing = data[0] & 2,
			 .look = data[0] & 16,
			 .fd = -1};
	struct find pool, loop;

	check(ask(f, &pool) == 0);
	f.on_loop = true;
	f.turn = ++turn;
	if (ask(f, &loop) == 0) {
		check(loop.kind == pool.kind && loop.has_file == pool.has_file &&
		      loop.coding == pool.coding);
		check(!loop.has_file || loop.st.st_ino == pool.st.st_ino);
	}
	return 0;
}
