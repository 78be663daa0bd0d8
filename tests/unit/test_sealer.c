/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is sealed comes back as it was, and tells nothing before that. */
#include "mode/receive/sealer.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <time.h>

#include "proto/base/buf.h"
#include "proto/base/crypto.h"
#include "unit.h"

/* Made by Debian's age-keygen, for these tests. */
#define RECIPIENT "age1hjt9pj3sf557lu7ymacxwv4rl0vsegddugagdywgtn0vr3guxueqvz6pew"
#define IDENTITY  "AGE-SECRET-KEY-13P249U0LY5VR2LJ9K3HJRNLKVMAYD59H4GRDSMAH3F2EYTXVE4DQADP03P"
#define CANARY    "canary-7f3a9c"

struct fixture {
	char *dir;
	int fd;
	struct age_recipient to;
	struct sealer *s;
	struct buf zip; /* after open_all */
};

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);

	f->dir = unit_tmpdir();
	f->fd = open(f->dir, O_TMPFILE | O_RDWR, 0600);
	assert_true(f->fd >= 0);
	assert_int_equal(age_parse_recipient(SPAN(RECIPIENT), &f->to, NULL), 0);
	f->s = sealer_new(&f->to, 1, f->fd);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	sealer_free(f->s);
	buf_done(&f->zip);
	close(f->fd);
	unit_rmtree(f->dir);
	free(f);
	return 0;
}

static void add(struct fixture *f, const char *name, struct span data)
{
	assert_int_equal(sealer_begin(f->s, span_str(name)), 0);
	assert_int_equal(sealer_data(f->s, data), 0);
	assert_int_equal(sealer_end(f->s), 0);
}

static int collect(void *ud, struct span bytes)
{
	buf_add_span(ud, bytes);
	return 0;
}

static struct span read_file(int fd, struct buf *b)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	char *room = buf_reserve(b, (size_t)st.st_size);

	assert_int_equal(pread(fd, room, (size_t)st.st_size, 0), st.st_size);
	b->len += (size_t)st.st_size;
	return buf_span(b);
}

/* Ends it and takes the age off; what was promised about sizes is held to. */
static void finish(struct fixture *f)
{
	struct buf sealed = BUF_INIT;
	struct age_identity id;
	uint64_t promised = sealer_size(f->s) + sealer_finish_size(f->s);

	assert_int_equal(sealer_finish(f->s), 0);
	read_file(f->fd, &sealed);
	assert_int_equal(sealed.len, promised);
	assert_int_equal(sealer_size(f->s), promised);
	assert_null(memmem(sealed.p, sealed.len, CANARY, strlen(CANARY)));
	assert_null(memmem(sealed.p, sealed.len, "PK\003\004", 4));
	assert_int_equal(age_parse_identity(SPAN(IDENTITY), &id, NULL), 0);
	struct age_open *o = age_open_new(&id, 1, collect, &f->zip);

	assert_int_equal(age_open_write(o, buf_span(&sealed)), 0);
	assert_int_equal(age_open_finish(o), 0);
	age_open_free(o);
	buf_done(&sealed);
	assert_int_equal(f->zip.len, sealer_padme(f->zip.len));
	assert_int_equal(promised, age_sealed_size(f->zip.len, 1));
}

/* "name size;" of each entry, and all data of those that are not padding. */
static void unzip(struct fixture *f, bool streaming, struct buf *list, struct buf *data)
{
	struct archive *a = archive_read_new();
	struct archive_entry *e;

	if (streaming) {
		archive_read_support_format_zip_streamable(a);
	} else {
		archive_read_support_format_zip_seekable(a);
	}
	assert_int_equal(archive_read_open_memory(a, f->zip.p, f->zip.len), ARCHIVE_OK);
	while (archive_read_next_header(a, &e) == ARCHIVE_OK) {
		static char piece[70000];
		size_t from = data->len;
		la_ssize_t n;

		assert_int_equal(archive_entry_filetype(e), AE_IFREG);
		/* 1980, wherever this runs: no time at all. */
		time_t t = archive_entry_mtime(e);
		struct tm tm;

		assert_true(localtime_r(&t, &tm) && tm.tm_year == 80 && tm.tm_yday == 0);
		while ((n = archive_read_data(a, piece, sizeof(piece))) > 0) {
			buf_add(data, piece, (size_t)n);
		}
		assert_int_equal(n, 0);
		buf_printf(list, "%s %zu;", archive_entry_pathname(e), data->len - from);
		if (strcmp(archive_entry_pathname(e), ".padding") == 0) {
			data->len = from;
		}
	}
	assert_int_equal(archive_errno(a), 0);
	archive_read_free(a);
}

static void assert_zip(struct fixture *f, const char *list, struct span data)
{
	for (int streaming = 0; streaming < 2; streaming++) {
		struct buf l = BUF_INIT, d = BUF_INIT;

		unzip(f, streaming, &l, &d);
		char *padding = strstr(l.p, ".padding ");

		assert_non_null(padding); /* and nothing behind it */
		assert_ptr_equal(strchr(padding, ';') + 1, l.p + l.len);
		*padding = '\0';
		assert_string_equal(l.p, list);
		assert_true(span_eq(buf_span(&d), data));
		buf_done(&l);
		buf_done(&d);
	}
}

/* --- tests --- */

static void files_and_their_names_come_back(void **state)
{
	struct fixture *f = *state;

	add(f, "a " CANARY ".txt", SPAN("alpha"));
	add(f, "empty", SPAN(""));
	add(f, "\xd0\xb8\xd0\xbc\xd1\x8f", SPAN(CANARY));
	add(f, "message.txt", SPAN("hello"));
	finish(f);
	assert_zip(f, "a " CANARY ".txt 5;empty 0;\xd0\xb8\xd0\xbc\xd1\x8f 13;message.txt 5;",
		   SPAN("alpha" CANARY "hello"));
}

static void any_pieces_of_any_size_are_the_same(void **state)
{
	static const size_t sizes[] = {1, 4095, 4096, 4097, 65536, 65537, 300000};
	struct fixture *f = *state;
	struct buf all = BUF_INIT, list = BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char name[16];
		size_t from = all.len;

		snprintf(name, sizeof(name), "%zu", i);
		buf_printf(&list, "%s %zu;", name, sizes[i]);
		for (size_t k = 0; k < sizes[i]; k++) {
			buf_add_char(&all, (char)(k * 7 + i));
		}
		assert_int_equal(sealer_begin(f->s, span_str(name)), 0);
		struct span rest = span_from(buf_span(&all), from);

		for (size_t n = i + 1; rest.n; n = n * 3 + 1) {
			struct span piece = rest.n < n ? rest : span_of(rest.p, n);

			assert_int_equal(sealer_data(f->s, piece), 0);
			rest = span_from(rest, piece.n);
		}
		assert_int_equal(sealer_end(f->s), 0);
	}
	finish(f);
	assert_zip(f, list.p, buf_span(&all));
	buf_done(&all);
	buf_done(&list);
}

static void what_is_dropped_is_not_listed(void **state)
{
	struct fixture *f = *state;
	static char blank[SEALER_HELD + 1];

	assert_int_equal(sealer_begin(f->s, SPAN("message.txt")), 0);
	assert_int_equal(sealer_data(f->s, SPAN("  ")), 0);
	assert_int_equal(sealer_drop(f->s), 0);
	add(f, "a", SPAN("1"));
	finish(f);
	/* Held back, it is nowhere at all. */
	assert_null(memmem(f->zip.p, f->zip.len, "message.txt", 11));
	assert_zip(f, "a 1;", SPAN("1"));

	sealer_free(f->s);
	assert_int_equal(ftruncate(f->fd, 0), 0);
	assert_int_equal(lseek(f->fd, 0, SEEK_SET), 0);
	buf_clear(&f->zip);
	f->s = sealer_new(&f->to, 1, f->fd);
	add(f, "a", SPAN("1"));
	assert_int_equal(sealer_begin(f->s, SPAN("message.txt")), 0);
	assert_int_equal(sealer_data(f->s, span_of(blank, sizeof(blank))), 0);
	assert_int_equal(sealer_drop(f->s), 0);
	finish(f);
	struct buf list = BUF_INIT, data = BUF_INIT;

	unzip(f, false, &list, &data);
	assert_int_equal(strncmp(list.p, "a 1;.padding ", 13), 0);
	buf_done(&list);
	buf_done(&data);
}

static void lengths_are_rounded_as_padme_says(void **state)
{
	/* From the definition: as many digits as the exponent has bits, and the rest zero. */
	static const uint64_t table[][2] = {
		{0, 0},
		{1, 1},
		{2, 2},
		{3, 3},
		{8, 8},
		{9, 10},
		{100, 104},
		{255, 256},
		{1000, 1024},
		{1025, 1088},
		{4097, 4352},
		{9999, 10240},
		{1000000, 1015808},
		{(1 << 30) + 1, 1107296256},
		{UINT64_MAX, UINT64_MAX},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		assert_int_equal(sealer_padme(table[i][0]), table[i][1]);
		assert_int_equal(sealer_padme(table[i][1]), table[i][1]);
	}
	for (uint64_t n = 2; n < 3000000; n += 1 + n / 64) {
		assert_true(sealer_padme(n) >= n && sealer_padme(n) <= n + n / 8);
	}
}

/* Every length in a stretch: the padding always finds one that Padme allows. */
static void every_length_is_padded(void **state)
{
	struct fixture *f = *state;
	uint64_t sizes[600];
	unsigned different = 1;

	for (size_t n = 0; n < ARRAY_SIZE(sizes); n++) {
		static char data[ARRAY_SIZE(sizes)];

		sealer_free(f->s);
		assert_int_equal(ftruncate(f->fd, 0), 0);
		assert_int_equal(lseek(f->fd, 0, SEEK_SET), 0);
		buf_clear(&f->zip);
		f->s = sealer_new(&f->to, 1, f->fd);
		add(f, "a", span_of(data, n));
		finish(f);
		sizes[n] = f->zip.len;
		different += n > 0 && sizes[n] != sizes[n - 1];
	}
	assert_true(different < ARRAY_SIZE(sizes) / 8);
}

static void the_least_size_is_no_more_than_the_size(void **state)
{
	struct fixture *f = *state;
	static char data[100000];

	add(f, "a", span_of(data, sizeof(data)));
	finish(f);
	assert_true(sealer_least_size(sizeof(data), 1) <= sealer_size(f->s));
	assert_true(sealer_least_size(sizeof(data), 1) > sizeof(data));
	assert_true(sealer_least_size(UINT64_MAX, 1) > UINT64_MAX / 2); /* no wrapping */
}

static void what_is_out_of_order_is_refused(void **state)
{
	struct fixture *f = *state;
	char name[SEALER_NAME_MAX + 1];

	assert_int_equal(sealer_data(f->s, SPAN("of nothing")), -EINVAL);
	assert_int_equal(sealer_begin(f->s, SPAN("a")), -EINVAL); /* from then on */
	assert_int_equal(sealer_finish(f->s), -EINVAL);

	sealer_free(f->s);
	f->s = sealer_new(&f->to, 1, f->fd);
	assert_int_equal(sealer_begin(f->s, SPAN("a")), 0);
	assert_int_equal(sealer_begin(f->s, SPAN("b")), -EINVAL);

	sealer_free(f->s);
	f->s = sealer_new(&f->to, 1, f->fd);
	memset(name, 'n', sizeof(name));
	assert_int_equal(sealer_begin(f->s, span_of(name, SEALER_NAME_MAX)), 0);
	assert_int_equal(sealer_finish(f->s), -EINVAL); /* it is open */

	sealer_free(f->s);
	f->s = sealer_new(&f->to, 1, f->fd);
	assert_int_equal(sealer_begin(f->s, span_of(name, sizeof(name))), -EINVAL);
}

static void a_full_disk_is_told_from_then_on(void **state)
{
	struct fixture *f = *state;
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct sealer *s = sealer_new(&f->to, 1, full);

	assert_int_equal(sealer_begin(s, SPAN("a")), -ENOSPC);
	assert_int_equal(sealer_data(s, SPAN("1")), -ENOSPC);
	assert_int_equal(sealer_end(s), -ENOSPC);
	assert_int_equal(sealer_drop(s), -ENOSPC);
	assert_int_equal(sealer_finish(s), -ENOSPC);
	sealer_free(s);
	close(full);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

/* libarchive hands names out in the characters of the locale. */
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(files_and_their_names_come_back), T(any_pieces_of_any_size_are_the_same),
		T(what_is_dropped_is_not_listed),   T(lengths_are_rounded_as_padme_says),
		T(every_length_is_padded),          T(the_least_size_is_no_more_than_the_size),
		T(what_is_out_of_order_is_refused), T(a_full_disk_is_told_from_then_on),
	};

	assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
