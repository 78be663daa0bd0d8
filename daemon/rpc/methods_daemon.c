/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The daemon itself: status, history, reload. */
#include <errno.h>
#include <stdlib.h>

#include "proto/base/alloc.h"
#include "rpc/methods.h"
#include "version.h"

#define HISTORY_DEFAULT 100
#define HISTORY_MAX     1000

void rpc_status(struct rpc_call *call, void *ud)
{
	const struct rpc_env *env = ud;
	json_int_t uptime = (json_int_t)(ev_now_ms(env->ev) - env->started_ms) / 1000;

	rpc_reply(call,
		  json_pack("{s:s, s:I, s:b, s:o, s:o}", "version", ONIONSHARED_VERSION, "uptime",
			    uptime, "local_only", env->tor == NULL, "tor", rpc_tor_json(env),
			    "services", manager_counts_json(env->manager)));
}

struct history_call {
	const struct rpc_env *env;
	struct rpc_call *call;
	bool first_page;
};

static void history_gone(struct rpc_call *call)
{
	struct history_call *h = call->user;

	h->call = NULL;
}

/* One service was asked for, and nothing is known of it: is there such a one at all? */
static bool is_about_nobody(const struct history_call *h, const json_t *rows)
{
	return h->first_page && json_array_size(rows) == 0 && rpc_string(h->call, "name") &&
	       !rpc_service(h->call, h->env);
}

static void on_history(void *ud, const struct error *err, const json_t *rows)
{
	struct history_call *h = ud;

	if (h->call && err) {
		rpc_reply_error(h->call, err);
	} else if (h->call && !is_about_nobody(h, rows)) {
		rpc_reply(h->call, json_pack("{s:o}", "entries", json_deep_copy(rows)));
	}
	free(h);
}

void rpc_history(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	json_int_t limit = rpc_int(call, "limit", HISTORY_DEFAULT);
	json_int_t before = rpc_int(call, "before", INT64_MAX);

	if (limit < 1 || limit > HISTORY_MAX) {
		struct error err = ERROR_INIT;

		error_set_kind(&err, ERANGE, ERROR_INVALID_VALUE, "limit", "1 to 1000",
			       "limit: must be 1 to 1000");
		rpc_reply_error(call, &err);
		error_done(&err);
		return;
	}
	struct history_call *h = xnew(struct history_call);

	h->env = env;
	h->call = call;
	h->first_page = before == INT64_MAX;
	call->user = h;
	call->gone = history_gone;
	store_history_list(env->store, rpc_string(call, "name"), before, (unsigned)limit,
			   on_history, h);
}

void rpc_reload(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct error err = ERROR_INIT;

	if (env->reload(env->reload_ud, &err) < 0) {
		rpc_reply_error(call, &err);
		error_done(&err);
	} else {
		rpc_reply(call, NULL);
	}
}
