/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tor/transports.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/alloc.h"

/* The PATH of a service is short. */
static const char *const more_dirs[] = {"/usr/bin", "/usr/local/bin", "/usr/sbin"};

/* --- programs --- */

/* A path is told to tor without quotes, and tor cuts the line at spaces. */
static bool is_plain(const char *path)
{
	for (const char *p = path; *p; p++) {
		if (*p <= ' ' || *p > '~' || strchr("\"#\\", *p)) {
			return false;
		}
	}
	return path[0] == '/';
}

/* Owned, or NULL. */
static char *program_in(struct span dir, const char *name)
{
	char *path = xasprintf(SPAN_FMT "/%s", SPAN_ARG(dir), name);
	struct stat st;

	if (is_plain(path) && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    access(path, X_OK) == 0) {
		return path;
	}
	free(path);
	return NULL;
}

static char *find_program(const char *name)
{
	struct span dirs = span_str(getenv("PATH"));
	char *path = NULL;

	while (!path && dirs.n) {
		path = program_in(span_cut(&dirs, ':'), name);
	}
	for (size_t i = 0; !path && i < ARRAY_SIZE(more_dirs); i++) {
		path = program_in(span_str(more_dirs[i]), name);
	}
	return path;
}

char *transport_find(const struct bridge_transport *t)
{
	char *path = NULL;

	for (size_t i = 0; !path && t->programs[i]; i++) {
		path = find_program(t->programs[i]);
	}
	return path;
}

int transports_check(const struct bridges *b, struct error *err)
{
	for (size_t i = 0; i < n_bridge_transports; i++) {
		const struct bridge_transport *t = &bridge_transports[i];

		if (!bridges_use(b, t)) {
			continue;
		}
		_cleanup_free_ char *path = transport_find(t);

		if (!path) {
			return error_set_kind(err, ENOENT, ERROR_TOR_UNAVAILABLE, t->name, NULL,
					      "bridges of the transport %s need the program %s or "
					      "%s, which is not installed here",
					      t->name, t->programs[0], t->programs[1]);
		}
	}
	return 0;
}

/* --- lines --- */

/* Calls line for each option and its value. */
static void each_line(const struct bridges *b,
		      void (*line)(struct buf *ret, const char *key, const char *value),
		      struct buf *ret)
{
	line(ret, "UseBridges", "1");
	for (size_t i = 0; i < n_bridge_transports; i++) {
		const struct bridge_transport *t = &bridge_transports[i];
		_cleanup_free_ char *path = bridges_use(b, t) ? transport_find(t) : NULL;

		if (path) {
			_cleanup_free_ char *value = xasprintf("%s exec %s", t->name, path);

			line(ret, "ClientTransportPlugin", value);
		}
	}
	for (size_t i = 0; i < b->n; i++) {
		line(ret, "Bridge", b->lines[i]);
	}
}

static void torrc_line(struct buf *ret, const char *key, const char *value)
{
	buf_printf(ret, "%s %s\n", key, value);
}

/* Neither a bridge line nor a program's path has anything in it that a quoted string escapes. */
static void resetconf_word(struct buf *ret, const char *key, const char *value)
{
	buf_printf(ret, " %s=\"%s\"", key, value);
}

void transports_torrc(const struct bridges *b, struct buf *ret)
{
	if (b->n) {
		each_line(b, torrc_line, ret);
	}
}

void transports_resetconf(const struct bridges *b, struct buf *ret)
{
	buf_add_str(ret, "RESETCONF");
	if (!b->n) {
		buf_add_str(ret, " UseBridges Bridge ClientTransportPlugin");
		return;
	}
	each_line(b, resetconf_word, ret);
}

bool transports_in_torrc(const char *torrc)
{
	static const char *const keys[] = {"UseBridges", "Bridge", "ClientTransportPlugin"};
	struct span rest = span_str(torrc);

	while (rest.n) {
		struct span line = span_trim(span_cut(&rest, '\n'));
		size_t n = 0;

		while (n < line.n && line.p[n] != ' ' && line.p[n] != '\t') {
			n++;
		}
		for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
			if (span_eq_ci(span_of(line.p, n), span_str(keys[i]))) {
				return true;
			}
		}
	}
	return false;
}
