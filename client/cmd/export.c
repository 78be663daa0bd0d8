/* SPDX-License-Identifier: GPL-3.0-or-later */
/* export: services with their keys into a file, for another machine or a bad day. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cmd.h"
#include "client/inbox/save.h"
#include "client/move/exported.h"
#include "client/out.h"
#include "client/service.h"
#include "proto/base/alloc.h"
#include "proto/base/io.h"

static const struct opt opts[] = {
	{"output", 'o', "FILE", "where to; else standard output"},
	{"all", 0, NULL, "all services"},
	{"force", 0, NULL, "overwrite the file"},
	{"passphrase-file", 0, "FILE", "the passphrase is its first line; - is standard input"},
	{"encrypt-to", 0, "RECIPIENT",
	 "for this age recipient instead; may be given several times"},
	{"plain", 0, NULL, "not encrypted: who reads it has the addresses"},
	{0},
};

/* --- asking the daemon --- */

static int export_one(struct ctl *ctl, const char *name, json_t *services, struct error *err)
{
	json_t *reply = NULL;
	int r = ctl_call(ctl, "Export", json_pack("{s:s}", "name", name), &reply, err);

	if (r == 0) {
		json_array_append_new(services, reply);
	}
	return r;
}

static int export_all(struct ctl *ctl, json_t *services, struct error *err)
{
	json_t *all = NULL, *service;
	size_t i;
	int r = ctl_list(ctl, &all, err);

	json_array_foreach (all, i, service) {
		bool one_off = json_is_true(json_object_get(service, "ephemeral"));

		if (r == 0 && !one_off) {
			r = export_one(ctl, service_text(service, "name"), services, err);
		}
	}
	json_decref(all);
	if (r == 0 && json_array_size(services) == 0) {
		r = error_set(err, ENOENT, "there are no services to export");
	}
	return r;
}

static int collect(struct ctl *ctl, json_t *services, struct error *err)
{
	int r = 0;

	if (opt_given(&ctl->args, "all")) {
		return export_all(ctl, services, err);
	}
	for (size_t i = 0; i < ctl->args.n_words && r == 0; i++) {
		r = export_one(ctl, ctl->args.words[i], services, err);
	}
	return r;
}

/* --- encrypting --- */

static int read_recipients(struct ctl *ctl, struct age_recipient *all, size_t *n, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < ctl->args.n_values && r == 0; i++) {
		const struct opt_value *v = &ctl->args.values[i];

		if (strcmp(v->opt->name, "encrypt-to") != 0) {
			continue;
		}
		if (*n == AGE_RECIPIENTS_MAX) {
			return error_set(err, E2BIG, "more than %u recipients", AGE_RECIPIENTS_MAX);
		}
		r = age_parse_recipient(span_str(v->text), &all[*n], err);
		if (r < 0) {
			error_context(err, "--encrypt-to");
		}
		*n += r == 0;
	}
	return r;
}

/* What opens it is known, and right, before the daemon hands anything out. */
struct lock {
	struct age_recipient recipients[AGE_RECIPIENTS_MAX];
	size_t n;
	struct buf passphrase;
};

static int read_lock(struct ctl *ctl, struct lock *lock, struct error *err)
{
	const char *file = opt_text(&ctl->args, "passphrase-file");
	int r = read_recipients(ctl, lock->recipients, &lock->n, err);

	if (r < 0 || lock->n || opt_given(&ctl->args, "plain")) {
		return r;
	}
	return file ? passphrase_read(file, &lock->passphrase, err)
		    : passphrase_ask(true, &lock->passphrase, err);
}

/* --- writing --- */

static int cannot_write(struct error *err, const char *path, int code)
{
	return error_set(err, code, "cannot write %s: %s%s", path, strerror(code),
			 code == EEXIST ? " (--force overwrites it)" : "");
}

/* Beside the file, then into its place: all of it, or what was there before. */
static int write_file(const char *path, bool force, struct span bytes, struct error *err)
{
	_cleanup_free_ char *part = xasprintf("%s.part", path);
	_cleanup_close_ int fd =
		open(part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0) {
		return cannot_write(err, part, errno);
	}
	r = io_write_all(fd, bytes);
	if (r == 0 && fsync(fd) < 0) {
		r = -errno;
	}
	if (r == 0 && (force ? rename(part, path) : link(part, path)) < 0) {
		r = -errno;
	}
	if (r < 0 || !force) {
		unlink(part);
	}
	return r < 0 ? cannot_write(err, path, -r) : 0;
}

static int put(struct ctl *ctl, struct span bytes, struct error *err)
{
	const char *path = opt_text(&ctl->args, "output");

	if (path) {
		return write_file(path, opt_given(&ctl->args, "force"), bytes, err);
	}
	int r = io_write_all(STDOUT_FILENO, bytes);

	return r < 0 ? cannot_write(err, "standard output", -r) : 0;
}

/* --- the command --- */

static int seal_and_put(struct ctl *ctl, const json_t *services, const struct lock *lock,
			struct error *err)
{
	struct buf plain = BUF_INIT, sealed = BUF_INIT;
	int r = 0;

	exported_make(services, &plain);
	if (plain.len > EXPORTED_MAX) {
		r = error_set(err, EFBIG, "that is too much for one file: export some at a time");
	} else if (opt_given(&ctl->args, "plain")) {
		r = put(ctl, buf_span(&plain), err);
	} else {
		r = exported_seal(buf_span(&plain), buf_span(&lock->passphrase), lock->recipients,
				  lock->n, &sealed, err);
		r = r < 0 ? r : put(ctl, buf_span(&sealed), err);
	}
	buf_wipe(&plain);
	buf_done(&sealed);
	return r;
}

static int export(struct ctl *ctl)
{
	struct error err = ERROR_INIT;
	struct lock lock = {0};
	json_t *services = json_array();
	int r = read_lock(ctl, &lock, &err);

	if (r == 0) {
		r = collect(ctl, services, &err);
	}
	if (r == 0) {
		r = seal_and_put(ctl, services, &lock, &err);
	}
	if (r == 0) {
		out_note("Exported: %zu. What they serve or have received is not in it.",
			 json_array_size(services));
	}
	buf_wipe(&lock.passphrase);
	json_decref(services);
	return r < 0 ? ctl_fail(&err) : 0;
}

static int run(struct ctl *ctl)
{
	bool all = opt_given(&ctl->args, "all"), plain = opt_given(&ctl->args, "plain");
	bool to = opt_given(&ctl->args, "encrypt-to");
	bool passphrase = opt_given(&ctl->args, "passphrase-file");

	if (all == (ctl->args.n_words > 0)) {
		return ctl_misuse(ctl, "'export' needs NAME, or --all");
	}
	if (plain + to + passphrase > 1) {
		return ctl_misuse(ctl, "one of --plain, --encrypt-to and --passphrase-file");
	}
	if (!opt_given(&ctl->args, "output") && isatty(STDOUT_FILENO)) {
		return ctl_misuse(ctl, "this does not belong on a terminal: give --output FILE");
	}
	return export(ctl);
}

const struct command cmd_export = {
	.name = "export",
	.synopsis = "NAME...",
	.summary = "services with their addresses and keys into a file",
	.help = "For another machine, or as a backup: 'import FILE' makes the same services "
		"there.\n"
		"The file is encrypted as age does it, with a passphrase that is asked for, or to\n"
		"recipients. Files that are served and submissions are not in it. Root and the\n"
		"daemon's own user only, for who has the keys can take the addresses over.",
	.opts = opts,
	.min_words = 0,
	.max_words = SIZE_MAX,
	.run = run,
};
