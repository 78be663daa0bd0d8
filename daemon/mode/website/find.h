/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From a request's path to a file or directory of a website, as they are at this
 * moment: looked up beneath the content's paths each time, no link followed, nothing
 * but regular files and directories. On the loop only what the kernel knows
 * without a disk is used; the rest is asked again on the pool.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "http/accept.h"
#include "mode/content.h"
#include "mode/names.h"
#include "proto/base/error.h"

struct site_input {
	struct span name; /* in the root; n 0: what is in it is in the root */
	bool is_dir;      /* when the site was made */
	/* For the loop: the directory, and in which of its turns it was opened. */
	int fd; /* -1: not open */
	uint64_t turn;
};

/* A content, and the names in its root. */
struct site {
	unsigned refs; /* taken and given back on the loop */
	struct mode_content *content;
	struct names *names;
	struct site_input *inputs; /* as many as the content has paths */
	bool spread;               /* the first one has no name */
};

/*
 * Blocks: for the pool. Every path must be there: else -errno and err. One
 * reference, the caller's. The site takes over the caller's reference to content.
 */
int site_new(struct mode_content *content, struct site **ret, struct error *err);
struct site *site_ref(struct site *s);
void site_unref(struct site *s);

enum find_kind {
	FIND_NOTHING, /* 404; a file: the site's own page for that */
	FIND_FILE,
	FIND_DIRECTORY, /* asked for with a slash, and without index.html */
	FIND_MOVED,     /* a directory, asked for without the slash */
	FIND_BUSY,      /* too many files are open */
	FIND_GONE,      /* the root itself is not there at the moment */
};

/* Longer paths are not looked for: no file system has them. */
#define FIND_PATH_MAX 4000u
#define FIND_ROOM     (FIND_PATH_MAX + 32)

struct find {
	/* in */
	struct span path; /* as http_req has it */
	const struct http_accept *accept;
	bool dotfiles, no_listing;
	bool on_loop;  /* only what is known in memory */
	uint64_t turn; /* of the loop */
	bool look;     /* nothing is opened to be read */
	char *room;    /* FIND_ROOM bytes */
	/* out */
	enum find_kind kind;
	bool has_file;
	struct stat st;   /* of the file that is sent */
	int fd;           /* of it, or of the directory; the caller's. -1: look, or the root of
			     a site whose paths all have names */
	struct span name; /* what is asked for, without slashes at its ends: within path */
	const char *type; /* of the file, a literal */
	enum http_coding coding; /* of the file beside it that is sent in its place */
	bool shrinks;            /* its type is worth a coding */
	size_t input;            /* of the directory */
};

/* 0, or -EAGAIN: on_loop is not enough, ask again on the pool. */
int site_find(struct site *s, struct find *f);
/* Is it hidden from visitors who are not to see dotfiles? One name, or a whole path. */
bool site_is_hidden(struct span path);
