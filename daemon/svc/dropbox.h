/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What has come in to receive services, for those who may see it; also while a
 * service is stopped, since what stands in its directory is what there is. The
 * disk is asked on the pool. As in manager.h: what is refused at once never calls back.
 */
#pragma once

#include "mode/receive/submissions.h"
#include "svc/manager.h"

#define DROPBOX_SWEEP_MS 3600000u

/*
 * err NULL: it is done. result: of the RPC's method, borrowed. opened: of
 * dropbox_open, whose descriptors may be taken by setting n to 0; else NULL.
 */
typedef void dropbox_done_fn(void *ud, const struct error *err, json_t *result,
			     struct submissions_opened *opened);

/* Numbers above after, oldest first: {"submissions", "more"}. */
int dropbox_list(struct manager *m, struct service *svc, int64_t after, size_t limit,
		 dropbox_done_fn *cb, void *ud, struct error *err);
/* {"submission", "text", "cut"} */
int dropbox_show(struct manager *m, struct service *svc, int64_t id, dropbox_done_fn *cb, void *ud,
		 struct error *err);
/* {"files", "more"}, and a descriptor of each. */
int dropbox_open(struct manager *m, struct service *svc, int64_t id, size_t first,
		 dropbox_done_fn *cb, void *ud, struct error *err);
/* {} */
int dropbox_delete(struct manager *m, struct service *svc, int64_t id, dropbox_done_fn *cb,
		   void *ud, struct error *err);

/* --- keep_days --- */

struct dropbox_sweeper;

/* For the manager alone: made and freed with it. */
struct dropbox_sweeper *dropbox_sweeper_new(struct manager *m);
void dropbox_sweeper_free(struct dropbox_sweeper *s);
/*
 * A service may have a time now after which its submissions go: it is looked
 * at soon, and once an hour from then on while there is any such service.
 */
void dropbox_sweeper_wake(struct dropbox_sweeper *s);
