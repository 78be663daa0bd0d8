/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/content/content.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/content/handover.h"
#include "client/content/pack.h"
#include "client/content/paths.h"
#include "client/content/unpack.h"
#include "proto/base/alloc.h"
#include "proto/options.h"

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

/* --- a release in a file --- */

/* Those that belong to what visitors see. */
static json_t *release_options(const char *mode, const json_t *options)
{
	json_t *chosen = json_object();
	size_t n;
	const struct option *all = options_all(&n);

	for (size_t i = 0; i < n; i++) {
		json_t *value = json_object_get(options, all[i].name);

		if (value && all[i].flags & OPTION_RELEASE && option_find(mode, all[i].name)) {
			json_object_set(chosen, all[i].name, value);
		}
	}
	return chosen;
}

static json_t *names_of(const json_t *paths)
{
	json_t *names = json_array(), *path;
	size_t i;

	json_array_foreach (paths, i, path) {
		const char *slash = strrchr(json_string_value(path), '/');

		json_array_append_new(names, json_string(slash[1] ? slash + 1 : "root"));
	}
	return names;
}

int content_pack(char **words, size_t n, const char *mode, const json_t *options, const char *file,
		 struct error *err)
{
	struct rpc_fds fds = {.n = 0};
	json_t *paths = NULL;
	struct pack *pack = NULL;
	int r = paths_open(words, n, &paths, &fds, err);

	if (r < 0) {
		return r;
	}
	bool archive = strcmp(mode, "website") == 0 && is_archive(paths, &fds);
	json_t *info = json_pack("{s:s, s:o, s:o}", "mode", mode, "options",
				 release_options(mode, options), "names", names_of(paths));

	r = pack_create(file, info, &pack, err);
	if (r == 0) {
		struct handover *h = handover_to_pack(pack);

		r = archive ? unpack_archive(fds.fd[0], h, err)
			    : handover_paths(h, paths, &fds, err);
		handover_free(h);
	}
	if (r == 0) {
		r = pack_finish(pack, err);
	}
	pack_free(pack);
	rpc_fds_close(&fds);
	json_decref(info);
	json_decref(paths);
	return r;
}

/* Where it comes from, for people: the file, and what is in it if that is several things. */
static json_t *packed_paths(const char *file, const json_t *names)
{
	char *real = realpath(file, NULL);
	json_t *paths = json_array(), *name;
	size_t i, n = json_array_size(names);

	json_array_foreach (names, i, name) {
		json_array_append_new(paths, n == 1 ? json_string(real ? real : file)
						    : json_sprintf("%s/%s", real ? real : file,
								   json_string_value(name)));
	}
	free(real);
	return paths;
}

int content_unpack(struct ctl *ctl, const char *file, const char *mode, json_t *params,
		   json_t **ret_info, struct error *err)
{
	struct packed *packed = NULL;
	struct handover *h = NULL;
	json_t *info = NULL;
	int r = packed_open(file, &packed, &info, err);

	if (r < 0) {
		return r;
	}
	const char *its = json_string_value(json_object_get(info, "mode"));

	if (strcmp(its, mode) != 0) {
		r = error_set(err, EINVAL, "%s is of a %s, and this is a %s", file, its, mode);
	}
	if (r == 0) {
		r = ctl_connect(ctl, err);
	}
	if (r == 0) {
		r = handover_begin(ctl->rpc, &h, err);
	}
	if (r == 0) {
		r = packed_hand_over(packed, h, err);
	}
	if (r == 0) {
		json_object_set_new(params, "handover", json_string(handover_token(h)));
		json_object_set(params, "release", json_object_get(info, "key"));
		json_object_set_new(params, "paths",
				    packed_paths(file, json_object_get(info, "names")));
		*ret_info = json_incref(info);
	}
	handover_free(h);
	packed_free(packed);
	json_decref(info);
	return r;
}
