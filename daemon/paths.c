/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/alloc.h"
#include "proto/base/span.h"

struct paths_env paths_env_get(void)
{
	return (struct paths_env){
		.uid = geteuid(),
		.state_directory = getenv("STATE_DIRECTORY"),
		.xdg_state_home = getenv("XDG_STATE_HOME"),
		.xdg_runtime_dir = getenv("XDG_RUNTIME_DIR"),
		.xdg_config_home = getenv("XDG_CONFIG_HOME"),
		.home = getenv("HOME"),
	};
}

/* The specification: "If an implementation encounters a relative path in any of these
 * variables it should consider the path invalid and ignore it." */
static bool usable(const char *path)
{
	return path && path[0] == '/';
}

bool paths_is_system(const struct paths_env *env)
{
	return env->uid == 0 || (usable(env->state_directory) && !usable(env->xdg_runtime_dir));
}

/* VARIABLE/onionshared TAIL, or HOME/FALLBACK/onionshared TAIL. */
static int user_path(const struct paths_env *env, const char *xdg, const char *fallback,
		     const char *tail, const char *option, char **ret, struct error *err)
{
	if (usable(xdg)) {
		*ret = xasprintf("%s/onionshared%s", xdg, tail);
		return 0;
	}
	if (fallback && usable(env->home)) {
		*ret = xasprintf("%s/%s/onionshared%s", env->home, fallback, tail);
		return 0;
	}
	return error_set(err, ENOENT, "%s is not set: say where with %s",
			 fallback ? "HOME" : "XDG_RUNTIME_DIR", option);
}

int paths_state_dir(const struct paths_env *env, char **ret, struct error *err)
{
	if (usable(env->state_directory)) {
		struct span list = span_str(env->state_directory);
		struct span first = span_cut(&list, ':');

		*ret = xmemdup(first.p, first.n);
		return 0;
	}
	if (paths_is_system(env)) {
		*ret = xstrdup("/var/lib/onionshared");
		return 0;
	}
	return user_path(env, env->xdg_state_home, ".local/state", "", "--state-dir", ret, err);
}

int paths_runtime_dir(const struct paths_env *env, char **ret, struct error *err)
{
	if (paths_is_system(env)) {
		*ret = xstrdup("/run/onionshared");
		return 0;
	}
	return user_path(env, env->xdg_runtime_dir, NULL, "", "--runtime-dir", ret, err);
}

int paths_config_file(const struct paths_env *env, char **ret, struct error *err)
{
	if (paths_is_system(env)) {
		*ret = xstrdup("/etc/onionshared/onionshared.conf");
		return 0;
	}
	return user_path(env, env->xdg_config_home, ".config", "/onionshared.conf", "--config", ret,
			 err);
}

int paths_check_runtime(const char *dir, struct error *err)
{
	if (dir[0] != '/') {
		return error_set(err, EINVAL, "%s is not an absolute path", dir);
	}
	if (strlen(dir) > PATHS_RUNTIME_MAX) {
		return error_set(err, ENAMETOOLONG,
				 "%s has more than %u bytes: the sockets in it would have names "
				 "that are too long for the system",
				 dir, PATHS_RUNTIME_MAX);
	}
	for (const unsigned char *p = (const unsigned char *)dir; *p; p++) {
		if (*p <= ' ' || *p >= 0x7f || strchr("\"'\\#;", *p)) {
			return error_set(err, EINVAL,
					 "%s has a character that cannot stand in a socket's path "
					 "for tor (plain ASCII without spaces, quotes, backslash, "
					 "# and ;)",
					 dir);
		}
	}
	return 0;
}
