/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tor bridges list, set, none: by which bridges the daemon's own tor goes. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cmd.h"
#include "client/out.h"
#include "client/service.h"
#include "proto/base/alloc.h"
#include "proto/base/bridge.h"

#define TEXT_MAX ((size_t)BRIDGES_MAX * 2 * BRIDGE_LINE_MAX)

static const struct opt set_opts[] = {
	{"file", 'f', "FILE", "the lines are in this file; - is standard input"},
	{0},
};

/* --- the lines --- */

static int read_text(int fd, const char *name, struct buf *ret, struct error *err)
{
	for (;;) {
		int r = rpc_wait_readable(fd, err);

		if (r < 0) {
			return r;
		}
		ssize_t n = read(fd, buf_reserve(ret, 4096), 4096);

		if (n == 0) {
			return 0;
		}
		if (n < 0) {
			return error_set(err, errno, "cannot read %s: %s", name, strerror(errno));
		}
		ret->len += (size_t)n;
		if (ret->len > TEXT_MAX) {
			return error_set_kind(err, EFBIG, ERROR_INVALID_VALUE, "file", "too long",
					      "%s is too long for a list of bridges", name);
		}
	}
}

static int read_file(const char *path, struct bridges *ret, struct error *err)
{
	bool is_stdin = strcmp(path, "-") == 0;
	const char *name = is_stdin ? "standard input" : path;
	_cleanup_close_ int fd = is_stdin ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	struct buf text = BUF_INIT;
	int r;

	if (fd < 0) {
		return error_set(err, errno, "cannot read %s: %s", name, strerror(errno));
	}
	if (is_stdin && isatty(STDIN_FILENO)) {
		out_note("Bridge lines, one a line; Ctrl-D ends them:");
	}
	r = read_text(fd, name, &text, err);
	if (r == 0) {
		r = bridges_add_text(ret, buf_span(&text), err);
		if (r < 0) {
			error_context(err, "%s", name);
		}
	}
	buf_wipe(&text);
	return r;
}

/* Each word is a line; none, and no file: they come by standard input. */
static int read_bridges(struct ctl *ctl, struct bridges *ret, struct error *err)
{
	const char *file = opt_text(&ctl->args, "file");
	int r = file || ctl->args.n_words == 0 ? read_file(file ? file : "-", ret, err) : 0;

	for (size_t i = 0; i < ctl->args.n_words && r == 0; i++) {
		r = bridges_add(ret, span_str(ctl->args.words[i]), err);
	}
	if (r == 0 && ret->n == 0) {
		r = error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "bridges", "none",
				   "there is no bridge line in it; \"tor bridges none\" goes "
				   "without");
	}
	return r;
}

/* --- the commands --- */

static void print_bridges(struct ctl *ctl, const json_t *reply)
{
	const json_t *b = json_object_get(reply, "bridges");
	const json_t *lines = json_object_get(b, "bridges"), *line;
	size_t i;

	(void)ctl;
	json_array_foreach (lines, i, line) {
		out_line("%s", out_esc(json_string_value(line)));
	}
	if (json_array_size(lines) == 0) {
		out_note("No bridges were set: Tor is entered directly, or as its own "
			 "configuration says.");
	} else if (strcmp(service_text(b, "source"), "configuration") == 0) {
		out_note("They stand in the daemon's configuration ([tor] bridge).");
	}
}

static int run_list(struct ctl *ctl)
{
	return ctl_call_and_print(ctl, "BridgesList", NULL, "bridges", print_bridges);
}

static void print_set(struct ctl *ctl, const json_t *reply)
{
	size_t n = json_array_size(json_object_get(json_object_get(reply, "bridges"), "bridges"));

	(void)ctl;
	if (n == 0) {
		out_note("No bridges are used from now on.");
	} else {
		out_note("%zu bridge%s from now on; \"tor status\" tells whether Tor gets through.",
			 n, n == 1 ? "" : "s");
	}
}

static int set(struct ctl *ctl, const struct bridges *bridges)
{
	json_t *lines = json_array();

	for (size_t i = 0; i < bridges->n; i++) {
		json_array_append_new(lines, json_string(bridges->lines[i]));
	}
	return ctl_call_and_print(ctl, "BridgesSet", json_pack("{s:o}", "bridges", lines),
				  "bridges", print_set);
}

static int run_set(struct ctl *ctl)
{
	struct bridges bridges = BRIDGES_INIT;
	struct error err = ERROR_INIT;
	int status = read_bridges(ctl, &bridges, &err) < 0 ? ctl_fail(&err) : set(ctl, &bridges);

	bridges_done(&bridges);
	return status;
}

static int run_none(struct ctl *ctl)
{
	const struct bridges none = BRIDGES_INIT;

	return set(ctl, &none);
}

const struct command cmd_bridges_list = {
	.name = "tor bridges list",
	.synopsis = "",
	.summary = "the bridges by which the daemon enters Tor",
	.help = "Who knows a bridge's line can have it blocked: show it to nobody.",
	.run = run_list,
};

const struct command cmd_bridges_set = {
	.name = "tor bridges set",
	.synopsis = "[LINE...]",
	.summary = "enter Tor by these bridges, where it is blocked",
	.help = "For networks that block Tor, or must not see it used. LINE as you got it from\n"
		"https://bridges.torproject.org, in quotes; better in a file or by standard\n"
		"input, for others on this machine can see what stands on a command line.\n"
		"\n"
		"obfs4, snowflake, meek_lite, webtunnel and plain bridges are known. The\n"
		"transports need a program: apt install obfs4proxy (obfs4, meek_lite) or\n"
		"snowflake-client.\n"
		"\n"
		"The new ones replace those before, and stay over restarts. They are for a tor\n"
		"of the daemon's own; another's has them in its own configuration.\n"
		"\n"
		"The package's tor, onionshared-tor.service, may start programs when a file in\n"
		"/etc/onionshared/torrc.d/ says 'Sandbox 0', and snowflake needs a drop-in "
		"besides:\n"
		"/usr/share/doc/onionshared/examples/snowflake.conf tells where.",
	.opts = set_opts,
	.max_words = BRIDGES_MAX,
	.run = run_set,
};

const struct command cmd_bridges_none = {
	.name = "tor bridges none",
	.synopsis = "",
	.summary = "enter Tor directly again",
	.help = "Those that were set are forgotten. Everybody on the way can see that Tor is used.",
	.run = run_none,
};
