/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tor/launch.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fsutil.h"
#include "base/log.h"
#include "ev/child.h"
#include "proto/base/alloc.h"
#include "tor/lexer.h"
#include "tor/transports.h"

struct launch {
	struct ev *ev;
	struct launch_config config; /* strings owned */
	struct bridges bridges;      /* where config has them */
	struct launch_ops ops;
	void *ud;
	char *control;
	struct child *child;
	uv_timer_t kill_timer;
	bool freeing, told_listening;
	unsigned open_handles;
	void (*freed)(void *ud);
	void *freed_ud;
	char *log[LAUNCH_LOG_LINES]; /* a ring */
	unsigned log_next;
	char *complaint; /* its latest warning; kept over an error that only sums up */
};

static char *dup_or_null(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

struct launch *launch_new(struct ev *ev, const struct launch_config *config,
			  const struct launch_ops *ops, void *ud)
{
	struct launch *l = xnew(struct launch);
	int r = uv_timer_init(ev->loop, &l->kill_timer);

	assert(r == 0);
	(void)r;
	l->kill_timer.data = l;
	l->ev = ev;
	l->config.binary = dup_or_null(config->binary);
	l->config.extra = dup_or_null(config->extra);
	l->config.data_dir = xstrdup(config->data_dir);
	l->config.runtime_dir = xstrdup(config->runtime_dir);
	if (config->bridges) {
		bridges_copy(&l->bridges, config->bridges);
	}
	l->config.bridges = &l->bridges;
	l->ops = *ops;
	l->ud = ud;
	l->control = xasprintf("%s/control", config->runtime_dir);
	return l;
}

/* --- configuration --- */

/* Socket paths stand in torrc and on the control port, where nothing can be quoted. */
static int check_socket_dir(const char *dir, struct error *err)
{
	size_t longest = strlen(dir) + strlen("/control");

	if (longest >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		return error_set(err, EINVAL,
				 "the runtime directory %s is too long: a socket's path may have "
				 "%zu bytes; choose a shorter one with --runtime-dir",
				 dir, sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
	}
	for (const char *p = dir; *p; p++) {
		if (*p <= ' ' || *p > '~' || *p == '"' || *p == '\\' || *p == '#') {
			return error_set(err, EINVAL,
					 "the runtime directory %s has a character that cannot be "
					 "told to tor; use plain letters, without spaces",
					 dir);
		}
	}
	return 0;
}

static int add_quoted_path(struct buf *b, const char *path, struct error *err)
{
	buf_add_char(b, '"');
	for (const char *p = path; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f) {
			return error_set(err, EINVAL, "the directory %s has a control character",
					 path);
		}
		if (*p == '"' || *p == '\\') {
			buf_add_char(b, '\\');
		}
		buf_add_char(b, *p);
	}
	buf_add_str(b, "\"\n");
	return 0;
}

int launch_torrc(const struct launch_config *config, int pid, struct buf *ret, struct error *err)
{
	const char *run = config->runtime_dir;
	int r = check_socket_dir(run, err);

	if (r < 0) {
		return r;
	}
	buf_add_str(ret, "# Written by onionshared at each start; changes are lost.\n"
			 "DataDirectory ");
	r = add_quoted_path(ret, config->data_dir, err);
	if (r < 0) {
		return r;
	}
	buf_printf(ret, "ControlSocket %s/control\n", run);
	buf_add_str(ret, "CookieAuthentication 1\n");
	buf_printf(ret, "CookieAuthFile %s/cookie\n", run);
	buf_printf(ret, "SocksPort unix:%s/socks IsolateSOCKSAuth ExtendedErrors\n", run);
	buf_add_str(ret, "SafeLogging 1\n"
			 "AvoidDiskWrites 1\n"
			 "Log notice stdout\n"
			 "RunAsDaemon 0\n");
	buf_printf(ret, "__OwningControllerProcess %d\n", pid);
	if (config->bridges) {
		transports_torrc(config->bridges, ret);
	}
	if (config->extra) {
		buf_printf(ret, "%s\n", config->extra);
	}
	return 0;
}

static char *path_in(const struct launch *l, const char *name)
{
	return xasprintf("%s/%s", l->config.runtime_dir, name);
}

/* Tor insists on a private directory around its control socket; so do we. */
static int make_private(const char *dir, struct error *err)
{
	int r = fs_mkdir_p(dir, 0700, err);

	if (r == 0 && chmod(dir, 0700) < 0) {
		r = error_set(err, errno, "cannot make %s private: %s", dir, strerror(errno));
	}
	return r;
}

int launch_prepare(struct launch *l, struct error *err)
{
	_cleanup_free_ char *path = path_in(l, "torrc");
	struct buf torrc = BUF_INIT;
	int r = launch_torrc(&l->config, (int)getpid(), &torrc, err);

	if (r == 0) {
		r = make_private(l->config.runtime_dir, err);
	}
	if (r == 0) {
		r = make_private(l->config.data_dir, err);
	}
	if (r == 0) {
		r = fs_write_file(path, buf_span(&torrc), 0600, err);
	}
	buf_wipe(&torrc);
	return r;
}

void launch_use_bridges(struct launch *l, const struct bridges *b)
{
	_cleanup_error_ struct error err = ERROR_INIT;

	bridges_done(&l->bridges);
	bridges_copy(&l->bridges, b);
	if (launch_running(l) && launch_prepare(l, &err) < 0) {
		/* It was told of them; and each start writes them again, or fails. */
		log_debug("%s", error_text(&err));
	}
}

/* --- its log --- */

static void remember(struct launch *l, const char *line)
{
	free(l->log[l->log_next]);
	l->log[l->log_next] = xstrdup(line);
	l->log_next = (l->log_next + 1) % LAUNCH_LOG_LINES;
}

void launch_log(const struct launch *l, struct buf *ret)
{
	for (unsigned i = 0; i < LAUNCH_LOG_LINES; i++) {
		const char *line = l->log[(l->log_next + i) % LAUNCH_LOG_LINES];

		if (line) {
			buf_printf(ret, "%s\n", line);
		}
	}
}

static void forget_log(struct launch *l)
{
	for (unsigned i = 0; i < LAUNCH_LOG_LINES; i++) {
		free(l->log[i]);
		l->log[i] = NULL;
	}
	free(l->complaint);
	l->complaint = NULL;
}

/* "Nov 22 17:00:00.000 [warn] text": the text, if the line is of that level. */
static const char *at_level(const char *line, const char *level)
{
	const char *at = strstr(line, level);

	return at ? at + strlen(level) : NULL;
}

static void on_line(void *ud, struct span raw)
{
	struct launch *l = ud;
	_cleanup_free_ char *line =
		bridges_named_in(&l->bridges, raw) ? xstrdup("(of a bridge)") : ctl_printable(raw);
	const char *warning = at_level(line, " [warn] ");
	const char *error = at_level(line, " [err] ");

	log_debug("tor: %s", line);
	remember(l, line);
	if (warning && strstr(warning, "running Tor as root")) {
		return; /* true, and never the reason of anything */
	}
	if (warning && strstr(warning, "Bug: ")) {
		return; /* where in tor it happened; the warning before says what */
	}
	/* "Reading config failed--see warnings above." is not what went wrong. */
	if (warning || (error && !l->complaint)) {
		free(l->complaint);
		l->complaint = xstrdup(warning ? warning : error);
	}
	if (!l->told_listening && strstr(line, "Opened Control listener")) {
		l->told_listening = true;
		l->ops.listening(l->ud);
	}
}

/* --- its life --- */

static void child_gone(void *ud);

static void on_exited(void *ud, int status, int signum)
{
	struct launch *l = ud;

	uv_timer_stop(&l->kill_timer);
	child_close(l->child, child_gone, l);
	l->child = NULL;
	l->open_handles++;
	if (l->freeing) {
		return;
	}
	_cleanup_free_ char *how = signum ? xasprintf("was ended by signal %d", signum)
					  : xasprintf("exited with status %d", status);
	/* A signal needs no other reason. */
	_cleanup_free_ char *why = l->complaint && !signum
					   ? xasprintf("tor %s: %s", how, l->complaint)
					   : xasprintf("tor %s", how);

	l->ops.exited(l->ud, why);
}

/* PATH of an ordinary user often lacks the place where tor is. */
static const char *const binaries[] = {"tor", "/usr/sbin/tor", "/usr/bin/tor",
				       "/usr/local/bin/tor"};

int launch_start(struct launch *l, struct error *err)
{
	static const struct child_ops ops = {.line = on_line, .exited = on_exited};
	_cleanup_free_ char *torrc = path_in(l, "torrc");
	/* Nothing of /etc/tor: a file that is not there, in a directory that is ours alone. */
	_cleanup_free_ char *none = path_in(l, "no-defaults");
	const char *argv[] = {NULL, "-f", torrc, "--defaults-torrc", none, NULL};
	size_t n = l->config.binary ? 1 : ARRAY_SIZE(binaries);
	int r = -ENOENT;

	assert(!l->child);
	forget_log(l);
	l->told_listening = false;
	for (size_t i = 0; i < n && r == -ENOENT; i++) {
		argv[0] = l->config.binary ? l->config.binary : binaries[i];
		r = child_spawn(l->ev, argv, &ops, l, &l->child);
	}
	if (r == -ENOENT && !l->config.binary) {
		return error_set(err, ENOENT, "tor is not installed: apt install tor");
	}
	if (r < 0) {
		return error_set(err, -r, "cannot start %s: %s", argv[0], strerror(-r));
	}
	return 0;
}

bool launch_running(const struct launch *l)
{
	return l->child != NULL;
}

const char *launch_control(const struct launch *l)
{
	return l->control;
}

static void on_kill_timer(uv_timer_t *timer)
{
	struct launch *l = timer->data;

	if (l->child) {
		child_kill(l->child, SIGKILL);
	}
}

void launch_end(struct launch *l)
{
	if (l->child) {
		child_kill(l->child, SIGTERM);
		int r = uv_timer_start(&l->kill_timer, on_kill_timer, LAUNCH_STOP_MS, 0);

		assert(r == 0);
		(void)r;
	}
}

static void timer_gone(uv_handle_t *handle);

/* Everything that is open closes one by one; the last frees l. */
static void part_gone(struct launch *l)
{
	if (l->open_handles || l->child || !l->freeing) {
		return;
	}
	if (!uv_is_closing((uv_handle_t *)&l->kill_timer)) {
		uv_close((uv_handle_t *)&l->kill_timer, timer_gone);
	}
}

static void child_gone(void *ud)
{
	struct launch *l = ud;

	l->open_handles--;
	part_gone(l);
}

static void timer_gone(uv_handle_t *handle)
{
	struct launch *l = handle->data;
	void (*freed)(void *) = l->freed;
	void *ud = l->freed_ud;

	forget_log(l);
	bridges_done(&l->bridges);
	free((char *)(uintptr_t)l->config.binary);
	free((char *)(uintptr_t)l->config.extra);
	free((char *)(uintptr_t)l->config.data_dir);
	free((char *)(uintptr_t)l->config.runtime_dir);
	free(l->control);
	free(l);
	if (freed) {
		freed(ud);
	}
}

void launch_free(struct launch *l, void (*freed)(void *ud), void *ud)
{
	if (!l) {
		return;
	}
	l->freeing = true;
	l->freed = freed;
	l->freed_ud = ud;
	launch_end(l);
	part_gone(l);
}
