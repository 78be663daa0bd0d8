/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/content/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/alloc.h"
#include "proto/base/utf8.h"
#include "proto/options.h"

static int refuse(struct error *err, int code, const char *path, const char *why)
{
	return error_set_kind(err, code, ERROR_PATH_NOT_READABLE, path, why, "cannot share %s: %s",
			      path, why);
}

static int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

static int open_one(const char *word, char **ret_path, int *ret_fd, struct error *err)
{
	_cleanup_free_ char *path = realpath(word, NULL);
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (!path) {
		return refuse(err, errno, word, strerror(errno));
	}
	if (!utf8_valid(span_str(path))) {
		return refuse(err, EILSEQ, word,
			      "its name is not UTF-8; share the folder that it is in");
	}
	/* Not to be kept waiting by a FIFO, nor fooled by a link that has come since. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0) {
		return refuse(err, errno, path, strerror(errno));
	}
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		return refuse(err, EINVAL, path, "it is neither a file nor a folder");
	}
	*ret_path = take_ptr(path);
	*ret_fd = take_fd(&fd);
	return 0;
}

int paths_open(char **words, size_t n, json_t **ret, struct rpc_fds *fds, struct error *err)
{
	json_t *paths = json_array();

	fds->n = 0;
	if (n > WIRE_MAX_DESCRIPTORS) {
		json_decref(paths);
		return error_set_kind(err, E2BIG, ERROR_INVALID_VALUE, "paths", "too many",
				      "%zu paths are too many: %u are the most. Put them into a "
				      "folder and share that",
				      n, WIRE_MAX_DESCRIPTORS);
	}
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *path = NULL;
		int r = open_one(words[i], &path, &fds->fd[fds->n], err);

		if (r < 0) {
			rpc_fds_close(fds);
			json_decref(paths);
			return r;
		}
		fds->n++;
		json_array_append_new(paths, json_string(path));
	}
	*ret = paths;
	return 0;
}

void paths_open_options(json_t *options, struct rpc_fds *fds)
{
	size_t n;
	const struct option *all = options_all(&n);
	json_t *resolved = json_object();
	struct error err = ERROR_INIT;
	int r = 0;

	fds->n = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		const char *given = json_string_value(json_object_get(options, all[i].name));
		_cleanup_free_ char *path = NULL;

		if (all[i].type != OPTION_PATH || !given) {
			continue;
		}
		r = open_one(given, &path, &fds->fd[fds->n], &err);
		if (r == 0) {
			fds->n++;
			json_object_set_new(resolved, all[i].name, json_string(path));
		}
	}
	if (r < 0) {
		rpc_fds_close(fds);
		error_done(&err);
	} else {
		json_object_update(options, resolved);
	}
	json_decref(resolved);
}
