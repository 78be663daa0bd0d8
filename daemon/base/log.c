/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/base/utf8.h"

static const struct {
	const char *name;
	enum log_level level;
} levels[] = {
	{"error", LOG_LEVEL_ERROR}, {"warning", LOG_LEVEL_WARNING}, {"notice", LOG_LEVEL_NOTICE},
	{"info", LOG_LEVEL_INFO},   {"debug", LOG_LEVEL_DEBUG},
};

static void to_stderr(const struct log_line *line);

static enum log_level max_level = LOG_LEVEL_INFO;
static log_sink_fn *current_sink = to_stderr;

static void to_stderr(const struct log_line *l)
{
	const char *name = "";

	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (levels[i].level == l->level) {
			name = levels[i].name;
		}
	}
	/* One write a line, so that lines of several threads do not mix. */
	_cleanup_free_ char *line = xasprintf("onionshared: %s: %s\n", name, l->text);

	if (write(STDERR_FILENO, line, strlen(line)) < 0) {
		/* The log is gone; there is nobody to tell. */
	}
}

void log_set_level(enum log_level level)
{
	max_level = level;
}

void log_set_sink(log_sink_fn *sink)
{
	current_sink = sink ? sink : to_stderr;
}

bool log_enabled(enum log_level level)
{
	return level <= max_level;
}

int log_level_parse(const char *name, enum log_level *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (strcmp(levels[i].name, name) == 0) {
			*ret = levels[i].level;
			return 0;
		}
	}
	return -EINVAL;
}

__attribute__((format(printf, 2, 0))) static void write_line(struct log_line *line, const char *fmt,
							     va_list ap)
{
	struct buf raw = BUF_INIT, safe = BUF_INIT;

	buf_vprintf(&raw, fmt, ap);
	utf8_escape(&safe, buf_span(&raw));
	line->text = safe.p ? safe.p : "";
	current_sink(line);
	buf_done(&safe);
	buf_done(&raw);
}

void log_write(enum log_level level, const char *fmt, ...)
{
	struct log_line line = {.level = level};
	va_list ap;

	if (log_enabled(level)) {
		va_start(ap, fmt);
		write_line(&line, fmt, ap);
		va_end(ap);
	}
}

void log_tell(enum log_level level, enum log_event event, const char *service, const char *fmt, ...)
{
	struct log_line line = {.level = level, .event = event, .service = service};
	va_list ap;

	if (log_enabled(level)) {
		va_start(ap, fmt);
		write_line(&line, fmt, ap);
		va_end(ap);
	}
}
