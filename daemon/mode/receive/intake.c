/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 *	ADMIT -> READ -> SETTLE -> INTEND -> COMMIT -> FINISH -> OVER
 *	any before COMMIT: refused or cancelled -> DISCARD -> OVER
 *
 * ADMIT asks the disk for room before the first byte is taken. READ makes the body
 * into records (fields.h) that the pool writes while more come in. SETTLE waits for
 * the disk, INTEND and FINISH for the host's database, COMMIT for the renames.
 * From INTEND on it goes to its end, whether or not anybody waits. One job runs at
 * a time.
 */
#include "mode/receive/intake.h"

#include <errno.h>
#include <stdlib.h>

#include "mode/receive/fields.h"
#include "mode/receive/records.h"
#include "mode/receive/resumable.h"
#include "proto/base/alloc.h"

/* A full dropbox is measured anew that often, for files that its owner took out. */
#define MEASURE_MS 2000

enum step {
	INTAKE_ADMIT,
	INTAKE_READ,
	INTAKE_SETTLE,
	INTAKE_INTEND,
	INTAKE_COMMIT,
	INTAKE_FINISH,
	INTAKE_DISCARD,
	INTAKE_OVER,
};

struct intake {
	struct receive *r;
	const struct intake_ops *ops;
	void *ud;
	enum step step;
	uint64_t id;       /* the transfer */
	bool reported;     /* as begun */
	uint64_t total;    /* bytes of the body; HTTP_LENGTH_UNKNOWN */
	uint64_t received; /* of them */
	uint64_t coming;   /* our part of r->coming */
	bool parked, active;
	bool waiting; /* for room, outside */
	bool ended;
	struct fields fields;
	struct records records;
	struct inbox_sub *sub;

	struct job job;
	bool busy;       /* the job runs, or the host is to answer */
	enum step doing; /* what the job does */
	bool discarded;
	/* the job's inputs and outputs */
	struct records_chunk *writing;
	uint64_t expected; /* bytes, for ADMIT */
	bool measure;
	uint64_t measured, arrived_before;
	int64_t when_us;
	int result;
	struct inbox_place place;
	int64_t intent;
};

static void advance(struct intake *in);

/* --- jobs --- */

static void job_run(struct job *job)
{
	struct intake *in = container_of(job, struct intake, job);
	const struct inbox *inbox = in->r->inbox;

	switch (in->doing) {
	case INTAKE_ADMIT:
		in->result = inbox_room(inbox, in->expected, 3);
		if (in->measure && inbox_usage(inbox, &in->measured) < 0) {
			in->measure = false;
		}
		break;
	case INTAKE_READ:
		in->result = inbox_sub_write(in->sub, span_of(in->writing->p, in->writing->n));
		break;
	case INTAKE_SETTLE:
		in->result = inbox_sub_settle(in->sub, in->when_us, &in->place);
		break;
	case INTAKE_COMMIT:
		in->result = inbox_sub_commit(in->sub);
		break;
	case INTAKE_DISCARD:
		inbox_sub_discard(in->sub);
		break;
	case INTAKE_INTEND:
	case INTAKE_FINISH:
	case INTAKE_OVER:
		break;
	}
}

static void job_done(struct job *job)
{
	struct intake *in = container_of(job, struct intake, job);

	in->busy = false;
	in->discarded |= in->doing == INTAKE_DISCARD;
	records_give_back(&in->records, take_ptr(in->writing));
	advance(in);
}

static void submit(struct intake *in, enum work_lane lane)
{
	in->busy = true;
	in->doing = in->step;
	work_submit(in->r->ev->work, lane, &in->job, job_run, job_done);
}

static void write_next(struct intake *in)
{
	if (in->busy || in->step != INTAKE_READ) {
		return;
	}
	in->writing = records_take(&in->records);
	if (in->writing) {
		submit(in, in->writing->syncs ? WORK_SLOW : WORK_FAST);
	}
}

/* --- telling --- */

static void count_active(struct intake *in)
{
	bool idle = in->parked && !in->ended && in->step <= INTAKE_READ;
	bool active = !idle && in->step != INTAKE_OVER;

	if (active != in->active) {
		in->active = active;
		in->r->active += active ? 1u : -1u;
	}
}

static void report(struct intake *in, enum mode_transfer_phase phase)
{
	const struct mode_host *h = &in->r->host;

	if (phase == MODE_TRANSFER_STARTED) {
		in->id = h->transfer_id(h->ud);
		in->reported = true;
	}
	if (in->reported) {
		h->transfer(h->ud, in->id, phase, false, in->received, in->total, NULL);
	}
	if (phase == MODE_TRANSFER_COMPLETED || phase == MODE_TRANSFER_CANCELLED) {
		in->reported = false;
	}
}

static void stop_counting(struct intake *in)
{
	in->r->coming -= in->coming;
	in->coming = 0;
}

/* Nothing of it will be kept. Before COMMIT only. */
static void give_up(struct intake *in)
{
	report(in, MODE_TRANSFER_CANCELLED);
	in->step = INTAKE_DISCARD;
	records_drop(&in->records);
	stop_counting(in);
	count_active(in);
}

static void tell_refusal(struct intake *in, enum refusal why)
{
	in->ops->result(in->ud, why, span_str(refusal_text(why, in->r->text)));
}

static void refuse(struct intake *in, enum refusal why)
{
	give_up(in);
	tell_refusal(in, why);
}

static void refuse_for(struct intake *in, int error)
{
	enum refusal why = refusal_of(error);

	if (why == REFUSED_FULL) {
		resumables_make_room(in->r->resumables); /* for who comes next */
	}
	if (why == REFUSED_FAILED || why == REFUSED_UNWRITABLE) {
		receive_tell_trouble(in->r, error);
	}
	refuse(in, why);
}

/* --- the body --- */

/* What stands still does not keep out who comes. */
static bool over_quota(struct receive *r, uint64_t more)
{
	bool over = receive_over_quota(r, more) &&
		    (!resumables_make_room(r->resumables) || receive_over_quota(r, more));

	r->full |= over;
	return over;
}

static enum refusal count_bytes(void *ud, size_t n)
{
	struct intake *in = ud;
	struct receive *r = in->r;

	if (n > r->max_submission || in->coming > r->max_submission - n) {
		return REFUSED_TOO_LARGE;
	}
	if (over_quota(r, n)) {
		return REFUSED_FULL;
	}
	in->coming += n;
	r->coming += n;
	return REFUSED_NOT;
}

bool intake_wants(struct intake *in)
{
	bool wants = in->step == INTAKE_READ && records_have_room(&in->records);

	in->waiting = !wants;
	return wants;
}

int intake_feed(struct intake *in, struct span bytes)
{
	if (in->step != INTAKE_READ || in->ended) {
		return -ECANCELED;
	}
	enum refusal why = bytes.n > in->total - in->received ? REFUSED_MALFORMED
							      : fields_feed(&in->fields, bytes);

	if (why != REFUSED_NOT) {
		refuse(in, why);
		advance(in);
		return -ECANCELED;
	}
	in->received += bytes.n;
	report(in, MODE_TRANSFER_PROGRESS);
	write_next(in);
	return intake_wants(in) ? 0 : HTTP_SINK_PAUSE;
}

void intake_end(struct intake *in)
{
	if (in->step != INTAKE_READ || in->ended) {
		return;
	}
	in->ended = true;
	enum refusal why = in->total != HTTP_LENGTH_UNKNOWN && in->received != in->total
				   ? REFUSED_MALFORMED
				   : fields_end(&in->fields);

	if (why != REFUSED_NOT) {
		refuse(in, why);
	}
	advance(in);
}

static void ask_for_more(struct intake *in)
{
	if (in->waiting && !in->ended && intake_wants(in)) {
		in->ops->more(in->ud);
	}
}

/* --- steps --- */

static void on_intended(void *ud, const struct error *err, int64_t id)
{
	struct intake *in = ud;

	in->busy = false;
	in->intent = id;
	in->result = err ? -EIO : 0;
	advance(in);
}

static void on_finished(void *ud, const struct error *err)
{
	struct intake *in = ud;

	in->busy = false;
	(void)err; /* it is where it belongs; at the next start that is found out again */
	advance(in);
}

static void intend(struct intake *in)
{
	const struct mode_intent intent = {.staging = in->place.staging,
					   .day = in->place.day,
					   .stamp = in->place.stamp};
	const struct mode_host *h = &in->r->host;

	in->busy = true;
	h->inbox_intend(h->ud, &intent, on_intended, in);
}

static void finish(struct intake *in)
{
	const struct mode_host *h = &in->r->host;

	in->busy = true;
	h->inbox_finish(h->ud, in->intent, on_finished, in);
}

static void thank(struct intake *in)
{
	struct buf text = BUF_INIT;

	form_success(&text, buf_span(&in->fields.shown), in->fields.files, in->fields.message);
	in->ops->result(in->ud, REFUSED_NOT, buf_span(&text));
	buf_wipe(&text);
	report(in, MODE_TRANSFER_COMPLETED);
}

/* Told before it is finished: what the host notes down of it is noted when that is over. */
static void tell(struct intake *in)
{
	const struct mode_host *h = &in->r->host;

	h->submission(h->ud, (uint64_t)inbox_sub_number(in->sub), in->fields.files,
		      in->fields.message);
}

static void over(struct intake *in)
{
	struct receive *r = in->r;

	in->step = INTAKE_OVER;
	count_active(in);
	in->ops->over(in->ud);
	fields_done(&in->fields);
	inbox_sub_free(in->sub);
	free(in);
	receive_user_done(r);
}

static void admitted(struct intake *in)
{
	struct receive *r = in->r;

	if (in->measure) {
		receive_measured(r, in->measured, in->arrived_before);
	}
	if (in->result < 0 || (in->expected && over_quota(r, in->expected))) {
		refuse_for(in, in->result < 0 ? in->result : -ENOSPC);
		return;
	}
	in->step = INTAKE_READ;
	report(in, MODE_TRANSFER_STARTED);
	ask_for_more(in);
}

static void written(struct intake *in)
{
	if (in->result < 0) {
		refuse_for(in, in->result);
		return;
	}
	write_next(in);
	if (in->busy || !in->ended) {
		ask_for_more(in);
		return;
	}
	in->step = INTAKE_SETTLE;
	count_active(in);
	in->when_us = receive_next_us(in->r);
	submit(in, WORK_SLOW);
}

/* Moved, or not: what was written down is settled either way. */
static void committed(struct intake *in)
{
	receive_tell_trouble(in->r, in->result);
	if (in->result < 0) {
		tell_refusal(in, REFUSED_FAILED);
	} else {
		receive_count(in->r, inbox_sub_size(in->sub));
		tell(in);
	}
	stop_counting(in);
	in->step = INTAKE_FINISH;
	finish(in);
}

/* What is sealed takes up more than what came, and how much more is known only now. */
static bool fits_quota(struct intake *in)
{
	uint64_t size = inbox_sub_size(in->sub);
	uint64_t more = size > in->coming ? size - in->coming : 0;

	if (over_quota(in->r, more)) {
		return false;
	}
	in->coming += more;
	in->r->coming += more;
	return true;
}

static void settled(struct intake *in)
{
	if (in->result < 0) {
		refuse_for(in, in->result);
	} else if (!fits_quota(in)) {
		refuse(in, REFUSED_FULL);
	} else {
		in->step = INTAKE_INTEND;
		intend(in);
	}
}

static void intended(struct intake *in)
{
	if (in->result < 0) {
		receive_tell_trouble(in->r, in->result);
		refuse(in, REFUSED_FAILED);
	} else {
		in->step = INTAKE_COMMIT;
		submit(in, WORK_SLOW);
	}
}

/* True: it was given up, which is to be done yet. Else it may be gone. */
static bool step(struct intake *in)
{
	switch (in->step) {
	case INTAKE_ADMIT:
		admitted(in);
		break;
	case INTAKE_READ:
		written(in);
		break;
	case INTAKE_SETTLE:
		settled(in);
		break;
	case INTAKE_INTEND:
		intended(in);
		break;
	case INTAKE_COMMIT:
		committed(in);
		break;
	case INTAKE_FINISH:
		if (in->result == 0) {
			thank(in);
			over(in);
			return false;
		}
		give_up(in);
		break;
	case INTAKE_DISCARD:
	case INTAKE_OVER:
		break;
	}
	return in->step == INTAKE_DISCARD;
}

static void advance(struct intake *in)
{
	if (in->busy) {
		return;
	}
	if (in->step != INTAKE_DISCARD && !step(in)) {
		return;
	}
	if (in->busy) {
		return; /* cancelled from within a callback, which went on at once */
	}
	if (in->discarded) {
		over(in);
	} else {
		submit(in, WORK_FAST);
	}
}

/* --- from outside --- */

/* Bytes on the disk that a body of that length comes to at least; 0: not known. */
static uint64_t expected_size(const struct receive *r, uint64_t total)
{
	return total == HTTP_LENGTH_UNKNOWN || total < RECEIVE_FRAMING_SLACK
		       ? 0
		       : inbox_least_size(r->inbox, total - RECEIVE_FRAMING_SLACK);
}

struct intake *intake_new(struct receive *r, const struct multipart_boundary *boundary,
			  uint64_t total, const struct intake_ops *ops, void *ud)
{
	struct intake *in = xnew(struct intake);
	const struct fields_config config = {.files = r->files,
					     .text = r->text,
					     .taken = inbox_seals(r->inbox)
							      ? SPAN(INBOX_MESSAGE_NAME)
							      : SPAN_NONE,
					     .count = count_bytes,
					     .ud = in};

	in->r = r;
	in->ops = ops;
	in->ud = ud;
	in->total = total;
	in->waiting = true;
	in->sub = inbox_sub_new(r->inbox);
	records_init(&in->records, r->ev->bufs, inbox_seals(r->inbox));
	fields_init(&in->fields, boundary, &config, &in->records);
	r->users++;
	count_active(in);
	in->expected = expected_size(r, total);
	in->measure = (r->full || receive_over_quota(r, in->expected + 1)) &&
		      ev_now_ms(r->ev) - r->measured_ms >= MEASURE_MS;
	in->arrived_before = r->arrived;
	submit(in, in->measure ? WORK_SLOW : WORK_FAST);
	return in;
}

bool intake_cancel(struct intake *in)
{
	if (in->step > INTAKE_SETTLE) {
		return false;
	}
	give_up(in);
	advance(in);
	return true;
}

void intake_park(struct intake *in, bool parked)
{
	in->parked = parked;
	count_active(in);
}

uint64_t intake_received(const struct intake *in)
{
	return in->received;
}
