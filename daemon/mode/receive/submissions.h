/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Submissions as their owner sees them: what stands in a data directory is what
 * there is. Those that OnionShare put there itself are seen too, since it names them
 * alike. All of it blocks: it runs on the pool.
 *
 *	DATA/YYYY-MM-DD/HHMMSSffffff/NAME          files
 *	DATA/YYYY-MM-DD/HHMMSSffffff-message.txt   a message
 *	DATA/YYYY-MM-DD/HHMMSSffffff.zip.age       all of it, encrypted
 *
 * A submission's number is when it came in, in microseconds since 1970, as its
 * name has it. Nothing is reached through a link.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/error.h"

#define SUBMISSIONS_PAGE       500u          /* at most, in one list */
#define SUBMISSIONS_PAGE_BYTES (256u * 1024) /* of JSON: then a list ends after one more */
#define SUBMISSIONS_FILES_MAX  1000u         /* of one submission that are told; no form has more */
#define SUBMISSIONS_FILES_TOLD (384u * 1024) /* bytes of JSON for them */
#define SUBMISSIONS_FILES_KEPT 65536u        /* of one that can be opened at all */
#define SUBMISSIONS_TEXT_MAX   (96u * 1024)  /* bytes of a message that are told */
#define SUBMISSIONS_OPEN_MAX   16u           /* descriptors at once */

/*
 * owner, everywhere: who chose the directory, whose own it must be (fs_open_owned).
 *
 * Those with numbers above after, oldest first, at most limit: an array of
 * {"id", "received_at", "files": [{"name", "size"}], "message", "path", "encrypted"}.
 * A data directory that is not there has none. *ret_more: there are others.
 */
int submissions_list(const char *data_dir, uid_t owner, int64_t after, size_t limit, json_t **ret,
		     bool *ret_more, struct error *err);
/*
 * One of them; *ret_text: its message (null: none, or encrypted), of which
 * *ret_cut tells that it is only the beginning. -ENOENT: there is none of that number.
 */
int submissions_show(const char *data_dir, uid_t owner, int64_t id, json_t **ret, json_t **ret_text,
		     bool *ret_cut, struct error *err);

/* What submissions_open opened: files[i] = {"name", "size", "kind"} is fds[i], for reading. */
struct submissions_opened {
	json_t *files;
	int fds[SUBMISSIONS_OPEN_MAX];
	unsigned n;
	bool more; /* behind these */
};

void submissions_opened_done(struct submissions_opened *o);
/* From the first-th of its files on, then its message. kind: "file", "message", "encrypted". */
int submissions_open(const char *data_dir, uid_t owner, int64_t id, size_t first,
		     struct submissions_opened *ret, struct error *err);

/*
 * Away from the directory, durably, then removed: all of it, if need be when the
 * service starts the next time. Nothing is overwritten: what a disk or
 * a file system keeps of removed files is not in anybody's hands here.
 */
int submissions_delete(const char *data_dir, uid_t owner, int64_t id, struct error *err);
/*
 * Deletes those older than before_us, up to limit of them, and days that are
 * empty then. *ret_n: how many; *ret_more: there are others that old.
 */
int submissions_expire(const char *data_dir, uid_t owner, int64_t before_us, size_t limit,
		       size_t *ret_n, bool *ret_more, struct error *err);
