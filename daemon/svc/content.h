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
#include "store/store.h"

typedef void content_checked_fn(void *ud, const struct error *err);

/*
 * paths: array of strings (copied). fds: one for each, taken; or NULL. owner: who
 * chose them, or NULL if it does not matter. state_dir: what holds it is refused;
 * NULL: nothing is. Off the loop; cb once, later.
 */
void content_check(struct ev *ev, const json_t *paths, const int *fds, const uid_t *owner,
		   const char *state_dir, content_checked_fn *cb, void *ud);
/*
 * The paths among the options of a receive service, in their order: the daemon is going to
 * write into the one and to read the other. Who is not trusted with both chooses what is his
 * own only, and shows by a descriptor of each that he can get there: then it has to be there,
 * and it stays his as long as the service has it (content_option_owner).
 */
#define CONTENT_OPTIONS 2u
extern const char *const content_options[CONTENT_OPTIONS];

struct content_receive {
	const json_t *options;
	bool own_data_dir; /* it is the daemon's choice */
	bool must_be_new;  /* nothing of an earlier service may be in the data directory */
	const int *fds;    /* of each other one that is set, taken; NULL: not asked for */
	const uid_t *owner;
	const char *state_dir; /* as for content_check */
};

/* Those that are set in options. */
unsigned content_count_options(const json_t *options);
/* What is set in what->options, all of it copied. Off the loop; cb once, later. */
void content_check_receive(struct ev *ev, const struct content_receive *what,
			   content_checked_fn *cb, void *ud);
/* Who chose the path of this option; FS_ANY_OWNER: root or the daemon's own user. */
uid_t content_option_owner(const struct service_row *row, const char *option);
/* Of all that changes has, set or null. owner NULL: one of these two. */
void content_set_option_owners(struct service_row *row, const json_t *changes, const uid_t *owner);
/* Shape only, at once: strings, absolute, without NUL, not too many or too long. */
int content_check_shape(const json_t *paths, struct error *err);
