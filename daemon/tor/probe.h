/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Can an onion be looked up as a visitor does it? Asks tor to fetch its
 * descriptor from the network's directories (HSFETCH, control-spec 3.26), with a visitor's
 * private key where it needs one. While the probe lives, tor knows that key, so
 * that it can be visited by tor's SOCKS port, too; afterwards it is told to forget it.
 */
#pragma once

#include "tor/hsdesc.h"
#include "tor/tor.h"

#define TOR_PROBE_MS 60000u /* for the descriptor to come */

struct tor_probe;

/* why NULL: a directory handed it out, and tor could read it. */
typedef void tor_probe_fn(void *ud, const char *why);

/*
 * key: 32 bytes, an X25519 secret key; NULL: the onion is public. cb comes once,
 * later. NULL: another probe is under way; tor is asked for one at a time.
 */
struct tor_probe *tor_probe_start(struct tor *t, const char *address, const uint8_t *key,
				  tor_probe_fn *cb, void *ud);
/*
 * From cb on: the descriptor that tor has by now, also if that is one of an earlier
 * look-up and none came this time. NULL: it has none.
 */
const struct hsdesc *tor_probe_descriptor(const struct tor_probe *p);
/* At any time, once; cb does not come any more. */
void tor_probe_end(struct tor_probe *p);
