/* SPDX-License-Identifier: GPL-3.0-or-later */
/* history: what has happened, from the database. */
#include <string.h>
#include <time.h>

#include "client/cmd.h"
#include "client/out.h"
#include "client/service.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/units.h"

#define LIMIT_MAX  1000
#define LIMIT_TEXT "1000"

static const struct opt opts[] = {
	{"limit", 'n', "N", "how many entries, 1 to " LIMIT_TEXT " (100)"},
	{"event", 0, "EVENT", "only these, as the entries name them: stopped, download, ..."},
	{"since", 0, "TIME", "nothing older: 36h, 7d, or a time (2026-11-22 14:00, or RFC 3339)"},
	{0},
};

static bool is_column(const char *member)
{
	static const char *const columns[] = {"id", "at", "name", "event"};

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		if (strcmp(columns[i], member) == 0) {
			return true;
		}
	}
	return false;
}

/* What the event has besides: member=value. */
static void add_details(struct buf *b, json_t *entry)
{
	const char *member;
	json_t *value;

	json_object_foreach (entry, member, value) {
		if (is_column(member) || json_is_null(value)) {
			continue;
		}
		if (json_is_string(value)) {
			buf_printf(b, "  %s=%s", member, json_string_value(value));
		} else {
			_cleanup_free_ char *text =
				xasprintf("%lld", json_is_boolean(value)
							  ? (long long)json_is_true(value)
							  : (long long)json_integer_value(value));

			buf_printf(b, "  %s=%s", member, text);
		}
	}
}

static void print_entry(json_t *entry)
{
	struct buf details = BUF_INIT;

	buf_add_str(&details, "");
	add_details(&details, entry);
	out_line("%s  %s  %s%s", out_esc(service_text(entry, "at")),
		 out_esc(service_text(entry, "name")), out_esc(service_text(entry, "event")),
		 details.len > 0 ? out_esc(details.p) : "");
	buf_done(&details);
}

static void print_entries(const json_t *entries)
{
	json_t *entry;
	size_t i;

	json_array_foreach (entries, i, entry) {
		print_entry(entry);
	}
}

/* What was asked for; entries are looked through from the newest on. */
struct search {
	const char *name, *event; /* NULL: any */
	int64_t since_ms;
	uint64_t limit;
	json_t *found; /* newest last */
};

static bool is_old(const struct search *s, const json_t *entry)
{
	int64_t at;

	return units_parse_time(span_str(service_text(entry, "at")), &at) == 0 && at < s->since_ms;
}

/* A page, newest last. *ret_before: from where to go on; 0: that was all that counts. */
static void look_through(struct search *s, const json_t *page, json_int_t *ret_before)
{
	*ret_before = 0;
	for (size_t i = json_array_size(page); i-- > 0;) {
		json_t *entry = json_array_get(page, i);

		if (json_array_size(s->found) == s->limit || is_old(s, entry)) {
			*ret_before = 0;
			return;
		}
		if (!s->event || strcmp(service_text(entry, "event"), s->event) == 0) {
			json_array_insert(s->found, 0, entry);
		}
		*ret_before = json_integer_value(json_object_get(entry, "id"));
	}
}

static int find_entries(struct ctl *ctl, struct search *s, struct error *err)
{
	json_int_t before = 0, per_page = s->event ? LIMIT_MAX : (json_int_t)s->limit;
	int r;

	do {
		json_t *reply = NULL;
		json_t *params = json_pack("{s:I, s:s?}", "limit", per_page, "name", s->name);

		if (before > 0) {
			json_object_set_new(params, "before", json_integer(before));
		}
		r = ctl_call(ctl, "History", params, &reply, err);
		before = 0;
		if (r == 0) {
			look_through(s, json_object_get(reply, "entries"), &before);
		}
		json_decref(reply);
	} while (r == 0 && before > 0 && json_array_size(s->found) < s->limit);
	return r;
}

/* "36h" counts back from now. */
static int parse_since(const char *text, int64_t *ret_ms)
{
	uint64_t seconds;

	if (units_parse_time(span_str(text), ret_ms) == 0 ||
	    units_parse_local_time(text, ret_ms) == 0) {
		return 0;
	}
	int r = units_parse_duration(span_str(text), &seconds);

	*ret_ms = r == 0 && seconds < INT32_MAX ? ((int64_t)time(NULL) - (int64_t)seconds) * 1000
						: INT64_MIN;
	return r;
}

static int run_history(struct ctl *ctl)
{
	const char *limit = opt_text(&ctl->args, "limit"), *since = opt_text(&ctl->args, "since");
	struct search s = {.event = opt_text(&ctl->args, "event"),
			   .name = ctl->args.n_words > 0 ? ctl->args.words[0] : NULL,
			   .since_ms = INT64_MIN,
			   .limit = 100};
	struct error err = ERROR_INIT;

	if (limit && (span_u64(span_str(limit), LIMIT_MAX, &s.limit) < 0 || s.limit == 0)) {
		return ctl_misuse(ctl, "--limit wants a number from 1 to " LIMIT_TEXT ", not '%s'",
				  limit);
	}
	if (since && parse_since(since, &s.since_ms) < 0) {
		return ctl_misuse(
			ctl,
			"--since wants 36h, 7d, 2026-11-22 14:00 or 2026-11-22T14:00:00Z, not '%s'",
			since);
	}
	s.found = json_array();
	if (find_entries(ctl, &s, &err) < 0) {
		json_decref(s.found);
		return ctl_fail(&err);
	}
	if (json_array_size(s.found) == 0 && s.event) {
		out_note(
			"no entry of the event '%s'; 'onionsharectl history --help' has all events",
			out_esc(s.event));
	}
	if (out_is_json()) {
		out_json(s.found);
	} else {
		print_entries(s.found);
	}
	json_decref(s.found);
	return 0;
}

const struct command cmd_history = {
	.name = "history",
	.synopsis = "[NAME]",
	.summary = "what has happened, of one service or of all",
	.help = "The newest entries, the newest last. A service's past has the name that it has "
		"now; 'renamed'\n"
		"says what it was called. NAME may be one that was deleted.\n"
		"\n"
		"Events: scheduled, running, stopped, failed, renamed; download, upload, "
		"download-cancelled,\n"
		"upload-cancelled, transfers (many of one second together); submission, "
		"submission-deleted,\n"
		"submissions-expired; published, content-added, content-removed; key-added, "
		"key-removed;\n"
		"lost (entries that could not be written).",
	.opts = opts,
	.max_words = 1,
	.run = run_history,
};
