/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/out.h"
#include "client/qr.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/options.h"
#include "proto/units.h"

/* Columns of a list. */
#define LIST_COLUMNS        80   /* with them a list has room for every column */
#define FILE_COLUMNS        1000 /* where there is no terminal: nothing worth reading is cut */
#define NARROW              60
#define GAP                 2
#define NAME_COLUMNS        20 /* at most; more where the terminal is wide */
#define NARROW_NAME_COLUMNS 16
#define MODE_COLUMNS        7
#define STATE_COLUMNS       10
#define LEAST_ADDRESS       10 /* less tells nobody anything */
#define COUNTS_TEXT         48

#define LABEL_COLUMNS 13

const char *service_text(const json_t *service, const char *member)
{
	const char *text = json_string_value(json_object_get(service, member));

	return text ? text : "";
}

bool service_has(const json_t *service, const char *member)
{
	const json_t *value = json_object_get(service, member);

	return value && !json_is_null(value);
}

char *service_short_url(const char *url, size_t columns)
{
	static const char scheme[] = "http://", dots[] = "...";
	size_t n = strlen(url), tail;

	if (n > columns && strncmp(url, scheme, strlen(scheme)) == 0) {
		url += strlen(scheme);
		n -= strlen(scheme);
	}
	for (const char *p = url; *p != '\0'; p++) {
		if (*p <= 0x20 || *p > 0x7e) {
			return xstrdup(url); /* no address; is escaped and cut as any text */
		}
	}
	if (n <= columns || columns < SHORT_URL_LEAST) {
		return xstrdup(url);
	}
	tail = (columns - strlen(dots)) / 2;
	return xasprintf("%.*s%s%s", (int)(columns - strlen(dots) - tail), url, dots,
			 url + n - tail);
}

bool service_is(const json_t *service, const char *state)
{
	return strcmp(service_text(service, "state"), state) == 0;
}

static json_int_t number(const json_t *object, const char *member)
{
	return json_integer_value(json_object_get(object, member));
}

const char *service_state_style(const char *state)
{
	static const struct {
		const char *state;
		enum out_style style;
	} styles[] = {
		{"running", STYLE_GOOD},    {"failed", STYLE_BAD},     {"offline", STYLE_WARN},
		{"publishing", STYLE_WARN}, {"preparing", STYLE_WARN}, {"scheduled", STYLE_WARN},
		{"draining", STYLE_WARN},   {"stopped", STYLE_DIM},
	};

	for (size_t i = 0; i < ARRAY_SIZE(styles); i++) {
		if (strcmp(styles[i].state, state) == 0) {
			return out_style(styles[i].style);
		}
	}
	return "";
}

/* --- address and key --- */

/* Without Tor nothing asks for the keys. */
static const json_t *visible_keys(const json_t *service)
{
	return service_has(service, "onion") ? json_object_get(service, "keys") : NULL;
}

static void print_heading(const json_t *service, bool with_key)
{
	if (!service_has(service, "onion")) {
		out_note("Without Tor, for this machine only:");
	} else {
		out_note("Give this address%s to the %s:", with_key ? " and private key" : "",
			 strcmp(service_text(service, "mode"), "receive") == 0 ? "sender"
									       : "recipient");
	}
}

static void print_key(const json_t *key, bool only)
{
	const char *label = service_text(key, "label");
	const char *private_key = service_text(key, "private_key");

	if (private_key[0] == '\0') {
		out_line("Private key (%s): known to its owner only", out_esc(label));
	} else if (only) {
		out_line("Private key: %s", out_esc(private_key));
	} else {
		out_line("Private key (%s): %s", out_esc(label), out_esc(private_key));
	}
}

static void print_qr(const json_t *service, const json_t *keys)
{
	size_t i;
	json_t *key;

	out_note("Address as QR code:");
	qr_print(service_text(service, "url"));
	json_array_foreach (keys, i, key) {
		if (service_has(key, "private_key")) {
			out_note("Private key as QR code:");
			qr_print(service_text(key, "private_key"));
		}
	}
}

void service_print_address(const json_t *service, bool qr)
{
	const json_t *keys = visible_keys(service);
	size_t n = json_array_size(keys), i;
	json_t *key;

	if (!service_has(service, "url")) {
		out_note("%s has no address yet: it is made as soon as a tor answers.",
			 out_esc(service_text(service, "name")));
		return;
	}
	print_heading(service, n > 0);
	out_line("%s%s%s", out_style(STYLE_BOLD), out_esc(service_text(service, "url")),
		 out_plain());
	json_array_foreach (keys, i, key) {
		print_key(key, n == 1);
	}
	if (qr) {
		print_qr(service, keys);
	}
}

/* --- all of it --- */

static void print_pair(const char *label, const char *text)
{
	if (text[0] != '\0') {
		out_line("%*s  %s", LABEL_COLUMNS, label, out_esc(text));
	}
}

static void print_member(const json_t *service, const char *label, const char *member)
{
	print_pair(label, service_text(service, member));
}

static void print_transfers(const json_t *transfers)
{
	char in[UNITS_SIZE_TEXT], out[UNITS_SIZE_TEXT];

	out_line("%*s  %lld active, %lld completed, %s sent, %s received", LABEL_COLUMNS,
		 "Transfers", (long long)number(transfers, "active"),
		 (long long)number(transfers, "completed"),
		 units_print_size((uint64_t)number(transfers, "bytes_out"), out),
		 units_print_size((uint64_t)number(transfers, "bytes_in"), in));
}

static void print_webhook(const json_t *webhook)
{
	const char *error = service_text(webhook, "last_error");

	if (json_is_object(webhook)) {
		out_line("%*s  %lld waiting%s%s", LABEL_COLUMNS, "Webhook",
			 (long long)number(webhook, "pending"), error[0] ? "; last try: " : "",
			 out_esc(error));
	}
}

static void add_option_text(struct buf *b, const char *name, const json_t *value)
{
	size_t i;
	json_t *one;

	json_array_foreach (value, i, one) {
		add_option_text(b, name, one);
	}
	if (json_is_array(value)) {
		return;
	}
	buf_printf(b, "%s--", b->len > 0 ? " " : "");
	for (const char *p = name; *p != '\0'; p++) {
		buf_add_char(b, *p == '_' ? '-' : *p);
	}
	if (json_is_string(value)) {
		buf_printf(b, " '%s'", json_string_value(value));
	} else if (json_is_integer(value)) {
		buf_printf(b, " %lld", (long long)json_integer_value(value));
	}
}

static bool is_default(const char *mode, const char *name, const json_t *value)
{
	const struct option *o = option_find(mode, name);
	json_int_t n = json_is_boolean(value) ? json_is_true(value) : json_integer_value(value);

	if (json_is_null(value) || !o || !o->has_default) {
		return json_is_null(value);
	}
	if (json_is_array(value)) {
		return json_array_size(value) == 0;
	}
	if (json_is_string(value)) {
		return o->words &&
		       strcmp(json_string_value(value), o->words[o->default_value]) == 0;
	}
	return n == o->default_value;
}

/* Those that differ from their defaults, as they would be given on a command line. */
static void print_options(const json_t *service)
{
	const json_t *options = json_object_get(service, "options");
	struct buf b = BUF_INIT;
	const char *name;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)options, name, value) {
		if (!is_default(service_text(service, "mode"), name, value)) {
			add_option_text(&b, name, value);
		}
	}
	print_pair("Options", b.len > 0 ? b.p : "");
	buf_done(&b);
}

char *service_time(const json_t *service, const char *member)
{
	const char *at = service_text(service, member);
	char left[UNITS_DURATION_TEXT];
	int64_t ms, now = (int64_t)time(NULL) * 1000;

	if (units_parse_time(span_str(at), &ms) < 0 || ms <= now) {
		return xstrdup(at);
	}
	return xasprintf("%s, in %s", at,
			 units_print_duration((uint64_t)(ms - now + 999) / 1000, left));
}

static void print_time(const json_t *service, const char *label, const char *member)
{
	_cleanup_free_ char *text = service_time(service, member);

	print_pair(label, text);
}

static bool service_is_public(const json_t *service)
{
	return json_is_true(json_object_get(service, "public"));
}

static void print_whose_key(const json_t *key, bool only)
{
	const char *text = service_has(key, "private_key") ? service_text(key, "private_key")
							   : "known to its owner only";
	_cleanup_free_ char *line =
		only ? xstrdup(text) : xasprintf("%s (%s)", text, service_text(key, "label"));

	print_pair("Private key", line);
	explicit_bzero(line, strlen(line));
}

void service_print(const json_t *service)
{
	const char *state = service_text(service, "state");
	const char *reason = service_text(service, "reason");
	const json_t *keys = visible_keys(service);
	size_t i;
	json_t *key, *path;

	out_line("%s%s%s (%s)", out_style(STYLE_BOLD), out_esc(service_text(service, "name")),
		 out_plain(), out_esc(service_text(service, "mode")));
	out_line("%*s  %s%s%s%s%s%s", LABEL_COLUMNS, "State", service_state_style(state),
		 out_esc(state), out_plain(), reason[0] ? " (" : "", out_esc(reason),
		 reason[0] ? ")" : "");
	print_member(service, "Address", "url");
	print_pair("Open to", service_is_public(service) ? "everybody who has the address" : "");
	json_array_foreach (keys, i, key) {
		print_whose_key(key, json_array_size(keys) == 1);
	}
	print_member(service, "Title", "title");
	print_time(service, "Starts", "start_at");
	print_time(service, "Stops", "stop_at");
	json_array_foreach (json_object_get(service, "paths"), i, path) {
		print_pair(i == 0 ? "Shares" : "", json_string_value(path));
	}
	print_options(service);
	print_transfers(json_object_get(service, "transfers"));
	print_webhook(json_object_get(service, "webhook"));
	print_member(service, "Backend", "backend");
	print_member(service, "Made", "created_at");
	print_member(service, "Started", "started_at");
}

/* --- the list --- */

/* Widths; 0: is not shown. */
struct table {
	size_t name, mode, counts, address;
};

static void print_counts(const json_t *service, char ret[COUNTS_TEXT])
{
	const json_t *transfers = json_object_get(service, "transfers");

	snprintf(ret, COUNTS_TEXT, "%lld/%lld", (long long)number(transfers, "active"),
		 (long long)number(transfers, "completed"));
}

static size_t most_name_columns(size_t terminal)
{
	if (terminal < LIST_COLUMNS) {
		return NARROW_NAME_COLUMNS;
	}
	return terminal / 4 < NAME_COLUMNS ? NAME_COLUMNS : terminal / 4;
}

/* What a narrow terminal has no room for is left out: modes, then counts. */
static struct table measure(const json_t *services)
{
	size_t terminal = out_columns() ? out_columns() : FILE_COLUMNS, used, i;
	struct table t = {.name = strlen("NAME"), .counts = strlen("NOW/DONE")};
	char counts[COUNTS_TEXT];
	json_t *service;

	json_array_foreach (services, i, service) {
		size_t n = strlen(service_text(service, "name"));

		print_counts(service, counts);
		t.name = n > t.name ? n : t.name;
		t.counts = strlen(counts) > t.counts ? strlen(counts) : t.counts;
	}
	if (t.name > most_name_columns(terminal)) {
		t.name = most_name_columns(terminal);
	}
	t.mode = terminal < NARROW ? 0 : MODE_COLUMNS;
	used = t.name + GAP + STATE_COLUMNS + (t.mode > 0 ? GAP + t.mode : 0);
	if (used + GAP + t.counts > terminal) {
		t.counts = 0;
		return t;
	}
	used += GAP + t.counts + GAP;
	t.address = terminal >= used + LEAST_ADDRESS ? terminal - used : 0;
	return t;
}

/* Behind a gap, to the right if so wanted. */
static void add_cell(struct buf *b, const char *text, size_t width, bool right)
{
	if (width > 0) {
		buf_printf(b, "%*s%*s", GAP, "", right ? (int)width : -(int)width,
			   out_esc_cut(text, width));
	}
}

static void print_row(const struct table *t, const json_t *service)
{
	const char *state = service_text(service, "state");
	_cleanup_free_ char *address = service_short_url(service_text(service, "url"), t->address);
	bool failed = strcmp(state, "failed") == 0;
	struct buf before = BUF_INIT, after = BUF_INIT;
	char counts[COUNTS_TEXT];

	print_counts(service, counts);
	add_cell(&before, service_text(service, "mode"), t->mode, false);
	add_cell(&after, counts, t->counts, true);
	if (t->address > 0) {
		buf_printf(&after, "%*s%s", GAP, "",
			   out_esc_cut(failed ? service_text(service, "reason") : address,
				       t->address));
	}
	out_line("%-*s%s%*s%s%-*s%s%s", (int)t->name,
		 out_esc_cut(service_text(service, "name"), t->name), before.p ? before.p : "", GAP,
		 "", service_state_style(state), STATE_COLUMNS, out_esc(state), out_plain(),
		 after.p ? after.p : "");
	buf_done(&before);
	buf_done(&after);
}

void service_print_list(const json_t *services)
{
	struct table t = measure(services);
	struct buf head = BUF_INIT;
	size_t i;
	json_t *service;

	if (json_array_size(services) == 0) {
		out_note("No services. Make one: onionsharectl create share NAME PATH...");
		return;
	}
	buf_printf(&head, "%-*s", (int)t.name, "NAME");
	add_cell(&head, "MODE", t.mode, false);
	add_cell(&head, "STATE", STATE_COLUMNS, false);
	add_cell(&head, "NOW/DONE", t.counts, true);
	add_cell(&head, "ADDRESS", t.address > 0 ? strlen("ADDRESS") : 0, false);
	out_line("%s%s%s", out_style(STYLE_DIM), head.p, out_plain());
	buf_done(&head);
	json_array_foreach (services, i, service) {
		print_row(&t, service);
	}
}
