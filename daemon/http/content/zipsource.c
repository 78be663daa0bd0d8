/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/content/zipsource.h"

#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/fsutil.h"
#include "ev/bufpool.h"
#include "ev/work.h"
#include "proto/base/alloc.h"

/* Read at one go for a checksum alone, so that an end does not wait long. */
#define SUM_STEP (UINT64_C(32) * 1024 * 1024)
/* So many buffers in use by everybody, and reading ahead is a luxury. */
#define AHEAD_MAX_BUFFERS 64

/* The checksum of bytes [from, pos) of entry i. */
struct run {
	size_t i;
	uint64_t from, pos;
	uint32_t crc;
	bool on;
};

struct chunk {
	char *p; /* NULL: no buffer */
	size_t n;
	bool last;
};

enum resolving { /* how a missing checksum is found */
		 RESOLVE_NOT,
		 RESOLVE_RECALL,
		 RESOLVE_SUM,
};

struct zip_source {
	struct http_source src;
	struct ev *ev;
	const struct zip_layout *layout;
	struct zip_sums *sums;
	const struct zip_files_ops *ops;
	void *ud;

	/* --- the job's while one runs --- */
	struct job job;
	struct zip_cursor cursor;
	uint64_t at, end;
	int fd;
	size_t fd_entry;
	struct run run;
	struct zip_partial mark; /* known before: where run may begin anew from 0 */
	struct chunk *filling;
	bool missing; /* stopped before the part at cursor: its checksum is unknown */
	bool learned; /* something about entries from learned_from on */
	size_t learned_from;
	int error;
	struct run sum;   /* an extra reading for a checksum ... */
	uint64_t sum_end; /* ... up to here */
	char part[ZIP_PART_MAX];

	/* --- the loop's --- */
	struct chunk chunks[2];
	struct chunk *ready, *busy;
	struct bufpool_wait wait;
	bool waiting, job_runs, wanted, stopped, started;
	enum resolving resolving;
	size_t recalled_block; /* block + 1 of the last recall */
	size_t kept_entry;     /* sums up to here were given to keep */
	uint64_t kept_pos;
};

static void advance(struct zip_source *z);

/* --- on the pool --- */

static void close_file(struct zip_source *z)
{
	if (z->fd >= 0) {
		close(z->fd);
		z->fd = -1;
	}
}

static int open_file(struct zip_source *z, size_t i)
{
	if (z->fd >= 0 && z->fd_entry == i) {
		return 0;
	}
	close_file(z);
	int fd = z->ops->open(z->ud, i);

	if (fd < 0) {
		return fd;
	}
	z->fd = fd;
	z->fd_entry = i;
	return 0;
}

static void run_begin(struct zip_source *z, size_t i, uint64_t pos)
{
	uint32_t known;

	z->run = (struct run){.i = i,
			      .from = pos,
			      .pos = pos,
			      .on = !zip_sums_get(z->sums, i, &known)};
}

/* Up to here an earlier download knew the checksum from the file's first byte. */
static void run_join(struct zip_source *z)
{
	if (z->run.from && z->mark.i == z->run.i && z->mark.at == z->run.pos) {
		z->run.from = 0;
		z->run.crc = z->mark.crc;
	}
}

static void run_add(struct zip_source *z, const char *p, size_t n)
{
	if (!z->run.on) {
		return;
	}
	run_join(z);
	z->run.crc = (uint32_t)crc32_z(z->run.crc, (const Bytef *)p, n);
	z->run.pos += n;
	run_join(z);
	if (!z->learned) {
		z->learned = true;
		z->learned_from = z->run.i;
	}
	if (z->run.from == 0 && z->run.pos == z->cursor.entry.size) {
		zip_sums_set(z->sums, z->run.i, z->run.crc);
	}
}

static size_t min_size(uint64_t a, uint64_t b)
{
	return (size_t)(a < b ? a : b);
}

static int fill_data(struct zip_source *z, struct chunk *c)
{
	const struct zip_cursor *cur = &z->cursor;
	uint64_t pos = z->at - cur->at;
	size_t n = min_size(BUFPOOL_BUFFER_SIZE - c->n, cur->len - pos);

	n = min_size(n, z->end - z->at);
	if (z->run.i != cur->i || z->run.pos != pos || !z->run.on) {
		run_begin(z, cur->i, pos);
	}
	if (z->mark.i == cur->i && z->mark.at > pos) {
		n = min_size(n, z->mark.at - pos);
	}
	int r = open_file(z, cur->i);

	if (r == 0) {
		r = fs_pread_all(z->fd, c->p + c->n, n, pos); /* -ENODATA: it shrank */
	}
	if (r == 0) {
		r = z->ops->check(z->ud, cur->i, z->fd);
	}
	if (r < 0) {
		return r;
	}
	run_add(z, c->p + c->n, n);
	c->n += n;
	z->at += n;
	return 0;
}

/* false: its checksum is missing */
static bool fill_part(struct zip_source *z, struct chunk *c)
{
	const struct zip_cursor *cur = &z->cursor;
	uint64_t pos = z->at - cur->at;
	size_t n = min_size(BUFPOOL_BUFFER_SIZE - c->n, cur->len - pos);
	uint32_t crc = 0;

	if (zip_needs_crc(cur) && !zip_sums_get(z->sums, cur->i, &crc)) {
		return false;
	}
	n = min_size(n, z->end - z->at);
	zip_render(z->layout, cur, crc, z->part);
	memcpy(c->p + c->n, z->part + pos, n);
	c->n += n;
	z->at += n;
	return true;
}

static void fill(struct job *job)
{
	struct zip_source *z = container_of(job, struct zip_source, job);
	struct chunk *c = z->filling;
	struct zip_cursor *cur = &z->cursor;

	z->missing = false;
	while (c->n < BUFPOOL_BUFFER_SIZE && z->at < z->end) {
		if (z->at == cur->at + cur->len) {
			zip_next(z->layout, cur);
		}
		/* Empty files too are looked at: they may have grown. */
		if (cur->part == ZIP_LOCAL && !cur->entry.directory) {
			z->error = open_file(z, cur->i);
		} else if (cur->part == ZIP_CENTRAL) {
			close_file(z);
		}
		if (z->error == 0 && cur->part == ZIP_DATA) {
			z->error = fill_data(z, c);
		} else if (z->error == 0 && !fill_part(z, c)) {
			z->missing = true;
			return;
		}
		if (z->error < 0) {
			return;
		}
	}
	c->last = z->at == z->end;
}

/* Reads a file, or the part of it that did not pass by, for its checksum. */
static void sum(struct job *job)
{
	struct zip_source *z = container_of(job, struct zip_source, job);
	struct run *s = &z->sum;
	uint64_t stop = s->pos + SUM_STEP < z->sum_end ? s->pos + SUM_STEP : z->sum_end;
	char *buffer = z->filling->p;

	z->error = open_file(z, s->i);
	while (z->error == 0 && s->pos < stop) {
		size_t n = min_size(BUFPOOL_BUFFER_SIZE, stop - s->pos);

		z->error = fs_pread_all(z->fd, buffer, n, s->pos);
		if (z->error == 0) {
			s->crc = (uint32_t)crc32_z(s->crc, (const Bytef *)buffer, n);
			s->pos += n;
		}
	}
	if (z->error == 0) {
		z->error = z->ops->check(z->ud, s->i, z->fd);
	}
	if (z->error < 0 || s->pos < z->sum_end) {
		return;
	}
	uint32_t crc = s->crc;

	if (z->run.on && z->run.i == s->i && z->run.from == s->pos &&
	    s->pos < z->cursor.entry.size) {
		crc = (uint32_t)crc32_combine(crc, z->run.crc, (z_off_t)(z->run.pos - z->run.from));
	}
	zip_sums_set(z->sums, s->i, crc);
}

/* --- on the loop --- */

static void remember_run(struct zip_source *z, const struct run *run)
{
	uint32_t known;

	if (run->on && run->from == 0 && run->pos && !zip_sums_get(z->sums, run->i, &known)) {
		zip_sums_set_partial(z->sums, (struct zip_partial){run->i, run->pos, run->crc});
	}
}

/* Other threads do not mark what they learn. */
static void touch_learned(struct zip_source *z)
{
	if (!z->learned) {
		return;
	}
	for (size_t b = zip_sums_block(z->learned_from); b <= zip_sums_block(z->run.i); b++) {
		zip_sums_touch(z->sums, b * ZIP_SUM_BLOCK);
	}
	z->learned = false;
}

/* What has passed since the last time may be lost at a crash: a block, or ZIP_KEEP_STEP. */
static void keep(struct zip_source *z, bool all)
{
	size_t i = z->run.i;
	bool moved = zip_sums_block(i) != zip_sums_block(z->kept_entry);
	bool far = i != z->kept_entry ? z->run.pos >= ZIP_KEEP_STEP
				      : z->run.pos - z->kept_pos >= ZIP_KEEP_STEP;

	if (!moved && !far && !all) {
		return;
	}
	remember_run(z, &z->run);
	for (size_t b = zip_sums_block(z->kept_entry); b <= zip_sums_block(i); b++) {
		z->ops->keep(z->ud, b * ZIP_SUM_BLOCK);
	}
	z->kept_entry = i;
	z->kept_pos = z->run.pos;
}

static void give_up(struct zip_source *z)
{
	bufpool_wait_cancel(&z->wait);
	for (size_t k = 0; k < ARRAY_SIZE(z->chunks); k++) {
		if (z->chunks[k].p) {
			bufpool_put(z->ev->bufs, z->chunks[k].p);
		}
	}
	close_file(z);
	if (z->started) {
		keep(z, true);
	}
	z->ops->over(z->ud, z->error);
	free(z);
}

static bool is_idle(const struct zip_source *z)
{
	return !z->job_runs && z->resolving != RESOLVE_RECALL;
}

static void fill_done(struct job *job)
{
	struct zip_source *z = container_of(job, struct zip_source, job);
	struct chunk *c = take_ptr(z->filling);

	z->job_runs = false;
	touch_learned(z);
	if (z->stopped) {
		give_up(z);
		return;
	}
	if (c->n) {
		z->ready = c;
	}
	keep(z, false);
	advance(z);
}

static void sum_submit(struct zip_source *z);

static void sum_done(struct job *job)
{
	struct zip_source *z = container_of(job, struct zip_source, job);

	z->job_runs = false;
	z->filling = NULL;
	zip_sums_touch(z->sums, z->sum.i);
	if (z->error == 0) {
		remember_run(z, &z->sum);
	}
	if (z->stopped) {
		z->ops->keep(z->ud, z->sum.i);
		give_up(z);
		return;
	}
	if (z->error == 0 && z->sum.pos < z->sum_end) {
		sum_submit(z);
		return;
	}
	z->ops->keep(z->ud, z->sum.i);
	z->resolving = RESOLVE_NOT;
	z->missing = z->error < 0;
	advance(z);
}

static struct chunk *free_chunk(struct zip_source *z)
{
	struct chunk *c = &z->chunks[0];

	if (c == z->ready || c == z->busy) {
		c = &z->chunks[1];
	}
	return c == z->ready || c == z->busy ? NULL : c;
}

/* NULL: none now. */
static struct chunk *take_buffer(struct zip_source *z)
{
	struct chunk *c = free_chunk(z);

	if (!c) {
		return NULL;
	}
	if (!c->p) {
		bool needed = !z->ready && !z->busy;

		if (!needed && bufpool_in_use(z->ev->bufs) >= AHEAD_MAX_BUFFERS) {
			return NULL;
		}
		c->p = bufpool_get(z->ev->bufs);
		if (!c->p) {
			if (needed && !z->waiting) {
				z->waiting = true;
				bufpool_wait(z->ev->bufs, &z->wait);
			}
			return NULL;
		}
	}
	c->n = 0;
	c->last = false;
	return c;
}

static void buffer_ready(struct bufpool_wait *wait)
{
	struct zip_source *z = container_of(wait, struct zip_source, wait);

	z->waiting = false;
	advance(z);
}

static void sum_submit(struct zip_source *z)
{
	z->filling = take_buffer(z);
	if (z->filling) {
		z->job_runs = true;
		work_submit(z->ev->work, WORK_SLOW, &z->job, sum, sum_done);
	}
}

/* Plans the reading that the checksum of entry i still needs. */
static void sum_begin(struct zip_source *z, size_t i)
{
	struct zip_partial p = zip_sums_partial(z->sums, i);
	bool tail = z->run.on && z->run.i == i && z->run.pos == z->cursor.entry.size;

	z->resolving = RESOLVE_SUM;
	z->sum_end = tail && p.at <= z->run.from ? z->run.from : z->cursor.entry.size;
	z->sum = (struct run){.i = i, .pos = p.at, .crc = p.crc, .on = true};
}

static void recall_done(void *ud)
{
	struct zip_source *z = ud;

	z->resolving = RESOLVE_NOT;
	if (z->stopped) {
		give_up(z);
		return;
	}
	z->mark = zip_sums_partial(z->sums, z->cursor.i);
	advance(z);
}

static void recall(struct zip_source *z)
{
	z->resolving = RESOLVE_RECALL;
	z->recalled_block = zip_sums_block(z->cursor.i) + 1;
	z->ops->recall(z->ud, z->cursor.i, recall_done, z);
}

/* The checksum of the entry at the cursor is needed and not known. */
static void resolve(struct zip_source *z)
{
	uint32_t crc;

	if (zip_sums_get(z->sums, z->cursor.i, &crc)) {
		z->missing = false; /* another download found it meanwhile */
		z->resolving = RESOLVE_NOT;
		return;
	}
	if (z->resolving == RESOLVE_NOT) {
		if (z->recalled_block != zip_sums_block(z->cursor.i) + 1) {
			recall(z);
			return;
		}
		sum_begin(z, z->cursor.i);
	}
	if (z->resolving == RESOLVE_SUM) {
		sum_submit(z);
	}
}

/* Reads on into a free buffer, if there is something to read. */
static void fill_submit(struct zip_source *z)
{
	if (z->at == z->end) {
		return;
	}
	z->filling = take_buffer(z);
	if (z->filling) {
		z->job_runs = true;
		work_submit(z->ev->work, WORK_FAST, &z->job, fill, fill_done);
	}
}

/* Does whatever can be done now. The last thing may end the source: nothing follows it. */
static void advance(struct zip_source *z)
{
	if (is_idle(z) && z->error == 0) {
		if (z->missing && !z->ready) {
			resolve(z);
		}
		if (is_idle(z) && !z->missing && z->resolving == RESOLVE_NOT) {
			fill_submit(z);
		}
	}
	if (!z->wanted) {
		return;
	}
	if (z->ready) {
		z->busy = take_ptr(z->ready);
		z->wanted = false;
		http_source_chunk(&z->src, span_of(z->busy->p, z->busy->n), z->busy->last);
	} else if (is_idle(z) && z->error < 0) { /* in this order: it is the job's while one runs */
		z->wanted = false;
		http_source_fail(&z->src, z->error);
	}
}

/* A range that begins within a file and goes beyond it: earlier downloads may help. */
static bool begins_inside(const struct zip_source *z)
{
	const struct zip_cursor *c = &z->cursor;

	return c->part == ZIP_DATA && z->at > c->at && z->end > c->at + c->len;
}

static void source_pull(struct http_source *src)
{
	struct zip_source *z = container_of(src, struct zip_source, src);

	z->wanted = true;
	z->busy = NULL;
	if (!z->started) {
		z->started = true;
		zip_seek(z->layout, &z->cursor, z->at);
		z->kept_entry = z->cursor.i < z->layout->n ? z->cursor.i : 0;
		z->run.i = z->kept_entry;
		if (begins_inside(z)) {
			recall(z);
			return;
		}
		z->mark = zip_sums_partial(z->sums, z->kept_entry);
	}
	advance(z);
}

static void source_stop(struct http_source *src)
{
	struct zip_source *z = container_of(src, struct zip_source, src);

	z->stopped = true;
	z->wanted = false;
	bufpool_wait_cancel(&z->wait);
	if (is_idle(z)) {
		give_up(z);
	}
}

static const struct http_source_ops source_ops = {
	.pull = source_pull,
	.stop = source_stop,
};

struct http_source *zip_source_new(struct ev *ev, const struct zip_layout *layout,
				   struct zip_sums *sums, const struct zip_files_ops *ops, void *ud,
				   uint64_t offset, uint64_t length)
{
	struct zip_source *z = xnew(struct zip_source);

	z->src.ops = &source_ops;
	z->ev = ev;
	z->layout = layout;
	z->sums = sums;
	z->ops = ops;
	z->ud = ud;
	z->at = offset;
	z->end = offset + length;
	z->fd = -1;
	z->mark.i = SIZE_MAX;
	bufpool_wait_init(&z->wait, buffer_ready);
	return &z->src;
}
