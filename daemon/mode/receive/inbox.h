/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where submissions are kept. All of it blocks: it runs on the pool.
 *
 *	DATA/.incoming/RUN/SUBMISSION/files/NAME     while it comes in
 *	DATA/.incoming/RUN/SUBMISSION/message.txt
 *	DATA/YYYY-MM-DD/HHMMSSffffff/NAME            from then on
 *	DATA/YYYY-MM-DD/HHMMSSffffff-message.txt
 *
 * or, of an inbox that seals, of which nothing else ever reaches the disk:
 *
 *	DATA/.incoming/RUN/SUBMISSION/sealed
 *	DATA/YYYY-MM-DD/HHMMSSffffff.zip.age
 *
 * They are moved by renames when everything is on the disk and somebody has
 * written down, durably, that they shall be moved: what a crash interrupts is
 * completed later (inbox_complete), what was not written down is swept away.
 * RUN belongs to one running service, which keeps it locked. Days and times are UTC;
 * files' own times tell the day only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/fsutil.h"
#include "proto/age/age.h"
#include "proto/base/error.h"
#include "proto/base/span.h"

#define INBOX_DAY_LEN     10 /* YYYY-MM-DD */
#define INBOX_STAMP_LEN   12 /* HHMMSSffffff */
#define INBOX_STAGING_LEN 23 /* RUN/SUBMISSION+FILES and an m if there is a message */
/* Files of one submission. */
#define INBOX_FILES_MAX 1000u
/* That of a message, where it stands among files. */
#define INBOX_MESSAGE_NAME "message.txt"
/* Directories, files of the layout and of the file system itself, beside what is sent. */
#define INBOX_SPARE_INODES 16u

struct inbox;

/* Where a submission is and where it goes: what must be written down. */
struct inbox_place {
	char staging[INBOX_STAGING_LEN + 1];
	char day[INBOX_DAY_LEN + 1];
	char stamp[INBOX_STAMP_LEN + 1];
};

/* Only digits, letters and dashes where they belong: a place that inbox.c made. */
bool inbox_place_valid(const struct inbox_place *p);

/*
 * path: absolute. owner: FS_ANY_OWNER: made (0700) if it is missing; or who chose it, whose
 * own it must be. min_free: bytes of the file system that are left to others.
 */
int inbox_open(const char *path, uid_t owner, uint64_t min_free, struct inbox **ret,
	       struct error *err);
void inbox_close(struct inbox *b);
/*
 * From now on all that comes in is sealed to them, 1 to AGE_RECIPIENTS_MAX; copied.
 * Before any submission.
 */
void inbox_seal_to(struct inbox *b, const struct age_recipient *recipients, size_t n);
/* Then what is plain is wiped by whoever has it, as soon as it is not needed. Any thread. */
bool inbox_seals(const struct inbox *b);
/* At least so many bytes are taken up by that many of content. Any thread. */
uint64_t inbox_least_size(const struct inbox *b, uint64_t content);

/* A submission that was completed. */
struct inbox_arrival {
	bool there;     /* else it is gone altogether */
	int64_t number; /* as submissions.h has it */
	unsigned files;
	bool message;
};

/* Moves what p names as far as it is not moved yet: 0 also if it is gone altogether. */
int inbox_complete(const struct inbox *b, const struct inbox_place *p, struct inbox_arrival *ret);
/* Removes what runs that have ended left behind. Not before all is completed. */
void inbox_sweep(const struct inbox *b);
/* Bytes of all files in it. */
int inbox_usage(const struct inbox *b, uint64_t *ret);
/* Is there room for this and min_free? 0, -ENOSPC, or what the system says. */
int inbox_room(const struct inbox *b, uint64_t bytes, uint64_t files);

/* --- one submission --- */

struct inbox_sub;

/* What is written comes as records: this, then n bytes. */
struct inbox_record {
	enum inbox_record_type {
		INBOX_FILE,    /* a file begins; its safe and unique name */
		INBOX_MESSAGE, /* the message begins */
		INBOX_DATA,    /* of the one or the other */
		INBOX_END,     /* of it: on the disk when the call returns */
		INBOX_DROP,    /* the message is not wanted after all */
	} type;
	uint32_t n;
};

/* Nothing is on the disk before the first record. b outlives it. */
struct inbox_sub *inbox_sub_new(const struct inbox *b);
void inbox_sub_free(struct inbox_sub *s);
/* Whole records: 0 or -errno, the same from then on. */
int inbox_sub_write(struct inbox_sub *s, struct span records);
/*
 * Everything is on the disk, the day's directory is there, and *ret says where
 * it goes: to the time when_us (microseconds since 1970) or the next that is free.
 */
int inbox_sub_settle(struct inbox_sub *s, int64_t when_us, struct inbox_place *ret);
/* Bytes that it takes up; of one that is settled. */
uint64_t inbox_sub_size(const struct inbox_sub *s);
/* After it was written down. On an error nothing is visible, as far as that can be. */
int inbox_sub_commit(struct inbox_sub *s);
/* Of a submission that was committed: its number, as submissions.h has it. */
int64_t inbox_sub_number(const struct inbox_sub *s);
/* Not after a commit. */
void inbox_sub_discard(struct inbox_sub *s);
