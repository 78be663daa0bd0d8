/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/range.h"

#include <errno.h>

#include "http/server.h"

/* Digits of any number; what does not fit counts as the largest. */
static int parse_position(struct span s, uint64_t *ret)
{
	int r = span_u64(s, UINT64_MAX, ret);

	if (r == -ERANGE) {
		*ret = UINT64_MAX;
		return 0;
	}
	return r;
}

struct spec {
	bool suffix;
	uint64_t first; /* suffix: how many bytes */
	uint64_t last;
};

static int parse_spec(struct span s, struct spec *ret)
{
	struct span rest = s, first = span_cut(&rest, '-');

	if (!rest.p) {
		return -EINVAL;
	}
	*ret = (struct spec){.suffix = first.n == 0, .last = UINT64_MAX};
	if (ret->suffix) {
		return parse_position(rest, &ret->first);
	}
	if (parse_position(first, &ret->first) < 0 ||
	    (rest.n && parse_position(rest, &ret->last) < 0) || ret->last < ret->first) {
		return -EINVAL;
	}
	return 0;
}

static enum http_range_result resolve(const struct spec *spec, uint64_t length,
				      uint64_t *ret_offset, uint64_t *ret_length)
{
	uint64_t n;

	if (spec->suffix) {
		n = spec->first < length ? spec->first : length;
		if (spec->first == 0) {
			return HTTP_RANGE_UNSATISFIABLE;
		}
		if (n == 0) {
			return HTTP_RANGE_WHOLE; /* the last bytes of nothing: Content-Range has no
						    words for it */
		}
		*ret_offset = length - n;
		*ret_length = n;
		return HTTP_RANGE_PART;
	}
	if (spec->first >= length) {
		return HTTP_RANGE_UNSATISFIABLE;
	}
	n = length - spec->first;
	if (spec->last - spec->first < n) {
		n = spec->last - spec->first + 1;
	}
	*ret_offset = spec->first;
	*ret_length = n;
	return HTTP_RANGE_PART;
}

enum http_range_result http_range_parse(struct span value, uint64_t length, uint64_t *ret_offset,
					uint64_t *ret_length)
{
	struct span rest = value, unit = span_cut(&rest, '=');
	struct spec spec;
	unsigned count = 0;

	if (!rest.p || !span_eq_ci(unit, SPAN("bytes"))) {
		return HTTP_RANGE_WHOLE;
	}
	while (rest.p) {
		struct span item = span_trim(span_cut(&rest, ','));

		if (item.n == 0) {
			continue;
		}
		if (++count > 1 || parse_spec(item, &spec) < 0) {
			return HTTP_RANGE_WHOLE;
		}
	}
	return count ? resolve(&spec, length, ret_offset, ret_length) : HTTP_RANGE_WHOLE;
}
