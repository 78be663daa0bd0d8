/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making, changing and running services. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/alloc.h"
#include "rpc/methods.h"
#include "svc/content.h"

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

/*
 * Paths among the options: of somebody who is not trusted with all that the daemon may read and
 * write, with a descriptor of each. *ret_fds: NULL, or the call's; *ret_owner likewise.
 */
static int option_descriptors(struct rpc_call *call, const json_t *options, const int **ret_fds,
			      const uid_t **ret_owner, struct error *err)
{
	unsigned n = content_count_options(options);

	if (n == 0 || rpc_is_trusted(call)) {
		return 0;
	}
	if (call->n_fds != n) {
		return error_set_kind(err, EPERM, ERROR_PERMISSION_DENIED,
				      "a descriptor of each path", NULL,
				      "data_dir and webhook_secret_file of a caller who is neither "
				      "root nor the daemon's own user need to be there, to be his "
				      "own, and a descriptor each, opened for reading");
	}
	*ret_fds = call->fds;
	*ret_owner = &call->peer->uid;
	return 0;
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
	if (strcmp(ret->mode, "receive") == 0 &&
	    json_array_size(json_object_get(call->params, "paths")) == 0 &&
	    !rpc_string(call, "handover")) {
		return option_descriptors(call, options, &ret->fds, &ret->owner, err);
	}
	return rpc_content(call, env, ret, err);
}

/* New reference. A null of the caller's stays: the option's own default, not the configured one. */
static json_t *with_defaults(const struct rpc_env *env, const struct manager_create *create)
{
	json_t *options = create->options ? json_deep_copy(create->options) : json_object();

	if (strcmp(create->mode, "receive") == 0 && env->receive_defaults) {
		json_object_update_missing(options, env->receive_defaults);
	}
	return options;
}

void rpc_create(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct rpc_pending *p = rpc_pending_new(call, env);
	struct error err = ERROR_INIT;
	struct manager_create create;

	p->bind = rpc_bool(call, "ephemeral");
	int r = read_create(call, env, &create, &err);

	if (r == 0) {
		json_t *options = with_defaults(env, &create);

		create.options = options;
		r = manager_create(env->manager, &create, rpc_pending_done, p, &err);
		json_decref(options);
		create.options = NULL;
	}
	if (r < 0) {
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

static void edit(struct rpc_pending *p, struct service *svc, const uid_t *owner)
{
	const json_t *changes = json_object_get(p->call->params, "options");
	const json_t *unset = json_object_get(p->call->params, "unset");
	struct error err = ERROR_INIT;
	json_t *restart = NULL;

	if (manager_edit(p->env->manager, svc, json_is_object(changes) ? changes : NULL,
			 json_is_array(unset) ? unset : NULL, owner, &restart, rpc_pending_done, p,
			 &err) < 0) {
		rpc_pending_refuse(p, &err);
		return;
	}
	rpc_pending_add(p, "restart_needed", restart);
}

static void on_edit_checked(void *ud, const struct error *err, struct service *svc)
{
	struct rpc_pending *p = ud;

	if (err || !p->call) {
		rpc_pending_done(p, err, NULL);
		return;
	}
	/* It may have gone meanwhile. */
	svc = rpc_service(p->call, p->env);
	if (svc) {
		edit(p, svc, rpc_is_trusted(p->call) ? NULL : &p->call->peer->uid);
	} else {
		pending_free(p);
	}
}

void rpc_edit(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct error err = ERROR_INIT;
	struct manager_create what = {0};
	struct service *svc = rpc_service(call, env);

	if (!svc) {
		return; /* answered, and the call is gone */
	}
	const json_t *changes = json_object_get(call->params, "options");
	struct rpc_pending *p = rpc_pending_new(call, env);

	if (content_count_options(changes) == 0) {
		edit(p, svc, NULL);
	} else if (option_descriptors(call, changes, &what.fds, &what.owner, &err) < 0 ||
		   manager_check_edit(env->manager, changes, what.fds, what.owner, on_edit_checked,
				      p, &err) < 0) {
		rpc_pending_refuse(p, &err);
	} else {
		rpc_content_taken(call, &what);
	}
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
