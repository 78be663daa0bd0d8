/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The calls of store.h: each becomes a request that carries copies of its
 * arguments to the database's thread and its results back.
 */
#include "store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "proto/base/alloc.h"
#include "proto/base/crypto.h"
#include "store/cache.h"
#include "store/call.h"
#include "store/history.h"
#include "store/inbox.h"
#include "store/open.h"
#include "store/services.h"

static void tell_opened(const struct store_config *config, struct db *db)
{
	char **dirs = NULL;
	size_t n = 0;

	services_data_dirs(db, &dirs, &n);
	config->opened(config->opened_ud, dirs, n);
	for (size_t i = 0; i < n; i++) {
		free(dirs[i]);
	}
	free(dirs);
}

int store_open(struct ev *ev, const struct store_config *config, struct store **ret,
	       struct error *err, int *ret_exit)
{
	struct statedir dir;
	struct db db;

	/* Before there is a second thread that makes JSON. */
	json_object_seed(0);
	int r = open_state(config, store_migrations, store_migrations_n, &dir, &db, err, ret_exit);

	if (r < 0) {
		return r;
	}
	if (config->opened) {
		tell_opened(config, &db);
	}
	struct store *s = xnew(struct store);

	s->dir = dir;
	r = store_thread_new(ev, &db, &s->thread, err);
	if (r < 0) {
		db_close(&db);
		statedir_close(&s->dir);
		free(s);
		*ret_exit = EX_OSERR;
		return r;
	}
	*ret = s;
	return 0;
}

static void thread_closed(void *ud)
{
	struct store *s = ud;
	void (*closed)(void *ud) = s->closed;
	void *closed_ud = s->closed_ud;

	/* The lock goes last: the next daemon finds a closed database. */
	statedir_close(&s->dir);
	free(s);
	closed(closed_ud);
}

void store_close(struct store *s, void (*closed)(void *ud), void *ud)
{
	s->closed = closed;
	s->closed_ud = ud;
	store_thread_close(s->thread, thread_closed, s);
}

static void plain_free(struct store_request *req)
{
	free(req);
}

struct ping_request {
	struct store_request base;
	store_done_fn *cb;
	void *ud;
};

static int ping_run(struct store_request *req, struct db *db, struct error *err)
{
	(void)req;
	(void)db;
	(void)err;
	return 0;
}

static void ping_deliver(struct store_request *req, const struct error *failed)
{
	struct ping_request *ping = REQUEST(ping_request, req);

	ping->cb(ping->ud, failed);
}

void store_ping(struct store *s, store_done_fn *cb, void *ud)
{
	struct ping_request *ping = xnew(struct ping_request);

	ping->base = (struct store_request){.run = ping_run,
					    .deliver = ping_deliver,
					    .free = plain_free};
	ping->cb = cb;
	ping->ud = ud;
	store_thread_submit(s->thread, &ping->base);
}

/* --- services --- */

struct load_request {
	struct store_request base;
	struct services_loaded loaded;
	store_load_fn *cb;
	void *ud;
};

static int load_run(struct store_request *req, struct db *db, struct error *err)
{
	return services_load(db, &REQUEST(load_request, req)->loaded, err);
}

static void load_deliver(struct store_request *req, const struct error *failed)
{
	struct load_request *load = REQUEST(load_request, req);
	size_t n = load->loaded.n;

	if (failed) {
		load->cb(load->ud, failed, NULL, 0, NULL, 0);
		return;
	}
	load->loaded.n = 0;
	load->cb(load->ud, NULL, take_ptr(load->loaded.rows), n, load->loaded.broken,
		 load->loaded.n_broken);
}

static void load_free(struct store_request *req)
{
	services_loaded_done(&REQUEST(load_request, req)->loaded);
	free(req);
}

void store_services_load(struct store *s, store_load_fn *cb, void *ud)
{
	struct load_request *load = xnew(struct load_request);

	load->base =
		(struct store_request){.run = load_run, .deliver = load_deliver, .free = load_free};
	load->cb = cb;
	load->ud = ud;
	store_thread_submit(s->thread, &load->base);
}

struct put_request {
	struct store_request base;
	struct service_row *row;
	int64_t id;
	store_put_fn *cb;
	void *ud;
};

static int put_run(struct store_request *req, struct db *db, struct error *err)
{
	struct put_request *put = REQUEST(put_request, req);

	return services_put(db, put->row, &put->id, err);
}

static void put_deliver(struct store_request *req, const struct error *failed)
{
	struct put_request *put = REQUEST(put_request, req);

	if (put->cb) {
		put->cb(put->ud, failed, put->id);
	}
}

static void put_free(struct store_request *req)
{
	service_row_free(REQUEST(put_request, req)->row);
	free(req);
}

void store_service_put(struct store *s, const struct service_row *row, store_put_fn *cb, void *ud)
{
	struct put_request *put = xnew(struct put_request);

	put->base =
		(struct store_request){.run = put_run, .deliver = put_deliver, .free = put_free};
	put->row = service_row_copy(row);
	put->id = row->id;
	put->cb = cb;
	put->ud = ud;
	store_thread_submit(s->thread, &put->base);
}

struct delete_request {
	struct store_request base;
	int64_t id;
	store_done_fn *cb;
	void *ud;
};

static int delete_run(struct store_request *req, struct db *db, struct error *err)
{
	return services_delete(db, REQUEST(delete_request, req)->id, err);
}

static void delete_deliver(struct store_request *req, const struct error *failed)
{
	struct delete_request *delete = REQUEST(delete_request, req);

	if (delete->cb) {
		delete->cb(delete->ud, failed);
	}
}

void store_service_delete(struct store *s, int64_t id, store_done_fn *cb, void *ud)
{
	struct delete_request *delete = xnew(struct delete_request);

	delete->base = (struct store_request){.run = delete_run,
					      .deliver = delete_deliver,
					      .free = plain_free};
	delete->id = id;
	delete->cb = cb;
	delete->ud = ud;
	store_thread_submit(s->thread, &delete->base);
}

struct count_request {
	struct store_request base;
	int64_t completed, bytes_in, bytes_out;
};

static int count_run(struct store_request *req, struct db *db, struct error *err)
{
	struct count_request *count = REQUEST(count_request, req);

	return services_count(db, req->merge, count->completed, count->bytes_in, count->bytes_out,
			      err);
}

void store_service_count(struct store *s, int64_t id, int64_t completed, int64_t bytes_in,
			 int64_t bytes_out)
{
	struct count_request *count = xnew(struct count_request);

	count->base = (struct store_request){.run = count_run, .free = plain_free, .merge = id};
	count->completed = completed;
	count->bytes_in = bytes_in;
	count->bytes_out = bytes_out;
	store_thread_submit_lazy(s->thread, &count->base);
}

/* --- history --- */

struct limits_request {
	struct store_request base;
	struct history_limits limits;
};

static int limits_run(struct store_request *req, struct db *db, struct error *err)
{
	db->history_limits = REQUEST(limits_request, req)->limits;
	return history_prune(db, ev_wall_ms(), err);
}

static void limits_deliver(struct store_request *req, const struct error *failed)
{
	(void)req;
	(void)failed; /* the next entry tries again */
}

void store_history_limits(struct store *s, const struct history_limits *limits)
{
	struct limits_request *change = xnew(struct limits_request);

	change->base = (struct store_request){.run = limits_run,
					      .deliver = limits_deliver,
					      .free = plain_free};
	change->limits = *limits;
	store_thread_submit(s->thread, &change->base);
}

struct history_request {
	struct store_request base;
	int64_t at_ms;
	char *service, *what, *details;
};

static int history_run(struct store_request *req, struct db *db, struct error *err)
{
	struct history_request *entry = REQUEST(history_request, req);

	return history_insert(db, entry->at_ms, entry->service, entry->what, entry->details, err);
}

static void history_free(struct store_request *req)
{
	struct history_request *entry = REQUEST(history_request, req);

	free(entry->service);
	free(entry->what);
	free(entry->details);
	free(entry);
}

void store_history_add(struct store *s, const char *service, const char *what,
		       const json_t *details)
{
	struct history_request *entry = xnew(struct history_request);
	char *text = details ? json_dumps(details, JSON_COMPACT) : NULL;

	if (text && strlen(text) > STORE_DETAILS_MAX) {
		free(text);
		text = NULL;
	}
	entry->base = (struct store_request){
		.run = history_run,
		.free = history_free,
		.is_history = true,
		.bytes = sizeof(*entry) + (text ? strlen(text) : 0),
	};
	entry->at_ms = ev_wall_ms();
	entry->service = service ? xstrdup(service) : NULL;
	entry->what = xstrdup(what);
	entry->details = text;
	store_thread_submit_lazy(s->thread, &entry->base);
}

struct history_list_request {
	struct store_request base;
	char *service;
	int64_t before_id;
	unsigned limit;
	json_t *rows;
	store_history_fn *cb;
	void *ud;
};

static int history_list_run(struct store_request *req, struct db *db, struct error *err)
{
	struct history_list_request *list = REQUEST(history_list_request, req);

	return history_list(db, list->service, list->before_id, list->limit, &list->rows, err);
}

static void history_list_deliver(struct store_request *req, const struct error *failed)
{
	struct history_list_request *list = REQUEST(history_list_request, req);

	list->cb(list->ud, failed, list->rows);
}

static void history_list_free(struct store_request *req)
{
	struct history_list_request *list = REQUEST(history_list_request, req);

	json_decref(list->rows);
	free(list->service);
	free(list);
}

void store_history_list(struct store *s, const char *service_or_null, int64_t before_id,
			unsigned limit, store_history_fn *cb, void *ud)
{
	struct history_list_request *list = xnew(struct history_list_request);

	list->base = (struct store_request){.run = history_list_run,
					    .deliver = history_list_deliver,
					    .free = history_list_free};
	list->service = service_or_null ? xstrdup(service_or_null) : NULL;
	list->before_id = before_id;
	list->limit = limit;
	list->cb = cb;
	list->ud = ud;
	store_thread_submit(s->thread, &list->base);
}

/* --- cache --- */

struct cache_put_request {
	struct store_request base;
	int64_t service_id;
	char *key;
	void *value;
	size_t n;
};

static int cache_put_run(struct store_request *req, struct db *db, struct error *err)
{
	struct cache_put_request *put = REQUEST(cache_put_request, req);

	return cache_insert(db, put->service_id, put->key, put->value, put->n, err);
}

static void cache_put_free(struct store_request *req)
{
	struct cache_put_request *put = REQUEST(cache_put_request, req);

	free(put->key);
	free(put->value);
	free(put);
}

void store_cache_put(struct store *s, int64_t service_id, const char *key, const void *value,
		     size_t n)
{
	if (strlen(key) > STORE_CACHE_KEY_MAX || n > STORE_CACHE_VALUE_MAX) {
		return;
	}
	struct cache_put_request *put = xnew(struct cache_put_request);

	put->base = (struct store_request){
		.run = cache_put_run,
		.free = cache_put_free,
		.bytes = sizeof(*put) + strlen(key) + n,
	};
	put->service_id = service_id;
	put->key = xstrdup(key);
	put->value = xmemdup(n ? value : "", n);
	put->n = n;
	store_thread_submit_lazy(s->thread, &put->base);
}

struct cache_get_request {
	struct store_request base;
	int64_t service_id;
	char *key;
	void *value;
	size_t n;
	store_cache_fn *cb;
	void *ud;
};

static int cache_get_run(struct store_request *req, struct db *db, struct error *err)
{
	struct cache_get_request *get = REQUEST(cache_get_request, req);

	return cache_lookup(db, get->service_id, get->key, &get->value, &get->n, err);
}

static void cache_get_deliver(struct store_request *req, const struct error *failed)
{
	struct cache_get_request *get = REQUEST(cache_get_request, req);

	get->cb(get->ud, failed ? NULL : get->value, failed ? 0 : get->n);
}

static void cache_get_free(struct store_request *req)
{
	struct cache_get_request *get = REQUEST(cache_get_request, req);

	free(get->key);
	free(get->value);
	free(get);
}

void store_cache_get(struct store *s, int64_t service_id, const char *key, store_cache_fn *cb,
		     void *ud)
{
	struct cache_get_request *get = xnew(struct cache_get_request);

	get->base = (struct store_request){.run = cache_get_run,
					   .deliver = cache_get_deliver,
					   .free = cache_get_free};
	get->service_id = service_id;
	get->key = xstrdup(key);
	get->cb = cb;
	get->ud = ud;
	store_thread_submit(s->thread, &get->base);
}

/* --- submissions --- */

struct intend_request {
	struct store_request base;
	char *data_dir;
	struct inbox_intent intent;
	int64_t id;
	store_put_fn *cb;
	void *ud;
};

static int intend_run(struct store_request *req, struct db *db, struct error *err)
{
	struct intend_request *intend = REQUEST(intend_request, req);

	return inbox_intent_insert(db, intend->data_dir, &intend->intent, &intend->id, err);
}

static void intend_deliver(struct store_request *req, const struct error *failed)
{
	struct intend_request *intend = REQUEST(intend_request, req);

	intend->cb(intend->ud, failed, intend->id);
}

static void intend_free(struct store_request *req)
{
	struct intend_request *intend = REQUEST(intend_request, req);

	free(intend->data_dir);
	free(intend);
}

void store_inbox_intend(struct store *s, const char *data_dir, const struct inbox_intent *intent,
			store_put_fn *cb, void *ud)
{
	struct intend_request *intend = xnew(struct intend_request);

	intend->base = (struct store_request){.run = intend_run,
					      .deliver = intend_deliver,
					      .free = intend_free};
	intend->data_dir = xstrdup(data_dir);
	intend->intent = *intent;
	intend->cb = cb;
	intend->ud = ud;
	store_thread_submit(s->thread, &intend->base);
}

struct finish_request {
	struct store_request base;
	int64_t id;
	store_done_fn *cb;
	void *ud;
};

static int finish_run(struct store_request *req, struct db *db, struct error *err)
{
	return inbox_intent_delete(db, REQUEST(finish_request, req)->id, err);
}

static void finish_deliver(struct store_request *req, const struct error *failed)
{
	struct finish_request *finish = REQUEST(finish_request, req);

	finish->cb(finish->ud, failed);
}

void store_inbox_finish(struct store *s, int64_t id, store_done_fn *cb, void *ud)
{
	struct finish_request *finish = xnew(struct finish_request);

	finish->base = (struct store_request){.run = finish_run,
					      .deliver = finish_deliver,
					      .free = plain_free};
	finish->id = id;
	finish->cb = cb;
	finish->ud = ud;
	store_thread_submit(s->thread, &finish->base);
}

struct pending_request {
	struct store_request base;
	char *data_dir;
	struct inbox_intent *intents;
	size_t n;
	store_inbox_fn *cb;
	void *ud;
};

static int pending_run(struct store_request *req, struct db *db, struct error *err)
{
	struct pending_request *pending = REQUEST(pending_request, req);

	return inbox_intents_load(db, pending->data_dir, &pending->intents, &pending->n, err);
}

static void pending_deliver(struct store_request *req, const struct error *failed)
{
	struct pending_request *pending = REQUEST(pending_request, req);

	pending->cb(pending->ud, failed, pending->intents, pending->n);
}

static void pending_free(struct store_request *req)
{
	struct pending_request *pending = REQUEST(pending_request, req);

	free(pending->data_dir);
	free(pending->intents);
	free(pending);
}

void store_inbox_pending(struct store *s, const char *data_dir, store_inbox_fn *cb, void *ud)
{
	struct pending_request *pending = xnew(struct pending_request);

	pending->base = (struct store_request){.run = pending_run,
					       .deliver = pending_deliver,
					       .free = pending_free};
	pending->data_dir = xstrdup(data_dir);
	pending->cb = cb;
	pending->ud = ud;
	store_thread_submit(s->thread, &pending->base);
}
