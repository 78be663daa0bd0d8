/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/opt.h"

#include <errno.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "proto/base/span.h"

/* Names are at most this long; what is longer is none. */
#define NAME_MAX_LEN 64

struct cursor {
	int argc;
	char **argv;
	int next;
};

static const struct opt *find(const struct opt_args *args, const char *name, char letter)
{
	for (size_t t = 0; t < OPT_TABLES_MAX; t++) {
		const struct opt *o = args->tables[t];

		for (; o && o->name; o++) {
			if (name ? strcmp(o->name, name) == 0 : o->letter == letter) {
				return o;
			}
		}
	}
	return NULL;
}

static int add(struct opt_args *args, const struct opt *opt, const char *text, struct error *err)
{
	if (args->n_values == OPT_VALUES_MAX) {
		return error_set(err, EINVAL, "more than %d options", OPT_VALUES_MAX);
	}
	args->values[args->n_values++] = (struct opt_value){opt, text};
	return 0;
}

static int missing_value(const struct opt *opt, struct error *err)
{
	return error_set(err, EINVAL, "--%s needs a value: --%s %s", opt->name, opt->name,
			 opt->metavar);
}

/* The argument behind an option, whatever it begins with. */
static const char *next_arg(struct cursor *c)
{
	return c->next < c->argc ? c->argv[c->next++] : NULL;
}

static int parse_long(struct opt_args *args, struct cursor *c, const char *arg, struct error *err)
{
	struct span rest = span_str(arg + 2);
	struct span given = span_cut(&rest, '=');
	char name[NAME_MAX_LEN + 1] = "";
	const struct opt *opt = NULL;
	const char *text = rest.p;

	if (given.n > 0 && given.n <= NAME_MAX_LEN) {
		memcpy(name, given.p, given.n);
		for (char *p = name; *p != '\0'; p++) {
			*p = *p == '_' ? '-' : *p;
		}
		opt = find(args, name, 0);
	}
	if (!opt) {
		return error_set(err, EINVAL, "there is no option --" SPAN_FMT, SPAN_ARG(given));
	}
	if (!opt->metavar && text) {
		return error_set(err, EINVAL, "--%s takes no value", opt->name);
	}
	if (opt->metavar && !text) {
		text = next_arg(c);
		if (!text) {
			return missing_value(opt, err);
		}
	}
	return add(args, opt, text, err);
}

/* Letters may stand together; one that takes a value takes the rest. */
static int parse_letters(struct opt_args *args, struct cursor *c, const char *arg,
			 struct error *err)
{
	for (const char *p = arg + 1; *p != '\0'; p++) {
		const struct opt *opt = find(args, NULL, *p);
		const char *text = NULL;
		int r;

		if (!opt) {
			return error_set(err, EINVAL, "there is no option -%c", *p);
		}
		if (opt->metavar) {
			text = p[1] != '\0' ? p + 1 : next_arg(c);
			if (!text) {
				return missing_value(opt, err);
			}
		}
		r = add(args, opt, text, err);
		if (r < 0 || opt->metavar) {
			return r;
		}
	}
	return 0;
}

static void add_word(struct opt_args *args, char *word)
{
	args->words = xreallocarray(args->words, args->n_words + 1, sizeof(char *));
	args->words[args->n_words++] = word;
}

int opt_parse(struct opt_args *args, int argc, char **argv, int *ret_used, struct error *err)
{
	struct cursor c = {argc, argv, 0};

	while (c.next < argc) {
		char *arg = argv[c.next];
		int r = 0;

		if (args->ended || arg[0] != '-' || arg[1] == '\0') {
			if (args->stop_at_word) {
				break;
			}
			add_word(args, arg);
			c.next++;
			continue;
		}
		c.next++;
		if (strcmp(arg, "--") == 0) {
			args->ended = true;
		} else if (arg[1] == '-') {
			r = parse_long(args, &c, arg, err);
		} else {
			r = parse_letters(args, &c, arg, err);
		}
		if (r < 0) {
			return r;
		}
	}
	if (ret_used) {
		*ret_used = c.next;
	}
	return 0;
}

void opt_done(struct opt_args *args)
{
	free(args->words);
	args->words = NULL;
	args->n_words = 0;
}

static const struct opt_value *last(const struct opt_args *args, const char *name)
{
	for (size_t i = args->n_values; i > 0; i--) {
		if (strcmp(args->values[i - 1].opt->name, name) == 0) {
			return &args->values[i - 1];
		}
	}
	return NULL;
}

bool opt_given(const struct opt_args *args, const char *name)
{
	return last(args, name) != NULL;
}

const char *opt_text(const struct opt_args *args, const char *name)
{
	const struct opt_value *v = last(args, name);

	return v ? v->text : NULL;
}
