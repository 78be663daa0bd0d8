/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsutil.h"
#include "ini.h"
#include "paths.h"
#include "proto/base/alloc.h"
#include "proto/options.h"
#include "proto/units.h"

enum value_type {
	TYPE_PATH,    /* char *: absolute */
	TYPE_RUNTIME, /* char *: an absolute path with room for sockets in it */
	TYPE_PROGRAM, /* char *: absolute, or a name to be looked up in PATH */
	TYPE_CONTROL, /* char *: unix:/PATH, /PATH, HOST:PORT or PORT */
	TYPE_NAME,    /* char *: of a group */
	TYPE_CHOICE,  /* an enum: one of choices, whose places are its values */
	TYPE_LEVEL,   /* enum log_level */
	TYPE_NUMBER,  /* uint64_t */
	TYPE_SIZE,    /* uint64_t: bytes, with K, M, G or T */
	TYPE_BRIDGES, /* struct bridges: each line is one more */
	TYPE_OPTION,  /* json_t *: an option of that mode; a list's lines are one more each */
};

struct config_key {
	const char *section, *name;
	enum value_type type;
	size_t offset;
	uint64_t min, max;          /* of numbers and sizes */
	const char *const *choices; /* NULL at the end */
	const char *fallback;       /* as it would stand in a file; NULL: nothing is set */
	const char *comment;        /* lines of at most 78 characters */
};

static const char *const tor_modes[] = {"auto", "managed", "system", NULL};
static const char *const confines[] = {"auto", "yes", "no", NULL};
static const char *const listens[] = {"auto", "unix", "tcp", NULL};

#define AT(member) offsetof(struct config, member)

static const struct config_key keys[] = {
	{"daemon", "state-dir", TYPE_PATH, AT(state_dir), .fallback = NULL,
	 .comment = "Database, keys, received files. Not set: $STATE_DIRECTORY, else\n"
		    "/var/lib/onionshared (system) or $XDG_STATE_HOME/onionshared (user)."},
	{"daemon", "runtime-dir", TYPE_RUNTIME, AT(runtime_dir), .fallback = NULL,
	 .comment = "Sockets. Not set: /run/onionshared (system) or $XDG_RUNTIME_DIR/onionshared\n"
		    "(user). At most 80 bytes of plain ASCII."},
	{"daemon", "log-level", TYPE_LEVEL, AT(log_level), .fallback = "info",
	 .comment = "error, warning, notice, info or debug. Debug may name visitors' requests."},
	{"daemon", "drain-seconds", TYPE_NUMBER, AT(drain_seconds), .max = 86400, .fallback = "60",
	 .comment = "How long running transfers may go on when a service or the daemon stops."},
	{"daemon", "control-group", TYPE_NAME, AT(control_group), .fallback = "onionshare",
	 .comment = "Members of this group may control the daemon (so may root and its own user)."},
	{"daemon", "confine", TYPE_CHOICE, AT(confine), .choices = confines, .fallback = "auto",
	 .comment = "yes: the kernel (Landlock) lets the daemon write only below the directories\n"
		    "here and the data directories that its services have when it starts. auto:\n"
		    "yes for the machine's daemon as a unit of systemd, else no."},
	{"daemon", "writable-dir", TYPE_PATH, AT(writable_dir), .fallback = NULL,
	 .comment = "Below this directory too, for data directories of services to come."},

	{"tor", "mode", TYPE_CHOICE, AT(tor_mode), .choices = tor_modes, .fallback = "auto",
	 .comment = "managed: a tor of our own, started and stopped with the daemon. system: one\n"
		    "that runs already. auto: the system's if its control port lets us in."},
	{"tor", "control", TYPE_CONTROL, AT(tor_control), .fallback = NULL,
	 .comment = "Control port of a system tor: unix:/PATH, /PATH, HOST:PORT or PORT. Not set:\n"
		    "/run/tor/control, then $TOR_CONTROL_PORT, then 127.0.0.1:9051."},
	{"tor", "password-file", TYPE_PATH, AT(tor_password_file), .fallback = NULL,
	 .comment = "File with the control port's password. Not set: its cookie is used."},
	{"tor", "binary", TYPE_PROGRAM, AT(tor_binary), .fallback = "tor",
	 .comment = "The program of a managed tor: a path, or a name that is looked up in PATH."},
	{"tor", "torrc", TYPE_PATH, AT(tor_torrc), .fallback = NULL,
	 .comment = "File of lines that are appended to a managed tor's configuration."},
	{"tor", "socks", TYPE_CONTROL, AT(tor_socks), .fallback = NULL,
	 .comment = "SOCKS port of a system tor (webhooks go by it), written as control is. Not\n"
		    "set: as tor tells it."},
	{"tor", "bridge", TYPE_BRIDGES, AT(tor_bridges), .fallback = NULL,
	 .comment = "A bridge line for the daemon's own tor; as often as there are bridges. Then\n"
		    "onionsharectl tor bridges set is refused."},
	{"tor", "listen", TYPE_CHOICE, AT(tor_listen), .choices = listens, .fallback = "auto",
	 .comment = "Where services wait for tor: unix (sockets that others cannot reach), tcp\n"
		    "(ports of 127.0.0.1), or auto: unix, unless AppArmor keeps that tor from\n"
		    "them."},

	{"limits", "buffers", TYPE_SIZE, AT(buffers), .min = 1 << 20, .max = UINT64_C(64) << 30,
	 .fallback = "64M", .comment = "Memory for transfers, of all services together."},
	{"limits", "head-seconds", TYPE_NUMBER, AT(head_seconds), .min = 1, .max = 3600,
	 .fallback = "30", .comment = "A visitor's request has to be there whole in this time."},
	{"limits", "idle-seconds", TYPE_NUMBER, AT(idle_seconds), .min = 1, .max = 86400,
	 .fallback = "120",
	 .comment = "A connection between two requests is closed after this time."},
	{"limits", "body-seconds", TYPE_NUMBER, AT(body_seconds), .min = 1, .max = 86400,
	 .fallback = "120", .comment = "An upload that brings nothing for this time is cut."},
	{"limits", "write-seconds", TYPE_NUMBER, AT(write_seconds), .min = 1, .max = 86400,
	 .fallback = "300", .comment = "A download that takes nothing for this time is cut."},
	{"limits", "min-rate", TYPE_NUMBER, AT(min_rate), .max = 1 << 30, .fallback = "100",
	 .comment = "Transfers that are slower (bytes a second, over a minute) are cut. 0: none."},

	{"history", "max-rows", TYPE_NUMBER, AT(history_max_rows), .max = 10000000,
	 .fallback = "10000",
	 .comment = "What has happened is kept up to so many entries. 0: nothing is kept."},
	{"history", "max-days", TYPE_NUMBER, AT(history_max_days), .max = 36500, .fallback = "90",
	 .comment = "What is older than so many days is dropped too. 0: days do not count."},

	{"receive", "encrypt-to", TYPE_OPTION, AT(receive), .fallback = NULL,
	 .comment = "Submissions reach the disk only encrypted to this age recipient; as often as\n"
		    "there are recipients."},
	{"receive", "max-submission", TYPE_OPTION, AT(receive), .fallback = NULL,
	 .comment = "Largest submission that is accepted. Not set: no limit."},
	{"receive", "quota", TYPE_OPTION, AT(receive), .fallback = NULL,
	 .comment = "Largest sum of all that is in a service's data directory. Not set: no limit."},
	{"receive", "min-free", TYPE_OPTION, AT(receive), .fallback = "1G",
	 .comment = "Free space that is left on the disk."},
	{"receive", "keep-days", TYPE_OPTION, AT(receive), .fallback = NULL,
	 .comment = "Submissions that are older than so many days are deleted. Not set: kept."},
	{"receive", "disable-text", TYPE_OPTION, AT(receive), .fallback = "no",
	 .comment = "yes: visitors cannot send messages."},
	{"receive", "disable-files", TYPE_OPTION, AT(receive), .fallback = "no",
	 .comment = "yes: visitors cannot send files."},
	{"receive", "webhook-url", TYPE_OPTION, AT(receive), .fallback = NULL,
	 .comment = "Where each submission is reported to."},
	{"receive", "webhook-format", TYPE_OPTION, AT(receive), .fallback = "text",
	 .comment = "What a report looks like: text or json."},
};

/* In the order of --dump-config. */
static const struct {
	const char *name, *comment; /* of all its keys; or NULL */
} sections[] = {
	{"daemon", NULL},
	{"tor", NULL},
	{"limits", NULL},
	{"history", NULL},
	{"receive",
	 "Options of receive services that are made from now on, where the command says\n"
	 "nothing else. A service keeps what it was made with."},
};

static void *value_at(struct config *c, const struct config_key *key)
{
	return (char *)c + key->offset;
}

/* --- values: each checks the text and stores it --- */

static int set_string(struct config *c, const struct config_key *key, struct span value)
{
	char **at = value_at(c, key);

	free(*at);
	*at = xmemdup(value.p, value.n);
	return 0;
}

static int set_path(struct config *c, const struct config_key *key, struct span value,
		    struct error *err)
{
	if (value.p[0] != '/') {
		return error_set(err, EINVAL, "%s wants an absolute path, not \"" SPAN_FMT "\"",
				 key->name, SPAN_ARG(value));
	}
	if (value.n >= PATH_MAX) {
		return error_set(err, EINVAL, "%s: the path is too long", key->name);
	}
	return set_string(c, key, value);
}

static int set_runtime(struct config *c, const struct config_key *key, struct span value,
		       struct error *err)
{
	_cleanup_free_ char *dir = xmemdup(value.p, value.n);

	if (paths_check_runtime(dir, err) < 0) {
		error_context(err, "%s", key->name);
		return -EINVAL;
	}
	return set_string(c, key, value);
}

/* Characters of a group's or program's name, as useradd(8) has them and some more. */
static bool is_name(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '_' || c == '.' || (c == '-' && i > 0))) {
			return false;
		}
	}
	return s.n > 0 && s.n <= 64;
}

static int set_name(struct config *c, const struct config_key *key, struct span value,
		    struct error *err)
{
	if (!is_name(value)) {
		return error_set(err, EINVAL, "%s: \"" SPAN_FMT "\" is not a name", key->name,
				 SPAN_ARG(value));
	}
	return set_string(c, key, value);
}

static bool is_control_address(struct span s)
{
	uint64_t port;

	if (span_starts(s, SPAN("unix:"))) {
		s = span_from(s, 5);
		return s.n > 1 && s.p[0] == '/';
	}
	if (s.p[0] == '/') {
		return s.n > 1;
	}
	for (size_t i = s.n; i-- > 0;) {
		if (s.p[i] == ':') {
			if (i == 0 || memchr(s.p, ' ', i)) {
				return false;
			}
			s = span_from(s, i + 1);
			break;
		}
	}
	return span_u64(s, 65535, &port) == 0 && port > 0;
}

static int set_control(struct config *c, const struct config_key *key, struct span value,
		       struct error *err)
{
	if (value.n > 255 || !is_control_address(value)) {
		return error_set(err, EINVAL,
				 "%s wants unix:/PATH, /PATH, HOST:PORT or PORT, not \"" SPAN_FMT
				 "\"",
				 key->name, SPAN_ARG(value));
	}
	return set_string(c, key, value);
}

static int set_choice(struct config *c, const struct config_key *key, struct span value,
		      struct error *err)
{
	_cleanup_(buf_done) struct buf list = BUF_INIT;

	for (int i = 0; key->choices[i]; i++) {
		if (span_eq(value, span_str(key->choices[i]))) {
			/* an enum without negative members: the ABI's unsigned int */
			memcpy(value_at(c, key), &i, sizeof(i));
			return 0;
		}
		buf_printf(&list, "%s%s", i ? ", " : "", key->choices[i]);
	}
	return error_set(err, EINVAL, "%s is one of %s, not \"" SPAN_FMT "\"", key->name, list.p,
			 SPAN_ARG(value));
}

static int set_level(struct config *c, const struct config_key *key, struct span value,
		     struct error *err)
{
	_cleanup_free_ char *name = xmemdup(value.p, value.n);

	if (log_level_parse(name, value_at(c, key)) < 0) {
		return error_set(err, EINVAL,
				 "%s is one of error, warning, notice, info, debug, not \"%s\"",
				 key->name, name);
	}
	return 0;
}

static int set_number(struct config *c, const struct config_key *key, struct span value,
		      struct error *err)
{
	uint64_t n = 0;
	int r = key->type == TYPE_SIZE ? units_parse_size(value, &n)
				       : span_u64(value, UINT64_MAX, &n);

	if (r == -EINVAL) {
		return error_set(err, EINVAL, "%s wants a %s, not \"" SPAN_FMT "\"", key->name,
				 key->type == TYPE_SIZE ? "size (digits and K, M, G, T or nothing)"
							: "number",
				 SPAN_ARG(value));
	}
	if (r < 0 || n < key->min || n > key->max) {
		return error_set(err, EINVAL, "%s is from %llu to %llu, not " SPAN_FMT, key->name,
				 (unsigned long long)key->min, (unsigned long long)key->max,
				 SPAN_ARG(value));
	}
	memcpy(value_at(c, key), &n, sizeof(n));
	return 0;
}

/* The line itself is for nobody's log. */
static int add_bridge(struct config *c, const struct config_key *key, struct span value,
		      struct error *err)
{
	int r = bridges_add(value_at(c, key), value, err);

	if (r < 0) {
		error_context(err, "%s", key->name);
	}
	return r;
}

static const struct option *option_of(const struct config_key *key)
{
	bool negated;

	return option_find_spelling(key->section, span_str(key->name), &negated);
}

/* Both are refused at the line that makes them contradict each other. */
static int check_options(const struct config_key *key, const json_t *options, struct error *err)
{
	json_t *all = options_complete(key->section, options);
	int r = options_validate(key->section, options, err);

	if (r == 0) {
		r = options_check_together(key->section, all, err);
	}
	json_decref(all);
	return r;
}

static int set_option(struct config *c, const struct config_key *key, struct span text,
		      struct error *err)
{
	const struct option *o = option_of(key);
	_cleanup_free_ char *copy = xmemdup(text.p, text.n);
	json_t **options = value_at(c, key), *value, *before;
	int r = option_parse_text(o, copy, &value, err);

	if (r < 0) {
		return r;
	}
	*options = *options ? *options : json_object();
	before = json_object_get(*options, o->name);
	if (json_is_array(value) && json_is_array(before)) {
		json_array_extend(before, value);
		json_decref(value);
	} else {
		json_object_set_new(*options, o->name, value);
	}
	return check_options(key, *options, err);
}

static int set_value(struct config *c, const struct config_key *key, struct span value,
		     struct error *err);

/* Nothing behind the =: as if the key had never been set, systemd's way. */
static int set_default(struct config *c, const struct config_key *key, struct error *err)
{
	if (key->type == TYPE_OPTION) {
		json_object_del(*(json_t **)value_at(c, key), option_of(key)->name);
	} else if (key->fallback) {
		return set_value(c, key, span_str(key->fallback), err);
	} else if (key->type == TYPE_BRIDGES) {
		bridges_done(value_at(c, key));
	} else {
		free_charp(value_at(c, key));
		*(char **)value_at(c, key) = NULL;
	}
	return 0;
}

static int set_value(struct config *c, const struct config_key *key, struct span value,
		     struct error *err)
{
	if (value.n == 0) {
		return set_default(c, key, err);
	}
	switch (key->type) {
	case TYPE_PATH:
		return set_path(c, key, value, err);
	case TYPE_RUNTIME:
		return set_runtime(c, key, value, err);
	case TYPE_PROGRAM:
		return memchr(value.p, '/', value.n) ? set_path(c, key, value, err)
						     : set_name(c, key, value, err);
	case TYPE_CONTROL:
		return set_control(c, key, value, err);
	case TYPE_NAME:
		return set_name(c, key, value, err);
	case TYPE_CHOICE:
		return set_choice(c, key, value, err);
	case TYPE_LEVEL:
		return set_level(c, key, value, err);
	case TYPE_NUMBER:
	case TYPE_SIZE:
		return set_number(c, key, value, err);
	case TYPE_BRIDGES:
		return add_bridge(c, key, value, err);
	case TYPE_OPTION:
		return set_option(c, key, value, err);
	}
	return -EINVAL;
}

static bool is_string(const struct config_key *key)
{
	switch (key->type) {
	case TYPE_PATH:
	case TYPE_RUNTIME:
	case TYPE_PROGRAM:
	case TYPE_CONTROL:
	case TYPE_NAME:
		return true;
	case TYPE_CHOICE:
	case TYPE_LEVEL:
	case TYPE_NUMBER:
	case TYPE_SIZE:
	case TYPE_BRIDGES:
	case TYPE_OPTION:
		return false;
	}
	return false;
}

void config_init(struct config *c)
{
	*c = (struct config){0};
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		set_value(c, &keys[i], SPAN_NONE, NULL);
	}
}

void config_done(struct config *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (is_string(&keys[i])) {
			free_charp(value_at(c, &keys[i]));
		}
	}
	bridges_done(&c->tor_bridges);
	json_decref(c->receive);
	*c = (struct config){0};
}

/* --- files --- */

static const struct config_key *find_key(struct span section, struct span name)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (span_eq(section, span_str(keys[i].section)) &&
		    span_eq(name, span_str(keys[i].name))) {
			return &keys[i];
		}
	}
	return NULL;
}

static int check_section(struct span section, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		if (span_eq(section, span_str(sections[i].name))) {
			return 0;
		}
	}
	return error_set(err, EINVAL, "there is no section [" SPAN_FMT "]", SPAN_ARG(section));
}

static bool is_list(const struct config_key *key)
{
	return key->type == TYPE_BRIDGES ||
	       (key->type == TYPE_OPTION && option_of(key)->type == OPTION_RECIPIENTS);
}

struct file_state {
	struct config *config;
	bool seen[ARRAY_SIZE(keys)];
};

static int on_line(void *ud, struct span section, struct span name, struct span value,
		   struct error *err)
{
	struct file_state *file = ud;

	if (!name.p) {
		return check_section(section, err);
	}
	const struct config_key *key = find_key(section, name);

	if (!key) {
		return error_set(err, EINVAL, "[" SPAN_FMT "] has no key \"" SPAN_FMT "\"",
				 SPAN_ARG(section), SPAN_ARG(name));
	}
	if (file->seen[key - keys] && !is_list(key)) {
		return error_set(err, EINVAL, "%s stands here a second time", key->name);
	}
	file->seen[key - keys] = true;
	return set_value(file->config, key, value, err);
}

int config_parse(struct config *c, const char *name, struct span text, struct error *err)
{
	struct file_state file = {.config = c};

	return ini_parse(name, text, on_line, &file, err);
}

int config_set(struct config *c, const char *section, const char *key_name, const char *value,
	       struct error *err)
{
	const struct config_key *key = find_key(span_str(section), span_str(key_name));
	_cleanup_free_ char *absolute = NULL;

	if (!key) {
		return error_set(err, EINVAL, "[%s] has no key \"%s\"", section, key_name);
	}
	if ((key->type == TYPE_PATH || key->type == TYPE_RUNTIME) && value[0] != '/' && value[0]) {
		_cleanup_free_ char *here = getcwd(NULL, 0);

		if (!here) {
			return error_set(err, errno, "%s: the current directory is gone",
					 key->name);
		}
		absolute = xasprintf("%s/%s", strcmp(here, "/") == 0 ? "" : here, value);
		value = absolute;
	}
	return set_value(c, key, span_str(value), err);
}

/* 1: there is no such file. */
static int load_file(struct config *c, const char *path, struct error *err)
{
	/* Configurations may well be links; nobody but their owner can put them there. */
	_cleanup_free_ char *real = realpath(path, NULL);
	_cleanup_free_ char *text = NULL;

	if (!real && errno == ENOENT) {
		return 1;
	}
	ssize_t n = real ? fs_read_file(real, CONFIG_FILE_MAX, &text) : -errno;

	if (n < 0) {
		return error_set(err, (int)-n, "cannot read %s: %s", path,
				 n == -EINVAL  ? "not a regular file"
				 : n == -EFBIG ? "more than 1 MiB"
					       : strerror((int)-n));
	}
	return config_parse(c, path, span_of(text, (size_t)n), err);
}

static int is_dropin(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && span_ends(span_str(entry->d_name), SPAN(".conf"));
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int load_dropins(struct config *c, const char *dir, struct error *err)
{
	struct dirent **entries;
	int n = scandir(dir, &entries, is_dropin, by_bytes);
	int r = 0;

	if (n < 0) {
		return errno == ENOENT
			       ? 0
			       : error_set(err, errno, "cannot read %s: %s", dir, strerror(errno));
	}
	if (n > (int)CONFIG_DROPINS) {
		r = error_set(err, E2BIG, "%s has more than %u files", dir, CONFIG_DROPINS);
	}
	for (int i = 0; i < n; i++) {
		if (r == 0) {
			_cleanup_free_ char *path = xasprintf("%s/%s", dir, entries[i]->d_name);

			r = load_file(c, path, err);
			if (r > 0) {
				r = error_set(err, ENOENT, "cannot read %s: a link to nothing",
					      path);
			}
		}
		free(entries[i]);
	}
	free(entries);
	return r;
}

int config_load(struct config *c, const char *file, bool required, struct error *err)
{
	_cleanup_free_ char *dir = xasprintf("%s.d", file);
	int r = load_file(c, file, err);

	if (r > 0 && required) {
		return error_set(err, ENOENT, "cannot read %s: there is no such file", file);
	}
	return r < 0 ? r : load_dropins(c, dir, err);
}

/* --- the file that changes nothing --- */

static void dump_comment(struct buf *b, const char *comment)
{
	struct span rest = span_str(comment);

	while (rest.p) {
		struct span line = span_cut(&rest, '\n');

		buf_printf(b, "# " SPAN_FMT "\n", SPAN_ARG(line));
	}
}

void config_dump(struct buf *b)
{
	buf_add_str(
		b, "# The configuration of onionshared: every key with its default. A line counts\n"
		   "# when its # is taken away. Comments stand on lines of their own.\n");
	for (size_t s = 0; s < ARRAY_SIZE(sections); s++) {
		buf_printf(b, "\n[%s]\n", sections[s].name);
		if (sections[s].comment) {
			dump_comment(b, sections[s].comment);
			buf_add_char(b, '\n');
		}
		for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
			if (strcmp(keys[i].section, sections[s].name) != 0) {
				continue;
			}
			dump_comment(b, keys[i].comment);
			buf_printf(b, "#%s =%s%s\n", keys[i].name, keys[i].fallback ? " " : "",
				   keys[i].fallback ? keys[i].fallback : "");
		}
	}
}
