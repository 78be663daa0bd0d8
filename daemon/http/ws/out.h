/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Frames on their way to clients (RFC 6455 section 5.2), made once, in parcels shared by
 * reference count, and the queue of one client: pointers in a ring.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "http/ws/ws.h"

struct ws_parcel {
	unsigned refs; /* shared among the members of a room: who sends it last is not known */
	unsigned messages;
	size_t n, cap;
	char bytes[];
};

/* One whole, final frame, with one reference. opcode: RFC 6455 section 11.8. */
struct ws_parcel *ws_parcel_new(unsigned opcode, struct span payload);

/* All zero: empty. */
struct ws_out {
	struct ws_parcel **ring;
	unsigned cap, head, n;
	unsigned messages; /* in all of them, the first one's too until it is written */
	size_t bytes;      /* likewise */
	size_t sent;       /* of the first one */
};

/* Takes a reference of its own. */
void ws_out_push(struct ws_out *q, struct ws_parcel *p);
/* The first pieces, at most n; how many. */
int ws_out_pieces(const struct ws_out *q, struct iovec *iov, int n);
void ws_out_written(struct ws_out *q, size_t n);
/* Drops all parcels of which nothing was written. */
void ws_out_drop_unsent(struct ws_out *q);
void ws_out_done(struct ws_out *q);
