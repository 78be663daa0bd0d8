/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sizes, durations, times: what is read and printed is read again as the same. */
#include <stdint.h>
#include <stdlib.h>

#include "proto/units.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span s = span_of((const char *)data, n);
	uint64_t u, again;
	int64_t ms, ms_again;
	char text[UNITS_DURATION_TEXT > UNITS_TIME_TEXT ? UNITS_DURATION_TEXT : UNITS_TIME_TEXT];

	if (units_parse_size(s, &u) == 0) {
		check(strlen(units_print_size(u, text)) < UNITS_SIZE_TEXT);
	}
	if (units_parse_duration(s, &u) == 0) {
		check(units_parse_duration(span_str(units_print_duration(u, text)), &again) == 0);
		check(u == again);
	}
	if (units_parse_time(s, &ms) == 0) {
		check(ms >= 0 && ms <= UNITS_TIME_MAX_MS);
		check(units_parse_time(span_str(units_print_time(ms, text)), &ms_again) == 0);
		check(ms_again == ms - ms % 1000);
	}
	if (units_is_name(s)) {
		check(n >= 1 && n <= SERVICE_NAME_MAX && !memchr(data, '/', n));
	}
	return 0;
}
