/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looking into a request. */
#include "http/req.h"

#include "http/conn.h"

struct span http_req_field(const struct http_req *req, struct span name)
{
	for (size_t i = 0; i < req->n_fields; i++) {
		if (span_eq_ci(req->fields[i].name, name)) {
			return req->fields[i].value;
		}
	}
	return SPAN_NONE;
}

unsigned http_req_count(const struct http_req *req, struct span name)
{
	unsigned n = 0;

	for (size_t i = 0; i < req->n_fields; i++) {
		n += span_eq_ci(req->fields[i].name, name);
	}
	return n;
}

/* Two authorities with the default port left out or written. */
static bool same_host(struct span a, struct span b)
{
	struct span name_a, name_b;
	int port_a, port_b;

	if (http_host_split(a, &name_a, &port_a) < 0 || http_host_split(b, &name_b, &port_b) < 0) {
		return false;
	}
	return span_eq_ci(name_a, name_b) &&
	       (port_a < 0 ? 80 : port_a) == (port_b < 0 ? 80 : port_b);
}

static bool is_foreign_origin(struct span origin, struct span host)
{
	static const struct span scheme = SPAN("http://");

	if (span_eq(origin, SPAN("null"))) {
		return false;
	}
	return !span_starts(origin, scheme) || !same_host(span_from(origin, scheme.n), host);
}

bool http_req_cross_site(const struct http_req *req)
{
	const struct http_exchange *x =
		(const void *)((const char *)req - offsetof(struct http_exchange, req));

	for (size_t i = 0; i < req->n_fields; i++) {
		const struct http_field *f = &req->fields[i];

		if (span_eq_ci(f->name, SPAN("Sec-Fetch-Site")) &&
		    span_eq_ci(f->value, SPAN("cross-site"))) {
			return true;
		}
		if (span_eq_ci(f->name, SPAN("Origin")) &&
		    is_foreign_origin(f->value, x->head.authority)) {
			return true;
		}
	}
	return false;
}
