/* SPDX-License-Identifier: GPL-3.0-or-later */
/* May a service be a backend of an Onionbalance, as far as this daemon and its tor go? */
#include <errno.h>
#include <string.h>

#include "svc/registry.h"

static int invalid(struct error *err, const char *why)
{
	return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "backend_of", why, "backend_of: %s",
			      why);
}

int service_check_backend(const struct manager *m, const json_t *options, const char *onion,
			  struct error *err)
{
	const char *text = json_string_value(json_object_get(options, "backend_of"));
	char name[ONION_NAME_LEN + 1];
	struct error why = ERROR_INIT;

	if (!text || onion_parse(span_str(text), name, NULL) < 0) {
		return 0; /* none, or refused already */
	}
	if (onion && strcmp(onion, name) == 0) {
		return invalid(err, "is the service's own address: the frontend has another one");
	}
	if (!m->tor) {
		return invalid(err, "needs Tor, and this daemon runs with --local-only");
	}
	if (tor_check_backends(m->tor, &why) < 0) {
		invalid(err, error_text(&why));
		error_done(&why);
		return -EINVAL;
	}
	return 0;
}
