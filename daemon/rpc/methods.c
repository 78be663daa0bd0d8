/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rpc/methods.h"

#include <errno.h>

const struct rpc_method rpc_methods[] = {
	{"Create", rpc_create},
	{"Import", rpc_import},
	{"Export", rpc_export},
	{"Start", rpc_start},
	{"Stop", rpc_stop},
	{"Restart", rpc_restart},
	{"Wait", rpc_wait},
	{"List", rpc_list},
	{"Show", rpc_show},
	{"Edit", rpc_edit},
	{"Rename", rpc_rename},
	{"Delete", rpc_delete},
	{"Keep", rpc_keep},
	{"Publish", rpc_publish},
	{"AddContent", rpc_add_content},
	{"RemoveContent", rpc_remove_content},
	{"HandoverBegin", rpc_handover_begin},
	{"HandoverPut", rpc_handover_put},
	{"Status", rpc_status},
	{"Watch", rpc_watch},
	{"History", rpc_history},
	{"KeyList", rpc_key_list},
	{"KeyAdd", rpc_key_add},
	{"KeyRemove", rpc_key_remove},
	{"InboxList", rpc_inbox_list},
	{"InboxShow", rpc_inbox_show},
	{"InboxOpen", rpc_inbox_open},
	{"InboxDelete", rpc_inbox_delete},
	{"BridgesList", rpc_bridges_list},
	{"BridgesSet", rpc_bridges_set},
	{"TorCheck", rpc_tor_check},
	{"BalanceCheck", rpc_balance_check},
	{"Reload", rpc_reload},
	{NULL, NULL},
};

const char *rpc_string(const struct rpc_call *call, const char *member)
{
	return json_string_value(json_object_get(call->params, member));
}

bool rpc_bool(const struct rpc_call *call, const char *member)
{
	return json_is_true(json_object_get(call->params, member));
}

json_int_t rpc_int(const struct rpc_call *call, const char *member, json_int_t otherwise)
{
	const json_t *v = json_object_get(call->params, member);

	return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

struct service *rpc_service(struct rpc_call *call, const struct rpc_env *env)
{
	const char *name = rpc_string(call, "name");
	struct service *svc = manager_find(env->manager, name);

	if (!svc) {
		struct error err = ERROR_INIT;

		error_set_kind(&err, ENOENT, ERROR_NO_SUCH_SERVICE, name, NULL,
			       "there is no service named %s; 'onionsharectl list' has all", name);
		rpc_reply_error(call, &err);
		error_done(&err);
	}
	return svc;
}

json_t *rpc_service_reply(const struct service *svc)
{
	return json_pack("{s:o}", "service", manager_service_json(svc));
}

json_t *rpc_tor_json(const struct rpc_env *env)
{
	if (!env->tor) {
		return json_pack("{s:s, s:s, s:n, s:{s:i, s:s}, s:b, s:n, s:n, s:n, s:n, s:i}",
				 "mode", "none", "state", "off", "version", "bootstrap", "percent",
				 -1, "summary", "local only", "reachable", 0, "problem", "advice",
				 "control", "socks", "bridges", 0);
	}
	const struct tor_status *t = tor_status(env->tor);

	return json_pack("{s:s, s:s, s:s?, s:{s:i, s:s}, s:b, s:s?, s:s?, s:s?, s:s?, s:i}", "mode",
			 tor_mode_name(t->mode), "state", tor_state_name(t->state), "version",
			 t->version[0] ? t->version : NULL, "bootstrap", "percent", t->bootstrap,
			 "summary", t->summary, "reachable", t->reachable, "problem", t->problem,
			 "advice", t->advice, "control", t->control[0] ? t->control : NULL, "socks",
			 t->socks[0] ? t->socks : NULL, "bridges", (int)t->bridges);
}
