/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Starts of the store: first, second, interrupted, and over everything that can
 * lie there instead of our database. What is refused is never changed.
 */
#include "store_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "proto/base/crypto.h"
#include "store/open.h"

/* --- dying on the way: every sqlite3_step is a place where the process may end --- */

static int steps_until_death = -1;
int __real_sqlite3_step(sqlite3_stmt *st);
int __wrap_sqlite3_step(sqlite3_stmt *st);

int __wrap_sqlite3_step(sqlite3_stmt *st)
{
	if (steps_until_death >= 0 && steps_until_death-- == 0) {
		_exit(42);
	}
	return __real_sqlite3_step(st);
}

/* And every rename: the other steps of a first start. */
static int renames_until_death = -1;
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);

int __wrap_rename(const char *from, const char *to)
{
	if (renames_until_death >= 0 && renames_until_death-- == 0) {
		_exit(42);
	}
	return __real_rename(from, to);
}

/* --- helpers --- */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void read_all(const char *path, char **ret, size_t *ret_n)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	*ret = xmalloc((size_t)st.st_size + 1);
	*ret_n = (size_t)st.st_size;
	assert_int_equal(read(fd, *ret, *ret_n), *ret_n);
	close(fd);
}

static void write_all(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), n);
	close(fd);
}

/* A state directory with two services, closed; returns the database's path. */
static char *make_state(struct fixture *f)
{
	fixture_must_open(f);
	fixture_add(f, "a");
	fixture_add(f, "b");
	fixture_close(f);
	return fixture_path(f, "onionshared.db");
}

static void must_have_both(struct fixture *f)
{
	fixture_must_open(f);
	fixture_load(f);
	assert_int_equal(f->n_rows, 2);
	assert_int_equal(f->n_broken, 0);
	fixture_close(f);
}

/* Refused with this status and a sentence that has these words; nothing in the file changes. */
static void must_be_refused(struct fixture *f, int exit_status, const char *words)
{
	char *path = fixture_path(f, "onionshared.db");
	char *before = NULL, *after = NULL;
	size_t before_n = 0, after_n = 0;
	bool there = access(path, F_OK) == 0;

	if (there) {
		read_all(path, &before, &before_n);
	}
	assert_true(fixture_open(f) < 0);
	if (!strstr(error_text(&f->err), words)) {
		fail_msg("\"%s\" does not say \"%s\"", error_text(&f->err), words);
	}
	assert_int_equal(f->exit_status, exit_status);
	assert_int_equal(access(path, F_OK) == 0, there);
	if (there) {
		read_all(path, &after, &after_n);
		assert_int_equal(before_n, after_n);
		assert_memory_equal(before, after, after_n);
	}
	free(before);
	free(after);
	free(path);
}

static mode_t mode_of(struct fixture *f, const char *name)
{
	char *path = fixture_path(f, name);
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	free(path);
	return st.st_mode & 07777;
}

static void remove_file(struct fixture *f, const char *name)
{
	char *path = fixture_path(f, name);

	assert_int_equal(unlink(path), 0);
	free(path);
}

static void sql(const char *path, const char *text)
{
	char *message = NULL;
	sqlite3 *h;

	assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
	if (sqlite3_exec(h, text, NULL, NULL, &message) != SQLITE_OK) {
		fail_msg("%s", message);
	}
	sqlite3_close(h);
}

/* --- first start --- */

static void a_first_start_makes_everything_for_its_owner_only(void **state)
{
	struct fixture *f = *state;
	char *home = f->dir;
	mode_t mask = umask(0);

	f->dir = xasprintf("%s/deep/state", home);
	fixture_must_open(f);
	fixture_add(f, "a");
	assert_int_equal(mode_of(f, "."), 0700);
	assert_int_equal(mode_of(f, "onionshared.db"), 0600);
	assert_int_equal(mode_of(f, "onionshared.db-wal"), 0600);
	assert_int_equal(mode_of(f, "onionshared.db-shm"), 0600);
	assert_int_equal(mode_of(f, "secret.key"), 0600);
	assert_int_equal(mode_of(f, "created"), 0600);
	assert_int_equal(mode_of(f, "lock"), 0600);
	umask(mask);
	/* the database is on disk once and as itself: no journal is left behind by a clean end */
	fixture_close(f);
	char *wal = fixture_path(f, "onionshared.db-wal");

	assert_int_equal(access(wal, F_OK), -1);
	free(wal);
	free(f->dir);
	f->dir = home;
}

static void neither_keys_nor_the_secret_are_found_in_the_files(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = {"onionshared.db", "onionshared.db-wal"};

	fixture_must_open(f);
	fixture_add(f, "canary");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char *path = fixture_path(f, names[i]);
		uint8_t onion[16], client[16], secret[16];
		char *text;
		size_t n;

		read_all(path, &text, &n);
		memset(onion, 0x5a, sizeof(onion));
		memset(client, 0x33, sizeof(client));
		memset(secret, 0x17, sizeof(secret));
		assert_null(memmem(text, n, onion, sizeof(onion)));
		assert_null(memmem(text, n, client, sizeof(client)));
		assert_null(memmem(text, n, secret, sizeof(secret)));
		/* and this finds what is there */
		assert_true(i == 0 || memmem(text, n, "canary", 6));
		free(text);
		free(path);
	}
}

static void a_directory_others_may_write_to_is_closed(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(chmod(f->dir, 0777), 0);
	fixture_must_open(f);
	assert_int_equal(mode_of(f, "."), 0755);
}

/* Ends a first start at its nth step, for every n, and starts again. */
static void interrupt_first_start(struct fixture *f, int *counter)
{
	for (int n = 0;; n++) {
		int status;
		pid_t pid;

		unit_rmtree(f->dir);
		f->dir = unit_tmpdir();
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			struct statedir dir;
			struct db db;
			struct error err = ERROR_INIT;
			int exit_status;
			const struct store_config config = {.state_dir = f->dir};

			*counter = n;
			_exit(open_state(&config, store_migrations, store_migrations_n, &dir, &db,
					 &err, &exit_status) < 0
				      ? 1
				      : 0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		fixture_must_open(f);
		fixture_add(f, "a");
		fixture_close(f);
		if (WEXITSTATUS(status) == 0) {
			assert_true(n > 2);
			return;
		}
		assert_int_equal(WEXITSTATUS(status), 42);
	}
}

static void a_first_start_may_end_at_any_statement(void **state)
{
	interrupt_first_start(*state, &steps_until_death);
}

static void a_first_start_may_end_before_any_rename(void **state)
{
	interrupt_first_start(*state, &renames_until_death);
}

/* --- migrations --- */

#define V1 "CREATE TABLE one (a INTEGER) STRICT; INSERT INTO one VALUES (1), (2);"
#define V2                                                                              \
	"-- a comment\nALTER TABLE one ADD COLUMN b TEXT; UPDATE one SET b = 'x' || a;" \
	"CREATE TABLE two (c INTEGER PRIMARY KEY) STRICT;"
#define V3 "INSERT INTO two SELECT a FROM one; DELETE FROM one WHERE a = 1; "

/* A database of store_migrations and then these: so that the store's own tables are there. */
static struct migration *with_more(unsigned *ret_n)
{
	struct migration *all = xcalloc(store_migrations_n + 3, sizeof(*all));

	memcpy(all, store_migrations, store_migrations_n * sizeof(*all));
	all[store_migrations_n] = (struct migration){"one", V1};
	all[store_migrations_n + 1] = (struct migration){"two", V2};
	all[store_migrations_n + 2] = (struct migration){"three", V3};
	*ret_n = store_migrations_n + 3;
	return all;
}

static int open_with(struct fixture *f, const struct migration *m, unsigned n)
{
	const struct store_config config = {.state_dir = f->dir};
	struct statedir dir;
	struct db db;

	error_done(&f->err);
	int r = open_state(&config, m, n, &dir, &db, &f->err, &f->exit_status);

	if (r == 0) {
		db_close(&db);
		statedir_close(&dir);
	}
	return r;
}

static int64_t query(const char *path, const char *text)
{
	sqlite3_stmt *st;
	sqlite3 *h;
	int64_t value = -1;

	assert_int_equal(sqlite3_open_v2(path, &h, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	if (sqlite3_prepare_v2(h, text, -1, &st, NULL) == SQLITE_OK) {
		assert_int_equal(__real_sqlite3_step(st), SQLITE_ROW);
		value = sqlite3_column_int64(st, 0);
		sqlite3_finalize(st);
	}
	sqlite3_close(h);
	return value;
}

static void an_older_database_is_backed_up_and_brought_up_to_date(void **state)
{
	struct fixture *f = *state;
	char *path = make_state(f);
	unsigned n;
	struct migration *m = with_more(&n);
	char *backup = xasprintf("%s.backup-v%u", path, store_migrations_n);

	if (open_with(f, m, n) < 0) {
		fail_msg("%s", error_text(&f->err));
	}
	assert_int_equal(query(path, "PRAGMA user_version"), n);
	assert_int_equal(query(path, "SELECT c FROM two WHERE c = 2"), 2);
	assert_int_equal(query(path, "SELECT count(*) FROM one"), 1);
	/* the backup is whole, and of before */
	assert_int_equal(query(backup, "PRAGMA user_version"), store_migrations_n);
	assert_int_equal(query(backup, "SELECT count(*) FROM services"), 2);
	assert_int_equal(query(backup, "SELECT count(*) FROM one"), -1);
	char *name = strrchr(backup, '/') + 1;

	assert_int_equal(mode_of(f, name), 0600);

	/* back to the older program: refused, untouched, with what to do */
	must_be_refused(f, 78, "was written by a newer onionshared (version");
	assert_non_null(strstr(error_text(&f->err), ".backup-v"));
	assert_int_equal(rename(backup, path), 0);
	must_have_both(f);
	free(m);
	free(backup);
	free(path);
}

static void a_migration_may_end_at_any_statement(void **state)
{
	struct fixture *f = *state;
	char *path = make_state(f);
	unsigned n;
	struct migration *m = with_more(&n);
	unsigned deaths = 0;
	char *original;
	size_t original_n;

	read_all(path, &original, &original_n);
	for (int at = 0;; at++) {
		int status;
		pid_t pid;

		write_all(path, original, original_n);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			steps_until_death = at;
			_exit(open_with(f, m, n) < 0 ? 1 : 0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		if (open_with(f, m, n) < 0) {
			fail_msg("after step %d: %s", at, error_text(&f->err));
		}
		assert_int_equal(query(path, "PRAGMA user_version"), n);
		assert_int_equal(query(path, "SELECT count(*) FROM one"), 1);
		assert_int_equal(query(path, "SELECT count(*) FROM two"), 2);
		assert_int_equal(query(path, "SELECT count(*) FROM services"), 2);
		if (WEXITSTATUS(status) == 0) {
			break;
		}
		assert_int_equal(WEXITSTATUS(status), 42);
		deaths++;
	}
	assert_true(deaths > 20);
	free(original);
	free(m);
	free(path);
}

static void a_migration_that_fails_leaves_the_version_before_it(void **state)
{
	struct fixture *f = *state;
	char *path = make_state(f);
	unsigned n;
	struct migration *m = with_more(&n);

	m[n - 1].sql = "CREATE TABLE three (x) ; INSERT INTO nowhere VALUES (1);";
	assert_true(open_with(f, m, n) < 0);
	assert_int_equal(f->exit_status, 71);
	assert_non_null(strstr(error_text(&f->err), "(three)"));
	assert_int_equal(query(path, "PRAGMA user_version"), n - 1);
	assert_int_equal(query(path, "SELECT count(*) FROM three"), -1);
	m[n - 1].sql = V3;
	assert_int_equal(open_with(f, m, n), 0);
	free(m);
	free(path);
}

/* --- damage and strangers --- */

static void a_database_cut_off_or_overwritten_is_refused(void **state)
{
	struct fixture *f = *state;
	char *path = make_state(f);
	char *original;
	size_t n;

	read_all(path, &original, &n);
	char *copy = xmemdup(original, n);

	memset(copy, 0, 100); /* the header */
	write_all(path, copy, n);
	must_be_refused(f, 71, "is damaged, or no database");
	write_all(path, original, n / 2);
	must_be_refused(f, 71, "is damaged, or no database");
	write_all(path, original, 10);
	must_be_refused(f, 71, "is damaged, or no database");
	write_all(path, "hello, I am a letter to my aunt and no database at all. Regards.", 64);
	must_be_refused(f, 71, "is damaged, or no database");
	write_all(path, "", 0);
	must_be_refused(f, 71, "is empty");

	/* any page of it, overwritten */
	for (size_t page = 0; page < n / 4096; page++) {
		memcpy(copy, original, n);
		memset(copy + page * 4096 + (page == 0 ? 100 : 0), 0xff, page == 0 ? 64 : 128);
		write_all(path, copy, n);
		must_be_refused(f, 71, "is damaged, or no database");
	}
	write_all(path, original, n);
	must_have_both(f);
	free(copy);
	free(original);
	free(path);
}

/* Start-up does not become slow with the years: of a huge database it checks what it needs. */
static void a_large_database_is_checked_whole_and_a_huge_one_in_part(void **state)
{
	struct fixture *f = *state;
	char *path = make_state(f);
	int64_t begin, large, huge;
	const char *more = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE"
			   " i < 15000) INSERT INTO history (at_ms, event, details) SELECT 0, 'e',"
			   " hex(zeroblob(2000)) FROM n";

	sql(path, more);
	begin = now_ms();
	must_have_both(f);
	large = now_ms() - begin;
	sql(path, more);
	begin = now_ms();
	must_have_both(f);
	huge = now_ms() - begin;
	print_message("open and close: %lld ms with 60 MiB, %lld ms with 120 MiB\n",
		      (long long)large, (long long)huge);
	assert_true(large < 3000);
	assert_true(huge < 3000);

	/* what the services hang on is checked all the same: the root page of their table */
	int64_t page = query(path, "SELECT rootpage FROM sqlite_schema WHERE name = 'services'");
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, (page - 1) * 4096), 8);
	close(fd);
	assert_true(fixture_open(f) < 0);
	assert_int_equal(f->exit_status, 71);
	assert_non_null(strstr(error_text(&f->err), "is damaged, or no database"));
	free(path);
}

static void any_single_flipped_byte_is_survived(void **state)
{
	struct fixture *f = *state;
	char *path = make_state(f);
	char *original;
	size_t n;
	uint64_t seed = 88172645463325252u;

	read_all(path, &original, &n);
	for (int i = 0; i < 150; i++) {
		char *copy = xmemdup(original, n);

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		copy[seed % n] ^= (char)(1 << (seed >> 61));
		write_all(path, copy, n);
		/* refused as a whole, or loaded with every row good or reported, or unharmed */
		if (fixture_open(f) == 0) {
			if (fixture_load(f) == 0) {
				assert_true(f->n_rows + f->n_broken <= 2);
			}
			fixture_close(f);
		} else {
			assert_true(f->exit_status >= 71 && f->exit_status <= 78);
			assert_non_null(f->err.text);
		}
		free(copy);
	}
	free(original);
	free(path);
}

static void another_programs_database_is_refused(void **state)
{
	struct fixture *f = *state;
	char *path = make_state(f);

	sql(path, "PRAGMA application_id = 77");
	must_be_refused(f, 78, "is another program's database (application_id 77)");
	assert_int_equal(unlink(path), 0);
	sql(path, "CREATE TABLE t (a)");
	must_be_refused(f, 78, "is another program's database (application_id 0)");
	sql(path, "PRAGMA application_id = 1869501288");
	must_be_refused(f, 78, "is another program's database");
	sql(path, "PRAGMA user_version = 1");
	must_be_refused(f, 71, "is damaged, or no database");
	sql(path, "PRAGMA user_version = -5");
	must_be_refused(f, 71, "version -5");
	sql(path, "PRAGMA user_version = 1000");
	must_be_refused(f, 78, "newer onionshared");
	free(path);
}

static void a_database_that_is_gone_is_not_made_anew(void **state)
{
	struct fixture *f = *state;
	char *path = make_state(f);
	char *secret = fixture_path(f, "secret.key");
	char *wal = fixture_path(f, "onionshared.db-wal");

	assert_int_equal(unlink(path), 0);
	must_be_refused(f, 71, "is gone, but");
	remove_file(f, "created");
	must_be_refused(f, 71, "is gone, but"); /* secret.key tells */
	assert_int_equal(unlink(secret), 0);
	unit_write(f->dir, "onionshared.db-wal", "x");
	must_be_refused(f, 71, "is gone, but its journal");
	assert_int_equal(unlink(wal), 0);
	fixture_must_open(f); /* nothing is left of it: a first start */
	fixture_close(f);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(fixture_open(f) < 0);
	assert_int_equal(f->exit_status, 71);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(symlink("elsewhere", path), 0);
	assert_true(fixture_open(f) < 0);
	assert_int_equal(f->exit_status, 71);
	free(wal);
	free(secret);
	free(path);
}

static void garbage_in_the_journal_harms_nothing(void **state)
{
	struct fixture *f = *state;
	char *path = make_state(f);
	char *wal = fixture_path(f, "onionshared.db-wal");
	char *shm = fixture_path(f, "onionshared.db-shm");
	char garbage[40000];

	for (int round = 0; round < 3; round++) {
		memset(garbage, round == 0 ? 0 : 0xa5, sizeof(garbage));
		if (round == 2) {
			crypto_random(garbage, sizeof(garbage));
		}
		write_all(wal, garbage, sizeof(garbage));
		write_all(shm, garbage, 32768);
		must_have_both(f);
	}
	free(shm);
	free(wal);
	free(path);
}

static void a_locked_database_is_waited_for_and_then_refused(void **state)
{
	struct fixture *f = *state;
	char *path = make_state(f);
	sqlite3 *other;

	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	must_be_refused(f, 75, "another program holds the database locked");
	assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	must_have_both(f);
	free(path);
}

/* --- the secret --- */

static void a_wrong_or_missing_secret_is_refused_and_nothing_is_sealed_anew(void **state)
{
	struct fixture *f = *state;
	char *path = make_state(f);
	char *secret = fixture_path(f, "secret.key");
	char *away = fixture_path(f, "away");
	char *hex;
	size_t n;

	read_all(secret, &hex, &n);
	assert_int_equal(n, 65);
	const char digit = hex[3];

	hex[3] = digit == '0' ? '1' : '0';
	write_all(secret, hex, n);
	must_be_refused(f, 78, "was made with another secret than the one in");
	hex[3] = digit;
	write_all(secret, hex, n - 2);
	must_be_refused(f, 78, "does not hold a secret");
	write_all(secret, "", 0);
	must_be_refused(f, 78, "does not hold a secret");
	assert_int_equal(unlink(secret), 0);
	must_be_refused(f, 78, "the secret of");
	assert_int_equal(access(secret, F_OK), -1);
	write_all(away, hex, n);
	assert_int_equal(symlink("away", secret), 0);
	must_be_refused(f, 78, "it is a symbolic link");
	assert_int_equal(unlink(secret), 0);
	assert_int_equal(mkfifo(secret, 0600), 0);
	must_be_refused(f, 78, "it is not a regular file");
	assert_int_equal(unlink(secret), 0);
	write_all(secret, hex, n);
	assert_int_equal(chmod(secret, 0640), 0);
	must_be_refused(f, 77, "others than its owner may use");
	assert_int_equal(chmod(secret, 0604), 0);
	must_be_refused(f, 77, "others than its owner may use");
	assert_int_equal(chmod(secret, 0600), 0);
	must_have_both(f);
	free(hex);
	free(away);
	free(secret);
	free(path);
}

static int open_with_credential(struct fixture *f, const uint8_t *secret)
{
	const struct store_config config = {.state_dir = f->dir, .secret = secret};

	error_done(&f->err);
	return store_open(&f->ev, &config, &f->store, &f->err, &f->exit_status);
}

static void a_credential_takes_the_place_of_the_file(void **state)
{
	struct fixture *f = *state;
	const uint8_t credential[32] = {9}, other[32] = {8};
	char *secret = fixture_path(f, "secret.key");

	assert_int_equal(open_with_credential(f, credential), 0);
	fixture_add(f, "a");
	fixture_close(f);
	assert_int_equal(access(secret, F_OK), -1);
	assert_int_equal(open_with_credential(f, other), -EKEYREJECTED);
	assert_int_equal(f->exit_status, 78);
	assert_non_null(strstr(error_text(&f->err), "the credential onionshared.key"));
	must_be_refused(f, 78, "hand over the credential onionshared.key");
	assert_int_equal(open_with_credential(f, credential), 0);
	fixture_load(f);
	assert_int_equal(f->n_rows, 1);
	free(secret);
}

static void a_credential_is_read_raw_or_in_hex(void **state)
{
	struct fixture *f = *state;
	_cleanup_error_ struct error err = ERROR_INIT;
	char *path = fixture_path(f, "key");
	uint8_t raw[32], got[32];

	crypto_random(raw, sizeof(raw));
	write_all(path, raw, sizeof(raw));
	assert_int_equal(store_secret_read(path, got, &err), 0);
	assert_memory_equal(raw, got, sizeof(raw));
	write_all(path, raw, 31);
	assert_int_equal(store_secret_read(path, got, &err), -EINVAL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(store_secret_read(path, got, &err), -ENOENT);
	assert_non_null(strstr(error_text(&err), "cannot read the secret"));
	free(path);
}

/* --- rows --- */

static void must_report(struct fixture *f, const char *name, const char *words)
{
	fixture_must_open(f);
	assert_int_equal(fixture_load(f), 0);
	assert_int_equal(f->n_rows, 1);
	assert_int_equal(f->n_broken, 1);
	if (name) {
		assert_string_equal(f->broken[0].name, name);
	} else {
		assert_null(f->broken[0].name);
	}
	if (!strstr(f->broken[0].why, words)) {
		fail_msg("\"%s\" does not say \"%s\"", f->broken[0].why, words);
	}
}

static void sealed_values_do_not_fit_into_other_rows(void **state)
{
	struct fixture *f = *state;
	char *path = make_state(f);
	static const char *const swaps[] = {
		"UPDATE services SET onion_key = (SELECT onion_key FROM services WHERE name = 'a')"
		" WHERE name = 'b'",
		"UPDATE services SET secret = (SELECT secret FROM services WHERE name = 'a')"
		" WHERE name = 'b'",
		"UPDATE service_keys SET private_key = (SELECT private_key FROM service_keys"
		" WHERE service_id = 1 AND position = 0) WHERE service_id = 2 AND position = 0",
		/* another's key under a known label, a label for another's key */
		"UPDATE service_keys SET public_key = zeroblob(32) WHERE service_id = 2",
		"UPDATE service_keys SET label = 'mallory' WHERE service_id = 2 AND position = 0",
		"UPDATE services SET uid = zeroblob(16) WHERE name = 'b'",
		"UPDATE services SET onion_key = x'' WHERE name = 'b'",
		"UPDATE services SET secret = substr(secret, 2) WHERE name = 'b'",
	};
	char *original;
	size_t n;

	read_all(path, &original, &n);
	for (size_t i = 0; i < ARRAY_SIZE(swaps); i++) {
		write_all(path, original, n);
		sql(path, swaps[i]);
		must_report(f, "b", "cannot be unsealed");
		assert_string_equal(f->rows[0]->name, "a");
		fixture_close(f);
	}
	free(original);
	free(path);
}

static void a_damaged_row_is_reported_and_the_others_load(void **state)
{
	struct fixture *f = *state;
	char *path = make_state(f);
	static const struct {
		const char *sql, *name, *words;
	} cases[] = {
		{"UPDATE services SET options = '{\"a\": 1, \"a\": 2}' WHERE name = 'b'", "b",
		 "options"},
		{"UPDATE services SET options = '[]' WHERE name = 'b'", "b", "options"},
		{"UPDATE services SET options = '' WHERE name = 'b'", "b", "options"},
		{"UPDATE services SET options = replace(hex(zeroblob(600)), '00', '[')"
		 " WHERE name = 'b'",
		 "b", "options"},
		{"UPDATE services SET options = printf('{\"a\":\"%.*c\"}', 1100000, 'x')"
		 " WHERE name = 'b'",
		 "b", "options"},
		{"UPDATE services SET paths = '[1]' WHERE name = 'b'", "b", "paths"},
		{"UPDATE services SET paths = '{}' WHERE name = 'b'", "b", "paths"},
		{"UPDATE services SET mode = '' WHERE name = 'b'", "b", "mode"},
		{"UPDATE services SET name = '' WHERE name = 'b'", "", "name"},
		{"UPDATE services SET name = CAST(x'ff61' AS TEXT) WHERE name = 'b'", NULL, "name"},
		{"UPDATE services SET name = CAST(x'620061' AS TEXT) WHERE name = 'b'", NULL,
		 "name"},
		{"UPDATE services SET name = printf('%.*c', 300, 'x') WHERE name = 'b'", NULL,
		 "name"},
		{"UPDATE services SET completed = -1 WHERE name = 'b'", "b", "counter"},
		{"UPDATE services SET reason = CAST(x'c080' AS TEXT) WHERE name = 'b'", "b",
		 "reason"},
		{"UPDATE services SET onion = printf('%.*c', 57, 'a') WHERE name = 'b'", "b",
		 "onion address"},
		{"UPDATE service_keys SET label = '' WHERE service_id = 2 AND position = 1", "b",
		 "label"},
		{"WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 300)"
		 " INSERT INTO service_keys SELECT 2, i, 'k' || i, zeroblob(32), NULL FROM n",
		 "b", "more than 256 keys"},
	};
	char *original;
	size_t n;

	read_all(path, &original, &n);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		write_all(path, original, n);
		sql(path, cases[i].sql);
		must_report(f, cases[i].name, cases[i].words);
		assert_string_equal(f->rows[0]->name, "a");
		int64_t id = f->broken[0].id;
		struct service_row *row = service_row_copy(f->rows[0]);

		/* left alone, but for an order to delete it */
		row->id = 0;
		row->name = (free(row->name), xstrdup("c"));
		assert_true(fixture_put(f, row) > 0);
		service_row_free(row);
		fixture_load(f);
		assert_int_equal(f->n_broken, 1);
		assert_int_equal(fixture_delete(f, id), 0);
		fixture_load(f);
		assert_int_equal(f->n_broken, 0);
		fixture_close(f);
	}
	free(original);
	free(path);
}

static void a_row_that_cannot_be_unsealed_is_not_written_over(void **state)
{
	struct fixture *f = *state;
	char *path = make_state(f);
	struct service_row *row = fixture_row("b");

	sql(path, "UPDATE services SET secret = zeroblob(61) WHERE name = 'b'");
	fixture_must_open(f);
	row->id = 2;
	assert_int_equal(fixture_put(f, row), -EBADMSG);
	assert_int_equal(f->err.kind, ERROR_STORAGE);
	service_row_free(row);
	free(path);
}

/* --- one daemon --- */

static void a_second_daemon_is_refused_at_once(void **state)
{
	struct fixture *f = *state;
	struct store *first;
	char words[64];

	fixture_must_open(f);
	first = f->store;
	int64_t begin = now_ms();

	assert_int_equal(fixture_open(f), -EADDRINUSE);
	assert_true(now_ms() - begin < 1000);
	assert_int_equal(f->exit_status, 69);
	snprintf(words, sizeof(words), "another onionshared (process %ld) uses", (long)getpid());
	assert_non_null(strstr(error_text(&f->err), words));
	f->store = first;
	fixture_add(f, "the first goes on");
}

static void a_lock_left_by_a_killed_daemon_blocks_nobody(void **state)
{
	struct fixture *f = *state;
	int fds[2], status;
	char c;

	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		uv_loop_fork(&f->loop);
		fixture_must_open(f);
		fixture_add(f, "a");
		if (write(fds[1], "x", 1) != 1) {
			_exit(1);
		}
		for (;;) {
			pause();
		}
	}
	assert_int_equal(read(fds[0], &c, 1), 1);
	assert_int_equal(fixture_open(f), -EADDRINUSE);
	assert_int_equal(f->exit_status, 69);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	fixture_must_open(f);
	fixture_load(f);
	assert_int_equal(f->n_rows, 1);
	close(fds[0]);
	close(fds[1]);
}

static void a_state_directory_that_cannot_be_is_refused(void **state)
{
	struct fixture *f = *state;
	char *home = f->dir;

	unit_write(home, "file", "");
	f->dir = xasprintf("%s/file", home);
	assert_int_equal(fixture_open(f), -ENOTDIR);
	assert_int_equal(f->exit_status, 73);
	free(f->dir);
	f->dir = xasprintf("%s/file/below", home);
	assert_true(fixture_open(f) < 0);
	assert_int_equal(f->exit_status, 73);
	free(f->dir);
	f->dir = home;
	int fds = unit_open_fds();

	/* and a link to a directory is fine */
	f->dir = xasprintf("%s/link", home);
	char *target = xasprintf("%s/target", home);

	assert_int_equal(mkdir(target, 0700), 0);
	assert_int_equal(symlink("target", f->dir), 0);
	fixture_must_open(f);
	fixture_close(f);
	assert_int_equal(unit_open_fds(), fds);
	free(target);
	free(f->dir);
	f->dir = home;
}

static void a_directory_of_somebody_else_is_a_matter_of_permission(void **state)
{
	struct fixture *f = *state;
	int status;

	if (geteuid() != 0) {
		print_message("SKIPPED: needs root to become somebody else\n");
		skip();
	}
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		assert_int_equal(setgid(65534), 0);
		assert_int_equal(setuid(65534), 0);
		_exit(fixture_open(f) == -EACCES ? f->exit_status : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(a_first_start_makes_everything_for_its_owner_only),
		STORE_TEST(neither_keys_nor_the_secret_are_found_in_the_files),
		STORE_TEST(a_directory_others_may_write_to_is_closed),
		STORE_TEST(a_first_start_may_end_at_any_statement),
		STORE_TEST(a_first_start_may_end_before_any_rename),
		STORE_TEST(an_older_database_is_backed_up_and_brought_up_to_date),
		STORE_TEST(a_migration_may_end_at_any_statement),
		STORE_TEST(a_migration_that_fails_leaves_the_version_before_it),
		STORE_TEST(a_database_cut_off_or_overwritten_is_refused),
		STORE_TEST(a_large_database_is_checked_whole_and_a_huge_one_in_part),
		STORE_TEST(any_single_flipped_byte_is_survived),
		STORE_TEST(another_programs_database_is_refused),
		STORE_TEST(a_database_that_is_gone_is_not_made_anew),
		STORE_TEST(garbage_in_the_journal_harms_nothing),
		STORE_TEST(a_locked_database_is_waited_for_and_then_refused),
		STORE_TEST(a_wrong_or_missing_secret_is_refused_and_nothing_is_sealed_anew),
		STORE_TEST(a_credential_takes_the_place_of_the_file),
		STORE_TEST(a_credential_is_read_raw_or_in_hex),
		STORE_TEST(sealed_values_do_not_fit_into_other_rows),
		STORE_TEST(a_damaged_row_is_reported_and_the_others_load),
		STORE_TEST(a_row_that_cannot_be_unsealed_is_not_written_over),
		STORE_TEST(a_second_daemon_is_refused_at_once),
		STORE_TEST(a_lock_left_by_a_killed_daemon_blocks_nobody),
		STORE_TEST(a_state_directory_that_cannot_be_is_refused),
		STORE_TEST(a_directory_of_somebody_else_is_a_matter_of_permission),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
