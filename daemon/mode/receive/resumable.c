/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An upload has at most one request at a time: a later one (of a visitor who
 * came back sooner than the old connection was seen to be dead) takes its place.
 *
 *	OPEN (a piece comes, or it waits for one) -> ENDED (the last has come)
 *	-> DECIDED (the answer is kept for a while); from OPEN also, when refused
 */
#include "mode/receive/resumable.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/arena.h"
#include "base/list.h"
#include "mode/receive/intake.h"
#include "proto/base/alloc.h"
#include "proto/base/crypto.h"

#define TOKEN_LEN 26 /* 130 bits */

const struct resumable_limits resumable_limits_default = {
	.max = 64,
	.life_ms = 24 * 3600 * 1000u,
	.answer_ms = 3600 * 1000u,
	.patience_ms = 600 * 1000u,
	.empty_ms = 60 * 1000u,
	.tick_ms = 60 * 1000u,
};

struct piece;

enum state {
	RESUMABLE_OPEN,
	RESUMABLE_ENDED,
	RESUMABLE_DECIDED,
};

struct resumable {
	struct list link;       /* of set->all; in none: forgotten, gone with its intake */
	struct resumables *set; /* as long as it is in the list */
	char token[TOKEN_LEN + 1];
	enum state state;
	struct intake *in;   /* NULL: over */
	struct piece *piece; /* the request that is at it, or NULL */
	uint64_t length;     /* as it was announced, or HTTP_LENGTH_UNKNOWN */
	uint64_t offset;     /* what has come */
	uint64_t touched_ms;
	/* the answer */
	enum refusal why;
	struct buf json;
};

/* One request; in its arena. */
struct piece {
	struct resumable *up; /* NULL: the upload has nothing to do with it any more */
	struct http_req *req;
	bool first, last, reading;
};

struct resumables {
	struct receive *r;
	struct resumable_limits limits;
	struct list all;
	unsigned n;
	uv_timer_t tick;
};

static uint64_t now(const struct resumables *set)
{
	return ev_now_ms(set->r->ev);
}

/* --- fields --- */

/* A boolean of RFC 9651: false, true, or -1. */
static int field_bool(const struct http_req *req, struct span name)
{
	struct span value = http_req_field(req, name);

	if (http_req_count(req, name) != 1) {
		return -1;
	}
	return span_eq(value, SPAN("?1")) ? 1 : span_eq(value, SPAN("?0")) ? 0 : -1;
}

/* An integer of RFC 9651 that is not negative: so many digits at most. False: none, or odd. */
static bool field_number(const struct http_req *req, struct span name, uint64_t *ret)
{
	return http_req_count(req, name) == 1 &&
	       span_u64(http_req_field(req, name), 999999999999999, ret) == 0;
}

static void add_offset(struct http_resp *resp, const struct resumable *up)
{
	http_resp_field(resp, "Upload-Offset", "%llu", (unsigned long long)up->offset);
	http_resp_field(resp, "Upload-Complete", "%s", up->state == RESUMABLE_OPEN ? "?0" : "?1");
}

static void add_limit(struct http_resp *resp, const struct resumable *up)
{
	const struct resumables *set = up->set;
	uint64_t idle = now(set) - up->touched_ms;
	uint64_t left = idle < set->limits.life_ms ? set->limits.life_ms - idle : 0;
	uint64_t max = upload_body_max(set->r);

	if (max == UINT64_MAX) {
		http_resp_field(resp, "Upload-Limit", "max-age=%llu",
				(unsigned long long)left / 1000);
	} else {
		http_resp_field(resp, "Upload-Limit", "max-size=%llu, max-age=%llu",
				(unsigned long long)max, (unsigned long long)left / 1000);
	}
}

/* --- answers --- */

/* From now on the upload and the request know nothing of each other. */
static struct http_req *detach(struct piece *p)
{
	struct resumable *up = p->up;

	p->up = NULL;
	up->piece = NULL;
	http_req_observe(p->req, NULL, NULL);
	if (up->in) {
		intake_park(up->in, true);
	}
	return p->req;
}

/* RFC 9457; the types are those of the draft. */
static void respond_problem(struct http_req *req, const struct resumable *up, int status,
			    const char *type, const char *title)
{
	struct http_resp resp;
	struct span text =
		arena_printf(req->arena,
			     "{\"type\":\"https://iana.org/assignments/http-problem-types#%s\","
			     "\"title\":\"%s\",\"expected-offset\":%llu}",
			     type, title, (unsigned long long)up->offset);

	receive_init_resp(&resp, req, status);
	add_offset(&resp, up);
	http_respond_text(req, &resp, "application/problem+json", text);
}

static void respond_answer(struct http_req *req, const struct resumable *up)
{
	struct http_resp resp;

	receive_init_resp(&resp, req, refusal_status(up->why));
	add_offset(&resp, up);
	http_respond_text(req, &resp, "application/json", buf_span(&up->json));
}

/* Another request has come to its upload, or the upload is cancelled. */
static void displace(struct resumable *up)
{
	if (up->piece) {
		respond_problem(detach(up->piece), up, 409, "mismatching-upload-offset",
				"another request goes on with this upload");
	}
}

/* --- ends --- */

static void resumable_free(struct resumable *up)
{
	list_remove(&up->link);
	buf_wipe(&up->json);
	free(up);
}

/* Nobody asks for it any more. up may be gone. */
static void forget(struct resumable *up)
{
	list_remove(&up->link);
	up->set->n--;
	if (up->set->n == 0) {
		uv_timer_stop(&up->set->tick);
	}
	if (up->in) {
		intake_cancel(up->in); /* or it goes to its end */
	} else {
		resumable_free(up);
	}
}

static bool is_old(const struct resumable *up)
{
	const struct resumable_limits *l = &up->set->limits;
	uint64_t life = up->state == RESUMABLE_DECIDED ? l->answer_ms : l->life_ms;

	return up->state != RESUMABLE_ENDED && !up->piece && now(up->set) - up->touched_ms >= life;
}

static void on_tick(uv_timer_t *timer)
{
	struct resumables *set = timer->data;
	struct list *next;

	for (struct list *l = set->all.next; l != &set->all; l = next) {
		struct resumable *up = list_entry(l, struct resumable, link);

		next = l->next;
		if (is_old(up)) {
			forget(up);
		}
	}
}

/* --- making place --- */

/* Milliseconds for which it may have been idle: over that it gives way. UINT64_MAX: never. */
static uint64_t patience(const struct resumable *up)
{
	if (up->piece || up->state == RESUMABLE_ENDED) {
		return UINT64_MAX;
	}
	if (up->state == RESUMABLE_DECIDED) {
		return 0;
	}
	return up->offset ? up->set->limits.patience_ms : up->set->limits.empty_ms;
}

/* Answers first: they were given already, most likely. */
static bool goes_before(const struct resumable *a, const struct resumable *b)
{
	bool a_decided = a->state == RESUMABLE_DECIDED, b_decided = b->state == RESUMABLE_DECIDED;

	return a_decided != b_decided ? a_decided : a->touched_ms < b->touched_ms;
}

static struct resumable *find_victim(struct resumables *set)
{
	struct resumable *victim = NULL;

	for (struct list *l = set->all.next; l != &set->all; l = l->next) {
		struct resumable *up = list_entry(l, struct resumable, link);

		if (now(set) - up->touched_ms >= patience(up) &&
		    (!victim || goes_before(up, victim))) {
			victim = up;
		}
	}
	return victim;
}

static bool make_place(struct resumables *set)
{
	struct resumable *victim = set->n >= set->limits.max ? find_victim(set) : NULL;

	if (victim) {
		forget(victim);
	}
	return set->n < set->limits.max;
}

bool resumables_make_room(struct resumables *set)
{
	bool any = false;
	struct list *next;

	for (struct list *l = set ? set->all.next : NULL; l && l != &set->all; l = next) {
		struct resumable *up = list_entry(l, struct resumable, link);

		next = l->next;
		if (up->state == RESUMABLE_OPEN && now(set) - up->touched_ms >= patience(up)) {
			forget(up);
			any = true;
		}
	}
	return any;
}

/* --- a piece comes --- */

static int on_bytes(void *ud, struct span bytes)
{
	struct piece *p = ud;
	struct resumable *up = p->up;

	if (!up || up->state != RESUMABLE_OPEN) {
		return -ECANCELED;
	}
	up->touched_ms = now(up->set);
	int r = intake_feed(up->in, bytes);

	if (r >= 0) {
		up->offset = intake_received(up->in);
	}
	return r;
}

static void respond_first(struct http_req *req, const struct resumable *up)
{
	struct http_resp resp;

	receive_init_resp(&resp, req, 201);
	http_resp_field(&resp, "Location", RESUMABLE_PATH "%s", up->token);
	add_offset(&resp, up);
	add_limit(&resp, up);
	http_respond(req, &resp, http_body_none());
}

static void respond_taken(struct http_req *req, const struct resumable *up)
{
	struct http_resp resp;

	receive_init_resp(&resp, req, 204);
	add_offset(&resp, up);
	add_limit(&resp, up);
	http_respond(req, &resp, http_body_none());
}

static void on_body_end(void *ud)
{
	struct piece *p = ud;
	struct resumable *up = p->up;

	if (!up || up->state != RESUMABLE_OPEN) {
		return;
	}
	if (p->last) {
		up->state = RESUMABLE_ENDED;
		intake_end(up->in);
	} else if (p->first) {
		respond_first(detach(p), up);
	} else {
		respond_taken(detach(p), up);
	}
}

static const struct http_sink_ops sink = {.data = on_bytes, .end = on_body_end};

static void on_abort(void *ud)
{
	struct piece *p = ud;
	struct resumable *up = p->up;

	if (!up) {
		return;
	}
	detach(p);
	if (p->first) {
		forget(up); /* nobody knows its address */
	}
}

static const struct http_observer observer = {.abort = on_abort};

/* --- the intake --- */

static void on_more(void *ud)
{
	struct resumable *up = ud;
	struct piece *p = up->piece;

	if (p && p->reading) {
		http_req_resume(p->req);
	} else if (p) {
		p->reading = true;
		http_req_read(p->req, &sink, p);
	}
}

static void on_result(void *ud, enum refusal why, struct span text)
{
	struct resumable *up = ud;
	struct piece *p = up->piece;

	if (list_empty(&up->link)) {
		return;
	}
	/* Nobody knows its address; or who comes again shall begin again, not hear it again. */
	bool over = (p && p->first) || refusal_status(why) == 503;

	up->state = RESUMABLE_DECIDED;
	up->why = why;
	up->touched_ms = now(up->set);
	upload_json(&up->json, why != REFUSED_NOT, text, p && http_req_is_last(p->req));
	if (p) {
		respond_answer(detach(p), up);
	}
	if (over) {
		forget(up);
	}
}

static void on_over(void *ud)
{
	struct resumable *up = ud;

	up->in = NULL;
	if (list_empty(&up->link)) {
		resumable_free(up);
	}
}

static const struct intake_ops intake_ops = {on_more, on_result, on_over};

/* --- requests --- */

static void attach(struct resumable *up, struct http_req *req, bool first, bool last)
{
	struct piece *p = arena_zalloc(req->arena, sizeof(*p));

	*p = (struct piece){.up = up, .req = req, .first = first, .last = last};
	up->piece = p;
	http_req_observe(req, &observer, p);
	if (up->in) {
		intake_park(up->in, false);
	}
}

bool resumable_is_first(const struct http_req *req)
{
	return field_bool(req, SPAN("Upload-Complete")) == 0;
}

static void create(struct resumables *set, struct http_req *req,
		   const struct multipart_boundary *boundary, uint64_t length)
{
	struct resumable *up = xnew(struct resumable);

	up->set = set;
	up->length = length;
	up->touched_ms = now(set);
	crypto_random_name(up->token, TOKEN_LEN);
	list_append(&set->all, &up->link);
	if (set->n++ == 0) {
		uv_timer_start(&set->tick, on_tick, set->limits.tick_ms, set->limits.tick_ms);
	}
	attach(up, req, true, false);
	up->in = intake_new(set->r, boundary, length, &intake_ops, up);
}

void resumable_create(struct receive *r, struct http_req *req,
		      const struct multipart_boundary *boundary)
{
	uint64_t length = HTTP_LENGTH_UNKNOWN;

	if (http_req_count(req, SPAN("Upload-Length")) &&
	    !field_number(req, SPAN("Upload-Length"), &length)) {
		upload_refuse(r, req, true, REFUSED_MALFORMED);
	} else if (length != HTTP_LENGTH_UNKNOWN && length > upload_body_max(r)) {
		upload_refuse(r, req, true, REFUSED_TOO_LARGE);
	} else if (!make_place(r->resumables)) {
		upload_refuse(r, req, true, REFUSED_CROWDED);
	} else {
		create(r->resumables, req, boundary, length);
	}
}

/* Only while the upload is open: where does the piece belong? True: there, and it fits. */
static bool fits(struct resumable *up, struct http_req *req, uint64_t offset)
{
	if (offset != up->offset) {
		respond_problem(req, up, 409, "mismatching-upload-offset",
				"the piece does not begin where the upload ends");
		return false;
	}
	if (req->content_length == HTTP_LENGTH_UNKNOWN ||
	    req->content_length <= upload_body_max(up->set->r) - up->offset) {
		return true;
	}
	upload_refuse(up->set->r, req, true, REFUSED_TOO_LARGE);
	return false;
}

static void take_piece(struct resumable *up, struct http_req *req, uint64_t offset, bool last)
{
	if (up->state == RESUMABLE_DECIDED) {
		respond_answer(req, up);
		return;
	}
	displace(up);
	if (up->state == RESUMABLE_ENDED) {
		attach(up, req, false, true); /* the answer is on its way */
	} else if (fits(up, req, offset)) {
		attach(up, req, false, last);
		if (intake_wants(up->in)) {
			on_more(up);
		}
	}
}

static void patch(struct resumable *up, struct http_req *req)
{
	int last = field_bool(req, SPAN("Upload-Complete"));
	uint64_t offset;

	if (!span_eq_ci(http_req_field(req, SPAN("Content-Type")),
			SPAN("application/partial-upload"))) {
		http_respond_error(req, 415);
	} else if (last < 0 || !field_number(req, SPAN("Upload-Offset"), &offset)) {
		http_respond_error(req, 400);
	} else {
		take_piece(up, req, offset, last > 0);
	}
}

/* What was refused is over: that is its state. */
static void head(struct resumable *up, struct http_req *req)
{
	if (up->state == RESUMABLE_OPEN) {
		displace(up); /* or it would be wrong before it arrives */
	}
	if (up->state == RESUMABLE_DECIDED && refusal_status(up->why) != 200) {
		http_respond_error(req, refusal_status(up->why));
	} else {
		respond_taken(req, up);
	}
}

static void cancel(struct resumable *up, struct http_req *req)
{
	struct http_resp resp;

	displace(up);
	forget(up);
	receive_init_resp(&resp, req, 204);
	http_respond(req, &resp, http_body_none());
}

static struct resumable *find(struct resumables *set, struct span token)
{
	for (struct list *l = set->all.next; token.n == TOKEN_LEN && l != &set->all; l = l->next) {
		struct resumable *up = list_entry(l, struct resumable, link);

		if (crypto_equal(up->token, token.p, TOKEN_LEN)) {
			return up;
		}
	}
	return NULL;
}

void resumable_request(struct receive *r, struct http_req *req)
{
	struct resumable *up = find(r->resumables, span_from(req->path, strlen(RESUMABLE_PATH)));

	if (http_req_cross_site(req)) {
		http_respond_error(req, 403);
	} else if (!up) {
		http_respond_error(req, 404);
	} else if (req->method == HTTP_METHOD_PATCH) {
		patch(up, req);
	} else if (req->method == HTTP_METHOD_HEAD) {
		head(up, req);
	} else if (req->method == HTTP_METHOD_DELETE) {
		cancel(up, req);
	} else {
		http_respond_method(req, "HEAD, PATCH, DELETE");
	}
}

/* --- life --- */

struct resumables *resumables_new(struct receive *r, const struct resumable_limits *limits)
{
	struct resumables *set = xnew(struct resumables);

	set->r = r;
	set->limits = *limits;
	list_init(&set->all);
	uv_timer_init(r->ev->loop, &set->tick);
	set->tick.data = set;
	r->users++;
	return set;
}

static void on_closed(uv_handle_t *handle)
{
	struct resumables *set = handle->data;
	struct receive *r = set->r;

	free(set);
	receive_user_done(r);
}

void resumables_close(struct resumables *set)
{
	while (!list_empty(&set->all)) {
		forget(list_entry(set->all.next, struct resumable, link));
	}
	uv_close((uv_handle_t *)&set->tick, on_closed);
}
