/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/option_value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "proto/age/age.h"
#include "proto/base/buf.h"
#include "proto/base/onion.h"
#include "proto/base/utf8.h"
#include "proto/units.h"

int option_refuse(struct error *err, const char *field, const char *fmt, ...)
{
	struct buf why = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&why, fmt, ap);
	va_end(ap);
	error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, field, why.p, "%s: %s", field, why.p);
	buf_done(&why);
	return -EINVAL;
}

int option_refuse_range(const struct option *o, struct error *err)
{
	return option_refuse(err, o->name, "must be a whole number from %" PRId64 " to %" PRId64,
			     o->min, o->max);
}

/* Any bytes that JSON takes, as file names are: but from the root on, and no NUL. */
static int check_path(const struct option *o, const json_t *value, struct error *err)
{
	const char *s = json_string_value(value);

	if (!s || s[0] != '/' || strlen(s) != json_string_length(value)) {
		return option_refuse(err, o->name, "must be an absolute path");
	}
	if (json_string_length(value) > (size_t)o->max) {
		return option_refuse(err, o->name, "is longer than %" PRId64 " bytes", o->max);
	}
	return 0;
}

static int check_word(const struct option *o, const json_t *value, struct error *err)
{
	const char *s = json_is_string(value) ? json_string_value(value) : "";

	for (const char *const *word = o->words; *word; word++) {
		if (strcmp(s, *word) == 0 && json_string_length(value) == strlen(*word)) {
			return 0;
		}
	}
	return option_refuse(err, o->name, "must be one of %s", o->metavar);
}

/* What would not get through a field of HTTP (RFC 9110 section 5.5) unharmed. */
static bool is_ascii(const char *s)
{
	while (*s > 0 && *s < 0x7f) {
		s++;
	}
	return *s == '\0';
}

/* What is wrong is told without repeating it: a secret key may have been given by mistake. */
static int check_recipients(const struct option *o, const json_t *value, struct error *err)
{
	size_t i, n = json_array_size(value);
	json_t *text;

	if (!json_is_array(value)) {
		return option_refuse(err, o->name, "must be an array of age recipients");
	}
	if (n > (size_t)o->max) {
		return option_refuse(err, o->name, "takes at most %" PRId64 " recipients", o->max);
	}
	json_array_foreach (value, i, text) {
		struct span s = span_of(json_string_value(text), json_string_length(text));
		struct age_recipient parsed;
		struct error why = ERROR_INIT;

		if (!json_is_string(text)) {
			return option_refuse(err, o->name, "must be an array of age recipients");
		}
		if (age_parse_recipient(s, &parsed, &why) == 0) {
			continue;
		}
		if (n == 1) {
			option_refuse(err, o->name, "%s", error_text(&why));
		} else {
			option_refuse(err, o->name, "recipient %zu %s", i + 1, error_text(&why));
		}
		error_done(&why);
		return -EINVAL;
	}
	return 0;
}

static int check_onion(const struct option *o, const json_t *value, struct error *err)
{
	char name[ONION_NAME_LEN + 1];
	struct error why = ERROR_INIT;

	if (onion_parse(span_of(json_string_value(value), json_string_length(value)), name, &why) ==
	    0) {
		return 0;
	}
	option_refuse(err, o->name, "%s", error_text(&why));
	error_done(&why);
	return -EINVAL;
}

static int check_time(const struct option *o, const json_t *value, struct error *err)
{
	int64_t ms;

	if (json_is_string(value) &&
	    units_parse_time(span_of(json_string_value(value), json_string_length(value)), &ms) ==
		    0) {
		return 0;
	}
	return option_refuse(err, o->name, "must be a time like 2026-11-22T14:00:00Z");
}

int option_check_value(const struct option *o, const json_t *value, struct error *err)
{
	if (json_is_null(value)) {
		return 0;
	}
	switch (o->type) {
	case OPTION_BOOL:
		return json_is_boolean(value)
			       ? 0
			       : option_refuse(err, o->name, "must be true or false");
	case OPTION_TIME:
		return check_time(o, value, err);
	case OPTION_INT:
	case OPTION_SECONDS:
	case OPTION_SIZE:
		return json_is_integer(value) && json_integer_value(value) >= o->min &&
				       json_integer_value(value) <= o->max
			       ? 0
			       : option_refuse_range(o, err);
	case OPTION_STRING:
		if (!json_is_string(value)) {
			return option_refuse(err, o->name, "must be text");
		}
		if (o->flags & OPTION_ASCII && !is_ascii(json_string_value(value))) {
			return option_refuse(err, o->name, "must be plain ASCII");
		}
		return units_check_line(o->name,
					span_of(json_string_value(value),
						json_string_length(value)),
					o->min, o->max, err);
	case OPTION_PATH:
		return check_path(o, value, err);
	case OPTION_WORD:
		return check_word(o, value, err);
	case OPTION_RECIPIENTS:
		return check_recipients(o, value, err);
	case OPTION_ONION:
		return check_onion(o, value, err);
	}
	return -EINVAL;
}
