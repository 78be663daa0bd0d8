/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The configuration: one table of keys (config.c) that parsing, checking,
 * --dump-config and the command line's overrides share. Here are the values
 * only; what they do stands with who uses them.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "proto/base/bridge.h"
#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "proto/base/span.h"
#include "tor/tor.h"

#define CONFIG_FILE_MAX (1024u * 1024)
#define CONFIG_DROPINS  256u /* files in onionshared.conf.d */

enum config_confine { CONFIG_CONFINE_AUTO, CONFIG_CONFINE_YES, CONFIG_CONFINE_NO };
enum config_listen { CONFIG_LISTEN_AUTO, CONFIG_LISTEN_UNIX, CONFIG_LISTEN_TCP };

/* Strings are owned, NULL where nothing was set and there is no fixed default. */
struct config {
	/* [daemon] */
	char *state_dir;   /* NULL: paths.h says */
	char *runtime_dir; /* likewise */
	enum log_level log_level;
	uint64_t drain_seconds;
	char *control_group;
	enum config_confine confine;
	char *writable_dir;
	/* [tor] */
	enum tor_mode tor_mode;
	char *tor_control;
	char *tor_password_file;
	char *tor_binary;
	char *tor_torrc;
	char *tor_socks;
	struct bridges tor_bridges;
	enum config_listen tor_listen;
	/* [limits] */
	uint64_t buffers; /* bytes */
	uint64_t head_seconds;
	uint64_t idle_seconds;
	uint64_t body_seconds;
	uint64_t write_seconds;
	uint64_t min_rate; /* bytes a second */
	/* [history] */
	uint64_t history_max_rows;
	uint64_t history_max_days;
	/*
	 * [receive]: options of a receive service by name, checked; what is not set is not in it.
	 * NULL: nothing is.
	 */
	json_t *receive;
};

/* All defaults. */
void config_init(struct config *c);
void config_done(struct config *c);

/*
 * Reads file, then file.d/ *.conf in the order of their names; what comes later
 * wins. A file that does not exist is an error only if it was asked for
 * (required). Errors name file and line; c is then half changed: throw it away.
 */
int config_load(struct config *c, const char *file, bool required, struct error *err);
/* One file's text, nothing else touched. name is for errors. */
int config_parse(struct config *c, const char *name, struct span text, struct error *err);
/* An option of the command line. A relative path counts from the current directory. */
int config_set(struct config *c, const char *section, const char *key, const char *value,
	       struct error *err);

/* Every key with its default and what it means: a file that changes nothing. */
void config_dump(struct buf *b);
