/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The thread that owns the database, and the queue to it and back. Requests run
 * in the order in which they came. Two kinds: those with an answer run at
 * once; lazy ones wait up to STORE_LAZY_MS for others and share a transaction.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "ev/ev.h"
#include "proto/base/error.h"
#include "store/db.h"

struct store_thread;

/* Embedded first in the caller's own struct, which holds copies of all inputs. */
struct store_request {
	/* On the thread. A lazy one runs within a transaction. Sets err and returns -errno. */
	int (*run)(struct store_request *req, struct db *db, struct error *err);
	/* On the loop, once, never from within a call; NULL for lazy ones. failed: refused or run
	 * with this error, else NULL. */
	void (*deliver)(struct store_request *req, const struct error *failed);
	/* Frees; the last that happens to it, on either thread. */
	void (*free)(struct store_request *req);
	bool is_history; /* its loss is counted */
	size_t bytes;    /* of a lazy one: what it keeps in memory */
	int64_t merge;   /* of a lazy one: replaces a waiting one of the same number; 0: none */
	/* private */
	bool lazy;
	uint64_t due_ms;
	struct error err;
	struct list link, merge_link;
};

/* Takes over *db and leaves it closed. */
int store_thread_new(struct ev *ev, struct db *db, struct store_thread **ret, struct error *err);
/* Above STORE_QUEUE_MAX: answered with -EBUSY. */
void store_thread_submit(struct store_thread *t, struct store_request *req);
/* Above STORE_LAZY_MAX or STORE_LAZY_BYTES: dropped. */
void store_thread_submit_lazy(struct store_thread *t, struct store_request *req);
/* Runs all that is queued, closes the database, delivers, then calls closed; t is gone. */
void store_thread_close(struct store_thread *t, void (*closed)(void *ud), void *ud);
