/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What everybody can read of an onion's descriptor: its outer layer (rend-spec-v3, 2.4,
 * DESC_OUTER). tor has verified the signatures of what it hands out. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/span.h"

struct hsdesc {
	unsigned lifetime; /* seconds that directories keep it */
	uint64_t revision; /* the greater one of two is the newer one; it is no time */
	int64_t expires;   /* of the certificate of its signing key: seconds since 1970 */
};

/* 0, or -EINVAL: it is no such descriptor. */
int hsdesc_parse(struct span text, struct hsdesc *ret);

/*
 * Who made it? Its certificate is made for each publication, for 54 hours, in whole hours: tor
 * rounds up what is left over, Onionbalance (stem) leaves it out.
 */
enum hsdesc_maker { HSDESC_TOR, HSDESC_ONIONBALANCE };

/*
 * Between these times (seconds since 1970) it was published: an hour, or less of it where the rest
 * is still to come. False: that would be in the future, so one of two clocks is wrong.
 */
bool hsdesc_published(const struct hsdesc *d, enum hsdesc_maker maker, int64_t now,
		      int64_t *ret_from, int64_t *ret_to);
