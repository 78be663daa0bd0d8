/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "svc/handover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fsutil.h"
#include "proto/base/alloc.h"
#include "proto/base/codec.h"
#include "proto/base/crypto.h"
#include "proto/base/utf8.h"
#include "svc/copies.h"
#include "svc/copyfile.h"
#include "svc/registry.h"

#define TOKEN_LEN 20
/* After so much a job ends, tells how far it is, and lets others have the thread. */
#define STEP_BYTES (UINT64_C(64) << 20)

struct handover {
	struct manager *m;
	struct list link;
	uid_t uid;
	char token[TOKEN_LEN + 1];
	char *release;
	int dir; /* the release; opened before anything is written, so that no error is missed */
	uint32_t entries;
	char *last_file;  /* that "more" goes to */
	char *validators; /* hex, of a release for several machines; or NULL */
	uint32_t files;   /* so far */
	bool failed, ended, taking;

	/* the job: a batch, or the taking */
	struct job job;
	bool running;
	struct handover_entry *batch;
	size_t n, at;
	struct copyfile copy; /* of batch[at], if it has begun */
	uint64_t bytes;
	struct error err;
	handover_progress_fn *progress;
	handover_done_fn *done;
	void *ud;

	size_t n_parts;
	json_t *sources;
	handover_taken_fn *taken;
};

/* --- names --- */

static int bad_name(struct error *err, const char *why)
{
	return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "entries", why,
			      "a name of what is handed over is no good: it %s", why);
}

static bool is_part(struct span s)
{
	bool digits = s.n > 0 && s.n <= 2;

	for (size_t i = 0; i < s.n && digits; i++) {
		digits = s.p[i] >= '0' && s.p[i] <= '9';
	}
	return digits && (s.n == 1 || s.p[0] != '0') &&
	       (s.n == 1 ? (unsigned)(s.p[0] - '0')
			 : (unsigned)(s.p[0] - '0') * 10 + (unsigned)(s.p[1] - '0')) <
		       MANAGER_MAX_PATHS;
}

int handover_check_name(struct span name, struct error *err)
{
	unsigned levels = 0;

	if (name.n > HANDOVER_MAX_PATH) {
		return bad_name(err, "is too long");
	}
	if (name.n == 0 || name.p[0] == '/' || name.p[name.n - 1] == '/') {
		return bad_name(err, "begins or ends with a slash");
	}
	if (memchr(name.p, '\0', name.n)) {
		return bad_name(err, "has a NUL in it");
	}
	while (name.n) {
		struct span part = span_cut(&name, '/');

		if (part.n == 0 || span_eq(part, SPAN(".")) || span_eq(part, SPAN(".."))) {
			return bad_name(err, "has an empty part, \".\" or \"..\" in it");
		}
		if (part.n > NAME_MAX) {
			return bad_name(err, "has a part that is too long");
		}
		if (levels == 0 && !is_part(part)) {
			return bad_name(err, "does not begin with the number of a path");
		}
		if (++levels > HANDOVER_MAX_LEVELS) {
			return bad_name(err, "has too many levels of directories");
		}
	}
	return 0;
}

/* --- on the pool --- */

/* Not before somebody hands something over, and on the pool. */
static int make_release(struct handover *h)
{
	_cleanup_free_ char *content = xasprintf("%s/" COPIES_DIR, h->m->config.state_dir);
	_cleanup_free_ char *path = xasprintf("%s/%s", content, h->release);
	int r = fs_mkdir_p(content, 0700, &h->err);

	if (r == 0 && mkdir(path, 0700) < 0) {
		r = error_set_kind(&h->err, errno, ERROR_STORAGE, strerror(errno), NULL,
				   "cannot make %s: %s", path, strerror(errno));
	}
	if (r < 0) {
		return r;
	}
	int fd = fs_open_nofollow(path, O_RDONLY | O_DIRECTORY);

	if (fd < 0) {
		return error_set(&h->err, -fd, "cannot use %s: %s", path, strerror(-fd));
	}
	h->dir = fd;
	return 0;
}

/* The directory that name is in; *ret_base: its last part. */
static int open_parent(const struct handover *h, const char *name, const char **ret_base)
{
	const char *slash = strrchr(name, '/');

	if (!slash) {
		*ret_base = name;
		return fs_open_beneath(h->dir, ".", O_RDONLY | O_DIRECTORY);
	}
	_cleanup_free_ char *parent = xmemdup(name, (size_t)(slash - name));

	*ret_base = slash + 1;
	return fs_open_beneath(h->dir, parent, O_RDONLY | O_DIRECTORY);
}

static int cannot_make(struct handover *h, const char *name, int code)
{
	_cleanup_(buf_done) struct buf shown = BUF_INIT;
	const char *slash = strchr(name, '/');

	/* As the caller knows it: without the number of the path that it is of. */
	utf8_escape(&shown, span_str(slash ? slash + 1 : name));
	switch (code) {
	case EEXIST:
		return error_set_kind(&h->err, code, ERROR_INVALID_VALUE, "entries",
				      "a name is there twice", "%s is there twice", shown.p);
	case ENOENT:
	case ENOTDIR:
		return error_set_kind(&h->err, code, ERROR_INVALID_VALUE, "entries",
				      "a directory is missing",
				      "the directory that %s is in was not handed over", shown.p);
	default:
		return error_set_kind(&h->err, code, ERROR_STORAGE, strerror(code), NULL,
				      "cannot keep a copy of %s: %s", shown.p, strerror(code));
	}
}

static int make_directory(struct handover *h, const char *name)
{
	const char *base;
	_cleanup_close_ int parent = open_parent(h, name, &base);

	if (parent < 0) {
		return cannot_make(h, name, -parent);
	}
	return mkdirat(parent, base, 0700) < 0 ? cannot_make(h, name, errno) : 0;
}

static int open_copy(struct handover *h, const struct handover_entry *e)
{
	bool more = e->kind == HANDOVER_MORE;
	const char *base;
	_cleanup_close_ int parent = open_parent(h, e->name, &base);

	if (more && (!h->last_file || strcmp(h->last_file, e->name) != 0)) {
		return error_set_kind(&h->err, EINVAL, ERROR_INVALID_VALUE, "entries",
				      "more of a file follows it at once",
				      "more of a file can only follow it at once");
	}
	if (parent < 0) {
		return cannot_make(h, e->name, -parent);
	}
	int fd = openat(parent, base,
			(more ? O_WRONLY : O_WRONLY | O_CREAT | O_EXCL) | O_NOFOLLOW | O_CLOEXEC,
			0600);

	if (fd < 0) {
		return cannot_make(h, e->name, errno);
	}
	free(h->last_file);
	h->last_file = xstrdup(e->name);
	return copyfile_begin(&h->copy, e->fd, fd, more, HANDOVER_RESERVE, &h->err);
}

/*
 * A file's time is its place in the order in which they came: the same on all machines that
 * the same release is handed over to, and never twice in it (mode/content.h).
 */
static void number(struct handover *h)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = h->files}};

	/* What cannot be numbered has validators of this machine's own. */
	(void)!futimens(h->copy.to, times);
}

/* One entry, or a step of it: 1 if it is whole, 0 if there is more of it, -errno. */
static int put_some(struct handover *h, uint64_t *left)
{
	const struct handover_entry *e = &h->batch[h->at];
	uint64_t before = h->copy.done;
	int r;

	if (e->kind == HANDOVER_DIRECTORY) {
		r = make_directory(h, e->name);
		return r < 0 ? r : 1;
	}
	if (!h->copy.open) {
		before = 0;
		r = open_copy(h, e);
		if (r < 0) {
			return r;
		}
		h->files += e->kind == HANDOVER_FILE;
	}
	r = copyfile_some(&h->copy, *left, &h->err);
	if (r == 1) {
		number(h);
	}
	h->bytes += h->copy.done - before;
	*left -= h->copy.done - before < *left ? h->copy.done - before : *left;
	return r;
}

static void run_batch(struct job *job)
{
	struct handover *h = container_of(job, struct handover, job);
	uint64_t left = STEP_BYTES;

	if (h->dir < 0 && make_release(h) < 0) {
		return;
	}
	while (h->at < h->n && left) {
		int r = put_some(h, &left);

		if (r < 0) {
			return;
		}
		if (r > 0) {
			copyfile_end(&h->copy);
			h->at++;
		}
	}
}

/* --- batches --- */

void handover_entries_free(struct handover_entry *entries, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(entries[i].name);
		close_fdp(&entries[i].fd);
	}
	free(entries);
}

static void release_if_ended(struct handover *h)
{
	if (!h->ended || h->running) {
		return;
	}
	if (h->release && h->dir >= 0) {
		copies_remove_release(h->m, h->release);
	}
	list_remove(&h->link);
	close_fdp(&h->dir);
	handover_entries_free(h->batch, h->n);
	free(h->last_file);
	free(h->validators);
	free(h->release);
	error_done(&h->err);
	free(h);
}

static void stopped_running(struct handover *h)
{
	struct manager *m = h->m;

	h->running = false;
	release_if_ended(h);
	m->n_ops--;
	manager_check_stopped(m);
}

static void batch_done(struct job *job);

static void run_next(struct handover *h)
{
	work_submit(h->m->ev->work, WORK_SLOW, &h->job, run_batch, batch_done);
}

static void batch_done(struct job *job)
{
	struct handover *h = container_of(job, struct handover, job);
	bool more = !h->err.code && h->at < h->n;

	if (more && h->m->stopping) {
		refuse_if_stopping(h->m, &h->err);
	} else if (more && (h->ended || !h->progress(h->ud, h->bytes))) {
		error_set(&h->err, ECANCELED, "nobody waits for it any more");
	} else if (more) {
		run_next(h);
		return;
	}
	copyfile_end(&h->copy);
	h->failed = h->err.code != 0;
	handover_entries_free(take_ptr(h->batch), h->n);
	h->n = h->at = 0;
	h->done(h->ud, h->failed ? &h->err : NULL, h->bytes);
	error_done(&h->err);
	stopped_running(h);
}

static int refuse_put(struct handover *h, const struct handover_entry *entries, size_t n,
		      struct error *err)
{
	char limit[16];
	int r = refuse_if_stopping(h->m, err);

	if (r == 0 && (h->running || h->failed || h->ended || h->taking)) {
		r = error_set_kind(err, EBUSY, ERROR_INVALID_STATE, h->failed ? "failed" : "busy",
				   NULL, "what is handed over %s",
				   h->failed ? "was refused; begin anew" : "is still being copied");
	}
	snprintf(limit, sizeof(limit), "%u", HANDOVER_MAX_ENTRIES);
	if (r == 0 && (n > HANDOVER_MAX_BATCH || h->entries + n > HANDOVER_MAX_ENTRIES)) {
		r = error_set_kind(err, E2BIG, ERROR_LIMIT_EXCEEDED, "files and directories", limit,
				   "at most %s files and directories can be handed over, %u at "
				   "once",
				   limit, HANDOVER_MAX_BATCH);
	}
	for (size_t i = 0; i < n && r == 0; i++) {
		r = handover_check_name(span_str(entries[i].name), err);
		if (r == 0 && entries[i].kind != HANDOVER_DIRECTORY) {
			r = copyfile_check(entries[i].fd, err);
		}
	}
	return r;
}

int handover_put(struct handover *h, struct handover_entry *entries, size_t n,
		 handover_progress_fn *progress, handover_done_fn *done, void *ud,
		 struct error *err)
{
	int r = refuse_put(h, entries, n, err);

	if (r < 0) {
		handover_entries_free(entries, n);
		return r;
	}
	h->batch = entries;
	h->n = n;
	h->at = 0;
	h->entries += (uint32_t)n;
	h->bytes = 0;
	h->progress = progress;
	h->done = done;
	h->ud = ud;
	h->running = true;
	h->m->n_ops++;
	run_next(h);
	return 0;
}

/* --- beginning and end --- */

int handover_begin(struct manager *m, uid_t uid, struct handover **ret, struct error *err)
{
	unsigned n = 0;
	int r = refuse_if_stopping(m, err);

	list_for_each (it, &m->handovers) {
		n++;
	}
	if (r == 0 && !m->config.state_dir) {
		r = error_set(err, ENOTSUP, "this daemon keeps no state");
	}
	if (r == 0 && n >= HANDOVER_MAX) {
		char limit[16];

		snprintf(limit, sizeof(limit), "%u", HANDOVER_MAX);
		r = error_set_kind(err, EBUSY, ERROR_LIMIT_EXCEEDED, "handovers", limit,
				   "files are being handed over by %s callers already; try again "
				   "when one is done",
				   limit);
	}
	if (r < 0) {
		return r;
	}
	struct handover *h = xnew(struct handover);

	h->m = m;
	h->uid = uid;
	h->dir = -1;
	h->release = copies_new_release(m);
	crypto_random_name(h->token, TOKEN_LEN);
	list_append(&m->handovers, &h->link);
	*ret = h;
	return 0;
}

const char *handover_token(const struct handover *h)
{
	return h->token;
}

struct handover *handover_find(struct manager *m, const char *token, uid_t uid)
{
	list_for_each (it, &m->handovers) {
		struct handover *h = list_entry(it, struct handover, link);

		if (h->uid == uid && !h->ended && strlen(token) == TOKEN_LEN &&
		    crypto_equal(token, h->token, TOKEN_LEN)) {
			return h;
		}
	}
	return NULL;
}

void handover_end(struct handover *h)
{
	h->ended = true;
	release_if_ended(h);
}

/* --- a service takes it --- */

/* The only thing in a part, or "" where there are several. -ENODATA: nothing. */
static int only_entry(int dir, const char *part, char ret[NAME_MAX + 1])
{
	int fd = fs_open_beneath(dir, part, O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	unsigned n = 0;

	if (!d) {
		close_fdp(&fd);
		return fd < 0 ? fd : -errno;
	}
	*ret = '\0';
	while (n < 2 && (entry = readdir(d))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
			n++;
			snprintf(ret, NAME_MAX + 1, "%s", entry->d_name);
		}
	}
	closedir(d);
	/* A name that JSON cannot hold: what is in the part is shown, and so it. */
	if (n > 1 || !utf8_valid(span_str(ret))) {
		*ret = '\0';
	}
	return n ? 0 : -ENODATA;
}

static int add_source(struct handover *h, size_t i)
{
	char part[8], only[NAME_MAX + 1] = "";

	snprintf(part, sizeof(part), "%zu", i);
	int r = only_entry(h->dir, part, only);

	if (r < 0) {
		return error_set_kind(&h->err, -r, ERROR_INVALID_VALUE, "handover",
				      "nothing was handed over for a path",
				      "nothing was handed over for path number %zu", i + 1);
	}
	char *copy = xasprintf("%s/%s%s%s", h->release, part, *only ? "/" : "", only);

	json_array_append_new(h->sources,
			      json_pack("{s:s, s:s*}", "copy", copy, "release", h->validators));
	free(copy);
	return 0;
}

static void run_take(struct job *job)
{
	struct handover *h = container_of(job, struct handover, job);
	int r = 0;

	for (size_t i = 0; i < h->n_parts && r == 0; i++) {
		r = add_source(h, i);
	}
	/* One call for all files and directories: one for each would take minutes for many. */
	if (r == 0 && syncfs(h->dir) < 0) {
		error_set_kind(&h->err, errno, ERROR_STORAGE, strerror(errno), NULL,
			       "cannot write what was handed over to the disk: %s",
			       strerror(errno));
	}
}

static void take_done(struct job *job)
{
	struct handover *h = container_of(job, struct handover, job);
	json_t *sources = take_ptr(h->sources);
	bool ok = !h->err.code;

	if (ok) {
		copies_hold(h->m, sources);
		free(take_ptr(h->release)); /* the service's from now on */
	} else {
		json_decref(sources);
	}
	h->taken(h->ud, ok ? NULL : &h->err, ok ? sources : NULL);
	error_done(&h->err);
	h->ended = true;
	stopped_running(h);
}

int handover_take(struct handover *h, size_t n, const char *validators, handover_taken_fn *cb,
		  void *ud, struct error *err)
{
	uint8_t key[32];
	int r = refuse_put(h, NULL, 0, err);

	if (r == 0 && validators && hex_decode(span_str(validators), key, sizeof(key)) < 0) {
		r = error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "release",
				   "must be 64 hex digits", "release: must be 64 hex digits");
	}

	if (r == 0 && h->dir < 0) {
		r = bad_name(err, "is missing: nothing was handed over");
	}
	if (r < 0) {
		return r;
	}
	h->n_parts = n;
	h->validators = validators ? xstrdup(validators) : NULL;
	h->taken = cb;
	h->ud = ud;
	h->sources = json_array();
	h->taking = h->running = true;
	h->m->n_ops++;
	work_submit(h->m->ev->work, WORK_SLOW, &h->job, run_take, take_done);
	return 0;
}
