/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a person or a script reads: results on stdout, everything else on
 * stderr; styles only on a terminal; one live line that gives way to other
 * output. Text from elsewhere (names, reasons, visitors' file names) goes
 * through out_esc before it is printed.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "proto/base/error.h"

enum out_style { STYLE_BOLD, STYLE_DIM, STYLE_GOOD, STYLE_WARN, STYLE_BAD };

/* Looks at the terminals and at NO_COLOR (no-color.org). Once, before anything else here. */
void out_init(bool json, bool quiet);
/* Frees what is left; the live line is taken away. */
void out_done(void);
bool out_is_json(void);
/* Is somebody there to be asked? stdin and stderr are terminals. */
bool out_can_ask(void);

/*
 * s with whatever could move a cursor or deceive the eye made visible. Lives
 * until the next out_line, out_note or out_error has printed.
 */
const char *out_esc(const char *s);
/* The same, at most columns wide, with "..." for what is cut off. */
const char *out_esc_cut(const char *s, size_t columns);
/* Columns of a string that has been escaped. */
size_t out_width(const char *s);
/* Control sequence for stdout, or for stderr; "" where there are none. */
const char *out_style(enum out_style style);
const char *out_plain(void);
const char *out_note_style(enum out_style style);
const char *out_note_plain(void);

/* A line on stdout. Not with --json. */
void out_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A line on stderr, unless --quiet. */
void out_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "onionsharectl: ..." on stderr; the text may be from elsewhere and is escaped as a whole. */
void out_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A question on stderr without an end of line. */
void out_ask(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Control sequences and what is between them, on stdout at once. text is escaped already. */
void out_raw(const char *text);

/* From now on each JSON value has one line of its own: it is a stream of them. */
void out_stream(bool stream);
/* One JSON value on stdout; borrowed. */
void out_json(const json_t *value);
/* With --json the error object on stdout, else out_error. Returns the exit status. */
int out_failure(const struct error *err);

/*
 * The live line on stderr. On a terminal text replaces what stood there; else it
 * is printed as a line of its own, but only when milestone has changed since the
 * last time (0: never). text is escaped already. Not with --quiet.
 */
void out_live(unsigned milestone, const char *text);
/* Takes the live line away; the next milestone is printed whatever it is. */
void out_live_end(void);
/* Columns of the terminal that stdout is; 0 where it is none. */
size_t out_columns(void);
/* Columns that out_live has; 0 where it is no terminal. */
size_t out_live_columns(void);

/* Could everything that was to be printed be written? false: say so and exit 1. */
bool out_flush(void);
