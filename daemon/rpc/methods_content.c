/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What services show: paths with the descriptors that prove them, files handed over, changes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/alloc.h"
#include "proto/base/codec.h"
#include "rpc/methods.h"
#include "svc/handover.h"

/* --- paths --- */

bool rpc_is_trusted(const struct rpc_call *call)
{
	return call->peer->uid == 0 || call->peer->uid == geteuid();
}

static int no_such_handover(struct error *err)
{
	return error_set_kind(err, ENOENT, ERROR_INVALID_VALUE, "handover", "no such one",
			      "nothing is being handed over under this name");
}

static int take_descriptors(struct rpc_call *call, struct manager_create *what, struct error *err)
{
	if (call->n_fds == 0 && rpc_is_trusted(call)) {
		return 0;
	}
	if (call->n_fds != json_array_size(what->paths)) {
		return error_set_kind(err, EPERM, ERROR_PERMISSION_DENIED,
				      "a descriptor of each path", NULL,
				      "paths of a caller who is neither root nor the daemon's own "
				      "user need a descriptor each, opened for reading");
	}
	what->fds = call->fds;
	return 0;
}

int rpc_content(struct rpc_call *call, const struct rpc_env *env, struct manager_create *ret,
		struct error *err)
{
	const json_t *paths = json_object_get(call->params, "paths");
	const char *token = rpc_string(call, "handover");

	ret->paths = json_is_array(paths) ? paths : NULL;
	ret->release = rpc_string(call, "release");
	if (token) {
		ret->handover = handover_find(env->manager, token, call->peer->uid);
		return ret->handover ? 0 : no_such_handover(err);
	}
	/* What he may read is asked each time it is opened; his descriptors are of the top only. */
	ret->owner = rpc_is_trusted(call) ? NULL : &call->peer->uid;
	return take_descriptors(call, ret, err);
}

void rpc_content_taken(struct rpc_call *call, const struct manager_create *what)
{
	for (unsigned i = 0; what->fds && i < call->n_fds; i++) {
		call->fds[i] = -1;
	}
}

typedef int change_fn(struct manager *m, struct service *svc, const struct manager_create *what,
		      manager_done_fn *cb, void *ud, struct error *err);

static void change(struct rpc_call *call, struct rpc_env *env, change_fn *fn)
{
	struct manager_create what = {0};
	struct error err = ERROR_INIT;
	struct service *svc = rpc_service(call, env);

	if (!svc) {
		return;
	}
	struct rpc_pending *p = rpc_pending_new(call, env);

	if (rpc_content(call, env, &what, &err) < 0 ||
	    fn(env->manager, svc, &what, rpc_pending_done, p, &err) < 0) {
		rpc_pending_refuse(p, &err);
		return;
	}
	rpc_content_taken(call, &what);
}

void rpc_publish(struct rpc_call *call, void *ud)
{
	change(call, ud, manager_publish);
}

void rpc_add_content(struct rpc_call *call, void *ud)
{
	change(call, ud, manager_add_content);
}

void rpc_remove_content(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct error err = ERROR_INIT;
	struct service *svc = rpc_service(call, env);

	if (!svc) {
		return;
	}
	struct rpc_pending *p = rpc_pending_new(call, env);

	if (manager_remove_content(env->manager, svc, json_object_get(call->params, "paths"),
				   rpc_pending_done, p, &err) < 0) {
		rpc_pending_refuse(p, &err);
	}
}

/* --- handing over --- */

/* It ends with its connection, unless a service has taken it. */
struct bound_handover {
	struct rpc_bound bound;
	struct manager *m;
	char *token;
	uid_t uid;
};

static void handover_closed(struct rpc_bound *bound)
{
	struct bound_handover *b = container_of(bound, struct bound_handover, bound);
	struct handover *h = handover_find(b->m, b->token, b->uid);

	if (h) {
		handover_end(h);
	}
	free(b->token);
	free(b);
}

void rpc_handover_begin(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct error err = ERROR_INIT;
	struct handover *h;

	if (handover_begin(env->manager, call->peer->uid, &h, &err) < 0) {
		rpc_reply_error(call, &err);
		error_done(&err);
		return;
	}
	struct bound_handover *b = xnew(struct bound_handover);

	b->bound.closed = handover_closed;
	b->m = env->manager;
	b->token = xstrdup(handover_token(h));
	b->uid = call->peer->uid;
	rpc_bind(call, &b->bound);
	rpc_reply(call, json_pack("{s:s}", "handover", b->token));
}

/* "name" as it is, or "bytes" in base64. */
static char *entry_name(const json_t *entry, struct error *err)
{
	const char *name = json_string_value(json_object_get(entry, "name"));
	const json_t *coded = json_object_get(entry, "bytes");
	struct span text = span_of(json_string_value(coded), json_string_length(coded));
	size_t n;

	if (name) {
		return xstrdup(name);
	}
	while (text.n && text.p[text.n - 1] == '=') {
		text.n--;
	}
	n = text.n / 4 * 3 + (text.n % 4 ? text.n % 4 - 1 : 0);
	if (!coded || text.n > BASE64_LEN(HANDOVER_MAX_PATH)) {
		goto refuse;
	}
	char *bytes = xmalloc(n + 1);

	if (base64_decode(text, (uint8_t *)bytes, n) == 0 && !memchr(bytes, '\0', n)) {
		bytes[n] = '\0';
		return bytes;
	}
	free(bytes);
refuse:
	error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "entries", "a name is missing",
		       "each entry needs a name, or its bytes in base64");
	return NULL;
}

static enum handover_kind entry_kind(const json_t *entry)
{
	const char *kind = json_string_value(json_object_get(entry, "kind"));

	return strcmp(kind, "directory") == 0 ? HANDOVER_DIRECTORY
	       : strcmp(kind, "file") == 0    ? HANDOVER_FILE
					      : HANDOVER_MORE;
}

/* The call's descriptors go to the entries that need one, in their order. */
static int take_entries(struct rpc_call *call, struct handover_entry **ret, size_t *ret_n,
			struct error *err)
{
	const json_t *list = json_object_get(call->params, "entries");
	size_t n = json_array_size(list), i;
	struct handover_entry *entries = xcalloc(n, sizeof(*entries));
	json_t *entry;
	unsigned used = 0;
	int r = 0;

	for (i = 0; i < n; i++) {
		entries[i].fd = -1;
	}
	json_array_foreach (list, i, entry) {
		entries[i].kind = entry_kind(entry);
		entries[i].name = r == 0 ? entry_name(entry, err) : NULL;
		if (!entries[i].name) {
			r = -EINVAL;
		}
		if (entries[i].kind != HANDOVER_DIRECTORY && used < call->n_fds) {
			entries[i].fd = call->fds[used];
			call->fds[used++] = -1;
		}
	}
	if (r == 0 && used < call->n_fds) {
		r = error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "entries",
				   "more descriptors than files",
				   "there are more descriptors than files");
	}
	if (r < 0) {
		handover_entries_free(entries, n);
		return r;
	}
	*ret = entries;
	*ret_n = n;
	return 0;
}

static void put_gone(struct rpc_call *call)
{
	*(struct rpc_call **)call->user = NULL;
}

static bool put_progress(void *ud, uint64_t bytes)
{
	struct rpc_call **call = ud;

	if (*call && (*call)->more) {
		rpc_reply_continue(*call,
				   json_pack("{s:I, s:b}", "bytes", (json_int_t)bytes, "done", 0));
	}
	return *call != NULL;
}

static void put_done(void *ud, const struct error *err, uint64_t bytes)
{
	struct rpc_call **call = ud;

	if (*call && err) {
		rpc_reply_error(*call, err);
	} else if (*call) {
		rpc_reply(*call, json_pack("{s:I, s:b}", "bytes", (json_int_t)bytes, "done", 1));
	}
	free(call);
}

void rpc_handover_put(struct rpc_call *call, void *ud)
{
	struct rpc_env *env = ud;
	struct error err = ERROR_INIT;
	struct handover *h =
		handover_find(env->manager, rpc_string(call, "handover"), call->peer->uid);
	struct handover_entry *entries = NULL;
	struct rpc_call **waits = NULL;
	size_t n = 0;
	int r = h ? take_entries(call, &entries, &n, &err) : no_such_handover(&err);

	if (r == 0) {
		waits = xmalloc(sizeof(struct rpc_call *));
		*waits = call;
		call->user = (void *)waits;
		call->gone = put_gone;
		r = handover_put(h, entries, n, put_progress, put_done, (void *)waits, &err);
	}
	if (r < 0) {
		call->gone = NULL;
		rpc_reply_error(call, &err);
		error_done(&err);
		free(waits);
	}
}
