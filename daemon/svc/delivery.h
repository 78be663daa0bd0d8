/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One report on its way to its target: the secret is read and the body signed,
 * authorities are loaded for https, a connection is made (through tor's SOCKS port, or
 * to the loopback), the request is sent and the answer's status read.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "ev/ev.h"
#include "http/url.h"
#include "proto/base/error.h"

#define DELIVERY_CONNECT_MS 90000u /* an onion may take its time */
#define DELIVERY_ANSWER_MS  30000u /* from the connection on, for all of it */

struct delivery_spec {
	const char *url; /* read and checked with http_url */
	const char *content_type, *body;
	const char *secret_file; /* NULL: not signed */
	uid_t secret_owner;      /* as for fs_open_owned */
	const char *socks;       /* tor's; NULL: directly, to the loopback only */
	const char *credential;  /* for tor: whose report it is, and to whom */
	const char *ca_file;     /* NULL: the system's */
};

/* Could reports be signed with what is in the file? 0 or -errno; blocks. */
int delivery_check_secret(const char *path, uid_t owner, struct error *err);

struct delivery;

/* problem NULL: the target has taken it (2xx); else one sentence without its end. */
typedef void delivery_fn(void *ud, const char *problem);

/* spec is copied. cb comes later, once, unless delivery_cancel comes first. */
struct delivery *delivery_start(struct ev *ev, const struct delivery_spec *spec, delivery_fn *cb,
				void *ud);
/* Before cb only. Parts of it may go on for a while; nobody hears of them. */
void delivery_cancel(struct delivery *d);
