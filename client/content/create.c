/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/content/create.h"

#include <errno.h>
#include <string.h>

#include "client/content/content.h"
#include "client/content/paths.h"

/* What is wrong on our side is found before the daemon is looked for. */
static int make_params(struct ctl *ctl, const char *mode, const char *name, bool ephemeral,
		       json_t **ret, struct error *err)
{
	json_t *options = NULL;
	int r = ctl_service_options(ctl, &options, err);

	if (r < 0) {
		return r;
	}
	*ret = json_pack("{s:s, s:o, s:b}", "mode", mode, "options", options, "ephemeral",
			 ephemeral);
	if (name) {
		json_object_set_new(*ret, "name", json_string(name));
	}
	if (opt_given(&ctl->args, "adopt")) {
		json_object_set_new(*ret, "adopt", json_true());
	}
	return 0;
}

/* params are taken. */
static int call_create(struct ctl *ctl, json_t *params, const struct rpc_fds *fds, json_t **ret,
		       struct error *err)
{
	json_t *reply = NULL;
	int r = ctl_call_fds(ctl, "Create", params, fds, &reply, err);

	if (r == 0) {
		*ret = json_incref(json_object_get(reply, "service"));
		json_decref(reply);
	}
	return r;
}

/* Before much is handed over for nothing. */
static int check_name_is_free(struct ctl *ctl, const char *name, struct error *err)
{
	json_t *reply = NULL;
	int r = ctl_call(ctl, "Show", json_pack("{s:s}", "name", name), &reply, err);

	json_decref(reply);
	if (r < 0 && err->kind == ERROR_NO_SUCH_SERVICE) {
		error_done(err);
		return 0;
	}
	return r < 0 ? r
		     : error_set_kind(err, EEXIST, ERROR_NAME_IN_USE, name, NULL,
				      "there is already a service named %s; take another name",
				      name);
}

int create_service(struct ctl *ctl, const char *mode, const char *name, bool ephemeral,
		   char **words, size_t n_words, json_t **ret, struct error *err)
{
	struct rpc_fds fds = {.n = 0};
	json_t *params = NULL;
	int r = make_params(ctl, mode, name, ephemeral, &params, err);

	if (r < 0) {
		return r;
	}
	bool copy = json_is_true(json_object_get(json_object_get(params, "options"), "copy"));

	if (copy && name) {
		r = check_name_is_free(ctl, name, err);
	}
	if (r == 0 && n_words == 0 && strcmp(mode, "receive") == 0) {
		paths_open_options(json_object_get(params, "options"), &fds);
	} else if (r == 0) {
		r = content_words(ctl, words, n_words, copy, strcmp(mode, "website") == 0, params,
				  &fds, err);
	}
	if (r < 0) {
		json_decref(params);
		return r;
	}
	r = call_create(ctl, params, &fds, ret, err);
	rpc_fds_close(&fds);
	return r;
}
