/* SPDX-License-Identifier: GPL-3.0-or-later */
/* key list, add, remove: whose private key opens a service. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "client/cmd.h"
#include "client/inbox/save.h"
#include "client/out.h"
#include "client/qr.h"
#include "client/service.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/base/io.h"

#define LABEL_COLUMNS 20

static const struct opt list_opts[] = {
	{"show", 0, NULL, "the private keys too"},
	{"qr", 0, NULL, "the private keys as QR codes"},
	{"output", 'o', "FILE", "one key into a new file, as Tor takes it (.auth_private)"},
	{0},
};

static const struct opt add_opts[] = {
	{"public-key", 0, "KEY", "of a pair that its owner made; the private half stays with them"},
	{"qr", 0, NULL, "address and private key also as QR codes"},
	{"output", 'o', "FILE", "the key into a new file, as Tor takes it (.auth_private)"},
	{0},
};

static const char *label_arg(const struct ctl *ctl)
{
	return ctl->args.n_words > 1 ? ctl->args.words[1] : NULL;
}

/* --- a file for ClientOnionAuthDir (tor's manual, CLIENT AUTHORIZATION) --- */

/* Nothing is overwritten, and nobody else may read it. */
static int open_file(const char *path, int *ret, struct error *err)
{
	*ret = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (*ret < 0) {
		return error_set(err, errno, "cannot make the file %s: %s", path, strerror(errno));
	}
	return 0;
}

static int write_file(const char *path, int fd, const char *onion, const json_t *key,
		      struct error *err)
{
	struct buf text = BUF_INIT;
	int r;

	buf_printf(&text, "%s:descriptor:x25519:%s\n", onion, service_text(key, "private_key"));
	r = io_write_all(fd, buf_span(&text));
	buf_wipe(&text);
	if (r == 0 && fsync(fd) < 0) {
		r = -errno;
	}
	return r < 0 ? error_set(err, -r, "cannot write the file %s: %s", path, strerror(-r)) : 0;
}

static int ask_service(struct ctl *ctl, json_t **ret, struct error *err)
{
	json_t *reply = NULL;
	int r = ctl_call(ctl, "Show", json_pack("{s:s}", "name", ctl->args.words[0]), &reply, err);

	if (r == 0) {
		*ret = json_incref(json_object_get(reply, "service"));
		json_decref(reply);
	}
	return r;
}

static int check_onion(const json_t *service, struct error *err)
{
	if (service_has(service, "onion")) {
		return 0;
	}
	return error_set_kind(err, EINVAL, ERROR_INVALID_STATE, "no address", NULL,
			      "%s has no onion address, which the file has to name",
			      service_text(service, "name"));
}

/* --- list --- */

static json_t *find_key(const json_t *keys, const char *label)
{
	size_t i;
	json_t *key;

	json_array_foreach (keys, i, key) {
		if (strcmp(service_text(key, "label"), label) == 0) {
			return key;
		}
	}
	return NULL;
}

/* The keys, or the one that is asked for; new reference. */
static int choose(struct ctl *ctl, const json_t *keys, json_t **ret, struct error *err)
{
	const char *label = label_arg(ctl);
	json_t *key = label ? find_key(keys, label) : NULL;

	if (label && !key) {
		return error_set_kind(err, ENOENT, ERROR_NO_SUCH_KEY, label, NULL,
				      "the service %s has no key with the label %s",
				      ctl->args.words[0], label);
	}
	*ret = label ? json_pack("[O]", key) : json_deep_copy(keys);
	return 0;
}

static void print_keys(struct ctl *ctl, const json_t *service, const json_t *keys)
{
	bool show = opt_given(&ctl->args, "show");
	size_t i;
	json_t *key;

	if (json_is_true(json_object_get(service, "public"))) {
		out_note("%s is public: nobody needs a key.", out_esc(ctl->args.words[0]));
	}
	json_array_foreach (keys, i, key) {
		const char *label = out_esc(service_text(key, "label"));
		int pad = LABEL_COLUMNS > out_width(label) ? (int)(LABEL_COLUMNS - out_width(label))
							   : 0;
		const char *what = show ? "private_key" : "public_key";

		out_line("%s%*s  %s", label, pad, "",
			 service_has(key, what) ? out_esc(service_text(key, what))
						: "(known to its owner only)");
		if (opt_given(&ctl->args, "qr") && service_has(key, "private_key")) {
			qr_print(service_text(key, "private_key"));
		}
	}
	if (json_array_size(keys) && !show) {
		out_note("These are the public halves; --show shows the private keys.");
	}
}

static int save_listed(struct ctl *ctl, const json_t *service, const json_t *keys,
		       struct error *err)
{
	const char *path = opt_text(&ctl->args, "output");
	const json_t *key = json_array_get(keys, 0);
	int fd = -1, r;

	if (json_array_size(keys) != 1 || !service_has(key, "private_key")) {
		return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "output",
				      "not one private key",
				      "a file holds one private key that is known here; name its "
				      "label");
	}
	r = check_onion(service, err);
	if (r == 0) {
		r = open_file(path, &fd, err);
	}
	if (r < 0) {
		return r;
	}
	r = write_file(path, fd, service_text(service, "onion"), key, err);
	close(fd);
	if (r < 0) {
		unlink(path);
	}
	return r;
}

static int run_list(struct ctl *ctl)
{
	struct error err = ERROR_INIT;
	json_t *service = NULL, *reply = NULL, *keys = NULL;
	int r = ask_service(ctl, &service, &err);

	if (r == 0) {
		r = ctl_call(ctl, "KeyList", json_pack("{s:s}", "name", ctl->args.words[0]), &reply,
			     &err);
	}
	if (r == 0) {
		r = choose(ctl, json_object_get(reply, "keys"), &keys, &err);
	}
	if (r == 0 && opt_given(&ctl->args, "output")) {
		r = save_listed(ctl, service, keys, &err);
	}
	if (r == 0 && out_is_json()) {
		out_json(keys);
	} else if (r == 0) {
		print_keys(ctl, service, keys);
	}
	json_decref(keys);
	json_decref(reply);
	json_decref(service);
	return r < 0 ? ctl_fail(&err) : 0;
}

/* --- add --- */

static json_t *add_params(struct ctl *ctl)
{
	json_t *params = json_pack("{s:s}", "name", ctl->args.words[0]);

	if (label_arg(ctl)) {
		json_object_set_new(params, "label", json_string(label_arg(ctl)));
	}
	if (opt_given(&ctl->args, "public-key")) {
		json_object_set_new(params, "public_key",
				    json_string(opt_text(&ctl->args, "public-key")));
	}
	return params;
}

static void print_added(struct ctl *ctl, const json_t *service, const json_t *key)
{
	const char *label = service_text(key, "label");

	if (!service_has(service, "onion")) {
		out_note("Without Tor nothing asks for keys; it is kept.");
	} else {
		out_note("Give this address%s to %s:",
			 service_has(key, "private_key") ? " and private key" : "", out_esc(label));
		out_line("%s%s%s", out_style(STYLE_BOLD), out_esc(service_text(service, "url")),
			 out_plain());
	}
	if (service_has(key, "private_key")) {
		out_line("Private key (%s): %s", out_esc(label),
			 out_esc(service_text(key, "private_key")));
	}
	if (opt_given(&ctl->args, "qr") && service_has(service, "url")) {
		out_note("Address as QR code:");
		qr_print(service_text(service, "url"));
	}
	if (opt_given(&ctl->args, "qr") && service_has(key, "private_key")) {
		out_note("Private key as QR code:");
		qr_print(service_text(key, "private_key"));
	}
}

/* The file is there, and what it needs, before a key is made for it. */
static int prepare_file(struct ctl *ctl, int *ret, struct error *err)
{
	json_t *service = NULL;
	int r;

	if (!opt_given(&ctl->args, "output")) {
		return 0;
	}
	r = ask_service(ctl, &service, err);
	if (r == 0) {
		r = check_onion(service, err);
	}
	if (r == 0) {
		r = open_file(opt_text(&ctl->args, "output"), ret, err);
	}
	json_decref(service);
	return r;
}

static int add(struct ctl *ctl, int fd, struct error *err)
{
	const char *path = opt_text(&ctl->args, "output");
	json_t *reply = NULL;
	const json_t *service, *key;
	int r = ctl_call(ctl, "KeyAdd", add_params(ctl), &reply, err);

	if (r < 0) {
		if (fd >= 0) {
			unlink(path);
		}
		return r;
	}
	service = json_object_get(reply, "service");
	key = json_object_get(reply, "key");
	if (fd >= 0) {
		r = write_file(path, fd, service_text(service, "onion"), key, err);
	}
	if (out_is_json() && r == 0) {
		out_json(key);
	} else if (!out_is_json()) {
		print_added(ctl, service, key); /* also when the file is not whole: it is made */
	}
	json_decref(reply);
	return r;
}

static int run_add(struct ctl *ctl)
{
	struct error err = ERROR_INIT;
	_cleanup_close_ int fd = -1;
	int r;

	if (opt_given(&ctl->args, "public-key") && opt_given(&ctl->args, "output")) {
		return ctl_misuse(ctl, "--output wants a private key, which --public-key leaves "
				       "with its owner");
	}
	r = prepare_file(ctl, &fd, &err);
	if (r == 0) {
		r = add(ctl, fd, &err);
	}
	return r < 0 ? ctl_fail(&err) : 0;
}

/* --- remove --- */

static void print_removed(struct ctl *ctl, const json_t *reply)
{
	(void)reply;
	out_note("The key of %s does not open %s any more.", out_esc(ctl->args.words[1]),
		 out_esc(ctl->args.words[0]));
}

static int run_remove(struct ctl *ctl)
{
	return ctl_call_and_print(ctl, "KeyRemove",
				  json_pack("{s:s, s:s}", "name", ctl->args.words[0], "label",
					    ctl->args.words[1]),
				  "service", print_removed);
}

const struct command cmd_key_list = {
	.name = "key list",
	.synopsis = "NAME [LABEL]",
	.summary = "the private keys that open a service",
	.help = "Whose keys there are, with their public halves; --show: the private keys again.",
	.opts = list_opts,
	.min_words = 1,
	.max_words = 2,
	.run = run_list,
};

const struct command cmd_key_add = {
	.name = "key add",
	.synopsis = "NAME [LABEL]",
	.summary = "give another person or group a private key of their own",
	.help = "Makes a key, at most 256 a service, and prints it with the address: both go into\n"
		"Tor Browser. The label says whose it is, so that it can be taken back alone. "
		"Those\n"
		"who are connected notice nothing. It works a few seconds later.\n"
		"Without Tor Browser: --output writes the file that a tor reads from its\n"
		"ClientOnionAuthDir.",
	.opts = add_opts,
	.min_words = 1,
	.max_words = 2,
	.run = run_add,
};

const struct command cmd_key_remove = {
	.name = "key remove",
	.synopsis = "NAME LABEL",
	.summary = "take a private key back",
	.help = "Whoever came by it is locked out when this returns, with open connections.\n"
		"Tor does not tell who uses which key, so the connections of all others are cut\n"
		"too; they get in again after a moment, and downloads can be resumed.",
	.min_words = 2,
	.max_words = 2,
	.run = run_remove,
};
