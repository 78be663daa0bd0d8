/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Wait: until a service has come to a state, telling the way there. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "proto/base/alloc.h"
#include "rpc/methods.h"

#define TIMEOUT_MAX_MS (INT64_C(365) * 24 * 3600 * 1000)

struct waiting {
	struct bus_sub sub;
	struct rpc_env *env;
	struct rpc_call *call; /* NULL: answered or gone */
	uint64_t serial;
	char *name; /* as it was asked for */
	char goal[16];
	uv_timer_t timer;
};

static void on_closed(uv_handle_t *handle)
{
	struct waiting *w = container_of((uv_timer_t *)handle, struct waiting, timer);

	free(w->name);
	free(w);
}

static void end(struct waiting *w)
{
	w->call = NULL;
	bus_unsubscribe(&w->sub);
	uv_close((uv_handle_t *)&w->timer, on_closed);
}

static void on_gone(struct rpc_call *call)
{
	end(call->user);
}

static void fail(struct waiting *w, int code, enum error_kind kind, const char *param,
		 const char *text)
{
	struct error err = ERROR_INIT;
	struct rpc_call *call = w->call;

	error_set_kind(&err, code, kind, param, NULL, "%s", text);
	end(w);
	rpc_reply_error(call, &err);
	error_done(&err);
}

static json_t *reply(const struct waiting *w, const struct service *svc, bool done)
{
	return json_pack("{s:o, s:o, s:b}", "service", manager_service_json(svc), "tor",
			 w->env->tor ? rpc_tor_json(w->env) : json_null(), "done", done);
}

/* Is the service there, or can it never come there? Answers then. */
static void look(struct waiting *w)
{
	struct service *svc = manager_find_serial(w->env->manager, w->serial);

	if (!svc) {
		_cleanup_free_ char *text = xasprintf("the service %s was deleted", w->name);

		fail(w, ENOENT, ERROR_NO_SUCH_SERVICE, w->name, text);
		return;
	}
	const char *state = service_state_text(svc);
	bool for_stopped = strcmp(w->goal, "stopped") == 0;
	bool there = for_stopped ? strcmp(state, "stopped") == 0 || strcmp(state, "failed") == 0
				 : strcmp(state, "running") == 0 &&
					   (strcmp(w->goal, "running") == 0 || !w->env->tor ||
					    tor_status(w->env->tor)->reachable);

	if (there) {
		struct rpc_call *call = w->call;
		json_t *result = reply(w, svc, true);

		end(w);
		rpc_reply(call, result);
	} else if (!for_stopped && !service_is_coming_up(svc)) {
		json_t *object = manager_service_json(svc);
		const char *reason = json_string_value(json_object_get(object, "reason"));

		reason = !reason && strcmp(state, "stopped") == 0 ? "start it first" : reason;
		_cleanup_free_ char *text = xasprintf("the service %s is %s%s%s", w->name, state,
						      reason ? ": " : "", reason ? reason : "");

		fail(w, ENOTRECOVERABLE, ERROR_UNREACHABLE_STATE, state, text);
		json_decref(object);
	} else if (w->call->more) {
		rpc_reply_continue(w->call, reply(w, svc, false));
	}
}

static void on_event(struct bus_sub *sub, const char *service, const json_t *event)
{
	struct waiting *w = container_of(sub, struct waiting, sub);
	const char *kind = json_string_value(json_object_get(event, "event"));
	const struct service *svc = manager_find_serial(w->env->manager, w->serial);
	bool foreign = service && svc && strcmp(service, service_name(svc)) != 0;

	if (!foreign && strcmp(kind, "transfer") != 0) {
		look(w);
	}
}

static void on_timeout(uv_timer_t *timer)
{
	struct waiting *w = container_of(timer, struct waiting, timer);
	struct service *svc = manager_find_serial(w->env->manager, w->serial);
	const char *problem = w->env->tor ? tor_status(w->env->tor)->problem : NULL;
	_cleanup_free_ char *text =
		xasprintf("the service %s is still %s after the time that was given%s%s", w->name,
			  svc ? service_state_text(svc) : "gone", problem ? ": " : "",
			  problem                            ? problem
			  : svc && service_is_coming_up(svc) ? "; it goes on trying"
							     : "");

	fail(w, ETIMEDOUT, ERROR_TIMEOUT, w->goal, text);
}

void rpc_wait(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct service *svc = rpc_service(call, env);

	if (!svc) {
		return; /* answered, and the call is gone */
	}
	json_int_t timeout = rpc_int(call, "timeout_ms", TIMEOUT_MAX_MS);
	struct waiting *w = xnew(struct waiting);

	w->env = env;
	w->call = call;
	w->serial = service_serial(svc);
	w->name = xstrdup(service_name(svc));
	snprintf(w->goal, sizeof(w->goal), "%s", rpc_string(call, "for"));
	w->sub.event = on_event;
	list_init(&w->sub.link);
	uv_timer_init(env->ev->loop, &w->timer);
	call->user = w;
	call->gone = on_gone;
	bus_subscribe(manager_bus(env->manager), &w->sub);
	if (timeout < 0 || timeout > TIMEOUT_MAX_MS) {
		timeout = TIMEOUT_MAX_MS;
	}
	uv_timer_start(&w->timer, on_timeout, (uint64_t)timeout, 0);
	look(w);
}
