/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of entity tags, and the tag they are compared with: before and behind the first LF. */
#include <stdlib.h>

#include "http/cond.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span rest = span_of((const char *)data, n), list = span_cut(&rest, '\n');
	struct span etag = rest.p && http_cond_is_etag(rest, false) ? rest : SPAN("\"tag\"");

	/* What matches strongly matches weakly too, and a tag matches itself. */
	if (http_cond_list_matches(list, etag, true) &&
	    !http_cond_list_matches(list, etag, false)) {
		abort();
	}
	if (!http_cond_list_matches(etag, etag, true) || !http_cond_if_range(etag, etag)) {
		abort();
	}
	if (http_cond_if_range(list, etag) && !span_eq(list, etag)) {
		abort();
	}
	return 0;
}
