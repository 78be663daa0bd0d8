/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One exchange: what the visitor asked (RFC 9112, validated) and how a handler
 * answers. A request lives from the handler's call until exactly one of done
 * and abort of its observer; whoever keeps a pointer to it sets an observer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "http/body.h"
#include "proto/base/span.h"

enum http_method {
	HTTP_METHOD_GET,
	HTTP_METHOD_HEAD,
	HTTP_METHOD_POST,
	HTTP_METHOD_PUT,
	HTTP_METHOD_DELETE,
	HTTP_METHOD_OPTIONS,
	HTTP_METHOD_PATCH,
	HTTP_METHOD_OTHER, /* any other token; 501 */
};

struct http_field {
	struct span name;  /* as sent; compare with span_eq_ci */
	struct span value; /* without white space at the ends */
};

struct http_observer {
	/* n more bytes of the response's body are with the kernel. May be NULL. */
	void (*sent)(void *ud, uint64_t n);
	/*
	 * Before abort: so many of those the kernel still had in its hands when the
	 * visitor was lost; they count as not sent. As far as it can tell. May be NULL.
	 */
	void (*unsent)(void *ud, uint64_t n);
	/* Exactly one of these, once: the response went out whole, or it did not. */
	void (*done)(void *ud);
	void (*abort)(void *ud);
};

struct http_conn;

struct http_req {
	enum http_method method;
	struct span target; /* request-target as sent, origin-form or the path of absolute-form */
	struct span path;   /* percent-decoded once, begins with '/', NUL behind it, no NUL in it,
			       no "." or ".." segment, no encoded slash; bytes, not always UTF-8 */
	struct span query;  /* raw, without '?'; p NULL if there is none */
	const struct http_field *fields;
	size_t n_fields;
	bool http10;
	bool has_body;           /* Content-Length above 0, or chunked */
	uint64_t content_length; /* HTTP_LENGTH_UNKNOWN: chunked; 0: no body */
	struct arena *arena;     /* lives as long as the request */
	struct http_conn *conn;  /* private */
};

/* The first field of that name, or p NULL. */
struct span http_req_field(const struct http_req *req, struct span name);
unsigned http_req_count(const struct http_req *req, struct span name);

/*
 * Did another site's page cause this request (RFC 6454, Fetch Metadata)? A
 * foreign Origin, or Sec-Fetch-Site: cross-site. "Origin: null" is no sign: forms
 * send it under no-referrer.
 */
bool http_req_cross_site(const struct http_req *req);

/* No request is taken behind those that are there: a redirection would lead nowhere. */
bool http_req_is_last(const struct http_req *req);

void http_req_observe(struct http_req *req, const struct http_observer *obs, void *ud);

/*
 * Takes the body: called before the first byte of it is read, at most once,
 * from within the handler or later (until then nothing is read from the visitor).
 * "100 Continue" goes out if the visitor waits for it (RFC 9110 section 10.1.1).
 * Without a call, a response discards the body within bounds, or closes.
 */
void http_req_read(struct http_req *req, const struct http_sink_ops *ops, void *ud);
void http_req_resume(struct http_req *req);
/*
 * What still comes and goes on this connection is secret: wiped from the server's memory
 * as soon as it has been used. Where the body goes is the sink's business.
 */
void http_req_secret(struct http_req *req);

/* --- answering: exactly one of the following calls, from the handler or later --- */

struct http_resp {
	int status;
	struct http_field *fields;
	size_t n_fields, cap_fields;
	struct arena *arena;
	bool close;   /* Connection: close after it */
	bool framed;  /* pages of ours may show it in a frame; the default policy otherwise */
	bool invalid; /* private: a field was refused */
};

void http_resp_init(struct http_resp *resp, struct http_req *req, int status);
/*
 * Adds a field. name: a literal. The value is copied; one with CR, LF or NUL is
 * a bug of the caller and ends the response with 500. Content-Length,
 * Transfer-Encoding, Connection, Server and the security fields are the
 * connection's own business.
 */
void http_resp_field(struct http_resp *resp, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Sends. The body becomes the connection's. For HEAD and 304 only its length is used. */
void http_respond(struct http_req *req, struct http_resp *resp, struct http_body body);
/* The small HTML page for an error status; extra fields (Allow, Retry-After) may be in resp. */
void http_respond_error(struct http_req *req, int status);
void http_respond_error_fields(struct http_req *req, struct http_resp *resp);
/* 405 with Allow. */
void http_respond_method(struct http_req *req, const char *allow);
/* A page in memory that is copied; length 0 is fine. */
void http_respond_text(struct http_req *req, struct http_resp *resp, const char *content_type,
		       struct span text);

/* Bodies. */
struct http_body http_body_none(void);
struct http_body http_body_copy(struct http_req *req, struct span bytes); /* into the arena */
struct http_body http_body_take(char *p, size_t n);                       /* free()d when sent */
struct http_body http_body_file(int fd, uint64_t offset, uint64_t length, const struct stat *st);
struct http_body http_body_source(struct http_source *src, uint64_t length);

/*
 * A representation served with RFC 9110's conditions (section 13) and ranges
 * (section 14): 200, 206, 304, 412 or 416. One range, or several that make one
 * together, is served as such; several that lie apart get the whole (range.h).
 */
struct http_repr {
	uint64_t length;
	const char *etag;             /* strong, with quotes; NULL: none */
	const char *content_type;     /* NULL: none */
	const char *disposition;      /* whole field value, or NULL */
	const char *vary;             /* or NULL */
	const char *cache_control;    /* or NULL */
	const char *content_encoding; /* or NULL */
	bool no_ranges;               /* then Range is ignored */
	/*
	 * The bytes [offset, offset + length). Called once if a body is to be sent,
	 * from within http_respond_repr; not called for HEAD, 304, 412 and 416.
	 * -errno: 500 (ENOENT, EACCES: 404) is sent instead.
	 */
	int (*open)(void *ud, uint64_t offset, uint64_t length, struct http_body *ret);
	/* The representation is not sent after all; open was not called. May be NULL. */
	void (*unused)(void *ud);
	void *ud;
};

void http_respond_repr(struct http_req *req, const struct http_repr *repr);
