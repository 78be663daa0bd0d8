/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Anything taken for an age file: whole and byte by byte the same comes out, and
 * nothing where the header was not made for the key. The key is public; the
 * corpus was sealed for it.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/age/age.h"
#include "proto/age/bech32.h"
#include "proto/base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define IDENTITY "AGE-SECRET-KEY-13P249U0LY5VR2LJ9K3HJRNLKVMAYD59H4GRDSMAH3F2EYTXVE4DQADP03P"

static int collect(void *ud, struct span bytes)
{
	buf_add_span(ud, bytes);
	return 0;
}

static int open_with_step(const struct age_identity *identity, struct span input, size_t step,
			  struct buf *plain)
{
	struct age_open *o = age_open_new(identity, 1, collect, plain);
	int r = 0;

	while (input.n && r == 0) {
		size_t n = input.n < step ? input.n : step;

		r = age_open_write(o, span_of(input.p, n));
		input = span_from(input, n);
	}
	int verdict = age_open_finish(o);

	assert(r == 0 || verdict == r);
	age_open_free(o);
	return verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span input = span_of((const char *)data, size);
	struct buf whole = BUF_INIT, bytes = BUF_INIT;
	struct age_identity identity;
	struct age_recipient recipient;

	(void)age_parse_recipient(input, &recipient, NULL);
	(void)age_parse_identity(input, &identity, NULL);
	assert(age_parse_identity(SPAN(IDENTITY), &identity, NULL) == 0);
	int a = open_with_step(&identity, input, size ? size : 1, &whole);
	int b = open_with_step(&identity, input, 1, &bytes);

	assert(a == b && span_eq(buf_span(&whole), buf_span(&bytes)));
	buf_done(&whole);
	buf_done(&bytes);
	return 0;
}
