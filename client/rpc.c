/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/rpc.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/errors.h"
#include "proto/validate.h"

#define SYSTEM_SOCKET "/run/onionshared/control.sock"
#define READ_SIZE     16384

static int signal_fd = -1;
static int signal_seen, signal_woke;

/* --- signals and waiting --- */

static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
static const int of_terminal[] = {SIGWINCH, SIGTSTP, SIGQUIT};

static void add_signals(sigset_t *set, const int *numbers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		sigaddset(set, numbers[i]);
	}
}

void rpc_init(void)
{
	sigset_t set;

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		/* A shell may have us ignore them, which would keep them from signalfd too. */
		signal(ends[i], SIG_DFL);
	}
	sigemptyset(&set);
	add_signals(&set, ends, ARRAY_SIZE(ends));
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Those not heeded stay blocked and pending. */
void rpc_heed_terminal(bool heed)
{
	sigset_t set;

	sigemptyset(&set);
	add_signals(&set, of_terminal, ARRAY_SIZE(of_terminal));
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (!heed) {
		sigemptyset(&set);
	}
	add_signals(&set, ends, ARRAY_SIZE(ends));
	signalfd(signal_fd, &set, 0);
}

int rpc_woken_by(void)
{
	return signal_woke;
}

int rpc_signal(void)
{
	return signal_seen;
}

int64_t rpc_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int interrupted(struct error *err)
{
	return error_set(err, RPC_INTERRUPTED, "interrupted");
}

static int poll_timeout(int64_t deadline_ms)
{
	int64_t left = deadline_ms == RPC_FOREVER ? -1 : deadline_ms - rpc_now();

	if (deadline_ms == RPC_FOREVER) {
		return -1;
	}
	return left < 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
}

/* false: it was one that only wakes, or none. */
static bool take_signal(void)
{
	struct signalfd_siginfo info;

	if (read(signal_fd, &info, sizeof(info)) != sizeof(info)) {
		return false;
	}
	if (info.ssi_signo == SIGWINCH || info.ssi_signo == SIGTSTP) {
		signal_woke = (int)info.ssi_signo;
		return false;
	}
	signal_seen = (int)info.ssi_signo;
	return true;
}

/* 0: fd is ready. -EINTR by a signal, which stays seen; -ETIMEDOUT. */
static int wait_for(int fd, short events, int64_t deadline_ms, struct error *err)
{
	struct pollfd pfd[2] = {{.fd = fd, .events = events}, {.fd = signal_fd, .events = POLLIN}};

	for (;;) {
		int n = poll(pfd, 2, poll_timeout(deadline_ms));

		if (n < 0 && errno != EINTR) {
			return error_set(err, errno, "poll: %s", strerror(errno));
		}
		if (n > 0 && (pfd[1].revents & POLLIN)) {
			if (take_signal()) {
				return interrupted(err);
			}
			return error_set(err, RPC_WOKEN, "woken by the terminal");
		}
		if (n > 0 && pfd[0].revents != 0) {
			return 0;
		}
		if (n == 0 && rpc_now() >= deadline_ms) {
			return error_set_kind(err, ETIMEDOUT, ERROR_TIMEOUT, "the daemon's answer",
					      NULL, "no answer from the daemon in time");
		}
	}
}

int rpc_check_signal(struct error *err)
{
	if (signal_seen == 0 && signal_fd >= 0) {
		take_signal();
	}
	return signal_seen ? interrupted(err) : 0;
}

int rpc_wait_readable(int fd, struct error *err)
{
	return wait_for(fd, POLLIN, RPC_FOREVER, err);
}

/* --- connecting --- */

/* NULL if this user has no runtime directory. */
static char *user_socket(void)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");

	if (dir && dir[0] == '/') {
		return xasprintf("%s/onionshared/control.sock", dir);
	}
	return xasprintf("/run/user/%u/onionshared/control.sock", (unsigned)geteuid());
}

static char *choose_path(const char *path, enum rpc_scope scope)
{
	const char *env = getenv("ONIONSHARED_SOCKET");
	char *own;

	if (path) {
		return xstrdup(path);
	}
	if (scope == RPC_SYSTEM) {
		return xstrdup(SYSTEM_SOCKET);
	}
	if (scope == RPC_ANY && env && env[0] != '\0') {
		return xstrdup(env);
	}
	own = user_socket();
	if (scope == RPC_USER || access(own, F_OK) == 0) {
		return own;
	}
	free(own);
	return xstrdup(SYSTEM_SOCKET);
}

static int no_daemon(const char *path, struct error *err)
{
	if (strcmp(path, SYSTEM_SOCKET) == 0) {
		return error_set(
			err, RPC_NO_DAEMON,
			"no daemon answers at %s. Is onionshared running? "
			"Start the machine's with 'systemctl start onionshared', or one of "
			"your own with 'onionshared'",
			path);
	}
	return error_set(err, RPC_NO_DAEMON,
			 "no daemon answers at %s. Is onionshared running? Start your own with "
			 "'systemctl --user start onionshared' or 'onionshared'",
			 path);
}

static int connect_failed(const char *path, int code, struct error *err)
{
	const char *user = getenv("USER");

	switch (code) {
	case ENOENT:
	case ENOTDIR:
	case ECONNREFUSED:
		return no_daemon(path, err);
	case EACCES:
	case EPERM:
		return error_set_kind(err, EACCES, ERROR_PERMISSION_DENIED, "group onionshare",
				      NULL,
				      "you may not connect to %s. Members of the group onionshare "
				      "may: 'adduser %s onionshare' as root, then log in anew",
				      path, user && user[0] != '\0' ? user : "$USER");
	case EAGAIN:
		return error_set(err, EAGAIN, "the daemon at %s is too busy to answer", path);
	case EPROTOTYPE:
	default:
		return error_set(err, code, "cannot connect to %s: %s", path, strerror(code));
	}
}

static int connect_to(int sock, const char *path, struct error *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(addr.sun_path)) {
		return error_set_kind(err, ENAMETOOLONG, ERROR_INVALID_VALUE, "socket", "too long",
				      "%s is too long for a socket: %zu characters are the most",
				      path, sizeof(addr.sun_path) - 1);
	}
	memcpy(addr.sun_path, path, strlen(path));
	if (connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		return connect_failed(path, errno, err);
	}
	return 0;
}

int rpc_open(const char *path, enum rpc_scope scope, struct rpc **ret, struct error *err)
{
	struct rpc *rpc = xnew(struct rpc);
	int r;

	rpc->path = choose_path(path, scope);
	rpc->reader = WIRE_READER_INIT;
	rpc->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (rpc->sock < 0) {
		r = error_set(err, errno, "socket: %s", strerror(errno));
		goto fail;
	}
	r = connect_to(rpc->sock, rpc->path, err);
	if (r < 0) {
		goto fail;
	}
	*ret = rpc;
	return 0;
fail:
	rpc_close(rpc);
	return r;
}

static void drop_fds(struct rpc *rpc)
{
	while (rpc->n_fds > 0) {
		close_fdp(&rpc->fds[--rpc->n_fds]);
	}
}

void rpc_close(struct rpc *rpc)
{
	if (!rpc) {
		return;
	}
	close_fdp(&rpc->sock);
	drop_fds(rpc);
	wire_reader_done(&rpc->reader);
	free(rpc->path);
	free(rpc);
}

void rpc_fds_close(struct rpc_fds *fds)
{
	for (unsigned i = 0; i < fds->n; i++) {
		close_fdp(&fds->fd[i]);
	}
	fds->n = 0;
}

/* --- calls --- */

static bool is_gone(int code)
{
	return code == EPIPE || code == ECONNRESET || code == ENOTCONN;
}

static int lost(struct rpc *rpc, struct error *err)
{
	return error_set(err, RPC_NO_DAEMON,
			 "the daemon at %s closed the connection: it ended, or its log says why",
			 rpc->path);
}

static int send_all(struct rpc *rpc, struct span data, const struct rpc_fds *fds, struct error *err)
{
	unsigned n_fds = fds ? fds->n : 0;

	while (data.n > 0) {
		ssize_t n = wire_send(rpc->sock, data, fds ? fds->fd : NULL, n_fds);
		int r;

		if (n >= 0) {
			data = span_from(data, (size_t)n);
			n_fds = 0;
			continue;
		}
		if (n == -EINTR) {
			continue;
		}
		if (is_gone((int)-n)) {
			return lost(rpc, err);
		}
		if (n != -EAGAIN) {
			return error_set(err, (int)-n, "cannot write to %s: %s", rpc->path,
					 strerror((int)-n));
		}
		r = wait_for(rpc->sock, POLLOUT, RPC_FOREVER, err);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static const struct method_def *find_method(const char *full)
{
	const char *dot = strrchr(full, '.');
	const struct interface *i;

	if (!dot) {
		return NULL;
	}
	i = interface_find(span_of(full, (size_t)(dot - full)));
	return i ? interface_method(i, span_str(dot + 1)) : NULL;
}

int rpc_send(struct rpc *rpc, const char *method, json_t *params, bool more,
	     const struct rpc_fds *fds, struct error *err)
{
	_cleanup_free_ char *full =
		strchr(method, '.') ? xstrdup(method) : xasprintf(INTERFACE_CONTROL ".%s", method);
	json_t *call = wire_make_call(full, params, more, false);
	struct buf out = BUF_INIT;
	int r = wire_add(&out, call);

	rpc->method = find_method(full);
	drop_fds(rpc); /* nobody asked for those of an earlier answer */
	if (r < 0) {
		r = error_set_kind(err, -r, ERROR_LIMIT_EXCEEDED, "message", NULL,
				   "the call is larger than the %u KiB that a message may have",
				   WIRE_MAX_MESSAGE / 1024);
	} else {
		r = send_all(rpc, buf_span(&out), fds, err);
	}
	buf_wipe(&out);
	json_decref(call);
	return r;
}

static int fill(struct rpc *rpc, int64_t deadline_ms, struct error *err)
{
	char chunk[READ_SIZE];
	ssize_t n;
	int r = wait_for(rpc->sock, POLLIN, deadline_ms, err);

	if (r < 0) {
		return r;
	}
	n = wire_recv(rpc->sock, chunk, sizeof(chunk), rpc->fds, WIRE_MAX_DESCRIPTORS, &rpc->n_fds);
	if (n == 0 || is_gone((int)-n)) {
		return lost(rpc, err);
	}
	if (n < 0) {
		return n == -EAGAIN || n == -EINTR
			       ? 0
			       : error_set(err, (int)-n, "cannot read from %s: %s", rpc->path,
					   strerror((int)-n));
	}
	r = wire_reader_feed(&rpc->reader, chunk, (size_t)n);
	explicit_bzero(chunk, (size_t)n);
	if (r < 0) {
		return error_set(err, -r, "the daemon's answer is too long");
	}
	return 0;
}

/* What the daemon says is checked before anybody looks at it. */
static int take_reply(struct rpc *rpc, struct wire_reply *reply, json_t **ret, struct error *err)
{
	json_t *params =
		reply->params ? json_copy((json_t *)(uintptr_t)reply->params) : json_object();
	int r = 0;

	if (reply->error) {
		errors_from_wire(reply->error, reply->params, err);
		json_decref(params);
		return -err->code;
	}
	if (rpc->method) {
		r = validate_object(rpc->method->out, params, VALIDATE_LENIENT, err);
	}
	if (r < 0) {
		json_decref(params);
		err->kind = ERROR_INTERNAL;
		return error_context(err, "the daemon's answer does not fit the interface");
	}
	*ret = params;
	return 0;
}

int rpc_receive(struct rpc *rpc, int64_t deadline_ms, json_t **ret, bool *ret_continues,
		struct error *err)
{
	struct wire_reply reply = {0};
	struct span text;
	int r;

	while (!wire_reader_next(&rpc->reader, &text)) {
		r = fill(rpc, deadline_ms, err);
		if (r < 0) {
			return r;
		}
	}
	r = wire_parse_reply(text, &reply, err);
	if (r < 0) {
		return error_context(err, "the daemon's answer is not Varlink");
	}
	if (ret_continues) {
		*ret_continues = reply.continues && !reply.error;
	}
	r = take_reply(rpc, &reply, ret, err);
	wire_reply_done(&reply);
	return r;
}

int rpc_call(struct rpc *rpc, const char *method, json_t *params, json_t **ret, struct error *err)
{
	int r = rpc_send(rpc, method, params, false, NULL, err);

	return r < 0 ? r : rpc_receive(rpc, RPC_FOREVER, ret, NULL, err);
}

int rpc_call_fds(struct rpc *rpc, const char *method, json_t *params, json_t **ret,
		 struct rpc_fds *ret_fds, struct error *err)
{
	int r = rpc_call(rpc, method, params, ret, err);

	memcpy(ret_fds->fd, rpc->fds, rpc->n_fds * sizeof(rpc->fds[0]));
	ret_fds->n = rpc->n_fds;
	rpc->n_fds = 0;
	return r;
}
