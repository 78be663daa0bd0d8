/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * onionsharectl: the command table, help, and the way from argv to a command.
 * What is asked for is done by the daemon; nothing here knows Tor.
 */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/cmd.h"
#include "client/out.h"
#include "proto/base/alloc.h"
#include "proto/base/span.h"
#include "proto/base/utf8.h"
#include "proto/options.h"
#include "proto/units.h"
#include "proto/wipe.h"

#ifndef ONIONSHARED_VERSION
#error "the build defines ONIONSHARED_VERSION"
#endif

#define NAME_COLUMN   20
#define OPTION_COLUMN 30
#define SPELLING_MAX  64

static const struct command *const commands[] = {
	&cmd_share,          &cmd_receive,        &cmd_website,
	&cmd_chat,           &cmd_create_share,   &cmd_create_receive,
	&cmd_create_website, &cmd_create_chat,    &cmd_start,
	&cmd_stop,           &cmd_restart,        &cmd_list,
	&cmd_show,           &cmd_edit,           &cmd_rename,
	&cmd_delete,         &cmd_publish,        &cmd_add,
	&cmd_remove,         &cmd_watch,          &cmd_wait,
	&cmd_history,        &cmd_status,         &cmd_tor_status,
	&cmd_reload,         &cmd_call,           &cmd_inbox_list,
	&cmd_inbox_show,     &cmd_inbox_save,     &cmd_inbox_delete,
	&cmd_key_list,       &cmd_key_add,        &cmd_key_remove,
	&cmd_metrics_print,  &cmd_metrics_write,  &cmd_completion,
	&cmd_complete_words, &cmd_import,         &cmd_export,
	&cmd_bridges_list,   &cmd_bridges_set,    &cmd_bridges_none,
	&cmd_balance_key,    &cmd_balance_config, &cmd_balance_check,
	&cmd_tor_check,
};

const struct opt commands_global_opts[] = {
	{"json", 'j', NULL, "one JSON value on stdout (streams: one object a line)"},
	{"quiet", 'q', NULL, "results and errors only"},
	{"timeout", 0, "SECONDS", "give up waiting after this time"},
	{"connect-timeout", 0, "SECONDS", "the same, as OnionShare calls it"},
	{"socket", 0, "PATH", "the daemon's control socket"},
	{"user", 0, NULL, "your own daemon"},
	{"system", 0, NULL, "the machine's daemon"},
	{"help", 'h', NULL, "what a command does and takes"},
	{"version", 'V', NULL, "print the version"},
	{0},
};

const struct command *const *commands_all(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(commands);
	return commands;
}

/* --- help --- */

static void print_opts(const struct opt *opts)
{
	for (const struct opt *o = opts; o && o->name; o++) {
		char letter[] = "-x, ", left[SPELLING_MAX * 2];

		letter[1] = o->letter;
		snprintf(left, sizeof(left), "%s--%s%s%s", o->letter ? letter : "", o->name,
			 o->metavar ? " " : "", o->metavar ? o->metavar : "");
		printf("  %-*s  %s\n", OPTION_COLUMN, left, o->help);
	}
}

static void print_general_help(void)
{
	printf("Hosts files, dropboxes, websites and chat rooms over Tor, by the daemon "
	       "onionshared.\n\n"
	       "usage: onionsharectl [OPTION...] [COMMAND ...]\n\nCommands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (commands[i]->summary) {
			printf("  %-*s  %s\n", NAME_COLUMN, commands[i]->name,
			       commands[i]->summary);
		}
	}
	printf("\n'onionsharectl COMMAND --help' tells more. Without a command: status.\n\n"
	       "Options of every command:\n");
	print_opts(commands_global_opts);
	printf("\nExit status: 0 done, 1 the daemon refused, 2 usage, 3 what is waited for cannot "
	       "come,\n4 no such service, 5 not permitted, 6 no daemon, 7 Tor unavailable or "
	       "timeout,\n130 interrupted.\n");
}

static void print_command_help(const struct ctl *ctl)
{
	const struct command *c = ctl->command;

	printf("usage: onionsharectl %s%s%s%s\n\n", c->name,
	       c->opts || ctl->service_opts ? " [OPTION...]" : "", c->synopsis[0] ? " " : "",
	       c->synopsis);
	if (c->alias) {
		printf("Also called %s.\n\n", c->alias);
	}
	printf("%s\n", c->help ? c->help : c->summary);
	if (c->opts) {
		printf("\nOptions:\n");
		print_opts(c->opts);
	}
	if (ctl->service_opts) {
		printf("\nOptions of the service:\n");
		print_opts(ctl->service_opts);
	}
	printf("\nOptions of every command:\n");
	print_opts(commands_global_opts);
}

/* --- from words to a command --- */

/* How many words of argv name the command; 0: they do not. */
static int matches(const struct command *c, int argc, char **argv)
{
	struct span rest = span_str(c->name);
	int n = 0;

	if (c->alias && strcmp(c->alias, argv[0]) == 0) {
		return 1;
	}
	while (rest.p) {
		if (n == argc || !span_eq(span_cut(&rest, ' '), span_str(argv[n]))) {
			return 0;
		}
		n++;
	}
	return n;
}

const struct command *command_find(int argc, char **argv, int *ret_words)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		*ret_words = matches(commands[i], argc, argv);
		if (*ret_words > 0) {
			return commands[i];
		}
	}
	return NULL;
}

/* "tor" alone: which commands begin so. help: that was the question. */
static int no_such_command(const char *word, bool help)
{
	struct buf choices = BUF_INIT;
	size_t n = strlen(word);
	int status;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const char *name = commands[i]->name;

		if (strncmp(name, word, n) == 0 && name[n] == ' ') {
			buf_printf(&choices, "%s%s", choices.len > 0 ? ", " : "", name);
		}
	}
	if (choices.len > 0 && help) {
		printf("usage: onionsharectl COMMAND, where '%s' begins these commands:\n"
		       "  %s\n\n'onionsharectl COMMAND --help' tells more of each.\n",
		       word, choices.p);
		status = 0;
	} else if (choices.len > 0) {
		status = ctl_misuse(NULL, "'%s' is half a command: %s", word, choices.p);
	} else {
		status = ctl_misuse(NULL, "there is no command '%s'", word);
	}
	buf_done(&choices);
	return status;
}

/* --- the mode's options as a table of ours --- */

static void add_service_opt(struct opt **opts, size_t *n, const char *spelling, const char *metavar,
			    char *help)
{
	*opts = xreallocarray(*opts, *n + 1, sizeof(struct opt));
	(*opts)[(*n)++] = (struct opt){.name = spelling ? xstrdup(spelling) : NULL,
				       .metavar = metavar,
				       .help = help};
}

/* "...; default: 1000"; what is off or not set without being told goes without saying. */
static char *help_with_default(const struct option *o)
{
	if (o->type == OPTION_WORD && o->has_default) {
		return xasprintf("%s; default: %s", o->help, o->words[o->default_value]);
	}
	if (o->type == OPTION_SIZE && o->default_value > 0) {
		char size[UNITS_SIZE_TEXT];

		return xasprintf("%s; default: %s", o->help,
				 units_print_size((uint64_t)o->default_value, size));
	}
	if (o->type == OPTION_INT && o->default_value > 0) {
		return xasprintf("%s; default: %lld", o->help, (long long)o->default_value);
	}
	return xstrdup(o->help);
}

struct opt *command_service_opts(const char *mode)
{
	unsigned bit = mode[0] != '\0' ? options_mode(mode) : ~0u;
	struct opt *opts = NULL;
	size_t n = 0, n_all;
	const struct option *all = options_all(&n_all);

	for (size_t i = 0; i < n_all; i++) {
		char spelling[SPELLING_MAX];

		if (!(all[i].modes & bit)) {
			continue;
		}
		option_spelling(&all[i], spelling, sizeof(spelling));
		add_service_opt(&opts, &n, spelling, all[i].metavar, help_with_default(&all[i]));
		if (all[i].opposite) {
			add_service_opt(&opts, &n, all[i].opposite, NULL,
					xasprintf("the opposite of --%s, and the default",
						  spelling));
		}
	}
	add_service_opt(&opts, &n, NULL, NULL, NULL);
	return opts;
}

void command_free_service_opts(struct opt *opts)
{
	for (struct opt *o = opts; o && o->name; o++) {
		free((char *)(uintptr_t)o->name);
		free((char *)(uintptr_t)o->help);
	}
	free(opts);
}

/* --- running --- */

/* Is the option among the words? For those that count before all is parsed. */
static bool asks_for(int argc, char **argv, const char *brief, const char *name)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], brief) == 0 || strcmp(argv[i], name) == 0) {
			return true;
		}
	}
	return false;
}

static int check_words(struct ctl *ctl)
{
	const struct command *c = ctl->command;

	if (ctl->args.n_words < c->min_words) {
		return ctl_misuse(ctl, "'%s' needs %s", c->name, c->synopsis);
	}
	if (ctl->args.n_words > c->max_words) {
		return ctl_misuse(ctl, "'%s' does not take '%s'", c->name,
				  ctl->args.words[c->max_words]);
	}
	for (size_t i = 0; i < ctl->args.n_words && !c->any_bytes; i++) {
		if (!utf8_valid(span_str(ctl->args.words[i]))) {
			return ctl_misuse(ctl, "'%s' is not UTF-8", ctl->args.words[i]);
		}
	}
	return 0;
}

static int run_command(struct ctl *ctl)
{
	int status = check_words(ctl);

	if (status == 0) {
		rpc_init();
		status = ctl->command->run(ctl);
	}
	rpc_close(ctl->rpc);
	return status;
}

/* Options before the command, the command, what belongs to it. */
static int run(struct ctl *ctl, int argc, char **argv)
{
	struct error err = ERROR_INIT;
	int used = 0, words = 0, status;
	int64_t timeout_ms;

	ctl->args.tables[0] = commands_global_opts;
	ctl->args.stop_at_word = true;
	if (opt_parse(&ctl->args, argc - 1, argv + 1, &used, &err) < 0) {
		goto misuse;
	}
	argc -= 1 + used;
	argv += 1 + used;
	ctl->command = &cmd_status;
	if (argc > 0) {
		ctl->command = command_find(argc, argv, &words);
		if (!ctl->command) {
			return no_such_command(argv[0],
					       opt_given(&ctl->args, "help") ||
						       asks_for(argc, argv, "-h", "--help"));
		}
		argc -= words;
		argv += words;
	}
	if (ctl->command->mode) {
		ctl->service_opts = command_service_opts(ctl->command->mode);
	}
	ctl->args.tables[1] = ctl->command->opts;
	ctl->args.tables[2] = ctl->service_opts;
	ctl->args.stop_at_word = false;
	if (opt_parse(&ctl->args, argc, argv, NULL, &err) < 0) {
		goto misuse;
	}
	out_init(opt_given(&ctl->args, "json"), opt_given(&ctl->args, "quiet"));
	if (opt_given(&ctl->args, "version")) {
		printf("onionsharectl %s\n", ONIONSHARED_VERSION);
		return 0;
	}
	if (opt_given(&ctl->args, "help")) {
		if (words > 0) {
			print_command_help(ctl);
		} else {
			print_general_help();
		}
		return 0;
	}
	if (ctl_timeout(ctl, 0, &timeout_ms, &err) < 0) {
		goto misuse; /* also of a command that does not wait */
	}
	if (opt_given(&ctl->args, "user") && opt_given(&ctl->args, "system")) {
		return ctl_misuse(ctl, "--user and --system contradict each other");
	}
	return run_command(ctl);
misuse:
	status = ctl_misuse(ctl, "%s", error_text(&err));
	error_done(&err);
	return status;
}

int main(int argc, char **argv)
{
	struct ctl ctl = {0};
	int status;

	setlocale(LC_CTYPE, "");
	umask(077);
	wipe_json_memory();
	/* A misused command line is told as JSON too. */
	out_init(asks_for(argc - 1, argv + 1, "-j", "--json"), false);
	status = run(&ctl, argc, argv);
	opt_done(&ctl.args);
	command_free_service_opts(ctl.service_opts);
	if (!out_flush() && status == 0) {
		out_error("what was to be printed could not be written: %s", strerror(errno));
		status = 1;
	}
	out_done();
	return status;
}
