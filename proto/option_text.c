/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Options as they are written on a command line. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/alloc.h"
#include "proto/base/onion.h"
#include "proto/base/span.h"
#include "proto/option_value.h"
#include "proto/options.h"
#include "proto/units.h"

static bool is_spelling(const char *name, struct span s)
{
	if (!name || strlen(name) != s.n) {
		return false;
	}
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i] == '-' ? '_' : s.p[i];

		if (c != name[i]) {
			return false;
		}
	}
	return true;
}

const struct option *option_find_spelling(const char *mode, struct span spelling, bool *ret_negated)
{
	unsigned bits = mode ? options_mode(mode) : OPTION_ALL_MODES;
	size_t n;
	const struct option *options = options_all(&n);

	for (size_t i = 0; i < n; i++) {
		const struct option *o = &options[i];
		bool negated = is_spelling(o->opposite, spelling);

		if ((o->modes & bits) && (negated || is_spelling(o->name, spelling))) {
			*ret_negated = negated;
			return o;
		}
	}
	return NULL;
}

void option_spelling(const struct option *o, char *ret, size_t size)
{
	size_t i;

	for (i = 0; i + 1 < size && o->name[i]; i++) {
		ret[i] = o->name[i] == '_' ? '-' : o->name[i];
	}
	if (size) {
		ret[i] = '\0';
	}
}

/* A bool of the command line: alone, or as people write it. */
static int parse_bool(const char *text, bool *ret)
{
	static const char *const yes[] = {"true", "yes", "on", "1"};
	static const char *const no[] = {"false", "no", "off", "0"};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (!text || strcmp(text, yes[i]) == 0) {
			*ret = true;
			return 0;
		}
		if (strcmp(text, no[i]) == 0) {
			*ret = false;
			return 0;
		}
	}
	return -EINVAL;
}

/* As the shell means it: from the directory where one is. */
static json_t *absolute(const char *text)
{
	char here[PATH_MAX];
	json_t *value;

	if (text[0] == '/' || text[0] == '\0' || !getcwd(here, sizeof(here))) {
		return json_string(text);
	}
	char *path = xasprintf("%s/%s", strcmp(here, "/") == 0 ? "" : here, text);

	value = json_string(path);
	free(path);
	return value;
}

/* NULL: it is none. */
static json_t *parse_local_time(const char *text)
{
	char utc[UNITS_TIME_TEXT];
	int64_t ms;

	if (units_parse_local_time(text, &ms) == 0) {
		return json_string(units_print_time(ms, utc));
	}
	return units_parse_time(span_str(text), &ms) == -EINVAL ? NULL : json_string(text);
}

/* In one form, however it was copied; what is wrong stays as it is, for the check. */
static json_t *parse_onion(const char *text)
{
	char name[ONION_NAME_LEN + 1];

	return onion_parse(span_str(text), name, NULL) == 0 ? json_sprintf("%s.onion", name)
							    : json_string(text);
}

int option_parse_text(const struct option *o, const char *text, json_t **ret, struct error *err)
{
	json_t *value = NULL;
	uint64_t n;
	bool yes;
	int r;

	if (!text && o->type != OPTION_BOOL) {
		return option_refuse(err, o->name, "needs a value");
	}
	switch (o->type) {
	case OPTION_BOOL:
		if (parse_bool(text, &yes) < 0) {
			return option_refuse(err, o->name, "must be yes or no");
		}
		value = json_boolean(yes);
		break;
	case OPTION_INT:
		if (span_u64(span_str(text), INT64_MAX, &n) < 0) {
			return option_refuse_range(o, err);
		}
		value = json_integer((json_int_t)n);
		break;
	case OPTION_SECONDS:
		if (units_parse_duration(span_str(text), &n) < 0 || n > INT64_MAX) {
			return option_refuse(err, o->name,
					     "must be a number of seconds, or a time like 1h30m");
		}
		value = json_integer((json_int_t)n);
		break;
	case OPTION_TIME:
		value = parse_local_time(text);
		if (!value) {
			return option_refuse(err, o->name,
					     "must be a time: 2026-11-22 14:00, or "
					     "2026-11-22T14:00:00Z");
		}
		break;
	case OPTION_SIZE:
		if (units_parse_size(span_str(text), &n) < 0 || n > INT64_MAX) {
			return option_refuse(
				err, o->name,
				"must be a number of bytes, with K, M, G or T if you like");
		}
		value = json_integer((json_int_t)n);
		break;
	case OPTION_STRING:
	case OPTION_WORD:
		value = json_string(text);
		if (!value) {
			return option_refuse(err, o->name, "is not valid UTF-8");
		}
		break;
	case OPTION_ONION:
		value = parse_onion(text);
		if (!value) {
			return option_refuse(err, o->name, "is not valid UTF-8");
		}
		break;
	case OPTION_RECIPIENTS:
		value = json_pack("[s]", text);
		if (!value) {
			return option_refuse(err, o->name, "is not valid UTF-8");
		}
		break;
	case OPTION_PATH:
		value = absolute(text);
		if (!value) {
			return option_refuse(err, o->name, "is not valid UTF-8");
		}
		break;
	}
	r = option_check_value(o, value, err);
	if (r < 0) {
		json_decref(value);
		return r;
	}
	*ret = value;
	return 0;
}
