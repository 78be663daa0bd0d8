/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Log lines for the admin: to stderr, or to whatever sink main installs (the
 * journal). Levels are syslog's. Rules: library folders stay at debug; nothing
 * of a visitor (path, agent, file name, message) and no key or onion address is
 * written at info or above. Service names may be.
 */
#pragma once

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

/* What machines look for in the journal, by MESSAGE_ID (sd/sd.c, systemd/onionshared.catalog). */
enum log_event {
	LOG_EVENT_NONE,
	LOG_EVENT_READY,
	LOG_EVENT_STOPPING,
	LOG_EVENT_RELOADED,
	LOG_EVENT_RELOAD_REFUSED,
	LOG_EVENT_SERVICE_RUNNING,
	LOG_EVENT_SERVICE_STOPPED,
	LOG_EVENT_SERVICE_OFFLINE,
	LOG_EVENT_SERVICE_FAILED,
	LOG_EVENT_TOR_CONNECTED,
	LOG_EVENT_TOR_PROBLEM,
	LOG_EVENTS
};

/* Borrowed, for the sink's call. */
struct log_line {
	enum log_level level;
	enum log_event event;
	const char *service; /* whose event; NULL: nobody's */
	const char *text;    /* one line without its end, safe for a terminal */
};

typedef void log_sink_fn(const struct log_line *line);

void log_set_level(enum log_level level);
void log_set_sink(log_sink_fn *sink); /* NULL: stderr */
bool log_enabled(enum log_level level);
/* "error", "warning", "notice", "info", "debug": 0 or -EINVAL. */
int log_level_parse(const char *name, enum log_level *ret);

/* Control characters in the result are escaped. May be called from any thread. */
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for an event; service may be NULL. */
void log_tell(enum log_level level, enum log_event event, const char *service, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)  log_write(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                           \
	do {                                                     \
		if (log_enabled(LOG_LEVEL_DEBUG)) {              \
			log_write(LOG_LEVEL_DEBUG, __VA_ARGS__); \
		}                                                \
	} while (0)
