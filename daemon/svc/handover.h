/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A caller hands over files that the daemon shall keep its own copy of: opened
 * by him, with his rights, in as many batches as it takes. They become a release
 * (copies.h), which nobody sees until a service is made of it.
 *
 *   begin -> put, put, ... -> take (a service has it)  or  end (all of it is deleted)
 *
 * Names are PART/NAME/..., parts "0" to "63", one for each path of the service.
 * Directories come before what is in them. Nothing but files and directories can be
 * made, and nothing outside of the release.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/error.h"
#include "proto/base/span.h"

struct handover;
struct manager;

#define HANDOVER_MAX         16u      /* at once */
#define HANDOVER_MAX_ENTRIES 1000000u /* of one: as many as a share has (mode/files/tree.h) */
#define HANDOVER_MAX_BATCH   4096u    /* entries of one put */
#define HANDOVER_MAX_PATH    4000u    /* bytes of a name */
#define HANDOVER_MAX_LEVELS  60u      /* of directories in it */
/* What is left free on the disk, so that the daemon can go on. */
#define HANDOVER_RESERVE (UINT64_C(64) << 20)

enum handover_kind {
	HANDOVER_DIRECTORY,
	HANDOVER_FILE, /* a new one, with what the descriptor holds */
	HANDOVER_MORE, /* that is put behind what the last file holds */
};

struct handover_entry {
	char *name;
	enum handover_kind kind;
	int fd; /* -1: none */
};

/* 0 if this can be the name of something in a release, else -EINVAL or -E2BIG. Pure. */
int handover_check_name(struct span name, struct error *err);

/* By uid; it alone may go on with it. -errno: too many at once, or the daemon stops. */
int handover_begin(struct manager *m, uid_t uid, struct handover **ret, struct error *err);
/* What the others know it by: cannot be guessed. */
const char *handover_token(const struct handover *h);
/* NULL: there is none, or it is not this user's. */
struct handover *handover_find(struct manager *m, const char *token, uid_t uid);
/* It is not wanted any more; what a service has not taken is deleted. */
void handover_end(struct handover *h);

/*
 * progress: bytes of this batch so far, a few times; false: nobody waits any more,
 * so that it ends. done: once, later, also after a false; all of the batch is
 * there, or *err says why not: then the handover can only be ended.
 */
typedef bool handover_progress_fn(void *ud, uint64_t bytes);
typedef void handover_done_fn(void *ud, const struct error *err, uint64_t bytes);
/*
 * entries, n of them, and their descriptors are taken, also on failure. -errno at
 * once, and no callback: another batch is under way, or it has failed before.
 */
int handover_put(struct handover *h, struct handover_entry *entries, size_t n,
		 handover_progress_fn *progress, handover_done_fn *done, void *ud,
		 struct error *err);
void handover_entries_free(struct handover_entry *entries, size_t n);

/*
 * All is on the disk: *sources is an array of n objects, as in struct service_row,
 * the callback's to keep, and held (copies_hold), which it drops if it does not
 * make use of it. A part with one thing in it stands for that; another for what is
 * in it. err: sources is NULL, and the release deleted.
 */
typedef void handover_taken_fn(void *ud, const struct error *err, json_t *sources);
/*
 * 0: the handover has come to its end with it. validators: the key of a release that others
 * have too, 64 hex digits; NULL: it is this machine's alone.
 */
int handover_take(struct handover *h, size_t n, const char *validators, handover_taken_fn *cb,
		  void *ud, struct error *err);
