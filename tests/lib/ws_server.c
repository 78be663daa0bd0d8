/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The smallest program around http/ws, for other implementations to talk to and
 * to measure the layer alone: ws_server [--broadcast] [--port N]. Texts go back to
 * whoever sent them, or to everybody. "close CODE" as a text closes with that code.
 * Prints its port; ends when its standard input does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/list.h"
#include "http/server.h"
#include "http/ws/ws.h"
#include "proto/base/alloc.h"

struct program {
	struct http_server *server;
	bool broadcast;
	struct list members;
	uv_poll_t input;
};

struct member {
	struct program *program;
	struct ws *ws;
	struct list link;
};

static void on_text(void *ud, struct span text)
{
	struct member *m = ud;
	struct ws_parcel *f;

	if (span_starts(text, SPAN("close "))) {
		uint64_t code;

		if (span_u64(span_from(text, 6), 4999, &code) == 0) {
			ws_close(m->ws, (unsigned)code);
			return;
		}
	}
	f = ws_parcel_text(text);
	if (m->program->broadcast) {
		list_for_each (it, &m->program->members) {
			ws_send(list_entry(it, struct member, link)->ws, f);
		}
	} else {
		ws_send(m->ws, f);
	}
	ws_parcel_unref(f);
}

static void on_closed(void *ud)
{
	struct member *m = ud;

	list_remove(&m->link);
	free(m);
}

static void on_request(void *ud, struct http_req *req)
{
	static const struct ws_ops ops = {on_text, on_closed};
	struct program *p = ud;
	struct member *m = xnew(struct member);

	m->program = p;
	m->ws = ws_accept(req, &ws_limits_default, &ops, m);
	if (!m->ws) {
		free(m);
		return;
	}
	list_append(&p->members, &m->link);
}

static void on_input_closed(uv_handle_t *handle)
{
	(void)handle;
}

static void on_server_closed(void *ud)
{
	struct program *p = ud;

	uv_close((uv_handle_t *)&p->input, on_input_closed);
}

static void on_input(uv_poll_t *poll, int status, int events)
{
	struct program *p = container_of(poll, struct program, input);
	char drop[64];

	(void)events;
	if (status < 0 || read(0, drop, sizeof(drop)) <= 0) {
		uv_poll_stop(poll);
		http_server_close(p->server, on_server_closed, p);
	}
}

int main(int argc, char **argv)
{
	static const struct http_server_ops ops = {.request = on_request};
	struct http_server_config config = {.limits = http_limits_default,
					    .csp = "",
					    .peer_uid = (uid_t)-1};
	struct program p = {0};
	struct error err = ERROR_INIT;
	uint64_t port = 0;
	struct ev ev;
	uv_loop_t loop;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--broadcast") == 0) {
			p.broadcast = true;
		} else if (strcmp(argv[i], "--port") == 0 && i + 1 < argc) {
			i++;
			if (span_u64(span_str(argv[i]), 65535, &port) < 0) {
				return 2;
			}
		} else {
			return 2;
		}
	}
	config.limits.max_connections = 20000;
	list_init(&p.members);
	uv_loop_init(&loop);
	ev_init(&ev, &loop, 1u << 20);
	p.server = http_server_new(&ev, &config, &ops, &p);
	if (http_server_listen_tcp(p.server, (uint16_t)port, &err) < 0 ||
	    uv_poll_init(&loop, &p.input, 0) < 0 ||
	    uv_poll_start(&p.input, UV_READABLE, on_input) < 0) {
		fprintf(stderr, "ws_server: cannot listen: %s\n", err.text ? err.text : "no input");
		error_done(&err);
		return 1;
	}
	printf("%u\n", http_server_port(p.server));
	fflush(stdout);
	uv_run(&loop, UV_RUN_DEFAULT);
	ev_done(&ev);
	return uv_loop_close(&loop) == 0 ? 0 : 1;
}
