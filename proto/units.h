/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sizes, durations, times and service names as people and JSON write them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/error.h"
#include "proto/base/span.h"

#define UNITS_SIZE_TEXT     16 /* "1023.9 KiB" */
#define UNITS_DURATION_TEXT 32
#define UNITS_TIME_TEXT     32
#define UNITS_TIME_MAX_MS   INT64_C(253402300799999) /* the end of 9999 */
#define SERVICE_NAME_MAX    64u

/* Digits and one of K, M, G, T (counting 1024, either case) or none: 0, -EINVAL, -ERANGE. */
int units_parse_size(struct span s, uint64_t *ret);
/* "6.0 B", "293.7 KiB", up to EiB. */
const char *units_print_size(uint64_t bytes, char ret[static UNITS_SIZE_TEXT]);

/* "90" (seconds), "1d2h3m4s", each unit at most once and in this order: 0, -EINVAL, -ERANGE. */
int units_parse_duration(struct span s, uint64_t *ret_seconds);
/* "1d2h3m4s", without what is zero; "0s". */
const char *units_print_duration(uint64_t seconds, char ret[static UNITS_DURATION_TEXT]);

/* Milliseconds since 1970 from RFC 3339, with any offset: 0, -EINVAL, -ERANGE (not in 1970-9999).
 */
int units_parse_time(struct span s, int64_t *ret_ms);
/* "2026-11-22 14:00", with seconds or not, T for the space or not: in the zone of who asks. */
int units_parse_local_time(const char *text, int64_t *ret_ms);
/* "2026-11-22T14:00:00Z": RFC 3339 in UTC, whole seconds. ms is held to 0..UNITS_TIME_MAX_MS. */
const char *units_print_time(int64_t ms, char ret[static UNITS_TIME_TEXT]);

/*
 * One line of text: valid UTF-8 of min to max characters, without controls or
 * what turns its direction. 0, or -EINVAL with ERROR_INVALID_VALUE for field.
 */
int units_check_line(const char *field, struct span s, int64_t min, int64_t max, struct error *err);
/* Whose key it is: the same, at most LABEL_MAX characters, no blanks at its ends. */
#define LABEL_MAX 64
int units_check_label(const char *field, const char *label, struct error *err);

/* 1 to 64 of A-Z a-z 0-9 . _ - and not beginning with a dot or dash. */
bool units_is_name(struct span s);
/* The same: 0, or -EINVAL with ERROR_INVALID_VALUE for field, saying the rule. */
int units_check_name(const char *field, const char *name, struct error *err);
