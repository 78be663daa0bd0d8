/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The manager's own struct and its operations in progress. For the folder svc only. */
#pragma once

#include "base/list.h"
#include "ev/work.h"
#include "svc/manager.h"
#include "svc/schedule.h"
#include "svc/service.h"

struct manager {
	struct ev *ev;
	struct manager_config config;
	char *runtime_dir, *state_dir; /* of config */
	struct store *store;
	struct tor *tor;
	struct bus *bus;
	struct list services;  /* struct service */
	struct list creations; /* struct creation: names that are taken, but no service yet */
	unsigned n_services, n_creations;
	uint64_t last_id;
	unsigned n_ops;
	struct dropbox_sweeper *sweeper;
	struct {
		struct list parts; /* that are held (copies.c) */
		char *run;         /* the beginning of the names of releases */
		unsigned last;
	} copies;
	struct {
		struct found *all; /* what earlier services have left, while rows are loaded */
		size_t n;
	} found;
	struct list handovers; /* struct handover */
	struct schedule *schedule;
	int64_t (*wall_ms)(void); /* ev_wall_ms; tests set their own */
	uv_timer_t drain_timer;   /* runs only while a service drains */
	struct tor_status told;   /* state and bootstrap, as the watchers know them */
	bool stopping;
	void (*stopped)(void *ud);
	void *stopped_ud;
};

/* Somebody waits for something; the service is looked up again when it has happened. */
struct op {
	struct manager *m;
	uint64_t serial; /* 0: of no service */
	char *name;      /* of the service when it began */
	manager_done_fn *cb;
	void *ud;
	struct list link; /* of a service's down_waiters */
	struct job job;   /* for op_finish_later */
};

struct op *op_new(struct manager *m, struct service *svc, manager_done_fn *cb, void *ud);
/* That the service is gone by then is an error too. */
void op_finish(struct op *op, const struct error *err);
/* In another turn of the loop, without an error. */
void op_finish_later(struct op *op);
/* When the service's row is on disk. */
void op_save(struct op *op, struct service *svc);
/* When the service is down. */
void op_when_down(struct op *op, struct service *svc);

int refuse_if_stopping(const struct manager *m, struct error *err);
/* A daemon that stops and a service that is being deleted or renamed take no change. */
int refuse_if_busy(const struct service *svc, struct error *err);
/* Nor does one that is broken, but for its deletion. */
int refuse_change(const struct service *svc, struct error *err);

/* succession.c: all is loaded; what nobody has taken goes. */
void succession_end(struct manager *m);

/* If it is stopping and this was the last thing it waited for, it has stopped. */
void manager_check_stopped(struct manager *m);

/* create.c: the daemon stops, nobody waits for keys any more. */
void creations_cancel(struct manager *m);
int check_port(struct manager *m, const struct service *self, json_int_t port, struct error *err);
int check_new_name(struct manager *m, const char *name, struct error *err);
/* publish.c: what is to be checked of a service with content, at once. */
int check_content(const struct manager_create *what, struct error *err);
/*
 * Then off the loop. sources: as in struct service_row (or NULL), the callback's,
 * and held.
 */
typedef void content_got_fn(void *ud, const struct error *err, json_t *sources);
int get_content(struct manager *m, const struct manager_create *what, content_got_fn *cb, void *ud,
		struct error *err);
/* Makes the first key of a private service that has none. (keys.c) */
void ensure_client_key(struct service_row *row);
/* New reference: also those that wait until a public service is private again. (keys.c) */
json_t *service_all_keys_json(const struct service *svc);
/*
 * Address and keys as Import takes them, into a new row, as far as they are given; row is
 * the caller's to free also after an error. (import.c)
 */
int import_identity(const struct manager *m, const json_t *from, struct service_row *row,
		    struct error *err);
