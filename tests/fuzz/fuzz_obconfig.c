/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Configurations of Onionbalance: what is taken out of one are addresses, each once. */
#include <stdlib.h>
#include <string.h>

#include "client/move/obconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct obconfig c = {.n = 0};
	struct error err = ERROR_INIT;
	char name[ONION_NAME_LEN + 1];
	int r = obconfig_read(span_of((const char *)data, n), &c, &err);

	check((r < 0) == (err.text != NULL));
	check(c.n <= OBCONFIG_BACKENDS_MAX && (r < 0 || c.n > 0));
	for (size_t i = 0; i < c.n; i++) {
		check(onion_parse(span_str(c.backends[i]), name, NULL) == 0);
		for (size_t k = 0; k < i; k++) {
			check(strcmp(c.backends[k], c.backends[i]) != 0);
		}
	}
	error_done(&err);
	return 0;
}
