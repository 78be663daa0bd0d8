/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What commands share: the connection, failures, and options turned into values. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/out.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/errors.h"
#include "proto/options.h"
#include "proto/units.h"

#define TIMEOUT_MAX_S UINT64_C(31536000)

int ctl_fail(struct error *err)
{
	int status;

	if (rpc_signal() != 0) {
		status = 128 + rpc_signal();
	} else if (err->code == RPC_NO_DAEMON) {
		status = EXIT_NO_DAEMON;
		out_failure(err);
	} else {
		status = out_failure(err);
	}
	error_done(err);
	return status;
}

int ctl_misuse(struct ctl *ctl, const char *fmt, ...)
{
	struct error err = ERROR_INIT;
	struct buf text = BUF_INIT;
	const char *name = ctl && ctl->command ? ctl->command->name : "";
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	error_set_kind(&err, EINVAL, ERROR_INVALID_VALUE, "command line", text.p,
		       "%s (onionsharectl %s%s--help)", text.p, name, name[0] ? " " : "");
	out_failure(&err);
	error_done(&err);
	buf_done(&text);
	return EXIT_USAGE;
}

/* --- the daemon --- */

int ctl_open(struct ctl *ctl, struct rpc **ret, struct error *err)
{
	enum rpc_scope scope = opt_given(&ctl->args, "system") ? RPC_SYSTEM
			       : opt_given(&ctl->args, "user") ? RPC_USER
							       : RPC_ANY;

	return rpc_open(opt_text(&ctl->args, "socket"), scope, ret, err);
}

int ctl_connect(struct ctl *ctl, struct error *err)
{
	return ctl->rpc ? 0 : ctl_open(ctl, &ctl->rpc, err);
}

int ctl_call(struct ctl *ctl, const char *method, json_t *params, json_t **ret, struct error *err)
{
	int r = ctl_connect(ctl, err);

	if (r < 0) {
		json_decref(params);
		return r;
	}
	return rpc_call(ctl->rpc, method, params, ret, err);
}

int ctl_call_fds(struct ctl *ctl, const char *method, json_t *params, const struct rpc_fds *fds,
		 json_t **ret, struct error *err)
{
	int r = ctl_connect(ctl, err);

	if (r < 0) {
		json_decref(params);
		return r;
	}
	r = rpc_send(ctl->rpc, method, params, false, fds, err);
	return r < 0 ? r : rpc_receive(ctl->rpc, RPC_FOREVER, ret, NULL, err);
}

int ctl_list(struct ctl *ctl, json_t **ret, struct error *err)
{
	return ctl_list_by(ctl, RPC_FOREVER, ret, err);
}

int ctl_list_by(struct ctl *ctl, int64_t deadline_ms, json_t **ret, struct error *err)
{
	json_t *all = json_array();
	bool continues = true;
	int r = ctl_connect(ctl, err);

	if (r == 0) {
		r = rpc_send(ctl->rpc, "List", NULL, true, NULL, err);
	}
	while (r == 0 && continues) {
		json_t *page = NULL;

		r = rpc_receive(ctl->rpc, deadline_ms, &page, &continues, err);
		json_array_extend(all, json_object_get(page, "services"));
		json_decref(page);
	}
	if (r < 0) {
		json_decref(all);
		return r;
	}
	*ret = all;
	return 0;
}

int ctl_call_and_print(struct ctl *ctl, const char *method, json_t *params, const char *member,
		       ctl_print_fn *print)
{
	struct error err = ERROR_INIT;
	json_t *reply = NULL;

	if (ctl_call(ctl, method, params, &reply, &err) < 0) {
		return ctl_fail(&err);
	}
	if (out_is_json()) {
		out_json(member ? json_object_get(reply, member) : reply);
	} else {
		print(ctl, reply);
	}
	json_decref(reply);
	return 0;
}

/* --- options --- */

int ctl_timeout(struct ctl *ctl, int64_t fallback_ms, int64_t *ret, struct error *err)
{
	const char *text = opt_text(&ctl->args, "timeout");
	const char *other = opt_text(&ctl->args, "connect-timeout");
	uint64_t seconds;

	text = text ? text : other;
	if (!text) {
		*ret = fallback_ms;
		return 0;
	}
	if (units_parse_duration(span_str(text), &seconds) < 0 || seconds == 0 ||
	    seconds > TIMEOUT_MAX_S) {
		return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "timeout",
				      "not a number of seconds",
				      "--timeout wants seconds (90) or a time like 2m30s, not %s",
				      text);
	}
	*ret = (int64_t)seconds * 1000;
	return 0;
}

static bool is_service_option(const struct ctl *ctl, const struct opt *opt)
{
	for (const struct opt *o = ctl->service_opts; o && o->name; o++) {
		if (o == opt) {
			return true;
		}
	}
	return false;
}

static int add_option(struct ctl *ctl, json_t *options, const struct opt_value *v,
		      struct error *err)
{
	const char *mode = ctl->command->mode[0] != '\0' ? ctl->command->mode : NULL;
	bool negated = false;
	const struct option *o = option_find_spelling(mode, span_str(v->opt->name), &negated);
	json_t *value = NULL;
	const json_t *before;
	int r = 0;

	if (negated) {
		value = json_false();
	} else {
		r = option_parse_text(o, v->text, &value, err);
	}
	if (r < 0) {
		return r;
	}
	before = json_object_get(options, o->name);
	if (json_is_array(value) && json_is_array(before)) {
		json_array_extend(json_object_get(options, o->name), value);
		json_decref(value);
		return 0;
	}
	if (before && json_is_boolean(value) && !json_equal(before, value)) {
		json_decref(value);
		return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, o->name, "given both ways",
				      "--%s contradicts what was given before", v->opt->name);
	}
	json_object_set_new(options, o->name, value);
	return 0;
}

int ctl_service_options(struct ctl *ctl, json_t **ret, struct error *err)
{
	json_t *options = json_object();
	int r = 0;

	for (size_t i = 0; i < ctl->args.n_values && r == 0; i++) {
		const struct opt_value *v = &ctl->args.values[i];

		if (is_service_option(ctl, v->opt)) {
			r = add_option(ctl, options, v, err);
		}
	}
	if (r == 0 && ctl->command->mode[0] != '\0') {
		r = options_validate(ctl->command->mode, options, err);
	}
	if (r < 0) {
		json_decref(options);
		return r;
	}
	*ret = options;
	return 0;
}

/* --- one after the other --- */

int ctl_for_each(struct ctl *ctl, ctl_each_fn *one)
{
	struct error err = ERROR_INIT;
	json_t *results = json_array();
	int r = 0;

	for (size_t i = 0; i < ctl->args.n_words && r == 0; i++) {
		json_t *result = NULL;

		r = one(ctl, ctl->args.words[i], &result, &err);
		if (r == 0 && result) {
			json_array_append_new(results, result);
		}
	}
	if (out_is_json() && r == 0) {
		if (ctl->args.n_words == 1 && json_array_size(results) == 1) {
			out_json(json_array_get(results, 0));
		} else {
			out_json(results);
		}
	}
	json_decref(results);
	return r < 0 ? ctl_fail(&err) : 0;
}
