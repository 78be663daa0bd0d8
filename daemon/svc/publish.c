/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a service shows, and how that becomes something else: publish, add, remove.
 *
 *   get (check, or take a copy) -> look -> change over -> save -> done
 *                                              ^             |
 *                                              '- go back <--' cannot be saved
 *
 * Until the last step the row is what it was; a crash leaves one or the other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fsutil.h"
#include "base/log.h"
#include "proto/base/alloc.h"
#include "svc/content.h"
#include "svc/copies.h"
#include "svc/handover.h"
#include "svc/registry.h"

struct mode_content *service_content_new(const struct service *svc)
{
	return copies_content(svc->m, svc->row->paths, svc->row->sources, svc->row->layout);
}

/* --- content that somebody wants to be served --- */

int check_content(const struct manager_create *what, struct error *err)
{
	const json_t *copy = json_object_get(what->options, "copy");

	if (what->release && !what->handover) {
		return error_set_kind(
			err, EINVAL, ERROR_INVALID_VALUE, "release", "nothing was handed over",
			"release: the files must be handed over first (HandoverBegin)");
	}

	if (json_is_true(copy) && !what->handover) {
		return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "copy",
				      "nothing was handed over",
				      "copy: the files must be handed over first (HandoverBegin)");
	}
	return content_check_shape(what->paths, err);
}

struct getting {
	bool restricted;
	uid_t owner;
	size_t n;
	content_got_fn *cb;
	void *ud;
};

/* NULL if nothing is to be said of any. */
static json_t *sources_in_place(const struct getting *g)
{
	json_t *sources = g->restricted ? json_array() : NULL;

	for (size_t i = 0; sources && i < g->n; i++) {
		json_array_append_new(sources, json_pack("{s:I}", "owner", (json_int_t)g->owner));
	}
	return sources;
}

static void checked(void *ud, const struct error *err)
{
	struct getting *g = ud;

	g->cb(g->ud, err, err ? NULL : sources_in_place(g));
	free(g);
}

static void taken(void *ud, const struct error *err, json_t *sources)
{
	struct getting *g = ud;

	g->cb(g->ud, err, sources);
	free(g);
}

int get_content(struct manager *m, const struct manager_create *what, content_got_fn *cb, void *ud,
		struct error *err)
{
	struct getting *g = xnew(struct getting);
	int r = 0;

	g->n = json_array_size(what->paths);
	g->restricted = what->owner != NULL;
	g->owner = what->owner ? *what->owner : 0;
	g->cb = cb;
	g->ud = ud;
	if (what->handover) {
		r = handover_take(what->handover, g->n, what->release, taken, g, err);
	} else {
		content_check(m->ev, what->paths, what->fds, what->owner, m->config.state_dir,
			      checked, g);
	}
	if (r < 0) {
		free(g);
	}
	return r;
}

/* --- a change --- */

enum change_kind { CHANGE_PUBLISH, CHANGE_ADD, CHANGE_REMOVE };

struct content_change {
	struct job job;      /* looks at what the first path is */
	struct service *svc; /* is not deleted meanwhile */
	enum change_kind kind;
	json_t *given;         /* paths */
	json_t *given_sources; /* held until the row has them; NULL: nothing to be said */
	char *first;           /* what stands in the root, if that is not known; else NULL */
	bool first_is_dir;
	/* what it shall be */
	json_t *paths, *sources;
	unsigned layout;
	bool changing_over; /* the mode is asked; going_back: for the old content */
	bool going_back;
	bool waiting; /* until the mode is ready: the service was started again meanwhile */
	struct error err;
	manager_done_fn *cb;
	void *ud;
};

static const char *const change_events[] = {
	[CHANGE_PUBLISH] = "published",
	[CHANGE_ADD] = "content-added",
	[CHANGE_REMOVE] = "content-removed",
};

static void change_end(struct content_change *c)
{
	struct service *svc = c->svc;
	struct manager *m = svc->m;

	svc->changing = NULL;
	copies_drop(m, c->given_sources);
	c->cb(c->ud, c->err.code ? &c->err : NULL, svc);
	if (svc->abandoned) {
		svc->abandoned = false;
		manager_abandon(m, svc->serial);
	}
	json_decref(c->given);
	json_decref(c->given_sources);
	json_decref(c->paths);
	json_decref(c->sources);
	free(c->first);
	error_done(&c->err);
	free(c);
	m->n_ops--;
	manager_check_stopped(m);
}

/* --- the last steps: the mode, the row --- */

static void change_over(struct content_change *c);

/* What is left out of the new content is told as it was of the old. */
void service_show_notice(struct service *svc)
{
	if (svc->state == SERVICE_RUNNING && svc->mode && svc->mode->ops->notice) {
		service_set_state(svc, SERVICE_RUNNING, svc->mode->ops->notice(svc->mode));
	}
}

static void tell_history(const struct content_change *c)
{
	struct service *svc = c->svc;

	if (!svc->ephemeral) {
		json_t *details =
			json_pack("{s:I}", "paths", (json_int_t)json_array_size(c->given));

		store_history_add(svc->m->store, svc->row->name, change_events[c->kind], details);
		json_decref(details);
	}
}

/* The row and the change, one for the other. */
static void swap_with_row(struct content_change *c)
{
	struct service_row *row = c->svc->row;
	json_t *paths = row->paths, *sources = row->sources;
	unsigned layout = row->layout;

	row->paths = c->paths;
	row->sources = c->sources;
	row->layout = c->layout;
	c->paths = paths;
	c->sources = sources;
	c->layout = layout;
}

static void row_saved(void *ud, const struct error *err, struct service *svc)
{
	struct content_change *c = ud;

	if (err) {
		error_copy(&c->err, err);
		swap_with_row(c);
		c->going_back = true;
		change_over(c);
		return;
	}
	copies_drop(svc->m, c->sources); /* the old ones */
	tell_history(c);
	service_show_notice(svc);
	change_end(c);
}

static void save_row(struct content_change *c)
{
	copies_hold(c->svc->m, c->sources);
	swap_with_row(c);
	op_save(op_new(c->svc->m, c->svc, row_saved, c), c->svc);
}

static void changed_over(void *ud, const struct error *err)
{
	struct content_change *c = ud;

	c->changing_over = false;
	if (c->going_back) {
		if (err) {
			service_fail(c->svc, error_text(err));
		}
		copies_drop(c->svc->m, c->sources);
		change_end(c);
	} else if (err) {
		error_copy(&c->err, err);
		change_end(c);
	} else {
		save_row(c);
	}
}

void service_content_mode_gone(struct service *svc)
{
	struct content_change *c = svc->changing;

	if (c && (c->changing_over || c->waiting)) {
		c->waiting = false;
		changed_over(c, NULL);
	}
}

void service_content_mode_ready(struct service *svc)
{
	struct content_change *c = svc->changing;

	if (c && c->waiting) {
		c->waiting = false;
		change_over(c);
	}
}

/* To what the change says; going back: to what the row says again. */
static void change_over(struct content_change *c)
{
	struct service *svc = c->svc;

	if (!svc->mode || svc->taking_down) {
		changed_over(c, NULL);
		return;
	}
	if (!svc->mode_ready) {
		c->waiting = true;
		return;
	}
	struct mode_content *content =
		c->going_back ? service_content_new(svc)
			      : copies_content(svc->m, c->paths, c->sources, c->layout);

	c->changing_over = true;
	svc->mode->ops->replace(svc->mode, content, changed_over, c);
	mode_content_unref(content);
}

/* --- what it shall be --- */

static json_t *source_of(const json_t *sources, size_t i)
{
	json_t *source = json_array_get(sources, i);

	return source ? json_deep_copy(source) : json_object();
}

static void append(struct content_change *c, const json_t *paths, const json_t *sources, size_t i)
{
	json_array_append(c->paths, json_array_get(paths, i));
	json_array_append_new(c->sources, source_of(sources, i));
}

static bool holds(const json_t *paths, const json_t *path)
{
	size_t i;
	json_t *other;

	json_array_foreach (paths, i, other) {
		if (json_equal(other, path)) {
			return true;
		}
	}
	return false;
}

/* Once made of several, or changed, it stays as it is, however many are left. */
static unsigned fixed_layout(const struct content_change *c)
{
	const struct service_row *row = c->svc->row;

	if (row->layout != MODE_LAYOUT_ALONE) {
		return row->layout;
	}
	return json_array_size(row->paths) == 1 && c->first_is_dir ? MODE_LAYOUT_FIRST
								   : MODE_LAYOUT_NAMED;
}

static void compose(struct content_change *c)
{
	const struct service_row *row = c->svc->row;
	size_t n = json_array_size(row->paths);

	c->paths = json_array();
	c->sources = json_array();
	c->layout = c->kind == CHANGE_PUBLISH ? MODE_LAYOUT_ALONE : fixed_layout(c);
	for (size_t i = 0; i < n && c->kind != CHANGE_PUBLISH; i++) {
		bool goes =
			c->kind == CHANGE_REMOVE && holds(c->given, json_array_get(row->paths, i));

		if (!goes) {
			append(c, row->paths, row->sources, i);
		} else if (i == 0 && c->layout == MODE_LAYOUT_FIRST) {
			c->layout = MODE_LAYOUT_NAMED;
		}
	}
	for (size_t i = 0; i < json_array_size(c->given) && c->kind != CHANGE_REMOVE; i++) {
		append(c, c->given, c->given_sources, i);
	}
}

static void composed(struct content_change *c)
{
	if (c->svc->mode && !c->svc->mode_ready && !c->svc->taking_down) {
		error_set_kind(&c->err, EBUSY, ERROR_INVALID_STATE, "preparing", NULL,
			       "%s is just starting; try again in a moment", c->svc->row->name);
		change_end(c);
		return;
	}
	compose(c);
	change_over(c);
}

static void run_look(struct job *job)
{
	struct content_change *c = container_of(job, struct content_change, job);
	_cleanup_close_ int fd = fs_open_no_links(c->first, O_PATH);
	struct stat st;

	c->first_is_dir = fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

static void looked(struct job *job)
{
	composed(container_of(job, struct content_change, job));
}

/* One path alone, and whether it is the root or in it has never been said. */
static void look(struct content_change *c)
{
	const struct service_row *row = c->svc->row;

	if (c->kind != CHANGE_ADD || row->layout != MODE_LAYOUT_ALONE ||
	    json_array_size(row->paths) != 1) {
		composed(c);
		return;
	}
	struct mode_content *now = service_content_new(c->svc);

	c->first = xstrdup(now->paths[0]);
	mode_content_unref(now);
	work_submit(c->svc->m->ev->work, WORK_SLOW, &c->job, run_look, looked);
}

static void got(void *ud, const struct error *err, json_t *sources)
{
	struct content_change *c = ud;

	c->given_sources = sources;
	if (err) {
		error_copy(&c->err, err);
		change_end(c);
	} else {
		look(c);
	}
}

/* --- what is refused at once --- */

static int refuse_content(const struct service *svc, struct error *err)
{
	int r = refuse_change(svc, err);

	if (r == 0 && json_array_size(svc->row->paths) == 0) {
		r = error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "name", "has no content",
				   "%s is a %s service, which has no content", svc->row->name,
				   svc->row->mode);
	}
	if (r == 0 && (svc->changing || svc->finished)) {
		r = error_set_kind(err, EBUSY, ERROR_INVALID_STATE, "changing", NULL,
				   "the content of %s is being changed; try again", svc->row->name);
	}
	return r;
}

static int refuse_paths(const char *why, const char *path, struct error *err)
{
	return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "paths", why, "%s %s", path, why);
}

static int check_added(const struct service *svc, const json_t *paths, struct error *err)
{
	size_t i;
	json_t *path;

	json_array_foreach (paths, i, path) {
		if (holds(svc->row->paths, path)) {
			return refuse_paths("is there already", json_string_value(path), err);
		}
	}
	if (json_array_size(svc->row->paths) + json_array_size(paths) > MANAGER_MAX_PATHS) {
		char limit[16];

		snprintf(limit, sizeof(limit), "%u", MANAGER_MAX_PATHS);
		return error_set_kind(err, E2BIG, ERROR_LIMIT_EXCEEDED, "paths", limit,
				      "a service takes at most %s paths", limit);
	}
	return 0;
}

static int check_removed(const struct service *svc, const json_t *paths, struct error *err)
{
	size_t i, left = json_array_size(svc->row->paths);
	json_t *path;

	json_array_foreach (paths, i, path) {
		if (!holds(svc->row->paths, path)) {
			return refuse_paths("is not among what it serves", json_string_value(path),
					    err);
		}
	}
	json_array_foreach (svc->row->paths, i, path) {
		left -= holds(paths, path);
	}
	if (left == 0) {
		return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "paths",
				      "nothing would be left",
				      "nothing would be left of %s; stop or delete it instead",
				      svc->row->name);
	}
	return 0;
}

static struct content_change *change_new(struct service *svc, enum change_kind kind,
					 const json_t *paths, manager_done_fn *cb, void *ud)
{
	struct content_change *c = xnew(struct content_change);

	c->svc = svc;
	c->kind = kind;
	c->given = json_deep_copy(paths);
	c->cb = cb;
	c->ud = ud;
	svc->changing = c;
	svc->m->n_ops++;
	return c;
}

static int begin(struct service *svc, enum change_kind kind, const struct manager_create *what,
		 manager_done_fn *cb, void *ud, struct error *err)
{
	struct content_change *c = change_new(svc, kind, what->paths, cb, ud);
	int r = get_content(svc->m, what, got, c, err);

	if (r < 0) {
		svc->changing = NULL;
		svc->m->n_ops--;
		json_decref(c->given);
		free(c);
	}
	return r;
}

int manager_publish(struct manager *m, struct service *svc, const struct manager_create *what,
		    manager_done_fn *cb, void *ud, struct error *err)
{
	int r = refuse_content(svc, err);

	(void)m;
	if (r == 0) {
		r = check_content(what, err);
	}
	return r < 0 ? r : begin(svc, CHANGE_PUBLISH, what, cb, ud, err);
}

int manager_add_content(struct manager *m, struct service *svc, const struct manager_create *what,
			manager_done_fn *cb, void *ud, struct error *err)
{
	int r = refuse_content(svc, err);

	(void)m;
	if (r == 0) {
		r = check_content(what, err);
	}
	if (r == 0) {
		r = check_added(svc, what->paths, err);
	}
	return r < 0 ? r : begin(svc, CHANGE_ADD, what, cb, ud, err);
}

static void nothing_to_get(struct job *job)
{
	(void)job;
}

int manager_remove_content(struct manager *m, struct service *svc, const json_t *paths,
			   manager_done_fn *cb, void *ud, struct error *err)
{
	int r = refuse_content(svc, err);

	if (r == 0) {
		r = content_check_shape(paths, err);
	}
	if (r == 0) {
		r = check_removed(svc, paths, err);
	}
	if (r < 0) {
		return r;
	}
	struct content_change *c = change_new(svc, CHANGE_REMOVE, paths, cb, ud);

	/* Not from within. */
	work_submit(m->ev->work, WORK_FAST, &c->job, nothing_to_get, looked);
	return 0;
}
