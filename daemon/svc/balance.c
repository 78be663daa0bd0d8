/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A visit: tor looks the descriptor up, then a HEAD over tor's SOCKS port, with the frontend's
 * name as Host. Look-ups go one after the other (tor/probe.h), and while the next one is under way
 * those before it are visited.
 *
 * What is compared is the validator of one path. Those of a release (publish --to) are made with
 * its own random key, so that no two releases have one in common; a service with content of its
 * own has a key of its own.
 */
#include "svc/balance.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http/client/client.h"
#include "proto/base/alloc.h"
#include "proto/base/codec.h"
#include "proto/base/crypto.h"
#include "proto/base/onion.h"
#include "proto/units.h"
#include "svc/registry.h"
#include "tor/probe.h"
#include "tor/socks.h"

#define CONNECT_MS      90000u
#define ANSWER_MS       60000u
#define AGAIN_MS        500u /* somebody else's look-up is under way */
#define PATH_LENGTH_MAX 2048u

/* Of a share, all of it; of a website, its first page. The first that is there counts. */
static const char *const usual_paths[] = {"/download", "/", NULL};

struct visit {
	struct balance_check *b;
	bool frontend;
	enum { VISIT_WAITING, VISIT_LOOKUP, VISIT_UNDERWAY, VISIT_OVER } state;
	char name[ONION_NAME_LEN + 1];
	char isolation[21]; /* a name of its own among tor's circuits */
	unsigned path;      /* index of paths */
	struct socks *socks;
	struct http_client *client;
	uint64_t begun;
	int status; /* 0: no answer */
	char etag[HTTP_CLIENT_ETAG_MAX + 1];
	bool fetched, has_descriptor;
	struct hsdesc descriptor;
};

struct balance_check {
	struct manager *m;
	uv_timer_t turn; /* what is next is begun from outside of callbacks */
	char host[ONION_NAME_LEN + 7];
	char *own_path;
	const char *paths[3];
	struct visit *visits; /* the frontend's is the first */
	size_t n, over;
	struct tor_probe *probe; /* of the visit that is LOOKUP */
	json_t *told;
	unsigned closing; /* clients that are still to go */
	bool telling, cancelled;
	balance_fn *cb;
	void *ud;
};

/* --- the end --- */

static void on_turn_closed(uv_handle_t *handle)
{
	struct balance_check *b = handle->data;

	json_decref(b->told);
	free(b->own_path);
	free(b->visits);
	free(b);
}

static void close_turn(struct balance_check *b)
{
	uv_close((uv_handle_t *)&b->turn, on_turn_closed);
}

static void on_client_closed(void *ud)
{
	struct balance_check *b = ud;

	if (--b->closing == 0) {
		close_turn(b);
	}
}

void balance_cancel(struct balance_check *b)
{
	if (b->telling) {
		b->cancelled = true;
		return;
	}
	if (b->probe) {
		tor_probe_end(take_ptr(b->probe));
	}
	b->closing = 1;
	for (size_t i = 0; i < b->n; i++) {
		struct visit *v = &b->visits[i];

		if (v->socks) {
			socks_cancel(v->socks);
		}
		if (v->client) {
			b->closing++;
			http_client_cancel(v->client, on_client_closed, b);
		}
	}
	on_client_closed(b);
}

static bool is_good(const struct visit *v)
{
	return v->status >= 200 && v->status < 400;
}

static enum balance_release compare(const struct balance_check *b)
{
	const struct visit *first = &b->visits[0];

	for (size_t i = 0; i < b->n; i++) {
		const struct visit *v = &b->visits[i];

		if (!is_good(v) || v->status != first->status || v->path != first->path ||
		    strcmp(v->etag, first->etag) != 0) {
			return BALANCE_DIFFERENT;
		}
	}
	return *first->etag ? BALANCE_SAME : BALANCE_UNKNOWN;
}

/* --- telling --- */

static json_t *time_json(int64_t seconds)
{
	char text[UNITS_TIME_TEXT];

	return json_string(units_print_time(seconds * 1000, text));
}

static json_t *descriptor_json(const struct visit *v)
{
	const struct hsdesc *d = &v->descriptor;
	int64_t now = v->b->m->wall_ms() / 1000;
	int64_t from = 0, to = 0;

	if (!v->has_descriptor) {
		return json_null();
	}
	/* A frontend that is none was published by tor: then the other reading is in the future. */
	bool known = (v->frontend && hsdesc_published(d, HSDESC_ONIONBALANCE, now, &from, &to)) ||
		     hsdesc_published(d, HSDESC_TOR, now, &from, &to);

	return json_pack("{s:b, s:o, s:o, s:I, s:I}", "fetched", v->fetched, "published_after",
			 known ? time_json(from) : json_null(), "published_before",
			 known ? time_json(to) : json_null(), "lifetime", (json_int_t)d->lifetime,
			 "revision", (json_int_t)d->revision);
}

static json_t *visit_json(const struct visit *v, const char *text)
{
	return json_pack("{s:s, s:s, s:b, s:o, s:o, s:o, s:s, s:o}", "role",
			 v->frontend ? "frontend" : "backend", "onion", v->name, "good", is_good(v),
			 "status", v->status ? json_integer(v->status) : json_null(), "path",
			 v->status ? json_string(v->b->paths[v->path]) : json_null(), "etag",
			 *v->etag ? json_string(v->etag) : json_null(), "text", text, "descriptor",
			 descriptor_json(v));
}

static void next_turn(struct balance_check *b, unsigned ms);

/* text is taken. */
static void over(struct visit *v, char *text)
{
	struct balance_check *b = v->b;

	v->state = VISIT_OVER;
	json_array_append_new(b->told, visit_json(v, text));
	free(text);
	b->over++;
	if (b->over == b->n) {
		b->cb(b->ud, b->told, true, compare(b));
		close_turn(b);
		return;
	}
	b->telling = true;
	b->cb(b->ud, b->told, false, BALANCE_UNKNOWN);
	b->telling = false;
	if (b->cancelled) {
		balance_cancel(b);
	} else {
		next_turn(b, 0);
	}
}

static void over_answered(struct visit *v)
{
	uint64_t ms = ev_now_ms(manager_ev(v->b->m)) - v->begun;

	if (v->status == 421) {
		over(v, xasprintf("it answers, but not for %s (421): was it made with "
				  "--backend-of another one?",
				  v->b->host));
	} else {
		over(v, xasprintf("it answers (%d, %u.%u s)", v->status, (unsigned)(ms / 1000),
				  (unsigned)(ms % 1000 / 100)));
	}
}

/* --- a visit --- */

static void connect_to(struct visit *v);

static void on_answered(void *ud, const struct http_answer *answer)
{
	struct visit *v = ud;

	v->client = NULL;
	v->status = answer->status;
	snprintf(v->etag, sizeof(v->etag), "%s", answer->etag);
	if (v->status == 0) {
		over(v, xasprintf("connected, but %s", answer->problem));
	} else if (v->status == 404 && v->b->paths[v->path + 1]) {
		v->path++;
		connect_to(v);
	} else {
		over_answered(v);
	}
}

static void on_connected(void *ud, int fd, const char *why)
{
	struct visit *v = ud;
	const struct http_client_request head = {
		.authority = v->b->host,
		.target = span_str(v->b->paths[v->path]),
		.timeout_ms = ANSWER_MS,
	};

	v->socks = NULL;
	if (fd < 0) {
		v->status = 0; /* of another path */
		v->etag[0] = '\0';
		over(v, xasprintf("no connection through Tor: %s", why));
	} else {
		v->client = http_client_send(manager_ev(v->b->m), fd, &head, on_answered, v);
	}
}

static void connect_to(struct visit *v)
{
	const struct tor_status *t = tor_status(manager_tor(v->b->m));
	char host[ONION_NAME_LEN + 7];
	const struct socks_request request = {host, 80, v->isolation, v->isolation};

	if (!t->socks[0]) {
		over(v, xstrdup("the connection to tor was lost"));
		return;
	}
	snprintf(host, sizeof(host), "%s.onion", v->name);
	v->socks =
		socks_connect(manager_ev(v->b->m), t->socks, &request, CONNECT_MS, on_connected, v);
}

static void on_probed(void *ud, const char *why)
{
	struct visit *v = ud;
	struct balance_check *b = v->b;
	const struct hsdesc *found = tor_probe_descriptor(b->probe);

	v->fetched = why == NULL;
	v->has_descriptor = found != NULL;
	if (found) {
		v->descriptor = *found;
	}
	_cleanup_free_ char *text = why ? xstrdup(why) : NULL; /* it is the probe's */

	tor_probe_end(take_ptr(b->probe));
	v->begun = ev_now_ms(manager_ev(b->m));
	if (text && !found) {
		over(v, take_ptr(text));
		return;
	}
	v->state = VISIT_UNDERWAY;
	next_turn(b, 0);
	connect_to(v);
}

static void look_up(struct visit *v)
{
	struct balance_check *b = v->b;

	b->probe = tor_probe_start(manager_tor(b->m), v->name, NULL, on_probed, v);
	if (b->probe) {
		v->state = VISIT_LOOKUP;
	} else {
		next_turn(b, AGAIN_MS);
	}
}

static void on_turn(uv_timer_t *timer)
{
	struct balance_check *b = timer->data;
	struct visit *next = NULL;
	unsigned underway = 0;

	for (size_t i = b->n; i > 0; i--) {
		struct visit *v = &b->visits[i - 1];

		underway += v->state == VISIT_UNDERWAY;
		next = v->state == VISIT_WAITING ? v : next;
	}
	if (next && !b->probe && underway < BALANCE_VISITS_MAX) {
		look_up(next);
	}
}

static void next_turn(struct balance_check *b, unsigned ms)
{
	int r = uv_timer_start(&b->turn, on_turn, ms, 0);

	assert(r == 0);
	(void)r;
}

/* --- the beginning --- */

static int invalid(struct error *err, const char *field, const char *why)
{
	return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, field, why, "%s: %s", field, why);
}

static int read_address(const char *field, const char *text, struct visit *v, struct error *err)
{
	_cleanup_error_ struct error why = ERROR_INIT;
	uint8_t random[10];

	if (onion_parse(span_str(text), v->name, &why) < 0) {
		return invalid(err, field, error_text(&why));
	}
	crypto_random(random, sizeof(random));
	hex_encode(random, sizeof(random), v->isolation);
	return 0;
}

/* All different. */
static int read_addresses(struct balance_check *b, const struct balance_request *request,
			  struct error *err)
{
	int r = read_address("frontend", request->frontend, &b->visits[0], err);

	b->visits[0].frontend = true;
	for (size_t i = 1; i < b->n && r == 0; i++) {
		struct visit *v = &b->visits[i];

		r = read_address("backends",
				 json_string_value(json_array_get(request->backends, i - 1)), v,
				 err);
		for (size_t k = 0; k < i && r == 0; k++) {
			if (strcmp(b->visits[k].name, v->name) == 0) {
				r = invalid(err, "backends",
					    k ? "an address is there twice"
					      : "one of them is the frontend's own address");
			}
		}
	}
	return r;
}

/* As it stands in a request: printable, without blanks. */
static int read_path(struct balance_check *b, const char *path, struct error *err)
{
	if (!path) {
		memcpy(b->paths, usual_paths, sizeof(usual_paths));
		return 0;
	}
	size_t n = strlen(path);

	for (size_t i = 0; i < n; i++) {
		if (path[i] <= ' ' || path[i] > '~' || path[i] == '#') {
			return invalid(err, "path", "is to be percent-encoded");
		}
	}
	if (path[0] != '/' || n > PATH_LENGTH_MAX) {
		return invalid(err, "path", "begins with a slash and has at most 2048 characters");
	}
	b->own_path = xstrdup(path);
	b->paths[0] = b->own_path;
	return 0;
}

static int check_tor(const struct manager *m, struct error *err)
{
	const struct tor_status *t = m->tor ? tor_status(m->tor) : NULL;
	const char *why = NULL;

	if (!t) {
		why = "the daemon runs without Tor (--local-only)";
	} else if (!t->reachable) {
		why = "Tor is not connected to its network (tor status)";
	} else if (!t->socks[0]) {
		why = "this tor has no SOCKS port that the daemon could visit by (socks in the "
		      "section [tor] names one)";
	}
	return why ? error_set_kind(err, ENOTSUP, ERROR_TOR_UNAVAILABLE, why, NULL, "%s", why) : 0;
}

int balance_start(struct manager *m, const struct balance_request *request, balance_fn *cb,
		  void *ud, struct balance_check **ret, struct error *err)
{
	size_t n = json_array_size(request->backends);

	if (n > BALANCE_BACKENDS_MAX) {
		return invalid(err, "backends", "are at most 64");
	}
	struct balance_check *b = xnew(struct balance_check);

	b->m = m;
	b->n = n + 1;
	b->visits = xcalloc(b->n, sizeof(*b->visits));
	for (size_t i = 0; i < b->n; i++) {
		b->visits[i].b = b;
	}
	int r = read_addresses(b, request, err);

	if (r == 0) {
		r = read_path(b, request->path, err);
	}
	if (r == 0) {
		r = check_tor(m, err);
	}
	if (r < 0) {
		free(b->own_path);
		free(b->visits);
		free(b);
		return r;
	}
	snprintf(b->host, sizeof(b->host), "%s.onion", b->visits[0].name);
	b->told = json_array();
	b->cb = cb;
	b->ud = ud;
	r = uv_timer_init(manager_ev(m)->loop, &b->turn);
	assert(r == 0);
	b->turn.data = b;
	next_turn(b, 0);
	*ret = b;
	return 0;
}
