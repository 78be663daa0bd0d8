/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The first line is a Content-Type, the rest a body. Whole, byte by byte and in
 * pieces whose sizes the bytes themselves decide, the same parts must come out.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "http/content/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_PARTS 8

struct seen {
	struct buf log;
	bool in_part;
};

static void log_span(struct buf *log, struct span s)
{
	if (s.p) {
		buf_printf(log, "%zu:", s.n);
		buf_add_span(log, s);
	} else {
		buf_add_str(log, "none");
	}
	buf_add_char(log, '\n');
}

static int on_begin(void *ud, const struct multipart_part *part)
{
	struct seen *seen = ud;

	assert(!seen->in_part);
	seen->in_part = true;
	log_span(&seen->log, part->name);
	log_span(&seen->log, part->filename);
	log_span(&seen->log, part->content_type);
	return 0;
}

static int on_data(void *ud, struct span bytes)
{
	struct seen *seen = ud;

	assert(seen->in_part && bytes.n > 0);
	buf_add_span(&seen->log, bytes);
	return 0;
}

static int on_end(void *ud)
{
	struct seen *seen = ud;

	assert(seen->in_part);
	seen->in_part = false;
	buf_add_str(&seen->log, "\nend\n");
	return 0;
}

/* step 0: as the bytes say. */
static void run(const struct multipart_boundary *boundary, struct span body, size_t step,
		struct buf *log)
{
	static const struct multipart_ops ops = {on_begin, on_data, on_end};
	struct seen seen = {0};
	struct multipart m;
	int r = 0;

	multipart_init(&m, boundary, MAX_PARTS, &ops, &seen);
	while (body.n && r == 0) {
		size_t n = step ? step : 1 + (uint8_t)*body.p % 37U;

		n = n < body.n ? n : body.n;
		r = multipart_feed(&m, span_of(body.p, n));
		body = span_from(body, n);
	}
	int verdict = multipart_finish(&m);

	assert(r == 0 || verdict == r);
	/* Data that came before an error may differ by what was held back. */
	if (verdict < 0) {
		buf_clear(&seen.log);
	}
	assert(verdict < 0 || !seen.in_part);
	buf_printf(&seen.log, "verdict %d, parts %u", verdict, m.parts);
	multipart_done(&m);
	*log = seen.log;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span body = span_of((const char *)data, size);
	struct span type = span_cut(&body, '\n');
	struct multipart_boundary boundary;
	struct buf whole, bytes, mixed;

	if (!body.p || multipart_boundary(type, &boundary) < 0) {
		return 0;
	}
	run(&boundary, body, body.n ? body.n : 1, &whole);
	run(&boundary, body, 1, &bytes);
	run(&boundary, body, 0, &mixed);
	assert(span_eq(buf_span(&whole), buf_span(&bytes)));
	assert(span_eq(buf_span(&whole), buf_span(&mixed)));
	buf_done(&whole);
	buf_done(&bytes);
	buf_done(&mixed);
	return 0;
}
