/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/open.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/fsutil.h"
#include "proto/base/alloc.h"
#include "proto/base/codec.h"
#include "proto/base/crypto.h"

#define RESTORE "restore the directory from a backup"
#define BEGIN_ANEW \
	"; to begin anew, without its services and their addresses, move the directory away"

/* While a database is opened; everything is wiped or closed by opener_done. */
struct opener {
	const struct store_config *config;
	const struct migration *migrations;
	unsigned n_migrations;
	struct statedir dir;
	char *db_path, *new_path, *secret_path, *created_path;
	bool have_db, have_new, have_secret, have_created, have_wal;
	uint8_t secret[STORE_SECRET_SIZE];
	struct db db;
	struct error *err;
	int exit_status;
};

/* --- refusing --- */

static int refuse(struct opener *o, int code, int exit_status)
{
	o->exit_status = exit_status;
	return -code;
}

/* For what the system or SQLite said: r as returned by a function that has set the error. */
static int refuse_system(struct opener *o, int r)
{
	int code = -r;

	if (code == EBADMSG) {
		error_context(o->err,
			      "%s is damaged, or no database: nothing was changed; " RESTORE
			      ", or recover it with sqlite3's .recover",
			      o->db_path);
	} else {
		error_context(o->err, "%s", o->dir.path);
	}
	return refuse(o, code, statedir_exit_status(code));
}

/* --- the secret --- */

int store_secret_read(const char *path, uint8_t ret[STORE_SECRET_SIZE], struct error *err)
{
	char *text = NULL;
	ssize_t n = fs_read_file(path, 2 * STORE_SECRET_SIZE + 1, &text);
	int r = 0;

	if (n == -EFBIG || (n >= 0 && seal_parse_secret(span_of(text, (size_t)n), ret) < 0)) {
		r = error_set(err, EINVAL, "%s does not hold a secret: 32 bytes, or 64 hex digits",
			      path);
	} else if (n < 0) {
		r = error_set(err, (int)-n, "cannot read the secret %s: %s", path,
			      n == -ELOOP    ? "it is a symbolic link"
			      : n == -EINVAL ? "it is not a regular file"
					     : strerror((int)-n));
	}
	if (n > 0) {
		crypto_wipe(text, (size_t)n);
	}
	free(text);
	return r;
}

/* Only ours, and only for us: it opens every key. */
static int check_secret_file(struct opener *o)
{
	struct stat st;

	if (lstat(o->secret_path, &st) < 0) {
		error_set(o->err, errno, "cannot use %s: %s", o->secret_path, strerror(errno));
		return refuse(o, errno, statedir_exit_status(errno));
	}
	if (S_ISREG(st.st_mode) && (st.st_mode & 077)) {
		error_set(o->err, EPERM,
			  "others than its owner may use %s: if nobody can have read it, chmod 600 "
			  "it",
			  o->secret_path);
		return refuse(o, EPERM, EX_NOPERM);
	}
	if (S_ISREG(st.st_mode) && st.st_uid != geteuid() && geteuid() != 0) {
		error_set(o->err, EPERM, "%s belongs to another user: chown it", o->secret_path);
		return refuse(o, EPERM, EX_NOPERM);
	}
	return 0;
}

static int read_secret(struct opener *o)
{
	if (o->config->secret) {
		memcpy(o->secret, o->config->secret, sizeof(o->secret));
		return 0;
	}
	if (!o->have_secret) {
		error_set(o->err, ENOKEY,
			  "the secret of %s is missing: hand over the credential onionshared.key "
			  "that it was made with, or put %s back from a backup; the keys in the "
			  "database cannot be used without it",
			  o->db_path, o->secret_path);
		return refuse(o, ENOKEY, EX_CONFIG);
	}
	int r = check_secret_file(o);

	if (r < 0) {
		return r;
	}
	r = store_secret_read(o->secret_path, o->secret, o->err);
	if (r < 0) {
		return refuse(o, -r, r == -EACCES ? EX_NOPERM : EX_CONFIG);
	}
	return 0;
}

static int write_secret(struct opener *o)
{
	char hex[2 * STORE_SECRET_SIZE + 2];

	hex_encode(o->secret, sizeof(o->secret), hex);
	hex[2 * STORE_SECRET_SIZE] = '\n';
	int r = fs_write_file(o->secret_path, span_of(hex, 2 * STORE_SECRET_SIZE + 1), 0600,
			      o->err);

	crypto_wipe(hex, sizeof(hex));
	return r < 0 ? refuse(o, -r, statedir_exit_status(-r)) : 0;
}

/*
 * A known text, sealed when the database was made: unseals with the right
 * secret only, also when there is no service yet whose keys could tell.
 */
static const uint8_t verifier_uid[SEAL_UID_SIZE];
static const struct span verifier_field = SPAN("verifier");
static const char verifier_text[] = "onionshared";

static int write_verifier(struct opener *o, sqlite3 *h)
{
	static const char sql[] = "INSERT INTO meta (name, value) VALUES ('verifier', ?1)";
	uint8_t sealed[sizeof(verifier_text) + SEAL_OVERHEAD];
	sqlite3_stmt *st = NULL;

	seal_bytes(&o->db.seal, verifier_uid, verifier_field, verifier_text, sizeof(verifier_text),
		   sealed);
	int rc = sqlite3_prepare_v2(h, sql, -1, &st, NULL);

	if (rc == SQLITE_OK) {
		sqlite3_bind_blob(st, 1, sealed, sizeof(sealed), SQLITE_STATIC);
		rc = sqlite3_step(st);
	}
	int r = rc == SQLITE_DONE ? 0 : db_error(h, rc, "cannot make the database", o->err);

	sqlite3_finalize(st);
	return r;
}

static int check_verifier(struct opener *o)
{
	static const char sql[] = "SELECT value FROM meta WHERE name = 'verifier'";
	char text[sizeof(verifier_text)];
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(o->db.h, sql, -1, &st, NULL);
	int fits = -EBADMSG;

	if (rc == SQLITE_OK) {
		rc = sqlite3_step(st);
	}
	if (rc == SQLITE_ROW) {
		const void *sealed = sqlite3_column_blob(st, 0);

		fits = seal_open(&o->db.seal, verifier_uid, verifier_field, sealed ? sealed : "",
				 (size_t)sqlite3_column_bytes(st, 0), text, sizeof(text));
	}
	int r = rc == SQLITE_ROW || rc == SQLITE_DONE
			? 0
			: db_error(o->db.h, rc, "cannot read the database", o->err);

	sqlite3_finalize(st);
	if (r < 0) {
		return refuse_system(o, r);
	}
	if (fits < 0) {
		error_set(o->err, EKEYREJECTED,
			  "%s was made with another secret than the one in %s: give it the one it "
			  "had; nothing was changed",
			  o->db_path,
			  o->config->secret ? "the credential onionshared.key" : o->secret_path);
		return refuse(o, EKEYREJECTED, EX_CONFIG);
	}
	return 0;
}

/* --- making a database --- */

static void remove_new(struct opener *o)
{
	static const char *const tails[] = {"", "-journal", "-wal", "-shm"};

	for (size_t i = 0; i < ARRAY_SIZE(tails); i++) {
		_cleanup_free_ char *path = xasprintf("%s%s", o->new_path, tails[i]);

		unlink(path);
	}
}

/* SQLite would make it by umask, and readable. */
static int make_file(const char *path, struct error *err)
{
	int fd = fs_open_nofollow(path, O_RDWR | O_CREAT | O_EXCL);

	if (fd < 0) {
		return error_set(err, -fd, "cannot make %s: %s", path, strerror(-fd));
	}
	close(fd);
	return 0;
}

static int fill_new(struct opener *o, sqlite3 *h)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "PRAGMA application_id = %d", DB_APPLICATION_ID);
	int r = db_exec(h, sql, NULL, "cannot make the database", o->err);

	if (r == 0) {
		r = migrate(h, o->migrations, o->n_migrations, o->err);
	}
	return r == 0 ? write_verifier(o, h) : r;
}

static int make_new(struct opener *o)
{
	sqlite3 *h = NULL;

	remove_new(o);
	int r = make_file(o->new_path, o->err);

	if (r == 0) {
		r = db_connect(o->new_path, &h, o->err);
	}
	if (r == 0) {
		r = fill_new(o, h);
	}
	sqlite3_close(h);
	if (r < 0) {
		remove_new(o);
		error_context(o->err, "%s", o->dir.path);
		return refuse(o, -r, statedir_exit_status(-r));
	}
	return 0;
}

static int move_into_place(struct opener *o)
{
	int r = rename(o->new_path, o->db_path) < 0 ? -errno : fs_sync_dir(o->dir.path);

	if (r < 0) {
		error_set(o->err, -r, "cannot make %s: %s", o->db_path, strerror(-r));
		return refuse(o, -r, statedir_exit_status(-r));
	}
	return 0;
}

static int first_start(struct opener *o)
{
	if (o->config->secret) {
		memcpy(o->secret, o->config->secret, sizeof(o->secret));
	} else {
		crypto_random(o->secret, sizeof(o->secret));
	}
	seal_init(&o->db.seal, o->secret);
	int r = make_new(o);

	if (r == 0 && !o->config->secret) {
		r = write_secret(o);
	}
	return r == 0 ? move_into_place(o) : r;
}

/* --- what is there --- */

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static void look(struct opener *o)
{
	_cleanup_free_ char *wal = statedir_file(&o->dir, STATEDIR_DB, "-wal");

	o->db_path = statedir_file(&o->dir, STATEDIR_DB, "");
	o->new_path = statedir_file(&o->dir, STATEDIR_DB, ".new");
	o->secret_path = statedir_file(&o->dir, STATEDIR_SECRET, "");
	o->created_path = statedir_file(&o->dir, STATEDIR_CREATED, "");
	o->have_db = exists(o->db_path);
	o->have_new = exists(o->new_path);
	o->have_secret = exists(o->secret_path);
	o->have_created = exists(o->created_path);
	o->have_wal = exists(wal);
}

/* No database: a first start, the rest of one, or a loss. */
static int find_or_make(struct opener *o)
{
	if (!o->have_created && !o->have_wal) {
		/* secret.key comes after the whole database and before its name. */
		if (o->have_secret && o->have_new) {
			return move_into_place(o);
		}
		if (!o->have_secret) {
			return first_start(o);
		}
	}
	error_set(o->err, ENOENT, "%s is gone, but %s says that there was one: " RESTORE BEGIN_ANEW,
		  o->db_path,
		  o->have_created  ? o->created_path
		  : o->have_secret ? o->secret_path
				   : "its journal");
	return refuse(o, ENOENT, EX_OSERR);
}

static int check_file(struct opener *o)
{
	struct stat st;

	if (lstat(o->db_path, &st) < 0) {
		error_set(o->err, errno, "cannot use %s: %s", o->db_path, strerror(errno));
		return refuse(o, errno, statedir_exit_status(errno));
	}
	if (!S_ISREG(st.st_mode)) {
		error_set(o->err, EINVAL, "%s is not a regular file", o->db_path);
		return refuse(o, EINVAL, EX_OSERR);
	}
	if (st.st_size == 0) {
		/* SQLite would take it for a database without tables. */
		error_set(o->err, EBADMSG, "%s is empty, which it never is: " RESTORE BEGIN_ANEW,
			  o->db_path);
		return refuse(o, EBADMSG, EX_OSERR);
	}
	if ((st.st_mode & 077) && chmod(o->db_path, 0600) < 0) {
		error_set(o->err, errno, "cannot close %s to others: %s", o->db_path,
			  strerror(errno));
		return refuse(o, errno, statedir_exit_status(errno));
	}
	return 0;
}

/* --- an existing database --- */

static int check_kind(struct opener *o, int *ret_version)
{
	int64_t id = 0;
	int r = db_exec(o->db.h, "PRAGMA application_id", &id, "cannot read the database", o->err);
	int version = r == 0 ? migrate_version(o->db.h, o->err) : r;

	if (version < 0) {
		return refuse_system(o, version);
	}
	if (id != DB_APPLICATION_ID || version == 0) {
		error_set(o->err, EBADMSG,
			  "%s is another program's database (application_id %" PRId64
			  "): is this the right --state-dir?",
			  o->db_path, id);
		return refuse(o, EBADMSG, EX_CONFIG);
	}
	if ((unsigned)version > o->n_migrations) {
		error_set(o->err, ENOTSUP,
			  "%s was written by a newer onionshared (version %d of its tables; this "
			  "program knows %u): install that one, or restore the backup it made "
			  "(%s.backup-v%u)",
			  o->db_path, version, o->n_migrations, STATEDIR_DB, o->n_migrations);
		return refuse(o, ENOTSUP, EX_CONFIG);
	}
	*ret_version = version;
	return 0;
}

/* The whole of it while that is quick; in a huge one what the services hang on. */
static int check_damage(struct opener *o)
{
	static const char *const whole[] = {"PRAGMA quick_check(1)", NULL};
	static const char *const needed[] = {"PRAGMA quick_check(meta)",
					     "PRAGMA quick_check(services)",
					     "PRAGMA quick_check(service_keys)", NULL};
	struct stat st;
	bool huge = stat(o->db_path, &st) == 0 && st.st_size > (off_t)DB_QUICK_CHECK_SIZE;

	for (const char *const *sql = huge ? needed : whole; *sql; sql++) {
		sqlite3_stmt *st_check = NULL;
		int rc = sqlite3_prepare_v2(o->db.h, *sql, -1, &st_check, NULL);
		int r = 0;

		if (rc == SQLITE_OK) {
			rc = sqlite3_step(st_check);
		}
		if (rc != SQLITE_ROW) {
			r = db_error(o->db.h, rc, "cannot check the database", o->err);
		} else {
			const char *said = (const char *)sqlite3_column_text(st_check, 0);

			if (!said || strcmp(said, "ok") != 0) {
				r = error_set(o->err, EBADMSG, "%s", said ? said : "no answer");
			}
		}
		sqlite3_finalize(st_check);
		if (r < 0) {
			return refuse_system(o, r);
		}
	}
	return 0;
}

static int copy_database(struct opener *o, const char *to)
{
	sqlite3 *copy = NULL;
	int r = make_file(to, o->err);

	if (r == 0) {
		r = db_connect(to, &copy, o->err);
	}
	if (r == 0) {
		sqlite3_backup *b = sqlite3_backup_init(copy, "main", o->db.h, "main");

		if (b) {
			sqlite3_backup_step(b, -1);
		}
		int rc = b ? sqlite3_backup_finish(b) : sqlite3_errcode(copy);

		if (rc != SQLITE_OK) {
			r = db_error(copy, rc, "cannot write it", o->err);
		}
	}
	sqlite3_close(copy);
	return r;
}

static int back_up(struct opener *o, int version)
{
	_cleanup_free_ char *path = xasprintf("%s.backup-v%d", o->db_path, version);
	_cleanup_free_ char *partial = xasprintf("%s.partial", path);

	unlink(partial);
	int r = copy_database(o, partial);

	if (r == 0 && rename(partial, path) < 0) {
		r = error_set(o->err, errno, "%s", strerror(errno));
	}
	if (r == 0 && (r = fs_sync_dir(o->dir.path)) < 0) {
		error_set(o->err, -r, "%s", strerror(-r));
	}
	if (r < 0) {
		unlink(partial);
		error_context(o->err,
			      "the database is not brought to a newer version without the "
			      "backup %s",
			      path);
		return refuse(o, -r, statedir_exit_status(-r));
	}
	return 0;
}

static int bring_up_to_date(struct opener *o, int version)
{
	if ((unsigned)version == o->n_migrations) {
		return 0;
	}
	int r = back_up(o, version);

	if (r < 0) {
		return r;
	}
	r = migrate(o->db.h, o->migrations, o->n_migrations, o->err);
	return r < 0 ? refuse_system(o, r) : 0;
}

static int open_existing(struct opener *o)
{
	int version = 0;
	int r = db_connect(o->db_path, &o->db.h, o->err);

	if (r < 0) {
		return refuse_system(o, r);
	}
	r = check_kind(o, &version);
	if (r == 0) {
		r = check_damage(o);
	}
	if (r == 0) {
		r = check_verifier(o);
	}
	if (r == 0) {
		r = bring_up_to_date(o, version);
	}
	if (r < 0) {
		return r;
	}
	r = db_prepare(&o->db, o->err);
	return r < 0 ? refuse_system(o, r) : 0;
}

static int write_created(struct opener *o)
{
	static const struct span text =
		SPAN("There is a database here. If it is gone, onionshared says so instead of\n"
		     "beginning anew without its services.\n");
	int r = o->have_created ? 0 : fs_write_file(o->created_path, text, 0600, o->err);

	return r < 0 ? refuse(o, -r, statedir_exit_status(-r)) : 0;
}

static int open_all(struct opener *o)
{
	int r = 0;

	look(o);
	if (!o->have_db) {
		r = find_or_make(o);
		o->have_secret = exists(o->secret_path);
	}
	if (r == 0) {
		r = check_file(o);
	}
	if (r == 0) {
		r = read_secret(o);
	}
	if (r == 0) {
		seal_init(&o->db.seal, o->secret);
		r = open_existing(o);
	}
	return r == 0 ? write_created(o) : r;
}

int open_state(const struct store_config *config, const struct migration *migrations, unsigned n,
	       struct statedir *ret_dir, struct db *ret_db, struct error *err, int *ret_exit)
{
	struct error local = ERROR_INIT;
	struct opener o = {
		.config = config,
		.migrations = migrations,
		.n_migrations = n,
		.err = err ? err : &local,
		.exit_status = EX_SOFTWARE,
	};
	int r = statedir_open(&o.dir, config->state_dir, o.err, &o.exit_status);

	if (r == 0) {
		r = open_all(&o);
	}
	if (r == 0) {
		*ret_dir = o.dir;
		*ret_db = o.db;
	} else {
		db_close(&o.db);
		statedir_close(&o.dir);
		*ret_exit = o.exit_status;
	}
	crypto_wipe(o.secret, sizeof(o.secret));
	crypto_wipe(&o.db.seal, sizeof(o.db.seal));
	free(o.db_path);
	free(o.new_path);
	free(o.secret_path);
	free(o.created_path);
	error_done(&local);
	return r;
}
