/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes of a service that exists: options, name, keeping a one-off, deleting. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fsutil.h"
#include "base/log.h"
#include "proto/base/alloc.h"
#include "proto/options.h"
#include "svc/content.h"
#include "svc/registry.h"
#include "svc/webhook.h"

static bool same_value(const json_t *a, const json_t *b)
{
	return (!a && !b) || (a && b && json_equal(a, b));
}

/* The row's options with the changes, checked; new reference in *ret. */
static int merge(struct service *svc, const json_t *changes, const json_t *unset, json_t **ret,
		 struct error *err)
{
	json_t *merged = json_deep_copy(svc->row->options);
	const json_t *port = json_object_get(changes, "port");
	size_t i;
	json_t *name;
	int r = options_validate(svc->row->mode, changes, err);

	if (r == 0 && json_is_integer(port)) {
		r = check_port(svc->m, svc, json_integer_value(port), err);
	}
	if (changes) {
		/* merged is ours; the values are shared, never changed. */
		json_object_update(merged, (json_t *)(uintptr_t)changes);
	}
	json_array_foreach (unset, i, name) {
		const char *s = json_string_value(name);

		if (r == 0 && (!s || !option_find(svc->row->mode, s))) {
			r = error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "unset",
					   "not an option of this mode",
					   "%s is not an option of a %s service", s ? s : "(?)",
					   svc->row->mode);
		}
		if (r == 0) {
			json_object_del(merged, s);
		}
	}
	schedule_replace(changes, merged);
	if (r == 0) {
		r = schedule_check(changes, manager_wall_ms(svc->m), err);
	}
	if (r == 0) {
		json_t *all = options_complete(svc->row->mode, merged);

		r = options_check_together(svc->row->mode, all, err);
		json_decref(all);
	}
	if (r == 0) {
		r = service_check_webhook(svc->m, changes, err);
	}
	if (r == 0) {
		r = service_check_backend(svc->m, changes, svc->row->onion, err);
	}
	if (r == 0 && json_is_true(json_object_get(merged, "copy")) !=
			      json_is_true(json_object_get(svc->row->options, "copy"))) {
		r = error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "copy",
				   "is fixed when the service is made",
				   "copy is fixed when the service is made");
	}
	if (r == 0 && svc->row->options && !service_keeps_data_dir(svc, merged)) {
		r = error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "data_dir",
				   "is fixed when the service is made",
				   "data_dir is fixed when the service is made");
	}
	if (r < 0) {
		json_decref(merged);
		return r;
	}
	*ret = merged;
	return 0;
}

/* The names of all options that are set or unset, as keys. */
static json_t *changed_names(const json_t *changes, const json_t *unset)
{
	json_t *names = changes ? json_copy((json_t *)(uintptr_t)changes) : json_object(), *name;
	size_t i;

	json_array_foreach (unset, i, name) {
		json_object_set_new(names, json_string_value(name), json_null());
	}
	return names;
}

/* The row's times as the changed options want them. merged becomes the row's if 0 is returned. */
static int change_times(struct service *svc, const json_t *merged, const json_t *changes,
			const json_t *unset, struct error *err)
{
	json_t *names = changed_names(changes, unset);
	int64_t start, stop;
	int r = schedule_edit(svc, merged, names, &start, &stop, err);

	json_decref(names);
	if (r == 0) {
		svc->row->start_ms = start;
		svc->row->stop_ms = stop;
		schedule_wake(svc->m->schedule);
	}
	return r;
}

/* A data directory never changes, and so its owner does not. */
static void set_owners(struct service_row *row, const json_t *changes, const json_t *unset,
		       const uid_t *owner)
{
	json_t *names = changed_names(changes, unset);

	json_object_del(names, "data_dir");
	content_set_option_owners(row, names, owner);
	json_decref(names);
}

static bool differs(const struct service *svc, const json_t *before, const char *option)
{
	return !same_value(json_object_get(before, option), json_object_get(svc->options, option));
}

/* What counts at once. before: the options until now. */
static void apply_changes(struct service *svc, const json_t *before)
{
	bool was_public = json_is_true(json_object_get(before, "public"));
	bool closed = was_public && !service_is_public(svc);
	json_t *port = json_object_get(svc->options, "port");

	if (json_is_integer(port)) {
		svc->row->port = (uint16_t)json_integer_value(port);
	}
	if (!service_is_public(svc)) {
		ensure_client_key(svc->row);
	}
	service_set_frontend(svc);
	if (was_public != service_is_public(svc) || differs(svc, before, "pow") ||
	    differs(svc, before, "backend_of")) {
		service_republish(svc, closed, NULL, NULL);
	}
}

/* --- paths --- */

struct edit_check {
	struct manager *m;
	manager_done_fn *cb;
	void *ud;
};

static void edit_checked(void *ud, const struct error *err)
{
	struct edit_check *e = ud;
	struct manager *m = e->m;

	e->cb(e->ud, err, NULL);
	free(e);
	m->n_ops--;
	manager_check_stopped(m);
}

int manager_check_edit(struct manager *m, const json_t *changes, const int *fds, const uid_t *owner,
		       manager_done_fn *cb, void *ud, struct error *err)
{
	const struct content_receive what = {.options = changes,
					     .fds = fds,
					     .owner = owner,
					     .state_dir = m->config.state_dir};

	if (refuse_if_stopping(m, err) < 0) {
		return -err->code;
	}
	struct edit_check *e = xnew(struct edit_check);

	e->m = m;
	e->cb = cb;
	e->ud = ud;
	m->n_ops++;
	content_check_receive(m->ev, &what, edit_checked, e);
	return 0;
}

/* --- options --- */

int manager_edit(struct manager *m, struct service *svc, const json_t *changes, const json_t *unset,
		 const uid_t *owner, json_t **ret_restart, manager_done_fn *cb, void *ud,
		 struct error *err)
{
	json_t *merged = NULL, *before, *restart = json_array();
	const char *name;
	json_t *value;
	int r = refuse_change(svc, err);

	if (r == 0) {
		r = merge(svc, changes, unset, &merged, err);
	}
	if (r == 0) {
		r = change_times(svc, merged, changes, unset, err);
		if (r < 0) {
			json_decref(merged);
		}
	}
	if (r < 0) {
		json_decref(restart);
		return r;
	}
	before = json_incref(svc->options);
	json_decref(svc->row->options);
	svc->row->options = merged;
	set_owners(svc->row, changes, unset, owner);
	service_set_options(svc);
	json_object_foreach (svc->options, name, value) {
		const struct option *o = option_find(svc->row->mode, name);

		if (o && o->flags & OPTION_NEEDS_RESTART && !service_is_down(svc) &&
		    !same_value(value, json_object_get(before, name))) {
			json_array_append_new(restart, json_string(name));
		}
	}
	apply_changes(svc, before);
	json_decref(before);
	if (svc->state == SERVICE_SCHEDULED) {
		service_start(svc); /* says for when */
	}
	service_tell_state(svc);
	*ret_restart = restart;
	op_save(op_new(m, svc, cb, ud), svc);
	return 0;
}

/* new_name: NULL if the service is gone, not just the name. */
static void tell_gone(struct manager *m, const char *name, const char *new_name)
{
	json_t *event = json_pack("{s:s, s:s, s:s, s:n}", "event", "state", "name", name, "state",
				  "deleted", "reason");

	if (new_name) {
		json_object_set_new(event, "reason", json_sprintf("renamed to %s", new_name));
		json_object_set_new(event, "new_name", json_string(new_name));
	}
	bus_publish(m->bus, name, event);
}

/* Who watches knows services by their names. */
static void tell_renamed(struct service *svc, const char *old_name)
{
	if (strcmp(old_name, svc->row->name) != 0) {
		tell_gone(svc->m, old_name, svc->row->name);
		service_tell_state(svc);
	}
}

/* Its past was put under the new name; this is what it was called until now. */
static void note_rename(struct service *svc, const char *old_name)
{
	if (strcmp(old_name, svc->row->name) != 0) {
		json_t *details = json_pack("{s:s}", "old_name", old_name);

		store_history_add(svc->m->store, svc->row->name, "renamed", details);
		json_decref(details);
	}
}

/* Another name, and back to the old one if it cannot be saved. */
struct rename {
	struct service *svc; /* a service that waits for something is not freed */
	char *old_name;
	bool was_ephemeral;
	manager_done_fn *cb;
	void *ud;
};

static void renamed(void *ud, const struct error *err, int64_t id)
{
	struct rename *rn = ud;
	struct service *svc = rn->svc;
	struct manager *m = svc->m;

	if (err) {
		free(svc->row->name);
		svc->row->name = take_ptr(rn->old_name);
		svc->ephemeral = rn->was_ephemeral;
	} else if (id) {
		svc->row->id = id;
		if (svc->webhook && rn->was_ephemeral) {
			webhook_saved(svc->webhook, id);
		}
	}
	if (!err) {
		tell_renamed(svc, rn->old_name);
		if (!rn->was_ephemeral) {
			note_rename(svc, rn->old_name);
		}
	}
	svc->renaming = false;
	if (svc->abandoned) {
		manager_abandon(m, svc->serial);
	}
	rn->cb(rn->ud, err, svc);
	free(rn->old_name);
	free(rn);
	m->n_ops--;
	manager_check_stopped(m);
}

static int change_name(struct service *svc, const char *name, bool keep, manager_done_fn *cb,
		       void *ud, struct error *err)
{
	struct manager *m = svc->m;
	int r = refuse_change(svc, err);

	if (r == 0 && strcmp(name, svc->row->name) != 0) {
		r = check_new_name(m, name, err);
	}
	if (r < 0) {
		return r;
	}
	struct rename *rn = xnew(struct rename);

	rn->svc = svc;
	rn->old_name = svc->row->name;
	rn->was_ephemeral = svc->ephemeral;
	rn->cb = cb;
	rn->ud = ud;
	svc->row->name = xstrdup(name);
	if (svc->ephemeral && !keep) {
		tell_renamed(svc, rn->old_name);
		free(rn->old_name);
		free(rn);
		op_finish_later(op_new(m, svc, cb, ud));
		return 0;
	}
	/* A one-off is up or was; as a saved one it shall be as it is now. */
	if (svc->ephemeral) {
		svc->ephemeral = false;
		svc->row->wanted = service_is_coming_up(svc);
	}
	svc->renaming = true;
	m->n_ops++;
	store_service_put(m->store, svc->row, renamed, rn);
	return 0;
}

int manager_rename(struct manager *m, struct service *svc, const char *name, manager_done_fn *cb,
		   void *ud, struct error *err)
{
	(void)m;
	return change_name(svc, name, false, cb, ud, err);
}

int manager_keep(struct manager *m, struct service *svc, const char *name, manager_done_fn *cb,
		 void *ud, struct error *err)
{
	(void)m;
	if (!svc->ephemeral) {
		return error_set_kind(err, EINVAL, ERROR_INVALID_STATE, "saved", NULL,
				      "the service %s is already a saved one", svc->row->name);
	}
	return change_name(svc, name, true, cb, ud, err);
}

/* --- deleting: down -> received files, if asked for -> out of the database -> gone --- */

struct deletion {
	struct job job;
	struct service *svc;
	char *purge; /* directory, or NULL */
	uid_t owner; /* who chose it */
	struct error err;
	manager_done_fn *cb;
	void *ud;
};

static void deleted(void *ud, const struct error *err)
{
	struct deletion *d = ud;
	struct service *svc = d->svc;
	struct manager *m = svc->m;

	if (err) {
		svc->deleting = false;
		d->cb(d->ud, err, svc);
	} else {
		tell_gone(m, svc->row->name, NULL);
		m->n_services--;
		manager_service_changed(m);
		service_free(svc);
		d->cb(d->ud, NULL, NULL);
	}
	free(d->purge);
	error_done(&d->err);
	free(d);
	m->n_ops--;
	manager_check_stopped(m);
}

static void forget(struct deletion *d)
{
	if (d->err.code || d->svc->row->id == 0) {
		deleted(d, d->err.code ? &d->err : NULL);
	} else {
		store_service_delete(d->svc->m->store, d->svc->row->id, deleted, d);
	}
}

static void run_purge(struct job *job)
{
	struct deletion *d = container_of(job, struct deletion, job);

	fs_remove_tree(d->purge, d->owner, &d->err);
}

static void purged(struct job *job)
{
	forget(container_of(job, struct deletion, job));
}

static void down_for_deletion(void *ud, const struct error *err, struct service *svc)
{
	struct deletion *d = ud;

	(void)svc;
	(void)err; /* being down is no failure */
	d->svc->m->n_ops++;
	if (d->purge) {
		work_submit(d->svc->m->ev->work, WORK_SLOW, &d->job, run_purge, purged);
	} else {
		forget(d);
	}
}

/* path: dir itself, or something below it. */
static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	while (n > 1 && dir[n - 1] == '/') {
		n--;
	}
	return strncmp(path, dir, n) == 0 && (!path[n] || path[n] == '/');
}

/* What another service receives, or has received, is not this one's to remove. */
static int refuse_to_purge_others(struct manager *m, const struct service *svc,
				  const char *data_dir, struct error *err)
{
	list_for_each (it, &m->services) {
		const struct service *other = list_entry(it, const struct service, link);
		const char *theirs = other == svc ? NULL : service_data_dir(other);

		if (theirs && is_below(theirs, data_dir)) {
			return error_set_kind(err, EBUSY, ERROR_INVALID_STATE, "shared", NULL,
					      "%s also holds what %s receives; delete %s without "
					      "purging",
					      data_dir, other->row->name, svc->row->name);
		}
	}
	return 0;
}

int manager_delete(struct manager *m, struct service *svc, bool now, bool purge,
		   manager_done_fn *cb, void *ud, struct error *err)
{
	const char *data_dir = json_string_value(json_object_get(svc->row->options, "data_dir"));
	int r = refuse_if_busy(svc, err);

	if (r == 0 && svc->changing) {
		r = error_set_kind(err, EBUSY, ERROR_INVALID_STATE, "changing", NULL,
				   "the content of %s is being changed; try again", svc->row->name);
	}
	if (r == 0 && purge && data_dir) {
		r = refuse_to_purge_others(m, svc, data_dir, err);
	}
	if (r < 0) {
		return r;
	}
	struct deletion *d = xnew(struct deletion);

	d->svc = svc;
	d->purge = purge && data_dir ? xstrdup(data_dir) : NULL;
	d->owner = content_option_owner(svc->row, "data_dir");
	d->cb = cb;
	d->ud = ud;
	svc->deleting = true;
	service_stop(svc, now);
	op_when_down(op_new(m, svc, down_for_deletion, d), svc);
	return 0;
}

static void nobody_asked(void *ud, const struct error *err, struct service *svc)
{
	(void)ud;
	(void)err;
	(void)svc;
}

void manager_abandon(struct manager *m, uint64_t serial)
{
	struct service *svc = manager_find_serial(m, serial);
	struct error err = ERROR_INIT;

	if (svc && (svc->renaming || svc->changing)) {
		svc->abandoned = true; /* it may be kept; if not, it is looked at again */
	} else if (svc && svc->ephemeral) {
		/* Refused only if it goes anyway: deleted already, or with the daemon. */
		manager_delete(m, svc, true, false, nobody_asked, NULL, &err);
		error_done(&err);
	}
}
