/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SHA3-256 (FIPS 202), which onion addresses are checked by; not in mbedtls 2.28. */
#pragma once

#include <stdint.h>

#include "proto/base/span.h"

#define SHA3_256_SIZE 32

void crypto_sha3_256(struct span data, uint8_t ret[SHA3_256_SIZE]);
