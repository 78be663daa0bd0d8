/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a share keeps in the database comes back as bytes that nobody vouches for. */
#include <stdlib.h>

#include "http/content/zipsum.h"
#include "mode/files/coverage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool holds)
{
	if (!holds) {
		abort();
	}
}

static void try_sums(struct span bytes)
{
	struct zip_sums a, b;
	struct buf again = BUF_INIT;

	zip_sums_init(&a, 300);
	zip_sums_init(&b, 300);
	for (size_t block = 0; block < 2; block++) {
		if (zip_sums_decode(&a, block, bytes) < 0) {
			continue;
		}
		buf_clear(&again);
		zip_sums_encode(&a, block, &again);
		must(zip_sums_decode(&b, block, buf_span(&again)) == 0);
		for (size_t i = block * ZIP_SUM_BLOCK; i < (block + 1) * ZIP_SUM_BLOCK && i < 300;
		     i++) {
			uint32_t x, y;

			must(zip_sums_get(&a, i, &x) == zip_sums_get(&b, i, &y) && x == y);
		}
	}
	zip_sums_done(&a);
	zip_sums_done(&b);
	buf_done(&again);
}

static void try_coverage(struct span bytes)
{
	struct coverage c = {0};
	struct buf again = BUF_INIT;

	if (coverage_decode(&c, bytes) == 0) {
		must(c.n == bytes.n / 16);
		coverage_encode(&c, &again);
		must(span_eq(buf_span(&again), bytes));
		coverage_add(&c, 10, 1000);
		must(coverage_bytes(&c) >= 990);
	}
	coverage_done(&c);
	buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span bytes = {(const char *)data, n};

	try_sums(bytes);
	try_coverage(bytes);
	return 0;
}
