/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The options of services, defined once: what the client takes on its command
 * line, what Create and Edit take, what is kept and shown.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/error.h"
#include "proto/base/span.h"

enum option_type {
	OPTION_BOOL,
	OPTION_INT,
	OPTION_SECONDS, /* on the command line also 1h30m */
	OPTION_TIME,    /* RFC 3339; on the command line also local: 2026-11-22 14:00 */
	OPTION_SIZE,    /* bytes; on the command line K, M, G, T */
	OPTION_STRING,  /* one line of text: no control characters */
	OPTION_PATH,    /* absolute; on the command line also relative to where one is */
	OPTION_WORD,    /* one of words */
	/* Array of age recipients; on the command line given once for each. */
	OPTION_RECIPIENTS,
	OPTION_ONION, /* address of an onion service (proto/base/onion.h) */
};

enum option_modes {
	OPTION_SHARE = 1,
	OPTION_RECEIVE = 2,
	OPTION_WEBSITE = 4,
	OPTION_CHAT = 8,
	OPTION_ALL_MODES = OPTION_SHARE | OPTION_RECEIVE | OPTION_WEBSITE | OPTION_CHAT,
};

enum option_flags {
	OPTION_NEEDS_RESTART = 1, /* a change counts after the service's restart */
	OPTION_LOCAL_ONLY = 2,    /* only for a daemon without Tor: the daemon refuses it else */
	OPTION_TOP_LEVEL = 4,     /* shown beside "options" in the service object, not in it */
	OPTION_ASCII = 8,         /* text that stands in a field of HTTP: printable ASCII */
	OPTION_RELEASE = 16,      /* belongs to what visitors see: goes with packed content */
};

struct option {
	const char *name; /* in JSON: "no_autostop_sharing"; with dashes on the command line */
	/* Of a bool: the command-line name that sets it to false ("private"), or NULL. */
	const char *opposite;
	unsigned modes;
	enum option_type type;
	unsigned flags;
	int64_t min, max;         /* of a number; of text: characters; of recipients: how many */
	bool has_default;         /* else null */
	int64_t default_value;    /* bool: 0 or 1; of a word: its place among them */
	const char *const *words; /* NULL at the end */
	const char *metavar;      /* "N"; NULL for a bool */
	const char *help;         /* begins in lower case, no full stop */
};

#define OPTION_TITLE_MAX 200
#define OPTION_URL_MAX   2048
#define OPTION_CSP_MAX   4096
#define OPTION_PATH_MAX  4000 /* room for the layout below it */

/* All options in the order of help texts; n of them. */
const struct option *options_all(size_t *ret_n);
/* "share", ...: the mode's bit, 0 if there is no such mode. */
unsigned options_mode(const char *mode);

/* By its JSON name; NULL if this mode has no such option. */
const struct option *option_find(const char *mode, const char *name);

/*
 * in: object of option name -> value; null stands for the default. 0, or
 * -EINVAL with ERROR_INVALID_VALUE naming the option and why.
 */
int options_validate(const char *mode, const json_t *in, struct error *err);
/* What no option can tell alone; all: complete. 0, or -EINVAL likewise. */
int options_check_together(const char *mode, const json_t *all, struct error *err);
/* New object: every option of the mode, those not set with their default. set: validated or NULL.
 */
json_t *options_complete(const char *mode, const json_t *set);

/* --- command line --- */

/*
 * spelling: without the leading dashes, '-' and '_' alike. *ret_negated: it is
 * the opposite name of a bool. NULL: no such option in this mode (mode NULL: in any).
 */
const struct option *option_find_spelling(const char *mode, struct span spelling,
					  bool *ret_negated);
/* "no-autostop-sharing" */
void option_spelling(const struct option *o, char *ret, size_t size);
/*
 * Text as written on the command line to a JSON value, checked. text NULL: the
 * option stood alone (a bool: true). An array has one element, to be put behind
 * those of the option given before. 0, or -EINVAL with ERROR_INVALID_VALUE.
 */
int option_parse_text(const struct option *o, const char *text, json_t **ret, struct error *err);
