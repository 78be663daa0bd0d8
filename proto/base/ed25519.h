/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Of Ed25519 (RFC 8032) what onion addresses need: is that a key, and which is the
 * public half of a secret. Nothing is signed here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ED25519_PUBLIC_SIZE   32
#define ED25519_EXPANDED_SIZE 64 /* scalar and prefix, as tor keeps it (RFC 8032, 5.1.5) */

/*
 * Canonical, on the curve, and of the large prime order: neither the neutral element nor
 * with a part of small order, as tor demands of an address. Takes some milliseconds.
 */
bool ed25519_is_public(const uint8_t key[ED25519_PUBLIC_SIZE]);

/*
 * A new secret, expanded and clamped, and its public half. Not in constant time: for who
 * is alone with his key, not for a server that others can ask as often as they like.
 */
void ed25519_make(uint8_t ret_expanded[ED25519_EXPANDED_SIZE],
		  uint8_t ret_public[ED25519_PUBLIC_SIZE]);
/* The same of a secret that is there. */
void ed25519_public(const uint8_t expanded[ED25519_EXPANDED_SIZE],
		    uint8_t ret[ED25519_PUBLIC_SIZE]);
