/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "svc/manager.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fsutil.h"
#include "base/log.h"
#include "proto/base/alloc.h"
#include "proto/options.h"
#include "svc/copies.h"
#include "svc/dropbox.h"
#include "svc/registry.h"
#include "svc/service.h"

#define DRAIN_TICK_MS 100

struct ev *manager_ev(struct manager *m)
{
	return m->ev;
}

struct tor *manager_tor(struct manager *m)
{
	return m->tor;
}

struct store *manager_store(struct manager *m)
{
	return m->store;
}

struct bus *manager_bus(struct manager *m)
{
	return m->bus;
}

const struct manager_config *manager_config(const struct manager *m)
{
	return &m->config;
}

void manager_service_changed(struct manager *m)
{
	if (m->config.service_changed) {
		m->config.service_changed(m->config.service_changed_ud);
	}
}

int64_t manager_wall_ms(const struct manager *m)
{
	return m->wall_ms();
}

uint64_t manager_next_id(struct manager *m)
{
	return ++m->last_id;
}

int manager_new(struct ev *ev, const struct manager_config *config, struct store *store,
		struct tor *tor, struct manager **ret, struct error *err)
{
	_cleanup_free_ char *sockets = xasprintf("%s/http", config->runtime_dir);
	int r = fs_mkdir_p(sockets, 0700, err);

	if (r < 0) {
		return r;
	}
	struct manager *m = xnew(struct manager);

	m->ev = ev;
	m->config = *config;
	m->config.runtime_dir = m->runtime_dir = xstrdup(config->runtime_dir);
	m->state_dir = config->state_dir ? xstrdup(config->state_dir) : NULL;
	m->config.state_dir = m->state_dir;
	m->store = store;
	m->tor = tor;
	m->bus = bus_new();
	list_init(&m->services);
	list_init(&m->creations);
	uv_timer_init(ev->loop, &m->drain_timer);
	m->sweeper = dropbox_sweeper_new(m);
	list_init(&m->handovers);
	copies_init(m);
	m->schedule = schedule_new(m);
	m->wall_ms = ev_wall_ms;
	*ret = m;
	return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct manager *m = handle->data;

	bus_free(m->bus);
	free(m->runtime_dir);
	free(m->state_dir);
	free(m);
}

void manager_free(struct manager *m)
{
	if (!m) {
		return;
	}
	assert(m->n_ops == 0 && list_empty(&m->creations) && list_empty(&m->handovers));
	copies_done(m);
	succession_end(m);
	list_for_each_safe (it, &m->services) {
		service_free(list_entry(it, struct service, link));
	}
	dropbox_sweeper_free(m->sweeper);
	schedule_free(m->schedule);
	m->drain_timer.data = m;
	uv_close((uv_handle_t *)&m->drain_timer, on_timer_closed);
}

struct service *manager_find(struct manager *m, const char *name)
{
	list_for_each (it, &m->services) {
		struct service *svc = list_entry(it, struct service, link);

		if (strcmp(svc->row->name, name) == 0) {
			return svc;
		}
	}
	return NULL;
}

struct service *manager_find_serial(struct manager *m, uint64_t serial)
{
	list_for_each (it, &m->services) {
		struct service *svc = list_entry(it, struct service, link);

		if (svc->serial == serial) {
			return svc;
		}
	}
	return NULL;
}

/* --- operations --- */

struct op *op_new(struct manager *m, struct service *svc, manager_done_fn *cb, void *ud)
{
	struct op *op = xnew(struct op);

	op->m = m;
	op->serial = svc ? svc->serial : 0;
	op->name = svc ? xstrdup(svc->row->name) : NULL;
	op->cb = cb;
	op->ud = ud;
	list_init(&op->link);
	m->n_ops++;
	return op;
}

void op_finish(struct op *op, const struct error *err)
{
	struct manager *m = op->m;
	struct service *svc = op->serial ? manager_find_serial(m, op->serial) : NULL;
	struct error gone = ERROR_INIT;

	if (op->serial && !svc && !err) {
		error_set_kind(&gone, ENOENT, ERROR_NO_SUCH_SERVICE, op->name, NULL,
			       "the service %s was deleted meanwhile", op->name);
		err = &gone;
	}
	op->cb(op->ud, err, svc);
	error_done(&gone);
	m->n_ops--;
	free(op->name);
	free(op);
	manager_check_stopped(m);
}

static void op_saved(void *ud, const struct error *err, int64_t id)
{
	(void)id;
	op_finish(ud, err);
}

static void nothing_to_run(struct job *job)
{
	(void)job;
}

static void op_deferred(struct job *job)
{
	op_finish(container_of(job, struct op, job), NULL);
}

void op_finish_later(struct op *op)
{
	work_submit(op->m->ev->work, WORK_FAST, &op->job, nothing_to_run, op_deferred);
}

void op_save(struct op *op, struct service *svc)
{
	if (svc->ephemeral) {
		op_finish_later(op);
	} else {
		store_service_put(op->m->store, svc->row, op_saved, op);
	}
}

void manager_options_set(struct service *svc)
{
	if (service_option_int(svc, "keep_days") > 0) {
		dropbox_sweeper_wake(svc->m->sweeper);
	}
}

static void nobody_waits(void *ud, const struct error *err, struct service *svc)
{
	(void)ud;
	if (err && svc) {
		log_error("service %s cannot be saved: %s", svc->row->name, error_text(err));
	}
}

void manager_save(struct service *svc)
{
	if (!svc->ephemeral) {
		op_save(op_new(svc->m, svc, nobody_waits, NULL), svc);
	}
}

static void saved_so_stop(void *ud, const struct error *err, struct service *svc)
{
	nobody_waits(ud, err, svc);
	if (!svc || !svc->finished) {
		return; /* somebody else has stopped it meanwhile */
	}
	service_stop(svc, false);
	if (svc->row->wanted && !svc->m->stopping) {
		service_start(svc); /* or wants it again */
	}
}

void manager_save_then_stop(struct service *svc)
{
	op_save(op_new(svc->m, svc, saved_so_stop, NULL), svc);
}

/* --- starting and stopping --- */

int refuse_if_stopping(const struct manager *m, struct error *err)
{
	if (m->stopping) {
		return error_set_kind(err, ESHUTDOWN, ERROR_INVALID_STATE, "stopping", NULL,
				      "the daemon is stopping");
	}
	return 0;
}

int refuse_if_busy(const struct service *svc, struct error *err)
{
	int r = refuse_if_stopping(svc->m, err);

	if (r < 0) {
		return r;
	}
	if (svc->deleting) {
		return error_set_kind(err, EBUSY, ERROR_INVALID_STATE, "deleting", NULL,
				      "the service %s is being deleted", svc->row->name);
	}
	if (svc->renaming) {
		return error_set_kind(err, EBUSY, ERROR_INVALID_STATE, "renaming", NULL,
				      "the service %s is being renamed; try again", svc->row->name);
	}
	return 0;
}

int refuse_change(const struct service *svc, struct error *err)
{
	int r = refuse_if_busy(svc, err);

	if (r == 0 && svc->broken) {
		return error_set_kind(err, EINVAL, ERROR_INVALID_STATE, "failed", NULL,
				      "the service %s cannot be used, only deleted: %s",
				      svc->row->name, svc->reason);
	}
	return r;
}

static void set_wanted(struct service *svc, bool wanted)
{
	svc->row->wanted = wanted;
	if (!wanted && svc->row->reason) {
		free(svc->row->reason);
		svc->row->reason = NULL;
	}
}

int manager_start(struct manager *m, struct service *svc, manager_done_fn *cb, void *ud,
		  struct error *err)
{
	int r = refuse_change(svc, err);

	/* Of one that is up, or waits for its time, the times stay. */
	if (r == 0 && (svc->finished || svc->taking_down || !service_is_coming_up(svc))) {
		r = schedule_plan(svc, &svc->row->start_ms, &svc->row->stop_ms, err);
	}
	if (r < 0) {
		return r;
	}
	set_wanted(svc, true);
	service_start(svc);
	schedule_wake(m->schedule);
	op_save(op_new(m, svc, cb, ud), svc);
	return 0;
}

/* Two things must happen, in any order: the row is saved, the service is down. */
struct stop_op {
	struct op *waits_down; /* in the service's list, NULL when it is down */
	bool saved;
	struct error err;
	manager_done_fn *cb;
	void *ud;
};

static void stop_op_check(struct stop_op *s, struct service *svc)
{
	if (!s->saved || s->waits_down) {
		return;
	}
	s->cb(s->ud, s->err.code ? &s->err : NULL, svc);
	error_done(&s->err);
	free(s);
}

static void stop_failed(struct stop_op *s, const struct error *err)
{
	if (err && !s->err.code) {
		error_copy(&s->err, err);
	}
}

static void stop_saved(void *ud, const struct error *err, struct service *svc)
{
	struct stop_op *s = ud;

	s->saved = true;
	stop_failed(s, err);
	stop_op_check(s, svc);
}

static void stop_down(void *ud, const struct error *err, struct service *svc)
{
	struct stop_op *s = ud;

	s->waits_down = NULL;
	stop_failed(s, err);
	stop_op_check(s, svc);
}

void op_when_down(struct op *op, struct service *svc)
{
	if (service_is_down(svc)) {
		op_finish_later(op);
	} else {
		list_append(&svc->down_waiters, &op->link);
	}
}

int manager_stop_service(struct manager *m, struct service *svc, bool now, manager_done_fn *cb,
			 void *ud, struct error *err)
{
	int r = refuse_change(svc, err);

	if (r < 0) {
		return r;
	}
	struct stop_op *s = xnew(struct stop_op);

	s->cb = cb;
	s->ud = ud;
	set_wanted(svc, false);
	service_stop(svc, now);
	s->waits_down = op_new(m, svc, stop_down, s);
	op_when_down(s->waits_down, svc);
	op_save(op_new(m, svc, stop_saved, s), svc);
	return 0;
}

int manager_restart(struct manager *m, struct service *svc, manager_done_fn *cb, void *ud,
		    struct error *err)
{
	int r = refuse_change(svc, err);

	if (r < 0) {
		return r;
	}
	service_stop(svc, false);
	return manager_start(m, svc, cb, ud, err);
}

void manager_service_down(struct service *svc)
{
	struct manager *m = svc->m;
	struct list waiters;

	if (m->stopping && svc->ephemeral) {
		/* Nobody comes to delete it any more. */
		copies_drop(m, svc->row->sources);
		json_decref(take_ptr(svc->row->sources));
	}

	list_init(&waiters);
	while (!list_empty(&svc->down_waiters)) {
		struct list *first = svc->down_waiters.next;

		list_remove(first);
		list_append(&waiters, first);
	}
	/* A waiter may delete the service: it is not touched from here on. */
	while (!list_empty(&waiters)) {
		struct op *op = list_entry(waiters.next, struct op, link);

		list_remove(&op->link);
		op_finish(op, NULL);
	}
	manager_check_stopped(m);
}

/* --- draining --- */

static void on_drain_tick(uv_timer_t *timer)
{
	struct manager *m = container_of(timer, struct manager, drain_timer);
	uint64_t now = ev_now_ms(m->ev);
	bool more = false;

	list_for_each_safe (it, &m->services) {
		struct service *svc = list_entry(it, struct service, link);

		service_drain_tick(svc, now);
		more |= svc->drain_until != 0;
	}
	if (!more) {
		uv_timer_stop(timer);
	}
}

void manager_drain_started(struct manager *m)
{
	if (!uv_is_active((uv_handle_t *)&m->drain_timer)) {
		uv_timer_start(&m->drain_timer, on_drain_tick, DRAIN_TICK_MS, DRAIN_TICK_MS);
	}
}

/* --- the daemon's own life --- */

struct load {
	struct manager *m;
	void (*loaded)(void *ud, const struct error *err);
	void *ud;
};

static struct service *add_service(struct manager *m, struct service_row *row)
{
	struct service *svc = service_new(m, row, false);

	copies_hold(m, row->sources);
	list_append(&m->services, &svc->link);
	m->n_services++;
	return svc;
}

static void add_loaded(struct manager *m, struct service_row *row)
{
	struct error err = ERROR_INIT;
	struct service *svc = add_service(m, row);

	/* A database from a newer program, or an edited one: this service only is out of order. */
	if (options_validate(row->mode, row->options, &err) < 0) {
		service_set_broken(svc, error_text(&err));
		error_done(&err);
		return;
	}
	service_set_options(svc);
	if (m->config.local_only && row->port == 0) {
		row->port = pick_port(m);
		manager_save(svc);
	}
	if (m->stopping) {
		return;
	}
	if (row->wanted && !schedule_missed_stop(svc)) {
		service_find_left(svc);
		service_start(svc);
		schedule_wake(m->schedule);
	}
	if (m->tor) {
		service_tor_changed(svc, tor_status(m->tor)); /* it may have been there first */
	}
}

/* Listed, so that it can be seen and deleted; what is in the database stays as it is. */
static void add_unreadable(struct manager *m, const struct store_broken *broken)
{
	if (!broken->name) {
		log_error("a saved service cannot be read and is left alone: %s", broken->why);
		return;
	}
	struct service_row *row = xnew(struct service_row);

	row->id = broken->id;
	row->name = xstrdup(broken->name);
	row->mode = xstrdup("share");
	row->options = json_object();
	row->created_ms = 1; /* not known */
	service_set_broken(add_service(m, row), broken->why);
}

static void on_loaded(void *ud, const struct error *err, struct service_row **rows, size_t n,
		      const struct store_broken *broken, size_t n_broken)
{
	struct load *load = ud;

	for (size_t i = 0; i < n_broken; i++) {
		add_unreadable(load->m, &broken[i]);
	}
	for (size_t i = 0; i < n; i++) {
		add_loaded(load->m, rows[i]);
	}
	free(rows);
	succession_end(load->m);
	/* What a row needs that cannot be read is not known. */
	if (!err && n_broken == 0) {
		copies_sweep(load->m);
	}
	load->loaded(load->ud, err);
	load->m->n_ops--;
	manager_check_stopped(load->m);
	free(load);
}

void manager_load(struct manager *m, void (*loaded)(void *ud, const struct error *err), void *ud)
{
	struct load *load = xnew(struct load);

	load->m = m;
	load->loaded = loaded;
	load->ud = ud;
	m->n_ops++;
	store_services_load(m->store, on_loaded, load);
}

void manager_reconfigure(struct manager *m, unsigned drain_ms, const struct http_limits *limits)
{
	m->config.drain_ms = drain_ms;
	m->config.limits = *limits;
}

void manager_tor_changed(struct manager *m, const struct tor_status *status)
{
	struct tor_status *told = &m->told;

	if (m->stopping) {
		return;
	}
	list_for_each (it, &m->services) {
		service_tor_changed(list_entry(it, struct service, link), status);
	}
	if (told->state != status->state || told->bootstrap != status->bootstrap) {
		told->state = status->state;
		told->bootstrap = status->bootstrap;
		bus_publish(m->bus, NULL,
			    json_pack("{s:s, s:s, s:i}", "event", "tor", "state",
				      tor_state_name(status->state), "percent",
				      status->bootstrap < 0 ? 0 : status->bootstrap));
	}
}

void manager_check_stopped(struct manager *m)
{
	if (!m->stopping || !m->stopped || m->n_ops || !list_empty(&m->creations)) {
		return;
	}
	list_for_each (it, &m->services) {
		if (!service_is_down(list_entry(it, struct service, link))) {
			return;
		}
	}
	void (*stopped)(void *) = m->stopped;

	m->stopped = NULL;
	stopped(m->stopped_ud);
}

static void stop_checked(void *ud, const struct error *err, struct service *svc)
{
	/* op_finish looks whether everything is down. */
	(void)ud;
	(void)err;
	(void)svc;
}

void manager_stop(struct manager *m, bool cut, void (*stopped)(void *ud), void *ud)
{
	if (!m->stopping) {
		m->stopping = true;
		m->stopped = stopped;
		m->stopped_ud = ud;
		/* First: else the end of the last creation would be taken for that of all. */
		struct op *check = op_new(m, NULL, stop_checked, NULL);

		creations_cancel(m);
		op_finish_later(check);
	}
	list_for_each (it, &m->services) {
		struct service *svc = list_entry(it, struct service, link);

		/* One that failed is down, and stays failed to the end. */
		if (!service_is_down(svc)) {
			service_stop(svc, cut);
		}
	}
}
