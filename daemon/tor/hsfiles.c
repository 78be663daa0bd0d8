/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tor/hsfiles.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fsutil.h"
#include "proto/base/alloc.h"
#include "proto/base/codec.h"
#include "proto/base/crypto.h"
#include "tor/onion.h"

/* What stands before a key in tor's file of it: 32 bytes. */
static const char key_mark[32] = "== ed25519v1-secret: type0 ==";
static const char public_mark[32] = "== ed25519v1-public: type0 ==";

void hsfiles_done(struct hsfiles *f)
{
	if (f->entries) {
		crypto_wipe(f->entries, f->n * sizeof(*f->entries));
	}
	free(f->entries);
	free(f->root);
	error_done(&f->err);
}

static int make_dir(const char *dir, struct error *err)
{
	struct stat st;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		return error_set(err, errno, "cannot make %s: %s", dir, strerror(errno));
	}
	if (lstat(dir, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid()) {
		return error_set(err, ENOTDIR, "%s is no directory of ours", dir);
	}
	if ((st.st_mode & 0777) != 0700 && chmod(dir, 0700) < 0) {
		return error_set(err, errno, "cannot make %s private: %s", dir, strerror(errno));
	}
	return 0;
}

static int put_file(struct hsfiles *f, const char *dir, const char *name, struct span wanted)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	char *text = NULL;
	ssize_t n = fs_read_file(path, wanted.n + 1, &text);
	bool same = n >= 0 && span_eq(span_of(text, (size_t)n), wanted);

	if (n > 0) {
		crypto_wipe(text, (size_t)n);
	}
	free(text);
	if (same) {
		return 0;
	}
	f->changed = true;
	return fs_write_file(path, wanted, 0600, &f->err);
}

/* Else tor makes it, and tells its log the address. The key begins the address. */
static int put_public(struct hsfiles *f, const char *dir, const struct hsfiles_entry *e)
{
	uint8_t address[ONION_ADDRESS_LEN * 5 / 8];
	char key[sizeof(public_mark) + 32];

	if (base32_decode(span_str(e->address), address, sizeof(address)) < 0) {
		return error_set(&f->err, EINVAL, "an address that is none");
	}
	memcpy(key, public_mark, sizeof(public_mark));
	memcpy(key + sizeof(public_mark), address, 32);
	return put_file(f, dir, "hs_ed25519_public_key", span_of(key, sizeof(key)));
}

static int write_entry(struct hsfiles *f, const struct hsfiles_entry *e)
{
	_cleanup_free_ char *dir = xasprintf("%s/%s", f->root, e->address);
	_cleanup_free_ char *config = xasprintf("MasterOnionAddress %s.onion\n", e->frontend);
	char key[sizeof(key_mark) + ONION_KEY_SIZE];
	int r = make_dir(dir, &f->err);

	memcpy(key, key_mark, sizeof(key_mark));
	memcpy(key + sizeof(key_mark), e->key, ONION_KEY_SIZE);
	if (r == 0) {
		r = put_file(f, dir, "ob_config", span_str(config));
	}
	if (r == 0) {
		r = put_public(f, dir, e);
	}
	if (r == 0) {
		r = put_file(f, dir, "hs_ed25519_secret_key", span_of(key, sizeof(key)));
	}
	crypto_wipe(key, sizeof(key));
	return r;
}

void hsfiles_write(struct hsfiles *f)
{
	bool room = f->n == 0 || make_dir(f->root, &f->err) == 0;

	for (size_t i = 0; i < f->n && room; i++) {
		f->entries[i].written = write_entry(f, &f->entries[i]) == 0;
	}
}

static bool has_entry(const struct hsfiles *f, const char *name)
{
	for (size_t i = 0; i < f->n; i++) {
		if (strcmp(f->entries[i].address, name) == 0) {
			return true;
		}
	}
	return false;
}

void hsfiles_sweep(struct hsfiles *f)
{
	DIR *d = opendir(f->root);
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		if (onion_address_valid(entry->d_name) && !has_entry(f, entry->d_name)) {
			_cleanup_free_ char *dir = xasprintf("%s/%s", f->root, entry->d_name);

			fs_remove_tree(dir, FS_ANY_OWNER, &f->err);
		}
	}
	if (d) {
		closedir(d);
	}
}
