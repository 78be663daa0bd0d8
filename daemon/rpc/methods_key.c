/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private keys of a service. */
#include "rpc/methods.h"

void rpc_key_list(struct rpc_call *call, void *ud)
{
	struct service *svc = rpc_service(call, ud);

	if (svc) {
		rpc_reply(call, json_pack("{s:o}", "keys", manager_keys_json(svc)));
	}
}

void rpc_key_add(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct error err = ERROR_INIT;
	struct service *svc = rpc_service(call, env);

	if (svc) {
		struct rpc_pending *p = rpc_pending_new(call, env);
		json_t *key;

		if (manager_key_add(env->manager, svc, rpc_string(call, "label"),
				    rpc_string(call, "public_key"), &key, rpc_pending_done, p,
				    &err) < 0) {
			rpc_pending_refuse(p, &err);
			return;
		}
		rpc_pending_add(p, "key", key);
	}
}

void rpc_key_remove(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct error err = ERROR_INIT;
	struct service *svc = rpc_service(call, env);

	if (svc) {
		struct rpc_pending *p = rpc_pending_new(call, env);

		if (manager_key_remove(env->manager, svc, rpc_string(call, "label"),
				       rpc_pending_done, p, &err) < 0) {
			rpc_pending_refuse(p, &err);
		}
	}
}
