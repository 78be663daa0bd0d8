/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Addresses of onion services, version 3 (rend-spec-v3, 6: ENCODING-ONION-ADDRESS). Pure. */
#pragma once

#include <stdint.h>

#include "proto/base/ed25519.h"
#include "proto/base/error.h"
#include "proto/base/span.h"

#define ONION_NAME_LEN 56 /* without ".onion", lower case */

/*
 * "ADDRESS", "ADDRESS.onion", either also behind "http://" and with a "/" at its end. 0 and
 * the name in lower case with a NUL, or -EINVAL; err: the sentence's end, as behind "it ".
 * Version, checksum and key are checked: programs have been seen to die of a wrong key.
 */
int onion_parse(struct span text, char ret[ONION_NAME_LEN + 1], struct error *err);
void onion_print(const uint8_t public_key[ED25519_PUBLIC_SIZE], char ret[ONION_NAME_LEN + 1]);
