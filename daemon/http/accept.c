/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/accept.h"

#define UNSAID  UINT32_MAX
#define FULL    1000u
#define MINIMUM 1u /* the least that can be said, but not refused */

/* qvalue (RFC 9110 section 12.4.2): 0, 0.123, 1, 1.000. */
static bool parse_weight(struct span s, unsigned *ret)
{
	unsigned scale = 100, value = 0;

	if (s.n < 1 || s.n > 5 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.')) {
		return false;
	}
	value = s.p[0] == '1' ? FULL : 0;
	for (size_t i = 2; i < s.n; i++, scale /= 10) {
		if (s.p[i] < '0' || s.p[i] > '9') {
			return false;
		}
		value += (unsigned)(s.p[i] - '0') * scale;
	}
	*ret = value;
	return value <= FULL;
}

/* One element: a coding and perhaps ";q=". */
static bool parse_element(struct span element, struct span *ret_name, unsigned *ret_weight)
{
	struct span rest = element;

	*ret_name = span_trim(span_cut(&rest, ';'));
	*ret_weight = FULL;
	while (rest.p) {
		struct span value = span_trim(span_cut(&rest, ';')), name = span_cut(&value, '=');

		if (span_eq_ci(span_trim(name), SPAN("q")) &&
		    (!value.p || !parse_weight(span_trim(value), ret_weight))) {
			return false;
		}
	}
	return ret_name->n > 0;
}

static void note(struct http_accept *a, unsigned *others, struct span name, unsigned weight)
{
	if (span_eq_ci(name, SPAN("br"))) {
		a->weight[HTTP_CODING_BR] = weight;
	} else if (span_eq_ci(name, SPAN("gzip")) || span_eq_ci(name, SPAN("x-gzip"))) {
		a->weight[HTTP_CODING_GZIP] = weight;
	} else if (span_eq_ci(name, SPAN("identity"))) {
		a->weight[HTTP_CODING_NONE] = weight;
	} else if (span_eq(name, SPAN("*"))) {
		*others = weight;
	}
}

static void read_list(struct http_accept *a, unsigned *others, struct span value)
{
	while (value.p) {
		struct span name, element = span_trim(span_cut(&value, ','));
		unsigned weight;

		if (element.n && parse_element(element, &name, &weight)) {
			note(a, others, name, weight);
		}
	}
}

/* What was not said. */
static void settle(struct http_accept *a, unsigned others)
{
	for (int i = 0; i < HTTP_CODINGS; i++) {
		if (a->weight[i] != UNSAID) {
			continue;
		}
		if (i != HTTP_CODING_NONE) {
			a->weight[i] = others == UNSAID ? 0 : others;
		} else {
			a->weight[i] = others == 0 ? 0 : MINIMUM;
		}
	}
}

static const struct http_accept nothing_said = {{UNSAID, UNSAID, UNSAID}};

struct http_accept http_accept_parse(struct span value)
{
	struct http_accept a = nothing_said;
	unsigned others = UNSAID;

	read_list(&a, &others, value);
	settle(&a, others);
	return a;
}

struct http_accept http_accept_of(const struct http_req *req)
{
	struct http_accept a = nothing_said;
	unsigned others = UNSAID;

	for (size_t i = 0; i < req->n_fields; i++) {
		if (span_eq_ci(req->fields[i].name, SPAN("Accept-Encoding"))) {
			read_list(&a, &others, req->fields[i].value);
		}
	}
	settle(&a, others);
	return a;
}

bool http_accept_has(const struct http_accept *a, enum http_coding coding)
{
	return a->weight[coding] > 0 && a->weight[coding] >= a->weight[HTTP_CODING_NONE];
}

const char *http_coding_name(enum http_coding coding)
{
	switch (coding) {
	case HTTP_CODING_BR:
		return "br";
	case HTTP_CODING_GZIP:
		return "gzip";
	case HTTP_CODING_NONE:
		break;
	}
	return NULL;
}
