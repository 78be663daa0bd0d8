/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A connection through tor: a client of its SOCKS port (RFC 1928), with the
 * name of the target as it is (never looked up here) and with a username and
 * password (RFC 1929), by which tor keeps apart the circuits of those who must not
 * be linked (tor's socks-extensions, section 1.1; IsolateSOCKSAuth).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ev/ev.h"
#include "proto/base/error.h"
#include "proto/base/span.h"

#define SOCKS_TEXT_MAX 255 /* bytes of a host, a username, a password: at least 1 */

struct socks_request {
	const char *host; /* a name or an address, as text */
	uint16_t port;
	const char *user, *password;
};

/* --- the protocol: bytes in, bytes out --- */

enum socks_state { SOCKS_METHOD, SOCKS_AUTH, SOCKS_REPLY, SOCKS_CONNECTED, SOCKS_BROKEN };

struct socks_wire {
	enum socks_state state;
	struct socks_request request;        /* its strings are borrowed */
	uint8_t out[3 + 2 * SOCKS_TEXT_MAX]; /* what is to be sent before the next answer comes */
	size_t out_n;
	uint8_t in[5 + SOCKS_TEXT_MAX + 2]; /* the answer that is being read */
	size_t in_n;
	const char *problem; /* BROKEN: why */
};

/* 0 with the first bytes in out, or -EINVAL: a text is empty or too long, or the port is 0. */
int socks_wire_init(struct socks_wire *w, const struct socks_request *request);
/* So many bytes, and no more, belong to the answer as far as it is known. 0: it is over. */
size_t socks_wire_wants(const struct socks_wire *w);
/*
 * Takes bytes off the front of *input. 1: connected, what is left in *input is
 * the target's. 0: *input is used up, or there is something in out, which is to be
 * sent and out_n set to 0. -errno: broken, and problem says why.
 */
int socks_wire_feed(struct socks_wire *w, struct span *input);

/*
 * Out of the value of GETINFO net/listeners/socks (control-spec, section 3.9): a
 * Unix socket if there is one, else an address of the loopback, in the form
 * that socks_connect takes. ret is "" if there is neither.
 */
void socks_choose(struct span listeners, char *ret, size_t size);

/* --- the connection --- */

struct socks;

/* fd: connected to the target, non-blocking, now the callee's; or -errno and why in words. */
typedef void socks_fn(void *ud, int fd, const char *why);

/*
 * server: "unix:/path" or "127.0.0.1:PORT", as tor_status has it. The request is
 * copied. cb comes later, once, unless socks_cancel comes first; -ETIMEDOUT after timeout_ms.
 */
struct socks *socks_connect(struct ev *ev, const char *server, const struct socks_request *request,
			    unsigned timeout_ms, socks_fn *cb, void *ud);
/* Before cb only. */
void socks_cancel(struct socks *s);
