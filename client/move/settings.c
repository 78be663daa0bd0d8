/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/move/settings.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "proto/wire.h"

#define PATH_LEN_MAX 107 /* of a socket */
#define HOST_LEN_MAX 64

static void note(struct settings *s, const char *text)
{
	s->notes[s->n_notes++] = text;
}

static const char *text_of(const json_t *all, const char *name, const char *fallback)
{
	const char *text = json_string_value(json_object_get(all, name));

	return text && *text ? text : fallback;
}

bool settings_is(struct span text)
{
	json_t *all = wire_parse_json(text, NULL);
	bool is = json_is_string(json_object_get(all, "connection_type")) &&
		  !json_object_get(all, "persistent");

	json_decref(all);
	return is;
}

/* --- the way to tor --- */

static int add_port(const json_t *all, struct settings *s, struct error *err)
{
	const char *host = text_of(all, "control_port_address", "127.0.0.1");
	const json_t *value = json_object_get(all, "control_port_port");
	json_int_t port = json_is_integer(value) ? json_integer_value(value) : 9051;
	size_t n = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-");

	if (host[n] || n > HOST_LEN_MAX || port < 1 || port > 65535) {
		return error_set(err, EINVAL,
				 "control_port_address and control_port_port are no control port");
	}
	buf_printf(&s->conf, "mode = system\ncontrol = %s:%d\n", host, (int)port);
	return 0;
}

static int add_socket(const json_t *all, struct settings *s, struct error *err)
{
	const char *path = text_of(all, "socket_file_path", "/run/tor/control");

	for (const char *p = path; *p; p++) {
		if (!isascii((unsigned char)*p) || iscntrl((unsigned char)*p)) {
			path = "";
			break;
		}
	}
	if (path[0] != '/' || strlen(path) > PATH_LEN_MAX) {
		return error_set(err, EINVAL, "socket_file_path is no path of a socket");
	}
	buf_printf(&s->conf, "mode = system\ncontrol = unix:%s\n", path);
	return 0;
}

static void add_password(const json_t *all, struct settings *s)
{
	if (strcmp(text_of(all, "auth_type", ""), "password") == 0) {
		buf_add_str(&s->conf, "password-file = /etc/onionshared/tor-password\n");
		note(s, "The password of tor's control port (auth_password) goes into that file, "
			"which only the daemon's user should be able to read.");
	}
}

static int add_connection(const json_t *all, const char *type, struct settings *s,
			  struct error *err)
{
	int r = 0;

	buf_add_str(&s->conf, "[tor]\n");
	if (strcmp(type, "bundled") == 0) {
		buf_add_str(&s->conf, "mode = managed\n");
	} else if (strcmp(type, "automatic") == 0) {
		buf_add_str(&s->conf, "mode = auto\n");
		note(s, "OnionShare used the tor of Tor Browser; the daemon takes the one of the "
			"system, or runs its own.");
	} else if (strcmp(type, "control_port") == 0) {
		r = add_port(all, s, err);
		add_password(all, s);
	} else if (strcmp(type, "socket_file") == 0) {
		r = add_socket(all, s, err);
		add_password(all, s);
	} else {
		r = error_set(err, EINVAL,
			      "connection_type is none of bundled, automatic, control_port, "
			      "socket_file");
	}
	return r;
}

/* --- bridges --- */

/* What is no bridge OnionShare leaves out, too. True: something was. */
static bool add_lines(struct settings *s, struct span text)
{
	bool dropped = false;

	while (text.n) {
		struct span line = span_trim(span_cut(&text, '\n'));
		struct error err = ERROR_INIT;

		if (line.n && bridges_add(&s->bridges, line, &err) < 0) {
			dropped = true;
		}
		error_done(&err);
	}
	return dropped;
}

static bool add_builtin(const json_t *all, struct settings *s)
{
	const char *transport = text_of(all, "bridges_builtin_pt", "obfs4");
	const json_t *lines = json_object_get(json_object_get(all, "bridges_builtin"), transport);
	bool dropped = false;
	size_t i;
	json_t *line;

	json_array_foreach (lines, i, line) {
		dropped |= add_lines(s, span_of(json_string_value(line), json_string_length(line)));
	}
	return dropped;
}

/* Only a tor of its own enters by them there. */
static void add_bridges(const json_t *all, const char *connection, struct settings *s)
{
	const char *type = text_of(all, "bridges_type", "built-in");
	bool dropped;

	if (!json_is_true(json_object_get(all, "bridges_enabled")) ||
	    strcmp(connection, "bundled") != 0) {
		return;
	}
	if (strcmp(type, "built-in") == 0) {
		dropped = add_builtin(all, s);
	} else {
		const char *name = strcmp(type, "moat") == 0 ? "bridges_moat" : "bridges_custom";

		dropped = add_lines(s, span_str(text_of(all, name, "")));
	}
	if (dropped) {
		note(s, "Lines that are no bridges for this daemon were left out.");
	}
	if (s->bridges.n == 0) {
		note(s, "It used bridges, but none are in its file: set some before anything is "
			"started (\"tor bridges set\"), or Tor is entered directly.");
	}
}

int settings_parse(struct span text, struct settings *ret, struct error *err)
{
	json_t *all = wire_parse_json(text, err);
	const char *type = text_of(all, "connection_type", "bundled");
	int r = all ? add_connection(all, type, ret, err) : -EINVAL;

	if (r == 0) {
		add_bridges(all, type, ret);
	}
	json_decref(all);
	return r;
}

void settings_done(struct settings *s)
{
	buf_done(&s->conf);
	bridges_done(&s->bridges);
	*s = SETTINGS_INIT;
}
