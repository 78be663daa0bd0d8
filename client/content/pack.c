/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/content/pack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/alloc.h"
#include "proto/base/codec.h"
#include "proto/base/crypto.h"
#include "proto/base/io.h"
#include "proto/options.h"

#define INFO_NAME "onionshared-release.json"
#define END_NAME  "onionshared-release-end"
#define VERSION   1
#define CHUNK     (64u * 1024)
#define PIECE     (UINT64_C(16) << 20)

/* --- writing --- */

struct pack {
	struct archive *a;
	char *path, *part;
	int fd;     /* of part */
	int spool;  /* of a file until all of it is there: its size stands before it */
	char *name; /* of that file; NULL: none */
	uint64_t entries;
};

static int cannot_write(const struct pack *p, struct error *err)
{
	const char *why = archive_error_string(p->a);

	return error_set(err, EIO, "cannot write %s: %s", p->path, why ? why : strerror(errno));
}

static int add_header(struct pack *p, const char *name, mode_t type, uint64_t size,
		      struct error *err)
{
	struct archive_entry *entry = archive_entry_new();
	int r;

	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, type);
	archive_entry_set_perm(entry, type == AE_IFDIR ? 0755 : 0644);
	archive_entry_set_mtime(entry, 0, 0);
	archive_entry_set_size(entry, (la_int64_t)size);
	r = archive_write_header(p->a, entry);
	archive_entry_free(entry);
	return r == ARCHIVE_OK ? 0 : cannot_write(p, err);
}

static int add_bytes(struct pack *p, const char *name, struct span bytes, struct error *err)
{
	int r = add_header(p, name, AE_IFREG, bytes.n, err);

	if (r == 0 && archive_write_data(p->a, bytes.p, bytes.n) != (la_ssize_t)bytes.n) {
		r = cannot_write(p, err);
	}
	return r;
}

static int add_info(struct pack *p, const json_t *info, struct error *err)
{
	json_t *all = json_deep_copy(info);
	char hex[2 * 32 + 1];
	uint8_t key[32];

	crypto_random(key, sizeof(key));
	hex_encode(key, sizeof(key), hex);
	json_object_set_new(all, "onionshared_release", json_integer(VERSION));
	json_object_set_new(all, "key", json_string(hex));
	char *text = json_dumps(all, JSON_INDENT(2));
	int r = add_bytes(p, INFO_NAME, span_str(text), err);

	free(text);
	json_decref(all);
	return r;
}

/* Beside what it is for: a file may be larger than memory. */
static int make_spool(const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir = slash ? xmemdup(path, (size_t)(slash - path) + 1) : xstrdup(".");

	return open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

int pack_create(const char *path, const json_t *info, struct pack **ret, struct error *err)
{
	struct pack *p = xnew(struct pack);

	p->path = xstrdup(path);
	p->part = xasprintf("%s.part", path);
	p->spool = make_spool(path);
	p->a = archive_write_new();
	p->fd = access(path, F_OK) == 0
			? -1
			: open(p->part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (!p->a || p->spool < 0 || p->fd < 0) {
		bool there = p->fd < 0 && access(path, F_OK) == 0;

		error_set(err, there ? EEXIST : errno, "cannot write %s: %s", path,
			  strerror(there ? EEXIST : errno));
		pack_free(p);
		return -EIO;
	}
	archive_write_set_format_pax_restricted(p->a);
	archive_write_add_filter_gzip(p->a);
	/* Names are bytes, and the same file is the same bytes. */
	archive_write_set_options(p->a, "hdrcharset=BINARY,!timestamp");
	int r = archive_write_open_fd(p->a, p->fd) == ARCHIVE_OK ? add_info(p, info, err)
								 : cannot_write(p, err);

	if (r < 0) {
		pack_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

/* The file that is in the spool. */
static int flush_file(struct pack *p, struct error *err)
{
	struct stat st;
	char chunk[CHUNK];
	ssize_t n;

	if (!p->name) {
		return 0;
	}
	int r = fstat(p->spool, &st) == 0
			? add_header(p, p->name, AE_IFREG, (uint64_t)st.st_size, err)
			: cannot_write(p, err);

	lseek(p->spool, 0, SEEK_SET);
	while (r == 0 && (n = read(p->spool, chunk, sizeof(chunk))) > 0) {
		if (archive_write_data(p->a, chunk, (size_t)n) != n) {
			r = cannot_write(p, err);
		}
	}
	free(take_ptr(p->name));
	if (r == 0 && (ftruncate(p->spool, 0) < 0 || lseek(p->spool, 0, SEEK_SET) < 0)) {
		r = cannot_write(p, err);
	}
	return r;
}

int pack_add_dir(struct pack *p, struct span name, struct error *err)
{
	_cleanup_free_ char *text = xmemdup(name.p, name.n);
	int r = flush_file(p, err);

	p->entries++;
	return r < 0 ? r : add_header(p, text, AE_IFDIR, 0, err);
}

int pack_add_file(struct pack *p, struct span name, int fd, bool more, struct error *err)
{
	char chunk[CHUNK];
	ssize_t n = 0;
	int r = more ? 0 : flush_file(p, err);

	if (!more && r == 0) {
		p->name = xmemdup(name.p, name.n);
		p->entries++;
	}
	lseek(fd, 0, SEEK_SET);
	while (r == 0 && (n = read(fd, chunk, sizeof(chunk))) > 0) {
		if (io_write_all(p->spool, span_of(chunk, (size_t)n)) < 0) {
			r = cannot_write(p, err);
		}
	}
	if (r == 0 && n < 0) {
		r = error_set(err, errno, "cannot read a file: %s", strerror(errno));
	}
	close(fd);
	return r;
}

int pack_finish(struct pack *p, struct error *err)
{
	_cleanup_free_ char *end = xasprintf("%llu\n", (unsigned long long)p->entries);
	int r = flush_file(p, err);

	if (r == 0) {
		r = add_bytes(p, END_NAME, span_str(end), err);
	}
	if (r == 0 && (archive_write_close(p->a) != ARCHIVE_OK || fsync(p->fd) < 0)) {
		r = cannot_write(p, err);
	}
	if (r == 0 && link(p->part, p->path) < 0) {
		r = error_set(err, errno, "cannot write %s: %s", p->path, strerror(errno));
	}
	return r;
}

void pack_free(struct pack *p)
{
	if (!p) {
		return;
	}
	if (p->a) {
		archive_write_free(p->a);
	}
	if (p->fd >= 0) {
		unlink(p->part);
	}
	close_fdp(&p->fd);
	close_fdp(&p->spool);
	free(p->name);
	free(p->part);
	free(p->path);
	free(p);
}

/* --- reading: whoever has made it is not trusted more than any archive --- */

struct packed {
	struct archive *a;
	char *path;
	char *chunk;
	uint64_t entries;
};

static int refuse(const struct packed *p, const char *why, struct error *err)
{
	return error_set(err, EBADMSG, "%s: %s", p->path, why);
}

static int damaged(const struct packed *p, struct error *err)
{
	return refuse(p, "it is damaged or cut, and nothing was changed", err);
}

/* A small member as text; NUL behind it. */
static char *read_text(struct packed *p, const struct archive_entry *entry, size_t *ret_n)
{
	la_int64_t size = archive_entry_size((struct archive_entry *)(uintptr_t)entry);
	char *text;

	if (size < 0 || size > (la_int64_t)PACK_INFO_MAX) {
		return NULL;
	}
	text = xmalloc((size_t)size + 1);
	if (archive_read_data(p->a, text, (size_t)size) != size) {
		free(text);
		return NULL;
	}
	text[size] = '\0';
	*ret_n = (size_t)size;
	return text;
}

static bool is_info(const json_t *info)
{
	const json_t *names = json_object_get(info, "names"),
		     *options = json_object_get(info, "options");
	const char *mode = json_string_value(json_object_get(info, "mode"));
	const char *key = json_string_value(json_object_get(info, "key"));
	uint8_t raw[32];
	size_t i;
	json_t *name;

	if (json_integer_value(json_object_get(info, "onionshared_release")) != VERSION || !mode ||
	    !key || hex_decode(span_str(key), raw, sizeof(raw)) < 0 ||
	    json_array_size(names) == 0 || options_validate(mode, options, NULL) < 0) {
		return false;
	}
	json_array_foreach (names, i, name) {
		const char *s = json_string_value(name);

		if (!s || !*s || strchr(s, '/')) {
			return false;
		}
	}
	return true;
}

int packed_open(const char *path, struct packed **ret, json_t **ret_info, struct error *err)
{
	struct packed *p = xnew(struct packed);
	struct archive_entry *entry = NULL;
	_cleanup_free_ char *text = NULL;
	size_t n = 0;

	p->path = xstrdup(path);
	p->chunk = xmalloc(CHUNK);
	p->a = archive_read_new();
	archive_read_support_format_tar(p->a);
	archive_read_support_filter_gzip(p->a);
	archive_read_set_options(p->a, "hdrcharset=BINARY");
	if (archive_read_open_filename(p->a, path, CHUNK) != ARCHIVE_OK) {
		error_set(err, archive_errno(p->a) > 0 ? archive_errno(p->a) : EIO, "%s: %s", path,
			  archive_error_string(p->a));
		packed_free(p);
		return -EIO;
	}
	if (archive_read_next_header(p->a, &entry) == ARCHIVE_OK && entry &&
	    archive_entry_pathname(entry) &&
	    strcmp(archive_entry_pathname(entry), INFO_NAME) == 0) {
		text = read_text(p, entry, &n);
	}
	json_t *info = text ? json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL) : NULL;

	if (!is_info(info)) {
		refuse(p, "it is no release, or of another version (publish --to makes one)", err);
		json_decref(info);
		packed_free(p);
		return -EBADMSG;
	}
	*ret = p;
	*ret_info = info;
	return 0;
}

static int hand_over_file(struct packed *p, struct handover *h, struct span name, struct error *err)
{
	bool last = false, more = false;
	int r = 0;

	while (r == 0 && !last) {
		int fd = memfd_create("packed", MFD_CLOEXEC);
		uint64_t size = 0;

		if (fd < 0) {
			return error_set(err, errno, "no memory to unpack: %s", strerror(errno));
		}
		while (r == 0 && size < PIECE && !last) {
			la_ssize_t n = archive_read_data(p->a, p->chunk, CHUNK);

			if (n < 0) {
				r = damaged(p, err);
			} else if (n > 0 && io_write_all(fd, span_of(p->chunk, (size_t)n)) < 0) {
				r = error_set(err, ENOMEM, "no memory to unpack");
			}
			last = n == 0;
			size += n > 0 ? (uint64_t)n : 0;
		}
		if (r < 0) {
			close(fd);
			return r;
		}
		r = handover_add_file(h, name, fd, more, size, err);
		more = true;
	}
	return r;
}

static int check_end(struct packed *p, struct archive_entry *entry, struct error *err)
{
	struct archive_entry *behind = NULL;
	uint64_t n = 0;
	size_t len = 0;
	_cleanup_free_ char *text = read_text(p, entry, &len);

	if (!text || len < 2 || span_u64(span_of(text, len - 1), UINT64_MAX, &n) < 0 ||
	    n != p->entries || archive_read_next_header(p->a, &behind) != ARCHIVE_EOF) {
		return damaged(p, err);
	}
	return 0;
}

int packed_hand_over(struct packed *p, struct handover *h, struct error *err)
{
	struct archive_entry *entry = NULL;
	int r = 0;

	while (r == 0) {
		if (archive_read_next_header(p->a, &entry) != ARCHIVE_OK) {
			return damaged(p, err);
		}
		const char *raw = archive_entry_pathname(entry);
		struct span name = span_str(raw ? raw : "");

		if (span_eq(name, SPAN(END_NAME))) {
			r = check_end(p, entry, err);
			return r < 0 ? r : handover_flush(h, err);
		}
		if (span_ends(name, SPAN("/"))) {
			name.n--;
		}
		p->entries++;
		if (archive_entry_filetype(entry) == AE_IFDIR) {
			r = handover_add_dir(h, name, err);
		} else if (archive_entry_filetype(entry) == AE_IFREG &&
			   !archive_entry_hardlink(entry)) {
			r = hand_over_file(p, h, name, err);
		} else {
			r = refuse(p, "there is something in it that is no file", err);
		}
	}
	return r;
}

void packed_free(struct packed *p)
{
	if (!p) {
		return;
	}
	archive_read_free(p->a);
	free(p->chunk);
	free(p->path);
	free(p);
}
