/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a client may send behind the handshake, twice: all bytes at once, and in
 * pieces whose sizes the first byte gives. Both must be answered alike, what is
 * written must be frames, and what is heard must be UTF-8.
 */
#include <stdlib.h>

#include "tests/lib/ws_mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

static void echo(struct ws_mem *m)
{
	check(utf8_valid(buf_span(&m->heard)));
	check(m->heard.len <= m->limits.message);
	check(m->closed == 0);
	ws_mem_say(m, buf_span(&m->heard));
}

static void check_output(struct ws_mem *m)
{
	struct ws_mem_frame_seen seen = {0};

	while (ws_mem_next(m, &seen) == 1) {
		check(seen.first == 0x81 || seen.first == 0x8a || seen.first == 0x88);
		check(seen.first == 0x81 || seen.payload.n <= WS_MAX_CONTROL);
	}
	check(m->out_at == m->io.out.len);
	check((seen.first == 0x88) == (m->closed == 1));
}

static void visit(struct span bytes, size_t step, struct buf *ret)
{
	struct ws_mem m;
	size_t begin;

	ws_mem_open(&m);
	m.on_text = echo;
	m.limits.message = 5000; /* beyond wslay's buffer, and soon reached */
	m.limits.fragments = 20;
	m.limits.control_per_second = 10000; /* no limit: it would depend on the clock */
	ws_mem_greet(&m);
	begin = m.out_at;
	for (size_t at = 0; at < bytes.n; at += step) {
		ws_mem_send(&m, span_of(bytes.p + at, bytes.n - at < step ? bytes.n - at : step));
	}
	check_output(&m);
	buf_add_span(ret, span_from(buf_span(&m.io.out), begin));
	m.io.in_end = true;
	ws_mem_run(&m);
	check(m.io.gone && m.closed == 1);
	ws_mem_close(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf whole = BUF_INIT, pieces = BUF_INIT;

	if (n < 1) {
		return 0;
	}
	struct span bytes = span_of((const char *)data + 1, n - 1);

	visit(bytes, bytes.n ? bytes.n : 1, &whole);
	visit(bytes, 1u + data[0] % 64, &pieces);
	check(span_eq(buf_span(&whole), buf_span(&pieces)));
	buf_done(&whole);
	buf_done(&pieces);
	return 0;
}
