/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/content.h"

#include <sys/stat.h>

#include "client/handover.h"
#include "client/paths.h"
#include "client/unpack.h"

static bool is_archive(const json_t *paths, const struct rpc_fds *fds)
{
	struct stat st;

	return json_array_size(paths) == 1 && fstat(fds->fd[0], &st) == 0 && S_ISREG(st.st_mode) &&
	       unpack_is_archive(json_string_value(json_array_get(paths, 0)));
}

static int hand_over(struct ctl *ctl, json_t *params, struct rpc_fds *fds, bool archive,
		     struct error *err)
{
	const json_t *paths = json_object_get(params, "paths");
	struct handover *h = NULL;
	int r = ctl_connect(ctl, err);

	if (r == 0) {
		r = handover_begin(ctl->rpc, &h, err);
	}
	if (r == 0) {
		r = archive ? unpack_archive(fds->fd[0], h, err)
			    : handover_paths(h, paths, fds, err);
	}
	if (r == 0) {
		json_object_set_new(params, "handover", json_string(handover_token(h)));
	}
	handover_free(h);
	rpc_fds_close(fds);
	return r;
}

int content_words(struct ctl *ctl, char **words, size_t n, bool copy, bool archives, json_t *params,
		  struct rpc_fds *fds, struct error *err)
{
	json_t *paths = NULL;
	int r = paths_open(words, n, &paths, fds, err);

	if (r < 0) {
		return r;
	}
	json_object_set_new(params, "paths", paths);
	bool archive = archives && is_archive(paths, fds);

	return copy || archive ? hand_over(ctl, params, fds, archive, err) : 0;
}
