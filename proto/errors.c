/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/errors.h"

#include <errno.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/base/utf8.h"
#include "proto/interface.h"

struct kind {
	const char *name;
	int exit_status;
	const char *params[2]; /* "": none */
};

static const struct kind kinds[] = {
#define X(symbol, wire_name, status, p1, p2, text) {wire_name, status, {p1, p2}},
	ERROR_KINDS(X)
#undef X
};

const char *errors_name(enum error_kind kind)
{
	return kinds[kind].name;
}

int errors_exit_status(enum error_kind kind)
{
	return kinds[kind].exit_status;
}

/* A path need not be UTF-8, and an error must not vanish because of it. */
static json_t *text_value(const char *text)
{
	json_t *value = json_string(text);

	if (!value) {
		struct buf b = BUF_INIT;

		utf8_lossy(&b, span_str(text));
		value = json_stringn(b.p, b.len);
		buf_done(&b);
	}
	return value;
}

json_t *errors_to_wire(const struct error *err)
{
	const struct kind *k = &kinds[err->kind];
	_cleanup_free_ char *name = xasprintf(INTERFACE_CONTROL ".%s", k->name);
	json_t *params = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(k->params); i++) {
		if (*k->params[i]) {
			json_object_set_new(params, k->params[i],
					    text_value(err->param[i] ? err->param[i] : ""));
		}
	}
	json_object_set_new(params, "message", text_value(error_text(err)));
	return json_pack("{s:s, s:o}", "error", name, "parameters", params);
}

static const char *param(const json_t *params, const char *name)
{
	return *name ? json_string_value(json_object_get(params, name)) : NULL;
}

static int errno_of(enum error_kind kind)
{
	switch (kind) {
	case ERROR_NO_SUCH_SERVICE:
	case ERROR_NO_SUCH_SUBMISSION:
	case ERROR_NO_SUCH_KEY:
		return ENOENT;
	case ERROR_NAME_IN_USE:
		return EEXIST;
	case ERROR_INVALID_STATE:
	case ERROR_UNREACHABLE_STATE:
		return EBUSY;
	case ERROR_INVALID_VALUE:
		return EINVAL;
	case ERROR_PERMISSION_DENIED:
		return EPERM;
	case ERROR_TOR_UNAVAILABLE:
		return ENETUNREACH;
	case ERROR_TIMEOUT:
		return ETIMEDOUT;
	case ERROR_PATH_NOT_READABLE:
		return EACCES;
	case ERROR_LIMIT_EXCEEDED:
		return EMFILE;
	case ERROR_INTERNAL:
	case ERROR_STORAGE:
		return EIO;
	}
	return EIO;
}

/* Errors of Varlink itself: the daemon is another version, or the call was made by hand. */
static void from_varlink(struct span name, const json_t *params, struct error *ret)
{
	const char *message = param(params, "message");

	if (span_eq(name, SPAN("InvalidParameter"))) {
		const char *field = param(params, "parameter");

		error_set_kind(ret, EINVAL, ERROR_INVALID_VALUE, field, message,
			       message ? "%s" : "the daemon refuses the parameter %s",
			       message ? message
			       : field ? field
				       : "of the call");
	} else if (span_eq(name, SPAN("MethodNotFound")) ||
		   span_eq(name, SPAN("MethodNotImplemented"))) {
		const char *method = param(params, "method");

		error_set_kind(ret, EOPNOTSUPP, ERROR_INTERNAL, NULL, NULL,
			       "the daemon has no method %s; it may be an older version",
			       method ? method : "of this name");
	} else if (span_eq(name, SPAN("InterfaceNotFound"))) {
		error_set_kind(ret, EOPNOTSUPP, ERROR_INTERNAL, NULL, NULL,
			       "what answers at the socket has no interface %s",
			       param(params, "interface") ? param(params, "interface")
							  : INTERFACE_CONTROL);
	} else {
		error_set_kind(ret, EPROTO, ERROR_INTERNAL, NULL, NULL,
			       "the daemon refused the call: " SPAN_FMT,
			       SPAN_ARG(message ? span_str(message) : name));
	}
}

void errors_from_wire(const char *name, const json_t *params, struct error *ret)
{
	struct span full = span_str(name), last = full;
	const char *message = param(params, "message");

	for (size_t i = full.n; i-- > 0;) {
		if (full.p[i] == '.') {
			last = span_from(full, i + 1);
			break;
		}
	}
	if (span_starts(full, SPAN(INTERFACE_VARLINK "."))) {
		from_varlink(last, params, ret);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (span_eq(last, span_str(kinds[i].name))) {
			enum error_kind kind = (enum error_kind)i;

			error_set_kind(ret, errno_of(kind), kind, param(params, kinds[i].params[0]),
				       param(params, kinds[i].params[1]), "%s",
				       message ? message : kinds[i].name);
			return;
		}
	}
	error_set_kind(ret, EIO, ERROR_INTERNAL, NULL, NULL, "%s", message ? message : name);
}
