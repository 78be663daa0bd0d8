/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The calls of store.h that are about webhooks. */
#include <errno.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "store/call.h"
#include "store/webhooks.h"

struct webhook_request {
	struct store_request base;
	int64_t service_id, id;
	int64_t at_ms;
	char *text, *body;
	struct store_webhook *list;
	size_t n;
	union {
		store_put_fn *put;
		store_done_fn *done;
		store_webhooks_fn *list;
		store_webhook_fn *get;
	} cb;
	void *ud;
};

static void request_free(struct store_request *req)
{
	struct webhook_request *w = REQUEST(webhook_request, req);

	for (size_t i = 0; i < w->n; i++) {
		free(w->list[i].last_error);
	}
	free(w->list);
	free(w->text);
	free(w->body);
	free(w);
}

static struct webhook_request *
request_new(int (*run)(struct store_request *, struct db *, struct error *),
	    void (*deliver)(struct store_request *, const struct error *), void *ud)
{
	struct webhook_request *w = xnew(struct webhook_request);

	w->base = (struct store_request){.run = run, .deliver = deliver, .free = request_free};
	w->ud = ud;
	return w;
}

static void done_deliver(struct store_request *req, const struct error *failed)
{
	struct webhook_request *w = REQUEST(webhook_request, req);

	if (w->cb.done) {
		w->cb.done(w->ud, failed);
	}
}

/* --- add --- */

static int add_run(struct store_request *req, struct db *db, struct error *err)
{
	struct webhook_request *w = REQUEST(webhook_request, req);

	if (strlen(w->text) > STORE_WEBHOOK_TEXT_MAX || strlen(w->body) > STORE_WEBHOOK_TEXT_MAX) {
		return error_set(err, EFBIG, "a webhook is to be told more than fits");
	}
	return webhooks_insert(db, w->service_id, w->text, w->body, w->at_ms, &w->id, err);
}

static void add_deliver(struct store_request *req, const struct error *failed)
{
	struct webhook_request *w = REQUEST(webhook_request, req);

	w->cb.put(w->ud, failed, w->id);
}

void store_webhook_add(struct store *s, int64_t service_id, const char *content_type,
		       const char *body, int64_t now_ms, store_put_fn *cb, void *ud)
{
	struct webhook_request *w = request_new(add_run, add_deliver, ud);

	w->service_id = service_id;
	w->text = xstrdup(content_type);
	w->body = xstrdup(body);
	w->at_ms = now_ms;
	w->cb.put = cb;
	store_thread_submit(s->thread, &w->base);
}

/* --- tried, delete, clear --- */

static int tried_run(struct store_request *req, struct db *db, struct error *err)
{
	struct webhook_request *w = REQUEST(webhook_request, req);

	return webhooks_tried(db, w->id, w->at_ms, w->text, err);
}

void store_webhook_tried(struct store *s, int64_t id, int64_t next_ms, const char *why,
			 store_done_fn *cb, void *ud)
{
	struct webhook_request *w = request_new(tried_run, done_deliver, ud);

	w->id = id;
	w->at_ms = next_ms;
	w->text = xstrdup(why);
	w->cb.done = cb;
	store_thread_submit(s->thread, &w->base);
}

static int delete_run(struct store_request *req, struct db *db, struct error *err)
{
	return webhooks_delete(db, REQUEST(webhook_request, req)->id, err);
}

void store_webhook_delete(struct store *s, int64_t id, store_done_fn *cb, void *ud)
{
	struct webhook_request *w = request_new(delete_run, done_deliver, ud);

	w->id = id;
	w->cb.done = cb;
	store_thread_submit(s->thread, &w->base);
}

static int clear_run(struct store_request *req, struct db *db, struct error *err)
{
	return webhooks_clear(db, REQUEST(webhook_request, req)->service_id, err);
}

void store_webhook_clear(struct store *s, int64_t service_id, store_done_fn *cb, void *ud)
{
	struct webhook_request *w = request_new(clear_run, done_deliver, ud);

	w->service_id = service_id;
	w->cb.done = cb;
	store_thread_submit(s->thread, &w->base);
}

/* --- list, get --- */

static int list_run(struct store_request *req, struct db *db, struct error *err)
{
	struct webhook_request *w = REQUEST(webhook_request, req);

	return webhooks_list(db, w->service_id, &w->list, &w->n, err);
}

static void list_deliver(struct store_request *req, const struct error *failed)
{
	struct webhook_request *w = REQUEST(webhook_request, req);

	w->cb.list(w->ud, failed, w->list, w->n);
}

void store_webhook_list(struct store *s, int64_t service_id, store_webhooks_fn *cb, void *ud)
{
	struct webhook_request *w = request_new(list_run, list_deliver, ud);

	w->service_id = service_id;
	w->cb.list = cb;
	store_thread_submit(s->thread, &w->base);
}

static int get_run(struct store_request *req, struct db *db, struct error *err)
{
	struct webhook_request *w = REQUEST(webhook_request, req);

	return webhooks_get(db, w->id, &w->text, &w->body, err);
}

static void get_deliver(struct store_request *req, const struct error *failed)
{
	struct webhook_request *w = REQUEST(webhook_request, req);

	w->cb.get(w->ud, failed, w->text, w->body);
}

void store_webhook_get(struct store *s, int64_t id, store_webhook_fn *cb, void *ud)
{
	struct webhook_request *w = request_new(get_run, get_deliver, ud);

	w->id = id;
	w->cb.get = cb;
	store_thread_submit(s->thread, &w->base);
}
