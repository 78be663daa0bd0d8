/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making, changing and running services. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/base/alloc.h"
#include "rpc/methods.h"

struct rpc_pending {
	struct rpc_call *call; /* NULL: gone */
	struct rpc_env *env;
	json_t *extra; /* members beside "service", or NULL */
	bool bind;     /* the service lives as long as the connection */
};

static void on_gone(struct rpc_call *call)
{
	struct rpc_pending *p = call->user;

	p->call = NULL;
}

struct rpc_pending *rpc_pending_new(struct rpc_call *call, struct rpc_env *env)
{
	struct rpc_pending *p = xnew(struct rpc_pending);

	p->call = call;
	p->env = env;
	call->user = p;
	call->gone = on_gone;
	return p;
}

static void pending_free(struct rpc_pending *p)
{
	json_decref(p->extra);
	free(p);
}

void rpc_pending_add(struct rpc_pending *p, const char *member, json_t *value)
{
	p->extra = p->extra ? p->extra : json_object();
	json_object_set_new(p->extra, member, value);
}

void rpc_pending_refuse(struct rpc_pending *p, struct error *err)
{
	rpc_reply_error(p->call, err);
	error_done(err);
	pending_free(p);
}

/* --- one-off services end with their connection --- */

struct one_off {
	struct rpc_bound bound;
	struct rpc_env *env;
	uint64_t serial;
};

static void one_off_closed(struct rpc_bound *bound)
{
	struct one_off *o = container_of(bound, struct one_off, bound);

	manager_abandon(o->env->manager, o->serial);
	free(o);
}

static void bind_one_off(struct rpc_pending *p, struct service *svc)
{
	struct one_off *o = xnew(struct one_off);

	o->env = p->env;
	o->serial = service_serial(svc);
	o->bound.closed = one_off_closed;
	if (p->call) {
		rpc_bind(p->call, &o->bound);
	} else {
		one_off_closed(&o->bound);
	}
}

void rpc_pending_done(void *ud, const struct error *err, struct service *svc)
{
	struct rpc_pending *p = ud;

	if (p->bind && !err && svc) {
		bind_one_off(p, svc);
	}
	if (p->call && err) {
		rpc_reply_error(p->call, err);
	} else if (p->call) {
		json_t *reply = svc ? rpc_service_reply(svc) : json_object();

		if (p->extra) {
			json_object_update(reply, p->extra);
		}
		rpc_reply(p->call, reply);
	}
	pending_free(p);
}

static int check_path_option(const struct rpc_call *call, const json_t *options, const char *name,
			     const char *instead, struct error *err)
{
	const json_t *path = json_object_get(options, name);

	if (!path || json_is_null(path) || rpc_is_trusted(call)) {
		return 0;
	}
	return error_set_kind(err, EPERM, ERROR_PERMISSION_DENIED, "root or the daemon's own user",
			      NULL, "%s can be chosen by root and the daemon's own user only; %s",
			      name, instead);
}

/* What the daemon reads and writes in place is decided by those who may do so as it does. */
static int check_path_options(const struct rpc_call *call, const json_t *options, struct error *err)
{
	int r = check_path_option(call, options, "data_dir",
				  "without it the daemon keeps submissions in its own state", err);

	return r < 0 ? r
		     : check_path_option(call, options, "webhook_secret_file",
					 "without it reports are not signed", err);
}

/* What Create and Import have in common. */
static int read_create(struct rpc_call *call, const struct rpc_env *env, struct manager_create *ret,
		       struct error *err)
{
	const json_t *options = json_object_get(call->params, "options");

	*ret = (struct manager_create){
		.name = rpc_string(call, "name"),
		.mode = rpc_string(call, "mode"),
		.options = json_is_object(options) ? options : NULL,
		.ephemeral = rpc_bool(call, "ephemeral"),
		.adopt = rpc_bool(call, "adopt"),
	};
	int r = check_path_options(call, options, err);

	return r < 0 ? r : rpc_content(call, env, ret, err);
}

void rpc_create(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct rpc_pending *p = rpc_pending_new(call, env);
	struct error err = ERROR_INIT;
	struct manager_create create;

	p->bind = rpc_bool(call, "ephemeral");
	if (read_create(call, env, &create, &err) < 0 ||
	    manager_create(env->manager, &create, rpc_pending_done, p, &err) < 0) {
		rpc_pending_refuse(p, &err);
		return;
	}
	rpc_content_taken(call, &create);
}

void rpc_import(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct rpc_pending *p = rpc_pending_new(call, env);
	struct error err = ERROR_INIT;
	struct manager_create create;
	bool check_only = rpc_bool(call, "check_only");
	int r = read_create(call, env, &create, &err);

	create.identity = call->params;
	if (r == 0) {
		r = check_only ? manager_check_create(env->manager, &create, &err)
			       : manager_create(env->manager, &create, rpc_pending_done, p, &err);
	}
	if (r < 0) {
		rpc_pending_refuse(p, &err);
	} else if (check_only) {
		rpc_pending_done(p, NULL, NULL);
	} else {
		rpc_content_taken(call, &create);
	}
}

void rpc_start(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct error err = ERROR_INIT;
	struct service *svc = rpc_service(call, env);

	if (svc) {
		struct rpc_pending *p = rpc_pending_new(call, env);

		if (manager_start(env->manager, svc, rpc_pending_done, p, &err) < 0) {
			rpc_pending_refuse(p, &err);
		}
	}
}

void rpc_stop(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct error err = ERROR_INIT;
	struct service *svc = rpc_service(call, env);

	if (svc) {
		struct rpc_pending *p = rpc_pending_new(call, env);

		if (manager_stop_service(env->manager, svc, rpc_bool(call, "now"), rpc_pending_done,
					 p, &err) < 0) {
			rpc_pending_refuse(p, &err);
		}
	}
}

void rpc_restart(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct error err = ERROR_INIT;
	struct service *svc = rpc_service(call, env);

	if (svc) {
		struct rpc_pending *p = rpc_pending_new(call, env);

		if (manager_restart(env->manager, svc, rpc_pending_done, p, &err) < 0) {
			rpc_pending_refuse(p, &err);
		}
	}
}

void rpc_show(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct service *svc = rpc_service(call, env);

	if (svc) {
		rpc_reply(call, rpc_service_reply(svc));
	}
}

void rpc_export(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct service *svc = rpc_service(call, env);

	if (svc) {
		rpc_reply(call, manager_export_json(svc));
	}
}

void rpc_edit(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct error err = ERROR_INIT;
	struct service *svc = rpc_service(call, env);

	if (!svc) {
		return; /* answered, and the call is gone */
	}
	const json_t *changes = json_object_get(call->params, "options");
	const json_t *unset = json_object_get(call->params, "unset");
	json_t *restart = NULL;
	struct rpc_pending *p = rpc_pending_new(call, env);

	if (check_path_options(call, changes, &err) < 0 ||
	    manager_edit(env->manager, svc, json_is_object(changes) ? changes : NULL,
			 json_is_array(unset) ? unset : NULL, &restart, rpc_pending_done, p,
			 &err) < 0) {
		rpc_pending_refuse(p, &err);
		return;
	}
	rpc_pending_add(p, "restart_needed", restart);
}

void rpc_rename(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct error err = ERROR_INIT;
	struct service *svc = rpc_service(call, env);

	if (svc) {
		struct rpc_pending *p = rpc_pending_new(call, env);

		if (manager_rename(env->manager, svc, rpc_string(call, "new_name"),
				   rpc_pending_done, p, &err) < 0) {
			rpc_pending_refuse(p, &err);
		}
	}
}

void rpc_keep(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct error err = ERROR_INIT;
	struct service *svc = rpc_service(call, env);

	if (svc) {
		struct rpc_pending *p = rpc_pending_new(call, env);

		if (manager_keep(env->manager, svc, rpc_string(call, "new_name"), rpc_pending_done,
				 p, &err) < 0) {
			rpc_pending_refuse(p, &err);
		}
	}
}

void rpc_delete(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct error err = ERROR_INIT;
	struct service *svc = rpc_service(call, env);

	if (svc) {
		struct rpc_pending *p = rpc_pending_new(call, env);

		if (manager_delete(env->manager, svc, false, rpc_bool(call, "purge"),
				   rpc_pending_done, p, &err) < 0) {
			rpc_pending_refuse(p, &err);
		}
	}
}
