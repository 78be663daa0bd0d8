/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Strong validators (RFC 9110, 8.8.3): a MAC over what tells one representation
 * from another. Without the key they say nothing about a file's time, size or
 * inode, and the same file has another one in each service. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/base/crypto.h"
#include "proto/base/span.h"

#define ETAG_ROOM 35 /* quotes, 32 digits, NUL */

/* The first of the parts names what is described, and changes with its making. */
void etag_make(const uint8_t key[SHA256_SIZE], const struct span *parts, size_t n,
	       char ret[ETAG_ROOM]);
