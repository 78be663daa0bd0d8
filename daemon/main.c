/* SPDX-License-Identifier: GPL-3.0-or-later */
/* onionshared(8): the command line and the configuration; app.c does the rest. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "app.h"
#include "base/log.h"
#include "config.h"
#include "paths.h"
#include "proto/base/alloc.h"
#include "proto/wipe.h"
#include "sd/sd.h"
#include "version.h"

static const char help_text[] =
	"Usage: onionshared [OPTION…]\n"
	"\n"
	"Hosts shares of files, dropboxes, websites and chat rooms as Tor onion services.\n"
	"Always in the foreground; onionsharectl tells it what to do.\n"
	"\n"
	"  --config FILE        read this file (and FILE.d/*.conf) instead of the usual one\n"
	"  --state-dir DIR      database, keys, Tor's data\n"
	"  --runtime-dir DIR    sockets\n"
	"  --local-only         no Tor: services listen on 127.0.0.1\n"
	"  --tor MODE           auto, managed (start a tor) or system (use a running one)\n"
	"  --torrc FILE         lines appended to a managed tor's configuration\n"
	"  --log-level LEVEL    error, warning, notice, info or debug\n"
	"  --check-config       check the configuration and exit\n"
	"  --dump-config        print every setting with its default and exit\n"
	"  --help               this text\n"
	"  --version            the version\n"
	"\n"
	"Signals: TERM, INT stop (running transfers may finish; a second one cuts them), HUP\n"
	"reads the configuration again. Exit status: sysexits.h.\n";

/* The command line, kept for reloads: it wins over the files. */
static struct {
	const char *config_file;
	const char *overrides[8][3]; /* section, key, value */
	size_t n_overrides;
	bool local_only, check, dump;
} args;

enum { OPT_CONFIG = 256, OPT_LOCAL_ONLY, OPT_CHECK, OPT_DUMP, OPT_HELP, OPT_VERSION, OPT_KEY };

static const struct option long_options[] = {
	{"config", required_argument, NULL, OPT_CONFIG},
	{"local-only", no_argument, NULL, OPT_LOCAL_ONLY},
	{"check-config", no_argument, NULL, OPT_CHECK},
	{"dump-config", no_argument, NULL, OPT_DUMP},
	{"help", no_argument, NULL, OPT_HELP},
	{"version", no_argument, NULL, OPT_VERSION},
	/* Settings of the configuration, in the order of the table below. */
	{"state-dir", required_argument, NULL, OPT_KEY},
	{"runtime-dir", required_argument, NULL, OPT_KEY + 1},
	{"tor", required_argument, NULL, OPT_KEY + 2},
	{"torrc", required_argument, NULL, OPT_KEY + 3},
	{"log-level", required_argument, NULL, OPT_KEY + 4},
	{NULL, 0, NULL, 0},
};

static const char *const option_keys[][2] = {
	{"daemon", "state-dir"}, {"daemon", "runtime-dir"}, {"tor", "mode"},
	{"tor", "torrc"},        {"daemon", "log-level"},
};

/* 0: go on; else the exit status + 1. */
static int parse_arguments(int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (c) {
		case OPT_CONFIG:
			args.config_file = optarg;
			break;
		case OPT_LOCAL_ONLY:
			args.local_only = true;
			break;
		case OPT_CHECK:
			args.check = true;
			break;
		case OPT_DUMP:
			args.dump = true;
			break;
		case OPT_HELP:
			fputs(help_text, stdout);
			return EX_OK + 1;
		case OPT_VERSION:
			puts("onionshared " ONIONSHARED_VERSION);
			return EX_OK + 1;
		case '?':
			fputs("Try 'onionshared --help'.\n", stderr);
			return EX_USAGE + 1;
		default: {
			size_t i = (size_t)(c - OPT_KEY);

			if (args.n_overrides == ARRAY_SIZE(args.overrides)) {
				fputs("onionshared: too many options\n", stderr);
				return EX_USAGE + 1;
			}
			args.overrides[args.n_overrides][0] = option_keys[i][0];
			args.overrides[args.n_overrides][1] = option_keys[i][1];
			args.overrides[args.n_overrides++][2] = optarg;
		}
		}
	}
	if (optind < argc) {
		fprintf(stderr,
			"onionshared: unexpected argument '%s'\nTry 'onionshared --help'.\n",
			argv[optind]);
		return EX_USAGE + 1;
	}
	return 0;
}

static int read_files(struct config *ret, struct error *err)
{
	struct paths_env env = paths_env_get();
	_cleanup_free_ char *usual = NULL;

	if (args.config_file) {
		return config_load(ret, args.config_file, true, err);
	}
	return paths_config_file(&env, &usual, NULL) == 0 ? config_load(ret, usual, false, err) : 0;
}

static int set_overrides(struct config *ret, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < args.n_overrides && r == 0; i++) {
		r = config_set(ret, args.overrides[i][0], args.overrides[i][1],
			       args.overrides[i][2], err);
		if (r < 0) {
			error_context(err, "--%s",
				      strcmp(args.overrides[i][1], "mode") == 0
					      ? "tor"
					      : args.overrides[i][1]);
		}
	}
	return r;
}

static int read_config(struct config *ret, struct error *err)
{
	int r = read_files(ret, err);

	return r < 0 ? r : set_overrides(ret, err);
}

static int refuse(const struct error *err, int exit_status)
{
	fprintf(stderr, "onionshared: %s\n", error_text(err));
	return exit_status;
}

static int run(struct config *config, struct error *err)
{
	struct paths_env env = paths_env_get();
	_cleanup_free_ char *state = config->state_dir ? xstrdup(config->state_dir) : NULL;
	_cleanup_free_ char *runtime = config->runtime_dir ? xstrdup(config->runtime_dir) : NULL;

	if ((!state && paths_state_dir(&env, &state, err) < 0) ||
	    (!runtime && paths_runtime_dir(&env, &runtime, err) < 0)) {
		return refuse(err, EX_USAGE);
	}
	if (paths_check_runtime(runtime, err) < 0) {
		return refuse(err, EX_CONFIG);
	}
	struct app_config app = {
		.config = config,
		.reload = read_config,
		.local_only = args.local_only,
		.is_system = paths_is_system(&env),
		.state_dir = state,
		.runtime_dir = runtime,
	};

	log_set_level(config->log_level);
	if (sd_stderr_is_journal()) {
		log_set_sink(sd_journal_sink);
	}
	return app_run(&app);
}

/* Keys are in this process's memory: no core dump, no debugger of another process. */
static void protect_memory(void)
{
	struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__ /* the leak check is such a debugger */
	prctl(PR_SET_DUMPABLE, 0);
#endif
}

int main(int argc, char **argv)
{
	struct config config;
	struct error err = ERROR_INIT;
	int status = parse_arguments(argc, argv);

	if (status) {
		return status - 1;
	}
	if (args.dump) {
		struct buf text = BUF_INIT;

		config_dump(&text);
		fputs(text.p, stdout);
		buf_done(&text);
		return EX_OK;
	}
	wipe_json_memory();
	umask(077);
	setenv("TZ", "UTC", 1); /* no library shall write the machine's zone into anything */
	protect_memory();
	config_init(&config);
	if (read_files(&config, &err) < 0) {
		status = refuse(&err, EX_CONFIG);
	} else if (set_overrides(&config, &err) < 0) {
		status = refuse(&err, EX_USAGE);
	} else if (args.check) {
		puts("the configuration is good");
	} else {
		status = run(&config, &err);
	}
	error_done(&err);
	config_done(&config);
	return status;
}
