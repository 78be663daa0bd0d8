/* SPDX-License-Identifier: GPL-3.0-or-later */
/* inbox: what has come in to a receive service. Names and messages are visitors' text. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cmd.h"
#include "client/inbox/unseal.h"
#include "client/out.h"
#include "client/service.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/base/utf8.h"
#include "proto/units.h"

#define ID_COLUMNS   16
#define TIME_COLUMNS 20
#define SIZE_COLUMNS 10
#define LIST_COLUMNS 80
#define NAMES_SHOWN  20u /* of one submission, in a list */

static int take_id(struct ctl *ctl, const char *text, json_int_t *ret)
{
	uint64_t id;

	if (span_u64(span_str(text), INT64_MAX, &id) < 0) {
		return ctl_misuse(ctl, "'%s' is no ID: 'inbox list' shows them", text);
	}
	*ret = (json_int_t)id;
	return 0;
}

static json_t *params_of(struct ctl *ctl, json_int_t id)
{
	return json_pack("{s:s, s:I}", "name", ctl->args.words[0], "id", id);
}

/* --- identities --- */

static const struct opt identity_opts[] = {
	{"identity", 'i', "FILE",
	 "age's secret keys for what is encrypted; - reads them from stdin"},
	{0},
};

static int read_identities(const struct ctl *ctl, struct identities *ret, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < ctl->args.n_values && r == 0; i++) {
		const struct opt_value *v = &ctl->args.values[i];

		if (v->opt == &identity_opts[0]) {
			r = identities_read(v->text, ret, err);
		}
	}
	return r;
}

/* --- list --- */

static uint64_t total_size(const json_t *submission)
{
	uint64_t sum = 0;
	size_t i;
	json_t *file;

	json_array_foreach (json_object_get(submission, "files"), i, file) {
		sum += (uint64_t)json_integer_value(json_object_get(file, "size"));
	}
	return sum;
}

/* "a.txt, b.txt + message" */
static void add_contents(struct buf *b, const json_t *submission)
{
	const json_t *files = json_object_get(submission, "files");
	size_t i;
	json_t *file;

	if (json_is_true(json_object_get(submission, "encrypted"))) {
		buf_add_str(b, "encrypted");
		return;
	}
	json_array_foreach (files, i, file) {
		if (i == NAMES_SHOWN) {
			buf_add_str(b, ", ...");
			break;
		}
		buf_printf(b, "%s%s", i ? ", " : "", service_text(file, "name"));
	}
	if (json_is_true(json_object_get(submission, "message"))) {
		buf_add_str(b, json_array_size(files) ? " + message" : "message");
	}
}

static void print_submission(const json_t *submission)
{
	size_t columns = out_live_columns() > LIST_COLUMNS ? out_live_columns() : LIST_COLUMNS;
	struct buf contents = BUF_INIT;
	char size[UNITS_SIZE_TEXT];

	buf_add_str(&contents, "");
	add_contents(&contents, submission);
	out_line("%*lld  %-*s  %*s  %s", ID_COLUMNS,
		 (long long)json_integer_value(json_object_get(submission, "id")), TIME_COLUMNS,
		 out_esc(service_text(submission, "received_at")), SIZE_COLUMNS,
		 units_print_size(total_size(submission), size),
		 out_esc_cut(contents.p,
			     columns - (ID_COLUMNS + TIME_COLUMNS + SIZE_COLUMNS + 3 * 2)));
	buf_done(&contents);
}

static void print_page(const json_t *page, bool first)
{
	size_t i;
	json_t *submission;

	if (first && json_array_size(page) == 0) {
		out_note("Nothing has come in yet.");
		return;
	}
	if (first) {
		out_line("%s%*s  %-*s  %*s  %s%s", out_style(STYLE_DIM), ID_COLUMNS, "ID",
			 TIME_COLUMNS, "RECEIVED", SIZE_COLUMNS, "SIZE", "WHAT", out_plain());
	}
	json_array_foreach (page, i, submission) {
		print_submission(submission);
	}
}

static int run_list(struct ctl *ctl)
{
	struct error err = ERROR_INIT;
	json_t *all = json_array();
	json_int_t after = -1;
	bool more = true;

	for (bool first = true; more; first = false) {
		json_t *reply = NULL, *page;
		json_t *params =
			json_pack("{s:s, s:I}", "name", ctl->args.words[0], "after", after);

		if (ctl_call(ctl, "InboxList", params, &reply, &err) < 0) {
			json_decref(all);
			return ctl_fail(&err);
		}
		page = json_object_get(reply, "submissions");
		if (out_is_json()) {
			json_array_extend(all, page);
		} else {
			print_page(page, first);
		}
		/* One that says there is more and shows none has been emptied meanwhile. */
		more = json_is_true(json_object_get(reply, "more")) && json_array_size(page) > 0;
		if (more) {
			after = json_integer_value(
				json_object_get(json_array_get(page, json_array_size(page) - 1),
						"id"));
		}
		json_decref(reply);
	}
	if (out_is_json()) {
		out_json(all);
	}
	json_decref(all);
	return 0;
}

/* --- the files of one --- */

/* What is done with each of them; fd stays the caller's. */
typedef int each_file_fn(void *ud, const json_t *file, int fd, struct error *err);

static int one_round(json_t *reply, struct rpc_fds *fds, each_file_fn *each, void *ud,
		     struct error *err)
{
	const json_t *files = json_object_get(reply, "files");
	size_t i;
	json_t *file;

	if (json_array_size(files) != fds->n) {
		return error_set(err, EPROTO, "the daemon did not send the files it told of");
	}
	json_array_foreach (files, i, file) {
		int r = each(ud, file, fds->fd[i], err);

		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int for_each_file(struct ctl *ctl, json_int_t id, each_file_fn *each, void *ud,
			 struct error *err)
{
	size_t first = 0;
	bool more = true;
	int r = ctl_connect(ctl, err);

	while (r == 0 && more) {
		json_t *reply = NULL, *params = params_of(ctl, id);
		struct rpc_fds fds = {0};

		json_object_set_new(params, "first", json_integer((json_int_t)first));
		r = rpc_call_fds(ctl->rpc, "InboxOpen", params, &reply, &fds, err);
		if (r == 0) {
			r = one_round(reply, &fds, each, ud, err);
			more = json_is_true(json_object_get(reply, "more")) && fds.n > 0;
			first += fds.n;
		}
		rpc_fds_close(&fds);
		json_decref(reply);
	}
	return r;
}

/* --- show --- */

static int read_message(void *ud, const json_t *file, int fd, struct error *err)
{
	struct buf *b = ud;

	if (strcmp(service_text(file, "kind"), "message") != 0) {
		return 0;
	}
	while (b->len < UNSEAL_MESSAGE_MAX) {
		char *room = buf_reserve(b, 64 * 1024);
		ssize_t n = read(fd, room, 64 * 1024);

		if (n < 0) {
			return error_set(err, errno, "cannot read the message: %s",
					 strerror(errno));
		}
		if (n == 0) {
			break;
		}
		b->len += (size_t)n;
	}
	return 0;
}

/* A message that is too long for the answer is read from its file. */
static int complete_text(struct ctl *ctl, json_int_t id, json_t *reply, struct error *err)
{
	struct buf bytes = BUF_INIT, text = BUF_INIT;
	int r;

	if (!json_is_true(json_object_get(reply, "cut"))) {
		return 0;
	}
	r = for_each_file(ctl, id, read_message, &bytes, err);
	if (r == 0) {
		utf8_lossy(&text, buf_span(&bytes));
		json_object_set_new(reply, "text", json_stringn(text.p ? text.p : "", text.len));
	}
	buf_wipe(&text);
	buf_wipe(&bytes);
	return r;
}

static void print_text(const char *text)
{
	struct span rest = span_str(text);

	out_line("%s", "");
	while (rest.p && rest.n) {
		struct span line = span_cut(&rest, '\n');
		_cleanup_free_ char *copy = xmemdup(line.n ? line.p : "", line.n);

		if (line.n && copy[line.n - 1] == '\r') {
			copy[line.n - 1] = '\0';
		}
		out_line("%s", out_esc(copy));
	}
}

static void print_one(const json_t *submission, const char *text, bool opened)
{
	char size[UNITS_SIZE_TEXT];
	size_t i;
	json_t *file;

	out_line("%s%lld%s", out_style(STYLE_BOLD),
		 (long long)json_integer_value(json_object_get(submission, "id")), out_plain());
	out_line("  Received  %s", out_esc(service_text(submission, "received_at")));
	out_line("      Path  %s", out_esc(service_text(submission, "path")));
	if (json_is_true(json_object_get(submission, "encrypted"))) {
		out_line(" Encrypted  yes%s", opened ? "" : ": --identity FILE opens it");
	}
	json_array_foreach (json_object_get(submission, "files"), i, file) {
		units_print_size((uint64_t)json_integer_value(json_object_get(file, "size")), size);
		out_line("%10s  %10s  %s", i ? "" : "Files", size,
			 out_esc(service_text(file, "name")));
	}
	if (text) {
		print_text(text);
	}
}

struct looking {
	const struct identities *identities;
	json_t *reply;
	bool opened;
};

/* What was encrypted takes the place of the one file it came in. */
static int look_inside(void *ud, const json_t *file, int fd, struct error *err)
{
	struct looking *l = ud;
	json_t *submission = json_object_get(l->reply, "submission"), *files = NULL;
	struct buf text = BUF_INIT;
	bool message = false;
	int r;

	if (strcmp(service_text(file, "kind"), "encrypted") != 0) {
		return 0;
	}
	r = unseal_look(fd, l->identities, &files, &message, &text, err);
	if (r == 0) {
		l->opened = true;
		json_object_set_new(submission, "files", files);
		json_object_set_new(submission, "message", json_boolean(message));
		json_object_set_new(l->reply, "text",
				    message ? json_stringn(text.p ? text.p : "", text.len)
					    : json_null());
	}
	buf_wipe(&text);
	return r;
}

static int get_one(struct ctl *ctl, json_int_t id, struct looking *l, struct error *err)
{
	int r = ctl_call(ctl, "InboxShow", params_of(ctl, id), &l->reply, err);

	if (r == 0) {
		r = complete_text(ctl, id, l->reply, err);
	}
	return r == 0 && l->identities->n ? for_each_file(ctl, id, look_inside, l, err) : r;
}

static int run_show(struct ctl *ctl)
{
	struct identities identities = {.n = 0};
	struct looking l = {.identities = &identities};
	struct error err = ERROR_INIT;
	json_t *submission;
	json_int_t id = 0;
	int status = take_id(ctl, ctl->args.words[1], &id), r;

	if (status) {
		return status;
	}
	r = read_identities(ctl, &identities, &err);
	if (r == 0) {
		r = get_one(ctl, id, &l, &err);
	}
	if (r == 0) {
		submission = json_object_get(l.reply, "submission");
		if (out_is_json()) {
			json_object_set(submission, "text", json_object_get(l.reply, "text"));
			out_json(submission);
		} else {
			print_one(submission, json_string_value(json_object_get(l.reply, "text")),
				  l.opened);
		}
	}
	json_decref(l.reply);
	identities_wipe(&identities);
	return r < 0 ? ctl_fail(&err) : 0;
}

/* --- delete --- */

static int run_delete(struct ctl *ctl)
{
	struct error err = ERROR_INIT;
	json_t *results = json_array();
	int status = 0;

	for (size_t i = 1; i < ctl->args.n_words && status == 0; i++) {
		json_t *reply = NULL;
		json_int_t id = 0;

		status = take_id(ctl, ctl->args.words[i], &id);
		if (status == 0 &&
		    ctl_call(ctl, "InboxDelete", params_of(ctl, id), &reply, &err) < 0) {
			status = ctl_fail(&err);
		} else if (status == 0) {
			json_array_append_new(results, json_pack("{s:s, s:I, s:b}", "name",
								 ctl->args.words[0], "id", id,
								 "deleted", true));
			if (!out_is_json()) {
				out_note("%lld is deleted.", (long long)id);
			}
		}
		json_decref(reply);
	}
	if (status == 0 && out_is_json()) {
		out_json(json_array_size(results) == 1 ? json_array_get(results, 0) : results);
	}
	json_decref(results);
	return status;
}

/* --- save --- */

struct saving {
	struct save save;
	struct identities identities;
	bool still_encrypted;
	unsigned skipped;
};

static int save_file(void *ud, const json_t *file, int fd, struct error *err)
{
	struct saving *s = ud;
	bool encrypted = strcmp(service_text(file, "kind"), "encrypted") == 0;

	if (encrypted && s->identities.n) {
		return unseal(fd, &s->identities, &s->save, &s->skipped, err);
	}
	s->still_encrypted |= encrypted;
	return save_copy(&s->save, span_str(service_text(file, "name")), fd,
			 (uint64_t)json_integer_value(json_object_get(file, "size")), err);
}

static int save_all(struct ctl *ctl, json_int_t id, struct saving *s, struct error *err)
{
	int r = save_open(ctl->args.words[2], &s->save, err);

	if (r == 0) {
		r = for_each_file(ctl, id, save_file, s, err);
		if (r == 0) {
			r = save_finish(&s->save, err);
		}
		if (r < 0) {
			save_drop(&s->save);
		}
	}
	return r;
}

static void print_saved(struct ctl *ctl, const struct saving *s, json_int_t id)
{
	const char *dir = ctl->args.words[2];
	size_t i, n = json_array_size(s->save.files);
	json_t *file;

	if (out_is_json()) {
		json_t *path = json_string(dir); /* NULL: not UTF-8 */
		json_t *shown = json_pack("{s:s, s:I, s:o, s:O, s:b}", "name", ctl->args.words[0],
					  "id", id, "dir", path ? path : json_null(), "files",
					  s->save.files, "encrypted", s->still_encrypted);

		out_json(shown);
		json_decref(shown);
		return;
	}
	json_array_foreach (s->save.files, i, file) {
		out_line("%s/%s", dir, out_esc(service_text(file, "name")));
	}
	out_note("%zu file%s saved. Treat what strangers send with care.", n, n == 1 ? "" : "s");
	if (s->still_encrypted) {
		out_note("It is encrypted still: --identity FILE opens it, or age -d.");
	}
	if (s->skipped) {
		out_note("%u entries that are no plain files were left out.", s->skipped);
	}
}

static int run_save(struct ctl *ctl)
{
	struct saving s = {.save = {.dir = -1, .out = -1}};
	struct error err = ERROR_INIT;
	json_int_t id = 0;
	int status = take_id(ctl, ctl->args.words[1], &id), r;

	if (status) {
		return status;
	}
	r = read_identities(ctl, &s.identities, &err);
	if (r == 0) {
		r = save_all(ctl, id, &s, &err);
	}
	if (r == 0) {
		print_saved(ctl, &s, id);
	}
	save_done(&s.save);
	identities_wipe(&s.identities);
	return r < 0 ? ctl_fail(&err) : 0;
}

const struct command cmd_inbox_list = {
	.name = "inbox list",
	.synopsis = "NAME",
	.summary = "what has come in to a receive service",
	.help = "The oldest first. The names are the visitors' own words.",
	.min_words = 1,
	.max_words = 1,
	.run = run_list,
};

const struct command cmd_inbox_show = {
	.name = "inbox show",
	.synopsis = "NAME ID",
	.summary = "one submission and its message",
	.help = "What could deceive the eye or the terminal is shown as \\xNN or \\u{NNNN}. What "
		"is\n"
		"encrypted is opened here, in memory, never by the daemon.",
	.opts = identity_opts,
	.min_words = 2,
	.max_words = 2,
	.run = run_show,
};

const struct command cmd_inbox_save = {
	.name = "inbox save",
	.synopsis = "NAME ID DIR",
	.summary = "copy a submission's files, decrypted if need be",
	.help = "Writes the files, and the message as message.txt, into DIR, which is made if it\n"
		"is missing. All of them or none; nothing that is there is overwritten. The\n"
		"submission stays in the inbox. What is encrypted is opened here, never by the\n"
		"daemon; without --identity its file is copied as it is.",
	.opts = identity_opts,
	.min_words = 3,
	.max_words = 3,
	.any_bytes = true,
	.run = run_save,
};

const struct command cmd_inbox_delete = {
	.name = "inbox delete",
	.synopsis = "NAME ID...",
	.summary = "delete submissions",
	.help = "They are removed for good, but not overwritten: on today's disks and file\n"
		"systems nobody could promise what that does. Who has the disk may find\n"
		"traces, unless it is encrypted or the submissions were (--encrypt-to).",
	.min_words = 2,
	.max_words = SIZE_MAX,
	.run = run_delete,
};
