/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Onion services of other programs, read from their files into what the method Import
 * takes. Pure: bytes in, JSON out. Whoever wrote the bytes is not trusted; err says what
 * is wrong without repeating a secret.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "proto/base/error.h"
#include "proto/base/span.h"

#define FOREIGN_FILE_MAX (1u << 20) /* bytes of a file that is read whole */

/*
 * A saved tab of OnionShare's, or what its --persistent has written. *ret: parameters
 * without a name, new reference. *ret_start: it was started with OnionShare itself.
 */
int foreign_onionshare(struct span text, json_t **ret, bool *ret_start, struct error *err);

/*
 * Files of a HiddenServiceDir of tor's (tor's manual, FILES), each added to params:
 * hs_ed25519_secret_key, hostname, and one of authorized_clients under its label.
 */
int foreign_tor_key(struct span bytes, json_t *params, struct error *err);
int foreign_tor_hostname(struct span text, json_t *params, struct error *err);
int foreign_tor_client(struct span text, const char *label, json_t *params, struct error *err);
