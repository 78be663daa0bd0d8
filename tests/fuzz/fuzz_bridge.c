/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bridge lines: what is taken is one line of harmless characters, printed so that it
 * is read again as the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/bridge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

static void check_line(const char *line)
{
	struct buf again = BUF_INIT;
	struct bridge b;

	check(strlen(line) <= BRIDGE_LINE_MAX);
	for (const char *p = line; *p; p++) {
		check(*p >= ' ' && *p <= '~' && !strchr("\"#\\", *p));
	}
	check(bridge_parse(span_str(line), &b, NULL) == 0);
	bridge_print(&b, &again);
	check(strcmp(again.p, line) == 0);
	check(!b.transport || b.fingerprint.n == 40);
	check(b.transport || b.args.n == 0);
	buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct bridges all = BRIDGES_INIT;
	struct error err = ERROR_INIT;
	struct span text = span_of((const char *)data, n);
	int r = bridges_add_text(&all, text, &err);

	check(r == 0 || err.text);
	for (size_t i = 0; i < all.n; i++) {
		check_line(all.lines[i]);
	}
	bridges_done(&all);
	error_done(&err);
	return 0;
}
