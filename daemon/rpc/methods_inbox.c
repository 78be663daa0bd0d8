/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What has come in to receive services: looked at, handed out, deleted. */
#include <errno.h>
#include <stdlib.h>

#include "proto/base/alloc.h"
#include "rpc/methods.h"
#include "svc/dropbox.h"

/* An answer that comes later; its caller may be gone by then. */
struct inbox_call {
	struct rpc_call *call; /* NULL: gone */
};

static void on_gone(struct rpc_call *call)
{
	struct inbox_call *i = call->user;

	i->call = NULL;
}

static struct inbox_call *inbox_call_new(struct rpc_call *call)
{
	struct inbox_call *i = xnew(struct inbox_call);

	i->call = call;
	call->user = i;
	call->gone = on_gone;
	return i;
}

static void on_answer(void *ud, const struct error *err, json_t *result,
		      struct submissions_opened *opened)
{
	struct inbox_call *i = ud;

	if (i->call && err) {
		rpc_reply_error(i->call, err);
	} else if (i->call && opened->n) {
		rpc_reply_fds(i->call, json_incref(result), opened->fds, opened->n);
		opened->n = 0; /* they are the answer's now */
	} else if (i->call) {
		rpc_reply(i->call, json_incref(result));
	}
	free(i);
}

/* Of what could not even begin. */
static void refuse(struct inbox_call *i, struct error *err)
{
	rpc_reply_error(i->call, err);
	error_done(err);
	free(i);
}

/* A member of 0 or more, and at most max; anything else has been answered. */
static bool take_number(struct rpc_call *call, const char *member, json_int_t otherwise,
			json_int_t max, json_int_t *ret)
{
	struct error err = ERROR_INIT;

	*ret = rpc_int(call, member, otherwise);
	if (*ret >= 0 && *ret <= max) {
		return true;
	}
	error_set_kind(&err, ERANGE, ERROR_INVALID_VALUE, member, "out of range",
		       "%s: must be 0 to %lld", member, (long long)max);
	rpc_reply_error(call, &err);
	error_done(&err);
	return false;
}

void rpc_inbox_list(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct error err = ERROR_INIT;
	struct service *svc = rpc_service(call, env);
	json_int_t after, limit;

	/* Numbers begin with 1970, and so -1 is before all of them. */
	if (!svc || !take_number(call, "limit", SUBMISSIONS_PAGE, INT64_MAX, &limit)) {
		return;
	}
	after = rpc_int(call, "after", -1);
	struct inbox_call *i = inbox_call_new(call);

	if (dropbox_list(env->manager, svc, after, limit ? (size_t)limit : 1, on_answer, i, &err) <
	    0) {
		refuse(i, &err);
	}
}

void rpc_inbox_show(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct error err = ERROR_INIT;
	struct service *svc = rpc_service(call, env);

	if (svc) {
		struct inbox_call *i = inbox_call_new(call);

		if (dropbox_show(env->manager, svc, rpc_int(call, "id", -1), on_answer, i, &err) <
		    0) {
			refuse(i, &err);
		}
	}
}

void rpc_inbox_open(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct error err = ERROR_INIT;
	struct service *svc = rpc_service(call, env);
	json_int_t first;

	if (!svc || !take_number(call, "first", 0, SUBMISSIONS_FILES_KEPT, &first)) {
		return;
	}
	struct inbox_call *i = inbox_call_new(call);

	if (dropbox_open(env->manager, svc, rpc_int(call, "id", -1), (size_t)first, on_answer, i,
			 &err) < 0) {
		refuse(i, &err);
	}
}

void rpc_inbox_delete(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct error err = ERROR_INIT;
	struct service *svc = rpc_service(call, env);

	if (svc) {
		struct inbox_call *i = inbox_call_new(call);

		if (dropbox_delete(env->manager, svc, rpc_int(call, "id", -1), on_answer, i, &err) <
		    0) {
			refuse(i, &err);
		}
	}
}
