/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bech32 (BIP 173) without its limit of 90 characters, as age writes keys. Strict; pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/base/span.h"

/*
 * The n bytes that stand behind prefix ("age", without the 1) in s. The prefix
 * tells the case of all letters. 0, or -EINVAL: another prefix, too short; -EILSEQ: mixed
 * case, a foreign character; -EBADMSG: a wrong checksum; -EMSGSIZE: another length.
 */
int bech32_decode(struct span s, struct span prefix, uint8_t *ret, size_t n);
