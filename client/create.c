/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/create.h"

#include "client/paths.h"

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
	return 0;
}

/* params are taken. */
static int call_create(struct ctl *ctl, json_t *params, const struct rpc_fds *fds, json_t **ret,
		       struct error *err)
{
	json_t *reply = NULL;
	int r = ctl_connect(ctl, err);

	if (r < 0) {
		json_decref(params);
		return r;
	}
	r = rpc_send(ctl->rpc, "Create", params, false, fds, err);
	if (r == 0) {
		r = rpc_receive(ctl->rpc, RPC_FOREVER, &reply, NULL, err);
	}
	if (r == 0) {
		*ret = json_incref(json_object_get(reply, "service"));
		json_decref(reply);
	}
	return r;
}

int create_service(struct ctl *ctl, const char *mode, const char *name, bool ephemeral,
		   char **words, size_t n_words, json_t **ret, struct error *err)
{
	struct rpc_fds fds = {.n = 0};
	json_t *params = NULL, *paths = NULL;
	int r = make_params(ctl, mode, name, ephemeral, &params, err);

	if (r < 0) {
		return r;
	}
	r = paths_open(words, n_words, &paths, &fds, err);
	if (r < 0) {
		json_decref(params);
		return r;
	}
	json_object_set_new(params, "paths", paths);
	r = call_create(ctl, params, &fds, ret, err);
	rpc_fds_close(&fds);
	return r;
}
