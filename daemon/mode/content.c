/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/content.h"

#include <stdlib.h>

#include "base/fsutil.h"
#include "proto/base/alloc.h"

struct mode_content *mode_content_new(const char *const *paths, const uid_t *owners, size_t n,
				      enum mode_layout layout, void (*gone)(void *ud), void *ud)
{
	struct mode_content *c = xnew(struct mode_content);

	c->n = n;
	c->paths = xcalloc(n + 1, sizeof(*c->paths));
	c->owners = xcalloc(n, sizeof(*c->owners));
	for (size_t i = 0; i < n; i++) {
		c->paths[i] = xstrdup(paths[i]);
		c->owners[i] = owners ? owners[i] : MODE_ANY_OWNER;
	}
	c->layout = layout;
	c->refs = 1;
	c->gone = gone;
	c->ud = ud;
	return c;
}

struct mode_content *mode_content_ref(struct mode_content *c)
{
	c->refs++;
	return c;
}

void mode_content_unref(struct mode_content *c)
{
	if (!c || --c->refs) {
		return;
	}
	void (*gone)(void *) = c->gone;
	void *ud = c->ud;

	for (size_t i = 0; i < c->n; i++) {
		free(c->paths[i]);
	}
	free(c->paths);
	free(c->owners);
	free(c);
	if (gone) {
		gone(ud);
	}
}

bool mode_content_allows(const struct mode_content *c, size_t i, const struct stat *st)
{
	mode_t needed = S_ISDIR(st->st_mode) ? S_IROTH | S_IXOTH : S_IROTH;

	return c->owners[i] == MODE_ANY_OWNER || st->st_uid == c->owners[i] ||
	       (st->st_mode & needed) == needed;
}

int mode_content_open(const struct mode_content *c, size_t i, int flags)
{
	return fs_open_no_links(c->paths[i], flags);
}
