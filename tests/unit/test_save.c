/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the client writes to disk: submissions, also encrypted and hostile ones. */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <locale.h>

#include "client/inbox/unseal.h"
#include "proto/base/buf.h"
#include "proto/base/crypto.h"
#include "unit.h"

struct fixture {
	char *dir; /* TMP/into is what is written to */
	char *into;
	struct save save;
	struct error err;
	struct buf zip, sealed;
	struct identities own, other;
	unsigned skipped;
};

static void make_identity(struct identities *ids)
{
	crypto_x25519_keypair(ids->all[0].secret, ids->all[0].recipient.key);
	ids->n = 1;
}

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);

	f->dir = unit_tmpdir();
	f->into = xasprintf("%s/into", f->dir);
	make_identity(&f->own);
	make_identity(&f->other);
	assert_int_equal(save_open(f->into, &f->save, &f->err), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	save_done(&f->save);
	buf_done(&f->zip);
	buf_done(&f->sealed);
	error_done(&f->err);
	unit_rmtree(f->dir);
	free(f->into);
	free(f);
	return 0;
}

/* --- names --- */

static void names_are_made_safe(void **state)
{
	static const struct {
		const char *raw, *safe;
	} cases[] = {
		{"a.txt", "a.txt"},
		{"../../etc/passwd", "passwd"},
		{"/etc/passwd", "passwd-1"},
		{"C:\\boot.ini", "boot.ini"},
		{"..", "file"},
		{"", "file-1"},
		{"dir/", "file-2"},
		{".bashrc", "bashrc"},
		{"-rf", "rf"},
		{" - .x", "x"},
		{"a\nb\x1b[2J", "a_b_[2J"},
		{"gpj.\xe2\x80\xae"
		 "exe",
		 "gpj._exe"},
		{"\xff.bin", "\xef\xbf\xbd.bin"},
		{"a.txt", "a-1.txt"},
		{"x/a.txt", "a-2.txt"},
		{"\xd0\xb8\xd0\xbc\xd1\x8f.pdf", "\xd0\xb8\xd0\xbc\xd1\x8f.pdf"},
	};
	struct savenames names = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_string_equal(savename_make(&names, span_str(cases[i].raw)), cases[i].safe);
	}
	savenames_done(&names);
}

static void long_names_keep_their_extension_and_stay_apart(void **state)
{
	struct savenames names = {0};
	char raw[601];

	(void)state;
	for (size_t i = 0; i < 600; i += 2) {
		memcpy(raw + i, "\xc3\xa4", 2);
	}
	memcpy(raw + 593, ".tar.xz", 8);
	for (int i = 0; i < 12; i++) {
		const char *name = savename_make(&names, span_str(raw));

		assert_true(strlen(name) <= SAVENAME_MAX);
		assert_string_equal(name + strlen(name) - 3, ".xz");
	}
	savenames_done(&names);
}

/* --- identities --- */

static int parse(const char *text, struct identities *ids, struct error *err)
{
	*ids = (struct identities){0};
	error_done(err);
	*err = ERROR_INIT;
	return identities_parse(span_str(text), "keys.txt", ids, err);
}

static void identities_are_read_as_age_keygen_writes_them(void **state)
{
	struct fixture *f = *state;
	struct identities ids;

	assert_int_equal(parse("", &ids, &f->err), -EINVAL);
	assert_int_equal(parse("# only a comment\n\n", &ids, &f->err), -EINVAL);
	assert_int_equal(parse("nonsense\n", &ids, &f->err), -EINVAL);
	assert_non_null(strstr(f->err.text, "line 1"));
	assert_int_equal(parse("age-encryption.org/v1\n-> scrypt\n", &ids, &f->err), -EINVAL);
	assert_non_null(strstr(f->err.text, "encrypted itself"));
	/* A secret with an error in it is not repeated. */
	assert_int_equal(parse("# x\nAGE-SECRET-KEY-1QQQQ\n", &ids, &f->err), -EINVAL);
	assert_non_null(strstr(f->err.text, "line 2"));
	assert_null(strstr(f->err.text, "QQQQ"));
}

/* --- encrypted submissions --- */

static la_ssize_t to_buf(struct archive *a, void *ud, const void *p, size_t n)
{
	(void)a;
	buf_add(ud, p, n);
	return (la_ssize_t)n;
}

static struct archive *zip_begin(struct fixture *f, const char *options)
{
	struct archive *a = archive_write_new();

	buf_clear(&f->zip);
	archive_write_set_format_zip(a);
	archive_write_set_options(a, options);
	archive_write_set_bytes_in_last_block(a, 1);
	assert_int_equal(archive_write_open(a, &f->zip, NULL, to_buf, NULL), ARCHIVE_OK);
	return a;
}

static void zip_add(struct archive *a, const char *name, unsigned type, const char *text, size_t n)
{
	struct archive_entry *e = archive_entry_new();

	archive_entry_set_pathname(e, name);
	archive_entry_set_filetype(e, type);
	archive_entry_set_perm(e, 0777);
	if (type == AE_IFLNK) {
		archive_entry_set_symlink(e, text);
	} else if (type == AE_IFREG) {
		archive_entry_set_size(e, (la_int64_t)n);
	}
	assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
	if (type == AE_IFREG) {
		assert_int_equal(archive_write_data(a, text, n), n);
	}
	archive_entry_free(e);
}

static void zip_end(struct archive *a)
{
	assert_int_equal(archive_write_free(a), ARCHIVE_OK);
}

static int seal_to_buf(void *ud, struct span s)
{
	buf_add_span(ud, s);
	return 0;
}

static void seal(struct fixture *f)
{
	struct age_seal *s = age_seal_new(&f->own.all[0].recipient, 1, seal_to_buf, &f->sealed);

	buf_clear(&f->sealed);
	assert_int_equal(age_seal_begin(s), 0);
	assert_int_equal(age_seal_write(s, buf_span(&f->zip)), 0);
	assert_int_equal(age_seal_finish(s), 0);
	age_seal_free(s);
}

static int open_sealed(struct fixture *f, const struct identities *ids)
{
	char *path = xasprintf("%s/sealed", f->dir);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, f->sealed.p, f->sealed.len), f->sealed.len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	r = unseal(fd, ids, &f->save, &f->skipped, &f->err);
	close(fd);
	free(path);
	return r;
}

static void assert_file(struct fixture *f, const char *name, const char *want)
{
	char *path = xasprintf("%s/%s", f->into, name);
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char got[4096] = "";
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(read(fd, got, sizeof(got) - 1), strlen(want));
	assert_string_equal(got, want);
	close(fd);
	free(path);
}

static unsigned count(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	unsigned n = 0;

	assert_non_null(d);
	while ((e = readdir(d))) {
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	}
	closedir(d);
	return n;
}

/* It was refused, and nothing is left of it: not even the directory. */
static void assert_refused(struct fixture *f, int r, int want)
{
	assert_int_equal(r, want);
	assert_non_null(f->err.text);
	save_drop(&f->save);
	assert_int_equal(access(f->into, F_OK), -1);
}

static void a_sealed_submission_is_unpacked(void **state)
{
	struct fixture *f = *state;
	struct archive *a = zip_begin(f, "zip:compression=store");

	zip_add(a, "a.txt", AE_IFREG, "alpha", 5);
	zip_add(a, "empty", AE_IFREG, "", 0);
	zip_add(a, "message.txt", AE_IFREG, "hello\n", 6);
	zip_add(a, ".padding", AE_IFREG, "\0\0\0\0", 4);
	zip_end(a);
	seal(f);
	assert_int_equal(open_sealed(f, &f->own), 0);
	assert_int_equal(save_finish(&f->save, &f->err), 0);
	assert_file(f, "a.txt", "alpha");
	assert_file(f, "empty", "");
	assert_file(f, "message.txt", "hello\n");
	assert_int_equal(count(f->into), 3);
	assert_int_equal(f->skipped, 0);
}

static void any_of_several_identities_opens(void **state)
{
	struct fixture *f = *state;
	struct archive *a = zip_begin(f, "zip:compression=store");

	zip_add(a, "a.txt", AE_IFREG, "alpha", 5);
	zip_end(a);
	seal(f);
	f->other.all[1] = f->own.all[0];
	f->other.n = 2;
	assert_int_equal(open_sealed(f, &f->other), 0);
	assert_file(f, "a.txt", "alpha");
}

static void another_identity_opens_nothing(void **state)
{
	struct fixture *f = *state;
	struct archive *a = zip_begin(f, "zip:compression=store");

	zip_add(a, "a.txt", AE_IFREG, "alpha", 5);
	zip_end(a);
	seal(f);
	assert_refused(f, open_sealed(f, &f->other), -ENOKEY);
}

static void what_is_cut_or_damaged_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct archive *a = zip_begin(f, "zip:compression=store");
	_cleanup_free_ char *big = xcalloc(1, 200000);
	size_t whole;

	zip_add(a, "a.txt", AE_IFREG, "alpha", 5);
	zip_add(a, "big", AE_IFREG, big, 200000);
	zip_end(a);
	seal(f);
	whole = f->sealed.len;
	f->sealed.len = whole - 1;
	assert_int_equal(open_sealed(f, &f->own), -EBADMSG);
	f->sealed.len = whole - 70000; /* at another chunk */
	assert_int_equal(open_sealed(f, &f->own), -EBADMSG);
	f->sealed.len = whole;
	f->sealed.p[whole - 100000] ^= 1;
	assert_int_equal(open_sealed(f, &f->own), -EBADMSG);
	f->sealed.len = 40;
	assert_int_equal(open_sealed(f, &f->own), -EINVAL);
	f->sealed.len = 0;
	assert_int_equal(count(f->into), 0);
	assert_refused(f, open_sealed(f, &f->own), -EINVAL);
}

static void what_is_no_zip_is_refused(void **state)
{
	struct fixture *f = *state;

	buf_add_str(&f->zip, "not a zip at all");
	seal(f);
	assert_refused(f, open_sealed(f, &f->own), -EBADMSG);
}

static void hostile_names_stay_in_the_directory(void **state)
{
	struct fixture *f = *state;
	struct archive *a = zip_begin(f, "zip:compression=store");

	zip_add(a, "../../escaped", AE_IFREG, "1", 1);
	zip_add(a, "/tmp/absolute", AE_IFREG, "2", 1);
	zip_add(a, "dir", AE_IFDIR, "", 0);
	zip_add(a, "dir/below", AE_IFREG, "3", 1);
	zip_add(a, "link", AE_IFLNK, "/etc/passwd", 11);
	zip_add(a, "link", AE_IFREG, "4", 1);
	zip_add(a, "same", AE_IFREG, "5", 1);
	zip_add(a, "same", AE_IFREG, "6", 1);
	zip_add(a, ".hidden", AE_IFREG, "7", 1);
	zip_add(a, "\x1b]0;x\x07.txt", AE_IFREG, "8", 1);
	zip_end(a);
	seal(f);
	assert_int_equal(open_sealed(f, &f->own), 0);
	assert_file(f, "escaped", "1");
	assert_file(f, "absolute", "2");
	assert_file(f, "below", "3");
	assert_file(f, "link", "4");
	assert_file(f, "same", "5");
	assert_file(f, "same-1", "6");
	assert_file(f, "hidden", "7");
	assert_file(f, "_]0;x_.txt", "8");
	assert_int_equal(count(f->into), 8);
	assert_int_equal(count(f->dir), 2); /* into and sealed */
	assert_int_equal(f->skipped, 2);
}

static void names_in_utf8_come_back_in_any_locale(void **state)
{
	struct fixture *f = *state;
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	locale_t before = uselocale(utf8);
	struct archive *a = zip_begin(f, "zip:compression=store,zip:hdrcharset=UTF-8");

	zip_add(a, "\xd0\xb8\xd0\xbc\xd1\x8f.txt", AE_IFREG, "x", 1);
	zip_end(a);
	uselocale(before);
	freelocale(utf8);
	seal(f);
	assert_int_equal(open_sealed(f, &f->own), 0);
	assert_file(f, "\xd0\xb8\xd0\xbc\xd1\x8f.txt", "x");
}

static void a_bomb_is_refused(void **state)
{
	struct fixture *f = *state;
	struct archive *a = zip_begin(f, "zip:compression=deflate");
	_cleanup_free_ char *zeros = xcalloc(1, 1 << 20);

	zip_add(a, "zeros", AE_IFREG, zeros, 1 << 20);
	zip_end(a);
	seal(f);
	assert_true(f->zip.len < 10000);
	assert_refused(f, open_sealed(f, &f->own), -EFBIG);
}

static void too_many_entries_are_refused(void **state)
{
	struct fixture *f = *state;
	struct archive *a = zip_begin(f, "zip:compression=store");

	/* Directories: quick to skip, and counted all the same. */
	for (unsigned i = 0; i < UNSEAL_ENTRIES_MAX + 1; i++) {
		zip_add(a, "d/", AE_IFDIR, "", 0);
	}
	zip_end(a);
	seal(f);
	assert_refused(f, open_sealed(f, &f->own), -E2BIG);
}

/* --- what is there already --- */

static void nothing_is_overwritten(void **state)
{
	struct fixture *f = *state;
	struct archive *a = zip_begin(f, "zip:compression=store");

	unit_write(f->into, "b.txt", "mine");
	f->save.made = false;
	zip_add(a, "a.txt", AE_IFREG, "alpha", 5);
	zip_add(a, "b.txt", AE_IFREG, "beta", 4);
	zip_end(a);
	seal(f);
	assert_int_equal(open_sealed(f, &f->own), -EEXIST);
	save_drop(&f->save);
	assert_int_equal(count(f->into), 1);
	char *path = xasprintf("%s/b.txt", f->into);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 4);
	free(path);
}

static void a_link_that_is_there_is_not_followed(void **state)
{
	struct fixture *f = *state;
	char *link = xasprintf("%s/a.txt", f->into), *target = xasprintf("%s/target", f->dir);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_int_equal(symlink(target, link), 0);
	assert_int_equal(save_copy(&f->save, SPAN("a.txt"), null, 0, &f->err), -EEXIST);
	assert_int_equal(access(target, F_OK), -1);
	close(null);
	free(link);
	free(target);
}

static void a_file_of_another_size_than_told_is_an_error(void **state)
{
	struct fixture *f = *state;
	int fd;
	char *path = xasprintf("%s/from", f->dir);

	unit_write(f->dir, "from", "12345");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(save_copy(&f->save, SPAN("a"), fd, 5, &f->err), 0);
	assert_file(f, "a", "12345");
	lseek(fd, 0, SEEK_SET);
	assert_refused(f, save_copy(&f->save, SPAN("b"), fd, 4, &f->err), -EIO);
	close(fd);
	free(path);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(names_are_made_safe),
		T(long_names_keep_their_extension_and_stay_apart),
		T(identities_are_read_as_age_keygen_writes_them),
		T(a_sealed_submission_is_unpacked),
		T(any_of_several_identities_opens),
		T(another_identity_opens_nothing),
		T(what_is_cut_or_damaged_leaves_nothing),
		T(what_is_no_zip_is_refused),
		T(hostile_names_stay_in_the_directory),
		T(names_in_utf8_come_back_in_any_locale),
		T(a_bomb_is_refused),
		T(too_many_entries_are_refused),
		T(nothing_is_overwritten),
		T(a_link_that_is_there_is_not_followed),
		T(a_file_of_another_size_than_told_is_an_error),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
