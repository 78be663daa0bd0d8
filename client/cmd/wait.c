/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wait: for scripts. */
#include <string.h>

#include "client/cmd.h"
#include "client/out.h"
#include "client/wait.h"
#include "proto/base/alloc.h"

static const struct opt opts[] = {
	{"for", 0, "GOAL", "running, reachable (the default) or stopped"},
	{0},
};

static bool is_goal(const char *goal)
{
	static const char *const goals[] = {"running", "reachable", "stopped"};

	for (size_t i = 0; i < ARRAY_SIZE(goals); i++) {
		if (strcmp(goals[i], goal) == 0) {
			return true;
		}
	}
	return false;
}

static int run_wait(struct ctl *ctl)
{
	struct error err = ERROR_INIT;
	const char *goal = opt_given(&ctl->args, "for") ? opt_text(&ctl->args, "for") : "reachable";
	json_t *service = NULL;
	int64_t timeout;

	if (!is_goal(goal)) {
		return ctl_misuse(ctl, "--for wants running, reachable or stopped, not '%s'", goal);
	}
	if (ctl_timeout(ctl, RPC_FOREVER, &timeout, &err) < 0 ||
	    wait_for_service(ctl, ctl->args.words[0], goal,
			     timeout == RPC_FOREVER ? RPC_FOREVER : rpc_now() + timeout, &service,
			     &err) < 0) {
		return ctl_fail(&err);
	}
	if (out_is_json()) {
		out_json(service);
	}
	json_decref(service);
	return 0;
}

const struct command cmd_wait = {
	.name = "wait",
	.synopsis = "NAME",
	.summary = "wait until a service runs, can be reached or is stopped",
	.help = "For scripts. Without --timeout it waits as long as it takes. Exit status 3 when\n"
		"the service cannot come there by itself, 7 when the time is over.",
	.opts = opts,
	.min_words = 1,
	.max_words = 1,
	.run = run_wait,
};
