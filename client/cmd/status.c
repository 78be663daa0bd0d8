/* SPDX-License-Identifier: GPL-3.0-or-later */
/* status, tor status, reload: the daemon itself. */
#include <string.h>

#include "client/cmd.h"
#include "client/out.h"
#include "client/service.h"
#include "proto/units.h"

static json_int_t number(const json_t *object, const char *member)
{
	return json_integer_value(json_object_get(object, member));
}

static void print_tor(const json_t *tor)
{
	const json_t *bootstrap = json_object_get(tor, "bootstrap");
	bool reachable = json_is_true(json_object_get(tor, "reachable"));
	const char *version = service_text(tor, "version");

	out_line("Tor: %s%s%s, %s%s%s", out_esc(service_text(tor, "mode")), version[0] ? " " : "",
		 out_esc(version), out_style(reachable ? STYLE_GOOD : STYLE_WARN),
		 reachable ? "connected"
		 : strcmp(service_text(tor, "state"), "ready") == 0
			 ? "connecting"
			 : out_esc(service_text(tor, "state")),
		 out_plain());
	if (!reachable && number(bootstrap, "percent") >= 0) {
		out_line("     %d%% - %s", (int)number(bootstrap, "percent"),
			 out_esc(service_text(bootstrap, "summary")));
	}
	if (number(tor, "bridges") > 0) {
		out_line("     by %d of your bridges", (int)number(tor, "bridges"));
	}
	if (service_has(tor, "advice")) {
		out_line("     %s", out_esc(service_text(tor, "advice")));
	}
	if (service_has(tor, "problem")) {
		out_line("     %s", out_esc(service_text(tor, "problem")));
	}
}

static void print_tor_of(struct ctl *ctl, const json_t *reply)
{
	(void)ctl;
	if (json_is_true(json_object_get(reply, "local_only"))) {
		out_line("Tor: not used (--local-only)");
	} else {
		print_tor(json_object_get(reply, "tor"));
	}
}

static void print_status(struct ctl *ctl, const json_t *reply)
{
	const json_t *counts = json_object_get(reply, "services");
	char uptime[UNITS_DURATION_TEXT];

	out_line("onionshared %s at %s, up %s", out_esc(service_text(reply, "version")),
		 out_esc(ctl->rpc->path),
		 units_print_duration((uint64_t)number(reply, "uptime"), uptime));
	print_tor_of(ctl, reply);
	out_line("Services: %lld, %lld running, %lld failed", (long long)number(counts, "total"),
		 (long long)number(counts, "running"), (long long)number(counts, "failed"));
}

static int run_status(struct ctl *ctl)
{
	return ctl_call_and_print(ctl, "Status", NULL, NULL, print_status);
}

static int run_tor_status(struct ctl *ctl)
{
	return ctl_call_and_print(ctl, "Status", NULL, "tor", print_tor_of);
}

static void print_reloaded(struct ctl *ctl, const json_t *reply)
{
	(void)ctl;
	(void)reply;
	out_note("The daemon has read its configuration again.");
}

static int run_reload(struct ctl *ctl)
{
	return ctl_call_and_print(ctl, "Reload", NULL, NULL, print_reloaded);
}

const struct command cmd_status = {
	.name = "status",
	.synopsis = "",
	.summary = "the daemon, Tor, and how many services there are",
	.help = "Exit status 0 whenever the daemon answers.",
	.run = run_status,
};

const struct command cmd_tor_status = {
	.name = "tor status",
	.synopsis = "",
	.summary = "how the daemon is connected to the Tor network",
	.help = "Which tor is used, how far it has come into the network, and what to do if it\n"
		"does not get there.",
	.run = run_tor_status,
};

const struct command cmd_reload = {
	.name = "reload",
	.synopsis = "",
	.summary = "make the daemon read its configuration again",
	.help = "The same as SIGHUP. For root and the daemon's own user.",
	.run = run_reload,
};
