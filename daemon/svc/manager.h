/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * All services of the daemon: made, found by name, changed, brought back after
 * a restart. RPC methods come here; nothing below knows of RPC. Callbacks come
 * later, once, never from within the call.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "ev/ev.h"
#include "proto/base/error.h"
#include "store/store.h"
#include "tor/tor.h"

struct manager;
struct service;
struct bus;

struct manager_config {
	bool local_only;
	bool listen_tcp; /* with Tor: loopback TCP instead of Unix sockets */
	const char *state_dir;
	const char *runtime_dir; /* sockets: RUNTIME/http/ */
	uint32_t drain_ms;
	uid_t tor_uid; /* peers of the Unix sockets; (uid_t)-1: any */
};

typedef void manager_done_fn(void *ud, const struct error *err, struct service *svc);

/* tor NULL: local only. config is copied. */
struct manager *manager_new(struct ev *ev, const struct manager_config *config, struct store *store,
			    struct tor *tor);
/* Loads what is saved and starts what is wanted. loaded comes when all are known. */
void manager_load(struct manager *m, void (*loaded)(void *ud, const struct error *err), void *ud);
/* tor's status changed (main hands it on). */
void manager_tor_changed(struct manager *m, const struct tor_status *status);
/* Drains and stops everything (wanted stays as it is), then stopped. cut: at once. May be
 * called a second time with cut. Afterwards manager_free. */
void manager_stop(struct manager *m, bool cut, void (*stopped)(void *ud), void *ud);
void manager_free(struct manager *m);
struct bus *manager_bus(struct manager *m);

struct manager_create {
	const char *name; /* NULL: MODE- and six characters */
	const char *mode;
	json_t *options; /* flat, by option name; borrowed */
	json_t *paths;   /* array of strings; borrowed; NULL: none */
	bool ephemeral;  /* one-off: never saved */
};

/* The service exists, its address made (or to come, if no tor answered: no error then). */
void manager_create(struct manager *m, const struct manager_create *create, manager_done_fn *cb,
		    void *ud);
struct service *manager_find(struct manager *m, const char *name);
/* Wanted from now on and saved so; cb when that is on disk and the start is under way. */
void manager_start_service(struct manager *m, struct service *svc, manager_done_fn *cb, void *ud);
/* cb when it is down. now: running transfers are cut. */
void manager_stop_service(struct manager *m, struct service *svc, bool now, manager_done_fn *cb,
			  void *ud);
void manager_restart_service(struct manager *m, struct service *svc, manager_done_fn *cb, void *ud);
/* changes: option -> new value; unset: array of option names. *restart: borrowed array of
 * names that count only after a restart of the service. */
typedef void manager_edit_fn(void *ud, const struct error *err, struct service *svc,
			     const json_t *restart);
void manager_edit(struct manager *m, struct service *svc, json_t *changes, json_t *unset,
		  manager_edit_fn *cb, void *ud);
void manager_rename(struct manager *m, struct service *svc, const char *name, manager_done_fn *cb,
		    void *ud);
/* Stops it first. cb's svc is NULL. */
void manager_delete(struct manager *m, struct service *svc, manager_done_fn *cb, void *ud);
/* A one-off becomes a saved service of that name. */
void manager_keep(struct manager *m, struct service *svc, const char *name, manager_done_fn *cb,
		  void *ud);

/* New references. The object of the RPC's type Service. */
json_t *manager_service_json(const struct service *svc);
json_t *manager_list_json(struct manager *m);
/* {"total","running","failed"} */
json_t *manager_counts_json(struct manager *m);
