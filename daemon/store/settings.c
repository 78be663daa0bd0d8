/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/settings.h"

#include <errno.h>
#include <stdlib.h>

#include "proto/base/alloc.h"
#include "store/call.h"
#include "store/db.h"

#define SAVING  "cannot save a setting"
#define LOADING "cannot read a setting"

/* Settings belong to no service. */
static const uint8_t no_uid[SEAL_UID_SIZE];

static int unseal(struct db *db, const char *name, sqlite3_stmt *st, struct buf *ret,
		  struct error *err)
{
	const void *sealed = sqlite3_column_blob(st, 0);
	size_t n = (size_t)sqlite3_column_bytes(st, 0);

	if (n < SEAL_OVERHEAD || n - SEAL_OVERHEAD > STORE_SETTING_MAX ||
	    seal_open(&db->seal, no_uid, span_str(name), sealed, n,
		      buf_reserve(ret, n - SEAL_OVERHEAD), n - SEAL_OVERHEAD) < 0) {
		return error_set(err, EBADMSG,
				 LOADING ": \"%s\" is damaged, or was sealed with another key",
				 name);
	}
	ret->len += n - SEAL_OVERHEAD;
	return 1;
}

int settings_get(struct db *db, const char *name, struct buf *ret, struct error *err)
{
	sqlite3_stmt *st = db_statement(db, STATEMENT_SETTING_GET);
	int found = 0;

	sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);

	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW) {
		found = unseal(db, name, st, ret, err);
	}
	int r = db_end(db, st, rc, LOADING, found < 0 ? NULL : err);

	return found < 0 || r == 0 ? found : r;
}

int settings_put(struct db *db, const char *name, struct span value, struct error *err)
{
	sqlite3_stmt *st =
		db_statement(db, value.p ? STATEMENT_SETTING_PUT : STATEMENT_SETTING_DELETE);
	size_t n = value.n + SEAL_OVERHEAD;
	_cleanup_free_ uint8_t *sealed = xmalloc(n);

	sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	if (value.p) {
		seal_bytes(&db->seal, no_uid, span_str(name), value.p, value.n, sealed);
		sqlite3_bind_blob(st, 2, sealed, (int)n, SQLITE_STATIC);
	}
	return db_run(db, st, SAVING, err);
}

/* --- the calls of store.h --- */

struct setting_request {
	struct store_request base;
	char *name;
	struct buf value;
	bool has_value;
	union {
		store_setting_fn *get;
		store_done_fn *put;
	} cb;
	void *ud;
};

static void request_free(struct store_request *req)
{
	struct setting_request *s = REQUEST(setting_request, req);

	free(s->name);
	buf_wipe(&s->value);
	free(s);
}

static struct setting_request *
request_new(const char *name, int (*run)(struct store_request *, struct db *, struct error *),
	    void (*deliver)(struct store_request *, const struct error *), void *ud)
{
	struct setting_request *s = xnew(struct setting_request);

	s->base = (struct store_request){.run = run, .deliver = deliver, .free = request_free};
	s->name = xstrdup(name);
	s->ud = ud;
	return s;
}

/* Set to nothing is not the same as never set. */
static struct span value_of(const struct setting_request *s)
{
	return s->has_value ? span_of(s->value.p ? s->value.p : "", s->value.len) : SPAN_NONE;
}

static int get_run(struct store_request *req, struct db *db, struct error *err)
{
	struct setting_request *s = REQUEST(setting_request, req);
	int r = settings_get(db, s->name, &s->value, err);

	s->has_value = r > 0;
	return r < 0 ? r : 0;
}

static void get_deliver(struct store_request *req, const struct error *failed)
{
	struct setting_request *s = REQUEST(setting_request, req);

	s->cb.get(s->ud, failed, value_of(s));
}

void store_setting_get(struct store *s, const char *name, store_setting_fn *cb, void *ud)
{
	struct setting_request *req = request_new(name, get_run, get_deliver, ud);

	req->cb.get = cb;
	store_thread_submit(s->thread, &req->base);
}

static int put_run(struct store_request *req, struct db *db, struct error *err)
{
	struct setting_request *s = REQUEST(setting_request, req);

	if (s->value.len > STORE_SETTING_MAX) {
		return error_set(err, EFBIG, SAVING ": it is too long");
	}
	return settings_put(db, s->name, value_of(s), err);
}

static void put_deliver(struct store_request *req, const struct error *failed)
{
	struct setting_request *s = REQUEST(setting_request, req);

	s->cb.put(s->ud, failed);
}

void store_setting_put(struct store *s, const char *name, struct span value, store_done_fn *cb,
		       void *ud)
{
	struct setting_request *req = request_new(name, put_run, put_deliver, ud);

	req->has_value = value.p != NULL;
	buf_add(&req->value, value.p ? value.p : "", value.n);
	req->cb.put = cb;
	store_thread_submit(s->thread, &req->base);
}
