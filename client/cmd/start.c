/* SPDX-License-Identifier: GPL-3.0-or-later */
/* start, stop, restart. */
#include "client/cmd.h"
#include "client/out.h"
#include "client/service.h"
#include "client/wait.h"
#include "proto/base/alloc.h"

#define START_TIMEOUT_MS INT64_C(180000)

static const struct opt start_opts[] = {
	{"no-wait", 0, NULL, "return when the start is under way"},
	{"qr", 0, NULL, "address and private key also as QR codes"},
	{0},
};

static const struct opt stop_opts[] = {
	{"now", 0, NULL, "cut running transfers"},
	{0},
};

/* A reply's service, as a reference of its own. */
static json_t *take_service(json_t *reply)
{
	json_t *service = json_incref(json_object_get(reply, "service"));

	json_decref(reply);
	return service;
}

/* What has been asked for by Start or Restart, until visitors can come. */
static int follow(struct ctl *ctl, const char *name, json_t **service, int64_t deadline_ms,
		  struct error *err)
{
	json_t *later = NULL;
	int r;

	if (opt_given(&ctl->args, "no-wait") || service_is(*service, "scheduled")) {
		return 0;
	}
	r = wait_for_service(ctl, name, "reachable", deadline_ms, &later, err);
	if (r == 0) {
		json_decref(*service);
		*service = later;
	}
	return r;
}

static void tell_state(const char *name, const json_t *service)
{
	_cleanup_free_ char *at = service_time(service, "start_at");

	if (service_is(service, "scheduled")) {
		out_note("%s is scheduled. It starts %s.", out_esc(name), out_esc(at));
	} else {
		out_note("%s is %s.", out_esc(name), out_esc(service_text(service, "state")));
	}
}

static int bring_up(struct ctl *ctl, const char *method, const char *name, json_t **ret,
		    struct error *err)
{
	int64_t timeout;
	json_t *reply = NULL, *service;
	int r = ctl_timeout(ctl, START_TIMEOUT_MS, &timeout, err);

	if (r == 0) {
		r = ctl_call(ctl, method, json_pack("{s:s}", "name", name), &reply, err);
	}
	if (r < 0) {
		return r;
	}
	service = take_service(reply);
	r = follow(ctl, name, &service, rpc_now() + timeout, err);
	if (r < 0) {
		json_decref(service);
		return r;
	}
	if (!out_is_json()) {
		tell_state(name, service);
		service_print_address(service, opt_given(&ctl->args, "qr"));
	}
	*ret = service;
	return 0;
}

static int start_one(struct ctl *ctl, const char *name, json_t **ret, struct error *err)
{
	return bring_up(ctl, "Start", name, ret, err);
}

static int restart_one(struct ctl *ctl, const char *name, json_t **ret, struct error *err)
{
	return bring_up(ctl, "Restart", name, ret, err);
}

static int stop_one(struct ctl *ctl, const char *name, json_t **ret, struct error *err)
{
	json_t *reply = NULL;
	json_t *params = json_pack("{s:s, s:b}", "name", name, "now", opt_given(&ctl->args, "now"));
	int r = ctl_call(ctl, "Stop", params, &reply, err);

	if (r < 0) {
		return r;
	}
	*ret = take_service(reply);
	if (!out_is_json()) {
		out_note("%s is %s.", out_esc(name), out_esc(service_text(*ret, "state")));
	}
	return 0;
}

static int run_start(struct ctl *ctl)
{
	return ctl_for_each(ctl, start_one);
}

static int run_restart(struct ctl *ctl)
{
	return ctl_for_each(ctl, restart_one);
}

static int run_stop(struct ctl *ctl)
{
	return ctl_for_each(ctl, stop_one);
}

const struct command cmd_start = {
	.name = "start",
	.synopsis = "NAME...",
	.summary = "start services, and again after a crash or reboot",
	.help = "Starts the services and remembers it: they come back after a restart of the\n"
		"daemon or the machine. Waits until they can be reached, at most 180 seconds or\n"
		"what --timeout says, and prints their addresses and private keys.",
	.opts = start_opts,
	.min_words = 1,
	.max_words = SIZE_MAX,
	.run = run_start,
};

const struct command cmd_stop = {
	.name = "stop",
	.synopsis = "NAME...",
	.summary = "stop services",
	.help = "Stops the services and remembers it. Running transfers are given time to finish\n"
		"(60 seconds, unless the daemon's configuration says else); new visitors are\n"
		"sent away meanwhile.",
	.opts = stop_opts,
	.min_words = 1,
	.max_words = SIZE_MAX,
	.run = run_stop,
};

const struct command cmd_restart = {
	.name = "restart",
	.synopsis = "NAME...",
	.summary = "stop services and start them again",
	.help = "What some changed options need. Address and private key stay.",
	.opts = start_opts,
	.min_words = 1,
	.max_words = SIZE_MAX,
	.run = run_restart,
};
