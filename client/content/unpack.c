/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/content/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/out.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/base/io.h"
#include "proto/base/utf8.h"

#define CHUNK       (256u * 1024)
#define PIECE       (UINT64_C(16) << 20) /* in memory at once, of one file */
#define ENTRIES_MAX 1000000u
#define FREE_BYTES  (UINT64_C(1) << 30) /* up to here no ratio is looked at */
#define RATIO_MAX   200u

struct unpacking {
	struct archive *a;
	struct handover *to;
	uint64_t packed, unpacked;
	json_t *dirs; /* a set: those that are there */
	uint64_t left_out;
	char *chunk;
	struct buf name; /* of the entry, as it is handed over */
};

bool unpack_is_archive(const char *path)
{
	static const char *const ends[] = {".zip",    ".tar", ".tar.gz",  ".tgz",
					   ".tar.xz", ".txz", ".tar.zst", ".tzst"};
	size_t n = strlen(path);

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		size_t e = strlen(ends[i]);

		if (n > e && strcasecmp(path + n - e, ends[i]) == 0) {
			return true;
		}
	}
	return false;
}

static int refuse(struct error *err, const char *fmt, const char *what)
{
	_cleanup_(buf_done) struct buf shown = BUF_INIT;

	utf8_escape(&shown, span_str(what));
	return error_set_kind(err, EBADMSG, ERROR_INVALID_VALUE, "paths", "a bad archive",
			      "the archive cannot be used, nothing was changed: %s%s%s", fmt,
			      shown.len ? ": " : "", shown.len ? shown.p : "");
}

static int malformed(const struct unpacking *u, struct error *err)
{
	const char *why = archive_error_string(u->a);

	return refuse(err, "it is damaged, or of a kind that is not understood", why ? why : "");
}

/* --- names --- */

static const char *entry_name(struct archive_entry *entry)
{
	const char *name = archive_entry_pathname_utf8(entry);

	name = name ? name : archive_entry_pathname(entry);
	return name ? name : "";
}

/* "0/site/index.html" of "./site//index.html"; 1 if nothing is left of it. */
static int clean_name(struct unpacking *u, const char *raw, struct error *err)
{
	struct span rest = span_str(raw);

	buf_clear(&u->name);
	buf_add_char(&u->name, '0');
	if (rest.n && rest.p[0] == '/') {
		return refuse(err, "a name in it leads out of it", raw);
	}
	while (rest.n) {
		struct span part = span_cut(&rest, '/');

		if (span_eq(part, SPAN(".."))) {
			return refuse(err, "a name in it leads out of it", raw);
		}
		if (part.n && !span_eq(part, SPAN("."))) {
			buf_add_char(&u->name, '/');
			buf_add_span(&u->name, part);
		}
	}
	return u->name.len == 1;
}

/* The directory name, and those above it, unless they are there. */
static int make_dirs(struct unpacking *u, size_t len, struct error *err)
{
	for (size_t i = 1; i <= len; i++) {
		if (i < len && u->name.p[i] != '/') {
			continue;
		}
		_cleanup_free_ char *dir = xmemdup(u->name.p, i);

		if (json_object_get(u->dirs, dir)) {
			continue;
		}
		json_object_set_new_nocheck(u->dirs, dir, json_true());
		int r = handover_add_dir(u->to, span_of(dir, i), err);

		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static size_t parent_len(const struct unpacking *u)
{
	return (size_t)((const char *)memrchr(u->name.p, '/', u->name.len) - u->name.p);
}

/* --- bytes --- */

static int is_bomb(const struct unpacking *u, struct error *err)
{
	if (u->unpacked > FREE_BYTES && u->unpacked / RATIO_MAX > u->packed) {
		return refuse(err,
			      "it unpacks to more than 200 times its size; if that is meant so, "
			      "unpack it and give the folder",
			      "");
	}
	return 0;
}

/* The next piece of the entry into memory: its descriptor; *ret_last: there is no more. */
static int read_piece(struct unpacking *u, uint64_t *ret_size, bool *ret_last, struct error *err)
{
	int fd = memfd_create("unpacked", MFD_CLOEXEC), r = 0;
	uint64_t size = 0;

	*ret_last = false;
	if (fd < 0) {
		return error_set(err, errno, "no memory to unpack: %s", strerror(errno));
	}
	while (r == 0 && size < PIECE) {
		la_ssize_t n = archive_read_data(u->a, u->chunk, CHUNK);

		if (n == 0) {
			*ret_last = true;
			break;
		}
		if (n < 0) {
			r = malformed(u, err);
			break;
		}
		size += (uint64_t)n;
		u->unpacked += (uint64_t)n;
		r = is_bomb(u, err);
		if (r == 0 && io_write_all(fd, span_of(u->chunk, (size_t)n)) < 0) {
			r = error_set(err, errno, "no memory to unpack: %s", strerror(errno));
		}
	}
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_size = size;
	return fd;
}

static int unpack_file(struct unpacking *u, struct error *err)
{
	bool last = false;
	int r = make_dirs(u, parent_len(u), err);

	for (bool more = false; r == 0 && !last; more = true) {
		uint64_t size = 0;
		int fd = read_piece(u, &size, &last, err);

		r = fd < 0 ? fd : handover_add_file(u->to, buf_span(&u->name), fd, more, size, err);
	}
	return r;
}

/* --- entries --- */

static int unpack_entry(struct unpacking *u, struct archive_entry *entry, struct error *err)
{
	bool link = archive_entry_hardlink(entry) || archive_entry_symlink(entry);
	int r = clean_name(u, entry_name(entry), err);

	if (r != 0) {
		return r < 0 ? r : 0;
	}
	if (archive_entry_filetype(entry) == AE_IFDIR) {
		return make_dirs(u, u->name.len, err);
	}
	if (link || archive_entry_filetype(entry) != AE_IFREG) {
		u->left_out++;
		return 0;
	}
	return unpack_file(u, err);
}

static int unpack_entries(struct unpacking *u, struct error *err)
{
	struct archive_entry *entry;

	buf_add_char(&u->name, '0');
	int r = make_dirs(u, 1, err);

	for (unsigned i = 0; r == 0 && i < ENTRIES_MAX; i++) {
		int code = archive_read_next_header(u->a, &entry);

		if (code == ARCHIVE_EOF) {
			return handover_flush(u->to, err);
		}
		r = code == ARCHIVE_OK || code == ARCHIVE_WARN ? unpack_entry(u, entry, err)
							       : malformed(u, err);
	}
	return r < 0 ? r : refuse(err, "it has more than a million entries", "");
}

static struct archive *open_archive(void)
{
	struct archive *a = archive_read_new();

	if (!a) {
		abort(); /* no memory */
	}
	archive_read_support_format_zip(a);
	archive_read_support_format_tar(a);
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_zstd(a);
	return a;
}

int unpack_archive(int fd, struct handover *h, struct error *err)
{
	/* libarchive hands names out in the locale's characters, and so in none of the C locale. */
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
	struct unpacking u = {.a = open_archive(), .to = h, .dirs = json_object()};
	struct stat st;
	int r;

	u.chunk = xmalloc(CHUNK);
	u.packed = fstat(fd, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
	r = archive_read_open_fd(u.a, fd, CHUNK) == ARCHIVE_OK ? unpack_entries(&u, err)
							       : malformed(&u, err);
	out_live_end();
	if (r == 0 && u.left_out) {
		out_note("Left out of the archive: %llu %s", (unsigned long long)u.left_out,
			 u.left_out == 1 ? "link or special file" : "links and special files");
	}
	archive_read_free(u.a);
	json_decref(u.dirs);
	buf_done(&u.name);
	free(u.chunk);
	if (utf8) {
		uselocale(before);
		freelocale(utf8);
	}
	return r;
}
