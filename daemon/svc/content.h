/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether the daemon may serve paths for a caller: they are there, files or
 * directories, readable by the daemon, and, where the caller handed over
 * descriptors, the very files that he could open himself.
 */
#pragma once

#include <jansson.h>

#include "ev/ev.h"
#include "proto/base/error.h"

typedef void content_checked_fn(void *ud, const struct error *err);

/*
 * paths: array of strings (copied). fds: one for each, taken; or NULL. Off the
 * loop; cb once, later.
 */
void content_check(struct ev *ev, const json_t *paths, const int *fds, content_checked_fn *cb,
		   void *ud);
/* Shape only, at once: strings, absolute, without NUL, not too many or too long. */
int content_check_shape(const json_t *paths, struct error *err);
