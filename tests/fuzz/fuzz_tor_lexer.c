/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a control port may send, whole and in pieces: both ways of cutting must
 * give the same replies, and everything that reads inside of lines is run over them.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "tor/lexer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_line(const struct ctl_line *line)
{
	static const char *const keys[] = {"ServiceID", "COOKIEFILE", "SUMMARY", "METHODS"};
	struct span rest = line->text, word, value;

	while (ctl_next_word(&rest, &word)) {
		struct buf b = BUF_INIT;

		assert(word.n > 0);
		(void)ctl_decode(word, &b);
		buf_done(&b);
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		value = ctl_value(line->text, keys[i]);
		if (value.p) {
			struct buf b = BUF_INIT;

			(void)ctl_decode(value, &b);
			buf_done(&b);
		}
	}
}

static void digest(const struct ctl_reply *r, struct buf *log)
{
	struct span value;

	assert(r->n > 0 && r->code < 1000);
	buf_printf(log, "%u %zu\n", r->code, r->n);
	for (size_t i = 0; i < r->n; i++) {
		read_line(&r->lines[i]);
		buf_add_span(log, r->lines[i].text);
		buf_add_span(log, r->lines[i].data);
	}
	(void)ctl_getinfo(r, "version", &value);
}

/* What comes out of the bytes, step at a time; the verdict last. */
static void run(struct span input, size_t step, struct buf *log)
{
	struct ctl_lexer l;
	const struct ctl_reply *reply;
	int r = 0;

	ctl_lexer_init(&l);
	while (input.n && r >= 0) {
		size_t n = input.n < step ? input.n : step;
		struct span piece = span_of(input.p, n);

		while ((r = ctl_lexer_feed(&l, &piece, &reply)) > 0) {
			digest(reply, log);
		}
		input = span_from(input, n);
	}
	buf_printf(log, "end %d\n", r);
	ctl_lexer_done(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span input = span_of((const char *)data, size);
	struct buf whole = BUF_INIT, bytes = BUF_INIT;

	run(input, size ? size : 1, &whole);
	run(input, 1, &bytes);
	assert(span_eq(buf_span(&whole), buf_span(&bytes)));
	buf_done(&whole);
	buf_done(&bytes);
	return 0;
}
