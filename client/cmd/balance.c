/* SPDX-License-Identifier: GPL-3.0-or-later */
/* balance: what the frontend of an Onionbalance needs, made here; the daemon is not asked. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cmd.h"
#include "client/out.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/base/crypto.h"
#include "proto/base/io.h"
#include "proto/base/onion.h"

#define KEY_NAME      "frontend.key"
#define BACKENDS_MAX  64 /* two introduction points each, and 20 fit into a descriptor */
#define KEY_FILE_SIZE (32 + ED25519_EXPANDED_SIZE)

/* What stands before the key in tor's file of one (its hs_ed25519_secret_key): 32 bytes. */
static const char key_mark[32] = "== ed25519v1-secret: type0 ==";

/* --- files --- */

static int cannot_write(struct error *err, const char *path, int code)
{
	return error_set(err, code, "cannot write %s: %s", path, strerror(code));
}

/* A new one: nothing is overwritten. */
static int write_new(const char *path, mode_t mode, struct span bytes, struct error *err)
{
	_cleanup_close_ int fd =
		open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	int r;

	if (fd < 0) {
		return cannot_write(err, path, errno);
	}
	r = io_write_all(fd, bytes);
	if (r == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0)) {
		r = -errno;
	}
	if (r < 0) {
		unlink(path);
		return cannot_write(err, path, -r);
	}
	return 0;
}

static int read_key(const char *path, uint8_t ret[ED25519_EXPANDED_SIZE], struct error *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char bytes[KEY_FILE_SIZE + 1];
	ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));
	int r = 0;

	if (n < 0) {
		r = error_set(err, errno, "cannot read %s: %s", path, strerror(errno));
	} else if (n != KEY_FILE_SIZE || memcmp(bytes, key_mark, sizeof(key_mark)) != 0) {
		r = error_set(err, EINVAL,
			      "%s is no key of an onion service: have one made with 'balance key', "
			      "or take the hs_ed25519_secret_key of a tor",
			      path);
	} else {
		memcpy(ret, bytes + sizeof(key_mark), ED25519_EXPANDED_SIZE);
	}
	crypto_wipe(bytes, sizeof(bytes));
	return r;
}

/* --- balance key --- */

static const struct opt key_opts[] = {
	{"output", 'o', "FILE", "where to (" KEY_NAME ")"},
	{0},
};

static int run_key(struct ctl *ctl)
{
	const char *path = opt_text(&ctl->args, "output");
	uint8_t bytes[KEY_FILE_SIZE], public_key[ED25519_PUBLIC_SIZE];
	char name[ONION_NAME_LEN + 1];
	struct error err = ERROR_INIT;
	int r;

	path = path ? path : KEY_NAME;
	memcpy(bytes, key_mark, sizeof(key_mark));
	ed25519_make(bytes + sizeof(key_mark), public_key);
	onion_print(public_key, name);
	r = write_new(path, 0600, span_of((const char *)bytes, sizeof(bytes)), &err);
	crypto_wipe(bytes, sizeof(bytes));
	if (r < 0) {
		return ctl_fail(&err);
	}
	if (out_is_json()) {
		json_t *o = json_pack("{s:s, s:s}", "onion", name, "file", path);

		out_json(o);
		json_decref(o);
	} else {
		out_note("The frontend's key is in %s. Keep it: who has it has the address.",
			 out_esc(path));
		printf("http://%s.onion\n", name);
	}
	return 0;
}

/* --- balance config --- */

static const struct opt config_opts[] = {
	{"key", 0, "FILE", "the frontend's key, as 'balance key' or a tor has written it"},
	{"output", 'o', "DIR", "write the files into this folder"},
	{0},
};

static const char torrc[] =
	"# The tor of the Onionbalance frontend: a process of its own, beside any other.\n"
	"# For Debian: tor-instance-create onionbalance, then this as\n"
	"# /etc/tor/instances/onionbalance/torrc.\n"
	"SocksPort 0\n"
	"SafeLogging 1\n"
	"AvoidDiskWrites 1\n";

static const char drop_in[] =
	"# For /etc/systemd/system/onionbalance.service.d/onionshared.conf: Onionbalance with the\n"
	"# tor@onionbalance that tor-instance-create has made.\n"
	"[Unit]\n"
	"Requires=tor@onionbalance.service\n"
	"After=tor@onionbalance.service\n"
	"StartLimitIntervalSec=0\n"
	"\n"
	"[Service]\n"
	"# It ends when its tor does not know the network yet.\n"
	"Restart=on-failure\n"
	"RestartSec=10s\n"
	"SupplementaryGroups=_tor-onionbalance\n"
	"# Its user would not be one of that group in a namespace of users.\n"
	"PrivateUsers=no\n"
	"ExecStart=\n"
	"ExecStart=/usr/sbin/onionbalance -s /run/tor-instances/onionbalance/control "
	"-c /etc/onionbalance/config.yaml\n";

/* The backends' addresses, each once, and none of them the frontend's. */
static int read_backends(struct ctl *ctl, const char *frontend, char (*ret)[ONION_NAME_LEN + 1],
			 struct error *err)
{
	for (size_t i = 0; i < ctl->args.n_words; i++) {
		const char *word = ctl->args.words[i];
		struct error why = ERROR_INIT;

		if (onion_parse(span_str(word), ret[i], &why) < 0) {
			error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "ADDRESS",
				       error_text(&why), "%s %s", out_esc(word), error_text(&why));
			error_done(&why);
			return -EINVAL;
		}
		if (strcmp(ret[i], frontend) == 0) {
			return error_set(err, EINVAL,
					 "%s.onion is the frontend itself, and no backend", ret[i]);
		}
		for (size_t k = 0; k < i; k++) {
			if (strcmp(ret[k], ret[i]) == 0) {
				return error_set(err, EINVAL, "%s.onion is there twice", ret[i]);
			}
		}
	}
	return 0;
}

static void make_yaml(const struct ctl *ctl, const char *frontend,
		      char (*backends)[ONION_NAME_LEN + 1], struct buf *b)
{
	buf_add_str(b, "# Onionbalance: one address in front of several machines.\n");
	if (*frontend) {
		buf_printf(b, "# The address that people get: http://%s.onion\n", frontend);
	}
	buf_add_str(b, "services:\n- key: " KEY_NAME "\n  instances:\n");
	for (size_t i = 0; i < ctl->args.n_words; i++) {
		buf_printf(b, "  - address: %s.onion\n    name: node%zu\n", backends[i], i + 1);
	}
}

/* The name of a file is what people are to see of it. */
static int put_in(const char *dir, const char *name, mode_t mode, struct span bytes,
		  struct error *err)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	int r = write_new(path, mode, bytes, err);

	if (r == 0) {
		out_note("wrote %s", out_esc(path));
	}
	return r;
}

static int write_files(const char *dir, struct span yaml, const uint8_t *key, struct error *err)
{
	int r = 0;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		return error_set(err, errno, "cannot make %s: %s", dir, strerror(errno));
	}
	if (key) {
		char file[KEY_FILE_SIZE];

		memcpy(file, key_mark, sizeof(key_mark));
		memcpy(file + sizeof(key_mark), key, ED25519_EXPANDED_SIZE);
		r = put_in(dir, KEY_NAME, 0600, span_of(file, sizeof(file)), err);
		crypto_wipe(file, sizeof(file));
	}
	if (r == 0) {
		r = put_in(dir, "config.yaml", 0644, yaml, err);
	}
	if (r == 0) {
		r = put_in(dir, "torrc", 0644, span_str(torrc), err);
	}
	return r < 0 ? r : put_in(dir, "onionshared.conf", 0644, span_str(drop_in), err);
}

static int run_config(struct ctl *ctl)
{
	const char *key_file = opt_text(&ctl->args, "key"), *dir = opt_text(&ctl->args, "output");
	char backends[BACKENDS_MAX][ONION_NAME_LEN + 1], frontend[ONION_NAME_LEN + 1] = "";
	uint8_t key[ED25519_EXPANDED_SIZE];
	struct error err = ERROR_INIT;
	struct buf yaml = BUF_INIT;
	int r = key_file ? read_key(key_file, key, &err) : 0;

	if (r == 0 && key_file) {
		uint8_t public_key[ED25519_PUBLIC_SIZE];

		ed25519_public(key, public_key);
		onion_print(public_key, frontend);
	}
	if (r == 0) {
		r = read_backends(ctl, frontend, backends, &err);
	}
	if (r == 0) {
		make_yaml(ctl, frontend, backends, &yaml);
	}
	if (r == 0 && dir) {
		r = write_files(dir, buf_span(&yaml), key_file ? key : NULL, &err);
	} else if (r == 0) {
		printf("# --- config.yaml ---\n%s\n# --- torrc ---\n%s\n# --- onionshared.conf "
		       "---\n%s",
		       yaml.p, torrc, drop_in);
	}
	crypto_wipe(key, sizeof(key));
	buf_done(&yaml);
	return r < 0 ? ctl_fail(&err) : 0;
}

const struct command cmd_balance_key = {
	.name = "balance key",
	.synopsis = "",
	.summary = "make the key of an Onionbalance frontend, and so its address",
	.help = "The address is that of one public service on several machines; each of them is\n"
		"made with --backend-of ADDRESS. The key belongs to the machine with "
		"Onionbalance,\n"
		"and into a safe. An existing file is not overwritten.",
	.opts = key_opts,
	.min_words = 0,
	.max_words = 0,
	.run = run_key,
};

const struct command cmd_balance_config = {
	.name = "balance config",
	.synopsis = "ADDRESS...",
	.summary = "the configuration of Onionbalance in front of these backends",
	.help = "The addresses are those of the services that were made with --backend-of. Prints\n"
		"Onionbalance's config.yaml, the torrc of its tor, and a drop-in for systemd; or\n"
		"writes them, with the key, into a folder for the machine with Onionbalance.",
	.opts = config_opts,
	.min_words = 1,
	.max_words = BACKENDS_MAX,
	.run = run_config,
};
