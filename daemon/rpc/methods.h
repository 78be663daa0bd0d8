/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The methods of org.onionshared.Control: a file a group. What they need is here. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "rpc/rpc.h"
#include "store/store.h"
#include "svc/bridging.h"
#include "svc/manager.h"
#include "tor/tor.h"

/* What the methods work on; the ud of every handler. */
struct rpc_env {
	struct ev *ev;
	struct manager *manager;
	struct store *store;
	struct tor *tor;           /* NULL: local only */
	struct bridging *bridging; /* likewise */
	uint64_t started_ms;       /* monotonic */
	/* Options of new receive services that Create is not told; NULL: none. Borrowed. */
	json_t *receive_defaults;
	/* Reads the configuration again: 0, or what is wrong with it. */
	int (*reload)(void *ud, struct error *err);
	void *reload_ud;
};

/* All of the interface, for rpc_server_new. */
extern const struct rpc_method rpc_methods[];

rpc_handler_fn rpc_list; /* methods_list.c */
rpc_handler_fn rpc_create, rpc_import, rpc_export, rpc_start, rpc_stop, rpc_restart, rpc_show,
	rpc_edit, rpc_rename, rpc_delete, rpc_keep;       /* methods_service.c */
rpc_handler_fn rpc_wait;                                  /* methods_wait.c */
rpc_handler_fn rpc_watch;                                 /* methods_watch.c */
rpc_handler_fn rpc_key_list, rpc_key_add, rpc_key_remove; /* methods_key.c */
/* methods_inbox.c */
rpc_handler_fn rpc_inbox_list, rpc_inbox_show, rpc_inbox_open, rpc_inbox_delete;
/* methods_content.c */
rpc_handler_fn rpc_publish, rpc_add_content, rpc_remove_content, rpc_handover_begin,
	rpc_handover_put;
rpc_handler_fn rpc_status, rpc_history, rpc_reload; /* methods_daemon.c */
/* methods_tor.c */
rpc_handler_fn rpc_bridges_list, rpc_bridges_set, rpc_tor_check, rpc_balance_check;

/* The member of the call's parameters, NULL if it is missing or null. */
const char *rpc_string(const struct rpc_call *call, const char *member);
bool rpc_bool(const struct rpc_call *call, const char *member);
json_int_t rpc_int(const struct rpc_call *call, const char *member, json_int_t otherwise);
/* The service that the call names; NULL: the error has been sent. */
struct service *rpc_service(struct rpc_call *call, const struct rpc_env *env);
/*
 * The services behind *after (NULL: the first ones), which becomes the last of them.
 * New reference; names and ret_last as in manager_page_json. (methods_list.c)
 */
json_t *rpc_next_page(const struct rpc_env *env, const json_t *names, char **after, bool *ret_last);
/* New reference: the type TorStatus. */
json_t *rpc_tor_json(const struct rpc_env *env);
/*
 * An answer that comes later, by the manager's callback; its caller may be gone
 * by then. Exactly one of refuse and done ends it. (methods_service.c)
 */
struct rpc_pending;
struct rpc_pending *rpc_pending_new(struct rpc_call *call, struct rpc_env *env);
/* Another member beside "service"; value is taken. */
void rpc_pending_add(struct rpc_pending *p, const char *member, json_t *value);
/* Nothing was begun: the reason, at once. err is freed. */
void rpc_pending_refuse(struct rpc_pending *p, struct error *err);
manager_done_fn rpc_pending_done;
/* Root and the daemon's own user: they may make it read whatever it can. */
bool rpc_is_trusted(const struct rpc_call *call);
/*
 * What the call names as content, into the members about it: paths with their
 * descriptors, or a handover. They stay the call's; taken: they are the manager's.
 */
int rpc_content(struct rpc_call *call, const struct rpc_env *env, struct manager_create *ret,
		struct error *err);
void rpc_content_taken(struct rpc_call *call, const struct manager_create *what);
/* {"service": ...} */
json_t *rpc_service_reply(const struct service *svc);
