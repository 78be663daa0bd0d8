/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One submission, from the head of its request to the answer:
 *
 *	ADMIT -> READ -> SETTLE -> INTEND -> COMMIT -> FINISH -> OVER
 *	any before COMMIT: refused, or the visitor is gone -> DISCARD -> OVER
 *
 * ADMIT asks the disk for room before the first byte is read. READ cuts the body into
 * records (inbox.h) that the pool writes while more come in. SETTLE waits for the
 * disk, INTEND and FINISH for the host's database, COMMIT for the renames.
 * From INTEND on it goes to its end, whether or not the visitor waits.
 *
 * One job runs at a time. Records stand in chunks: one that is being written, one
 * that fills meanwhile; then the visitor has to wait. While nothing comes, no
 * chunk is held.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ev/bufpool.h"
#include "http/multipart.h"
#include "mode/receive.h"
#include "mode/safename.h"
#include "proto/base/alloc.h"

/* What one reading of the socket may become at once, about; see chunk_new. */
#define PIECE_MAX (64u * 1024)
#define ROOM_MIN  (PIECE_MAX + 4096)
/* A boundary, names of fields: what a body has beside content that counts. */
#define FRAMING_SLACK (64u * 1024)
/* A full dropbox is measured anew that often, for files that its owner took out. */
#define MEASURE_MS 2000

enum step {
	UPLOAD_ADMIT,
	UPLOAD_READ,
	UPLOAD_SETTLE,
	UPLOAD_INTEND,
	UPLOAD_COMMIT,
	UPLOAD_FINISH,
	UPLOAD_DISCARD,
	UPLOAD_OVER,
};

enum refusal {
	REFUSED_MALFORMED,
	REFUSED_NOTHING,
	REFUSED_FILES,
	REFUSED_TEXT,
	REFUSED_TOO_LARGE,
	REFUSED_TOO_MANY,
	REFUSED_FULL,
	REFUSED_FAILED,
};

static const struct {
	int status;
	const char *text; /* NULL: form_nothing */
} refusals[] = {
	[REFUSED_MALFORMED] = {400, "The submission could not be understood"},
	[REFUSED_NOTHING] = {200, NULL},
	[REFUSED_FILES] = {403, "File uploads are not allowed"},
	[REFUSED_TEXT] = {403, "Messages are not allowed"},
	[REFUSED_TOO_LARGE] = {413, "The submission is larger than is accepted here. "
				    "Please send less at once."},
	[REFUSED_TOO_MANY] = {413, "Too many files at once. Please send them in several "
				   "submissions, or in one archive."},
	[REFUSED_FULL] = {507, "There is no room for this submission at the moment; nothing of it "
			       "was kept. Please try again later, or send less."},
	[REFUSED_FAILED] = {500, "Error uploading, please inform the OnionShare user"},
};

enum part {
	PART_OTHER, /* nothing that counts */
	PART_FILE,
	PART_TEXT,
};

struct chunk {
	struct list link; /* of upload->full */
	bool pooled;
	bool syncs; /* a file ends in it: takes as long as the disk does */
	size_t n, cap;
	char *p;
};

struct upload {
	struct receive *r;
	struct http_req *req; /* NULL: gone */
	bool ajax, answered;
	enum step step;
	uint64_t id;       /* the transfer */
	bool reported;     /* as begun */
	uint64_t received; /* bytes of the body */
	uint64_t coming;   /* our part of r->coming */

	/* the body */
	struct multipart mp;
	enum part part;
	bool open;           /* the part's first record was written */
	struct buf raw_name; /* of the file */
	struct names *names;
	struct buf shown; /* "a.txt, b.txt" */
	unsigned files;
	bool message;
	/* the text */
	uint64_t chars, text_bytes;
	bool after_cr, nonblank;

	/* to the disk */
	struct chunk *cur;
	size_t tail; /* where the last record begins in cur, if that is data; SIZE_MAX: none */
	struct list full;
	unsigned chunks; /* cur, full and the one in the job */
	bool paused, ended;
	struct inbox_sub *sub;

	struct job job;
	bool busy;       /* the job runs, or the host is to answer */
	enum step doing; /* what the job does */
	bool discarded;
	/* the job's inputs and outputs */
	struct chunk *writing;
	uint64_t expected; /* bytes, for ADMIT */
	bool measure;
	uint64_t measured;
	int64_t when_us;
	int result;
	struct inbox_place place;
	int64_t intent;
};

static void advance(struct upload *u);

/* --- chunks --- */

/* At least room for n. One that finds the pool empty takes its own memory, and then waits. */
static struct chunk *chunk_new(struct upload *u, size_t n)
{
	struct chunk *c = xnew(struct chunk);

	list_init(&c->link);
	if (u->chunks < 2 && n <= BUFPOOL_BUFFER_SIZE) {
		c->p = bufpool_get(u->r->ev->bufs);
	}
	c->pooled = c->p != NULL;
	c->cap = c->pooled ? BUFPOOL_BUFFER_SIZE : n > ROOM_MIN ? n : ROOM_MIN;
	if (!c->p) {
		c->p = xmalloc(c->cap);
	}
	u->chunks++;
	return c;
}

static void chunk_free(struct upload *u, struct chunk *c)
{
	if (!c) {
		return;
	}
	list_remove(&c->link);
	if (c->pooled) {
		bufpool_put(u->r->ev->bufs, c->p);
	} else {
		free(c->p);
	}
	free(c);
	u->chunks--;
}

static void drop_chunks(struct upload *u)
{
	chunk_free(u, take_ptr(u->cur));
	while (!list_empty(&u->full)) {
		chunk_free(u, list_entry(u->full.next, struct chunk, link));
	}
}

static void close_chunk(struct upload *u)
{
	if (u->cur) {
		list_append(&u->full, &u->cur->link);
		u->cur = NULL;
		u->tail = SIZE_MAX;
	}
}

static char *reserve(struct upload *u, size_t n)
{
	if (u->cur && u->cur->cap - u->cur->n < n) {
		close_chunk(u);
	}
	if (!u->cur) {
		u->cur = chunk_new(u, n);
	}
	char *p = u->cur->p + u->cur->n;

	u->cur->n += n;
	return p;
}

static void add_record(struct upload *u, enum inbox_record_type type, struct span payload)
{
	const struct inbox_record rec = {.type = type, .n = (uint32_t)payload.n};
	char *p = reserve(u, sizeof(rec) + payload.n);

	memcpy(p, &rec, sizeof(rec));
	if (payload.n) {
		memcpy(p + sizeof(rec), payload.p, payload.n);
	}
	u->cur->syncs |= type == INBOX_END;
	u->tail = type == INBOX_DATA ? (size_t)(p - u->cur->p) : SIZE_MAX;
}

/* Behind other data it needs no record of its own. */
static void add_data(struct upload *u, struct span data)
{
	while (data.n) {
		size_t n = data.n < PIECE_MAX ? data.n : PIECE_MAX;

		if (u->cur && u->tail != SIZE_MAX && u->cur->cap - u->cur->n >= n) {
			struct inbox_record rec;

			memcpy(&rec, u->cur->p + u->tail, sizeof(rec));
			rec.n += (uint32_t)n;
			memcpy(u->cur->p + u->tail, &rec, sizeof(rec));
			memcpy(reserve(u, n), data.p, n);
		} else {
			add_record(u, INBOX_DATA, span_of(data.p, n));
		}
		data = span_from(data, n);
	}
}

/* --- jobs --- */

static void job_run(struct job *job)
{
	struct upload *u = container_of(job, struct upload, job);
	const struct inbox *inbox = u->r->inbox;

	switch (u->doing) {
	case UPLOAD_ADMIT:
		u->result = inbox_room(inbox, u->expected, 3);
		if (u->measure && inbox_usage(inbox, &u->measured) < 0) {
			u->measure = false;
		}
		break;
	case UPLOAD_READ:
		u->result = inbox_sub_write(u->sub, span_of(u->writing->p, u->writing->n));
		break;
	case UPLOAD_SETTLE:
		u->result = inbox_sub_settle(u->sub, u->when_us, &u->place);
		break;
	case UPLOAD_COMMIT:
		u->result = inbox_sub_commit(u->sub);
		break;
	case UPLOAD_DISCARD:
		inbox_sub_discard(u->sub);
		break;
	case UPLOAD_INTEND:
	case UPLOAD_FINISH:
	case UPLOAD_OVER:
		break;
	}
}

static void job_done(struct job *job)
{
	struct upload *u = container_of(job, struct upload, job);

	u->busy = false;
	u->discarded |= u->doing == UPLOAD_DISCARD;
	chunk_free(u, take_ptr(u->writing));
	advance(u);
}

static void submit(struct upload *u, enum work_lane lane)
{
	u->busy = true;
	u->doing = u->step;
	work_submit(u->r->ev->work, lane, &u->job, job_run, job_done);
}

static void write_next(struct upload *u)
{
	if (u->busy || u->step != UPLOAD_READ) {
		return;
	}
	if (list_empty(&u->full)) {
		close_chunk(u);
	}
	if (list_empty(&u->full)) {
		return;
	}
	u->writing = list_entry(u->full.next, struct chunk, link);
	list_remove(&u->writing->link);
	submit(u, u->writing->syncs ? WORK_SLOW : WORK_FAST);
}

/* --- answering --- */

static void respond_json(struct upload *u, int status, const char *kind, struct span text)
{
	json_t *o = json_pack("{s: [s%]}", kind, text.p, text.n);
	char *dump = json_dumps(o, JSON_COMPACT);
	struct http_resp resp;

	http_resp_init(&resp, u->req, status);
	http_resp_field(&resp, "Cache-Control", "no-store");
	http_respond_text(u->req, &resp, "application/json", span_str(dump));
	free(dump);
	json_decref(o);
}

static void respond_redirect(struct upload *u, struct span text, bool is_error)
{
	char token[FLASH_TOKEN_LEN + 1];
	struct http_resp resp;

	flashes_put(u->r->flashes, ev_now_ms(u->r->ev), text, is_error, token);
	http_resp_init(&resp, u->req, 303);
	http_resp_field(&resp, "Location", "/?result=%s", token);
	http_resp_field(&resp, "Cache-Control", "no-store");
	http_respond(u->req, &resp, http_body_none());
}

static void answer(struct upload *u, int status, struct span text, bool is_error)
{
	if (!u->req || u->answered) {
		return;
	}
	u->answered = true;
	if (u->ajax) {
		respond_json(u, status, is_error ? "error_flashes" : "info_flashes", text);
	} else if (status == 200) {
		respond_redirect(u, text, is_error);
	} else {
		receive_respond_page(u->r, u->req, status, text, is_error);
	}
}

static void report(struct upload *u, enum mode_transfer_phase phase)
{
	const struct mode_host *h = &u->r->host;

	if (phase == MODE_TRANSFER_STARTED) {
		u->id = h->transfer_id(h->ud);
		u->reported = true;
	}
	if (u->reported) {
		h->transfer(h->ud, u->id, phase, false, u->received,
			    u->req ? u->req->content_length : HTTP_LENGTH_UNKNOWN, NULL);
	}
	if (phase == MODE_TRANSFER_COMPLETED || phase == MODE_TRANSFER_CANCELLED) {
		u->reported = false;
	}
}

/* Nothing of it will be kept. Before INTEND only. */
static void give_up(struct upload *u)
{
	report(u, MODE_TRANSFER_CANCELLED);
	u->step = UPLOAD_DISCARD;
	drop_chunks(u);
	u->r->coming -= u->coming;
	u->coming = 0;
}

/* Answers and gives up; -ECANCELED for those who stop by it. */
static int refuse(struct upload *u, enum refusal why)
{
	const char *text = refusals[why].text;

	answer(u, refusals[why].status, span_str(text ? text : form_nothing(u->r->text)), true);
	give_up(u);
	return -ECANCELED;
}

static enum refusal refusal_of(int error)
{
	switch (error) {
	case -ENOSPC:
	case -EDQUOT:
		return REFUSED_FULL;
	case -EFBIG:
		return REFUSED_TOO_LARGE;
	default:
		return REFUSED_FAILED;
	}
}

/* --- what the form holds --- */

static int begin_file(struct upload *u)
{
	struct buf name = BUF_INIT;

	if (!u->r->files) {
		return refuse(u, REFUSED_FILES);
	}
	safename_apart(&name, u->names, buf_span(&u->raw_name));
	buf_printf(&u->shown, "%s%s", u->files ? ", " : "", name.p);
	add_record(u, INBOX_FILE, buf_span(&name));
	buf_done(&name);
	u->files++;
	u->open = true;
	return 0;
}

static int on_part(void *ud, const struct multipart_part *part)
{
	struct upload *u = ud;

	u->open = u->nonblank = u->after_cr = false;
	u->chars = u->text_bytes = 0;
	u->part = span_eq(part->name, SPAN("file[]")) ? PART_FILE
		  : span_eq(part->name, SPAN("text")) ? PART_TEXT
						      : PART_OTHER;
	if (u->part != PART_FILE) {
		return 0;
	}
	buf_clear(&u->raw_name);
	buf_add_span(&u->raw_name, part->filename);
	/* An input that was left empty has no name, and no bytes will come. */
	return part->filename.n ? begin_file(u) : 0;
}

static bool is_blank(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!strchr(" \t\r\n\v\f", s.p[i]) || !s.p[i]) {
			return false;
		}
	}
	return true;
}

/* Characters of UTF-8; CR LF is one, as it is for browsers when they count. */
static void count_chars(struct upload *u, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = (uint8_t)s.p[i];

		u->chars += (c & 0xc0) != 0x80 && !(c == '\n' && u->after_cr);
		u->after_cr = c == '\r';
	}
}

static int on_text(struct upload *u, struct span bytes)
{
	bool blank = is_blank(bytes);

	if (!u->r->text) {
		return blank ? 0 : refuse(u, REFUSED_TEXT);
	}
	if (!blank && !u->nonblank && u->message) {
		return refuse(u, REFUSED_MALFORMED); /* two messages: which one? */
	}
	if (u->message && blank && !u->open) {
		return 0;
	}
	count_chars(u, bytes);
	u->text_bytes += bytes.n;
	u->nonblank |= !blank;
	/* The bytes too: in what is no UTF-8 there may be no characters to count. */
	if (u->chars > FORM_TEXT_MAX || u->text_bytes > 4 * (uint64_t)FORM_TEXT_MAX) {
		return refuse(u, REFUSED_NOTHING);
	}
	if (!u->open) {
		add_record(u, INBOX_MESSAGE, SPAN_NONE);
		u->open = true;
	}
	add_data(u, bytes);
	return 0;
}

static int count_bytes(struct upload *u, size_t n)
{
	struct receive *r = u->r;

	if (n > r->max_submission || u->coming > r->max_submission - n) {
		return refuse(u, REFUSED_TOO_LARGE);
	}
	if (receive_over_quota(r, n)) {
		r->full = true;
		return refuse(u, REFUSED_FULL);
	}
	u->coming += n;
	r->coming += n;
	return 0;
}

static int on_data(void *ud, struct span bytes)
{
	struct upload *u = ud;
	int r = u->part == PART_OTHER ? 0 : count_bytes(u, bytes.n);

	if (r < 0 || u->part == PART_OTHER) {
		return r;
	}
	if (u->part == PART_TEXT) {
		return on_text(u, bytes);
	}
	if (!u->open) {
		r = begin_file(u);
	}
	if (r == 0) {
		add_data(u, bytes);
	}
	return r;
}

static int on_part_end(void *ud)
{
	struct upload *u = ud;

	if (!u->open) {
		return 0;
	}
	u->open = false;
	if (u->part == PART_TEXT && !u->nonblank) {
		add_record(u, INBOX_DROP, SPAN_NONE);
		return 0;
	}
	u->message |= u->part == PART_TEXT;
	add_record(u, INBOX_END, SPAN_NONE);
	return 0;
}

static const struct multipart_ops form_ops = {on_part, on_data, on_part_end};

/* --- the body --- */

/* Is there a place for what the next reading brings? */
static bool has_room(struct upload *u)
{
	if (!u->cur && u->chunks < 2 && list_empty(&u->full)) {
		return true;
	}
	return u->cur && u->cur->cap - u->cur->n >= ROOM_MIN;
}

static int on_bytes(void *ud, struct span bytes)
{
	struct upload *u = ud;

	if (u->step != UPLOAD_READ) {
		return -ECANCELED;
	}
	u->received += bytes.n;
	int r = multipart_feed(&u->mp, bytes);

	if (u->step == UPLOAD_READ && r < 0) {
		refuse(u, r == -E2BIG ? REFUSED_TOO_MANY : REFUSED_MALFORMED);
	}
	if (u->step != UPLOAD_READ) {
		advance(u);
		return -ECANCELED;
	}
	report(u, MODE_TRANSFER_PROGRESS);
	write_next(u);
	if (has_room(u)) {
		return 0;
	}
	u->paused = true;
	return HTTP_SINK_PAUSE;
}

static void on_body_end(void *ud)
{
	struct upload *u = ud;

	if (u->step != UPLOAD_READ) {
		return;
	}
	u->ended = true;
	if (multipart_finish(&u->mp) < 0) {
		refuse(u, REFUSED_MALFORMED);
	} else if (!u->files && !u->message) {
		refuse(u, REFUSED_NOTHING);
	}
	advance(u);
}

static const struct http_sink_ops sink = {.data = on_bytes, .end = on_body_end};

static void resume(struct upload *u)
{
	if (u->paused && u->req && has_room(u)) {
		u->paused = false;
		http_req_resume(u->req);
	}
}

/* --- steps --- */

static void on_intended(void *ud, const struct error *err, int64_t id)
{
	struct upload *u = ud;

	u->busy = false;
	u->intent = id;
	u->result = err ? -EIO : 0;
	advance(u);
}

static void on_finished(void *ud, const struct error *err)
{
	struct upload *u = ud;

	u->busy = false;
	(void)err; /* it is where it belongs; at the next start that is found out again */
	advance(u);
}

static void intend(struct upload *u)
{
	const struct mode_intent intent = {.staging = u->place.staging,
					   .day = u->place.day,
					   .stamp = u->place.stamp};
	const struct mode_host *h = &u->r->host;

	u->busy = true;
	h->inbox_intend(h->ud, &intent, on_intended, u);
}

static void finish(struct upload *u)
{
	const struct mode_host *h = &u->r->host;

	u->busy = true;
	h->inbox_finish(h->ud, u->intent, on_finished, u);
}

static void thank(struct upload *u)
{
	struct buf text = BUF_INIT;

	form_success(&text, buf_span(&u->shown), u->files, u->message);
	answer(u, 200, buf_span(&text), false);
	buf_wipe(&text);
	report(u, MODE_TRANSFER_COMPLETED);
}

/* Told before it is finished: what the host notes down of it is noted when that is over. */
static void tell(struct upload *u)
{
	const struct mode_host *h = &u->r->host;

	h->submission(h->ud, (uint64_t)inbox_sub_number(u->sub), u->files, u->message);
}

static void upload_free(struct upload *u)
{
	struct receive *r = u->r;

	multipart_done(&u->mp);
	buf_done(&u->raw_name);
	buf_wipe(&u->shown);
	names_free(u->names);
	inbox_sub_free(u->sub);
	free(u);
	r->active--;
	receive_user_done(r);
}

/* The request may outlive what we do with it, and the other way round. */
static void over(struct upload *u)
{
	u->step = UPLOAD_OVER;
	if (!u->req) {
		upload_free(u);
	}
}

static void admitted(struct upload *u)
{
	struct receive *r = u->r;

	if (u->measure) {
		r->full = false;
		r->used = u->measured;
		r->measured_ms = ev_now_ms(r->ev);
	}
	if (u->result < 0 || (u->expected && receive_over_quota(r, u->expected))) {
		refuse(u, u->result < 0 ? refusal_of(u->result) : REFUSED_FULL);
		return;
	}
	u->step = UPLOAD_READ;
	report(u, MODE_TRANSFER_STARTED);
	http_req_read(u->req, &sink, u);
}

static void written(struct upload *u)
{
	if (u->result < 0) {
		refuse(u, refusal_of(u->result));
		return;
	}
	write_next(u);
	if (u->busy || !u->ended) {
		resume(u);
		return;
	}
	u->step = UPLOAD_SETTLE;
	u->when_us = receive_next_us(u->r);
	submit(u, WORK_SLOW);
}

/* Moved, or not: what was written down is settled either way. */
static void committed(struct upload *u)
{
	if (u->result < 0) {
		answer(u, refusals[REFUSED_FAILED].status, span_str(refusals[REFUSED_FAILED].text),
		       true);
	} else {
		u->r->used += u->coming;
		tell(u);
	}
	u->r->coming -= u->coming;
	u->coming = 0;
	u->step = UPLOAD_FINISH;
	finish(u);
}

static void settled(struct upload *u)
{
	if (u->result < 0) {
		refuse(u, refusal_of(u->result));
	} else {
		u->step = UPLOAD_INTEND;
		intend(u);
	}
}

static void intended(struct upload *u)
{
	if (u->result < 0) {
		refuse(u, REFUSED_FAILED);
	} else {
		u->step = UPLOAD_COMMIT;
		submit(u, WORK_SLOW);
	}
}

/* True: it was given up, which is to be done yet. Else u may be gone. */
static bool step(struct upload *u)
{
	switch (u->step) {
	case UPLOAD_ADMIT:
		admitted(u);
		break;
	case UPLOAD_READ:
		written(u);
		break;
	case UPLOAD_SETTLE:
		settled(u);
		break;
	case UPLOAD_INTEND:
		intended(u);
		break;
	case UPLOAD_COMMIT:
		committed(u);
		break;
	case UPLOAD_FINISH:
		if (u->result == 0) {
			thank(u);
			over(u);
			return false;
		}
		give_up(u);
		break;
	case UPLOAD_DISCARD:
	case UPLOAD_OVER:
		break;
	}
	return u->step == UPLOAD_DISCARD;
}

static void advance(struct upload *u)
{
	if (u->busy) {
		return;
	}
	if (u->step != UPLOAD_DISCARD && !step(u)) {
		return;
	}
	if (u->discarded) {
		over(u);
	} else {
		submit(u, WORK_FAST);
	}
}

/* --- the request --- */

static void on_done(void *ud)
{
	struct upload *u = ud;

	u->req = NULL;
	if (u->step == UPLOAD_OVER) {
		upload_free(u);
	}
}

static void on_abort(void *ud)
{
	struct upload *u = ud;

	u->req = NULL;
	if (u->step == UPLOAD_OVER) {
		upload_free(u);
	} else if (u->step == UPLOAD_ADMIT || u->step == UPLOAD_READ || u->step == UPLOAD_SETTLE) {
		give_up(u);
		advance(u);
	}
}

static const struct http_observer observer = {.done = on_done, .abort = on_abort};

/* Refused by its head alone; u is not there yet. */
static void refuse_head(struct receive *r, struct http_req *req, bool ajax, enum refusal why)
{
	struct upload u = {.r = r, .req = req, .ajax = ajax};

	answer(&u, refusals[why].status, span_str(refusals[why].text), true);
}

/* The largest body that may hold what is accepted. */
static uint64_t body_max(const struct receive *r)
{
	uint64_t content = r->files ? UINT64_MAX : 4 * (uint64_t)FORM_TEXT_MAX;

	content = r->max_submission < content ? r->max_submission : content;
	return content > UINT64_MAX - FRAMING_SLACK ? UINT64_MAX : content + FRAMING_SLACK;
}

/* Bytes of content that a body of that length has at least; 0: not known. */
static uint64_t expected_content(const struct http_req *req)
{
	return req->content_length == HTTP_LENGTH_UNKNOWN || req->content_length < FRAMING_SLACK
		       ? 0
		       : req->content_length - FRAMING_SLACK;
}

static void begin(struct receive *r, struct http_req *req, bool ajax,
		  const struct multipart_boundary *boundary)
{
	struct upload *u = xnew(struct upload);

	u->r = r;
	u->req = req;
	u->ajax = ajax;
	u->tail = SIZE_MAX;
	u->names = names_new(4);
	u->sub = inbox_sub_new(r->inbox);
	list_init(&u->full);
	multipart_init(&u->mp, boundary, RECEIVE_PARTS_MAX, &form_ops, u);
	r->users++;
	r->active++;
	http_req_observe(req, &observer, u);
	u->expected = expected_content(req);
	u->measure = (r->full || receive_over_quota(r, u->expected + 1)) &&
		     ev_now_ms(r->ev) - r->measured_ms >= MEASURE_MS;
	submit(u, u->measure ? WORK_SLOW : WORK_FAST);
}

void upload_request(struct receive *r, struct http_req *req, bool ajax)
{
	struct multipart_boundary boundary;

	if (http_req_cross_site(req)) {
		http_respond_error(req, 403);
	} else if (http_req_count(req, SPAN("Content-Type")) != 1 ||
		   multipart_boundary(http_req_field(req, SPAN("Content-Type")), &boundary) < 0) {
		refuse_head(r, req, ajax, REFUSED_MALFORMED);
	} else if (req->content_length != HTTP_LENGTH_UNKNOWN &&
		   req->content_length > body_max(r)) {
		refuse_head(r, req, ajax, REFUSED_TOO_LARGE);
	} else {
		begin(r, req, ajax, &boundary);
	}
}
