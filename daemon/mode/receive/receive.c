/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The receive mode: its life and its page. Before it is ready, it completes what
 * an earlier end interrupted and sweeps up what was never finished. Submissions
 * are taken in upload.c and resumable.c, and kept by inbox.c.
 */
#include "mode/receive/receive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mode/assets.h"
#include "mode/receive/resumable.h"
#include "proto/base/alloc.h"

#define RETRY_SECONDS 60

static struct receive *receive_of(struct mode *m)
{
	return container_of(m, struct receive, mode);
}

/* --- starting --- */

struct opening {
	struct job job;
	struct receive *r;
	size_t n;
	int64_t *ids;
	struct inbox_place *places;
	struct inbox_arrival *arrivals;
	json_t *encrypt_to; /* its own copy: strings; none: nothing is sealed */
	struct inbox *inbox;
	uint64_t used;
	struct error err;
	int result;
};

static void opening_free(struct opening *o)
{
	free(o->ids);
	free(o->places);
	free(o->arrivals);
	json_decref(o->encrypt_to);
	error_done(&o->err);
	free(o);
}

/*
 * Whoever made the service gave only good ones; if they are not any more, nothing is
 * received, rather than anything in the clear.
 */
static int seal_inbox(struct opening *o)
{
	struct age_recipient recipients[AGE_RECIPIENTS_MAX];
	struct error why = ERROR_INIT;
	size_t i, n = json_array_size(o->encrypt_to);
	json_t *text;

	if (!o->encrypt_to || json_is_null(o->encrypt_to)) {
		return 0;
	}
	if (!json_is_array(o->encrypt_to) || n > AGE_RECIPIENTS_MAX) {
		return error_set(&o->err, EINVAL, "encrypt_to is no list of recipients");
	}
	json_array_foreach (o->encrypt_to, i, text) {
		struct span s = span_of(json_string_value(text), json_string_length(text));

		if (age_parse_recipient(s, &recipients[i], &why) < 0) {
			error_set(&o->err, EINVAL, "encrypt_to: recipient %zu %s", i + 1,
				  error_text(&why));
			error_done(&why);
			return -EINVAL;
		}
	}
	if (n) {
		inbox_seal_to(o->inbox, recipients, n);
	}
	return 0;
}

static void open_run(struct job *job)
{
	struct opening *o = container_of(job, struct opening, job);
	const struct receive *r = o->r; /* only what never changes */

	o->result = inbox_open(r->data_dir, r->data_dir_owner, r->min_free, &o->inbox, &o->err);
	if (o->result == 0) {
		o->result = seal_inbox(o);
	}
	for (size_t i = 0; o->result == 0 && i < o->n; i++) {
		o->result = inbox_complete(o->inbox, &o->places[i], &o->arrivals[i]);
		if (o->result < 0) {
			error_set(&o->err, -o->result,
				  "cannot complete a submission that came in earlier, in %s: %s",
				  r->data_dir, strerror(-o->result));
		}
	}
	if (o->result == 0) {
		inbox_sweep(o->inbox);
	}
	if (o->result == 0 && r->quota != UINT64_MAX) {
		o->result = inbox_usage(o->inbox, &o->used);
	}
	if (o->result < 0 && !o->err.code) {
		error_set(&o->err, -o->result, "cannot use %s: %s", r->data_dir,
			  strerror(-o->result));
	}
}

static void on_completed(void *ud, const struct error *err)
{
	(void)err; /* then it is found to be moved already next time */
	receive_user_done(ud);
}

static void open_done(struct job *job)
{
	struct opening *o = container_of(job, struct opening, job);
	struct receive *r = o->r;

	r->inbox = o->inbox;
	r->used = o->used;
	r->measured_ms = ev_now_ms(r->ev);
	for (size_t i = 0; o->result == 0 && i < o->n; i++) {
		const struct inbox_arrival *a = &o->arrivals[i];

		/* Perhaps for the second time: what was told before the end is not known. */
		if (a->there) {
			r->host.submission(r->host.ud, (uint64_t)a->number, a->files, a->message);
		}
		r->users++;
		r->host.inbox_finish(r->host.ud, o->ids[i], on_completed, r);
	}
	if (!r->stopping) {
		r->ready(r->ready_ud, o->result < 0 ? &o->err : NULL);
	}
	opening_free(o);
	receive_user_done(r);
}

static bool copy_place(const struct mode_intent *from, struct inbox_place *to)
{
	size_t staging = strlen(from->staging), day = strlen(from->day);
	size_t stamp = strlen(from->stamp);

	if (staging > INBOX_STAGING_LEN || day > INBOX_DAY_LEN || stamp > INBOX_STAMP_LEN) {
		return false;
	}
	memcpy(to->staging, from->staging, staging + 1);
	memcpy(to->day, from->day, day + 1);
	memcpy(to->stamp, from->stamp, stamp + 1);
	return inbox_place_valid(to);
}

static void on_pending(void *ud, const struct error *err, const struct mode_intent *intents,
		       size_t n)
{
	struct receive *r = ud;

	if (r->stopping || err) {
		if (!r->stopping) {
			r->ready(r->ready_ud, err);
		}
		receive_user_done(r);
		return;
	}
	struct opening *o = xnew(struct opening);

	o->r = r;
	o->ids = xcalloc(n, sizeof(*o->ids));
	o->places = xcalloc(n, sizeof(*o->places));
	o->arrivals = xcalloc(n, sizeof(*o->arrivals));
	o->encrypt_to = take_ptr(r->encrypt_to);
	for (size_t i = 0; i < n; i++) {
		o->ids[i] = intents[i].id;
		if (!copy_place(&intents[i], &o->places[i])) {
			/* inbox_complete refuses it, and says so. */
			o->places[i] = (struct inbox_place){.staging = ""};
		}
	}
	o->n = n;
	work_submit(r->ev->work, WORK_SLOW, &o->job, open_run, open_done);
}

static bool option_bool(const json_t *options, const char *name)
{
	return json_is_true(json_object_get(options, name));
}

static uint64_t option_size(const json_t *options, const char *name, uint64_t unset)
{
	const json_t *v = json_object_get(options, name);

	return json_is_integer(v) ? (uint64_t)json_integer_value(v) : unset;
}

static struct mode *receive_start(struct ev *ev, const struct mode_spec *spec,
				  const struct mode_host *host,
				  void (*ready)(void *ud, const struct error *err), void *ud)
{
	struct receive *r = xnew(struct receive);

	r->mode.ops = &mode_receive;
	r->ev = ev;
	r->host = *host;
	r->title = spec->title ? xstrdup(spec->title) : NULL;
	r->data_dir = xstrdup(spec->data_dir);
	r->data_dir_owner = spec->data_dir_owner;
	r->encrypt_to = json_deep_copy(json_object_get(spec->options, "encrypt_to"));
	r->files = !option_bool(spec->options, "disable_files");
	r->text = !option_bool(spec->options, "disable_text");
	r->max_submission = option_size(spec->options, "max_submission", UINT64_MAX);
	r->quota = option_size(spec->options, "quota", UINT64_MAX);
	r->min_free = option_size(spec->options, "min_free", 0);
	r->ready = ready;
	r->ready_ud = ud;
	r->flashes = flashes_new();
	r->users = 1;
	r->resumables = resumables_new(r, &resumable_limits_default);
	r->host.inbox_pending(r->host.ud, on_pending, r);
	return &r->mode;
}

/* --- stopping --- */

/* The last step of all: closing the directory may block. */
struct closing {
	struct job job;
	struct inbox *inbox;
	void (*stopped)(void *ud);
	void *ud;
};

static void close_run(struct job *job)
{
	inbox_close(container_of(job, struct closing, job)->inbox);
}

static void close_done(struct job *job)
{
	struct closing *c = container_of(job, struct closing, job);

	c->stopped(c->ud);
	free(c);
}

static void free_if_over(struct receive *r)
{
	if (!r->stopping || r->users) {
		return;
	}
	struct closing *c = xnew(struct closing);

	c->inbox = r->inbox;
	c->stopped = r->stopped;
	c->ud = r->stopped_ud;
	work_submit(r->ev->work, WORK_FAST, &c->job, close_run, close_done);
	flashes_free(r->flashes);
	json_decref(r->encrypt_to);
	free(r->title);
	free(r->data_dir);
	free(r->notice);
	free(r);
}

void receive_user_done(struct receive *r)
{
	r->users--;
	free_if_over(r);
}

static void receive_stop(struct mode *m, void (*stopped)(void *ud), void *ud)
{
	struct receive *r = receive_of(m);

	r->stopping = true;
	r->stopped = stopped;
	r->stopped_ud = ud;
	resumables_close(take_ptr(r->resumables));
}

/* --- small facts --- */

int64_t receive_next_us(struct receive *r)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	int64_t now = (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;

	r->last_us = now > r->last_us ? now : r->last_us + 1;
	return r->last_us;
}

bool receive_over_quota(const struct receive *r, uint64_t more)
{
	return r->quota != UINT64_MAX && (r->used > r->quota || r->coming > r->quota - r->used ||
					  more > r->quota - r->used - r->coming);
}

void receive_count(struct receive *r, uint64_t size)
{
	r->used += size;
	r->arrived += size;
}

void receive_measured(struct receive *r, uint64_t used, uint64_t arrived_before)
{
	r->full = false;
	r->used = used + (r->arrived - arrived_before);
	r->measured_ms = ev_now_ms(r->ev);
}

void receive_tell_trouble(struct receive *r, int error)
{
	if (error == r->trouble) {
		return;
	}
	r->trouble = error;
	free(r->notice);
	r->notice = error ? xasprintf("submissions cannot be kept: %s", strerror(-error)) : NULL;
	if (r->host.noticed && !r->stopping) {
		r->host.noticed(r->host.ud);
	}
}

static const char *receive_notice(const struct mode *m)
{
	return ((const struct receive *)(const void *)((const char *)m -
						       offsetof(struct receive, mode)))
		->notice;
}

static unsigned receive_active(const struct mode *m)
{
	return ((const struct receive *)(const void *)((const char *)m -
						       offsetof(struct receive, mode)))
		->active;
}

/* --- the page --- */

void receive_init_resp(struct http_resp *resp, struct http_req *req, int status)
{
	http_resp_init(resp, req, status);
	http_resp_field(resp, "Cache-Control", "no-store");
	if (status == 503) {
		http_resp_field(resp, "Retry-After", "%d", RETRY_SECONDS);
	}
}

void receive_respond_page(struct receive *r, struct http_req *req, int status, struct span flash,
			  bool is_error)
{
	const struct form form = {.title = r->title,
				  .files = r->files,
				  .text = r->text,
				  .flash = flash,
				  .flash_is_error = is_error};
	struct http_resp resp;
	struct buf b = BUF_INIT;

	form_page(&b, &form);
	receive_init_resp(&resp, req, status);
	http_respond_text(req, &resp, "text/html; charset=utf-8", buf_span(&b));
	buf_wipe(&b); /* names of what was sent may be among it */
}

/* A result is shown to who reads it: not to HEAD, which would use it up. */
static void respond_form(struct receive *r, struct http_req *req)
{
	struct span token = req->query;
	struct buf text = BUF_INIT;
	bool is_error = false, found = false;

	if (req->method == HTTP_METHOD_GET && span_starts(token, SPAN("result="))) {
		token = span_from(token, strlen("result="));
		found = flashes_take(r->flashes, ev_now_ms(r->ev), token, &text, &is_error);
	}
	receive_respond_page(r, req, 200, found ? buf_span(&text) : SPAN_NONE, is_error);
	buf_wipe(&text);
}

static void receive_request(struct mode *m, struct http_req *req)
{
	struct receive *r = receive_of(m);
	bool read = req->method == HTTP_METHOD_GET || req->method == HTTP_METHOD_HEAD;
	bool ajax = span_eq(req->path, SPAN("/upload-ajax"));
	bool upload = ajax || span_eq(req->path, SPAN("/upload"));

	if (inbox_seals(r->inbox)) {
		http_req_secret(req);
	}
	if (span_starts(req->path, SPAN(RESUMABLE_PATH))) {
		resumable_request(r, req);
	} else if (upload && req->method == HTTP_METHOD_POST) {
		upload_request(r, req, ajax);
	} else if (upload) {
		http_respond_method(req, "POST");
	} else if (span_eq(req->path, SPAN("/")) && read) {
		respond_form(r, req);
	} else if (span_eq(req->path, SPAN("/"))) {
		http_respond_method(req, "GET, HEAD");
	} else if (!read || !assets_respond(req)) {
		http_respond_error(req, 404);
	}
}

const struct mode_ops mode_receive = {
	.name = "receive",
	.start = receive_start,
	.request = receive_request,
	.stop = receive_stop,
	.active = receive_active,
	.notice = receive_notice,
};
