/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The layout is held against Python's zipfile (and unzip and bsdtar where they
 * are installed); the source is driven by the test in the connection's place.
 */
#include <errno.h>
#include <zlib.h>

#include "ev/bufpool.h"
#include "ev/ev.h"
#include "http/content/zip.h"
#include "http/content/zipsource.h"
#include "http/content/zipsum.h"
#include "proto/base/buf.h"
#include "unit.h"

/* --- an archive of files in a directory --- */

struct member {
	const char *name;
	uint64_t size;
	struct stat st;
};

struct keep {
	struct buf blocks[8];
};

struct archive {
	char *dir;
	struct member *members;
	size_t n;
	struct zip_layout layout;
	struct zip_sums sums;
	struct keep *kept; /* NULL: nothing is ever kept */
	struct ev *ev;
	uv_idle_t idle;
	void (*recall_cb)(void *);
	void *recall_ud;
	unsigned opened;
	int over, recalls;
	int err;
};

static void archive_entry(void *ud, size_t i, char *name, struct zip_entry *ret)
{
	const struct archive *a = ud;
	const struct member *m = &a->members[i];

	(void)name;
	*ret = (struct zip_entry){
		.name = span_str(m->name),
		.size = m->size,
		.directory = m->name[strlen(m->name) - 1] == '/',
	};
}

static char *member_path(const struct archive *a, size_t i)
{
	return xasprintf("%s/%zu", a->dir, i);
}

static bool same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int archive_check(void *ud, size_t i, int fd)
{
	const struct archive *a = ud;
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return same(&st, &a->members[i].st) ? 0 : -ESTALE;
}

static int archive_open(void *ud, size_t i)
{
	struct archive *a = ud;
	char *path = member_path(a, i);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	free(path);
	__atomic_fetch_add(&a->opened, 1, __ATOMIC_RELAXED);
	if (fd < 0) {
		return -errno;
	}
	if (archive_check(a, i, fd) < 0) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

static void recall_later(uv_idle_t *idle)
{
	struct archive *a = idle->data;

	uv_idle_stop(idle);
	a->recall_cb(a->recall_ud);
}

static void archive_recall(void *ud, size_t i, void (*cb)(void *cb_ud), void *cb_ud)
{
	struct archive *a = ud;
	size_t block = zip_sums_block(i);

	a->recalls++;
	if (a->kept && a->kept->blocks[block].len) {
		assert_int_equal(zip_sums_decode(&a->sums, block,
						 buf_span(&a->kept->blocks[block])),
				 0);
	}
	a->recall_cb = cb;
	a->recall_ud = cb_ud;
	a->idle.data = a;
	uv_idle_start(&a->idle, recall_later);
}

static void archive_keep(void *ud, size_t i)
{
	struct archive *a = ud;
	size_t block = zip_sums_block(i);

	if (a->kept && a->sums.dirty[block]) {
		buf_clear(&a->kept->blocks[block]);
		zip_sums_encode(&a->sums, block, &a->kept->blocks[block]);
	}
}

static void archive_over(void *ud, int err)
{
	struct archive *a = ud;

	a->over++;
	a->err = err;
}

static const struct zip_files_ops archive_ops = {
	.open = archive_open,
	.check = archive_check,
	.recall = archive_recall,
	.keep = archive_keep,
	.over = archive_over,
};

/* --- the connection's place --- */

struct visitor {
	struct http_source *src;
	struct buf got;
	uint64_t cut_after; /* it leaves when it has that many bytes; 0: never */
	int failed;
	bool last, gone;
};

static struct visitor *visitor; /* of the running test */

static void leave(void)
{
	visitor->gone = true;
	visitor->src->ops->stop(visitor->src);
}

void http_source_chunk(struct http_source *src, struct span bytes, bool last)
{
	assert_ptr_equal(src, visitor->src);
	assert_false(visitor->gone);
	buf_add_span(&visitor->got, bytes);
	visitor->last = last;
	if (last || (visitor->cut_after && visitor->got.len >= visitor->cut_after)) {
		leave();
	} else {
		src->ops->pull(src);
	}
}

void http_source_fail(struct http_source *src, int code)
{
	assert_ptr_equal(src, visitor->src);
	assert_true(code < 0);
	visitor->failed = code;
	leave();
}

struct fixture {
	uv_loop_t loop;
	struct ev ev;
	struct archive a;
	struct keep kept;
	struct visitor v;
};

/* Fetches [offset, offset + length) into f->v.got. */
static void fetch(struct fixture *f, uint64_t offset, uint64_t length, uint64_t cut_after)
{
	buf_done(&f->v.got);
	f->v = (struct visitor){.cut_after = cut_after};
	f->a.over = 0;
	f->a.recalls = 0;
	f->a.opened = 0;
	visitor = &f->v;
	f->v.src = zip_source_new(&f->ev, &f->a.layout, &f->a.sums, &archive_ops, &f->a, offset,
				  length);
	f->v.src->ops->pull(f->v.src);
	while (!f->a.over) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
	assert_int_equal(f->a.over, 1);
	assert_int_equal(bufpool_in_use(f->ev.bufs), 0);
	assert_true(f->v.got.len <= length);
}

static void load(struct fixture *f, const struct member *members, size_t n)
{
	f->a.n = n;
	f->a.members = xcalloc(n + 1, sizeof(*members));
	memcpy(f->a.members, members, n * sizeof(*members));
	for (size_t i = 0; i < n; i++) {
		struct member *m = &f->a.members[i];
		char *path = member_path(&f->a, i);
		FILE *file = fopen(path, "we");

		assert_non_null(file);
		for (uint64_t k = 0; k < m->size && k < 4u << 20; k++) {
			putc((int)(k * 31 + k / 251 + i) & 0xFF, file);
		}
		fclose(file);
		assert_int_equal(truncate(path, (off_t)m->size), 0);
		assert_int_equal(stat(path, &m->st), 0);
		free(path);
	}
	assert_int_equal(zip_layout_init(&f->a.layout, n, archive_entry, &f->a), 0);
	zip_sums_init(&f->a.sums, n);
}

static void unload(struct fixture *f)
{
	zip_layout_done(&f->a.layout);
	zip_sums_done(&f->a.sums);
	free(f->a.members);
	f->a.members = NULL;
}

static void forget(struct fixture *f)
{
	zip_sums_done(&f->a.sums);
	zip_sums_init(&f->a.sums, f->a.n);
}

static int begin(void **state)
{
	struct fixture *f = xnew(struct fixture);

	assert_int_equal(uv_loop_init(&f->loop), 0);
	ev_init(&f->ev, &f->loop, 8 * BUFPOOL_BUFFER_SIZE);
	uv_idle_init(&f->loop, &f->a.idle);
	f->a.dir = unit_tmpdir();
	f->a.ev = &f->ev;
	*state = f;
	return 0;
}

static int end(void **state)
{
	struct fixture *f = *state;

	unload(f);
	buf_done(&f->v.got);
	for (size_t i = 0; i < ARRAY_SIZE(f->kept.blocks); i++) {
		buf_done(&f->kept.blocks[i]);
	}
	uv_close((uv_handle_t *)&f->a.idle, NULL);
	ev_done(&f->ev);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	unit_rmtree(f->a.dir);
	free(f);
	return 0;
}

static const struct member some[] = {
	{.name = "a.txt", .size = 10},
	{.name = "empty", .size = 0},
	{.name = "dir/gro\xc3\x9f.bin", .size = 700001},
	{.name = "dir/none/", .size = 0},
	{.name = "z\nnewline", .size = 1},
};

/* Writes what was fetched to a file and lets other programs judge it. */
static void assert_others_read_it(struct fixture *f)
{
	char *zip = xasprintf("%s/out.zip", f->a.dir);
	FILE *file = fopen(zip, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(f->v.got.p, 1, f->v.got.len, file), f->v.got.len);
	fclose(file);
	char *check = xasprintf(
		"python3 -c 'import sys,zipfile; z=zipfile.ZipFile(sys.argv[1]); "
		"assert z.testzip() is None; assert len(z.infolist()) == int(sys.argv[2]); "
		"assert all(i.date_time == (1980,1,1,0,0,0) for i in z.infolist()); "
		"assert not any(c in n for n in z.namelist() for c in \"\\\\\")' '%s' %zu",
		zip, f->a.n);

	assert_int_equal(system(check), 0);
	free(check);
	check = xasprintf("! command -v unzip >/dev/null || unzip -tqq '%s' >&2", zip);
	/* unzip has a warning, status 1, for an archive without entries. */
	assert_true(system(check) == 0 || f->a.n == 0);
	free(check);
	/* From a pipe it reads the local headers alone. */
	check = xasprintf(
		"! command -v bsdtar >/dev/null || cat '%s' | LC_ALL=C.UTF-8 bsdtar -tf - "
		">/dev/null",
		zip);
	assert_int_equal(system(check), 0);
	free(check);
	unlink(zip);
	free(zip);
}

static void other_programs_read_the_archive(void **state)
{
	struct fixture *f = *state;

	load(f, some, ARRAY_SIZE(some));
	fetch(f, 0, f->a.layout.length, 0);
	assert_int_equal(f->v.got.len, f->a.layout.length);
	assert_true(f->v.last);
	assert_others_read_it(f);
}

static void an_archive_of_nothing_is_an_end_record(void **state)
{
	struct fixture *f = *state;

	load(f, some, 0);
	assert_int_equal(f->a.layout.length, 22);
	fetch(f, 0, 22, 0);
	assert_true(f->v.last);
	assert_others_read_it(f);
}

static void every_range_has_the_bytes_of_the_whole(void **state)
{
	struct fixture *f = *state;
	struct member small[] = {
		{.name = "a", .size = 3},
		{.name = "b/", .size = 0},
		{.name = "c", .size = 0},
		{.name = "dd", .size = 5},
	};

	load(f, small, ARRAY_SIZE(small));
	fetch(f, 0, f->a.layout.length, 0);
	char *whole = buf_take(&f->v.got);
	uint64_t n = f->a.layout.length;

	for (uint64_t from = 0; from < n; from++) {
		for (uint64_t to = from + 1; to <= n; to += from % 7 + 1) {
			forget(f);
			fetch(f, from, to - from, 0);
			assert_int_equal(f->v.got.len, to - from);
			assert_memory_equal(f->v.got.p, whole + from, to - from);
		}
	}
	free(whole);
}

static void a_big_archive_in_ranges_is_the_same_archive(void **state)
{
	struct fixture *f = *state;

	load(f, some, ARRAY_SIZE(some));
	fetch(f, 0, f->a.layout.length, 0);
	char *whole = buf_take(&f->v.got);
	uint64_t n = f->a.layout.length;

	for (uint64_t from = 0; from < n; from += 100003) {
		forget(f);
		fetch(f, from, n - from, 0);
		assert_int_equal(f->v.got.len, n - from);
		assert_memory_equal(f->v.got.p, whole + from, n - from);
	}
	free(whole);
}

static void a_resumed_download_reads_no_earlier_file_again(void **state)
{
	struct fixture *f = *state;
	struct member big[] = {
		{.name = "one", .size = 3u << 20},
		{.name = "two", .size = 3u << 20},
		{.name = "three", .size = 3u << 20},
	};
	const uint64_t cut = 5u << 20;

	load(f, big, ARRAY_SIZE(big));
	f->a.kept = &f->kept;
	fetch(f, 0, f->a.layout.length, 0);
	char *whole = buf_take(&f->v.got);
	uint64_t n = f->a.layout.length;

	buf_clear(&f->kept.blocks[0]);
	forget(f);
	fetch(f, 0, n, cut);
	assert_true(f->v.got.len >= cut && f->v.got.len < n);
	assert_true(f->kept.blocks[0].len > 0);
	/* As after a restart: all that is known is what was kept. */
	forget(f);
	uint64_t from = f->v.got.len;

	fetch(f, from, n - from, 0);
	assert_int_equal(f->v.got.len, n - from);
	assert_memory_equal(f->v.got.p, whole + from, n - from);
	assert_int_equal(f->a.opened, 2); /* the rest of "two", and "three" */
	/* Without anything kept all must be read, and it is still right. */
	forget(f);
	buf_clear(&f->kept.blocks[0]);
	fetch(f, from, n - from, 0);
	assert_memory_equal(f->v.got.p, whole + from, n - from);
	assert_true(f->a.opened > 2);
	/* Known by now: the central directory alone opens nothing. */
	fetch(f, f->a.layout.central_at, n - f->a.layout.central_at, 0);
	assert_int_equal(f->a.opened, 0);
	free(whole);
}

static void pieces_in_turn_read_nothing_twice(void **state)
{
	struct fixture *f = *state;
	struct member big[] = {{.name = "one", .size = 3u << 20}};
	const uint64_t piece = 700001;

	load(f, big, 1);
	fetch(f, 0, f->a.layout.length, 0);
	char *whole = buf_take(&f->v.got);
	uint64_t n = f->a.layout.length;

	forget(f);
	for (uint64_t from = 0; from < n; from += piece) {
		uint64_t length = n - from < piece ? n - from : piece;

		fetch(f, from, length, 0);
		assert_memory_equal(f->v.got.p, whole + from, length);
		assert_true(f->a.opened <= 1);
	}
	free(whole);
}

static void assert_fails(struct fixture *f)
{
	fetch(f, 0, f->a.layout.length, 0);
	assert_false(f->v.last);
	assert_true(f->v.failed < 0);
	assert_true(f->a.err < 0);
	assert_true(f->v.got.len < f->a.layout.length);
}

static void a_file_that_is_not_as_planned_ends_the_archive(void **state)
{
	struct fixture *f = *state;
	struct member three[] = {
		{.name = "a", .size = 600000},
		{.name = "b", .size = 600000},
		{.name = "c", .size = 0},
	};

	load(f, three, ARRAY_SIZE(three));
	char *b = member_path(&f->a, 1), *c = member_path(&f->a, 2);

	assert_int_equal(truncate(b, 599999), 0);
	assert_fails(f);
	assert_int_equal(truncate(b, 600001), 0);
	assert_fails(f);
	unlink(b);
	assert_fails(f);
	assert_int_equal(f->a.err, -ENOENT);
	/* Put back as long as it was: it is another file, once the clock for files has moved. */
	struct stat st;

	do {
		FILE *file = fopen(b, "we");

		assert_int_equal(truncate(b, 600000), 0);
		fclose(file);
		assert_int_equal(stat(b, &st), 0);
	} while (same(&st, &f->a.members[1].st));
	assert_fails(f);
	assert_int_equal(stat(b, &f->a.members[1].st), 0);
	fetch(f, 0, f->a.layout.length, 0);
	assert_true(f->v.last);
	/* An empty one that is not empty any more. */
	assert_int_equal(truncate(c, 1), 0);
	assert_fails(f);
	free(b);
	free(c);
}

static void who_leaves_early_leaves_nothing_behind(void **state)
{
	struct fixture *f = *state;

	load(f, some, ARRAY_SIZE(some));
	for (uint64_t cut = 1; cut < f->a.layout.length; cut += 50000) {
		forget(f);
		fetch(f, 0, f->a.layout.length, cut);
		assert_false(f->v.failed);
	}
	/* Even before the first byte. */
	f->a.over = 0;
	f->v.src = zip_source_new(&f->ev, &f->a.layout, &f->a.sums, &archive_ops, &f->a, 0, 1);
	f->v.src->ops->stop(f->v.src);
	assert_int_equal(f->a.over, 1);
}

/* --- layout alone: numbers too big to write --- */

static void sparse_entry(void *ud, size_t i, char *name, struct zip_entry *ret)
{
	uint64_t size = *(const uint64_t *)ud;

	*ret = (struct zip_entry){.size = i == 0 ? size : 1};
	ret->name = span_of(name, (size_t)snprintf(name, ZIP_NAME_MAX, "%zu", i));
}

static void lengths_beyond_four_gigabytes_use_zip64(void **state)
{
	const uint64_t limit = 0xFFFFFFFF;
	const uint64_t sizes[] = {limit - 1, limit, limit + 1, UINT64_C(100) << 30};
	struct zip_layout l;
	uint64_t before = 0;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
		uint64_t size = sizes[k];
		struct zip_cursor *c = xnew(struct zip_cursor);

		assert_int_equal(zip_layout_init(&l, 3, sparse_entry, &size), 0);
		assert_true(l.length > size + before);
		/* The second entry lies beyond: its header is found there. */
		zip_seek(&l, c, l.central_at - 1);
		assert_int_equal(c->part, ZIP_DESCRIPTOR);
		assert_int_equal(c->i, 2);
		assert_true(c->local_at > size);
		zip_seek(&l, c, l.central_at - 60);
		assert_int_equal(c->i, 1);
		free(c);
		zip_layout_done(&l);
	}
}

static void more_than_a_zip_can_promise_is_refused(void **state)
{
	uint64_t size = UINT64_C(1) << 62;
	struct zip_layout l;

	(void)state;
	assert_int_equal(zip_layout_init(&l, 1, sparse_entry, &size), -EOVERFLOW);
	size = UINT64_MAX;
	assert_int_equal(zip_layout_init(&l, 2, sparse_entry, &size), -EOVERFLOW);
}

/* Walking and seeking agree about every part of an archive with many entries. */
static void seeking_finds_what_walking_finds(void **state)
{
	uint64_t size = 5;
	struct zip_layout l;
	struct zip_cursor *walk = xnew(struct zip_cursor), *seek = xnew(struct zip_cursor);

	(void)state;
	assert_int_equal(zip_layout_init(&l, 70000, sparse_entry, &size), 0);
	uint64_t parts = 0;

	zip_seek(&l, walk, 0);
	while (walk->part != ZIP_END) {
		if (parts++ % 13 == 0) {
			zip_seek(&l, seek, walk->at + walk->len - 1);
			assert_int_equal(seek->part, walk->part);
			assert_int_equal(seek->i, walk->i);
			assert_int_equal(seek->at, walk->at);
			assert_int_equal(seek->local_at, walk->local_at);
		}
		uint64_t end = walk->at + walk->len;

		zip_next(&l, walk);
		assert_int_equal(walk->at, end);
	}
	assert_int_equal(parts, 4 * 70000);
	assert_int_equal(walk->at, l.end_at);
	assert_int_equal(walk->at + walk->len, l.length);
	zip_layout_done(&l);
	free(walk);
	free(seek);
}

static void many_entries_and_a_huge_file_are_readable(void **state)
{
	struct fixture *f = *state;
	const size_t n = 65540;
	struct member *many = xcalloc(n, sizeof(*many));
	char *names = xcalloc(n, 8);

	for (size_t i = 0; i < n; i++) {
		snprintf(names + 8 * i, 8, "d%zu/", i);
		many[i].name = names + 8 * i;
	}
	f->a.n = n;
	f->a.members = many;
	assert_int_equal(zip_layout_init(&f->a.layout, n, archive_entry, &f->a), 0);
	zip_sums_init(&f->a.sums, n);
	fetch(f, 0, f->a.layout.length, 0);
	assert_true(f->v.last);
	assert_others_read_it(f);
	free(names);
}

/* --- sums as bytes --- */

static void what_is_kept_comes_back_and_nonsense_is_refused(void **state)
{
	struct zip_sums a, b;
	struct buf bytes = BUF_INIT;
	uint32_t crc;

	(void)state;
	zip_sums_init(&a, 300);
	zip_sums_init(&b, 300);
	for (size_t i = 256; i < 300; i += 2) {
		zip_sums_set(&a, i, (uint32_t)(i * 2654435761u));
	}
	zip_sums_set_partial(&a, (struct zip_partial){257, UINT64_C(1) << 40, 77});
	assert_true(a.dirty[1]);
	zip_sums_encode(&a, 1, &bytes);
	assert_false(a.dirty[1]);
	for (size_t n = 0; n < bytes.len; n++) {
		/* Without the unfinished one at the end it is whole too. */
		if (n != bytes.len - 14) {
			assert_int_equal(zip_sums_decode(&b, 1, span_of(bytes.p, n)), -EINVAL);
		}
	}
	assert_int_equal(zip_sums_decode(&b, 1, buf_span(&bytes)), 0);
	for (size_t i = 256; i < 300; i++) {
		assert_int_equal(zip_sums_get(&b, i, &crc), i % 2 == 0);
		assert_true(i % 2 || crc == (uint32_t)(i * 2654435761u));
	}
	assert_int_equal(zip_sums_partial(&b, 257).at, UINT64_C(1) << 40);
	assert_int_equal(zip_sums_partial(&b, 257).crc, 77);
	assert_int_equal(zip_sums_partial(&b, 258).at, 0);
	/* Bits for entries that the archive does not have. */
	bytes.p[1 + 31] = (char)0x80;
	assert_int_equal(zip_sums_decode(&b, 1, buf_span(&bytes)), -EINVAL);
	bytes.p[0] = 9;
	assert_int_equal(zip_sums_decode(&b, 1, buf_span(&bytes)), -EINVAL);
	zip_sums_done(&a);
	zip_sums_done(&b);
	buf_done(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(other_programs_read_the_archive, begin, end),
		cmocka_unit_test_setup_teardown(an_archive_of_nothing_is_an_end_record, begin, end),
		cmocka_unit_test_setup_teardown(every_range_has_the_bytes_of_the_whole, begin, end),
		cmocka_unit_test_setup_teardown(a_big_archive_in_ranges_is_the_same_archive, begin,
						end),
		cmocka_unit_test_setup_teardown(a_resumed_download_reads_no_earlier_file_again,
						begin, end),
		cmocka_unit_test_setup_teardown(pieces_in_turn_read_nothing_twice, begin, end),
		cmocka_unit_test_setup_teardown(a_file_that_is_not_as_planned_ends_the_archive,
						begin, end),
		cmocka_unit_test_setup_teardown(who_leaves_early_leaves_nothing_behind, begin, end),
		cmocka_unit_test_setup_teardown(many_entries_and_a_huge_file_are_readable, begin,
						end),
		cmocka_unit_test(lengths_beyond_four_gigabytes_use_zip64),
		cmocka_unit_test(more_than_a_zip_can_promise_is_refused),
		cmocka_unit_test(seeking_finds_what_walking_finds),
		cmocka_unit_test(what_is_kept_comes_back_and_nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
