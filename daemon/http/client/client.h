/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One POST (or HEAD) over a connection that is there already, and its answer's status and
 * validator. HTTP/1.1, with or without TLS; no redirects, no cookies, no second request. Of
 * the answer at most HTTP_CLIENT_ANSWER_MAX bytes are read, and nothing else is kept.
 */
#pragma once

#include "ev/ev.h"
#include "http/client/tls.h"
#include "proto/base/span.h"

#define HTTP_CLIENT_ANSWER_MAX (64u * 1024)
#define HTTP_CLIENT_ETAG_MAX   128u /* bytes; a longer one counts as none */

struct http_client_request {
	const char *authority;             /* for the header Host */
	struct span target;                /* path and query as http_url_parse takes them, or "" */
	const char *content_type;          /* NULL: a HEAD without a body, not a POST */
	const char *header, *header_value; /* one more, or NULL */
	struct span body;
	const struct tls_trust *trust; /* NULL: without TLS */
	const char *host;              /* with TLS: the name that is to be verified */
	unsigned timeout_ms;           /* for all of it */
};

struct http_client;

struct http_answer {
	int status;          /* 200 to 599, or 101; 0: there is none, and problem says why */
	const char *problem; /* NULL if there is a status */
	const char *etag;    /* its strong validator, printable and with quotes; "": it has none */
};

/* answer: borrowed, during the call. */
typedef void http_client_fn(void *ud, const struct http_answer *answer);

/*
 * fd: a connected, non-blocking stream socket, the client's from here on. request
 * is copied, but for trust, which outlives it. cb comes later, once, when the connection is
 * closed, unless http_client_cancel comes first.
 */
struct http_client *http_client_send(struct ev *ev, int fd,
				     const struct http_client_request *request, http_client_fn *cb,
				     void *ud);
/* Before cb only. closed (may be NULL) comes later, once: trust is used no more. */
void http_client_cancel(struct http_client *c, void (*closed)(void *ud), void *ud);
