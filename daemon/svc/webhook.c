/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * submission -> row in the database -> queue -> due -> its body read -> delivery
 *      taken: row deleted -> next          failed: row updated, later again
 */
#include "svc/webhook.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "http/url.h"
#include "proto/base/alloc.h"
#include "proto/base/codec.h"
#include "proto/base/crypto.h"
#include "proto/units.h"
#include "svc/delivery.h"
#include "svc/webhook_queue.h"

struct webhook {
	struct webhook_env env;
	int64_t service_id;
	uv_timer_t timer;
	bool timer_closed;

	char *url; /* NULL: nothing is sent */
	char *secret_file;
	uid_t secret_owner;
	enum webhook_format format;
	char credential[33];
	bool reachable; /* Tor is */
	char socks[TOR_SOCKS_LEN];

	struct webhook_queue queue;
	bool loaded;               /* what waited in the database is in the queue */
	int64_t last_local;        /* ids of what is in memory only count down from -1 */
	int64_t sending;           /* the id of what is on its way; 0: nothing */
	struct delivery *delivery; /* NULL although sending: the database is asked */
	unsigned store_calls;      /* that will call back */
	bool closing;

	char *last_error;
	int64_t last_error_ms, last_success_ms; /* 0: never, as far as we remember */
};

static void pump(struct webhook *w);

static int64_t wall_ms(const struct webhook *w)
{
	return w->env.wall_ms ? w->env.wall_ms() : ev_wall_ms();
}

int webhook_check_url(const char *url, bool local_only, struct error *err)
{
	struct http_url u;
	const char *why;

	if (http_url_parse(span_str(url), &u, &why) == 0 &&
	    http_url_check(&u, local_only, &why) == 0) {
		return 0;
	}
	_cleanup_free_ char *text = xasprintf("the URL %s", why);

	return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "webhook_url", text,
			      "webhook_url: %s", text);
}

/* --- its life --- */

static void free_if_over(struct webhook *w)
{
	if (w->closing && w->timer_closed && w->store_calls == 0) {
		webhook_queue_done(&w->queue);
		free(w->url);
		free(w->secret_file);
		free(w->last_error);
		free(w);
	}
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct webhook *w = handle->data;

	w->timer_closed = true;
	free_if_over(w);
}

/* An answer of the database has come. false: nobody is interested any more. */
static bool store_answered(struct webhook *w)
{
	w->store_calls--;
	if (w->closing) {
		free_if_over(w);
		return false;
	}
	return true;
}

static void on_list(void *ud, const struct error *err, const struct store_webhook *list, size_t n)
{
	struct webhook *w = ud;

	if (!store_answered(w)) {
		return;
	}
	if (err) {
		log_debug("webhook: %s", error_text(err));
	}
	for (size_t i = 0; i < n; i++) {
		webhook_queue_add(&w->queue,
				  &(struct webhook_item){.id = list[i].id,
							 .created_ms = list[i].created_ms,
							 .next_ms = list[i].next_ms,
							 .tries = list[i].tries});
		if (list[i].last_error) {
			free(w->last_error);
			w->last_error = xstrdup(list[i].last_error);
		}
	}
	w->loaded = true;
	pump(w);
}

struct webhook *webhook_new(const struct webhook_env *env, int64_t service_id)
{
	struct webhook *w = xnew(struct webhook);
	int r = uv_timer_init(env->ev->loop, &w->timer);

	assert(r == 0); /* it has no way to fail */
	(void)r;
	w->timer.data = w;
	w->env = *env;
	w->service_id = service_id;
	if (service_id) {
		w->store_calls++;
		store_webhook_list(env->store, service_id, on_list, w);
	} else {
		w->loaded = true;
	}
	return w;
}

static void stop_sending(struct webhook *w)
{
	if (w->delivery) {
		delivery_cancel(take_ptr(w->delivery));
	}
	w->sending = 0;
}

void webhook_free(struct webhook *w)
{
	if (w) {
		w->closing = true;
		stop_sending(w);
		uv_close((uv_handle_t *)&w->timer, on_timer_closed);
	}
}

/* --- what is forgotten --- */

static void on_forgotten(void *ud, const struct error *err)
{
	if (err) {
		log_debug("webhook: %s", error_text(err));
	}
	store_answered(ud);
}

static void forget_row(struct webhook *w, int64_t id)
{
	if (id > 0) {
		w->store_calls++;
		store_webhook_delete(w->env.store, id, on_forgotten, w);
	}
}

static void set_error(struct webhook *w, const char *problem)
{
	bool was_good = !w->last_error;

	free(w->last_error);
	w->last_error = problem ? xstrdup(problem) : NULL;
	if (problem) {
		w->last_error_ms = wall_ms(w);
	}
	if (was_good != !problem && w->env.changed) {
		w->env.changed(w->env.ud, problem);
	}
}

static void drop_expired(struct webhook *w)
{
	int64_t id;

	while ((id = webhook_queue_expired(&w->queue, wall_ms(w))) != 0) {
		webhook_queue_remove(&w->queue, id);
		forget_row(w, id);
	}
}

/* --- one report --- */

static void failed(struct webhook *w, const char *problem)
{
	int64_t id = w->sending;
	int64_t next = webhook_queue_failed(&w->queue, id, wall_ms(w));

	w->sending = 0;
	if (next && id > 0) {
		w->store_calls++;
		store_webhook_tried(w->env.store, id, next, problem, on_forgotten, w);
	} else {
		forget_row(w, id);
	}
	set_error(w, problem);
	pump(w);
}

/* The database was asked for one report; meanwhile the target may have changed. */
struct asked {
	struct webhook *w;
	int64_t id;
};

static struct asked *ask(struct webhook *w, int64_t id)
{
	struct asked *asked = xnew(struct asked);

	asked->w = w;
	asked->id = id;
	w->store_calls++;
	return asked;
}

/* Is its answer still of interest? Frees it. */
static bool still_asked(struct asked *asked)
{
	bool was = store_answered(asked->w) && asked->w->sending == asked->id;

	free(asked);
	return was;
}

/* The next one goes only now, so that an end of the daemon makes no more than one come twice. */
static void on_delivered_deleted(void *ud, const struct error *err)
{
	struct asked *asked = ud;
	struct webhook *w = asked->w;

	if (err) {
		log_debug("webhook: %s", error_text(err));
	}
	if (still_asked(asked)) {
		w->sending = 0;
		pump(w);
	}
}

static void delivered(struct webhook *w)
{
	int64_t id = w->sending;

	w->last_success_ms = wall_ms(w);
	webhook_queue_delivered(&w->queue, id, w->last_success_ms);
	set_error(w, NULL);
	if (id > 0) {
		store_webhook_delete(w->env.store, id, on_delivered_deleted, ask(w, id));
	} else {
		w->sending = 0;
		pump(w);
	}
}

static void on_delivery(void *ud, const char *problem)
{
	struct webhook *w = ud;

	w->delivery = NULL;
	if (problem) {
		failed(w, problem);
	} else {
		delivered(w);
	}
}

static void deliver(struct webhook *w, const char *content_type, const char *body)
{
	const struct delivery_spec spec = {
		.url = w->url,
		.content_type = content_type,
		.body = body,
		.secret_file = w->secret_file,
		.secret_owner = w->secret_owner,
		.socks = w->env.local_only ? NULL : w->socks,
		.credential = w->credential,
		.ca_file = w->env.ca_file,
	};

	w->delivery = delivery_start(w->env.ev, &spec, on_delivery, w);
}

static void on_got(void *ud, const struct error *err, const char *content_type, const char *body)
{
	struct asked *asked = ud;
	struct webhook *w = asked->w;
	int64_t id = asked->id;

	if (!still_asked(asked) || w->delivery) {
		return;
	}
	if (err) {
		failed(w, error_text(err));
	} else if (!body) {
		webhook_queue_remove(&w->queue, id);
		forget_row(w, id);
		w->sending = 0;
		pump(w);
	} else {
		deliver(w, content_type, body);
	}
}

static void send_item(struct webhook *w, const struct webhook_item *item)
{
	w->sending = item->id;
	if (item->body) {
		deliver(w, item->content_type, item->body);
		return;
	}
	store_webhook_get(w->env.store, item->id, on_got, ask(w, item->id));
}

/* --- what is next --- */

static void on_timer(uv_timer_t *timer)
{
	pump(timer->data);
}

static void pump(struct webhook *w)
{
	if (w->closing || w->sending || !w->loaded || !w->url) {
		return;
	}
	drop_expired(w);
	struct webhook_item *item = webhook_queue_due(&w->queue, wall_ms(w));
	int64_t wait = webhook_queue_wait(&w->queue, wall_ms(w));

	uv_timer_stop(&w->timer);
	if (item && (w->env.local_only || w->reachable)) {
		send_item(w, item);
	} else if (!item && wait >= 0) {
		int r = uv_timer_start(&w->timer, on_timer, (uint64_t)wait, 0);

		assert(r == 0); /* it has a callback and is not closing */
		(void)r;
	}
}

void webhook_wake(struct webhook *w)
{
	pump(w);
}

/* --- from outside --- */

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static void change_url(struct webhook *w, const char *url)
{
	uint8_t random[16];

	stop_sending(w);
	free(w->url);
	w->url = url ? xstrdup(url) : NULL;
	free(take_ptr(w->last_error));
	w->last_error_ms = w->last_success_ms = 0;
	crypto_random(random, sizeof(random));
	hex_encode(random, sizeof(random), w->credential);
	webhook_queue_hurry(&w->queue, wall_ms(w));
	if (url) {
		return;
	}
	webhook_queue_done(&w->queue);
	if (w->service_id) {
		w->store_calls++;
		store_webhook_clear(w->env.store, w->service_id, on_forgotten, w);
	}
}

void webhook_configure(struct webhook *w, const struct webhook_config *config)
{
	w->format = config->format;
	w->secret_owner = config->secret_owner;
	if (!same(w->secret_file, config->secret_file)) {
		free(w->secret_file);
		w->secret_file = config->secret_file ? xstrdup(config->secret_file) : NULL;
	}
	if (!same(w->url, config->url)) {
		change_url(w, config->url);
	}
	pump(w);
}

void webhook_saved(struct webhook *w, int64_t service_id)
{
	w->service_id = service_id;
}

void webhook_tor_changed(struct webhook *w, const struct tor_status *status)
{
	bool was = w->reachable;

	w->reachable = status->reachable && status->socks[0];
	memcpy(w->socks, status->socks, sizeof(w->socks));
	if (w->reachable && !was) {
		webhook_queue_hurry(&w->queue, wall_ms(w));
		pump(w);
	}
}

/* On its way into the database. */
struct addition {
	struct webhook *w;
	char *content_type, *body;
	int64_t at_ms;
};

static void enqueue(struct webhook *w, struct addition *a, int64_t id)
{
	struct webhook_item item = {.id = id, .created_ms = a->at_ms, .next_ms = a->at_ms};

	if (!id) {
		item.id = --w->last_local;
		item.content_type = take_ptr(a->content_type);
		item.body = take_ptr(a->body);
	}
	webhook_queue_add(&w->queue, &item);
}

static void addition_free(struct addition *a)
{
	free(a->content_type);
	free(a->body);
	free(a);
}

static void on_added(void *ud, const struct error *err, int64_t id)
{
	struct addition *a = ud;
	struct webhook *w = a->w;

	if (store_answered(w)) {
		/* Better one that does not survive than none. */
		enqueue(w, a, err ? 0 : id);
		pump(w);
	}
	addition_free(a);
}

void webhook_submission(struct webhook *w, const char *service_name, unsigned files, bool message)
{
	if (!w->url) {
		return;
	}
	struct addition *a = xnew(struct addition);
	const struct webhook_event event = {service_name, files, message, wall_ms(w)};

	a->w = w;
	a->at_ms = event.at_ms;
	a->content_type = xstrdup(webhook_content_type(w->format));
	a->body = webhook_body(w->format, &event);
	if (w->service_id) {
		w->store_calls++;
		store_webhook_add(w->env.store, w->service_id, a->content_type, a->body, a->at_ms,
				  on_added, a);
		return;
	}
	enqueue(w, a, 0);
	addition_free(a);
	pump(w);
}

static json_t *time_json(int64_t ms)
{
	char text[UNITS_TIME_TEXT];

	return ms ? json_string(units_print_time(ms, text)) : json_null();
}

json_t *webhook_json(const struct webhook *w)
{
	return json_pack("{s:i, s:s?, s:o, s:o}", "pending", (int)w->queue.n, "last_error",
			 w->last_error, "last_error_at", time_json(w->last_error_ms),
			 "last_success_at", time_json(w->last_success_ms));
}
