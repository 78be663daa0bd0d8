/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * hsfiles for a tor that runs as another user, to whom alone such directories may belong: that
 * user's onionshared-keeper makes them. systemd starts it for each connection to its socket. One
 * request a connection: a head, a record for each onion, the end; then the answer, and the end.
 * tor is told the same keys by ADD_ONION otherwise; its user learns nothing by this.
 */
#pragma once

#include "proto/base/span.h"
#include "tor/hsfiles.h"

#define KEEPER_REQUEST_MAX (16u + HSFILES_MAX * (2 * ONION_ADDRESS_LEN + ONION_KEY_SIZE))

enum keeper_op { KEEPER_WRITE = 'W', KEEPER_SWEEP = 'S' };

/* As hsfiles_write or hsfiles_sweep, by the keeper at this socket; blocks. root is the keeper's. */
void keeper_ask(const char *path, enum keeper_op op, struct hsfiles *f);

/* Pure: the entries of a request into *ret, whose root stays as it is. -EINVAL: it is none. */
int keeper_parse(struct span request, enum keeper_op *ret_op, struct hsfiles *ret);
/* Serves one request: 0, or -errno if it cannot be read or answered. */
int keeper_serve(int fd, const char *root);
