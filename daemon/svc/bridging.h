/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * By which bridges tor goes: those that the configuration names ([tor] bridge),
 * else those that a command has set, which the database keeps. Tor is not started before
 * they are known: without them it would go directly, once, which may be once too often.
 */
#pragma once

#include <jansson.h>

#include "ev/ev.h"
#include "proto/base/bridge.h"
#include "proto/base/error.h"
#include "store/store.h"
#include "tor/tor.h"

struct bridging;

typedef void bridging_done_fn(void *ud, const struct error *err);

/* from_config is copied. */
struct bridging *bridging_new(struct store *store, struct tor *tor,
			      const struct bridges *from_config);
/* While tor and store are there; what is under way ends with an error. */
void bridging_free(struct bridging *b);
/*
 * Reads what is kept, then starts tor. If that cannot be read, tor stays down and
 * its status says so, until bridges are set anew.
 */
void bridging_start(struct bridging *b);
/*
 * From now on, none: without. 0: cb comes once, later; err: refused, and everything is as it was.
 * -errno with err set: refused at once.
 */
int bridging_set(struct bridging *b, const struct bridges *bridges, bridging_done_fn *cb, void *ud,
		 struct error *err);
/* The configuration was read again. */
void bridging_reconfigure(struct bridging *b, const struct bridges *from_config);
/* New reference: the RPC's type Bridges. */
json_t *bridging_json(const struct bridging *b);
