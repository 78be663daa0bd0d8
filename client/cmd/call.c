/* SPDX-License-Identifier: GPL-3.0-or-later */
/* call: any method of the daemon's, as it stands in docs/rpc.md. */
#include <errno.h>
#include <string.h>

#include "client/cmd.h"
#include "client/out.h"

static const struct opt opts[] = {
	{"more", 0, NULL, "ask for a stream; each reply is a line"},
	{0},
};

static int read_params(struct ctl *ctl, json_t **ret, struct error *err)
{
	const char *text = ctl->args.n_words > 1 ? ctl->args.words[1] : "{}";
	json_t *params = wire_parse_json(span_str(text), err);

	if (!params) {
		return error_set_kind(err, err->code, ERROR_INVALID_VALUE, "JSON", "not JSON",
				      "'%s' is not JSON", text);
	}
	if (!json_is_object(params)) {
		json_decref(params);
		return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "JSON", "not an object",
				      "parameters are a JSON object like {\"name\": \"notes\"}");
	}
	*ret = params;
	return 0;
}

static int receive_all(struct ctl *ctl, struct error *err)
{
	bool continues = true;
	int r = 0;

	while (r == 0 && continues) {
		json_t *reply = NULL;

		r = rpc_receive(ctl->rpc, RPC_FOREVER, &reply, &continues, err);
		if (r == 0) {
			out_json(reply);
		}
		json_decref(reply);
	}
	return r;
}

static int run_call(struct ctl *ctl)
{
	struct error err = ERROR_INIT;
	bool more = opt_given(&ctl->args, "more");
	json_t *params = NULL;
	int r;

	out_stream(more);
	r = read_params(ctl, &params, &err);

	if (r == 0) {
		r = ctl_connect(ctl, &err);
	}
	if (r < 0) {
		json_decref(params);
		return ctl_fail(&err);
	}
	r = rpc_send(ctl->rpc, ctl->args.words[0], params, more, NULL, &err);
	if (r == 0) {
		r = receive_all(ctl, &err);
	}
	return r < 0 ? ctl_fail(&err) : 0;
}

const struct command cmd_call = {
	.name = "call",
	.synopsis = "METHOD [JSON]",
	.summary = "call a method of the daemon's by hand",
	.help = "METHOD is one of org.onionshared.Control ('List') or has its interface with it\n"
		"('org.varlink.service.GetInfo'). Prints the parameters of the reply as JSON.",
	.opts = opts,
	.min_words = 1,
	.max_words = 2,
	.run = run_call,
};
