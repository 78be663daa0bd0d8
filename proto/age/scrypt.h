/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scrypt (RFC 7914), which makes a key of a passphrase slow and large to guess. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/base/span.h"

struct scrypt_cost {
	unsigned log_n; /* N is 2 to that power: 1 to 20 */
	unsigned r, p;  /* 1 to 16 each */
};

/* Takes 128 * r * N bytes of memory meanwhile: 0, -EINVAL (cost), or -ENOMEM. */
int scrypt(struct span passphrase, struct span salt, struct scrypt_cost cost, uint8_t *ret,
	   size_t n);
