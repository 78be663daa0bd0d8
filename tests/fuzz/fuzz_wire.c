/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A stream of Varlink messages: framing, however it is cut, and both parsers.
 * What was understood must be understood again when it is written anew.
 */
#include <stdint.h>
#include <stdlib.h>

#include "proto/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

/* message: what a parser has taken. */
static void write_and_read(const json_t *message)
{
	struct buf b = BUF_INIT;

	if (wire_add(&b, message) == 0) {
		check(b.len > 0 && b.p[b.len - 1] == '\0');
		json_t *again = wire_parse_json(span_of(b.p, b.len - 1), NULL);

		check(again && json_equal(again, message));
		json_decref(again);
	}
	buf_done(&b);
}

static void parse(struct span s)
{
	struct error err = ERROR_INIT;
	struct wire_call call;
	struct wire_reply reply;

	if (wire_parse_call(s, &call, &err) == 0) {
		check(call.interface.n + 1 + call.method.n == strlen(call.name));
		check(!call.params || json_is_object(call.params));
		write_and_read(call.message);
		wire_call_done(&call);
	} else {
		check(err.text);
	}
	if (wire_parse_reply(s, &reply, &err) == 0) {
		write_and_read(reply.message);
		wire_reply_done(&reply);
	}
	error_done(&err);
}

/* The messages of a stream that comes in pieces of a size; returns their bytes and number. */
static size_t read_stream(const uint8_t *data, size_t n, size_t piece, bool and_parse)
{
	struct wire_reader r = WIRE_READER_INIT;
	struct span s;
	size_t sum = 0;

	for (size_t at = 0; at < n; at += piece) {
		size_t len = n - at < piece ? n - at : piece;

		check(wire_reader_feed(&r, data + at, len) == 0);
		while (wire_reader_next(&r, &s)) {
			sum += s.n + 1;
			if (and_parse) {
				parse(s);
			}
		}
	}
	check(wire_reader_empty(&r) == (sum == n));
	wire_reader_done(&r);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n > 65536) {
		return 0;
	}
	size_t sum = read_stream(data, n, n ? n : 1, true);

	check(read_stream(data, n, 1, false) == sum);
	check(read_stream(data, n, 7, false) == sum);
	return 0;
}
