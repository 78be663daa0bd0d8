/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The transfers of one service: which run, how far they are, and how much there
 * has been. Tells the bus (progress at most four times a second each).
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/list.h"
#include "mode/mode.h"
#include "svc/bus.h"

struct transfers {
	struct list active; /* struct transfer */
	unsigned n_active;
	int64_t completed, bytes_in, bytes_out; /* finished ones, since the service was made */
};

void transfers_init(struct transfers *t, int64_t completed, int64_t bytes_in, int64_t bytes_out);
void transfers_done(struct transfers *t);
/*
 * One report of a mode; now_ms is monotonic. true: the totals changed (a
 * transfer is over). A report on an unknown id is taken for its beginning.
 */
bool transfers_report(struct transfers *t, struct bus *bus, const char *service, uint64_t now_ms,
		      uint64_t id, enum mode_transfer_phase phase, bool out, uint64_t bytes,
		      uint64_t total);
/* Small ones, all over, told together under one id. */
void transfers_served(struct transfers *t, struct bus *bus, const char *service, uint64_t id,
		      uint64_t responses, uint64_t bytes);
/* {"active", "completed", "bytes_in", "bytes_out"}, running ones included in the bytes. */
json_t *transfers_json(const struct transfers *t);
