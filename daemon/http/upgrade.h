/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Private to this folder: a connection that goes on with another protocol
 * (RFC 9110 section 7.8). The connection moves the bytes and keeps an eye on the
 * socket; who took it over sees memory only, and no socket is touched from within
 * his callbacks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "http/req.h"
#include "proto/base/span.h"

struct http_upgrade;

enum http_upgrade_fate {
	HTTP_UPGRADE_STAYS,
	HTTP_UPGRADE_LINGERS, /* all is said; what the peer still sends is dropped for a while */
	HTTP_UPGRADE_CLOSES,
	HTTP_UPGRADE_CUT, /* closed with a reset */
};

/* All but gone and stop come from a turn of the connection; times are ev_now_ms. */
struct http_upgrade_ops {
	/*
	 * Takes of the front of bytes what it can now: how many. The rest is kept and
	 * offered again. bytes may be empty: for somebody who said busy.
	 */
	size_t (*input)(struct http_upgrade *u, struct span bytes);
	/* Would input take bytes? */
	bool (*reads)(const struct http_upgrade *u);
	/* Not now, though: in the next turn of the loop it is asked again. */
	bool (*enough)(const struct http_upgrade *u);
	/* It has more to do with what it has taken, in the next turn. */
	bool (*busy)(const struct http_upgrade *u);
	/*
	 * What is to be written next: at most n pieces into iov, how many. They stay
	 * where they are until written or the end of the call that asked.
	 */
	int (*output)(struct http_upgrade *u, struct iovec *iov, int n);
	void (*written)(struct http_upgrade *u, size_t n);
	/* At the end of each turn: what is to become of the connection? May call out. */
	enum http_upgrade_fate (*settle)(struct http_upgrade *u);
	/* UINT64_MAX: none. When it has passed, timeout is called, and a turn follows. */
	uint64_t (*deadline)(const struct http_upgrade *u);
	void (*timeout)(struct http_upgrade *u);
	/* The server is being closed: what is queued now is written once, if there is room. */
	void (*stop)(struct http_upgrade *u);
	/* The connection is closed: once. Also when the answer never went out. */
	void (*gone)(struct http_upgrade *u);
	/* The last call: u is no longer used. */
	void (*release)(struct http_upgrade *u);
};

/* Embedded in the struct of whoever takes the connection over. */
struct http_upgrade {
	const struct http_upgrade_ops *ops;
	struct http_conn *conn;
};

/*
 * Answers with resp (101) and hands the connection over to u once that is
 * written. False: too late, nothing was done (the visitor is gone, the server is
 * about to stop, an answer was given). The request must have no body. From now on all
 * that the connection reads is wiped behind its use.
 */
bool http_upgrade(struct http_req *req, struct http_resp *resp, struct http_upgrade *u);
/* There is something to be written, or to be settled: a turn follows, from the loop. */
void http_upgrade_kick(struct http_upgrade *u);
/* Writes what output has now, if there is room. A turn follows only if it could not. */
void http_upgrade_flush(struct http_upgrade *u);
uint64_t http_upgrade_now(const struct http_upgrade *u);
