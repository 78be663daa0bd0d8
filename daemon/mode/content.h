/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a service shows its visitors: paths, and how they stand in its root. One
 * object for what is served from one moment to the next: publish, add and remove
 * make another. Who may still open a file by these paths holds a reference:
 * what was copied for the service is deleted when the last one is gone.
 *
 * References are taken and given back on the loop. What is in it never changes,
 * so that a job may read it as long as its owner holds a reference.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/fsutil.h"

enum mode_layout {
	/* One directory alone is the root itself; else each path is in it by its own name. */
	MODE_LAYOUT_ALONE,
	/* What is in the first path, a directory, is in the root; the others are beside it. */
	MODE_LAYOUT_FIRST,
	/* Each path is in the root by its own name, also one that is alone. */
	MODE_LAYOUT_NAMED,
};

#define MODE_ANY_OWNER FS_ANY_OWNER

struct mode_content {
	char **paths; /* absolute, NULL at the end */
	size_t n;
	enum mode_layout layout;
	/*
	 * Of each path. Other than MODE_ANY_OWNER: chosen by this user, who is not to
	 * make the daemon show what he could not read himself; mode_content_allows
	 * is asked about it, and about each file and directory in it.
	 */
	uid_t *owners;
	/*
	 * It was packed elsewhere, for several machines: validators are made with this key, and of
	 * nothing that differs between them (mode_content_ctime). Set once, behind new.
	 */
	bool released;
	uint8_t release[32];
	/* private */
	unsigned refs;
	void (*gone)(void *ud);
	void *ud;
};

/* One reference, the caller's; n paths and owners are copied, owners NULL: any. gone: on the
 * loop, when the last reference is given back; or NULL. */
struct mode_content *mode_content_new(const char *const *paths, const uid_t *owners, size_t n,
				      enum mode_layout layout, void (*gone)(void *ud), void *ud);
struct mode_content *mode_content_ref(struct mode_content *c);
void mode_content_unref(struct mode_content *c);

/*
 * May it, paths[i] or something in it, be shown as far as the owner is concerned:
 * it is his own, or every user of the machine may read it? st: of the open
 * descriptor. Groups do not count: what is readable by those only can be copied
 * (the owner opens it himself then).
 */
bool mode_content_allows(const struct mode_content *c, size_t i, const struct stat *st);
/* Opens paths[i]. No link anywhere in it is followed: none may have come since it was checked. */
int mode_content_open(const struct mode_content *c, size_t i, int flags);
