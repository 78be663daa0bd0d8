/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whatever a visitor calls a file: the name is safe, and safe names stay as they are. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "mode/receive/safename.h"
#include "proto/base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct span name)
{
	assert(name.n > 0 && name.n <= SAFENAME_MAX);
	assert(name.p[0] != '.' && name.p[0] != '-');
	assert(!memchr(name.p, '/', name.n) && !memchr(name.p, '\\', name.n));
	while (name.n) {
		uint32_t c;
		size_t n = utf8_decode(name, &c);

		assert(n > 0 && !utf8_is_deceptive(c));
		name = span_from(name, n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span raw = span_of((const char *)data, size < 8192 ? size : 8192);
	struct buf once = BUF_INIT, twice = BUF_INIT, apart = BUF_INIT;
	struct names *set = names_new(2);

	safename(&once, raw);
	check(buf_span(&once));
	safename(&twice, buf_span(&once));
	assert(span_eq(buf_span(&once), buf_span(&twice)));
	names_add(set, buf_span(&once));
	safename_apart(&apart, set, raw);
	check(buf_span(&apart));
	assert(!span_eq(buf_span(&apart), buf_span(&once)));
	buf_done(&once);
	buf_done(&twice);
	buf_done(&apart);
	names_free(set);
	return 0;
}
