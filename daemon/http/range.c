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

struct part {
	uint64_t offset, length; /* length at least 1 */
};

static uint64_t part_end(const struct part *p)
{
	return p->offset + p->length;
}

/* Parts that are one piece become one; what lies apart stays. */
static unsigned join(struct part *parts, unsigned n)
{
	unsigned kept = 0;

	/* Few, and in order most of the time. */
	for (unsigned i = 1; i < n; i++) {
		for (unsigned k = i; k > 0 && parts[k].offset < parts[k - 1].offset; k--) {
			struct part other = parts[k];

			parts[k] = parts[k - 1];
			parts[k - 1] = other;
		}
	}
	for (unsigned i = 1; i < n; i++) {
		struct part *last = &parts[kept];

		if (parts[i].offset > part_end(last)) {
			parts[++kept] = parts[i];
		} else if (part_end(&parts[i]) > part_end(last)) {
			last->length = part_end(&parts[i]) - last->offset;
		}
	}
	return n ? kept + 1 : 0;
}

/* The parts of a list that are there; -EINVAL: it is to be ignored. ret_asked: how many it names.
 */
static int parse_list(struct span list, uint64_t length, struct part parts[HTTP_RANGES_MAX],
		      unsigned *ret_n, unsigned *ret_asked)
{
	struct span rest = list;
	struct spec spec;

	*ret_n = *ret_asked = 0;
	while (rest.p) {
		struct span item = span_trim(span_cut(&rest, ','));
		struct part *p = &parts[*ret_n];

		if (item.n == 0) {
			continue;
		}
		if (++*ret_asked > HTTP_RANGES_MAX || parse_spec(item, &spec) < 0) {
			return -EINVAL;
		}
		switch (resolve(&spec, length, &p->offset, &p->length)) {
		case HTTP_RANGE_WHOLE:
			return -EINVAL;
		case HTTP_RANGE_PART:
			++*ret_n;
			break;
		case HTTP_RANGE_UNSATISFIABLE:
			break;
		}
	}
	return 0;
}

enum http_range_result http_range_parse(struct span value, uint64_t length, uint64_t *ret_offset,
					uint64_t *ret_length)
{
	struct span rest = value, unit = span_cut(&rest, '=');
	struct part parts[HTTP_RANGES_MAX];
	unsigned n, asked;

	if (!rest.p || !span_eq_ci(unit, SPAN("bytes")) ||
	    parse_list(rest, length, parts, &n, &asked) < 0 || asked == 0) {
		return HTTP_RANGE_WHOLE;
	}
	if (n == 0) {
		return HTTP_RANGE_UNSATISFIABLE;
	}
	if (join(parts, n) > 1) {
		return HTTP_RANGE_WHOLE;
	}
	*ret_offset = parts[0].offset;
	*ret_length = parts[0].length;
	return HTTP_RANGE_PART;
}
