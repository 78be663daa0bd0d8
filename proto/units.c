/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "proto/base/alloc.h"
#include "proto/base/utf8.h"

/* --- sizes --- */

/* The power of 1024 that a letter stands for; -1: none. */
static int size_suffix(char c)
{
	switch (c) {
	case 'k':
	case 'K':
		return 1;
	case 'm':
	case 'M':
		return 2;
	case 'g':
	case 'G':
		return 3;
	case 't':
	case 'T':
		return 4;
	default:
		return -1;
	}
}

int units_parse_size(struct span s, uint64_t *ret)
{
	uint64_t n;
	int power = s.n ? size_suffix(s.p[s.n - 1]) : -1;
	int r;

	if (power > 0) {
		s.n--;
	} else {
		power = 0;
	}
	r = span_u64(s, UINT64_MAX >> (10 * power), &n);
	if (r == 0) {
		*ret = n << (10 * power);
	}
	return r;
}

const char *units_print_size(uint64_t bytes, char ret[static UNITS_SIZE_TEXT])
{
	static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double n = (double)bytes;
	size_t i = 0;

	/* 1023.95 would be printed as 1024.0: then the next unit is the better one. */
	while (n >= 1023.95 && i + 1 < ARRAY_SIZE(names)) {
		n /= 1024;
		i++;
	}
	snprintf(ret, UNITS_SIZE_TEXT, "%.1f %s", n, names[i]);
	return ret;
}

/* --- durations --- */

static const struct {
	char letter;
	uint64_t seconds;
} duration_units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};

int units_parse_duration(struct span s, uint64_t *ret_seconds)
{
	uint64_t sum = 0, n, part;
	size_t unit = 0;
	int r;

	if (s.n && s.p[s.n - 1] >= '0' && s.p[s.n - 1] <= '9') {
		return span_u64(s, UINT64_MAX, ret_seconds);
	}
	while (s.n) {
		size_t digits = 0;

		while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9') {
			digits++;
		}
		r = span_u64(span_of(s.p, digits), UINT64_MAX, &n);
		if (r < 0) {
			return r;
		}
		while (unit < ARRAY_SIZE(duration_units) && digits < s.n &&
		       duration_units[unit].letter != s.p[digits]) {
			unit++;
		}
		if (digits == s.n || unit == ARRAY_SIZE(duration_units)) {
			return -EINVAL;
		}
		if (__builtin_mul_overflow(n, duration_units[unit].seconds, &part) ||
		    __builtin_add_overflow(sum, part, &sum)) {
			return -ERANGE;
		}
		unit++;
		s = span_from(s, digits + 1);
	}
	if (unit == 0) {
		return -EINVAL;
	}
	*ret_seconds = sum;
	return 0;
}

const char *units_print_duration(uint64_t seconds, char ret[static UNITS_DURATION_TEXT])
{
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_SIZE(duration_units); i++) {
		uint64_t n = seconds / duration_units[i].seconds;

		seconds %= duration_units[i].seconds;
		if (n || (at == 0 && duration_units[i].seconds == 1)) {
			at += (size_t)snprintf(ret + at, UNITS_DURATION_TEXT - at, "%" PRIu64 "%c",
					       n, duration_units[i].letter);
		}
	}
	return ret;
}

/* --- times: RFC 3339 --- */

static bool is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int month_days(int64_t year, int64_t month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days from 1970-01-01 to the first of January of a year not before it. */
static int64_t days_before_year(int64_t year)
{
	int64_t last = year - 1;

	return (year - 1970) * 365 + (last / 4 - last / 100 + last / 400) -
	       (1969 / 4 - 1969 / 100 + 1969 / 400);
}

/* n digits at *s, which moves on. */
static int take_digits(struct span *s, size_t n, int64_t *ret)
{
	uint64_t value;

	if (s->n < n || span_u64(span_of(s->p, n), UINT64_MAX, &value) < 0) {
		return -EINVAL;
	}
	*ret = (int64_t)value;
	*s = span_from(*s, n);
	return 0;
}

/* One of the characters in set at *s, which moves on; 0: none of them. */
static char take_char(struct span *s, const char *set)
{
	char c = s->n ? s->p[0] : '\0';

	if (c == '\0' || !strchr(set, c)) {
		return '\0';
	}
	*s = span_from(*s, 1);
	return c;
}

/* ".5" to milliseconds; any number of digits, those behind the third do not count. */
static int take_fraction(struct span *s, int64_t *ret_ms)
{
	int64_t scale = 100;
	bool any = false;

	*ret_ms = 0;
	if (!take_char(s, ".")) {
		return 0;
	}
	while (s->n && s->p[0] >= '0' && s->p[0] <= '9') {
		*ret_ms += (s->p[0] - '0') * scale;
		scale /= 10;
		any = true;
		*s = span_from(*s, 1);
	}
	return any ? 0 : -EINVAL;
}

/* "Z" or "+02:00", in minutes. */
static int take_offset(struct span *s, int64_t *ret_minutes)
{
	int64_t hours, minutes;

	*ret_minutes = 0;
	if (take_char(s, "Zz")) {
		return 0;
	}
	char sign = take_char(s, "+-");

	if (!sign || take_digits(s, 2, &hours) < 0 || !take_char(s, ":") ||
	    take_digits(s, 2, &minutes) < 0 || hours > 23 || minutes > 59) {
		return -EINVAL;
	}
	*ret_minutes = (hours * 60 + minutes) * (sign == '-' ? -1 : 1);
	return 0;
}

int units_parse_time(struct span s, int64_t *ret_ms)
{
	int64_t year, month, day, hour, minute, second, ms, offset;

	if (take_digits(&s, 4, &year) < 0 || !take_char(&s, "-") ||
	    take_digits(&s, 2, &month) < 0 || !take_char(&s, "-") || take_digits(&s, 2, &day) < 0 ||
	    !take_char(&s, "Tt ") || take_digits(&s, 2, &hour) < 0 || !take_char(&s, ":") ||
	    take_digits(&s, 2, &minute) < 0 || !take_char(&s, ":") ||
	    take_digits(&s, 2, &second) < 0 || take_fraction(&s, &ms) < 0 ||
	    take_offset(&s, &offset) < 0 || s.n) {
		return -EINVAL;
	}
	/* 60 is a leap second (RFC 3339, 5.7): the same as the second after it. */
	if (month < 1 || month > 12 || day < 1 || day > month_days(year, month) || hour > 23 ||
	    minute > 59 || second > 60) {
		return -EINVAL;
	}
	if (year < 1969) {
		return -ERANGE;
	}
	int64_t days = days_before_year(year) + day - 1;

	for (int64_t m = 1; m < month; m++) {
		days += month_days(year, m);
	}
	ms += (((days * 24 + hour) * 60 + minute - offset) * 60 + second) * 1000;
	if (ms < 0 || ms > UNITS_TIME_MAX_MS) {
		return -ERANGE;
	}
	*ret_ms = ms;
	return 0;
}

int units_parse_local_time(const char *text, int64_t *ret_ms)
{
	static const char *const forms[] = {"%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S",
					    "%Y-%m-%dT%H:%M:%S"};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct tm tm = {.tm_isdst = -1}, meant;
		const char *end = strptime(text, forms[i], &tm);

		meant = tm;
		time_t t = end && *end == '\0' ? mktime(&tm) : -1;

		/* The 31st of February would become a day in March. */
		if (t >= 0 && tm.tm_mday == meant.tm_mday) {
			*ret_ms = (int64_t)t * 1000;
			return 0;
		}
	}
	return -EINVAL;
}

const char *units_print_time(int64_t ms, char ret[static UNITS_TIME_TEXT])
{
	if (ms < 0) {
		ms = 0;
	}
	if (ms > UNITS_TIME_MAX_MS) {
		ms = UNITS_TIME_MAX_MS;
	}
	int64_t seconds = ms / 1000, days = seconds / 86400, year = 1970 + days / 366, month = 1;

	seconds %= 86400;
	while (days_before_year(year + 1) <= days) {
		year++;
	}
	days -= days_before_year(year);
	while (days >= month_days(year, month)) {
		days -= month_days(year, month);
		month++;
	}
	snprintf(ret, UNITS_TIME_TEXT, "%04d-%02d-%02dT%02d:%02d:%02dZ", (int)year, (int)month,
		 (int)days + 1, (int)(seconds / 3600), (int)(seconds / 60 % 60),
		 (int)(seconds % 60));
	return ret;
}

/* --- names --- */

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

static int refuse_line(struct error *err, const char *field, const char *why)
{
	return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, field, why, "%s: %s", field, why);
}

/*
 * Would it break a line or turn its direction? Joiners and variation selectors
 * are left: scripts and emoji need them.
 */
static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

int units_check_line(const char *field, struct span s, int64_t min, int64_t max, struct error *err)
{
	int64_t characters = 0;

	while (s.n) {
		uint32_t c;
		size_t n = utf8_decode(s, &c);

		if (n == 0) {
			return refuse_line(err, field, "is not valid UTF-8");
		}
		if (is_control(c)) {
			return refuse_line(err, field,
					   "must be one line without control characters");
		}
		characters++;
		s = span_from(s, n);
	}
	if (characters < min) {
		return refuse_line(err, field, "must not be empty");
	}
	if (characters > max) {
		_cleanup_free_ char *why =
			xasprintf("is longer than %lld characters", (long long)max);

		return refuse_line(err, field, why);
	}
	return 0;
}

int units_check_label(const char *field, const char *label, struct error *err)
{
	struct span s = span_str(label);
	int r = units_check_line(field, s, 1, LABEL_MAX, err);

	if (r == 0 && (s.p[0] == ' ' || s.p[s.n - 1] == ' ')) {
		return refuse_line(err, field, "must not begin or end with a blank");
	}
	return r;
}

bool units_is_name(struct span s)
{
	if (s.n < 1 || s.n > SERVICE_NAME_MAX || s.p[0] == '.' || s.p[0] == '-') {
		return false;
	}
	for (size_t i = 0; i < s.n; i++) {
		if (!is_name_char(s.p[i])) {
			return false;
		}
	}
	return true;
}

int units_check_name(const char *field, const char *name, struct error *err)
{
	static const char rule[] = "a name is 1 to 64 of A-Z a-z 0-9 . _ - and does not begin with "
				   "a dot or dash";

	if (units_is_name(span_str(name))) {
		return 0;
	}
	return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, field, rule, "%s: %s", field, rule);
}
