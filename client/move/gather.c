/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/move/gather.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/move/exported.h"
#include "client/move/foreign.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"

#define NAME_MAX_LEN  64
#define CLIENTS_DIR   "authorized_clients"
#define TABS_DIR      "persistent"
#define SETTINGS_FILE "onionshare.json"
#define CLIENTS_MAX   256 /* keys of a service */

static int cannot_read(struct error *err, const char *path, int code)
{
	return error_set_kind(err, code, ERROR_PATH_NOT_READABLE, path, strerror(code),
			      "cannot read %s: %s", path, strerror(code));
}

/* --- files --- */

/* All of a plain file; text holds secrets, so it has its room before it is read. */
static int read_file(const char *path, struct buf *text, struct error *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		return cannot_read(err, path, errno);
	}
	if (!S_ISREG(st.st_mode) || st.st_size > EXPORTED_MAX) {
		return error_set(err, EINVAL, "%s is not a file of at most 16 MiB", path);
	}
	size_t room = (size_t)st.st_size + 1;

	buf_reserve(text, room);
	for (;;) {
		ssize_t n = read(fd, text->p + text->len, room - text->len);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return cannot_read(err, path, errno);
		}
		text->len += (size_t)n;
		if (n == 0) {
			return 0;
		}
		if (text->len == room) {
			return error_set(err, EFBIG, "%s grows while it is read", path);
		}
	}
}

static char *below(const char *dir, const char *name)
{
	size_t n = strlen(dir);

	return xasprintf("%s%s%s", dir, n && dir[n - 1] == '/' ? "" : "/", name);
}

static bool exists(const char *dir, const char *name)
{
	_cleanup_free_ char *path = below(dir, name);
	struct stat st;

	return lstat(path, &st) == 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
	char **all;
	size_t n;
};

static void names_done(struct names *names)
{
	for (size_t i = 0; i < names->n; i++) {
		free(names->all[i]);
	}
	free(names->all);
}

/* Those in the directory that end so, hidden ones left out, in order. */
static int list(const char *path, const char *suffix, size_t max, struct names *ret,
		struct error *err)
{
	DIR *dir = opendir(path);
	const struct dirent *e;
	int r = 0;

	if (!dir) {
		return cannot_read(err, path, errno);
	}
	while (r == 0 && (e = readdir(dir))) {
		if (e->d_name[0] == '.' || !span_ends(span_str(e->d_name), span_str(suffix))) {
			continue;
		}
		if (ret->n == max) {
			r = error_set(err, E2BIG, "%s: more than %zu files *%s", path, max, suffix);
		} else {
			ret->all = xreallocarray(ret->all, ret->n + 1, sizeof(*ret->all));
			ret->all[ret->n++] = xstrdup(e->d_name);
		}
	}
	closedir(dir);
	if (ret->n) {
		qsort(ret->all, ret->n, sizeof(*ret->all), by_name);
	}
	return r;
}

/* --- what comes of them --- */

/* The last part of the path without suffix, as a service may be called. */
static char *name_of(const char *path, const char *suffix)
{
	size_t end = strlen(path), begin, n;

	while (end > 1 && path[end - 1] == '/') {
		end--;
	}
	begin = end;
	while (begin && path[begin - 1] != '/') {
		begin--;
	}
	struct span last = span_of(path + begin, end - begin);

	if (span_ends(last, span_str(suffix)) && last.n > strlen(suffix)) {
		last.n -= strlen(suffix);
	}
	n = last.n < NAME_MAX_LEN ? last.n : NAME_MAX_LEN;
	char *name = xmemdup(last.p, n);

	for (size_t i = 0; i < n; i++) {
		bool first = i == 0;
		unsigned char c = (unsigned char)name[i];

		if (!(isascii(c) && isalnum(c)) && (first || !strchr("._-", c))) {
			name[i] = '_';
		}
	}
	return name;
}

/* params are taken. */
static int add(struct gathered *g, const char *from, const char *suffix, json_t *params, bool start,
	       struct error *err)
{
	if (g->n == GATHER_MAX) {
		json_decref(params);
		return error_set(err, E2BIG, "more than %u services at once", GATHER_MAX);
	}
	_cleanup_free_ char *name = name_of(from, suffix);

	json_object_set_new(params, "name", json_string(name));
	g->all = xreallocarray(g->all, g->n + 1, sizeof(*g->all));
	g->all[g->n++] = (struct moving){.from = xstrdup(from), .params = params, .start = start};
	return 0;
}

void gathered_done(struct gathered *g)
{
	for (size_t i = 0; i < g->n; i++) {
		free(g->all[i].from);
		json_decref(g->all[i].params);
	}
	free(g->all);
	settings_done(&g->settings);
	free(g->settings_from);
}

/* The name stays what it was there. */
static int add_exported(struct gathered *g, const char *path, struct span text, struct error *err)
{
	json_t *services = NULL, *service;
	size_t i;
	int r = exported_parse(text, &services, err);

	json_array_foreach (services, i, service) {
		json_t *params = json_deep_copy(service);
		bool start = json_is_true(json_object_get(params, "start"));
		_cleanup_free_ char *name =
			xstrdup(json_string_value(json_object_get(params, "name")));

		json_object_del(params, "start");
		r = r < 0 ? r : add(g, path, "", json_incref(params), start, err);
		if (r == 0) {
			json_object_set_new(params, "name", json_string(name));
		}
		json_decref(params);
	}
	json_decref(services);
	return r;
}

static int open_sealed(const struct gathered *g, struct span sealed, struct buf *plain,
		       struct error *err)
{
	struct buf passphrase = BUF_INIT;
	struct identities ids = {0};
	int r = g->identity_file     ? identities_read(g->identity_file, &ids, err)
		: g->passphrase_file ? passphrase_read(g->passphrase_file, &passphrase, err)
				     : passphrase_ask(false, &passphrase, err);

	if (r == 0) {
		r = exported_open(sealed, buf_span(&passphrase), g->identity_file ? &ids : NULL,
				  plain, err);
	}
	identities_wipe(&ids);
	buf_wipe(&passphrase);
	return r;
}

static int add_tab(struct gathered *g, const char *path, struct span text, struct error *err)
{
	json_t *params = NULL;
	bool start = false;
	int r = foreign_onionshare(text, &params, &start, err);

	return r < 0 ? r : add(g, path, ".json", params, start, err);
}

static int take_settings(struct gathered *g, const char *path, struct span text, struct error *err)
{
	if (g->settings_from) {
		return error_set(err, EEXIST, "these are settings, and so is %s", g->settings_from);
	}
	int r = settings_parse(text, &g->settings, err);

	if (r == 0) {
		g->settings_from = xstrdup(path);
	}
	return r;
}

static int gather_file(struct gathered *g, const char *path, struct error *err)
{
	struct buf text = BUF_INIT, plain = BUF_INIT;
	int r = read_file(path, &text, err);

	if (r < 0) {
		buf_wipe(&text);
		return r;
	}
	if (exported_is_sealed(buf_span(&text))) {
		r = open_sealed(g, buf_span(&text), &plain, err);
		r = r < 0 ? r : add_exported(g, path, buf_span(&plain), err);
	} else if (exported_is(buf_span(&text))) {
		r = add_exported(g, path, buf_span(&text), err);
	} else if (settings_is(buf_span(&text))) {
		r = take_settings(g, path, buf_span(&text), err);
	} else {
		r = add_tab(g, path, buf_span(&text), err);
	}
	if (r < 0) {
		error_context(err, "%s", path);
	}
	buf_wipe(&text);
	buf_wipe(&plain);
	return r;
}

static int gather_tabs(struct gathered *g, const char *path, struct error *err)
{
	struct names names = {0};
	int r = list(path, ".json", GATHER_MAX, &names, err);

	if (r == 0 && names.n == 0) {
		r = error_set(err, ENOENT,
			      "%s holds neither saved tabs of OnionShare's (*.json) nor the key of "
			      "an onion service",
			      path);
	}
	for (size_t i = 0; i < names.n && r == 0; i++) {
		_cleanup_free_ char *file = below(path, names.all[i]);

		r = gather_file(g, file, err);
	}
	names_done(&names);
	return r;
}

typedef int parse_fn(struct span bytes, json_t *params, struct error *err);

static int parse_file(const char *dir, const char *name, parse_fn *parse, json_t *params,
		      struct error *err)
{
	_cleanup_free_ char *path = below(dir, name);
	struct buf bytes = BUF_INIT;
	int r = read_file(path, &bytes, err);

	if (r == 0) {
		r = parse(buf_span(&bytes), params, err);
		if (r < 0) {
			error_context(err, "%s", path);
		}
	}
	buf_wipe(&bytes);
	return r;
}

static int parse_client(const char *dir, const char *file, json_t *params, struct error *err)
{
	_cleanup_free_ char *path = below(dir, file);
	_cleanup_free_ char *label = xmemdup(file, strlen(file) - strlen(".auth"));
	struct buf text = BUF_INIT;
	int r = read_file(path, &text, err);

	if (r == 0) {
		r = foreign_tor_client(buf_span(&text), label, params, err);
		if (r < 0) {
			error_context(err, "%s", path);
		}
	}
	buf_wipe(&text);
	return r;
}

/* Whoever is named there may come in; nobody is: everybody may. */
static int parse_clients(const char *path, json_t *params, struct error *err)
{
	_cleanup_free_ char *dir = below(path, CLIENTS_DIR);
	struct names names = {0};
	int r = exists(path, CLIENTS_DIR) ? list(dir, ".auth", CLIENTS_MAX, &names, err) : 0;

	for (size_t i = 0; i < names.n && r == 0; i++) {
		r = parse_client(dir, names.all[i], params, err);
	}
	if (names.n == 0) {
		json_object_set_new(json_object_get(params, "options"), "public", json_true());
	}
	names_done(&names);
	return r;
}

static int check_has_mode(const struct gathered *g, const char *path, struct error *err)
{
	if (g->mode) {
		return 0;
	}
	return error_set_kind(
		err, EINVAL, ERROR_INVALID_VALUE, "as", "is needed",
		"%s is an onion service of tor's, which does not say what is served "
		"there: add --as share, receive, website or chat (and --content PATH)",
		path);
}

static int gather_tor(struct gathered *g, const char *path, struct error *err)
{
	int r = check_has_mode(g, path, err);
	json_t *params;

	if (r < 0) {
		return r;
	}
	params = json_pack("{s:s, s:{}, s:[]}", "mode", g->mode, "options", "keys");
	r = parse_file(path, "hs_ed25519_secret_key", foreign_tor_key, params, err);
	if (r == 0 && exists(path, "hostname")) {
		r = parse_file(path, "hostname", foreign_tor_hostname, params, err);
	}
	if (r == 0) {
		r = parse_clients(path, params, err);
	}
	if (r < 0) {
		json_decref(params);
		return r;
	}
	return add(g, path, "", params, false, err);
}

/* ~/.config/onionshare: settings and, if there are any, saved tabs. */
static int gather_onionshare(struct gathered *g, const char *path, struct error *err)
{
	_cleanup_free_ char *file = below(path, SETTINGS_FILE), *tabs = below(path, TABS_DIR);
	int r = gather_file(g, file, err);

	return r == 0 && exists(path, TABS_DIR) ? gather_tabs(g, tabs, err) : r;
}

static int gather_dir(struct gathered *g, const char *path, struct error *err)
{
	if (exists(path, SETTINGS_FILE)) {
		return gather_onionshare(g, path, err);
	}
	if (exists(path, "hs_ed25519_secret_key")) {
		return gather_tor(g, path, err);
	}
	if (exists(path, "private_key")) {
		return error_set(
			err, ENOTSUP,
			"%s has a version 2 address, which the Tor network has not carried "
			"since 2021 and nothing can bring back: make a new service",
			path);
	}
	return gather_tabs(g, path, err);
}

int gather(struct gathered *g, const char *path, struct error *err)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		return cannot_read(err, path, errno);
	}
	return S_ISDIR(st.st_mode) ? gather_dir(g, path, err) : gather_file(g, path, err);
}
