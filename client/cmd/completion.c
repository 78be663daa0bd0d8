/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * completion: the script for a shell. complete-words: what the scripts ask; the
 * words of a command line up to the one under the cursor, and for an answer a
 * line a choice, "WORD TAB DESCRIPTION", or ":file" or ":dir" alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/completion.h"
#include "client/out.h"
#include "client/service.h"
#include "proto/base/alloc.h"
#include "proto/options.h"

#define LIVE_MS 1000 /* a shell must not wait longer for names */

/* A command line as far as it is written. */
struct typed {
	struct ctl *ctl;
	char **words; /* without those of "=" alone: bash cuts --option=value there */
	size_t n;     /* the last is under the cursor */
	const char *current;
	const struct command *command; /* NULL: none yet */
	struct opt *service_opts;      /* of its mode */
	char *before[3];               /* words that may become a command */
	size_t n_before;
	size_t n_words; /* positional arguments before the current one */
	bool ended;     /* "--" was met */
};

/* --- choices --- */

static void offer(const struct typed *t, const char *word, const char *description)
{
	if (strncmp(word, t->current, strlen(t->current)) == 0) {
		out_line("%s\t%s", out_esc(word), out_esc(description ? description : ""));
	}
}

static void offer_opts(const struct typed *t, const struct opt *opts)
{
	for (const struct opt *o = opts; o && o->name; o++) {
		_cleanup_free_ char *spelling = xasprintf("--%s", o->name);

		offer(t, spelling, o->help);
	}
}

static void offer_names(const struct typed *t)
{
	struct error err = ERROR_INIT;
	json_t *services = NULL, *service;
	size_t i;

	if (ctl_list_by(t->ctl, rpc_now() + LIVE_MS, &services, &err) < 0) {
		error_done(&err);
		return;
	}
	json_array_foreach (services, i, service) {
		_cleanup_free_ char *what = xasprintf("%s, %s", service_text(service, "mode"),
						      service_text(service, "state"));

		offer(t, service_text(service, "name"), what);
	}
	json_decref(services);
}

/* What stands in a command's name behind the words that are there; p NULL: it does not go on so. */
static struct span rest_of(const struct typed *t, const struct command *c)
{
	struct span rest = span_str(c->name);

	for (size_t i = 0; i < t->n_before; i++) {
		if (!span_eq(span_cut(&rest, ' '), span_str(t->before[i]))) {
			return SPAN_NONE;
		}
	}
	return rest;
}

static bool is_first_of_its_word(const struct typed *t, const struct command *const *all, size_t i,
				 struct span word)
{
	for (size_t k = 0; k < i; k++) {
		struct span rest = rest_of(t, all[k]);

		if (rest.p && span_eq(span_cut(&rest, ' '), word)) {
			return false;
		}
	}
	return true;
}

/* "create share" when "create" stands there: the second words; else first words, once each. */
static void offer_commands(const struct typed *t)
{
	size_t n;
	const struct command *const *all = commands_all(&n);

	for (size_t i = 0; i < n; i++) {
		struct span rest = rest_of(t, all[i]);
		struct span first = span_cut(&rest, ' ');

		if (all[i]->summary && first.p && is_first_of_its_word(t, all, i, first)) {
			_cleanup_free_ char *word = xmemdup(first.p, first.n);

			offer(t, word, rest.p ? "" : all[i]->summary);
		}
	}
}

static void offer_methods(const struct typed *t)
{
	for (size_t i = 0; i < interface_control.n_methods; i++) {
		offer(t, interface_control.methods[i].name, interface_control.methods[i].doc);
	}
}

/* By what the help calls the thing: "NAME", "PATH...", "text|json". */
static void offer_kind(const struct typed *t, struct span kind)
{
	if (span_eq(kind, SPAN("NAME"))) {
		offer_names(t);
	} else if (span_eq(kind, SPAN("PATH")) || span_eq(kind, SPAN("FILE"))) {
		out_line(":file");
	} else if (span_eq(kind, SPAN("DIR"))) {
		out_line(":dir");
	} else if (span_eq(kind, SPAN("METHOD"))) {
		offer_methods(t);
	} else if (kind.n && memchr(kind.p, '|', kind.n)) {
		while (kind.p) {
			struct span word = span_cut(&kind, '|');
			_cleanup_free_ char *text = xmemdup(word.p, word.n);

			offer(t, text, NULL);
		}
	}
}

/* The synopsis' word for a positional argument; its last one with dots stands for all that follow.
 */
static struct span kind_of(const char *synopsis, size_t at)
{
	struct span rest = span_str(synopsis);

	for (size_t i = 0; rest.p && rest.n; i++) {
		struct span word = span_cut(&rest, ' ');

		if (span_starts(word, SPAN("["))) {
			word = span_of(word.p + 1, word.n - 1);
		}
		if (span_ends(word, SPAN("]"))) {
			word.n--;
		}
		bool many = span_ends(word, SPAN("..."));

		if (i == at || many) {
			return many ? span_of(word.p, word.n - 3) : word;
		}
	}
	return SPAN_NONE;
}

/* --- what is written already --- */

static const struct opt *find_in(const struct opt *opts, struct span name)
{
	for (const struct opt *o = opts; o && o->name; o++) {
		if (span_eq(name, span_str(o->name))) {
			return o;
		}
	}
	return NULL;
}

/* "--NAME" or "--NAME=VALUE"; NULL: no option that we know. */
static const struct opt *find_opt(const struct typed *t, const char *word)
{
	struct span rest = span_str(word);
	const struct opt *o;

	if (!span_starts(rest, SPAN("--"))) {
		return NULL;
	}
	rest = span_from(rest, 2);
	struct span name = span_cut(&rest, '=');

	o = find_in(commands_global_opts, name);
	if (!o && t->command) {
		o = find_in(t->command->opts, name);
	}
	return o ? o : find_in(t->service_opts, name);
}

static void add_word(struct typed *t, char *word)
{
	int used = 0;

	if (t->command) {
		t->n_words++;
		return;
	}
	t->before[t->n_before++] = word;
	t->command = command_find((int)t->n_before, t->before, &used);
	if (t->command && t->command->mode) {
		t->service_opts = command_service_opts(t->command->mode);
	}
	/* Two words that are no command: nothing to be said of it. */
	if (!t->command && t->n_before == ARRAY_SIZE(t->before)) {
		t->ended = true;
		t->n_before = 0;
	}
}

/* Which daemon is meant stands on the command line, too. */
static void keep_scope(struct typed *t, const struct opt *o, const char *value)
{
	struct opt_args *args = &t->ctl->args;

	if (o->metavar ? strcmp(o->name, "socket") == 0 && value
		       : strcmp(o->name, "user") == 0 || strcmp(o->name, "system") == 0) {
		if (args->n_values < OPT_VALUES_MAX) {
			args->values[args->n_values++] =
				(struct opt_value){.opt = o, .text = value};
		}
	}
}

/* Reads all but the last word; the option whose value that is, or NULL. */
static const struct opt *read_typed(struct typed *t)
{
	for (size_t i = 0; i + 1 < t->n; i++) {
		char *word = t->words[i];

		if (t->ended || word[0] != '-') {
			add_word(t, word);
			continue;
		}
		if (strcmp(word, "--") == 0) {
			t->ended = true;
			continue;
		}
		const struct opt *o = find_opt(t, word);
		bool joined = strchr(word, '=') != NULL;

		if (o && o->metavar && !joined && i + 2 == t->n) {
			return o;
		}
		if (o) {
			const char *value = joined ? strchr(word, '=') + 1 : t->words[i + 1];

			keep_scope(t, o, value);
			i += o->metavar && !joined;
		}
	}
	return NULL;
}

static void complete(struct typed *t)
{
	const struct opt *o = read_typed(t);
	bool is_new = t->command && strncmp(t->command->name, "create ", 7) == 0;

	if (o) {
		offer_kind(t, span_str(o->metavar));
	} else if (t->current[0] == '-' && !t->ended) {
		offer_opts(t, commands_global_opts);
		offer_opts(t, t->command ? t->command->opts : NULL);
		offer_opts(t, t->service_opts);
	} else if (!t->command) {
		offer_commands(t);
	} else if (!is_new || t->n_words > 0) {
		offer_kind(t, kind_of(t->command->synopsis, t->n_words));
	}
}

static int run_complete(struct ctl *ctl)
{
	struct typed t = {.ctl = ctl, .words = xcalloc(ctl->args.n_words + 1, sizeof(char *))};
	static char nothing[] = "";

	for (size_t i = 0; i < ctl->args.n_words; i++) {
		bool is_last = i + 1 == ctl->args.n_words;

		if (strcmp(ctl->args.words[i], "=") != 0) {
			t.words[t.n++] = ctl->args.words[i];
		} else if (is_last) {
			t.words[t.n++] = nothing;
		}
	}
	if (t.n == 0) {
		t.words[t.n++] = nothing;
	}
	t.current = t.words[t.n - 1];
	complete(&t);
	command_free_service_opts(t.service_opts);
	free(t.words);
	return 0;
}

static int run_completion(struct ctl *ctl)
{
	static const struct {
		const char *name, *script;
	} shells[] = {{"bash", completion_bash},
		      {"zsh", completion_zsh},
		      {"fish", completion_fish}};
	const char *wanted = ctl->args.words[0];

	for (size_t i = 0; i < ARRAY_SIZE(shells); i++) {
		if (strcmp(shells[i].name, wanted) == 0) {
			if (out_is_json()) {
				json_auto_t *script = json_string(shells[i].script);

				out_json(script);
			} else {
				fputs(shells[i].script, stdout);
			}
			return 0;
		}
	}
	return ctl_misuse(ctl, "there is a completion for bash, zsh and fish, not for '%s'",
			  wanted);
}

const struct command cmd_completion = {
	.name = "completion",
	.synopsis = "bash|zsh|fish",
	.summary = "a script that makes your shell complete commands, options and names",
	.help = "bash: source <(onionsharectl completion bash), in ~/.bashrc. zsh: the same with\n"
		"zsh, in ~/.zshrc behind compinit. fish: onionsharectl completion fish | source.",
	.min_words = 1,
	.max_words = 1,
	.run = run_completion,
};

const struct command cmd_complete_words = {
	.name = "complete-words",
	.synopsis = "-- WORD...",
	.help = "What the scripts of 'completion' ask.",
	.max_words = SIZE_MAX,
	.any_bytes = true,
	.run = run_complete,
};
