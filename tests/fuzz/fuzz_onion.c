/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Onion addresses: what is taken has one form, and is read from that again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/onion.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char name[ONION_NAME_LEN + 1], again[ONION_NAME_LEN + 1];
	struct error err = ERROR_INIT;

	if (onion_parse(span_of((const char *)data, n), name, &err) < 0) {
		check(*error_text(&err));
		error_done(&err);
		return 0;
	}
	check(strlen(name) == ONION_NAME_LEN);
	check(onion_parse(span_str(name), again, &err) == 0 && strcmp(name, again) == 0);
	return 0;
}
