/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "svc/content.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fsutil.h"
#include "ev/work.h"
#include "mode/content.h"
#include "proto/base/alloc.h"
#include "svc/delivery.h"
#include "svc/manager.h"

struct check {
	struct job job;
	char **paths;
	int *fds; /* NULL: not asked for */
	size_t n;
	uid_t owner;     /* MODE_ANY_OWNER: does not matter */
	char *state_dir; /* NULL: none */
	struct error err;
	content_checked_fn *cb;
	void *ud;
};

static int refuse_value(struct error *err, const char *why)
{
	return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "paths", why, "paths: %s", why);
}

int content_check_shape(const json_t *paths, struct error *err)
{
	size_t i;
	json_t *path;

	if (!json_is_array(paths) || json_array_size(paths) == 0) {
		return refuse_value(err, "at least one file or directory is needed");
	}
	if (json_array_size(paths) > MANAGER_MAX_PATHS) {
		char limit[16];

		snprintf(limit, sizeof(limit), "%u", MANAGER_MAX_PATHS);
		return error_set_kind(err, E2BIG, ERROR_LIMIT_EXCEEDED, "paths", limit,
				      "a service takes at most %s paths: put them into one "
				      "directory",
				      limit);
	}
	json_array_foreach (paths, i, path) {
		const char *s = json_string_value(path);

		if (!s || s[0] != '/' || strlen(s) != json_string_length(path)) {
			return refuse_value(err, "each must be an absolute path");
		}
		if (strlen(s) >= PATH_MAX) {
			return refuse_value(err, "a path is too long");
		}
	}
	return 0;
}

static const char *own_user(char *buf, size_t size)
{
	struct passwd pw, *found = NULL;
	char space[1024];

	/* No network directory is asked: the daemon's unit has only local users. */
	if (getpwuid_r(geteuid(), &pw, space, sizeof(space), &found) == 0 && found) {
		snprintf(buf, size, "%s", pw.pw_name);
	} else {
		snprintf(buf, size, "%u", geteuid());
	}
	return buf;
}

static int not_readable(struct error *err, int code, const char *path)
{
	char user[64];

	own_user(user, sizeof(user));
	if (code == ELOOP) {
		return error_set_kind(err, code, ERROR_PATH_NOT_READABLE, path, "a symbolic link",
				      "%s is a symbolic link, or goes through one; name what it "
				      "points to",
				      path);
	}
	if (code == EACCES || code == EPERM) {
		return error_set_kind(err, code, ERROR_PATH_NOT_READABLE, path, strerror(code),
				      "the daemon, which runs as user %s, may not read %s; let it, "
				      "for example: setfacl -R -m u:%s:rX '%s' (and x on the "
				      "directories above)",
				      user, path, user, path);
	}
	return error_set_kind(err, code, ERROR_PATH_NOT_READABLE, path, strerror(code),
			      "the daemon, which runs as user %s, cannot read %s: %s", user, path,
			      strerror(code));
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* By identity, not by name: also through another mount of it. Is state_dir below st, or it? */
static bool holds_state(const struct stat *st, const char *state_dir)
{
	_cleanup_close_ int dir = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat at, above;

	while (dir >= 0 && fstat(dir, &at) == 0) {
		if (same_file(st, &at)) {
			return true;
		}
		int parent = openat(dir, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

		close(dir);
		dir = parent;
		if (dir < 0 || fstat(dir, &above) < 0 || same_file(&above, &at)) {
			break; /* "/" is its own parent */
		}
	}
	return false;
}

static int check_kind(const char *path, const struct stat *st, struct error *err)
{
	if (S_ISLNK(st->st_mode)) {
		return not_readable(err, ELOOP, path);
	}
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode)) {
		return error_set_kind(err, EINVAL, ERROR_PATH_NOT_READABLE, path,
				      "not a file or directory",
				      "%s is neither a file nor a directory", path);
	}
	return 0;
}

/* O_PATH and write-only descriptors can be had without the right to read. */
static int check_descriptor(const char *path, int fd, const struct stat *mine, struct error *err)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	if (flags < 0 || flags & O_PATH || (flags & O_ACCMODE) == O_WRONLY) {
		return error_set_kind(err, EPERM, ERROR_PERMISSION_DENIED,
				      "a descriptor opened for reading", NULL,
				      "the descriptor handed over for %s cannot be read", path);
	}
	if (fstat(fd, &st) < 0 || !same_file(mine, &st)) {
		return error_set_kind(err, EPERM, ERROR_PERMISSION_DENIED,
				      "a descriptor of the path", NULL,
				      "the descriptor handed over is not of %s", path);
	}
	return 0;
}

static int check_owner(const char *path, uid_t owner, const struct stat *st, struct error *err)
{
	char *const paths[] = {(char *)(uintptr_t)path, NULL};
	const struct mode_content chosen = {
		.paths = (char **)(uintptr_t)paths,
		.n = 1,
		.owners = &owner,
	};

	if (!mode_content_allows(&chosen, 0, st)) {
		return error_set_kind(err, EPERM, ERROR_PATH_NOT_READABLE, path,
				      "it is not for everybody",
				      "%s belongs to somebody else, and not everybody may read it; "
				      "share a copy of it (--copy)",
				      path);
	}
	return 0;
}

/* The file that is looked at is the one that is opened, whatever becomes of its name. */
static int reopen(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int again = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	return again < 0 ? -errno : again;
}

static int check_one(const char *path, int fd, uid_t owner, const char *state_dir,
		     struct error *err)
{
	_cleanup_close_ int seen = fs_open_no_links(path, O_PATH);
	struct stat st;

	if (seen < 0 || fstat(seen, &st) < 0) {
		return not_readable(err, seen < 0 ? -seen : errno, path);
	}
	int r = check_kind(path, &st, err);

	if (r < 0) {
		return r;
	}
	if (state_dir && holds_state(&st, state_dir)) {
		return error_set_kind(err, EPERM, ERROR_PATH_NOT_READABLE, path,
				      "it holds the daemon's keys",
				      "the daemon's own state with its keys is in %s; share only "
				      "what shall be shared of it",
				      path);
	}
	_cleanup_close_ int mine = reopen(seen);

	if (mine < 0) {
		return not_readable(err, -mine, path);
	}
	if (fd >= 0) {
		r = check_descriptor(path, fd, &st, err);
	}
	return r < 0 ? r : check_owner(path, owner, &st, err);
}

static void run(struct job *job)
{
	struct check *c = container_of(job, struct check, job);

	for (size_t i = 0; i < c->n; i++) {
		if (check_one(c->paths[i], c->fds ? c->fds[i] : -1, c->owner, c->state_dir,
			      &c->err) < 0) {
			return;
		}
	}
}

static void done(struct job *job)
{
	struct check *c = container_of(job, struct check, job);

	c->cb(c->ud, c->err.code ? &c->err : NULL);
	for (size_t i = 0; i < c->n; i++) {
		free(c->paths[i]);
		if (c->fds) {
			close_fdp(&c->fds[i]);
		}
	}
	free(c->paths);
	free(c->fds);
	free(c->state_dir);
	error_done(&c->err);
	free(c);
}

/* --- the paths of a receive service --- */

const char *const content_options[CONTENT_OPTIONS] = {"data_dir", "webhook_secret_file"};

struct receive_check {
	struct job job;
	char *paths[CONTENT_OPTIONS]; /* NULL: not set */
	int fds[CONTENT_OPTIONS];     /* -1: none */
	uid_t owners[CONTENT_OPTIONS];
	bool must_be_new;
	char *state_dir;
	struct error err;
	content_checked_fn *cb;
	void *ud;
};

static const char *option_path(const json_t *options, unsigned i)
{
	return json_string_value(json_object_get(options, content_options[i]));
}

unsigned content_count_options(const json_t *options)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CONTENT_OPTIONS; i++) {
		n += option_path(options, i) != NULL;
	}
	return n;
}

static int refuse_data_dir(struct receive_check *c, const char *why)
{
	return error_set_kind(&c->err, EEXIST, ERROR_INVALID_VALUE, content_options[0], why,
			      "%s %s", c->paths[0], why);
}

static int not_writable(struct receive_check *c)
{
	char user[64];

	own_user(user, sizeof(user));
	return error_set_kind(&c->err, EACCES, ERROR_PATH_NOT_READABLE, c->paths[0],
			      strerror(EACCES),
			      "the daemon, which runs as user %s, may not write into %s; let it, "
			      "for example: setfacl -m u:%s:rwx '%s' (and x on the directories "
			      "above)",
			      user, c->paths[0], user, c->paths[0]);
}

/* Of somebody who is not trusted: what he has opened, his own, and as it was named. */
static int check_chosen(struct receive_check *c, unsigned i)
{
	_cleanup_close_ int fd = fs_open_no_links(c->paths[i], O_PATH);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		return not_readable(&c->err, fd < 0 ? -fd : errno, c->paths[i]);
	}
	int r = check_descriptor(c->paths[i], c->fds[i], &st, &c->err);

	if (r < 0) {
		return r;
	}
	if (st.st_uid != c->owners[i] || (c->state_dir && holds_state(&st, c->state_dir))) {
		return error_set_kind(&c->err, EPERM, ERROR_PERMISSION_DENIED,
				      "a path of one's own", NULL,
				      "%s is not your own: %s can be chosen by its owner, by root "
				      "and by the daemon's own user",
				      c->paths[i], content_options[i]);
	}
	if (i == 0 && S_ISDIR(st.st_mode) &&
	    faccessat(fd, ".", R_OK | W_OK | X_OK, AT_EACCESS) < 0) {
		return not_writable(c);
	}
	return 0;
}

static void check_data_dir(struct receive_check *c)
{
	int fd = fs_open_owned(c->paths[0], O_RDONLY | O_DIRECTORY, c->owners[0]);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	unsigned n = 0;

	if (!d) {
		if (fd != -ENOENT || c->owners[0] != FS_ANY_OWNER) {
			refuse_data_dir(c, strerror(fd < 0 ? -fd : errno));
		}
		close_fdp(&fd);
		return;
	}
	/* Each has "." and "..". */
	while (c->must_be_new && n <= 2 && readdir(d)) {
		n++;
	}
	closedir(d);
	if (n > 2) {
		refuse_data_dir(c, "still holds what an earlier service of this name received: "
				   "move it away, choose another name, or take it over with "
				   "--adopt");
	}
}

static void check_secret_file(struct receive_check *c)
{
	struct error why = ERROR_INIT;

	if (delivery_check_secret(c->paths[1], c->owners[1], &why) < 0) {
		error_set_kind(&c->err, EINVAL, ERROR_INVALID_VALUE, content_options[1],
			       error_text(&why), "%s: %s", content_options[1], error_text(&why));
		error_done(&why);
	}
}

static void run_receive(struct job *job)
{
	static void (*const checks[CONTENT_OPTIONS])(struct receive_check *
						     c) = {check_data_dir, check_secret_file};
	struct receive_check *c = container_of(job, struct receive_check, job);

	for (unsigned i = 0; i < CONTENT_OPTIONS && !c->err.code; i++) {
		if (c->paths[i] && (c->owners[i] == FS_ANY_OWNER || check_chosen(c, i) == 0)) {
			checks[i](c);
		}
	}
}

static void done_receive(struct job *job)
{
	struct receive_check *c = container_of(job, struct receive_check, job);

	c->cb(c->ud, c->err.code ? &c->err : NULL);
	error_done(&c->err);
	for (unsigned i = 0; i < CONTENT_OPTIONS; i++) {
		free(c->paths[i]);
		close_fdp(&c->fds[i]);
	}
	free(c->state_dir);
	free(c);
}

void content_check_receive(struct ev *ev, const struct content_receive *what,
			   content_checked_fn *cb, void *ud)
{
	struct receive_check *c = xnew(struct receive_check);

	for (unsigned i = 0, used = 0; i < CONTENT_OPTIONS; i++) {
		const char *path = option_path(what->options, i);
		bool chosen = path && !(i == 0 && what->own_data_dir);

		c->paths[i] = path ? xstrdup(path) : NULL;
		c->fds[i] = chosen && what->fds ? what->fds[used++] : -1;
		c->owners[i] = chosen && what->owner ? *what->owner : FS_ANY_OWNER;
	}
	c->must_be_new = what->must_be_new;
	c->state_dir = what->state_dir ? xstrdup(what->state_dir) : NULL;
	c->cb = cb;
	c->ud = ud;
	work_submit(ev->work, WORK_SLOW, &c->job, run_receive, done_receive);
}

uid_t content_option_owner(const struct service_row *row, const char *option)
{
	const json_t *owner = json_object_get(row->sources, option);

	return owner ? (uid_t)json_integer_value(owner) : FS_ANY_OWNER;
}

static void set_option_owner(struct service_row *row, const char *option, const uid_t *owner)
{
	if (owner) {
		row->sources = row->sources ? row->sources : json_object();
		json_object_set_new(row->sources, option, json_integer((json_int_t)*owner));
	} else if (row->sources && json_object_del(row->sources, option) == 0 &&
		   json_object_size(row->sources) == 0) {
		json_decref(take_ptr(row->sources));
	}
}

void content_set_option_owners(struct service_row *row, const json_t *changes, const uid_t *owner)
{
	for (unsigned i = 0; i < CONTENT_OPTIONS; i++) {
		if (json_object_get(changes, content_options[i])) {
			set_option_owner(row, content_options[i],
					 option_path(changes, i) ? owner : NULL);
		}
	}
}

/* --- content --- */

void content_check(struct ev *ev, const json_t *paths, const int *fds, const uid_t *owner,
		   const char *state_dir, content_checked_fn *cb, void *ud)
{
	struct check *c = xnew(struct check);
	size_t i;
	json_t *path;

	c->n = json_array_size(paths);
	c->paths = xcalloc(c->n, sizeof(char *));
	json_array_foreach (paths, i, path) {
		c->paths[i] = xstrdup(json_string_value(path));
	}
	if (fds) {
		c->fds = xmemdup(fds, c->n * sizeof(int));
	}
	c->owner = owner ? *owner : MODE_ANY_OWNER;
	c->state_dir = state_dir ? xstrdup(state_dir) : NULL;
	c->cb = cb;
	c->ud = ud;
	work_submit(ev->work, WORK_SLOW, &c->job, run, done);
}
