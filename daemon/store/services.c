/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/services.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/base/codec.h"
#include "proto/base/crypto.h"
#include "proto/base/utf8.h"
#include "store/cache.h"
#include "store/db.h"
#include "store/history.h"

#define SAVING  "cannot save the service"
#define LOADING "cannot read the saved services"

enum { NAME_BYTES = 255, ONION_BYTES = 56, LAYOUT_MAX = 2 };

static const struct span field_secret = SPAN("secret");
static const struct span field_onion_key = SPAN("onion-key");

/* A client's key is bound to whose it is: its label and its public half. */
static struct span field_client_key(struct buf *b, const char *label, const uint8_t public_key[32])
{
	buf_clear(b);
	buf_add_str(b, "client-key ");
	buf_add_str(b, label);
	buf_add(b, public_key, 32);
	return buf_span(b);
}

/* --- reading: what a damaged or forged row holds must not get further than here --- */

/* A reader of one row: the first fault is kept in words. */
struct reader {
	struct db *db;
	sqlite3_stmt *st;
	uint8_t uid[SEAL_UID_SIZE];
	char *fault;
};

static void fault(struct reader *rd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void fault(struct reader *rd, const char *fmt, ...)
{
	struct buf b = BUF_INIT;
	va_list ap;

	if (rd->fault) {
		return;
	}
	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	rd->fault = buf_take(&b);
}

/* NULL for NULL, and with a fault for what is no text or too long. */
static char *read_text(struct reader *rd, int column, size_t max, const char *what)
{
	const char *p = (const char *)sqlite3_column_text(rd->st, column);
	size_t n = (size_t)sqlite3_column_bytes(rd->st, column);

	if (!p) {
		return NULL;
	}
	if (n > max || memchr(p, '\0', n) || !utf8_valid(span_of(p, n))) {
		fault(rd, "its %s is damaged", what);
		return NULL;
	}
	return xmemdup(p, n);
}

static char *read_needed_text(struct reader *rd, int column, size_t max, const char *what)
{
	char *text = read_text(rd, column, max, what);

	if (!text || !*text) {
		fault(rd, "its %s is missing", what);
	}
	return text;
}

static json_t *read_json(struct reader *rd, int column, const char *what)
{
	_cleanup_free_ char *text = read_text(rd, column, STORE_JSON_MAX, what);
	json_t *value = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;

	if (text && !value) {
		fault(rd, "its %s are damaged", what);
	}
	return value;
}

static json_t *read_options(struct reader *rd, int column)
{
	json_t *options = read_json(rd, column, "options");

	if (!json_is_object(options)) {
		fault(rd, "its options are damaged");
	}
	return options;
}

static json_t *read_paths(struct reader *rd, int column)
{
	json_t *paths = read_json(rd, column, "paths");
	json_t *path;
	size_t i;

	if (paths && !json_is_array(paths)) {
		fault(rd, "its paths are damaged");
	}
	json_array_foreach (paths, i, path) {
		if (!json_is_string(path)) {
			fault(rd, "its paths are damaged");
		}
	}
	return paths;
}

/* "abcdef-1/0/name": nothing that could lead out of the directory with the copies. */
static bool is_copy(const char *s)
{
	struct span rest = span_str(s);

	while (rest.n) {
		struct span part = span_cut(&rest, '/');

		if (part.n == 0 || span_eq(part, SPAN(".")) || span_eq(part, SPAN(".."))) {
			return false;
		}
	}
	return *s && s[strlen(s) - 1] != '/';
}

static bool is_owner(const json_t *owner)
{
	return json_is_integer(owner) && json_integer_value(owner) >= 0 &&
	       json_integer_value(owner) < UINT32_MAX;
}

static bool is_source(const json_t *source)
{
	const json_t *copy = json_object_get(source, "copy"),
		     *owner = json_object_get(source, "owner"),
		     *release = json_object_get(source, "release");
	uint8_t key[32];

	return json_is_object(source) &&
	       (!copy || (json_is_string(copy) && is_copy(json_string_value(copy)))) &&
	       (!owner || is_owner(owner)) &&
	       (!release ||
		(json_is_string(release) &&
		 hex_decode(span_str(json_string_value(release)), key, sizeof(key)) == 0));
}

static json_t *read_sources(struct reader *rd, int column, const json_t *paths)
{
	json_t *sources = read_json(rd, column, "sources");
	json_t *source;
	const char *option;
	size_t i;

	if (sources && json_array_size(sources) != json_array_size(paths)) {
		fault(rd, "its sources are damaged");
	}
	json_array_foreach (sources, i, source) {
		if (!is_source(source)) {
			fault(rd, "its sources are damaged");
		}
	}
	json_object_foreach (sources, option, source) {
		if (!is_owner(source)) {
			fault(rd, "its sources are damaged");
		}
	}
	return sources;
}

static void read_sealed(struct reader *rd, sqlite3_stmt *st, int column, struct span field,
			void *ret, size_t n, const char *what)
{
	const void *p = sqlite3_column_blob(st, column);
	size_t sealed_n = (size_t)sqlite3_column_bytes(st, column);

	if (!p || seal_open(&rd->db->seal, rd->uid, field, p, sealed_n, ret, n) < 0) {
		fault(rd,
		      "its %s cannot be unsealed: it was changed, or belongs to another "
		      "service; restore the database from a backup, or delete the service",
		      what);
	}
}

static int64_t read_number(struct reader *rd, int column, int64_t max, const char *what)
{
	int64_t v = sqlite3_column_int64(rd->st, column);

	if (v < 0 || v > max) {
		fault(rd, "its %s is out of range", what);
		return 0;
	}
	return v;
}

static int read_keys(struct reader *rd, struct service_row *row, struct error *err)
{
	sqlite3_stmt *st = db_statement(rd->db, STATEMENT_KEYS);
	_cleanup_(buf_done) struct buf field = BUF_INIT;
	struct reader of_key = {.db = rd->db, .st = st};
	struct store_key keys[STORE_KEYS_MAX];
	int rc;

	memset(keys, 0, sizeof(keys));
	memcpy(of_key.uid, rd->uid, sizeof(rd->uid));
	sqlite3_bind_int64(st, 1, row->id);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW && row->n_keys < STORE_KEYS_MAX) {
		struct store_key *key = &keys[row->n_keys++];
		const void *public_key = sqlite3_column_blob(st, 1);

		key->label = read_needed_text(&of_key, 0, NAME_BYTES, "key's label");
		if (sqlite3_column_bytes(st, 1) != (int)sizeof(key->public_key)) {
			fault(&of_key, "its public key is damaged");
		} else {
			memcpy(key->public_key, public_key, sizeof(key->public_key));
		}
		key->has_private = sqlite3_column_type(st, 2) != SQLITE_NULL;
		if (key->has_private && !of_key.fault) {
			read_sealed(&of_key, st, 2,
				    field_client_key(&field, key->label, key->public_key),
				    key->private_key, sizeof(key->private_key), "private key");
		}
	}
	if (rc == SQLITE_ROW) {
		fault(&of_key, "it has more than %d keys", STORE_KEYS_MAX);
	}
	row->keys = xmemdup(keys, row->n_keys * sizeof(*keys));
	crypto_wipe(keys, sizeof(keys));
	if (!rd->fault) {
		rd->fault = take_ptr(of_key.fault);
	}
	free(of_key.fault);
	return db_end(rd->db, st, rc, LOADING, err);
}

static int read_schedule(struct reader *rd, struct service_row *row, struct error *err)
{
	sqlite3_stmt *st = db_statement(rd->db, STATEMENT_SCHEDULE);
	struct reader of_times = {.db = rd->db, .st = st};

	sqlite3_bind_int64(st, 1, row->id);
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW) {
		row->start_ms = read_number(&of_times, 0, INT64_MAX, "start time");
		row->stop_ms = read_number(&of_times, 1, INT64_MAX, "stop time");
	}
	if (!rd->fault) {
		rd->fault = take_ptr(of_times.fault);
	}
	free(of_times.fault);
	return db_end(rd->db, st, rc, LOADING, err);
}

/* Always a row, as far as it could be read; rd->fault says what is wrong with it. */
static int read_row(struct reader *rd, struct service_row **ret, struct error *err)
{
	struct service_row *row = xnew(struct service_row);

	row->id = sqlite3_column_int64(rd->st, 0);
	row->name = read_needed_text(rd, 2, NAME_BYTES, "name");
	if (sqlite3_column_bytes(rd->st, 1) == SEAL_UID_SIZE) {
		memcpy(rd->uid, sqlite3_column_blob(rd->st, 1), SEAL_UID_SIZE);
	} else {
		fault(rd, "its uid is damaged");
	}
	row->mode = read_needed_text(rd, 3, NAME_BYTES, "mode");
	row->options = read_options(rd, 4);
	row->paths = read_paths(rd, 5);
	row->wanted = sqlite3_column_int64(rd->st, 6) != 0;
	row->reason = read_text(rd, 7, STORE_JSON_MAX, "reason");
	row->onion = read_text(rd, 8, ONION_BYTES, "onion address");
	row->has_onion_key = sqlite3_column_type(rd->st, 9) != SQLITE_NULL;
	if (row->has_onion_key) {
		read_sealed(rd, rd->st, 9, field_onion_key, row->onion_key, sizeof(row->onion_key),
			    "onion key");
	}
	read_sealed(rd, rd->st, 10, field_secret, row->secret, sizeof(row->secret), "secret");
	row->port = (uint16_t)read_number(rd, 11, UINT16_MAX, "port");
	row->created_ms = read_number(rd, 12, INT64_MAX, "time of creation");
	row->completed = read_number(rd, 13, INT64_MAX, "counter");
	row->bytes_in = read_number(rd, 14, INT64_MAX, "counter");
	row->bytes_out = read_number(rd, 15, INT64_MAX, "counter");
	row->sources = read_sources(rd, 16, row->paths);
	row->layout = (unsigned)read_number(rd, 17, LAYOUT_MAX, "layout");
	*ret = row;
	int r = read_keys(rd, row, err);

	return r < 0 ? r : read_schedule(rd, row, err);
}

/* Takes row and why. */
static void add_broken(struct services_loaded *to, struct service_row *row, char *why)
{
	struct store_broken *broken = &to->broken[to->n_broken++];

	broken->id = row->id;
	broken->name = take_ptr(row->name);
	broken->why = why;
	service_row_free(row);
}

void services_data_dirs(struct db *db, char ***ret, size_t *ret_n)
{
	sqlite3_stmt *st = db_statement(db, STATEMENT_DATA_DIRS);
	char **dirs = NULL;
	size_t n = 0;
	int rc;

	while ((rc = sqlite3_step(st)) == SQLITE_ROW && n < STORE_SERVICES_MAX) {
		const char *dir = (const char *)sqlite3_column_text(st, 0);

		if (dir) {
			dirs = xreallocarray(dirs, n + 1, sizeof(*dirs));
			dirs[n++] = xstrdup(dir);
		}
	}
	db_end(db, st, rc, "cannot read the services", NULL);
	*ret = dirs;
	*ret_n = n;
}

int services_load(struct db *db, struct services_loaded *ret, struct error *err)
{
	sqlite3_stmt *st = db_statement(db, STATEMENT_SERVICES);
	struct services_loaded loaded = {
		.rows = xcalloc(STORE_SERVICES_MAX, sizeof(struct service_row *)),
		.broken = xcalloc(STORE_SERVICES_MAX, sizeof(struct store_broken)),
	};
	int rc, r = 0;

	while ((rc = sqlite3_step(st)) == SQLITE_ROW &&
	       loaded.n + loaded.n_broken < STORE_SERVICES_MAX && r == 0) {
		struct reader rd = {.db = db, .st = st};
		struct service_row *row;

		r = read_row(&rd, &row, err);
		if (rd.fault) {
			add_broken(&loaded, row, rd.fault);
		} else {
			loaded.rows[loaded.n++] = row;
		}
	}
	int ended = db_end(db, st, rc, LOADING, r == 0 ? err : NULL);

	if (r < 0 || ended < 0) {
		services_loaded_done(&loaded);
		return r < 0 ? r : ended;
	}
	*ret = loaded;
	return 0;
}

void services_loaded_done(struct services_loaded *loaded)
{
	for (size_t i = 0; i < loaded->n; i++) {
		service_row_free(loaded->rows[i]);
	}
	for (size_t i = 0; i < loaded->n_broken; i++) {
		free(loaded->broken[i].name);
		free(loaded->broken[i].why);
	}
	free(loaded->rows);
	free(loaded->broken);
	*loaded = (struct services_loaded){0};
}

/* --- writing --- */

static int check_limit(size_t n, size_t max, const char *what, struct error *err)
{
	char limit[24];

	if (n <= max) {
		return 0;
	}
	snprintf(limit, sizeof(limit), "%zu", max);
	return error_set_kind(err, E2BIG, ERROR_LIMIT_EXCEEDED, what, limit,
			      SAVING ": more than %s %s", limit, what);
}

static size_t length(const char *s)
{
	return s ? strlen(s) : 0;
}

/* What services_load would not take back is not written. */
static int check_row(const struct service_row *row, const char *options, const char *paths,
		     const char *sources, struct error *err)
{
	int r = check_limit(length(row->name), NAME_BYTES, "bytes of name", err);

	if (r == 0) {
		r = check_limit(length(options), STORE_JSON_MAX, "bytes of options", err);
	}
	if (r == 0) {
		r = check_limit(length(paths), STORE_JSON_MAX, "bytes of paths", err);
	}
	if (r == 0) {
		r = check_limit(length(sources), STORE_JSON_MAX, "bytes of sources", err);
	}
	if (r == 0) {
		r = check_limit(length(row->reason), STORE_JSON_MAX, "bytes of reason", err);
	}
	if (r == 0) {
		r = check_limit(row->n_keys, STORE_KEYS_MAX, "keys", err);
	}
	for (size_t i = 0; r == 0 && i < row->n_keys; i++) {
		r = check_limit(length(row->keys[i].label), NAME_BYTES, "bytes of label", err);
	}
	return r;
}

/* The row's own uid and, where the caller has none, its secret; a new service gets new ones. */
struct identity {
	uint8_t uid[SEAL_UID_SIZE];
	uint8_t secret[32];
};

static bool is_zero(const uint8_t *p, size_t n)
{
	uint8_t any = 0;

	for (size_t i = 0; i < n; i++) {
		any |= p[i];
	}
	return any == 0;
}

static int new_identity(struct db *db, struct identity *ret, struct error *err)
{
	sqlite3_stmt *st = db_statement(db, STATEMENT_SERVICE_COUNT);
	int rc = sqlite3_step(st);
	int64_t n = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
	int r = db_end(db, st, rc, SAVING, err);

	if (r == 0) {
		r = check_limit((size_t)n + 1, STORE_SERVICES_MAX, "services", err);
	}
	crypto_random(ret->uid, sizeof(ret->uid));
	crypto_random(ret->secret, sizeof(ret->secret));
	return r;
}

static int no_such_service(int64_t id, struct error *err)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, id);
	return error_set_kind(err, ENOENT, ERROR_NO_SUCH_SERVICE, text, NULL,
			      "no saved service has the number %s", text);
}

static int saved_identity(struct db *db, int64_t id, struct identity *ret, struct error *err)
{
	sqlite3_stmt *st = db_statement(db, STATEMENT_SERVICE_SEALED);
	struct reader rd = {.db = db, .st = st};

	sqlite3_bind_int64(st, 1, id);
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW && sqlite3_column_bytes(st, 0) == SEAL_UID_SIZE) {
		memcpy(rd.uid, sqlite3_column_blob(st, 0), SEAL_UID_SIZE);
		memcpy(ret->uid, rd.uid, SEAL_UID_SIZE);
		read_sealed(&rd, st, 1, field_secret, ret->secret, sizeof(ret->secret), "secret");
	}
	int r = db_end(db, st, rc, SAVING, err);

	if (r == 0 && rc == SQLITE_DONE) {
		r = no_such_service(id, err);
	}
	/* A row that was reported broken: nobody may write over what is left of it. */
	if (r == 0 && rd.fault) {
		r = error_set_kind(err, EBADMSG, ERROR_STORAGE, rd.fault, NULL, SAVING ": %s",
				   rd.fault);
	}
	free(rd.fault);
	return r;
}

static void bind_text(sqlite3_stmt *st, int at, const char *text)
{
	sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC);
}

/* A copy: the sealed bytes are on the stack. */
static void bind_sealed(struct db *db, sqlite3_stmt *st, int at, const uint8_t *uid,
			struct span field, const uint8_t *plain, size_t n)
{
	uint8_t sealed[64 + SEAL_OVERHEAD];

	seal_bytes(&db->seal, uid, field, plain, n, sealed);
	sqlite3_bind_blob64(st, at, sealed, n + SEAL_OVERHEAD, SQLITE_TRANSIENT);
}

static int write_row(struct db *db, const struct service_row *row, const struct identity *identity,
		     const char *options, const char *paths, const char *sources, struct error *err)
{
	sqlite3_stmt *st =
		db_statement(db, row->id ? STATEMENT_SERVICE_UPDATE : STATEMENT_SERVICE_INSERT);
	const uint8_t *secret =
		is_zero(row->secret, sizeof(row->secret)) ? identity->secret : row->secret;

	if (row->id) {
		sqlite3_bind_int64(st, 1, row->id);
	}
	sqlite3_bind_blob(st, 2, identity->uid, SEAL_UID_SIZE, SQLITE_STATIC);
	bind_text(st, 3, row->name);
	bind_text(st, 4, row->mode);
	bind_text(st, 5, options);
	bind_text(st, 6, paths);
	sqlite3_bind_int(st, 7, row->wanted);
	bind_text(st, 8, row->reason);
	bind_text(st, 9, row->onion);
	if (row->has_onion_key) {
		bind_sealed(db, st, 10, identity->uid, field_onion_key, row->onion_key,
			    sizeof(row->onion_key));
	}
	bind_sealed(db, st, 11, identity->uid, field_secret, secret, sizeof(row->secret));
	sqlite3_bind_int(st, 12, row->port);
	sqlite3_bind_int64(st, 13, row->created_ms);
	sqlite3_bind_int64(st, 14, row->completed);
	sqlite3_bind_int64(st, 15, row->bytes_in);
	sqlite3_bind_int64(st, 16, row->bytes_out);
	bind_text(st, 17, sources);
	sqlite3_bind_int(st, 18, (int)row->layout);
	int r = db_run(db, st, SAVING, err);

	if (r == -EEXIST) {
		r = error_set_kind(err, EEXIST, ERROR_NAME_IN_USE, row->name, NULL,
				   "a saved service has the name %s already", row->name);
	}
	return r;
}

static int write_keys(struct db *db, const struct service_row *row, int64_t id,
		      const struct identity *identity, struct error *err)
{
	_cleanup_(buf_done) struct buf field = BUF_INIT;
	sqlite3_stmt *st = db_statement(db, STATEMENT_KEYS_DELETE);

	sqlite3_bind_int64(st, 1, id);
	int r = db_run(db, st, SAVING, err);

	st = db_statement(db, STATEMENT_KEY_INSERT);
	for (size_t i = 0; r == 0 && i < row->n_keys; i++) {
		const struct store_key *key = &row->keys[i];

		sqlite3_bind_int64(st, 1, id);
		sqlite3_bind_int64(st, 2, (int64_t)i);
		bind_text(st, 3, key->label);
		sqlite3_bind_blob(st, 4, key->public_key, sizeof(key->public_key), SQLITE_STATIC);
		if (key->has_private) {
			bind_sealed(db, st, 5, identity->uid,
				    field_client_key(&field, key->label, key->public_key),
				    key->private_key, sizeof(key->private_key));
		}
		r = db_run(db, st, SAVING, err);
		if (r == -EEXIST) {
			r = error_set_kind(err, EEXIST, ERROR_NAME_IN_USE, key->label, NULL,
					   "two keys of the service have the label %s", key->label);
		}
	}
	return r;
}

static int write_schedule(struct db *db, const struct service_row *row, int64_t id,
			  struct error *err)
{
	bool set = row->start_ms || row->stop_ms;
	sqlite3_stmt *st =
		db_statement(db, set ? STATEMENT_SCHEDULE_SET : STATEMENT_SCHEDULE_DELETE);

	sqlite3_bind_int64(st, 1, id);
	if (set) {
		sqlite3_bind_int64(st, 2, row->start_ms);
		sqlite3_bind_int64(st, 3, row->stop_ms);
	}
	return db_run(db, st, SAVING, err);
}

int services_put(struct db *db, const struct service_row *row, int64_t *ret_id, struct error *err)
{
	_cleanup_free_ char *options = json_dumps(row->options, JSON_COMPACT);
	_cleanup_free_ char *paths = row->paths ? json_dumps(row->paths, JSON_COMPACT) : NULL;
	_cleanup_free_ char *sources = row->sources ? json_dumps(row->sources, JSON_COMPACT) : NULL;
	struct identity identity = {0};
	int64_t id = row->id;
	int r = check_row(row, options, paths, sources, err);

	if (r < 0) {
		return r;
	}
	r = db_begin(db, SAVING, err);
	if (r < 0) {
		return r;
	}
	r = row->id ? saved_identity(db, row->id, &identity, err)
		    : new_identity(db, &identity, err);
	if (r == 0 && row->id) {
		r = history_rename(db, row->id, row->name, err);
	}
	if (r == 0) {
		r = write_row(db, row, &identity, options ? options : "{}", paths, sources, err);
	}
	if (r == 0) {
		id = row->id ? row->id : sqlite3_last_insert_rowid(db->h);
		r = write_keys(db, row, id, &identity, err);
	}
	if (r == 0) {
		r = write_schedule(db, row, id, err);
	}
	r = db_finish(db, r, SAVING, err);
	crypto_wipe(&identity, sizeof(identity));
	if (r == 0) {
		*ret_id = id;
	}
	return r;
}

int services_delete(struct db *db, int64_t id, struct error *err)
{
	static const char doing[] = "cannot delete the service";
	sqlite3_stmt *st = db_statement(db, STATEMENT_SERVICE_DELETE);

	sqlite3_bind_int64(st, 1, id);
	int r = db_run(db, st, doing, err);

	if (r == 0 && sqlite3_changes64(db->h) == 0) {
		return no_such_service(id, err);
	}
	/* What was kept for it went with it; how much that was is a question of memory only. */
	cache_measure(db, NULL);
	return r;
}

int services_count(struct db *db, int64_t id, int64_t completed, int64_t bytes_in,
		   int64_t bytes_out, struct error *err)
{
	sqlite3_stmt *st = db_statement(db, STATEMENT_SERVICE_COUNTERS);

	sqlite3_bind_int64(st, 1, id);
	sqlite3_bind_int64(st, 2, completed);
	sqlite3_bind_int64(st, 3, bytes_in);
	sqlite3_bind_int64(st, 4, bytes_out);
	return db_run(db, st, "cannot save the counters", err);
}
