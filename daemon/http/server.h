/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An HTTP/1.1 server (RFC 9110, RFC 9112) on one listener: connections, their
 * limits and timeouts. It knows nothing of modes, services, Tor or the database.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ev/ev.h"
#include "http/req.h"
#include "proto/base/error.h"

#define HTTP_MAX_REQUEST_LINE (8u * 1024)
#define HTTP_MAX_HEAD         (16u * 1024)
#define HTTP_MAX_FIELDS       100u
#define HTTP_MAX_CHUNK_EXT    256u
#define HTTP_MAX_TRAILERS     (8u * 1024)

/* All times in milliseconds; http_limits_default has the values for visitors behind Tor. */
struct http_limits {
	unsigned max_connections; /* above: accepted, answered 503, closed */
	unsigned head_ms;         /* from the first byte (or accept) to the whole head: 30 s */
	unsigned idle_ms;         /* between two requests: 120 s */
	unsigned body_ms;         /* without a byte of the body: 120 s */
	unsigned drain_body_ms;   /* likewise, while the server is draining: 15 s */
	unsigned write_ms;        /* without progress of a write: 300 s */
	unsigned min_rate;        /* bytes a second over min_rate_ms ... */
	unsigned min_rate_ms;     /* ... 60 s, after a grace of the same length */
	unsigned linger_ms;       /* after an early answer the rest is read that long: 30 s */
	uint64_t linger_bytes;    /* ... and that much: 64 MiB */
};

extern const struct http_limits http_limits_default;

struct http_server;

struct http_server_ops {
	/* A validated request for one of our hosts. Answer now or later. */
	void (*request)(void *ud, struct http_req *req);
	/* connections went from or to none; may be NULL */
	void (*idle)(void *ud, bool idle);
};

struct http_server_config {
	struct http_limits limits;
	/* Content-Security-Policy; NULL: the field is left out; "": the default one. */
	const char *csp;
	/*
	 * The only host that is answered (without port, lower case; port 80 or none),
	 * others get 421. NULL: 127.0.0.1, [::1] and localhost with any port.
	 */
	const char *host;
	/* A second one that is answered as well, if host is there; NULL: none. */
	const char *alias;
	/*
	 * Path (ending in /) of style.css and icon.svg, for error pages; the handler
	 * serves them. NULL: error pages do without.
	 */
	const char *assets;
	/* Unix sockets: only peers with this uid, root or our own uid; (uid_t)-1: any. */
	uid_t peer_uid;
	/*
	 * All that visitors send is secret (http_req_secret), from the first byte on: also
	 * what is refused before the handler sees it.
	 */
	bool secret;
};

/* config is copied. Nothing listens yet. */
struct http_server *http_server_new(struct ev *ev, const struct http_server_config *config,
				    const struct http_server_ops *ops, void *ud);
int http_server_listen_unix(struct http_server *s, const char *path, mode_t mode,
			    struct error *err);
/* port 0: the system chooses. */
int http_server_listen_tcp(struct http_server *s, uint16_t port, struct error *err);
/* One that http_server_leave has kept (listener_open_left). */
int http_server_listen_left(struct http_server *s, int fd, struct error *err);
/* Of its Unix socket; NULL: it has none. */
const char *http_server_path(const struct http_server *s);
uint16_t http_server_port(const struct http_server *s);
/* Takes a connected, non-blocking stream socket as if it had been accepted. */
void http_server_adopt(struct http_server *s, int fd);
/* For connections accepted from now on. */
void http_server_set_peer_uid(struct http_server *s, uid_t uid);
void http_server_set_host(struct http_server *s, const char *host);
void http_server_set_alias(struct http_server *s, const char *alias);
/*
 * While on, new requests get 503 with Retry-After and the connection is closed after them, and
 * a body of which nothing comes is not waited for as long as else.
 */
void http_server_set_draining(struct http_server *s, bool on);
unsigned http_server_connections(const struct http_server *s);
/* Requests that are being answered. */
unsigned http_server_busy(const struct http_server *s);
/*
 * Another process is to go on in its place: from now on new connections wait in the queue of
 * the socket, a descriptor of which is returned (the caller's; or -errno, and nothing has changed).
 * Those that are here get one more answer each.
 */
int http_server_leave(struct http_server *s);
/* Is there a connection that has brought no request yet, and is too young to be an idle one? */
bool http_server_expects(const struct http_server *s);
/* Stops listening only: refused from now on. Running connections go on. */
void http_server_stop_listening(struct http_server *s);
/* Stops listening, cuts all connections, frees s, then calls closed (never from within). */
void http_server_close(struct http_server *s, void (*closed)(void *ud), void *ud);
