/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of what is handed over: what is taken stays within the release, whatever it is. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "svc/handover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct error err = ERROR_INIT;
	struct span rest = span_of((const char *)data, n);
	unsigned parts = 0;

	if (handover_check_name(rest, &err) < 0) {
		check(err.code != 0);
		error_done(&err);
		return 0;
	}
	check(n <= HANDOVER_MAX_PATH && !memchr(data, '\0', n) && data[0] >= '0' && data[0] <= '9');
	while (rest.n) {
		struct span part = span_cut(&rest, '/');

		check(part.n > 0 && part.n <= 255 && !span_eq(part, SPAN(".")) &&
		      !span_eq(part, SPAN("..")));
		parts++;
	}
	check(parts <= HANDOVER_MAX_LEVELS);
	return 0;
}
