/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/rpc.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/base/utf8.h"
#include "proto/errors.h"

#define COLUMNS_LEAST 20
#define COLUMNS_USUAL 80
#define CLEAR_LINE    "\r\033[K"

static struct {
	bool json, quiet, stream;
	bool color_out, color_err, live_tty;
	bool live_shown;
	unsigned live_milestone;
	bool buffered;
	char **escaped; /* strings that live until the next line is printed */
	size_t n_escaped, cap_escaped;
} out;

/* Keys pass through it: wiped at the end. */
static char stdout_buffer[BUFSIZ];

static bool wants_color(int fd)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	return isatty(fd) && !(no_color && no_color[0] != '\0') && term &&
	       strcmp(term, "dumb") != 0;
}

void out_init(bool json, bool quiet)
{
	const char *term = getenv("TERM");

	if (!out.buffered) {
		setvbuf(stdout, stdout_buffer, _IOFBF, sizeof(stdout_buffer));
		out.buffered = true;
	}
	out.json = json;
	out.quiet = quiet;
	out.color_out = !json && wants_color(STDOUT_FILENO);
	out.color_err = wants_color(STDERR_FILENO);
	out.live_tty = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

static void forget_escaped(void)
{
	for (size_t i = 0; i < out.n_escaped; i++) {
		free(out.escaped[i]);
	}
	out.n_escaped = 0;
}

void out_done(void)
{
	out_live_end();
	forget_escaped();
	free(out.escaped);
	out.escaped = NULL;
	out.cap_escaped = 0;
	fflush(stdout);
	explicit_bzero(stdout_buffer, sizeof(stdout_buffer));
}

bool out_is_json(void)
{
	return out.json;
}

bool out_can_ask(void)
{
	return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

/* --- escaping and width --- */

static const char *keep(char *s)
{
	if (out.n_escaped == out.cap_escaped) {
		out.cap_escaped = 2 * out.cap_escaped + 16;
		out.escaped = xreallocarray(out.escaped, out.cap_escaped, sizeof(char *));
	}
	out.escaped[out.n_escaped++] = s;
	return s;
}

const char *out_esc(const char *s)
{
	struct buf b = BUF_INIT;

	utf8_escape(&b, span_str(s));
	return keep(buf_take(&b));
}

/* East Asian wide characters and emoji, roughly: enough to keep lines in their place. */
static size_t char_width(uint32_t c)
{
	bool wide = (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) ||
		    (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff) ||
		    (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
		    (c >= 0xffe0 && c <= 0xffe6) || (c >= 0x1f300 && c <= 0x1faff) ||
		    (c >= 0x20000 && c <= 0x3fffd);
	bool combining = (c >= 0x300 && c <= 0x36f) || (c >= 0x1ab0 && c <= 0x1aff) ||
			 (c >= 0x20d0 && c <= 0x20ff) || (c >= 0xfe00 && c <= 0xfe0f);

	return combining ? 0 : wide ? 2 : 1;
}

/* Bytes of s that fit into columns; *ret_used: how many they take. */
static size_t fitting(struct span s, size_t columns, size_t *ret_used)
{
	size_t at = 0;

	*ret_used = 0;
	while (at < s.n) {
		uint32_t c = 0;
		size_t n = utf8_decode(span_from(s, at), &c);
		size_t width = n > 0 ? char_width(c) : 1;

		if (*ret_used + width > columns) {
			break;
		}
		*ret_used += width;
		at += n > 0 ? n : 1;
	}
	return at;
}

size_t out_width(const char *s)
{
	size_t used = 0;

	fitting(span_str(s), SIZE_MAX, &used);
	return used;
}

const char *out_esc_cut(const char *s, size_t columns)
{
	const char *all = out_esc(s);
	struct buf b = BUF_INIT;
	size_t used, n;

	if (out_width(all) <= columns) {
		return all;
	}
	n = fitting(span_str(all), columns > 3 ? columns - 3 : 0, &used);
	buf_add(&b, all, n);
	buf_add_str(&b, "...");
	return keep(buf_take(&b));
}

/* --- styles --- */

static const char *sequence(enum out_style style)
{
	switch (style) {
	case STYLE_BOLD:
		return "\033[1m";
	case STYLE_DIM:
		return "\033[2m";
	case STYLE_GOOD:
		return "\033[32m";
	case STYLE_WARN:
		return "\033[33m";
	case STYLE_BAD:
		return "\033[31m";
	}
	return "";
}

const char *out_style(enum out_style style)
{
	return out.color_out ? sequence(style) : "";
}

const char *out_plain(void)
{
	return out.color_out ? "\033[0m" : "";
}

const char *out_note_style(enum out_style style)
{
	return out.color_err ? sequence(style) : "";
}

const char *out_note_plain(void)
{
	return out.color_err ? "\033[0m" : "";
}

/* --- lines --- */

/* stdout and stderr are often one terminal: the live line gives way to both. */
static void clear_live(void)
{
	if (out.live_shown) {
		fputs(CLEAR_LINE, stderr);
		fflush(stderr);
		out.live_shown = false;
	}
}

void out_line(const char *fmt, ...)
{
	va_list ap;

	clear_live();
	va_start(ap, fmt);
	vfprintf(stdout, fmt, ap);
	va_end(ap);
	fputc('\n', stdout);
	fflush(stdout);
	forget_escaped();
}

void out_note(const char *fmt, ...)
{
	va_list ap;

	if (!out.quiet) {
		clear_live();
		va_start(ap, fmt);
		vfprintf(stderr, fmt, ap);
		va_end(ap);
		fputc('\n', stderr);
	}
	forget_escaped();
}

void out_error(const char *fmt, ...)
{
	struct buf text = BUF_INIT, safe = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	utf8_escape(&safe, buf_span(&text));
	clear_live();
	fprintf(stderr, "onionsharectl: %s\n", safe.p ? safe.p : "");
	buf_done(&text);
	buf_done(&safe);
	forget_escaped();
}

void out_ask(const char *fmt, ...)
{
	va_list ap;

	clear_live();
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fflush(stderr);
	forget_escaped();
}

void out_raw(const char *text)
{
	clear_live();
	fputs(text, stdout);
	fflush(stdout);
	forget_escaped();
}

/* --- JSON --- */

static int add_text(const char *p, size_t n, void *b)
{
	buf_add(b, p, n);
	return 0;
}

void out_stream(bool stream)
{
	out.stream = stream;
}

/* Keys of services pass through here: the text is wiped. ASCII only, for a terminal may read it. */
void out_json(const json_t *value)
{
	struct buf text = BUF_INIT;

	json_dump_callback(value, add_text, &text,
			   JSON_ENCODE_ANY | JSON_ENSURE_ASCII | (out.stream ? 0 : JSON_INDENT(2)));
	clear_live();
	printf("%s\n", text.p ? text.p : "");
	fflush(stdout);
	buf_wipe(&text);
}

/* Without a daemon there is no error of the daemon's. A path in the text may not be UTF-8. */
static json_t *error_json(const struct error *err)
{
	struct buf text = BUF_INIT;
	json_t *value;

	utf8_lossy(&text, span_str(error_text(err)));
	if (err->code == RPC_NO_DAEMON) {
		value = json_pack("{s:s, s:{}}", "error", "org.onionshared.Client.NoDaemon",
				  "parameters");
	} else {
		value = errors_to_wire(err);
		json_object_del(json_object_get(value, "parameters"), "message");
	}
	json_object_set_new(value, "message", json_stringn(text.p, text.len));
	buf_done(&text);
	return value;
}

int out_failure(const struct error *err)
{
	if (out.json) {
		json_t *value = error_json(err);

		out_json(value);
		json_decref(value);
	} else {
		out_error("%s", error_text(err));
	}
	return errors_exit_status(err->kind);
}

/* --- the live line --- */

static size_t columns_of(int fd)
{
	struct winsize ws = {0};

	if (ioctl(fd, TIOCGWINSZ, &ws) < 0 || ws.ws_col < COLUMNS_LEAST) {
		return COLUMNS_USUAL;
	}
	return ws.ws_col;
}

size_t out_columns(void)
{
	return isatty(STDOUT_FILENO) ? columns_of(STDOUT_FILENO) : 0;
}

/* The last one stays free: a cursor behind it would make some terminals scroll. */
size_t out_live_columns(void)
{
	return out.live_tty ? columns_of(STDERR_FILENO) - 1 : 0;
}

void out_live(unsigned milestone, const char *text)
{
	if (out.quiet) {
		return;
	}
	if (out.live_tty) {
		fprintf(stderr, CLEAR_LINE "%s", text);
		fflush(stderr);
		out.live_shown = true;
	} else if (milestone != 0 && milestone != out.live_milestone) {
		fprintf(stderr, "%s\n", text);
		out.live_milestone = milestone;
	}
	forget_escaped();
}

void out_live_end(void)
{
	clear_live();
	out.live_milestone = 0;
}

bool out_flush(void)
{
	bool ok = fflush(stdout) == 0 && !ferror(stdout);

	return ok && fflush(stderr) == 0;
}
