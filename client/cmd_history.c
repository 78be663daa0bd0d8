/* SPDX-License-Identifier: GPL-3.0-or-later */
/* history: what has happened, from the database. */
#include <errno.h>
#include <string.h>

#include "client/cmd.h"
#include "client/out.h"
#include "client/service.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"

#define LIMIT_MAX  1000
#define LIMIT_TEXT "1000"

static const struct opt opts[] = {
	{"limit", 'n', "N", "how many entries, 1 to " LIMIT_TEXT " (100)"},
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

static void print_entries(struct ctl *ctl, const json_t *reply)
{
	json_t *entry;
	size_t i;

	(void)ctl;
	json_array_foreach (json_object_get(reply, "entries"), i, entry) {
		print_entry(entry);
	}
}

static int run_history(struct ctl *ctl)
{
	json_t *params = json_object();
	const char *limit = opt_text(&ctl->args, "limit");
	uint64_t n = 0;

	if (limit && (span_u64(span_str(limit), LIMIT_MAX, &n) < 0 || n == 0)) {
		json_decref(params);
		return ctl_misuse(ctl, "--limit wants a number from 1 to " LIMIT_TEXT ", not '%s'",
				  limit);
	}
	if (limit) {
		json_object_set_new(params, "limit", json_integer((json_int_t)n));
	}
	if (ctl->args.n_words > 0) {
		json_object_set_new(params, "name", json_string(ctl->args.words[0]));
	}
	return ctl_call_and_print(ctl, "History", params, "entries", print_entries);
}

const struct command cmd_history = {
	.name = "history",
	.synopsis = "[NAME]",
	.summary = "what has happened, of one service or of all",
	.help = "The newest entries, the newest last.",
	.opts = opts,
	.max_words = 1,
	.run = run_history,
};
