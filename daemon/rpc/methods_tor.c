/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is asked about Tor beside its status: bridges, and who can be visited. */
#include <errno.h>
#include <stdlib.h>

#include "proto/base/alloc.h"
#include "rpc/methods.h"
#include "svc/balance.h"
#include "svc/check.h"

struct bridges_call {
	struct rpc_call *call; /* NULL: nobody waits any more */
	struct rpc_env *env;
};

static void bridges_gone(struct rpc_call *call)
{
	struct bridges_call *c = call->user;

	c->call = NULL;
}

static bool has_tor(struct rpc_call *call, const struct rpc_env *env)
{
	_cleanup_error_ struct error err = ERROR_INIT;

	if (env->tor) {
		return true;
	}
	error_set_kind(&err, ENOTSUP, ERROR_TOR_UNAVAILABLE, "local only", NULL,
		       "the daemon runs without Tor (--local-only)");
	rpc_reply_error(call, &err);
	return false;
}

static json_t *bridges_reply(const struct rpc_env *env)
{
	return json_pack("{s:o}", "bridges", bridging_json(env->bridging));
}

void rpc_bridges_list(struct rpc_call *call, void *ud)
{
	const struct rpc_env *env = ud;

	if (has_tor(call, env)) {
		rpc_reply(call, bridges_reply(env));
	}
}

static void on_set(void *ud, const struct error *err)
{
	struct bridges_call *c = ud;

	if (c->call && err) {
		rpc_reply_error(c->call, err);
	} else if (c->call) {
		rpc_reply(c->call, bridges_reply(c->env));
	}
	free(c);
}

static int read_lines(const struct rpc_call *call, struct bridges *ret, struct error *err)
{
	const json_t *lines = json_object_get(call->params, "bridges"), *line;
	size_t i;
	int r = 0;

	json_array_foreach (lines, i, line) {
		r = bridges_add(ret, span_of(json_string_value(line), json_string_length(line)),
				err);
		if (r < 0) {
			error_context(err, "bridge %zu", i + 1);
			return r;
		}
	}
	return 0;
}

void rpc_bridges_set(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	_cleanup_error_ struct error err = ERROR_INIT;
	struct bridges bridges = BRIDGES_INIT;

	if (!has_tor(call, env)) {
		return;
	}
	struct bridges_call *c = xnew(struct bridges_call);

	*c = (struct bridges_call){.call = call, .env = env};
	if (read_lines(call, &bridges, &err) < 0 ||
	    bridging_set(env->bridging, &bridges, on_set, c, &err) < 0) {
		free(c);
		rpc_reply_error(call, &err);
	} else {
		call->user = c;
		call->gone = bridges_gone;
	}
	bridges_done(&bridges);
}

/* --- check --- */

struct check_call {
	struct rpc_call *call;
	struct check *check;
};

static void check_gone(struct rpc_call *call)
{
	struct check_call *c = call->user;

	check_cancel(c->check);
	free(c);
}

static void on_step(void *ud, const json_t *steps, bool done, bool good)
{
	struct check_call *c = ud;
	struct rpc_call *call = c->call;
	json_t *reply;

	if (!done && !call->more) {
		return;
	}
	reply = json_pack("{s:o, s:b, s:b}", "steps", json_deep_copy(steps), "done", done, "good",
			  good);
	if (done) {
		free(c);
		rpc_reply(call, reply);
	} else {
		rpc_reply_continue(call, reply);
	}
}

void rpc_tor_check(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct service *svc = rpc_service(call, env);
	_cleanup_error_ struct error err = ERROR_INIT;

	if (!svc) {
		return; /* answered, and the call is gone */
	}
	struct check_call *c = xnew(struct check_call);

	c->call = call;
	if (check_start(env->manager, svc, on_step, c, &c->check, &err) < 0) {
		free(c);
		rpc_reply_error(call, &err);
		return;
	}
	call->user = c;
	call->gone = check_gone;
}

/* --- of an Onionbalance --- */

struct balance_call {
	struct rpc_call *call;
	struct balance_check *check;
};

static void balance_gone(struct rpc_call *call)
{
	struct balance_call *c = call->user;

	balance_cancel(c->check);
	free(c);
}

static void on_visit(void *ud, const json_t *visits, bool done, enum balance_release release)
{
	static const char *const names[] = {
		[BALANCE_SAME] = "same",
		[BALANCE_DIFFERENT] = "different",
		[BALANCE_UNKNOWN] = "unknown",
	};
	struct balance_call *c = ud;
	struct rpc_call *call = c->call;
	json_t *reply;

	if (!done && !call->more) {
		return;
	}
	reply = json_pack("{s:o, s:b, s:s}", "visits", json_deep_copy(visits), "done", done,
			  "release", names[release]);
	if (done) {
		free(c);
		rpc_reply(call, reply);
	} else {
		rpc_reply_continue(call, reply);
	}
}

void rpc_balance_check(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	_cleanup_error_ struct error err = ERROR_INIT;
	const struct balance_request request = {
		.frontend = rpc_string(call, "frontend"),
		.backends = json_object_get(call->params, "backends"),
		.path = rpc_string(call, "path"),
	};
	struct balance_call *c = xnew(struct balance_call);

	c->call = call;
	if (balance_start(env->manager, &request, on_visit, c, &c->check, &err) < 0) {
		free(c);
		rpc_reply_error(call, &err);
		return;
	}
	call->user = c;
	call->gone = balance_gone;
}
