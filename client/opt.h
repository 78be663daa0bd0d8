/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The command line against tables of options: --name VALUE, --name=VALUE, -n,
 * options behind positional arguments, "--" as their end; "_" counts as "-" in
 * a name. Only the form is checked here: what a value may be is the business of
 * who asks for it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "proto/base/error.h"

struct opt {
	const char *name;    /* without dashes; NULL ends a table */
	char letter;         /* 0: none */
	const char *metavar; /* NULL: takes no value */
	const char *help;
};

struct opt_value {
	const struct opt *opt;
	const char *text; /* NULL without a value; borrowed from argv */
};

#define OPT_TABLES_MAX 4
#define OPT_VALUES_MAX 256

struct opt_args {
	const struct opt *tables[OPT_TABLES_MAX]; /* filled in by the caller; NULL: none */
	bool stop_at_word; /* the first positional argument ends the parsing, for opt_more */

	struct opt_value values[OPT_VALUES_MAX]; /* in the order given */
	size_t n_values;
	char **words; /* positional arguments, in order; owned array of argv's strings */
	size_t n_words;
	bool ended; /* "--" was met */
};

/*
 * Reads argv[0] to argv[argc - 1] and adds to what args holds. *ret_used: how
 * many were taken (all, unless stop_at_word; may be NULL). 0, or -EINVAL with a
 * sentence in err.
 */
int opt_parse(struct opt_args *args, int argc, char **argv, int *ret_used, struct error *err);
void opt_done(struct opt_args *args);

bool opt_given(const struct opt_args *args, const char *name);
/* The last one's value; NULL if not given. */
const char *opt_text(const struct opt_args *args, const char *name);
