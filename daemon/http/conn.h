/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Private to this folder: a connection, the exchange on it, and what of the
 * server they see.
 *
 *	OPEN, no exchange   a head is awaited or partly here
 *	OPEN, exchange      two halves move independently: the request's body
 *	                    (enum http_in) and the response (enum http_out)
 *	UPGRADED            another protocol has it (http/upgrade.h)
 *	LINGER              all is said; the rest of what the visitor sends is
 *	                    dropped, so that no reset destroys the answer
 *	CLOSED              waits for the io's closed callback
 *
 * An exchange exists only while there is a request, in an arena of its own: an
 * idle connection holds this struct, its io and nothing more. conn_run is the only
 * function that moves things on; whatever happens elsewhere sets fields and
 * kicks the connection, so that nobody is called back from within his own call.
 */
#pragma once

#include "base/list.h"
#include "http/file.h"
#include "http/head.h"
#include "http/io.h"
#include "http/parser.h"
#include "http/server.h"
#include "http/upgrade.h"
#include "proto/base/buf.h"

enum http_conn_state {
	HTTP_CONN_OPEN,
	HTTP_CONN_UPGRADED,
	HTTP_CONN_LINGER,
	HTTP_CONN_CLOSED,
};

enum http_in {
	HTTP_IN_DONE,    /* no body, or all of it has come */
	HTTP_IN_WAIT,    /* nobody has asked for it yet */
	HTTP_IN_FLOW,    /* goes to the sink */
	HTTP_IN_PAUSED,  /* the sink is busy */
	HTTP_IN_DISCARD, /* nobody wants it; dropped to reach the next request */
	HTTP_IN_FAILED,  /* its end will never be found */
};

enum http_out {
	HTTP_OUT_WAIT, /* the handler has not answered yet */
	HTTP_OUT_SEND,
	HTTP_OUT_DONE,
};

struct http_exchange {
	struct http_req req;
	struct http_conn *conn;
	struct http_head head;
	struct http_parser parser;

	bool handled; /* a handler has it: it counts as busy */
	const struct http_observer *obs;
	void *obs_ud;

	/* the request's body */
	enum http_in in;
	const struct http_sink_ops *sink;
	void *sink_ud;
	bool end_due;      /* the sink is to be told the end */
	bool in_sink;      /* its data is being called */
	bool resumed;      /* meanwhile it resumed */
	bool continue_due; /* the visitor waits for 100 Continue */
	uint64_t body_since;
	uint64_t rate_since, rate_bytes;
	bool rate_grace;
	uint64_t discarded;

	/* the response */
	enum http_out out;
	bool close; /* the connection ends after it */
	bool chunked;
	struct http_body body;
	bool body_open;     /* body is to be given back */
	bool body_last;     /* its last bytes are among those below */
	uint64_t body_left; /* not yet below; HTTP_LENGTH_UNKNOWN */
	struct http_file *file;
	size_t send_window; /* what sendfile is offered at once */
	bool chunk_wanted, chunk_ready, source_failed;
	struct span chunk;
	bool chunk_last;
	/* what is to be written next, in this order */
	struct span pre, mid, data, post;
	char mid_text[24];
	uint64_t body_sent;
	uint64_t write_since;
};

struct http_conn {
	struct http_server *server;
	struct http_io *io;
	struct list link;
	struct list kicked;
	enum http_conn_state state;
	bool running, can_read, can_write, eof;
	bool peer_shut; /* it sends no more; what it sent before may still be unread */
	bool broken;    /* a write has failed outside of a turn of its own */
	bool served;    /* a request was answered on it */
	bool counted;   /* against max_connections */
	bool secret;    /* what comes and goes is wiped when it is used */
	struct buf in;  /* read and not yet used; empty most of the time */
	size_t in_at;
	struct http_head_scan scan;
	uint64_t since; /* in this state without exchange, or writing made progress, in ms */
	uint64_t deadline;
	uint64_t linger_left;
	size_t burst; /* bytes that may be written before others have their turn */
	struct http_exchange *x;
	struct http_upgrade *up; /* from the answer to the request that asked for it on */
	struct arena arena;
};

struct http_server {
	struct ev *ev;
	struct http_limits limits;
	struct http_server_ops ops;
	void *ud;
	char *host, *alias;
	uid_t peer_uid;
	bool secret;
	char *assets;       /* NULL: error pages stand alone */
	struct span fields; /* of every response: security, Server; preformatted */
	struct span framed; /* instead of them, for one that is shown in a frame of ours */
	struct listener *listener;
	uint16_t port;
	bool draining; /* new requests are turned away */
	bool leaving;  /* they are answered, one more of each connection */
	struct list conns, kicked;
	unsigned n_counted, n_rejected, n_alive, n_busy;
	uv_timer_t sweep;
	uv_idle_t idle;
	uint64_t sweep_due; /* UINT64_MAX: not running */
	struct arena spare; /* the last exchange's arena, for the next */
	bool closing, listener_open;
	unsigned open_handles;
	void (*closed)(void *ud);
	void *closed_ud;
};

/* --- conn.c --- */
/* io becomes the connection's. reject: it is only told that the service is full. */
void http_conn_new(struct http_server *s, struct http_io *io, bool reject);
/* Runs later in this turn of the loop. */
void http_conn_kick(struct http_conn *c);
void http_conn_run(struct http_conn *c);
void http_conn_timeout(struct http_conn *c);
/* Bytes that were read and not yet used. */
struct span http_conn_stored(const struct http_conn *c);
/* All is said: what still comes is dropped, for so long. */
void http_conn_linger(struct http_conn *c, uint64_t ms);
/* reset: something that was promised will not come. */
void http_conn_close(struct http_conn *c, bool reset);

/* --- upgrade.c, for the state UPGRADED --- */
/* What can be done now: reading, writing. False always: nothing more in this turn. */
bool http_upgrade_turn(struct http_conn *c);
unsigned http_upgrade_events(const struct http_conn *c);
/* Another turn can do something without hearing from the peer. */
bool http_upgrade_has_work(const struct http_conn *c);
uint64_t http_upgrade_deadline(const struct http_conn *c);
void http_upgrade_timeout(struct http_conn *c);
/* The server closes: last words. Only closing the connection may follow. */
void http_upgrade_stop(struct http_conn *c);

/* --- exchange.c --- */
/* text: a whole head, or p NULL when it was too bad to be looked at: then status says why. */
void http_exchange_begin(struct http_conn *c, struct span text, unsigned n_fields, int status);
/* The engine answers instead of the handler, who is told abort; the connection closes after it. */
void http_exchange_fail(struct http_exchange *x, int status);
/* Moves the body on; true if anything happened. */
bool http_exchange_input(struct http_exchange *x);
void http_exchange_done(struct http_exchange *x);
void http_exchange_abort(struct http_exchange *x);
/* Has the body's sender been too slow? Begins the next window if not. */
bool http_exchange_too_slow(struct http_exchange *x, uint64_t now);
void http_exchange_restart_clock(struct http_exchange *x);

/* --- send.c --- */
enum http_send {
	HTTP_SEND_MOVED,
	HTTP_SEND_WAIT, /* for room in the socket, the disk or the source */
	HTTP_SEND_DONE,
	HTTP_SEND_CUT, /* the response cannot be finished */
};
/* head_only: for HEAD and statuses without content. */
void http_send_start(struct http_exchange *x, struct span head, struct http_body body,
		     bool head_only);
/* Writes one piece. */
enum http_send http_send_step(struct http_exchange *x);
/* Gives the body back, once; also for exchanges without one. */
void http_send_end(struct http_exchange *x);
/* For a body that is not sent at all. */
void http_body_drop(struct http_body *body);

/* --- server.c --- */
/* No connection is kept for another request. */
static inline bool http_server_is_ending(const struct http_server *s)
{
	return s->draining || s->leaving;
}
void http_server_deadline(struct http_server *s, uint64_t deadline);
void http_server_kicked(struct http_server *s);
/* For how long a body is waited for of which nothing comes. */
unsigned http_server_body_ms(const struct http_server *s);
/* c is freed here. */
void http_server_conn_gone(struct http_conn *c);
/* Is this the host that is served? authority p NULL: none was named. */
bool http_server_is_host(const struct http_server *s, struct span authority);
