/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/options.h"

#include <errno.h>
#include <string.h>

#include "proto/age/age.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/base/utf8.h"
#include "proto/option_value.h"
#include "proto/units.h"

#define COUNT_MAX INT64_C(1000000000)
#define TIMER_MAX (INT64_C(100) * 366 * 86400)

static const char *const webhook_formats[] = {"text", "json", NULL};

static const struct option options[] = {
	{.name = "title",
	 .modes = OPTION_ALL_MODES,
	 .type = OPTION_STRING,
	 .flags = OPTION_NEEDS_RESTART | OPTION_RELEASE | OPTION_TOP_LEVEL,
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
	 .help = "stop then, likewise"},
	{.name = "pow",
	 .modes = OPTION_ALL_MODES,
	 .type = OPTION_BOOL,
	 .has_default = true,
	 .help = "Tor's proof-of-work defence against floods"},
	{.name = "backend_of",
	 .modes = OPTION_SHARE | OPTION_RECEIVE | OPTION_WEBSITE,
	 .type = OPTION_ONION,
	 .metavar = "ADDRESS",
	 .help = "one of the machines behind this address of an Onionbalance"},
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
	 .flags = OPTION_NEEDS_RESTART | OPTION_RELEASE,
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
	 .flags = OPTION_NEEDS_RESTART | OPTION_RELEASE,
	 .has_default = true,
	 .help = "send no Content-Security-Policy: pages may load from anywhere"},
	{.name = "custom_csp",
	 .modes = OPTION_WEBSITE,
	 .type = OPTION_STRING,
	 .flags = OPTION_NEEDS_RESTART | OPTION_RELEASE | OPTION_ASCII,
	 .min = 1,
	 .max = OPTION_CSP_MAX,
	 .metavar = "VALUE",
	 .help = "send this Content-Security-Policy instead of the default one"},
	{.name = "no_listing",
	 .modes = OPTION_WEBSITE,
	 .type = OPTION_BOOL,
	 .flags = OPTION_NEEDS_RESTART | OPTION_RELEASE,
	 .has_default = true,
	 .help = "no list of files where a folder has no index.html"},
	{.name = "dotfiles",
	 .modes = OPTION_WEBSITE,
	 .type = OPTION_BOOL,
	 .flags = OPTION_NEEDS_RESTART | OPTION_RELEASE,
	 .has_default = true,
	 .help = "serve also what has a name that begins with a dot"},
	{.name = "data_dir",
	 .modes = OPTION_RECEIVE,
	 .type = OPTION_PATH,
	 .min = 1,
	 .max = OPTION_PATH_MAX,
	 .metavar = "DIR",
	 .help = "where submissions are kept (STATE/receive/NAME); chosen once"},
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
	 .help = "where each submission is reported to, through Tor if there is one"},
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

/* --- what is given --- */

static int refuse_unknown(const char *mode, const char *name, struct error *err)
{
	struct buf shown = BUF_INIT;
	struct span s = span_str(name);
	int r;

	utf8_escape(&shown, s.n > 64 ? span_of(s.p, 64) : s);
	r = option_refuse(err, shown.len ? shown.p : "options", "is no option of the mode %s",
			  mode);
	buf_done(&shown);
	return r;
}

int options_validate(const char *mode, const json_t *in, struct error *err)
{
	/* Jansson's iterators take a pointer to a mutable object and leave it as it is. */
	json_t *object = (json_t *)(uintptr_t)in;

	if (!options_mode(mode)) {
		return option_refuse(err, "mode", "there is no such mode");
	}
	if (in && !json_is_object(in)) {
		return option_refuse(err, "options", "must be an object");
	}
	for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
		const char *name = json_object_iter_key(it);
		const struct option *o = option_find(mode, name);
		int r = o ? option_check_value(o, json_object_iter_value(it), err)
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
		return option_refuse(err, "start_at",
				     "cannot be set together with auto_start_timer");
	}
	if (stop && json_is_integer(stop_timer)) {
		return option_refuse(err, "stop_at", "cannot be set together with auto_stop_timer");
	}
	if (start && stop && stop <= start) {
		return option_refuse(err, "stop_at", "must be later than the start");
	}
	if (json_is_integer(start_timer) && json_is_integer(stop_timer) &&
	    json_integer_value(stop_timer) <= json_integer_value(start_timer)) {
		return option_refuse(err, "auto_stop_timer", "must be later than the start");
	}
	return 0;
}

/* Both are beyond what Onionbalance can do: clients would be handed what they cannot use. */
static int check_backend(const json_t *all, struct error *err)
{
	if (!json_is_string(json_object_get(all, "backend_of"))) {
		return 0;
	}
	if (!json_is_true(json_object_get(all, "public"))) {
		return option_refuse(err, "backend_of",
				     "needs a public service: Onionbalance cannot read what is "
				     "published of a private one; add --public");
	}
	if (json_is_true(json_object_get(all, "pow"))) {
		return option_refuse(err, "backend_of",
				     "cannot be set together with pow: Onionbalance does not tell "
				     "visitors of it, and they would come without");
	}
	return 0;
}

int options_check_together(const char *mode, const json_t *all, struct error *err)
{
	int r = check_times(all, err);

	if (r == 0) {
		r = check_backend(all, err);
	}
	if (r < 0) {
		return r;
	}
	if (options_mode(mode) == OPTION_RECEIVE &&
	    json_is_true(json_object_get(all, "disable_text")) &&
	    json_is_true(json_object_get(all, "disable_files"))) {
		return option_refuse(
			err, "disable_files",
			"You cannot disable both text and files: nothing could be sent");
	}
	if (options_mode(mode) == OPTION_WEBSITE &&
	    json_is_true(json_object_get(all, "disable_csp")) &&
	    json_is_string(json_object_get(all, "custom_csp"))) {
		return option_refuse(err, "custom_csp", "cannot be set together with disable_csp");
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
