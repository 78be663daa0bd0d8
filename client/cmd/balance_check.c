/* SPDX-License-Identifier: GPL-3.0-or-later */
/* balance check: the daemon visits a frontend and its backends; what it found, for people. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/cmd.h"
#include "client/move/obconfig.h"
#include "client/out.h"
#include "client/service.h"
#include "proto/base/alloc.h"
#include "proto/units.h"

#define EXIT_NOT_ALIKE 3
#define CONFIG_MAX     (1u << 20)

static const struct opt check_opts[] = {
	{"config", 0, "FILE", "take the backends out of Onionbalance's config.yaml"},
	{"path", 0, "PATH", "what to ask for (/download, else /)"},
	{0},
};

/* --- who is to be visited --- */

static int read_config(const char *path, struct obconfig *ret, struct error *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	_cleanup_free_ char *text = xmalloc(CONFIG_MAX + 1);
	size_t n = 0;
	ssize_t got = fd < 0 ? -1 : 1;

	while (got > 0 && n <= CONFIG_MAX) {
		got = read(fd, text + n, CONFIG_MAX + 1 - n);
		n += got > 0 ? (size_t)got : 0;
	}
	if (got < 0) {
		return error_set(err, errno, "cannot read %s: %s", path, strerror(errno));
	}
	if (n > CONFIG_MAX) {
		return error_set(err, EFBIG, "%s is too long", path);
	}
	if (obconfig_read(span_of(text, n), ret, err) < 0) {
		error_context(err, "%s", path);
		return -EINVAL;
	}
	return 0;
}

static int read_backends(struct ctl *ctl, struct obconfig *ret, struct error *err)
{
	const char *config = opt_text(&ctl->args, "config");
	int r = config ? read_config(config, ret, err) : 0;

	for (size_t i = 1; i < ctl->args.n_words && r == 0; i++) {
		r = obconfig_add(ret, span_str(ctl->args.words[i]), err);
		if (r < 0) {
			error_context(err, "%s", ctl->args.words[i]);
		}
	}
	return r;
}

static int make_params(struct ctl *ctl, json_t **ret, size_t *ret_n, struct error *err)
{
	const char *path = opt_text(&ctl->args, "path");
	struct obconfig backends = {.n = 0};
	int r = read_backends(ctl, &backends, err);

	if (r < 0) {
		return r;
	}
	json_t *list = json_array();

	for (size_t i = 0; i < backends.n; i++) {
		json_array_append_new(list, json_string(backends.backends[i]));
	}
	*ret = json_pack("{s:s, s:o, s:o}", "frontend", ctl->args.words[0], "backends", list,
			 "path", path ? json_string(path) : json_null());
	*ret_n = 1 + backends.n;
	return 0;
}

/* --- what was found --- */

static bool time_of(const json_t *o, const char *member, int64_t *ret_ms)
{
	const char *text = json_string_value(json_object_get(o, member));

	return text && units_parse_time(span_str(text), ret_ms) == 0;
}

/* In minutes; its certificate tells no more than the hour. */
static void print_age(const json_t *visit)
{
	const json_t *d = json_object_get(visit, "descriptor");
	const char *from = json_is_true(json_object_get(d, "fetched"))
				   ? ""
				   : " (as tor knew it: the directories did not hand it out)";
	struct timespec now;
	int64_t after, before;

	if (!json_is_object(d)) {
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	if (!time_of(d, "published_after", &after) || !time_of(d, "published_before", &before)) {
		out_line("          its descriptor is from the future: a clock is wrong, here or "
			 "there%s",
			 from);
		return;
	}
	int64_t most = (int64_t)now.tv_sec / 60 - after / 60000,
		least = (int64_t)now.tv_sec / 60 - before / 60000;

	if (least > 0) {
		out_line("          descriptor %" PRId64 " to %" PRId64 " minutes old%s", least,
			 most, from);
	} else {
		out_line("          descriptor at most %" PRId64 " minutes old%s", most, from);
	}
}

static void print_visit(const json_t *visit)
{
	bool good = json_is_true(json_object_get(visit, "good"));

	out_line("%s%-9s%s %s.onion", out_style(good ? STYLE_GOOD : STYLE_WARN),
		 out_esc(service_text(visit, "role")), out_plain(),
		 out_esc(service_text(visit, "onion")));
	out_line("          %s", out_esc(service_text(visit, "text")));
	if (service_has(visit, "etag")) {
		out_line("          %s has the validator %s", out_esc(service_text(visit, "path")),
			 out_esc(service_text(visit, "etag")));
	}
	print_age(visit);
}

static size_t count_good(const json_t *visits)
{
	const json_t *visit;
	size_t i, n = 0;

	json_array_foreach (visits, i, visit) {
		n += json_is_true(json_object_get(visit, "good"));
	}
	return n;
}

static void print_verdict(const json_t *last, size_t n)
{
	size_t good = count_good(json_object_get(last, "visits"));
	const char *release = service_text(last, "release");

	if (strcmp(release, "same") == 0) {
		out_line("All %zu serve the same release.", n);
	} else if (strcmp(release, "unknown") == 0) {
		out_line("All %zu answer alike. Whether it is the same release their answers do "
			 "not tell: a file named with --path does.",
			 n);
	} else if (good < n) {
		out_line("%zu of %zu answer.", good, n);
	} else {
		out_line("All %zu answer, and not with the same release.", n);
	}
}

static int follow(struct ctl *ctl, int64_t deadline, size_t total, json_t **ret, struct error *err)
{
	bool continues = true;
	size_t printed = 0;
	int r = 0;

	while (r == 0 && continues) {
		json_t *reply = NULL;
		const json_t *visits;

		r = rpc_receive(ctl->rpc, deadline, &reply, &continues, err);
		visits = json_object_get(reply, "visits");
		for (; !out_is_json() && printed < json_array_size(visits); printed++) {
			out_live_end();
			print_visit(json_array_get(visits, printed));
		}
		if (r == 0 && continues) {
			_cleanup_free_ char *text = xasprintf("visited %zu of %zu", printed, total);

			out_live(0, text);
			json_decref(reply);
		} else if (r == 0) {
			*ret = reply;
		}
	}
	out_live_end();
	return r;
}

static int run(struct ctl *ctl)
{
	struct error err = ERROR_INIT;
	json_t *params = NULL, *last = NULL;
	int64_t timeout = 0;
	size_t n = 0;
	int r = ctl_timeout(ctl, 0, &timeout, &err);

	if (r == 0) {
		r = make_params(ctl, &params, &n, &err);
	}
	if (r == 0) {
		r = ctl_connect(ctl, &err);
	}
	if (r == 0) {
		out_live(0,
			 "looking for the first through Tor; this takes seconds, or some minutes");
		r = rpc_send(ctl->rpc, "BalanceCheck", params, true, NULL, &err);
	} else {
		json_decref(params);
	}
	if (r == 0) {
		r = follow(ctl, timeout ? rpc_now() + timeout : RPC_FOREVER, n, &last, &err);
	}
	if (r < 0) {
		return ctl_fail(&err);
	}
	bool alike = strcmp(service_text(last, "release"), "different") != 0;

	if (out_is_json()) {
		json_object_del(last, "done");
		out_json(last);
	} else {
		print_verdict(last, n);
	}
	json_decref(last);
	return alike ? 0 : EXIT_NOT_ALIKE;
}

const struct command cmd_balance_check = {
	.name = "balance check",
	.synopsis = "FRONTEND [BACKEND...]",
	.summary = "visit an Onionbalance's frontend and backends, and compare them",
	.help = "The daemon goes there through Tor, as a visitor would. For each it says whether "
		"it\n"
		"answers for the frontend's name, with which validator (ETag), and how old its\n"
		"descriptor is, as far as that can be told from outside: by the hour.\n"
		"\n"
		"All that took the same release (publish --to, --from) have one validator for the\n"
		"same file, which nothing else has. Of a share all of it is asked for, of a "
		"website\n"
		"its first page; where that is a list, name a file with --path. Exit status 0: "
		"all\n"
		"answer alike. 3: they do not.",
	.opts = check_opts,
	.min_words = 1,
	.max_words = 1 + OBCONFIG_BACKENDS_MAX,
	.run = run,
};
