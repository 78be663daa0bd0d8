/* SPDX-License-Identifier: GPL-3.0-or-later */
/* List: all services, for whom asks for a stream page by page. */
#include <stdlib.h>

#include "proto/base/alloc.h"
#include "rpc/methods.h"

struct listing {
	const struct rpc_env *env;
	char *after; /* the last that was sent */
};

json_t *rpc_next_page(const struct rpc_env *env, const json_t *names, char **after, bool *ret_last)
{
	json_t *page = manager_page_json(env->manager, names, *after, ret_last);
	size_t n = json_array_size(page);

	if (n) {
		const json_t *last = json_array_get(page, n - 1);

		free(*after);
		*after = xstrdup(json_string_value(json_object_get(last, "name")));
	}
	return page;
}

static void listing_free(struct listing *l)
{
	free(l->after);
	free(l);
}

static void on_gone(struct rpc_call *call)
{
	listing_free(call->user);
}

static void send_page(struct rpc_call *call)
{
	struct listing *l = call->user;
	bool last;
	json_t *reply =
		json_pack("{s:o}", "services", rpc_next_page(l->env, NULL, &l->after, &last));

	if (last) {
		listing_free(l);
		rpc_reply(call, reply);
	} else {
		rpc_reply_continue(call, reply);
	}
}

/* In one message; when that is too long the answer is an error that names its bound. */
static void send_all(struct rpc_call *call, const struct rpc_env *env)
{
	json_t *all = json_array();
	char *after = NULL;
	bool last;

	do {
		json_t *page = rpc_next_page(env, NULL, &after, &last);

		json_array_extend(all, page);
		json_decref(page);
	} while (!last);
	free(after);
	rpc_reply(call, json_pack("{s:o}", "services", all));
}

void rpc_list(struct rpc_call *call, void *ud)
{
	if (!call->more) {
		send_all(call, ud);
		return;
	}
	struct listing *l = xnew(struct listing);

	l->env = ud;
	call->user = l;
	call->gone = on_gone;
	call->writable = send_page;
	send_page(call);
}
