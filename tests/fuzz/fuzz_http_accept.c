/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Accept-Encoding: no weight is above one, and a coding is had only if it may be. */
#include <stdlib.h>

#include "http/accept.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct http_accept a = http_accept_parse(span_of((const char *)data, n));

	for (int i = 0; i < HTTP_CODINGS; i++) {
		enum http_coding coding = (enum http_coding)i;

		if (a.weight[i] > 1000 ||
		    (http_accept_has(&a, coding) &&
		     (!a.weight[i] || a.weight[i] < a.weight[HTTP_CODING_NONE]))) {
			abort();
		}
	}
	return 0;
}
