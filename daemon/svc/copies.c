/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "svc/copies.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsutil.h"
#include "base/log.h"
#include "proto/base/alloc.h"
#include "proto/base/codec.h"
#include "proto/base/crypto.h"
#include "svc/registry.h"

#define RUN_NAME_LEN 8

/* RELEASE/N, and by how many it is held. */
struct part {
	struct list link;
	char *name;
	unsigned refs;
};

void copies_init(struct manager *m)
{
	char run[RUN_NAME_LEN + 1];

	crypto_random_name(run, RUN_NAME_LEN);
	list_init(&m->copies.parts);
	m->copies.run = xstrdup(run);
}

void copies_done(struct manager *m)
{
	list_for_each_safe (it, &m->copies.parts) {
		struct part *part = list_entry(it, struct part, link);

		list_remove(&part->link);
		free(part->name);
		free(part);
	}
	free(take_ptr(m->copies.run));
}

char *copies_new_release(struct manager *m)
{
	return xasprintf("%s-%u", m->copies.run, ++m->copies.last);
}

/* --- deleting --- */

struct removal {
	struct job job;
	struct manager *m;
	char *dir;    /* STATE/content */
	char **names; /* beneath it: RELEASE or RELEASE/N; of a sweep: what stays */
	size_t n;
	char *run; /* of a sweep: whose releases are left alone; else NULL */
	struct error err;
};

static void remove_one(struct removal *r, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", r->dir, name);
	char *slash = strrchr(path, '/');

	fs_remove_tree(path, FS_ANY_OWNER, &r->err);
	if (strchr(name, '/')) {
		/* The release too, if that was the last part of it. */
		*slash = '\0';
		rmdir(path);
	}
}

static void run_removal(struct job *job)
{
	struct removal *r = container_of(job, struct removal, job);

	for (size_t i = 0; i < r->n; i++) {
		remove_one(r, r->names[i]);
	}
}

static void removal_done(struct job *job)
{
	struct removal *r = container_of(job, struct removal, job);
	struct manager *m = r->m;

	if (r->err.code) {
		log_warning("copied content that nobody needs any more is left: %s",
			    error_text(&r->err));
	}
	for (size_t i = 0; i < r->n; i++) {
		free(r->names[i]);
	}
	free(r->names);
	free(r->run);
	free(r->dir);
	error_done(&r->err);
	free(r);
	m->n_ops--;
	manager_check_stopped(m);
}

static struct removal *removal_new(struct manager *m)
{
	struct removal *r = xnew(struct removal);

	r->m = m;
	r->dir = xasprintf("%s/" COPIES_DIR, m->config.state_dir);
	m->n_ops++;
	return r;
}

static void remove_name(struct manager *m, const char *name)
{
	/* A daemon that has said that it is done begins nothing: the next one sweeps. */
	if (!m->config.state_dir || (m->stopping && !m->stopped)) {
		return;
	}
	struct removal *r = removal_new(m);

	r->names = xcalloc(1, sizeof(char *));
	r->names[r->n++] = xstrdup(name);
	work_submit(m->ev->work, WORK_SLOW, &r->job, run_removal, removal_done);
}

void copies_remove_release(struct manager *m, const char *release)
{
	remove_name(m, release);
}

/* --- holding --- */

/* "abc-1/0" of "abc-1/0/site/index.html". Empty: it is no such thing. */
static struct span part_name(const json_t *source)
{
	const char *copy = json_string_value(json_object_get(source, "copy"));
	const char *slash = copy ? strchr(copy, '/') : NULL;

	if (!slash) {
		return SPAN("");
	}
	return span_of(copy, (size_t)(slash - copy) + 1 + strcspn(slash + 1, "/"));
}

static struct part *find(struct manager *m, struct span name)
{
	list_for_each (it, &m->copies.parts) {
		struct part *part = list_entry(it, struct part, link);

		if (span_eq(name, span_str(part->name))) {
			return part;
		}
	}
	return NULL;
}

void copies_hold(struct manager *m, const json_t *sources)
{
	json_t *source;
	size_t i;

	json_array_foreach (sources, i, source) {
		struct span name = part_name(source);
		struct part *part = name.n ? find(m, name) : NULL;

		if (name.n && !part) {
			part = xnew(struct part);
			part->name = xmemdup(name.p, name.n);
			list_append(&m->copies.parts, &part->link);
		}
		if (part) {
			part->refs++;
		}
	}
}

void copies_drop(struct manager *m, const json_t *sources)
{
	json_t *source;
	size_t i;

	json_array_foreach (sources, i, source) {
		struct span name = part_name(source);
		struct part *part = name.n ? find(m, name) : NULL;

		if (part && --part->refs == 0) {
			remove_name(m, part->name);
			list_remove(&part->link);
			free(part->name);
			free(part);
		}
	}
}

struct held {
	struct manager *m;
	json_t *sources;
};

static void content_gone(void *ud)
{
	struct held *held = ud;

	copies_drop(held->m, held->sources);
	json_decref(held->sources);
	free(held);
}

/* All of one release, which others have too; what was added to it here makes it another. */
static void set_release(struct mode_content *c, const json_t *sources)
{
	const json_t *first = json_object_get(json_array_get(sources, 0), "release");
	json_t *source;
	size_t i;

	c->released = json_is_string(first) && hex_decode(span_str(json_string_value(first)),
							  c->release, sizeof(c->release)) == 0;
	json_array_foreach (sources, i, source) {
		const json_t *release = json_object_get(source, "release");

		c->released = c->released && release && json_equal(first, release);
	}
}

struct mode_content *copies_content(struct manager *m, const json_t *paths, const json_t *sources,
				    unsigned layout)
{
	struct held *held = xnew(struct held);
	size_t n = json_array_size(paths);
	char **shown = xcalloc(n, sizeof(char *));
	uid_t *owners = xcalloc(n, sizeof(uid_t));

	held->m = m;
	held->sources = sources ? json_deep_copy(sources) : NULL;
	copies_hold(m, sources);
	for (size_t i = 0; i < n; i++) {
		const json_t *source = json_array_get(sources, i);
		const char *copy = json_string_value(json_object_get(source, "copy"));
		const json_t *owner = json_object_get(source, "owner");

		shown[i] = copy ? xasprintf("%s/" COPIES_DIR "/%s", m->config.state_dir, copy)
				: xstrdup(json_string_value(json_array_get(paths, i)));
		owners[i] = owner ? (uid_t)json_integer_value(owner) : MODE_ANY_OWNER;
	}
	struct mode_content *c = mode_content_new((const char *const *)shown, owners, n,
						  (enum mode_layout)layout, content_gone, held);

	set_release(c, sources);
	for (size_t i = 0; i < n; i++) {
		free(shown[i]);
	}
	free(shown);
	free(owners);
	return c;
}

/* --- the sweep --- */

static bool stays(const struct removal *r, const char *name)
{
	for (size_t i = 0; i < r->n; i++) {
		if (strcmp(r->names[i], name) == 0) {
			return true;
		}
	}
	return false;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static void sweep_release(struct removal *r, const char *release)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", r->dir, release);
	DIR *d = opendir(path);
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		_cleanup_free_ char *name = xasprintf("%s/%s", release, entry->d_name);

		if (!is_dots(entry->d_name) && !stays(r, name)) {
			remove_one(r, name);
		}
	}
	if (d) {
		closedir(d);
	}
	rmdir(path); /* if nothing is left of it */
}

static void run_sweep(struct job *job)
{
	struct removal *r = container_of(job, struct removal, job);
	DIR *d = opendir(r->dir);
	struct dirent *entry;
	size_t n_run = strlen(r->run);

	while (d && (entry = readdir(d))) {
		bool ours =
			strncmp(entry->d_name, r->run, n_run) == 0 && entry->d_name[n_run] == '-';

		if (!is_dots(entry->d_name) && !ours) {
			sweep_release(r, entry->d_name);
		}
	}
	if (d) {
		closedir(d);
	}
}

void copies_sweep(struct manager *m)
{
	if (!m->config.state_dir || m->stopping) {
		return;
	}
	struct removal *r = removal_new(m);
	size_t cap = 0;

	list_for_each (it, &m->copies.parts) {
		if (r->n == cap) {
			cap = cap ? 2 * cap : 16;
			r->names = xreallocarray(r->names, cap, sizeof(char *));
		}
		r->names[r->n++] = xstrdup(list_entry(it, struct part, link)->name);
	}
	r->run = xstrdup(m->copies.run);
	work_submit(m->ev->work, WORK_SLOW, &r->job, run_sweep, removal_done);
}
