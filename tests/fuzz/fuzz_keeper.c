/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What tor's user is asked for: names that stay in its directory, and frontends that are keys. */
#include <stdlib.h>
#include <string.h>

#include "proto/base/onion.h"
#include "tor/keeper.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct hsfiles f = {0};
	enum keeper_op op;
	char name[ONION_NAME_LEN + 1];

	if (keeper_parse(span_of((const char *)data, n), &op, &f) < 0) {
		check(!f.entries);
		return 0;
	}
	check(op == KEEPER_WRITE || op == KEEPER_SWEEP);
	check(f.n <= HSFILES_MAX);
	for (size_t i = 0; i < f.n; i++) {
		const struct hsfiles_entry *e = &f.entries[i];

		check(strspn(e->address, "abcdefghijklmnopqrstuvwxyz234567") == ONION_ADDRESS_LEN);
		check(onion_parse(span_str(e->frontend), name, NULL) == 0 &&
		      strcmp(name, e->frontend) == 0);
	}
	hsfiles_done(&f);
	return 0;
}
