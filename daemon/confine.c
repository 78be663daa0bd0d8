/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "confine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/landlock.h"
#include "base/log.h"
#include "proto/base/alloc.h"

static bool is_wanted(const struct confine *c)
{
	switch (c->config->confine) {
	case CONFIG_CONFINE_AUTO:
		return c->is_unit;
	case CONFIG_CONFINE_YES:
		return true;
	case CONFIG_CONFINE_NO:
		return false;
	}
	return false;
}

void confine_writes(void *ud, char *const *dirs, size_t n)
{
	const struct confine *c = ud;
	const char **all = xcalloc(n + 3, sizeof(*all));
	size_t n_all = 0;
	int r;

	all[n_all++] = c->state_dir;
	all[n_all++] = c->runtime_dir;
	if (c->config->writable_dir) {
		all[n_all++] = c->config->writable_dir;
	}
	for (size_t i = 0; i < n; i++) {
		all[n_all++] = dirs[i];
	}
	r = is_wanted(c) ? landlock_write_beneath(all, n_all) : 0;
	if (r < 0) {
		log_info("the kernel does not help to confine writing: %s", strerror(-r));
	}
	free(all);
}
