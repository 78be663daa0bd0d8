/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Watch: a snapshot in as many pieces as it needs, and every event as it happens. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "rpc/methods.h"

struct watch {
	struct bus_sub sub;
	struct rpc_call *call;
	const struct rpc_env *env;
	json_t *names; /* NULL: all */
	char *after;   /* the last service that was in the snapshot */
};

static void watch_free(struct watch *w)
{
	bus_unsubscribe(&w->sub);
	json_decref(w->names);
	free(w->after);
	free(w);
}

static void on_gone(struct rpc_call *call)
{
	watch_free(call->user);
}

/* renamed: the service's new name, by which it is watched from now on; or NULL. */
static bool is_watched(struct watch *w, const char *service, const char *renamed)
{
	size_t i;
	json_t *name;

	if (!w->names || !service) {
		return true;
	}
	json_array_foreach (w->names, i, name) {
		if (strcmp(json_string_value(name), service) == 0) {
			if (renamed) {
				json_array_set_new(w->names, i, json_string(renamed));
			}
			return true;
		}
	}
	return false;
}

static void on_event(struct bus_sub *sub, const char *service, const json_t *event)
{
	struct watch *w = container_of(sub, struct watch, sub);

	if (is_watched(w, service, json_string_value(json_object_get(event, "new_name")))) {
		rpc_reply_continue(w->call, json_deep_copy(event));
	}
}

/* Events between two pages of it are sent between them: whoever reads puts it together. */
static void send_snapshot(struct rpc_call *call)
{
	struct watch *w = call->user;
	bool last;
	json_t *services = rpc_next_page(w->env, w->names, &w->after, &last);

	if (last) {
		call->writable = NULL;
	}
	rpc_reply_continue(call,
			   json_pack("{s:s, s:o, s:o, s:b}", "event", "snapshot", "services",
				     services, "tor", rpc_tor_json(w->env), "complete", last));
}

void rpc_watch(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	json_t *names = json_object_get(call->params, "names");
	size_t i;
	json_t *name;

	if (json_is_array(names)) {
		json_array_foreach (names, i, name) {
			if (!manager_find(env->manager, json_string_value(name))) {
				struct error err = ERROR_INIT;

				error_set_kind(&err, ENOENT, ERROR_NO_SUCH_SERVICE,
					       json_string_value(name), NULL,
					       "there is no service named %s; "
					       "'onionsharectl list' has all",
					       json_string_value(name));
				rpc_reply_error(call, &err);
				error_done(&err);
				return;
			}
		}
	}
	struct watch *w = xnew(struct watch);

	w->call = call;
	w->env = env;
	w->sub.event = on_event;
	w->names = json_is_array(names) && json_array_size(names) ? json_incref(names) : NULL;
	call->user = w;
	call->gone = on_gone;
	bus_subscribe(manager_bus(env->manager), &w->sub);
	call->writable = send_snapshot;
	send_snapshot(call);
}
