/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Directories for the tor of another user: both ends of a request, on a socket between threads. */
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fsutil.h"
#include "proto/base/buf.h"
#include "proto/base/codec.h"
#include "proto/base/crypto.h"
#include "tor/keeper.h"
#include "unit.h"

#define FRONTEND "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid"
#define RECORD   (2 * ONION_ADDRESS_LEN + ONION_KEY_SIZE)

struct fixture {
	char *dir, *path, *root;
	int listener;
	pthread_t thread;
	int served;          /* what keeper_serve has returned */
	const char *instead; /* is answered, and nobody serves; NULL: somebody does */
	size_t instead_n;
};

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	f->dir = unit_tmpdir();
	f->path = xasprintf("%s/keeper.sock", f->dir);
	f->root = xasprintf("%s/onions", f->dir);
	assert_true(strlen(f->path) < sizeof(un.sun_path));
	memcpy(un.sun_path, f->path, strlen(f->path));
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(f->listener, 8), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close(f->listener);
	unit_rmtree(f->dir);
	free(f->path);
	free(f->root);
	free(f);
	return 0;
}

/* As systemd: one connection. */
static void *serve(void *ud)
{
	struct fixture *f = ud;
	int fd = accept(f->listener, NULL, NULL);

	if (f->instead) {
		char request[4096];

		while (read(fd, request, sizeof(request)) > 0) {
		}
		f->served = send(fd, f->instead, f->instead_n, MSG_NOSIGNAL) < 0 ? -errno : 0;
	} else {
		f->served = keeper_serve(fd, f->root);
	}
	close(fd);
	return NULL;
}

static void ask(struct fixture *f, enum keeper_op op, struct hsfiles *files)
{
	assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
	keeper_ask(f->path, op, files);
	assert_int_equal(pthread_join(f->thread, NULL), 0);
}

static struct hsfiles some(size_t n)
{
	struct hsfiles files = {.entries = xcalloc(n + 1, sizeof(struct hsfiles_entry)), .n = n};

	for (size_t i = 0; i < n; i++) {
		struct hsfiles_entry *e = &files.entries[i];

		crypto_random(e->key, sizeof(e->key));
		base32_encode_lower(e->key, ONION_ADDRESS_LEN * 5 / 8, e->address);
		memcpy(e->frontend, FRONTEND, sizeof(e->frontend));
	}
	return files;
}

static bool is_there(const struct fixture *f, const struct hsfiles_entry *e)
{
	_cleanup_free_ char *path = xasprintf("%s/%s/hs_ed25519_secret_key", f->root, e->address);
	_cleanup_free_ char *config = xasprintf("%s/%s/ob_config", f->root, e->address);
	_cleanup_free_ char *key = NULL, *text = NULL;

	if (fs_read_file(path, 200, &key) != 32 + ONION_KEY_SIZE) {
		return false;
	}
	assert_memory_equal(key + 32, e->key, ONION_KEY_SIZE);
	free(take_ptr(key));
	memcpy(strrchr(path, '/'), "/hs_ed25519_public_key", 23); /* as long */
	assert_int_equal(fs_read_file(path, 200, &key), 64);
	assert_memory_equal(key, "== ed25519v1-public: type0 ==\0\0\0", 32);
	assert_memory_equal(key + 32, e->key, 32); /* as these addresses are made */
	assert_true(fs_read_file(config, 200, &text) > 0);
	assert_string_equal(text, "MasterOnionAddress " FRONTEND ".onion\n");
	return true;
}

static void what_is_asked_for_is_there(void **state)
{
	struct fixture *f = *state;
	struct hsfiles files = some(3);
	struct stat st;

	ask(f, KEEPER_WRITE, &files);
	assert_int_equal(f->served, 0);
	assert_int_equal(files.err.code, 0);
	assert_true(files.changed);
	for (size_t i = 0; i < 3; i++) {
		assert_true(files.entries[i].written && is_there(f, &files.entries[i]));
	}
	assert_int_equal(stat(f->root, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	files.changed = false;
	ask(f, KEEPER_WRITE, &files); /* once more: nothing is to be done */
	assert_false(files.changed);
	files.n = 1;
	ask(f, KEEPER_SWEEP, &files);
	assert_int_equal(files.err.code, 0);
	assert_true(is_there(f, &files.entries[0]));
	assert_false(is_there(f, &files.entries[1]) || is_there(f, &files.entries[2]));
	hsfiles_done(&files);
}

static void what_cannot_be_made_is_told_in_words(void **state)
{
	struct fixture *f = *state;
	struct hsfiles files = some(2);

	unit_write(f->dir, "onions", "in the way");
	ask(f, KEEPER_WRITE, &files);
	assert_int_equal(f->served, 0);
	assert_false(files.entries[0].written || files.entries[1].written);
	assert_non_null(strstr(error_text(&files.err), "no directory of ours"));
	hsfiles_done(&files);
}

static void without_a_keeper_the_unit_is_named(void **state)
{
	struct fixture *f = *state;
	struct hsfiles files = some(1);

	unlink(f->path);
	keeper_ask(f->path, KEEPER_WRITE, &files);
	assert_int_equal(files.err.code, ENOENT);
	assert_non_null(strstr(error_text(&files.err), "onionshared-keeper.socket"));
	hsfiles_done(&files);
}

static void answers_that_are_none_are_errors(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		int code;
	} cases[] = {
		{"", 0, ENODATA},
		{"\1", 1, ENODATA},
		{"\1\1\xff\xfe", 4, EBADMSG},
		{"\0\0it is so", 10, EIO},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hsfiles files = some(1);

		f->instead = cases[i].text;
		f->instead_n = cases[i].n;
		ask(f, KEEPER_WRITE, &files);
		assert_int_equal(files.err.code, cases[i].code);
		hsfiles_done(&files);
	}
}

static void as_many_as_there_may_be_and_no_more(void **state)
{
	struct hsfiles files = some(HSFILES_MAX + 1), found = {0};
	struct fixture *f = *state;
	struct buf b = BUF_INIT;
	enum keeper_op op;

	(void)f;
	for (uint32_t n = HSFILES_MAX; n <= HSFILES_MAX + 1; n++) {
		buf_clear(&b);
		buf_add_str(&b, "onionkeep1W\n");
		buf_add(&b, &n, sizeof(n));
		for (uint32_t i = 0; i < n; i++) {
			buf_add(&b, files.entries[i].address, ONION_ADDRESS_LEN);
			buf_add(&b, files.entries[i].frontend, ONION_ADDRESS_LEN);
			buf_add(&b, files.entries[i].key, ONION_KEY_SIZE);
		}
		int r = keeper_parse(buf_span(&b), &op, &found);

		assert_int_equal(r, n <= HSFILES_MAX ? 0 : -EINVAL);
		assert_int_equal(b.len <= KEEPER_REQUEST_MAX, n <= HSFILES_MAX);
	}
	assert_int_equal(found.n, HSFILES_MAX);
	assert_memory_equal(found.entries[HSFILES_MAX - 1].key, files.entries[HSFILES_MAX - 1].key,
			    ONION_KEY_SIZE);
	keeper_ask("/nowhere", KEEPER_WRITE, &files);
	assert_int_not_equal(files.err.code, 0);
	hsfiles_done(&found);
	hsfiles_done(&files);
	buf_done(&b);
}

static void requests_that_are_none_change_nothing(void **state)
{
	static const char upper[] = "2GZYXA5IHM7NSGGFXNU52RCK2VV4RVMDLKIU3ZZUI5DU4XYCLEN53WID";
	static const char path[] = "../../../../../../../../../../../../../../../etc/cron.d/x";
	char good[16 + RECORD], bad[16 + RECORD + 1];
	enum keeper_op op;
	uint32_t one = 1, many = HSFILES_MAX + 1;

	(void)state;
	memset(good, 'k', sizeof(good));
	memcpy(good, "onionkeep1W\n", 12);
	memcpy(good + 12, &one, 4);
	memcpy(good + 16, FRONTEND FRONTEND, 2 * ONION_ADDRESS_LEN);
	const struct {
		size_t at;
		const char *bytes;
		size_t n, length;
	} cases[] = {
		{0, "O", 1, sizeof(good)},
		{10, "X", 1, sizeof(good)},
		{11, " ", 1, sizeof(good)},
		{12, (const char *)&many, 4, sizeof(good)},
		{16, upper, 56, sizeof(good)},
		{16, path, 56, sizeof(good)},
		{16 + 56, path, 56, sizeof(good)},
		{16 + 56, upper, 56, sizeof(good)},
		{16 + 56, "a", 1, sizeof(good)}, /* a checksum that is wrong */
		{0, "", 0, sizeof(good) - 1},
		{0, "", 0, sizeof(good) + 1},
		{0, "", 0, 15},
		{0, "", 0, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hsfiles found = {0};

		memcpy(bad, good, sizeof(good));
		memcpy(bad + cases[i].at, cases[i].bytes, cases[i].n);
		assert_int_equal(keeper_parse(span_of(bad, cases[i].length), &op, &found), -EINVAL);
		assert_null(found.entries);
	}
	struct hsfiles found = {0};

	assert_int_equal(keeper_parse(span_of(good, sizeof(good)), &op, &found), 0);
	assert_int_equal(op, KEEPER_WRITE);
	hsfiles_done(&found);
}

static void a_stranger_gets_no_answer(void **state)
{
	struct fixture *f = *state;
	int fds[2];
	char byte;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(write(fds[0], "GET / HTTP/1.0\r\n\r\n", 18), 18);
	shutdown(fds[0], SHUT_WR);
	assert_int_equal(keeper_serve(fds[1], f->root), -EINVAL);
	close(fds[1]);
	assert_int_equal(read(fds[0], &byte, 1), 0);
	close(fds[0]);
	assert_int_equal(access(f->root, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(what_is_asked_for_is_there),          T(what_cannot_be_made_is_told_in_words),
		T(without_a_keeper_the_unit_is_named),  T(answers_that_are_none_are_errors),
		T(as_many_as_there_may_be_and_no_more), T(requests_that_are_none_change_nothing),
		T(a_stranger_gets_no_answer),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
