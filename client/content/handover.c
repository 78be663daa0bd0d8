/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/content/handover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/content/pack.h"
#include "client/out.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/base/codec.h"
#include "proto/base/utf8.h"
#include "proto/units.h"

/* Of one batch: well below what the daemon and a message take. */
#define BATCH_ENTRIES 2000u
#define BATCH_NAMES   (256u * 1024)
#define BATCH_BYTES   (UINT64_C(32) << 20)
#define LEVELS_MAX    60u

struct handover {
	struct rpc *rpc;
	struct pack *pack; /* instead of a daemon; or NULL */
	char *token;
	json_t *entries;
	struct rpc_fds fds;
	size_t names;
	uint64_t bytes; /* of the batch */
	uint64_t files, done;
	uint64_t left_out;
	unsigned told;
};

int handover_begin(struct rpc *rpc, struct handover **ret, struct error *err)
{
	json_t *reply = NULL;
	int r = rpc_call(rpc, "HandoverBegin", NULL, &reply, err);

	if (r < 0) {
		return r;
	}
	struct handover *h = xnew(struct handover);

	h->rpc = rpc;
	h->token = xstrdup(json_string_value(json_object_get(reply, "handover")));
	h->entries = json_array();
	json_decref(reply);
	*ret = h;
	return 0;
}

struct handover *handover_to_pack(struct pack *pack)
{
	struct handover *h = xnew(struct handover);

	h->pack = pack;
	h->entries = json_array();
	return h;
}

void handover_free(struct handover *h)
{
	if (!h) {
		return;
	}
	rpc_fds_close(&h->fds);
	json_decref(h->entries);
	free(h->token);
	free(h);
}

const char *handover_token(const struct handover *h)
{
	return h->token;
}

/* --- batches --- */

static void show(struct handover *h, uint64_t bytes)
{
	char size[UNITS_SIZE_TEXT];
	_cleanup_free_ char *text = NULL;

	if (out_is_json()) {
		return;
	}
	text = xasprintf("handing over: %llu %s, %s", (unsigned long long)h->files,
			 h->files == 1 ? "file" : "files", units_print_size(h->done + bytes, size));
	out_live(0, text);
}

int handover_flush(struct handover *h, struct error *err)
{
	bool continues = true;
	int r;

	if (json_array_size(h->entries) == 0) {
		return 0;
	}
	r = rpc_send(h->rpc, "HandoverPut",
		     json_pack("{s:s, s:O}", "handover", h->token, "entries", h->entries), true,
		     &h->fds, err);
	rpc_fds_close(&h->fds);
	json_array_clear(h->entries);
	h->names = 0;
	h->bytes = 0;
	while (r == 0 && continues) {
		json_t *reply = NULL;

		r = rpc_receive(h->rpc, RPC_FOREVER, &reply, &continues, err);
		if (r == 0) {
			uint64_t bytes =
				(uint64_t)json_integer_value(json_object_get(reply, "bytes"));

			show(h, bytes);
			h->done += continues ? 0 : bytes;
		}
		json_decref(reply);
	}
	if (r < 0) {
		out_live_end();
	}
	return r;
}

static json_t *make_entry(struct span name, const char *kind)
{
	_cleanup_free_ char *coded = NULL;

	if (utf8_valid(name)) {
		return json_pack("{s:s%, s:s}", "name", name.p, name.n, "kind", kind);
	}
	coded = xmalloc(BASE64_LEN(name.n) + 1);
	base64_encode((const uint8_t *)name.p, name.n, coded);
	return json_pack("{s:s, s:s}", "bytes", coded, "kind", kind);
}

static int add(struct handover *h, struct span name, const char *kind, struct error *err)
{
	json_array_append_new(h->entries, make_entry(name, kind));
	h->names += name.n;
	if (json_array_size(h->entries) >= BATCH_ENTRIES || h->names >= BATCH_NAMES ||
	    h->fds.n >= WIRE_MAX_DESCRIPTORS || h->bytes >= BATCH_BYTES) {
		return handover_flush(h, err);
	}
	return rpc_check_signal(err);
}

int handover_add_dir(struct handover *h, struct span name, struct error *err)
{
	return h->pack ? pack_add_dir(h->pack, name, err) : add(h, name, "directory", err);
}

int handover_add_file(struct handover *h, struct span name, int fd, bool more, uint64_t size,
		      struct error *err)
{
	if (h->pack) {
		int r = pack_add_file(h->pack, name, fd, more, err);

		return r < 0 ? r : rpc_check_signal(err);
	}
	h->fds.fd[h->fds.n++] = fd;
	h->files += !more;
	h->bytes += size;
	return add(h, name, more ? "more" : "file", err);
}

/* --- what is in a folder --- */

static int walk(struct handover *h, int fd, struct buf *name, unsigned level, struct error *err);

static int add_found(struct handover *h, int dir, const char *found, struct buf *name,
		     unsigned level, struct error *err)
{
	/* Not to be kept waiting by a FIFO, nor to follow a link. */
	int fd = openat(dir, found, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	size_t len = name->len;
	struct stat st;
	int r;

	if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
		return error_set(err, errno, "cannot open %s: %s", found, strerror(errno));
	}
	if (fd < 0 || fstat(fd, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
		close_fdp(&fd);
		h->left_out++;
		return 0;
	}
	buf_add_char(name, '/');
	buf_add_str(name, found);
	if (S_ISDIR(st.st_mode)) {
		r = handover_add_dir(h, buf_span(name), err);
		r = r < 0 ? r : walk(h, fd, name, level + 1, err);
		close(fd);
	} else {
		r = handover_add_file(h, buf_span(name), fd, false, (uint64_t)st.st_size, err);
	}
	name->len = len;
	return r;
}

/* fd stays the caller's. */
static int walk(struct handover *h, int fd, struct buf *name, unsigned level, struct error *err)
{
	int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = own < 0 ? NULL : fdopendir(own);
	struct dirent *entry;
	int r = 0;

	if (level > LEVELS_MAX) {
		r = error_set_kind(err, E2BIG, ERROR_LIMIT_EXCEEDED, "levels of directories", NULL,
				   "folders are in each other more than %u times", LEVELS_MAX);
	}
	if (!d) {
		close_fdp(&own);
		h->left_out++;
		return r;
	}
	while (r == 0 && (entry = readdir(d))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
			r = add_found(h, fd, entry->d_name, name, level, err);
		}
	}
	closedir(d);
	return r;
}

/* Of "/" nothing is left that could be a name. */
static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : "root";
}

static int add_path(struct handover *h, size_t i, const char *path, int fd, struct error *err)
{
	_cleanup_(buf_done) struct buf name = BUF_INIT;
	struct stat st;
	int r;

	buf_printf(&name, "%zu", i);
	r = handover_add_dir(h, buf_span(&name), err);
	buf_printf(&name, "/%s", base_name(path));
	if (r < 0) {
		return r;
	}
	if (fstat(fd, &st) < 0) {
		return error_set(err, errno, "%s: %s", path, strerror(errno));
	}
	if (S_ISDIR(st.st_mode)) {
		r = handover_add_dir(h, buf_span(&name), err);
		return r < 0 ? r : walk(h, fd, &name, 2, err);
	}
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (copy < 0) {
		return error_set(err, errno, "%s: %s", path, strerror(errno));
	}
	return handover_add_file(h, buf_span(&name), copy, false, (uint64_t)st.st_size, err);
}

int handover_paths(struct handover *h, const json_t *paths, const struct rpc_fds *fds,
		   struct error *err)
{
	size_t i;
	json_t *path;
	int r = 0;

	json_array_foreach (paths, i, path) {
		if (r == 0) {
			r = add_path(h, i, json_string_value(path), fds->fd[i], err);
		}
	}
	r = r < 0 ? r : handover_flush(h, err);
	out_live_end();
	if (r == 0 && h->left_out) {
		out_note("Left out: %llu %s that cannot be read, or are links or special files",
			 (unsigned long long)h->left_out, h->left_out == 1 ? "entry" : "entries");
	}
	return r;
}
