/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What export writes and import reads: services with all their keys as one JSON value,
 * plain or inside an age file.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "client/identity.h"
#include "proto/age/age.h"
#include "proto/base/buf.h"
#include "proto/base/error.h"

#define EXPORTED_MAX (16u << 20) /* bytes of a file */

/* services: array of what the method Export answers. ret: wipe it. */
void exported_make(const json_t *services, struct buf *ret);
/* Is it such a file, not encrypted? */
bool exported_is(struct span text);
/* Strict. *ret: new reference, the array again. 0 or -EINVAL. */
int exported_parse(struct span text, json_t **ret, struct error *err);

bool exported_is_sealed(struct span bytes);
/* With a passphrase (recipients 0) or to recipients. 0, or -ENOMEM. */
int exported_seal(struct span plain, struct span passphrase, const struct age_recipient *recipients,
		  size_t n, struct buf *ret, struct error *err);
/* Whole and authentic, or nothing. ids NULL: by the passphrase. ret: wipe it. */
int exported_open(struct span sealed, struct span passphrase, const struct identities *ids,
		  struct buf *ret, struct error *err);

/* Of one line; from the file, or asked for on the terminal without being shown. ret: wipe it. */
int passphrase_read(const char *path, struct buf *ret, struct error *err);
int passphrase_ask(bool twice, struct buf *ret, struct error *err);
