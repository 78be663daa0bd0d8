/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Range fields: a part always lies within the representation. */
#include <stdlib.h>

#include "http/range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const uint64_t lengths[] = {0, 1, 10, 1ull << 40, UINT64_MAX - 1};
	struct span value = span_of((const char *)data, n);

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint64_t offset, length;

		if (http_range_parse(value, lengths[i], &offset, &length) == HTTP_RANGE_PART &&
		    (length == 0 || offset >= lengths[i] || length > lengths[i] - offset)) {
			abort();
		}
	}
	return 0;
}
