/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Receive mode behind a real HTTP server, visited over socket pairs on the same loop. */
#pragma once

#include <time.h>

#include "base/list.h"
#include "http/server.h"
#include "mode/mode.h"
#include "mode/receive/inbox.h"
#include "proto/base/buf.h"
#include "turn.h"

#define B      "----boundary0123"
#define FORM   "Content-Type: multipart/form-data; boundary=" B "\r\n"
#define TEXT   "name=\"text\""
#define FILE_A "name=\"file[]\"; filename=\"a.txt\""

struct intent {
	int64_t id;
	struct inbox_place place;
};

struct fixture {
	uv_loop_t loop;
	struct ev ev;
	uv_idle_t idle;
	char *dir;
	struct mode *mode;
	struct http_server *server;
	struct list questions;
	struct intent intents[64];
	size_t n_intents;
	int64_t last_intent;
	bool hold, refuse_intents;
	uint64_t last_id;
	unsigned started, completed, cancelled, submissions, files;
	bool message;
	int ready, stopped, closed;
	char *error;
};

struct client {
	int fd;
	struct buf out;
	size_t out_at;
	struct buf got;
	bool eof;
};

struct reply {
	int status;
	struct buf text; /* head and body */
};

/* Not ready yet. options: JSON, with "title" beside. */
void begin_mode(struct fixture *f, const char *options);
/* Ready. */
void start(struct fixture *f, const char *options);
void stop(struct fixture *f);
/* cmocka's. */
int setup(void **state);
int teardown(void **state);
/* Names and contents below dir, sorted, times of arrival as T; hidden too. */
void list_into(struct buf *b, const char *dir, const char *prefix);
/* All below the directory, likewise: NAME=CONTENT a line, long ones as NAME (SIZE). */
void assert_disk(struct fixture *f, const char *expected);
void client_open(struct fixture *f, struct client *c);
/* Sends and reads what is possible now. */
void client_turn(struct client *c);
void client_done(struct client *c);
/* Until the other side closes; c is done then. */
struct reply finish(struct fixture *f, struct client *c);
void reply_done(struct reply *r);
/* One request on a connection of its own. body p NULL: none. */
struct reply ask(struct fixture *f, const char *method, const char *target, const char *fields,
		 struct span body);
struct reply post(struct fixture *f, const char *target, struct span body);
void add_part(struct buf *b, const char *disposition, struct span data);
void add_end(struct buf *b);
