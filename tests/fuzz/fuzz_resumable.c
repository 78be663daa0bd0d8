/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Uploads in pieces, against a dropbox on a disk: the input says in which order a visitor
 * creates, sends, breaks off, asks, cancels, and what nonsense stands in the fields. What the
 * service says of how far it is must be true, and in the end there is what was thanked for.
 */
#include "receive_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define AJAX      "/upload-ajax"
#define STEPS_MAX 40
#define TEXT_MAX  40

enum state {
	STATE_NONE, /* no upload */
	STATE_OPEN,
	STATE_OVER, /* it has its answer, or may have */
};

struct visit {
	struct fixture *f;
	struct span input;
	struct buf body;
	char path[128];
	enum state state;
	size_t at; /* what the service has */
	unsigned thanked;
};

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

static unsigned take(struct visit *v)
{
	if (!v->input.n) {
		return 0;
	}
	unsigned c = (uint8_t)*v->input.p;

	v->input = span_from(v->input, 1);
	return c;
}

/* A field's value from the input: its bytes, as far as a field can have them. */
static void take_text(struct visit *v, char ret[TEXT_MAX + 1])
{
	unsigned n = take(v) % (TEXT_MAX + 1);

	for (unsigned i = 0; i < n; i++) {
		unsigned c = take(v);

		ret[i] = c < ' ' || c > '~' ? '0' : (char)c;
	}
	ret[n] = '\0';
}

static const char *field(const struct reply *r, const char *name)
{
	char start[64];

	snprintf(start, sizeof(start), "\r\n%s: ", name);
	const char *at = strstr(r->text.p, start);

	return at ? at + strlen(start) : NULL;
}

static void see(struct visit *v, const struct reply *r)
{
	static const int known[] = {200, 201, 204, 400, 403, 404, 405,
				    409, 413, 415, 431, 503, 507};
	bool ok = false;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		ok |= r->status == known[i];
	}
	check(ok);
	check(strstr(r->text.p, "\r\nServer: OnionShare\r\n") != NULL);
	if (r->status == 200 && strstr(r->text.p, "{\"info_flashes\":")) {
		v->thanked++;
	}
}

/* --- steps --- */

static void create(struct visit *v)
{
	struct buf fields = BUF_INIT;
	unsigned kind = take(v) % 4;
	char text[TEXT_MAX + 1] = "";

	buf_add_str(&fields, FORM "Upload-Complete: ?0\r\n");
	if (kind == 3) {
		take_text(v, text);
		buf_printf(&fields, "Upload-Length: %s\r\n", text);
	} else if (kind) { /* right, or ten times as much */
		buf_printf(&fields, "Upload-Length: %zu%s\r\n", v->body.len, kind == 2 ? "0" : "");
	}
	struct reply r = ask(v->f, "POST", AJAX, fields.p, SPAN(""));

	see(v, &r);
	if (r.status == 201) {
		const char *at = field(&r, "Location");

		check(at && strcspn(at, "\r") < sizeof(v->path));
		snprintf(v->path, sizeof(v->path), "%.*s", (int)strcspn(at, "\r"), at);
		v->state = STATE_OPEN;
		v->at = 0;
	}
	reply_done(&r);
	buf_done(&fields);
}

static void ask_offset(struct visit *v)
{
	struct reply r = ask(v->f, "HEAD", v->path, "", SPAN_NONE);
	const char *offset = field(&r, "Upload-Offset");

	see(v, &r);
	if (v->state == STATE_OPEN) {
		/* Refused, or as far as is known, and never behind that. */
		check(r.status != 204 || (offset && strtoul(offset, NULL, 10) >= v->at));
		if (r.status != 204 || strstr(r.text.p, "Upload-Complete: ?1")) {
			v->state = STATE_OVER;
		} else {
			v->at = strtoul(offset, NULL, 10);
		}
	}
	reply_done(&r);
}

static void patch(struct visit *v, const char *fields, struct span piece, bool honest, bool last)
{
	struct reply r = ask(v->f, "PATCH", v->path, fields, piece);

	/* An answer that comes again is none of another submission. */
	unsigned thanked = v->thanked;

	see(v, &r);
	if (v->state != STATE_OPEN) {
		v->thanked = thanked;
	} else if (r.status == 204) {
		const char *offset = field(&r, "Upload-Offset");

		check(offset && strtoul(offset, NULL, 10) >= v->at);
		check(!honest || strtoul(offset, NULL, 10) == v->at + piece.n);
		v->at = strtoul(offset, NULL, 10);
	} else if (honest) {
		check(last || r.status >= 400);
		v->state = STATE_OVER;
	} else if (r.status == 200 || r.status == 413) {
		v->state = STATE_OVER;
	}
	reply_done(&r);
}

static void send_piece(struct visit *v)
{
	size_t left = v->at < v->body.len ? v->body.len - v->at : 0;
	size_t n = take(v) * 4;
	bool last = take(v) & 1;

	n = n < left ? n : left;
	char *fields =
		xasprintf("Content-Type: application/partial-upload\r\nUpload-Offset: %zu\r\n"
			  "Upload-Complete: ?%d\r\n",
			  v->at, last);

	patch(v, fields, span_of(v->body.p + v->body.len - left, n), true, last);
	free(fields);
}

static void send_nonsense(struct visit *v)
{
	static const char *const types[] = {"application/partial-upload", "text/plain"};
	char offset[TEXT_MAX + 1], complete[TEXT_MAX + 1];
	unsigned kind = take(v);

	take_text(v, offset);
	take_text(v, complete);
	char *fields =
		xasprintf("Content-Type: %s\r\nUpload-Offset: %s\r\nUpload-Complete: %s\r\n%s",
			  types[kind & 1], offset, complete,
			  kind & 2 ? "Upload-Offset: 0\r\n" : "");

	patch(v, fields, span_of(v->body.p, kind >> 2), false, true);
	free(fields);
}

/* So much of a piece was sent when the connection ended. */
static void break_off(struct visit *v)
{
	size_t left = v->at < v->body.len ? v->body.len - v->at : 0;
	size_t n = take(v);
	struct client c;

	n = n < left ? n : left;
	client_open(v->f, &c);
	buf_printf(&c.out,
		   "PATCH %s HTTP/1.1\r\nHost: localhost\r\nUpload-Offset: %zu\r\n"
		   "Content-Type: application/partial-upload\r\nUpload-Complete: ?1\r\n"
		   "Content-Length: %zu\r\n\r\n",
		   v->path, v->at, left + 1);
	buf_add(&c.out, v->body.p + v->body.len - left, n);
	while (c.out_at < c.out.len) {
		client_turn(&c);
	}
	client_done(&c);
	ask_offset(v);
	/* Never more than was sent. */
	check(v->state != STATE_OPEN || v->at <= v->body.len - left + n);
}

static void cancel(struct visit *v)
{
	struct reply r = ask(v->f, "DELETE", v->path, "", SPAN_NONE);

	see(v, &r);
	check(r.status == 204 || r.status == 404);
	v->state = v->state == STATE_OPEN ? STATE_NONE : v->state;
	reply_done(&r);
}

static void ask_elsewhere(struct visit *v)
{
	static const char *const methods[] = {"HEAD", "PATCH", "DELETE", "GET", "PUT"};
	char text[TEXT_MAX + 1], *path;
	unsigned method = take(v) % ARRAY_SIZE(methods);

	take_text(v, text);
	text[strcspn(text, " ?#%")] = '\0';
	path = xasprintf("/upload-ajax/%s", text);
	struct reply r = ask(v->f, methods[method], path, "", SPAN_NONE);

	check(r.status == 404 || r.status == 400 || r.status == 405);
	reply_done(&r);
	free(path);
}

static void step(struct visit *v)
{
	static void (*const steps[])(struct visit * v) = {send_piece, send_piece,    ask_offset,
							  create,     break_off,     send_piece,
							  cancel,     send_nonsense, ask_elsewhere};
	unsigned i = take(v) % ARRAY_SIZE(steps);

	if (v->state == STATE_NONE && steps[i] != ask_elsewhere) {
		create(v);
	} else {
		steps[i](v);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const options[] = {"{}", "{\"disable_text\": true}",
					      "{\"max_submission\": 300}", "{\"quota\": 300}"};
	struct visit v = {.input = span_of((const char *)data, n), .body = BUF_INIT};
	char file[400];
	void *world;

	memset(file, 'x', sizeof(file));
	setup(&world);
	v.f = world;
	start(v.f, options[take(&v) % ARRAY_SIZE(options)]);
	add_part(&v.body, FILE_A, span_of(file, take(&v) * sizeof(file) / 255));
	add_part(&v.body, TEXT, SPAN("hello"));
	add_end(&v.body);
	for (int i = 0; i < STEPS_MAX && v.input.n; i++) {
		step(&v);
	}
	stop(v.f);
	/* More than were thanked: whose answer was cut off. */
	check(v.f->submissions >= v.thanked);
	buf_done(&v.body);
	teardown(&world);
	return 0;
}
