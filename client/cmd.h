/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A command of the client: a struct command in a file of its own (or with its
 * nearest kin), entered in main.c's table. What all of them need stands here.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "client/opt.h"
#include "client/rpc.h"

#define EXIT_USAGE     2
#define EXIT_NO_DAEMON 6

struct ctl {
	const struct command *command;
	struct opt_args args;
	struct opt *service_opts; /* the mode's options as a table; owned */
	struct rpc *rpc;          /* NULL before ctl_connect */
};

struct command {
	const char *name;            /* "list", "tor status" */
	const char *alias;           /* or NULL */
	const char *synopsis;        /* of the positional arguments: "NAME PATH..." */
	const char *summary;         /* begins in lower case, no full stop; NULL: not for people */
	const char *help;            /* paragraphs for --help; NULL: the summary */
	const struct opt *opts;      /* NULL: none of its own */
	const char *mode;            /* takes the options of this mode; "": of any; NULL: none */
	size_t min_words, max_words; /* positional arguments */
	bool any_bytes;              /* some are paths, which need not be UTF-8 */
	int (*run)(struct ctl *ctl); /* the exit status */
};

extern const struct command cmd_create_share, cmd_create_receive, cmd_create_chat, cmd_chat,
	cmd_create_website, cmd_website, cmd_start, cmd_stop, cmd_restart, cmd_list, cmd_show,
	cmd_edit, cmd_rename, cmd_delete, cmd_share, cmd_receive, cmd_watch, cmd_wait, cmd_status,
	cmd_tor_status, cmd_history, cmd_reload, cmd_call, cmd_inbox_list, cmd_inbox_show,
	cmd_inbox_save, cmd_inbox_delete, cmd_key_list, cmd_key_add, cmd_key_remove, cmd_publish,
	cmd_add, cmd_remove, cmd_import, cmd_export, cmd_bridges_list, cmd_bridges_set,
	cmd_bridges_none, cmd_tor_check;

extern const struct command cmd_balance_key, cmd_balance_config, cmd_balance_check;
extern const struct command cmd_metrics_print, cmd_metrics_write, cmd_completion,
	cmd_complete_words;

/* --- the tables (main.c) --- */

extern const struct opt commands_global_opts[];
const struct command *const *commands_all(size_t *ret_n);
/* *ret_words: how many words of argv name it. NULL: none does. */
const struct command *command_find(int argc, char **argv, int *ret_words);
/* The options of a mode ("": of any) as a table; the caller's to free. */
struct opt *command_service_opts(const char *mode);
void command_free_service_opts(struct opt *opts);

/* --- what commands share --- */

/* Prints it (nothing if a signal came) and returns the exit status. */
int ctl_fail(struct error *err);
/* The same for a command line that cannot be understood; points to --help. */
int ctl_misuse(struct ctl *ctl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A connection as --socket, --user, --system say. */
int ctl_open(struct ctl *ctl, struct rpc **ret, struct error *err);
/* ctl->rpc, once. */
int ctl_connect(struct ctl *ctl, struct error *err);
/* ctl_connect, then one call with one reply. */
int ctl_call(struct ctl *ctl, const char *method, json_t *params, json_t **ret, struct error *err);
/* With descriptors, which stay the caller's. */
int ctl_call_fds(struct ctl *ctl, const char *method, json_t *params, const struct rpc_fds *fds,
		 json_t **ret, struct error *err);

/* All services, a new reference, however many they are. */
int ctl_list(struct ctl *ctl, json_t **ret, struct error *err);
/* The same; -ETIMEDOUT at that time of rpc_now(). */
int ctl_list_by(struct ctl *ctl, int64_t deadline_ms, json_t **ret, struct error *err);
/*
 * ctl_call, and its result printed: with --json the member (NULL: the whole
 * reply), else what print makes of the reply. Exit status.
 */
typedef void ctl_print_fn(struct ctl *ctl, const json_t *reply);
int ctl_call_and_print(struct ctl *ctl, const char *method, json_t *params, const char *member,
		       ctl_print_fn *print);

/* --timeout in milliseconds, or fallback_ms. -EINVAL if it is no time. */
int ctl_timeout(struct ctl *ctl, int64_t fallback_ms, int64_t *ret, struct error *err);

/* The service options given, as the object that Create and Edit take. */
int ctl_service_options(struct ctl *ctl, json_t **ret, struct error *err);

/*
 * For each word from first on: calls one, which puts a result into *ret. Prints
 * the results as JSON where that is wanted (one: the object; several: an array).
 * Stops at the first failure, which is then all that is printed as JSON. Exit status.
 */
typedef int ctl_each_fn(struct ctl *ctl, const char *word, json_t **ret, struct error *err);
int ctl_for_each(struct ctl *ctl, ctl_each_fn *one);
