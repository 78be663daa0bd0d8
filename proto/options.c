/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/options.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <time.h>
#include <unistd.h>

#include "proto/age/age.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/base/utf8.h"
#include "proto/units.h"

#define COUNT_MAX INT64_C(1000000000)
#define TIMER_MAX (INT64_C(100) * 366 * 86400)

static const char *const webhook_formats[] = {"text", "json", NULL};

static const struct option options[] = {
	{.name = "title",
	 .modes = OPTION_ALL_MODES,
	 .type = OPTION_STRING,
	 .flags = OPTION_NEEDS_RESTART | OPTION_TOP_LEVEL,
	 .min = 1,
	 .max = OPTION_TITLE_MAX,
	 .metavar = "TEXT",
	 .help = "title that visitors see"},
	{.name = "public",
	 .opposite = "private",
	 .modes = OPTION_ALL_MODES,
	 .type = OPTION_BOOL,
	 .flags = OPTION_TOP_LEVEL,
	 .has_default = true,
	 .help = "visitors need no private key"},
	{.name = "auto_start_timer",
	 .modes = OPTION_ALL_MODES,
	 .type = OPTION_SECONDS,
	 .flags = OPTION_NEEDS_RESTART,
	 .min = 1,
	 .max = TIMER_MAX,
	 .metavar = "SECONDS",
	 .help = "start so long after 'start' (90, 1h30m, 7d)"},
	{.name = "start_at",
	 .modes = OPTION_ALL_MODES,
	 .type = OPTION_TIME,
	 .flags = OPTION_NEEDS_RESTART | OPTION_TOP_LEVEL,
	 .metavar = "TIME",
	 .help = "start then (2026-11-22 14:00, or RFC 3339), once 'start' was said"},
	{.name = "auto_stop_timer",
	 .modes = OPTION_ALL_MODES,
	 .type = OPTION_SECONDS,
	 .min = 1,
	 .max = TIMER_MAX,
	 .metavar = "SECONDS",
	 .help = "stop so long after 'start'"},
	{.name = "stop_at",
	 .modes = OPTION_ALL_MODES,
	 .type = OPTION_TIME,
	 .flags = OPTION_TOP_LEVEL,
	 .metavar = "TIME",
	 .help = "stop then"},
	{.name = "pow",
	 .modes = OPTION_ALL_MODES,
	 .type = OPTION_BOOL,
	 .has_default = true,
	 .help = "Tor's proof-of-work defence against floods"},
	{.name = "max_connections",
	 .modes = OPTION_ALL_MODES,
	 .type = OPTION_INT,
	 .flags = OPTION_NEEDS_RESTART,
	 .min = 1,
	 .max = 100000,
	 .has_default = true,
	 .default_value = 1000,
	 .metavar = "N",
	 .help = "open connections of visitors"},
	{.name = "port",
	 .modes = OPTION_ALL_MODES,
	 .type = OPTION_INT,
	 .flags = OPTION_NEEDS_RESTART | OPTION_LOCAL_ONLY,
	 .min = 1,
	 .max = 65535,
	 .metavar = "N",
	 .help = "the loopback port, where the daemon runs with --local-only"},
	{.name = "no_autostop_sharing",
	 .modes = OPTION_SHARE,
	 .type = OPTION_BOOL,
	 .flags = OPTION_NEEDS_RESTART,
	 .has_default = true,
	 .help = "keep sharing after the first complete download"},
	{.name = "max_downloads",
	 .modes = OPTION_SHARE,
	 .type = OPTION_INT,
	 .flags = OPTION_NEEDS_RESTART,
	 .min = 1,
	 .max = COUNT_MAX,
	 .metavar = "N",
	 .help = "stop after N complete downloads, not after the first"},
	{.name = "copy",
	 .modes = OPTION_SHARE | OPTION_WEBSITE,
	 .type = OPTION_BOOL,
	 .has_default = true,
	 .help = "serve a copy that the daemon keeps, not the files in their place"},
	{.name = "log_filenames",
	 .modes = OPTION_SHARE | OPTION_WEBSITE,
	 .type = OPTION_BOOL,
	 .flags = OPTION_NEEDS_RESTART,
	 .has_default = true,
	 .help = "put requested paths into the history"},
	{.name = "disable_csp",
	 .modes = OPTION_WEBSITE,
	 .type = OPTION_BOOL,
	 .flags = OPTION_NEEDS_RESTART,
	 .has_default = true,
	 .help = "send no Content-Security-Policy: pages may load from anywhere"},
	{.name = "custom_csp",
	 .modes = OPTION_WEBSITE,
	 .type = OPTION_STRING,
	 .flags = OPTION_NEEDS_RESTART | OPTION_ASCII,
	 .min = 1,
	 .max = OPTION_CSP_MAX,
	 .metavar = "VALUE",
	 .help = "send this Content-Security-Policy instead of the default one"},
	{.name = "no_listing",
	 .modes = OPTION_WEBSITE,
	 .type = OPTION_BOOL,
	 .flags = OPTION_NEEDS_RESTART,
	 .has_default = true,
	 .help = "no list of files where a folder has no index.html"},
	{.name = "dotfiles",
	 .modes = OPTION_WEBSITE,
	 .type = OPTION_BOOL,
	 .flags = OPTION_NEEDS_RESTART,
	 .has_default = true,
	 .help = "serve also what has a name that begins with a dot"},
	{.name = "data_dir",
	 .modes = OPTION_RECEIVE,
	 .type = OPTION_PATH,
	 .min = 1,
	 .max = OPTION_PATH_MAX,
	 .metavar = "DIR",
	 .help = "where submissions are kept; chosen once"},
	{.name = "encrypt_to",
	 .modes = OPTION_RECEIVE,
	 .type = OPTION_RECIPIENTS,
	 .flags = OPTION_NEEDS_RESTART,
	 .max = AGE_RECIPIENTS_MAX,
	 .has_default = true,
	 .metavar = "RECIPIENT",
	 .help = "keep submissions only encrypted to this age recipient (repeatable)"},
	{.name = "disable_text",
	 .modes = OPTION_RECEIVE,
	 .type = OPTION_BOOL,
	 .flags = OPTION_NEEDS_RESTART,
	 .has_default = true,
	 .help = "visitors cannot send messages"},
	{.name = "disable_files",
	 .modes = OPTION_RECEIVE,
	 .type = OPTION_BOOL,
	 .flags = OPTION_NEEDS_RESTART,
	 .has_default = true,
	 .help = "visitors cannot send files"},
	{.name = "max_submission",
	 .modes = OPTION_RECEIVE,
	 .type = OPTION_SIZE,
	 .flags = OPTION_NEEDS_RESTART,
	 .min = 1,
	 .max = INT64_MAX,
	 .metavar = "SIZE",
	 .help = "largest submission that is accepted"},
	{.name = "quota",
	 .modes = OPTION_RECEIVE,
	 .type = OPTION_SIZE,
	 .flags = OPTION_NEEDS_RESTART,
	 .min = 1,
	 .max = INT64_MAX,
	 .metavar = "SIZE",
	 .help = "largest sum of all that is in the data directory"},
	{.name = "keep_days",
	 .modes = OPTION_RECEIVE,
	 .type = OPTION_INT,
	 .min = 1,
	 .max = 36500,
	 .metavar = "N",
	 .help = "delete submissions that are older than so many days"},
	{.name = "min_free",
	 .modes = OPTION_RECEIVE,
	 .type = OPTION_SIZE,
	 .flags = OPTION_NEEDS_RESTART,
	 .min = 0,
	 .max = INT64_MAX,
	 .has_default = true,
	 .default_value = INT64_C(1) << 30,
	 .metavar = "SIZE",
	 .help = "free space that is left on the disk"},
	{.name = "max_users",
	 .modes = OPTION_CHAT,
	 .type = OPTION_INT,
	 .flags = OPTION_NEEDS_RESTART,
	 .min = 1,
	 .max = 10000,
	 .has_default = true,
	 .default_value = 1000,
	 .metavar = "N",
	 .help = "people in the room at once"},
	{.name = "webhook_url",
	 .modes = OPTION_RECEIVE,
	 .type = OPTION_STRING,
	 .min = 1,
	 .max = OPTION_URL_MAX,
	 .metavar = "URL",
	 .help = "where each submission is reported to, through Tor"},
	{.name = "webhook_format",
	 .modes = OPTION_RECEIVE,
	 .type = OPTION_WORD,
	 .words = webhook_formats,
	 .has_default = true,
	 .metavar = "text|json",
	 .help = "what a report looks like"},
	{.name = "webhook_secret_file",
	 .modes = OPTION_RECEIVE,
	 .type = OPTION_PATH,
	 .min = 1,
	 .max = OPTION_PATH_MAX,
	 .metavar = "FILE",
	 .help = "one line; reports are signed with it"},
};

const struct option *options_all(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(options);
	return options;
}

unsigned options_mode(const char *mode)
{
	static const struct {
		const char *name;
		unsigned bit;
	} modes[] = {{"share", OPTION_SHARE},
		     {"receive", OPTION_RECEIVE},
		     {"website", OPTION_WEBSITE},
		     {"chat", OPTION_CHAT}};

	for (size_t i = 0; mode && i < ARRAY_SIZE(modes); i++) {
		if (strcmp(modes[i].name, mode) == 0) {
			return modes[i].bit;
		}
	}
	return 0;
}

const struct option *option_find(const char *mode, const char *name)
{
	unsigned bit = options_mode(mode);

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if ((options[i].modes & bit) && strcmp(options[i].name, name) == 0) {
			return &options[i];
		}
	}
	return NULL;
}

/* --- values --- */

static int refuse(struct error *err, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(struct error *err, const char *field, const char *fmt, ...)
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

static int refuse_range(const struct option *o, struct error *err)
{
	return refuse(err, o->name, "must be a whole number from %" PRId64 " to %" PRId64, o->min,
		      o->max);
}

/* Any bytes that JSON takes, as file names are: but from the root on, and no NUL. */
static int check_path(const struct option *o, const json_t *value, struct error *err)
{
	const char *s = json_string_value(value);

	if (!s || s[0] != '/' || strlen(s) != json_string_length(value)) {
		return refuse(err, o->name, "must be an absolute path");
	}
	if (json_string_length(value) > (size_t)o->max) {
		return refuse(err, o->name, "is longer than %" PRId64 " bytes", o->max);
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
	return refuse(err, o->name, "must be one of %s", o->metavar);
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
		return refuse(err, o->name, "must be an array of age recipients");
	}
	if (n > (size_t)o->max) {
		return refuse(err, o->name, "takes at most %" PRId64 " recipients", o->max);
	}
	json_array_foreach (value, i, text) {
		struct span s = span_of(json_string_value(text), json_string_length(text));
		struct age_recipient parsed;
		struct error why = ERROR_INIT;

		if (!json_is_string(text)) {
			return refuse(err, o->name, "must be an array of age recipients");
		}
		if (age_parse_recipient(s, &parsed, &why) == 0) {
			continue;
		}
		if (n == 1) {
			refuse(err, o->name, "%s", error_text(&why));
		} else {
			refuse(err, o->name, "recipient %zu %s", i + 1, error_text(&why));
		}
		error_done(&why);
		return -EINVAL;
	}
	return 0;
}

static int check_time(const struct option *o, const json_t *value, struct error *err)
{
	int64_t ms;

	if (json_is_string(value) &&
	    units_parse_time(span_of(json_string_value(value), json_string_length(value)), &ms) ==
		    0) {
		return 0;
	}
	return refuse(err, o->name, "must be a time like 2026-11-22T14:00:00Z");
}

static int check_value(const struct option *o, const json_t *value, struct error *err)
{
	if (json_is_null(value)) {
		return 0;
	}
	switch (o->type) {
	case OPTION_BOOL:
		return json_is_boolean(value) ? 0 : refuse(err, o->name, "must be true or false");
	case OPTION_TIME:
		return check_time(o, value, err);
	case OPTION_INT:
	case OPTION_SECONDS:
	case OPTION_SIZE:
		return json_is_integer(value) && json_integer_value(value) >= o->min &&
				       json_integer_value(value) <= o->max
			       ? 0
			       : refuse_range(o, err);
	case OPTION_STRING:
		if (!json_is_string(value)) {
			return refuse(err, o->name, "must be text");
		}
		if (o->flags & OPTION_ASCII && !is_ascii(json_string_value(value))) {
			return refuse(err, o->name, "must be plain ASCII");
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
	}
	return -EINVAL;
}

static int refuse_unknown(const char *mode, const char *name, struct error *err)
{
	struct buf shown = BUF_INIT;
	struct span s = span_str(name);
	int r;

	utf8_escape(&shown, s.n > 64 ? span_of(s.p, 64) : s);
	r = refuse(err, shown.len ? shown.p : "options", "is no option of the mode %s", mode);
	buf_done(&shown);
	return r;
}

int options_validate(const char *mode, const json_t *in, struct error *err)
{
	/* Jansson's iterators take a pointer to a mutable object and leave it as it is. */
	json_t *object = (json_t *)(uintptr_t)in;

	if (!options_mode(mode)) {
		return refuse(err, "mode", "there is no such mode");
	}
	if (in && !json_is_object(in)) {
		return refuse(err, "options", "must be an object");
	}
	for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
		const char *name = json_object_iter_key(it);
		const struct option *o = option_find(mode, name);
		int r = o ? check_value(o, json_object_iter_value(it), err)
			  : refuse_unknown(mode, name, err);

		if (r < 0) {
			return r;
		}
	}
	return 0;
}

/* Milliseconds of a valid time; 0: not set. */
static int64_t time_of(const json_t *all, const char *name)
{
	const json_t *value = json_object_get(all, name);
	int64_t ms = 0;

	if (json_is_string(value)) {
		units_parse_time(span_of(json_string_value(value), json_string_length(value)), &ms);
	}
	return ms;
}

/* Times against each other; against the clock they are the daemon's to judge. */
static int check_times(const json_t *all, struct error *err)
{
	const json_t *start_timer = json_object_get(all, "auto_start_timer");
	const json_t *stop_timer = json_object_get(all, "auto_stop_timer");
	int64_t start = time_of(all, "start_at"), stop = time_of(all, "stop_at");

	if (start && json_is_integer(start_timer)) {
		return refuse(err, "start_at", "cannot be set together with auto_start_timer");
	}
	if (stop && json_is_integer(stop_timer)) {
		return refuse(err, "stop_at", "cannot be set together with auto_stop_timer");
	}
	if (start && stop && stop <= start) {
		return refuse(err, "stop_at", "must be later than the start");
	}
	if (json_is_integer(start_timer) && json_is_integer(stop_timer) &&
	    json_integer_value(stop_timer) <= json_integer_value(start_timer)) {
		return refuse(err, "auto_stop_timer", "must be later than the start");
	}
	return 0;
}

int options_check_together(const char *mode, const json_t *all, struct error *err)
{
	int r = check_times(all, err);

	if (r < 0) {
		return r;
	}
	if (options_mode(mode) == OPTION_RECEIVE &&
	    json_is_true(json_object_get(all, "disable_text")) &&
	    json_is_true(json_object_get(all, "disable_files"))) {
		return refuse(err, "disable_files",
			      "You cannot disable both text and files: nothing could be sent");
	}
	if (options_mode(mode) == OPTION_WEBSITE &&
	    json_is_true(json_object_get(all, "disable_csp")) &&
	    json_is_string(json_object_get(all, "custom_csp"))) {
		return refuse(err, "custom_csp", "cannot be set together with disable_csp");
	}
	return 0;
}

static json_t *default_of(const struct option *o)
{
	if (!o->has_default) {
		return json_null();
	}
	if (o->type == OPTION_WORD) {
		return json_string(o->words[o->default_value]);
	}
	if (o->type == OPTION_RECIPIENTS) {
		return json_array();
	}
	return o->type == OPTION_BOOL ? json_boolean(o->default_value)
				      : json_integer(o->default_value);
}

json_t *options_complete(const char *mode, const json_t *set)
{
	unsigned bit = options_mode(mode);
	json_t *all = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const struct option *o = &options[i];
		json_t *value = json_object_get(set, o->name);

		if (!(o->modes & bit)) {
			continue;
		}
		if (value && !json_is_null(value)) {
			json_object_set(all, o->name, value);
		} else {
			json_object_set_new(all, o->name, default_of(o));
		}
	}
	return all;
}

/* --- command line --- */

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

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
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

/* What is no RFC 3339 is a time of the caller's zone, down to minutes or seconds. */
static json_t *parse_local_time(const char *text)
{
	static const char *const forms[] = {"%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S",
					    "%Y-%m-%dT%H:%M:%S"};
	char utc[UNITS_TIME_TEXT];

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct tm tm = {.tm_isdst = -1}, meant;
		const char *end = strptime(text, forms[i], &tm);

		meant = tm;
		time_t t = end && *end == '\0' ? mktime(&tm) : -1;

		/* The 31st of February would become a day in March. */
		if (t >= 0 && tm.tm_mday == meant.tm_mday) {
			return json_string(units_print_time((int64_t)t * 1000, utc));
		}
	}
	return json_string(text);
}

int option_parse_text(const struct option *o, const char *text, json_t **ret, struct error *err)
{
	json_t *value = NULL;
	uint64_t n;
	bool yes;
	int r;

	if (!text && o->type != OPTION_BOOL) {
		return refuse(err, o->name, "needs a value");
	}
	switch (o->type) {
	case OPTION_BOOL:
		if (parse_bool(text, &yes) < 0) {
			return refuse(err, o->name, "must be yes or no");
		}
		value = json_boolean(yes);
		break;
	case OPTION_INT:
		if (span_u64(span_str(text), INT64_MAX, &n) < 0) {
			return refuse_range(o, err);
		}
		value = json_integer((json_int_t)n);
		break;
	case OPTION_SECONDS:
		if (units_parse_duration(span_str(text), &n) < 0 || n > INT64_MAX) {
			return refuse(err, o->name,
				      "must be a number of seconds, or a time like 1h30m");
		}
		value = json_integer((json_int_t)n);
		break;
	case OPTION_TIME:
		value = parse_local_time(text);
		if (!value) {
			return refuse(err, o->name, "is not valid UTF-8");
		}
		break;
	case OPTION_SIZE:
		if (units_parse_size(span_str(text), &n) < 0 || n > INT64_MAX) {
			return refuse(err, o->name,
				      "must be a number of bytes, with K, M, G or T if you like");
		}
		value = json_integer((json_int_t)n);
		break;
	case OPTION_STRING:
	case OPTION_WORD:
		value = json_string(text);
		if (!value) {
			return refuse(err, o->name, "is not valid UTF-8");
		}
		break;
	case OPTION_RECIPIENTS:
		value = json_pack("[s]", text);
		if (!value) {
			return refuse(err, o->name, "is not valid UTF-8");
		}
		break;
	case OPTION_PATH:
		value = absolute(text);
		if (!value) {
			return refuse(err, o->name, "is not valid UTF-8");
		}
		break;
	}
	r = check_value(o, value, err);
	if (r < 0) {
		json_decref(value);
		return r;
	}
	*ret = value;
	return 0;
}
