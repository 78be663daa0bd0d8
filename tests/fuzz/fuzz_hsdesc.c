/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Descriptors as tor hands them out: what is read of one has sense, and so has its age. */
#include <stdlib.h>

#include "tor/hsdesc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct hsdesc d;
	int64_t from, to;

	if (hsdesc_parse(span_of((const char *)data, n), &d) < 0) {
		return 0;
	}
	check(d.lifetime >= 1800 && d.lifetime <= 43200 && d.revision <= INT64_MAX);
	check(d.expires >= 0 && d.expires % 3600 == 0);
	for (int maker = HSDESC_TOR; maker <= HSDESC_ONIONBALANCE; maker++) {
		if (hsdesc_published(&d, (enum hsdesc_maker)maker, INT64_C(1800000000), &from,
				     &to)) {
			check(from <= to && to - from <= 3600 && to <= INT64_C(1800000000));
		}
	}
	return 0;
}
