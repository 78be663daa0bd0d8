/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether the daemon may serve paths for a caller: they are there, files or
 * directories, readable by the daemon, without a link on the way to them, and,
 * where the caller handed over descriptors, the very files that he could open
 * himself. The daemon's own state, with its keys, is not among what they hold.
 *
 * A descriptor of a directory says nothing about what is in it. So what a caller
 * chose who is neither root nor the daemon's own user is served only as far as it
 * is his own or everybody's (mode_content_allows), each time it is opened.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "ev/ev.h"
#include "proto/base/error.h"

typedef void content_checked_fn(void *ud, const struct error *err);

/*
 * paths: array of strings (copied). fds: one for each, taken; or NULL. owner: who
 * chose them, or NULL if it does not matter. state_dir: what holds it is refused;
 * NULL: nothing is. Off the loop; cb once, later.
 */
void content_check(struct ev *ev, const json_t *paths, const int *fds, const uid_t *owner,
		   const char *state_dir, content_checked_fn *cb, void *ud);
/*
 * Submissions will be kept in path: a directory, or not there yet. must_be_new:
 * nothing of an earlier service may be in it. secret_file: its reports will be signed with
 * what is in it; NULL: with nothing. Off the loop; cb once, later.
 */
void content_check_receive(struct ev *ev, const char *path, bool must_be_new,
			   const char *secret_file, content_checked_fn *cb, void *ud);
/* Shape only, at once: strings, absolute, without NUL, not too many or too long. */
int content_check_shape(const json_t *paths, struct error *err);
