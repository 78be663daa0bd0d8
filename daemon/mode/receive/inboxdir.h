/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Steps on an inbox's directories, and how its names are made; for inbox.c, its
 * writers and submissions.c only.
 */
#pragma once

#include <stdbool.h>

#include "mode/receive/inbox.h"

#define INBOXDIR_INCOMING     ".incoming"
#define INBOXDIR_ID_LEN       8 /* of RUN and SUBMISSION */
#define INBOXDIR_MESSAGE_TAIL "-message.txt"
#define INBOXDIR_SEALED_TAIL  ".zip.age"
/* A stamp with the longer of these, and a NUL. */
#define INBOXDIR_NAME_ROOM (INBOX_STAMP_LEN + 16)

/* name beneath fd, no link: the descriptor or -errno. */
int inboxdir_open(int fd, const char *name);
/* 0 also if it is there already. */
int inboxdir_make(int fd, const char *name);
int inboxdir_sync(int fd);
/* A new file for writing, 0600, over nothing that is there: its descriptor or -errno. */
int inboxdir_create(int fd, const char *name);
/* The times of what is open: today's first moment, alike for all of a day. */
int inboxdir_set_day(int fd);
bool inboxdir_exists(int fd, const char *name);
/* Never over something else: 0, -EEXIST, -ENOENT ... */
int inboxdir_rename_new(int from_fd, const char *from, int to_fd, const char *to);
/* "." or ".." */
bool inboxdir_is_dots(const char *name);
/* name and all that is below it, so deep; what cannot be removed stays. */
void inboxdir_remove_tree(int fd, const char *name, int depth);
/*
 * DATA/.incoming and in it a directory of one's own, locked: while that is open
 * nobody sweeps it. Descriptors, -1 where there is none; to be given back also on failure.
 */
struct inboxdir_run {
	int incoming, run;
	char name[INBOXDIR_ID_LEN + 1];
};

int inboxdir_run_open(int data_fd, struct inboxdir_run *ret);
/* Both are removed if nothing is in them. */
void inboxdir_run_close(int data_fd, struct inboxdir_run *r);
/*
 * Moves all parts of a submission from its day into a directory of the run, which is on
 * the disk before the first of them goes: that says that the others shall follow.
 */
int inboxdir_bury(int run, int day_fd, const char *day, const char *stamp);
/* Does so for those that were begun in a run that has ended. */
int inboxdir_bury_rest(int data_fd, int run);
/* The day and time of so many microseconds since 1970; what cannot be is 1970's first. */
void inboxdir_name_time(int64_t us, char day[INBOX_DAY_LEN + 1], char stamp[INBOX_STAMP_LEN + 1]);
/* Microseconds from 1970 to the day, from midnight to the time; -1: that is none. */
int64_t inboxdir_day_us(const char *day);
int64_t inboxdir_stamp_us(const char *stamp);
/* s against a shape of 9 (a digit), x (a-z, 2-7) and characters that stand for themselves. */
bool inboxdir_matches(const char *s, const char *shape);
const char *inboxdir_name(const char *stamp, const char *tail,
			  char room[static INBOXDIR_NAME_ROOM]);
