/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where things are when nobody says otherwise: the system's places for root
 * and for the system unit, a user's own (XDG Base Directory Specification 0.8)
 * for everybody else. Pure functions of who asks and of the environment.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "proto/base/error.h"

/* What counts of the environment; members may be NULL. */
struct paths_env {
	uid_t uid;
	const char *state_directory; /* STATE_DIRECTORY: systemd.exec(5); the first of a list */
	const char *xdg_state_home;
	const char *xdg_runtime_dir;
	const char *xdg_config_home;
	const char *home;
};

/* The process's own. Pointers into environ. */
struct paths_env paths_env_get(void);

/* Root, or a unit of the system's manager: it has a state directory but no user session. */
bool paths_is_system(const struct paths_env *env);

/* Each returns 0 and an owned string, or -ENOENT with err saying which option to give. */
int paths_state_dir(const struct paths_env *env, char **ret, struct error *err);
int paths_runtime_dir(const struct paths_env *env, char **ret, struct error *err);
int paths_config_file(const struct paths_env *env, char **ret, struct error *err);

/*
 * Sockets live in the runtime directory, in paths of at most 107 bytes
 * (unix(7)), and tor reads some of them from its configuration, unquoted.
 */
#define PATHS_RUNTIME_MAX 80u
int paths_check_runtime(const char *dir, struct error *err);
