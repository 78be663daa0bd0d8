/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * metrics: what a monitor wants to know, as OpenMetrics text
 * (openmetrics.io, version 1.0.0). Counts over all services only: a name or an
 * address in a monitor's database would tell who visits what.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cmd.h"
#include "client/out.h"
#include "client/service.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/base/io.h"
#include "proto/interface.h"

/* --- what is counted --- */

static json_int_t number(const json_t *object, const char *member)
{
	return json_integer_value(json_object_get(object, member));
}

/* The values that a member of a service can have. */
static const char *const *values_of(const char *member)
{
	const struct field *f = type_service.fields;

	while (strcmp(f->name, member) != 0) {
		f++;
	}
	return f->type->values;
}

static unsigned count_services(const json_t *services, const char *mode, const char *state)
{
	unsigned n = 0;
	size_t i;
	json_t *service;

	json_array_foreach (services, i, service) {
		n += strcmp(service_text(service, "mode"), mode) == 0 &&
		     strcmp(service_text(service, "state"), state) == 0;
	}
	return n;
}

static json_int_t sum_transfers(const json_t *services, const char *mode, const char *member)
{
	json_int_t sum = 0;
	size_t i;
	json_t *service;

	json_array_foreach (services, i, service) {
		if (strcmp(service_text(service, "mode"), mode) == 0) {
			sum += number(json_object_get(service, "transfers"), member);
		}
	}
	return sum;
}

/* --- the text --- */

static void add_family(struct buf *b, const char *name, const char *type, const char *unit,
		       const char *help)
{
	buf_printf(b, "# TYPE onionshared_%s %s\n", name, type);
	if (unit) {
		buf_printf(b, "# UNIT onionshared_%s %s\n", name, unit);
	}
	buf_printf(b, "# HELP onionshared_%s %s\n", name, help);
}

static void add_gauge(struct buf *b, const char *name, const char *unit, const char *help,
		      json_int_t value)
{
	add_family(b, name, "gauge", unit, help);
	buf_printf(b, "onionshared_%s %lld\n", name, (long long)value);
}

static void add_services(struct buf *b, const json_t *services)
{
	add_family(b, "services", "gauge", NULL, "Services by what they are and how they stand.");
	for (const char *const *mode = values_of("mode"); *mode; mode++) {
		for (const char *const *state = values_of("state"); *state; state++) {
			buf_printf(b, "onionshared_services{mode=\"%s\",state=\"%s\"} %u\n", *mode,
				   *state, count_services(services, *mode, *state));
		}
	}
}

static void add_transfers(struct buf *b, const json_t *services)
{
	static const struct {
		const char *name, *member, *unit, *help;
	} families[] = {
		{"transfers_active", "active", NULL, "Transfers of visitors under way."},
		{"transfers_completed", "completed", NULL,
		 "Transfers that came to their end, of the services that there are."},
		{"received_bytes", "bytes_in", "bytes",
		 "What visitors sent, to the services that there are."},
		{"sent_bytes", "bytes_out", "bytes",
		 "What visitors got, from the services that there are."},
	};

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		add_family(b, families[i].name, "gauge", families[i].unit, families[i].help);
		for (const char *const *mode = values_of("mode"); *mode; mode++) {
			buf_printf(b, "onionshared_%s{mode=\"%s\"} %lld\n", families[i].name, *mode,
				   (long long)sum_transfers(services, *mode, families[i].member));
		}
	}
}

static void add_tor(struct buf *b, const json_t *status)
{
	const json_t *tor = json_object_get(status, "tor");
	json_int_t percent = number(json_object_get(tor, "bootstrap"), "percent");

	if (json_is_true(json_object_get(status, "local_only"))) {
		return;
	}
	add_gauge(b, "tor_reachable", NULL, "1 when Tor is connected to its network.",
		  json_is_true(json_object_get(tor, "reachable")));
	add_family(b, "tor_bootstrap_ratio", "gauge", "ratio",
		   "How far Tor has come into its network; 1 is all the way.");
	buf_printf(b, "onionshared_tor_bootstrap_ratio %.2f\n",
		   percent < 0 ? 0.0 : (double)percent / 100);
}

static void add_all(struct buf *b, const json_t *status, const json_t *services)
{
	add_family(b, "build", "info", NULL, "Which daemon it is.");
	buf_printf(b, "onionshared_build_info{version=\"%s\"} 1\n",
		   service_text(status, "version"));
	add_gauge(b, "uptime_seconds", "seconds", "Since the daemon's start.",
		  number(status, "uptime"));
	add_tor(b, status);
	add_services(b, services);
	add_transfers(b, services);
	buf_add_str(b, "# EOF\n");
}

static int collect(struct ctl *ctl, struct buf *b, struct error *err)
{
	json_t *status = NULL, *services = NULL;
	int r = ctl_call(ctl, "Status", NULL, &status, err);

	if (r == 0) {
		r = ctl_list(ctl, &services, err);
	}
	if (r == 0) {
		add_all(b, status, services);
	}
	json_decref(status);
	json_decref(services);
	return r;
}

/* --- where it goes --- */

static int run_print(struct ctl *ctl)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT;
	struct error err = ERROR_INIT;

	if (collect(ctl, &b, &err) < 0) {
		return ctl_fail(&err);
	}
	if (out_is_json()) {
		json_auto_t *text = json_string(b.p);

		out_json(text);
	} else {
		fputs(b.p, stdout);
	}
	return 0;
}

/* Who reads the file sees the old or the new one, never half of it. */
static int replace_file(const char *path, const struct buf *b, struct error *err)
{
	_cleanup_free_ char *partial = xasprintf("%s.XXXXXX", path);
	int fd = mkostemp(partial, O_CLOEXEC), r;

	if (fd < 0) {
		return error_set(err, errno, "cannot write beside %s: %s", path, strerror(errno));
	}
	r = io_write_all(fd, buf_span(b));
	/* The monitor is another user, and there is nothing secret in it. */
	if (r == 0 && (fchmod(fd, 0644) < 0 || fsync(fd) < 0)) {
		r = -errno;
	}
	close(fd);
	if (r == 0 && rename(partial, path) < 0) {
		r = -errno;
	}
	if (r < 0) {
		unlink(partial);
		return error_set(err, -r, "cannot write %s: %s", path, strerror(-r));
	}
	return 0;
}

static int run_write(struct ctl *ctl)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT;
	struct error err = ERROR_INIT;

	if (collect(ctl, &b, &err) < 0 || replace_file(ctl->args.words[0], &b, &err) < 0) {
		return ctl_fail(&err);
	}
	if (out_is_json()) {
		json_auto_t *done = json_pack("{s:s}", "file", ctl->args.words[0]);

		out_json(done);
	}
	return 0;
}

const struct command cmd_metrics_print = {
	.name = "metrics print",
	.synopsis = "",
	.summary = "counts for a monitor, as OpenMetrics text",
	.help = "Counts over all services: how many there are in which state, transfers, bytes,\n"
		"Tor. Never a name or an address. With --json the text as one string.",
	.run = run_print,
};

const struct command cmd_metrics_write = {
	.name = "metrics write",
	.synopsis = "FILE",
	.summary = "the same into a file, replaced as a whole",
	.help = "For a collector that reads files, as Prometheus' node exporter does: run it by a\n"
		"timer every minute.",
	.min_words = 1,
	.max_words = 1,
	.any_bytes = true,
	.run = run_write,
};
