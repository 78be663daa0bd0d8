/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/inbox/unseal.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/rpc.h"
#include "proto/base/alloc.h"
#include "proto/base/io.h"
#include "proto/base/utf8.h"

#define CHUNK   (256u * 1024)
#define PADDING ".padding" /* the last entry: its only purpose is its size */
#define MESSAGE "message.txt"

/* --- age --- */

static int write_plain(void *ud, struct span plain)
{
	return io_write_all(*(int *)ud, plain);
}

static int describe(int r, struct error *err)
{
	switch (-r) {
	case ENOKEY:
		return error_set(err, ENOKEY,
				 "the submission is encrypted to others: no identity opens it");
	case EBADMSG:
		return error_set(err, EBADMSG,
				 "the submission is damaged or cut: nothing was saved");
	case EINVAL:
		return error_set(err, EINVAL, "the submission is not in the age format");
	default:
		return error_set(err, -r, "cannot decrypt the submission: %s", strerror(-r));
	}
}

/* All of it to plain, and whole: 0. */
static int decrypt(int sealed, const struct identities *ids, int plain, struct error *err)
{
	struct age_open *o = age_open_new(ids->all, ids->n, write_plain, &plain);
	_cleanup_free_ char *chunk = xmalloc(CHUNK);
	bool interrupted = false;
	int r = 0;

	while (r == 0 && !interrupted) {
		ssize_t n = read(sealed, chunk, CHUNK);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n == 0) {
			r = age_open_finish(o);
			break;
		}
		r = n < 0 ? -errno : age_open_write(o, span_of(chunk, (size_t)n));
		interrupted = r == 0 && rpc_check_signal(err) < 0;
	}
	age_open_free(o);
	return interrupted ? -EINTR : r < 0 ? describe(r, err) : 0;
}

/* --- zip --- */

struct unpacking {
	struct archive *zip;
	struct save *to;
	uint64_t left; /* bytes that may still come out: stored ones are no more than went in */
	unsigned skipped;
	char *chunk;
};

static int malformed(struct unpacking *u, struct error *err)
{
	const char *why = archive_error_string(u->zip);

	return error_set(err, EBADMSG,
			 "what was encrypted is no good archive (%s): nothing was saved",
			 why ? why : "damaged");
}

static int unpack_data(struct unpacking *u, uint64_t *ret_size, struct error *err)
{
	la_ssize_t n;
	int r = 0;

	*ret_size = 0;
	while (r == 0 && (n = archive_read_data(u->zip, u->chunk, CHUNK)) != 0) {
		if (n < 0) {
			return malformed(u, err);
		}
		if ((uint64_t)n > u->left) {
			return error_set(err, EFBIG,
					 "what was encrypted unpacks to more than it can hold: "
					 "nothing was saved");
		}
		u->left -= (uint64_t)n;
		*ret_size += (uint64_t)n;
		r = save_write(u->to, span_of(u->chunk, (size_t)n), err);
	}
	return r;
}

static struct span entry_name(struct archive_entry *entry)
{
	const char *name = archive_entry_pathname_utf8(entry);

	return span_str(name ? name : archive_entry_pathname(entry));
}

static bool is_plain_file(struct archive_entry *entry)
{
	return archive_entry_filetype(entry) == AE_IFREG && !archive_entry_hardlink(entry) &&
	       !archive_entry_symlink(entry);
}

static int unpack_entry(struct unpacking *u, struct archive_entry *entry, struct error *err)
{
	struct span name = entry_name(entry);
	uint64_t size = 0;
	int r;

	if (span_eq(name, SPAN(PADDING))) {
		return 0;
	}
	if (!is_plain_file(entry)) {
		u->skipped++;
		return 0;
	}
	r = save_begin(u->to, name, err);
	if (r == 0) {
		r = unpack_data(u, &size, err);
	}
	return r == 0 ? save_end(u->to, size, err) : r;
}

static int unpack_entries(struct unpacking *u, struct error *err)
{
	struct archive_entry *entry;

	for (unsigned i = 0; i < UNSEAL_ENTRIES_MAX; i++) {
		int code = archive_read_next_header(u->zip, &entry);

		if (code == ARCHIVE_EOF) {
			return 0;
		}
		if (code != ARCHIVE_OK && code != ARCHIVE_WARN) {
			return malformed(u, err);
		}
		int r = unpack_entry(u, entry, err);

		if (r < 0) {
			return r;
		}
	}
	return error_set(err, E2BIG, "more than %u entries were encrypted: nothing was saved",
			 UNSEAL_ENTRIES_MAX);
}

static int unpack(int plain, struct save *to, unsigned *ret_skipped, struct error *err)
{
	struct unpacking u = {.to = to};
	struct stat st;
	int r;

	if (lseek(plain, 0, SEEK_SET) < 0 || fstat(plain, &st) < 0) {
		return error_set(err, errno, "cannot read what was decrypted: %s", strerror(errno));
	}
	u.left = (uint64_t)st.st_size;
	u.zip = archive_read_new();
	u.chunk = xmalloc(CHUNK);
	if (!u.zip) {
		abort(); /* no memory */
	}
	archive_read_support_format_zip(u.zip);
	r = archive_read_open_fd(u.zip, plain, CHUNK) == ARCHIVE_OK ? unpack_entries(&u, err)
								    : malformed(&u, err);
	*ret_skipped = u.skipped;
	archive_read_free(u.zip);
	explicit_bzero(u.chunk, CHUNK);
	free(u.chunk);
	return r;
}

/* libarchive hands names out in the locale's characters, and so in none of the C locale. */
static locale_t enter_utf8(locale_t *ret_new)
{
	*ret_new = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	return *ret_new ? uselocale(*ret_new) : (locale_t)0;
}

/* --- looking, from the beginning to the end --- */

struct look {
	int sealed;
	struct age_open *age;
	char *chunk;
	struct buf plain; /* opened and not read yet */
	bool ended;
	int error; /* of reading or opening */
	json_t *files;
	bool message;
	struct buf *text;
};

static int keep_plain(void *ud, struct span plain)
{
	buf_add_span(&((struct look *)ud)->plain, plain);
	return 0;
}

/* The next bytes into l->plain; none: it has ended, or l->error. */
static void open_more(struct look *l)
{
	buf_clear(&l->plain);
	while (l->plain.len == 0 && !l->ended && l->error == 0) {
		ssize_t n = read(l->sealed, l->chunk, CHUNK);

		if (n < 0 && errno != EINTR) {
			l->error = -errno;
		} else if (n == 0) {
			l->ended = true;
			l->error = age_open_finish(l->age);
		} else if (n > 0) {
			l->error = age_open_write(l->age, span_of(l->chunk, (size_t)n));
		}
		if (l->error == 0 && rpc_check_signal(NULL) < 0) {
			l->error = -EINTR;
		}
	}
}

static la_ssize_t give_plain(struct archive *zip, void *ud, const void **ret)
{
	struct look *l = ud;

	open_more(l);
	*ret = l->plain.p;
	if (l->error < 0) {
		archive_set_error(zip, -l->error, "not opened");
		return -1;
	}
	return (la_ssize_t)l->plain.len;
}

/* 0, -EMSGSIZE: a message that is none, -EBADMSG: not read. */
static int look_at_entry(struct look *l, struct archive *zip, struct archive_entry *entry)
{
	struct span name = entry_name(entry);
	bool is_message = !l->message && span_eq(name, SPAN(MESSAGE));
	_cleanup_free_ char *copy = xmemdup(name.n ? name.p : "", name.n);
	struct buf shown = BUF_INIT;
	uint64_t size = 0;
	const void *p;
	size_t n;
	la_int64_t at;
	int code;

	/* The entry's name is the archive's, and reading on may end its life. */
	name = span_of(copy, name.n);
	while ((code = archive_read_data_block(zip, &p, &n, &at)) == ARCHIVE_OK) {
		size += n;
		if (is_message && size > UNSEAL_MESSAGE_MAX) {
			return -EMSGSIZE;
		}
		if (is_message) {
			buf_add(l->text, p, n);
		}
	}
	if (code != ARCHIVE_EOF) {
		return -EBADMSG;
	}
	l->message |= is_message;
	if (!is_message && !span_eq(name, SPAN(PADDING))) {
		utf8_lossy(&shown, name);
		json_array_append_new(l->files,
				      json_pack("{s:s, s:I}", "name", shown.p ? shown.p : "",
						"size", (json_int_t)size));
		buf_done(&shown);
	}
	return 0;
}

static int look_at_zip(struct look *l, struct archive *zip, struct error *err)
{
	struct archive_entry *entry;
	int code = archive_read_open(zip, l, NULL, give_plain, NULL), r = 0;

	for (unsigned i = 0; r == 0 && code == ARCHIVE_OK; i++) {
		code = archive_read_next_header(zip, &entry);
		code = code == ARCHIVE_WARN ? ARCHIVE_OK : code;
		if (code == ARCHIVE_OK) {
			r = i < UNSEAL_ENTRIES_MAX ? look_at_entry(l, zip, entry) : -E2BIG;
		}
	}
	/* What was read is worth nothing before the last byte. */
	while (r == 0 && code == ARCHIVE_EOF && !l->ended && l->error == 0) {
		open_more(l);
	}
	if (l->error < 0) {
		return describe(l->error, err);
	}
	return r == 0 && code == ARCHIVE_EOF
		       ? 0
		       : error_set(err, EBADMSG, "what was encrypted is no good archive");
}

static int look(struct look *l, struct error *err)
{
	struct archive *zip = archive_read_new();
	locale_t utf8, before = enter_utf8(&utf8);

	if (!zip) {
		abort(); /* no memory */
	}
	archive_read_support_format_zip_streamable(zip);
	int r = look_at_zip(l, zip, err);

	archive_read_free(zip);
	if (utf8) {
		uselocale(before);
		freelocale(utf8);
	}
	return r;
}

int unseal_look(int sealed, const struct identities *ids, json_t **ret_files, bool *ret_message,
		struct buf *ret_text, struct error *err)
{
	struct buf text = BUF_INIT;
	struct look l = {.sealed = sealed,
			 .chunk = xmalloc(CHUNK),
			 .files = json_array(),
			 .text = &text};

	l.age = age_open_new(ids->all, ids->n, keep_plain, &l);
	int r = look(&l, err);

	if (r == 0) {
		utf8_lossy(ret_text, buf_span(&text));
		*ret_files = json_incref(l.files);
		*ret_message = l.message;
	}
	json_decref(l.files);
	age_open_free(l.age);
	buf_wipe(&l.plain);
	buf_wipe(&text);
	free(l.chunk);
	return r;
}

/* --- unpacking --- */

int unseal(int sealed, const struct identities *ids, struct save *to, unsigned *ret_skipped,
	   struct error *err)
{
	_cleanup_close_ int plain = save_temporary(to, err);
	int r = plain < 0 ? plain : decrypt(sealed, ids, plain, err);

	if (r == 0) {
		locale_t utf8, before = enter_utf8(&utf8);

		r = unpack(plain, to, ret_skipped, err);
		if (utf8) {
			uselocale(before);
			freelocale(utf8);
		}
	}
	return r;
}
