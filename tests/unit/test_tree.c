/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "http/content/zip.h"
#include "mode/files/tree.h"
#include "mode/names.h"
#include "unit.h"

static const uint8_t key[32] = {1, 2, 3};
static const struct tree_options strictly = {.strict = true}, leniently = {0};

struct place {
	char *dir;
};

static int begin(void **state)
{
	struct place *p = xnew(struct place);

	p->dir = unit_tmpdir();
	assert_int_equal(chmod(p->dir, 0755), 0);
	*state = p;
	return 0;
}

static int end(void **state)
{
	struct place *p = *state;

	unit_rmtree(p->dir);
	free(p);
	return 0;
}

static char *in(const struct place *p, const char *name)
{
	return *name ? xasprintf("%s/%s", p->dir, name) : xstrdup(p->dir);
}

static void make_dir(const struct place *p, const char *name)
{
	char *path = in(p, name);

	assert_int_equal(mkdir(path, 0755), 0);
	free(path);
}

static void make_file(const struct place *p, const char *name, const char *text)
{
	unit_write(p->dir, name, text);
}

static struct tree *walk(const struct place *p, const char *name)
{
	char *path = in(p, name);
	const char *paths[] = {path, NULL};
	struct tree *t = NULL;
	struct error err = ERROR_INIT;

	if (tree_walk(paths, key, &strictly, &t, &err) < 0) {
		fail_msg("%s", error_text(&err));
	}
	free(path);
	return t;
}

/* Everything in order, as "a/ a/b c". */
static void assert_tree(const struct tree *t, const char *want)
{
	char path[TREE_PATH_ROOM];
	struct buf b = BUF_INIT;

	buf_add_str(&b, "");
	for (uint32_t i = 1; i < t->n; i++) {
		size_t n = tree_path(t, i, path);

		buf_printf(&b, "%s%.*s%s", i > 1 ? " " : "", (int)n, path,
			   t->entries[i].is_dir ? "/" : "");
		char *full = xasprintf("/%.*s", (int)n, path);

		assert_int_equal(tree_find(t, span_str(full)), i);
		free(full);
	}
	assert_string_equal(b.len ? b.p : "", want);
	buf_done(&b);
}

static void assert_zip_name(const struct tree *t, uint32_t i, const char *want)
{
	char *name = xmalloc(ZIP_NAME_MAX);
	size_t n = tree_zip_path(t, i, name);

	name[n] = '\0';
	assert_string_equal(name, want);
	free(name);
}

static void assert_refused(const struct place *p, const char *name, enum error_kind kind,
			   const char *says)
{
	char *path = in(p, name);
	const char *paths[] = {path, NULL};
	struct tree *t = NULL;
	struct error err = ERROR_INIT;

	assert_true(tree_walk(paths, key, &strictly, &t, &err) < 0);
	assert_null(t);
	assert_int_equal(err.kind, kind);
	if (!strstr(error_text(&err), says)) {
		fail_msg("\"%s\" does not say \"%s\"", error_text(&err), says);
	}
	if (kind == ERROR_PATH_NOT_READABLE) {
		assert_string_equal(err.param[0], path);
	}
	error_done(&err);
	free(path);
}

static void a_directory_alone_is_the_root_sorted_by_bytes(void **state)
{
	struct place *p = *state;

	make_file(p, "b.txt", "bb");
	make_file(p, "B.txt", "b");
	make_file(p, ".hidden", "");
	make_dir(p, "z");
	make_dir(p, "a");
	make_dir(p, "a/none");
	make_file(p, "z/f", "123456");
	struct tree *t = walk(p, "");

	assert_tree(t, "a/ z/ .hidden B.txt b.txt a/none/ z/f");
	assert_int_equal(t->total, 9);
	assert_int_equal(t->files, 4);
	assert_false(t->single);
	assert_int_equal(tree_find(t, SPAN("/")), TREE_ROOT);
	assert_int_equal(tree_find(t, SPAN("/a/")), tree_find(t, SPAN("/a")));
	assert_int_equal(tree_find(t, SPAN("/b.txt/")), TREE_NONE);
	assert_int_equal(tree_find(t, SPAN("//a")), TREE_NONE);
	assert_int_equal(tree_find(t, SPAN("/a//none")), TREE_NONE);
	assert_int_equal(tree_find(t, SPAN("/b.txt/x")), TREE_NONE);
	assert_int_equal(tree_find(t, SPAN("/nothing")), TREE_NONE);
	assert_int_equal(tree_find(t, SPAN("")), TREE_NONE);
	tree_free(t);
}

static void one_file_stands_alone(void **state)
{
	struct place *p = *state;

	make_file(p, "only.bin", "xyz");
	struct tree *t = walk(p, "only.bin");

	assert_true(t->single);
	assert_tree(t, "only.bin");
	int fd = tree_open(t, 1);

	assert_true(fd >= 0);
	assert_int_equal(tree_check(t, 1, fd), 0);
	close(fd);
	tree_free(t);
	/* A directory with one file is a directory. */
	t = walk(p, "");
	assert_false(t->single);
	tree_free(t);
}

static void several_paths_keep_their_names_and_equal_ones_are_told_apart(void **state)
{
	struct place *p = *state;
	const char *dirs[] = {"x", "y", "w", "x/same", "y/same"};
	struct tree *t = NULL;
	struct error err = ERROR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		make_dir(p, dirs[i]);
	}
	make_file(p, "x/s.tar.gz", "1");
	make_file(p, "y/s.tar.gz", "22");
	make_file(p, "w/s-1.tar.gz", "333");
	make_file(p, "x/.rc", "");
	make_file(p, "y/.rc", "");
	make_file(p, "y/same/in", "4444");
	char *paths[] = {in(p, "x/s.tar.gz"),   in(p, "y/s.tar.gz"),
			 in(p, "w/s-1.tar.gz"), in(p, "x/.rc"),
			 in(p, "y/.rc"),        in(p, "x/same/"),
			 in(p, "y/same"),       NULL};

	assert_int_equal(tree_walk((const char *const *)paths, key, &strictly, &t, &err), 0);
	assert_tree(t, "same/ same-1/ .rc .rc-1 s-1-1.tar.gz s-1.tar.gz s.tar.gz same-1/in");
	uint32_t i = tree_find(t, SPAN("/s-1.tar.gz"));

	assert_int_equal(t->entries[i].file.size, 2);
	int fd = tree_open(t, i);

	assert_true(fd >= 0);
	close(fd);
	fd = tree_open(t, tree_find(t, SPAN("/same-1/in")));
	assert_true(fd >= 0);
	close(fd);
	tree_free(t);
	for (size_t k = 0; paths[k]; k++) {
		free(paths[k]);
	}
}

static void links_and_special_files_are_left_out(void **state)
{
	struct place *p = *state;
	char *fifo = in(p, "fifo"), *sock = in(p, "sock"), *loop = in(p, "loop");
	char *out = in(p, "out"), *dead = in(p, "dead"), *inside = in(p, "inside");
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	make_file(p, "file", "x");
	make_dir(p, "dir");
	assert_int_equal(mkfifo(fifo, 0644), 0);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", sock);
	assert_int_equal(bind(s, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(symlink(".", loop), 0);
	assert_int_equal(symlink("/etc", out), 0);
	assert_int_equal(symlink("nowhere", dead), 0);
	assert_int_equal(symlink("file", inside), 0);
	struct tree *t = walk(p, "");

	assert_tree(t, "dir/ file");
	assert_int_equal(t->links, 4);
	assert_int_equal(t->special, 2);
	assert_int_equal(t->unreadable, 0);
	tree_free(t);
	assert_refused(p, "fifo", ERROR_PATH_NOT_READABLE, "neither a file nor a directory");
	assert_refused(p, "out", ERROR_PATH_NOT_READABLE, "symbolic link");
	assert_refused(p, "gone", ERROR_PATH_NOT_READABLE, "does not exist");
	assert_refused(p, "file/x", ERROR_PATH_NOT_READABLE, "does not exist");
	close(s);
	char *all[] = {fifo, sock, loop, out, dead, inside};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		free(all[i]);
	}
}

static void what_may_not_be_read_is_left_out_and_counted(void **state)
{
	struct place *p = *state;
	char *file = in(p, "d/secret"), *dir = in(p, "d/closed");

	if (geteuid() != 0) {
		skip(); /* only root can become the one who may not */
	}
	make_dir(p, "d");
	make_file(p, "d/open", "x");
	make_file(p, "d/secret", "x");
	make_dir(p, "d/closed");
	make_file(p, "d/closed/in", "x");
	assert_int_equal(chmod(file, 0600), 0);
	assert_int_equal(chmod(dir, 0700), 0);
	assert_int_equal(seteuid(65534), 0);
	struct tree *t = walk(p, "");

	assert_tree(t, "d/ d/open");
	assert_int_equal(t->unreadable, 2);
	assert_non_null(t->first_unreadable);
	assert_true(strcmp(t->first_unreadable, "d/secret") == 0 ||
		    strcmp(t->first_unreadable, "d/closed") == 0);
	tree_free(t);
	assert_refused(p, "d/secret", ERROR_PATH_NOT_READABLE, "nobody");
	assert_refused(p, "d/secret", ERROR_PATH_NOT_READABLE, "setfacl");
	assert_refused(p, "d/closed", ERROR_PATH_NOT_READABLE, "setfacl");
	assert_int_equal(seteuid(0), 0);
	free(file);
	free(dir);
}

/* The kernel's clock for files has a few milliseconds' steps: writes until it has moved. */
static void rewrite(const struct place *p, const char *name, const char *text)
{
	char *path = in(p, name);
	struct stat before, after;

	assert_int_equal(stat(path, &before), 0);
	do {
		make_file(p, name, text);
		assert_int_equal(stat(path, &after), 0);
	} while (before.st_ctim.tv_sec == after.st_ctim.tv_sec &&
		 before.st_ctim.tv_nsec == after.st_ctim.tv_nsec);
	free(path);
}

static void a_file_that_changed_is_not_opened(void **state)
{
	struct place *p = *state;
	char *path = in(p, "f");

	make_file(p, "f", "text");
	struct tree *t = walk(p, "");
	int fd = tree_open(t, 1);

	assert_true(fd >= 0);
	rewrite(p, "f", "texT"); /* as long as before */
	assert_int_equal(tree_check(t, 1, fd), -ESTALE);
	assert_int_equal(tree_open(t, 1), -ESTALE);
	close(fd);
	unlink(path);
	assert_int_equal(tree_open(t, 1), -ENOENT);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_true(tree_open(t, 1) < 0);
	unlink(path);
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_int_equal(tree_open(t, 1), -ESTALE);
	unlink(path);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_true(tree_open(t, 1) < 0);
	tree_free(t);
	free(path);
}

static void equal_content_has_an_equal_digest_and_no_other(void **state)
{
	struct place *p = *state;
	const uint8_t other_key[32] = {9};
	char *path = in(p, "f"), *link = in(p, "l");
	const char *paths[] = {p->dir, NULL};
	struct tree *a, *b;

	make_file(p, "f", "text");
	a = walk(p, "");
	b = walk(p, "");
	assert_memory_equal(a->digest, b->digest, sizeof(a->digest));
	tree_free(b);
	assert_int_equal(symlink("f", link), 0); /* is not shared, so it does not count */
	b = walk(p, "");
	assert_memory_equal(a->digest, b->digest, sizeof(a->digest));
	tree_free(b);
	assert_int_equal(tree_walk(paths, other_key, &strictly, &b, NULL), 0);
	assert_memory_not_equal(a->digest, b->digest, sizeof(a->digest));
	tree_free(b);
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 157766400}};

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0); /* 1975 */
	b = walk(p, "");
	assert_memory_not_equal(a->digest, b->digest, sizeof(a->digest));
	tree_free(b);
	tree_free(a);
	free(path);
	free(link);
}

static void names_of_any_bytes_are_kept_and_fitted_for_a_zip(void **state)
{
	struct place *p = *state;

	make_file(p, "a\xff.txt", "1");
	make_file(p, "a\xfe.txt", "2");
	make_file(p, "a\xef\xbf\xbd-1.txt", "3"); /* what one of them would become */
	make_file(p, "new\nline", "4");
	make_file(p, "..\\..\\up", "5");
	make_dir(p, "\xff");
	make_file(p, "\xff/in", "6");
	struct tree *t = walk(p, "");

	assert_tree(t, "\xff/ ..\\..\\up a\xef\xbf\xbd-1.txt a\xfe.txt a\xff.txt new\nline "
		       "\xff/in");
	assert_zip_name(t, tree_find(t, SPAN("/\xff")), "\xef\xbf\xbd/");
	assert_zip_name(t, tree_find(t, SPAN("/\xff/in")), "\xef\xbf\xbd/in");
	assert_zip_name(t, tree_find(t, SPAN("/..\\..\\up")), ".._.._up");
	assert_zip_name(t, tree_find(t, SPAN("/a\xfe.txt")), "a\xef\xbf\xbd.txt");
	assert_zip_name(t, tree_find(t, SPAN("/a\xff.txt")), "a\xef\xbf\xbd-2.txt");
	assert_zip_name(t, tree_find(t, SPAN("/a\xef\xbf\xbd-1.txt")), "a\xef\xbf\xbd-1.txt");
	for (uint32_t i = 1; i < t->n; i++) {
		if (!t->entries[i].is_dir) {
			int fd = tree_open(t, i);

			assert_true(fd >= 0);
			close(fd);
		}
	}
	tree_free(t);
}

static void many_names_that_become_equal_take_little_time(void **state)
{
	struct names *set = names_new(10);
	char want[32];
	struct span s = SPAN_NONE;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		s = names_tell_apart(set, SPAN("name.txt"), false);
	}
	snprintf(want, sizeof(want), "name-%u.txt", 199999u);
	assert_true(span_eq(s, span_str(want)));
	names_free(set);
}

static void a_deep_tree_is_walked_and_a_deeper_one_refused(void **state)
{
	struct place *p = *state;
	int fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[25];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (unsigned i = 0; i < TREE_MAX_DEPTH - 1; i++) {
		assert_int_equal(mkdirat(fd, name, 0755), 0);
		int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		close(fd);
		fd = next;
	}
	struct tree *t = walk(p, "");

	assert_int_equal(t->n, TREE_MAX_DEPTH);
	tree_free(t);
	assert_int_equal(mkdirat(fd, name, 0755), 0);
	assert_refused(p, "", ERROR_LIMIT_EXCEEDED, "levels of directories");
	close(fd);
}

static void a_path_longer_than_the_limit_is_refused(void **state)
{
	struct place *p = *state;
	int fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[256];

	memset(name, 'n', 255);
	name[255] = '\0';
	for (int i = 0; i < 16; i++) {
		assert_int_equal(mkdirat(fd, name, 0755), 0);
		int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		close(fd);
		fd = next;
		if (i == 14) {
			struct tree *t = walk(p, "");

			assert_int_equal(t->n, 16);
			tree_free(t);
		}
	}
	assert_int_equal(mkdirat(fd, "x", 0755), 0);
	assert_refused(p, "", ERROR_LIMIT_EXCEEDED, "bytes in a path");
	close(fd);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void twenty_thousand_files_are_listed_at_once(void **state)
{
	struct place *p = *state;
	char name[32];

	for (int i = 0; i < 20000; i++) {
		if (i % 1000 == 0) {
			snprintf(name, sizeof(name), "d%d", i / 1000);
			make_dir(p, name);
		}
		snprintf(name, sizeof(name), "d%d/file%d.txt", i / 1000, i);
		make_file(p, name, "");
	}
	double start = now();
	struct tree *t = walk(p, "");

	assert_true(now() - start < 2);
	assert_int_equal(t->n, 20021);
	tree_free(t);
}

static void more_entries_than_the_limit_are_refused(void **state)
{
	struct place *p = *state;
	const char *paths[] = {p->dir, NULL};
	struct tree_options options = {.strict = true, .max_entries = 3};
	struct error err = ERROR_INIT;
	struct tree *t = NULL;

	make_dir(p, "d");
	make_file(p, "d/a", "");
	make_file(p, "b", "");
	assert_int_equal(tree_walk(paths, key, &options, &t, &err), 0);
	tree_free(t);
	t = NULL;
	make_file(p, "d/c", "");
	assert_int_equal(tree_walk(paths, key, &options, &t, &err), -E2BIG);
	assert_null(t);
	assert_int_equal(err.kind, ERROR_LIMIT_EXCEEDED);
	assert_string_equal(err.param[1], "3");
	error_done(&err);
}

static void a_walk_can_be_called_off(void **state)
{
	struct place *p = *state;
	const char *paths[] = {p->dir, NULL};
	atomic_bool cancel = true;
	const struct tree_options options = {.cancel = &cancel};
	struct tree *t = NULL;

	assert_int_equal(tree_walk(paths, key, &options, &t, NULL), -ECANCELED);
	assert_null(t);
}

static void what_is_missing_later_is_left_out_until_nothing_is_left(void **state)
{
	struct place *p = *state;
	struct tree *t = NULL;
	struct error err = ERROR_INIT;

	make_file(p, "a", "1");
	make_file(p, "b", "2");
	char *a = in(p, "a"), *b = in(p, "b");
	const char *paths[] = {a, b, NULL};

	unlink(a);
	assert_int_equal(tree_walk(paths, key, &strictly, &t, &err), -ENOENT);
	assert_int_equal(tree_walk(paths, key, &leniently, &t, &err), 0);
	assert_tree(t, "b");
	assert_false(t->single);
	tree_free(t);
	unlink(b);
	assert_int_equal(tree_walk(paths, key, &leniently, &t, &err), -ENOENT);
	error_done(&err);
	free(a);
	free(b);
}

/* Another process swaps a directory for a link out of the tree, as fast as it can. */
static void no_race_leads_out_of_the_tree(void **state)
{
	struct place *p = *state;
	char *dir = in(p, "share/sub"), *aside = in(p, "aside"), *link = in(p, "link");

	make_dir(p, "share");
	make_dir(p, "share/sub");
	make_file(p, "share/sub/name", "ours");
	make_dir(p, "out");
	make_file(p, "out/name", "secret!");
	assert_int_equal(symlink("../out", link), 0);
	pid_t child = fork();

	if (child == 0) {
		for (;;) {
			rename(dir, aside);
			rename(link, dir);
			rename(dir, link);
			rename(aside, dir);
		}
	}
	unsigned opened = 0;

	for (double until = now() + 2; now() < until;) {
		struct tree *t = walk(p, "share");

		for (uint32_t i = 1; i < t->n; i++) {
			assert_true(t->entries[i].is_dir || t->entries[i].file.size == 4);
			int fd = t->entries[i].is_dir ? -1 : tree_open(t, i);

			if (fd >= 0) {
				char text[16];

				assert_int_equal(read(fd, text, sizeof(text)), 4);
				assert_memory_equal(text, "ours", 4);
				close(fd);
				opened++;
			}
		}
		tree_free(t);
	}
	assert_true(opened > 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	free(dir);
	free(aside);
	free(link);
}

/* --- layouts, owners --- */

static struct tree *walk_content(struct mode_content *c, int want)
{
	const struct tree_options options = {.strict = true, .content = c};
	struct tree *t = NULL;

	assert_int_equal(tree_walk((const char *const *)c->paths, key, &options, &t, NULL), want);
	return t;
}

static void what_is_in_the_first_path_stands_beside_the_others(void **state)
{
	const struct place *p = *state;

	make_dir(p, "d");
	make_dir(p, "d/sub");
	make_file(p, "d/a", "1");
	make_file(p, "d/sub/b", "22");
	make_dir(p, "e");
	make_file(p, "e/a", "333");
	make_dir(p, "f");
	make_file(p, "f/x", "4");
	char *paths[] = {in(p, "d"), in(p, "e/a"), in(p, "f")};
	struct mode_content *c = mode_content_new((const char *const *)paths, NULL, 3,
						  MODE_LAYOUT_FIRST, NULL, NULL);
	struct tree *t = walk_content(c, 0);

	assert_tree(t, "f/ sub/ a a-1 f/x sub/b");
	for (uint32_t i = 1; i < t->n; i++) {
		if (!t->entries[i].is_dir) {
			int fd = tree_open(t, i);

			assert_true(fd >= 0);
			close(fd);
		}
	}
	assert_int_equal(t->entries[tree_find(t, SPAN("/a-1"))].file.size, 3);
	assert_int_equal(t->entries[tree_find(t, SPAN("/a"))].file.size, 1);
	tree_free(t);
	mode_content_unref(c);
	for (size_t i = 0; i < 3; i++) {
		free(paths[i]);
	}
}

static void a_folder_that_is_alone_may_keep_its_name(void **state)
{
	const struct place *p = *state;
	char *path = in(p, "d");
	const char *paths[] = {path};

	make_dir(p, "d");
	make_file(p, "d/a", "1");
	struct mode_content *named =
		mode_content_new(paths, NULL, 1, MODE_LAYOUT_NAMED, NULL, NULL);
	struct tree *t = walk_content(named, 0);

	assert_tree(t, "d/ d/a");
	assert_false(t->single);
	tree_free(t);
	mode_content_unref(named);
	free(path);
}

static void what_an_owner_could_not_read_is_left_out(void **state)
{
	const struct place *p = *state;
	const uid_t somebody = geteuid() + 1;
	char *dir = in(p, "d"), *closed = in(p, "d/closed"), *sub = in(p, "d/sub");
	const char *paths[] = {dir};

	make_dir(p, "d");
	make_dir(p, "d/sub");
	make_file(p, "d/open", "1");
	make_file(p, "d/closed", "2");
	make_file(p, "d/sub/open", "3");
	char *open_file = in(p, "d/open");

	assert_int_equal(chmod(dir, 0755) | chmod(closed, 0660) | chmod(sub, 0750) |
				 chmod(open_file, 0644),
			 0);
	struct mode_content *c =
		mode_content_new(paths, &somebody, 1, MODE_LAYOUT_ALONE, NULL, NULL);
	struct tree *t = walk_content(c, 0);

	assert_tree(t, "open");
	assert_int_equal(t->unreadable, 2);
	tree_free(t);
	assert_int_equal(chmod(dir, 0750), 0);
	walk_content(c, -EPERM);
	mode_content_unref(c);
	free(dir);
	free(closed);
	free(sub);
	free(open_file);
}

static void a_link_on_the_way_is_not_followed(void **state)
{
	const struct place *p = *state;
	char *real = in(p, "real"), *way = in(p, "way"), *path = in(p, "way/d");
	const char *paths[] = {path};

	make_dir(p, "real");
	make_dir(p, "real/d");
	make_file(p, "real/d/a", "1");
	assert_int_equal(symlink(real, way), 0);
	struct mode_content *c = mode_content_new(paths, NULL, 1, MODE_LAYOUT_ALONE, NULL, NULL);

	walk_content(c, -ELOOP);
	mode_content_unref(c);
	free(real);
	free(way);
	free(path);
}

static void count_gone(void *ud)
{
	++*(int *)ud;
}

static void content_goes_with_its_last_reader(void **state)
{
	(void)state;
	const char *paths[] = {"/a", "/b"};
	int gone = 0;
	struct mode_content *c =
		mode_content_new(paths, NULL, 2, MODE_LAYOUT_ALONE, count_gone, &gone);

	assert_ptr_equal(mode_content_ref(c), c);
	mode_content_unref(c);
	assert_int_equal(gone, 0);
	assert_string_equal(c->paths[1], "/b");
	assert_null(c->paths[2]);
	mode_content_unref(c);
	assert_int_equal(gone, 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(a_directory_alone_is_the_root_sorted_by_bytes),
		TEST(one_file_stands_alone),
		TEST(several_paths_keep_their_names_and_equal_ones_are_told_apart),
		TEST(links_and_special_files_are_left_out),
		TEST(what_may_not_be_read_is_left_out_and_counted),
		TEST(a_file_that_changed_is_not_opened),
		TEST(equal_content_has_an_equal_digest_and_no_other),
		TEST(names_of_any_bytes_are_kept_and_fitted_for_a_zip),
		TEST(many_names_that_become_equal_take_little_time),
		TEST(a_deep_tree_is_walked_and_a_deeper_one_refused),
		TEST(a_path_longer_than_the_limit_is_refused),
		TEST(twenty_thousand_files_are_listed_at_once),
		TEST(more_entries_than_the_limit_are_refused),
		TEST(a_walk_can_be_called_off),
		TEST(what_is_missing_later_is_left_out_until_nothing_is_left),
		TEST(no_race_leads_out_of_the_tree),
		TEST(what_is_in_the_first_path_stands_beside_the_others),
		TEST(a_folder_that_is_alone_may_keep_its_name),
		TEST(what_an_owner_could_not_read_is_left_out),
		TEST(a_link_on_the_way_is_not_followed),
		TEST(content_goes_with_its_last_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
