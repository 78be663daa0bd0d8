/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Varlink on a stream socket: JSON objects, each ending in a NUL
 * (varlink.org/Method-Call), with descriptors beside them (SCM_RIGHTS). For
 * both sides. The reader and the parsers are pure; the two socket helpers at the
 * end make one system call each.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "proto/base/span.h"

#define WIRE_MAX_MESSAGE     (1024u * 1024) /* bytes before the NUL */
#define WIRE_MAX_DEPTH       32u            /* of objects and arrays in one message */
#define WIRE_MAX_VALUES      131072u        /* commas and brackets: bounds what parsing allocates */
#define WIRE_MAX_DESCRIPTORS 64u            /* with one message */

/* --- framing --- */

struct wire_reader {
	struct buf in;
	size_t begin; /* of the message that is next */
	size_t seen;  /* no NUL in begin..seen */
};

#define WIRE_READER_INIT ((struct wire_reader){0})

void wire_reader_done(struct wire_reader *r);
/* 0, or -EMSGSIZE when a message without end has become too long: the connection is of no use. */
int wire_reader_feed(struct wire_reader *r, const void *p, size_t n);
/* true: *ret is a message, without its NUL, valid until the next call of any of these. */
bool wire_reader_next(struct wire_reader *r, struct span *ret);
/* Is there a whole message? */
bool wire_reader_ready(struct wire_reader *r);
/* Nothing left, not even the beginning of a message. */
bool wire_reader_empty(const struct wire_reader *r);

/* --- messages --- */

struct wire_call {
	json_t *message;       /* owned; the others point into it */
	const char *name;      /* "org.onionshared.Control.Start" */
	struct span interface; /* "org.onionshared.Control" */
	struct span method;    /* "Start" */
	const json_t *params;  /* object or NULL */
	bool more, oneway, upgrade;
};

struct wire_reply {
	json_t *message;      /* owned; the others point into it */
	const char *error;    /* NULL: none */
	const json_t *params; /* object or NULL */
	bool continues;
};

/*
 * Strict: one object, valid UTF-8, no duplicate or unknown members, a method
 * name by varlink's grammar. 0, -EINVAL or -EMSGSIZE with what is wrong.
 */
int wire_parse_call(struct span text, struct wire_call *ret, struct error *err);
int wire_parse_reply(struct span text, struct wire_reply *ret, struct error *err);
void wire_call_done(struct wire_call *c);
void wire_reply_done(struct wire_reply *r);
/* One JSON value from outside, within the same bounds. NULL: err says why. */
json_t *wire_parse_json(struct span text, struct error *err);

/* New references. params are taken and may be NULL. */
json_t *wire_make_call(const char *method, json_t *params, bool more, bool oneway);
json_t *wire_make_reply(json_t *params, bool continues);
/* Adds the message and its NUL. 0, or -EMSGSIZE (nothing is added then). */
int wire_add(struct buf *out, const json_t *message);

/* --- sockets --- */

/* sendmsg with descriptors (which stay the caller's): bytes sent, or -errno. Never SIGPIPE. */
ssize_t wire_send(int sock, struct span data, const int *fds, unsigned n_fds);
/*
 * recvmsg: bytes (0: end) or -errno. Descriptors, close-on-exec, are put behind
 * the *n_fds that are in fds already; more than max in all: -EMFILE, and all that
 * came are closed. Descriptors belong to the message in which the bytes of that call end.
 */
ssize_t wire_recv(int sock, void *p, size_t n, int *fds, unsigned max, unsigned *n_fds);
