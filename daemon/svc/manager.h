/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * All services of the daemon: made, found by name, changed, brought back after
 * a restart. RPC methods come here; nothing below knows of RPC.
 *
 * A call that is refused at once returns -errno with *err set, and its callback
 * never comes. One that returns 0 calls back once, later, never from within.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "ev/ev.h"
#include "http/server.h"
#include "proto/base/error.h"
#include "store/store.h"
#include "svc/bus.h"
#include "tor/tor.h"

struct manager;
struct service;

#define MANAGER_MAX_SERVICES 4096u
#define MANAGER_MAX_PATHS    64u /* of one service; more go into a directory */

struct manager_config {
	bool local_only;
	bool listen_tcp;         /* with Tor: loopback TCP instead of Unix sockets */
	bool listen_auto;        /* the same, if tor cannot reach them (tor_status.confined) */
	const char *runtime_dir; /* sockets: RUNTIME/http/ */
	const char *state_dir;   /* what holds it is not served; NULL: no such rule */
	unsigned drain_ms;
	struct http_limits limits; /* of visitors' connections */
	/*
	 * Keeps a descriptor for the daemon that follows this one, under a name for
	 * manager_inherit; it stays the caller's. NULL: none follows, or nobody keeps it.
	 */
	void (*keep)(void *ud, const char *name, int fd);
	void *keep_ud;
	/* A service has come, gone or changed its state; may be NULL. */
	void (*service_changed)(void *ud);
	void *service_changed_ud;
};

/* err NULL: it is done, and svc there; NULL only after delete. Deleted meanwhile: an error. */
typedef void manager_done_fn(void *ud, const struct error *err, struct service *svc);

/* tor NULL: local only. config is copied. Makes RUNTIME/http. */
int manager_new(struct ev *ev, const struct manager_config *config, struct store *store,
		struct tor *tor, struct manager **ret, struct error *err);
/* What an earlier daemon has kept, before manager_load. true: fd is taken; false: no such name. */
bool manager_inherit(struct manager *m, const char *name, int fd);
/* Loads what is saved and starts what is wanted; loaded comes when all are known. */
void manager_load(struct manager *m, void (*loaded)(void *ud, const struct error *err), void *ud);
/* New values after a reload: for drains that begin, and services that start, from now on. */
void manager_reconfigure(struct manager *m, unsigned drain_ms, const struct http_limits *limits);
/* Tor's status changed. */
void manager_tor_changed(struct manager *m, const struct tor_status *status);
/*
 * Takes everything down (what is wanted stays wanted): after drain_ms at the
 * latest, with cut at once. A second call with cut hurries the first; its stopped is ignored.
 */
void manager_stop(struct manager *m, bool cut, void (*stopped)(void *ud), void *ud);
/* After stopped. */
void manager_free(struct manager *m);
struct bus *manager_bus(struct manager *m);
struct service *manager_find(struct manager *m, const char *name);

struct handover;

struct manager_create {
	const char *name; /* NULL: MODE- and six characters */
	const char *mode;
	const json_t *options; /* flat, by option name; NULL: none */
	const json_t *paths;   /* array of strings, absolute; NULL: none */
	bool ephemeral;        /* one-off: never saved */
	bool adopt;            /* receive: what is left of an earlier one of this name is its own */
	/*
	 * Of each path, or of each option that is one, a descriptor that the caller
	 * opened, to show that he may read it; becomes the manager's if 0 is returned.
	 * NULL: the caller may make the daemon read whatever it can (root and its own user).
	 */
	const int *fds;
	const uid_t *owner; /* who chose the paths, if not one of these two; else NULL */
	/* "onion", "onion_key" and "keys" as of Import: kept instead of made; or NULL. */
	const json_t *identity;
	/* What is served is this copy, and the paths only say where it came from; or NULL. */
	struct handover *handover;
	const char *release; /* the key of its validators (handover_take); or NULL */
};

/* cb: it exists, its address made (or to come, if no tor answered: no error then). */
int manager_create(struct manager *m, const struct manager_create *create, manager_done_fn *cb,
		   void *ud, struct error *err);
/* Would it be refused at once? Nothing is made. */
int manager_check_create(struct manager *m, const struct manager_create *create, struct error *err);
/* cb: it is wanted, that is on disk, and the start is under way. */
int manager_start(struct manager *m, struct service *svc, manager_done_fn *cb, void *ud,
		  struct error *err);
/* cb: it is down, and not wanted any more. now: running transfers are cut. */
int manager_stop_service(struct manager *m, struct service *svc, bool now, manager_done_fn *cb,
			 void *ud, struct error *err);
/* Down, then up again; cb as for start. */
int manager_restart(struct manager *m, struct service *svc, manager_done_fn *cb, void *ud,
		    struct error *err);
/*
 * Paths among changes (content_options), before manager_edit: fds and owner as of
 * manager_create. cb's svc is NULL.
 */
int manager_check_edit(struct manager *m, const json_t *changes, const int *fds, const uid_t *owner,
		       manager_done_fn *cb, void *ud, struct error *err);
/*
 * changes: option -> new value; unset: array of names back to their defaults.
 * Either may be NULL. owner: who makes them, as of manager_create. *ret_restart: new array of those
 * that count only after a restart of the service (empty when it is stopped).
 */
int manager_edit(struct manager *m, struct service *svc, const json_t *changes, const json_t *unset,
		 const uid_t *owner, json_t **ret_restart, manager_done_fn *cb, void *ud,
		 struct error *err);
int manager_rename(struct manager *m, struct service *svc, const char *name, manager_done_fn *cb,
		   void *ud, struct error *err);
/* A one-off becomes a saved service of that name. */
int manager_keep(struct manager *m, struct service *svc, const char *name, manager_done_fn *cb,
		 void *ud, struct error *err);
/* The connection that a one-off was made by has ended: it goes, unless it was kept. */
void manager_abandon(struct manager *m, uint64_t serial);
/* Stops it first (now: at once); cb's svc is NULL. */
int manager_delete(struct manager *m, struct service *svc, bool now, bool purge,
		   manager_done_fn *cb, void *ud, struct error *err);

/*
 * Other content while it runs, or while it is stopped: visitors have either all of
 * the old or all of the new. what: only its members about content count. cb: it
 * is so, and on disk; err: everything is as it was. (publish.c)
 */
int manager_publish(struct manager *m, struct service *svc, const struct manager_create *what,
		    manager_done_fn *cb, void *ud, struct error *err);
/* Beside what is there, in its root. */
int manager_add_content(struct manager *m, struct service *svc, const struct manager_create *what,
			manager_done_fn *cb, void *ud, struct error *err);
/* paths: as they are shown with the service. Not the last of them. */
int manager_remove_content(struct manager *m, struct service *svc, const json_t *paths,
			   manager_done_fn *cb, void *ud, struct error *err);

/* Never used twice in the life of the process, also not by a service of the same name. */
uint64_t service_serial(const struct service *svc);
struct service *manager_find_serial(struct manager *m, uint64_t serial);
const char *service_name(const struct service *svc);
/* "running", as in the RPC's type Service. */
const char *service_state_text(const struct service *svc);
/* Wanted, and neither failed nor stopped: it will be running if Tor lets it. */
bool service_is_coming_up(const struct service *svc);

/*
 * A key that opens the service: label NULL: one is made up; public_key NULL: a
 * pair is made, else base32 of one whose private half stays with its owner.
 * *ret_key: new reference, the RPC's type Key. cb: it is on disk. (keys.c)
 */
int manager_key_add(struct manager *m, struct service *svc, const char *label,
		    const char *public_key, json_t **ret_key, manager_done_fn *cb, void *ud,
		    struct error *err);
/*
 * Whoever came by it is locked out, open connections included; others have to
 * connect anew. cb: that is done (or there is no tor), and on disk.
 */
int manager_key_remove(struct manager *m, struct service *svc, const char *label,
		       manager_done_fn *cb, void *ud, struct error *err);
/* New reference: an array of Key; none of a public service. */
json_t *manager_keys_json(const struct service *svc);

/* New reference: what Export answers, with all secrets. (import.c) */
json_t *manager_export_json(const struct service *svc);
/* New references: the RPC's types Service and Counts. */
json_t *manager_service_json(const struct service *svc);
/*
 * Services in the order of their names, some 256 KiB of them. names: an array, or
 * NULL for all. after: those behind that name, NULL: from the first on.
 */
json_t *manager_page_json(struct manager *m, const json_t *names, const char *after,
			  bool *ret_last);
json_t *manager_counts_json(struct manager *m);
