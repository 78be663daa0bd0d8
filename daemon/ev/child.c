/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ev/child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/alloc.h"

#define DRAIN_MAX (256u * 1024) /* bytes read for an ended child's last words */

struct child {
	struct ev *ev;
	struct child_ops ops;
	void *ud;
	uv_process_t process;
	uv_pipe_t out;
	bool exited, closing;
	unsigned open_handles;
	void (*closed)(void *ud);
	void *closed_ud;
	char line[CHILD_LINE_MAX];
	size_t line_len;
};

/* --- output --- */

static void take_output(struct child *c, struct span bytes)
{
	for (size_t i = 0; i < bytes.n; i++) {
		if (bytes.p[i] == '\n') {
			c->ops.line(c->ud, span_of(c->line, c->line_len));
			c->line_len = 0;
		} else if (c->line_len < CHILD_LINE_MAX) {
			c->line[c->line_len++] = bytes.p[i];
		}
	}
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct child *c = handle->data;

	(void)suggested;
	*buf = uv_buf_init(c->ev->scratch, (unsigned)c->ev->scratch_size);
}

static void on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct child *c = stream->data;

	if (n > 0) {
		take_output(c, span_of(buf->base, (size_t)n));
	} else if (n < 0) {
		uv_read_stop(stream); /* its end, which the process's own will follow */
	}
}

/*
 * What is left in the pipe of an ended child. Not until the pipe's own end: a
 * grandchild may hold it open.
 */
static void drain(struct child *c)
{
	char bytes[4096];
	uv_os_fd_t fd;

	if (uv_fileno((uv_handle_t *)&c->out, &fd) < 0) {
		return;
	}
	for (size_t total = 0; total < DRAIN_MAX;) {
		ssize_t n = read(fd, bytes, sizeof(bytes));

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			break;
		}
		take_output(c, span_of(bytes, (size_t)n));
		total += (size_t)n;
	}
	if (c->line_len) {
		c->ops.line(c->ud, span_of(c->line, c->line_len));
		c->line_len = 0;
	}
}

/* --- its end --- */

static void handle_closed(uv_handle_t *handle)
{
	struct child *c = handle->data;

	if (--c->open_handles == 0) {
		void (*closed)(void *) = c->closed;
		void *ud = c->closed_ud;

		free(c);
		if (closed) {
			closed(ud);
		}
	}
}

static void close_handles(struct child *c)
{
	uv_close((uv_handle_t *)&c->process, handle_closed);
	uv_close((uv_handle_t *)&c->out, handle_closed);
}

static void process_ended(uv_process_t *process, int64_t status, int signum)
{
	struct child *c = process->data;

	c->exited = true;
	if (c->closing) {
		close_handles(c);
		return;
	}
	uv_read_stop((uv_stream_t *)&c->out);
	drain(c);
	c->ops.exited(c->ud, (int)status, signum);
}

void child_kill(struct child *c, int signum)
{
	if (!c->exited) {
		/* Not yet waited for, so the number is still its own. */
		uv_process_kill(&c->process, signum);
	}
}

pid_t child_pid(const struct child *c)
{
	return c->process.pid;
}

void child_close(struct child *c, void (*closed)(void *ud), void *ud)
{
	assert(!c->closing);
	c->closing = true;
	c->closed = closed;
	c->closed_ud = ud;
	if (c->exited) {
		close_handles(c);
		return;
	}
	/* Waited for: closing the handle now would leave a zombie. */
	uv_read_stop((uv_stream_t *)&c->out);
	child_kill(c, SIGKILL);
}

/* --- its beginning --- */

static bool for_us_alone(const char *variable)
{
	static const char *const prefixes[] = {
		"NOTIFY_SOCKET=",
		"WATCHDOG_",
		"LISTEN_",
		"CREDENTIALS_DIRECTORY=",
	};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		if (strncmp(variable, prefixes[i], strlen(prefixes[i])) == 0) {
			return true;
		}
	}
	return false;
}

/* The strings stay those of environ. */
static char **environment(void)
{
	size_t n = 0, kept = 0;
	char **env;

	while (environ[n]) {
		n++;
	}
	env = xcalloc(n + 1, sizeof(*env));
	for (size_t i = 0; i < n; i++) {
		if (!for_us_alone(environ[i])) {
			env[kept++] = environ[i];
		}
	}
	return env;
}

static int spawn(struct child *c, const char *const *argv, int out)
{
	char **env = environment();
	uv_stdio_container_t stdio[] = {
		{.flags = UV_IGNORE}, /* libuv opens /dev/null for it */
		{.flags = UV_INHERIT_FD, .data.fd = out},
		{.flags = UV_INHERIT_FD, .data.fd = out},
	};
	uv_process_options_t options = {
		.exit_cb = process_ended,
		.file = argv[0],
		.args = (char **)(uintptr_t)argv, /* not written to */
		.env = env,
		.flags = UV_PROCESS_DETACHED,
		.stdio_count = ARRAY_SIZE(stdio),
		.stdio = stdio,
	};
	int r = uv_spawn(c->ev->loop, &c->process, &options);

	free(env);
	return r;
}

int child_spawn(struct ev *ev, const char *const *argv, const struct child_ops *ops, void *ud,
		struct child **ret)
{
	_cleanup_close_ int out = -1;
	struct child *c;
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0) {
		return -errno;
	}
	out = ends[1];
	c = xnew(struct child);
	c->ev = ev;
	c->ops = *ops;
	c->ud = ud;
	c->open_handles = 2;
	r = uv_pipe_init(ev->loop, &c->out, 0);
	assert(r == 0);
	c->out.data = c;
	c->process.data = c;
	r = uv_pipe_open(&c->out, ends[0]);
	assert(r == 0);
	r = spawn(c, argv, out);
	if (r == 0) {
		r = uv_read_start((uv_stream_t *)&c->out, on_alloc, on_output);
	} else {
		c->exited = true; /* it never was */
	}
	if (r < 0) {
		child_close(c, NULL, NULL);
		return r;
	}
	*ret = c;
	return 0;
}
