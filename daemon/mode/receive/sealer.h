/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A submission as one encrypted file, made while it comes in: age around a zip
 * of stored entries. Names and single sizes are inside only, and nothing tells a time.
 *
 * The zip is made here of http/content/ziprec.h's records and not by libarchive: that would leave
 * names in memory that it frees unwiped, and what it adds behind the data would have
 * to be guessed for the padding.
 *
 * What it all comes to is hidden to some degree: a last entry ".padding" makes the
 * zip as long as Padmé says (Nikitin et al., "Reducing Metadata Leakage from
 * Encrypted Files and Communication with PURBs", PoPETs 2019), at most 12% longer,
 * large ones less. The encrypted file's length follows from the zip's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/age/age.h"
#include "proto/base/span.h"

/* An entry that turns out not to be wanted leaves no trace if it is no longer than that. */
#define SEALER_HELD     4096u
#define SEALER_NAME_MAX 255u

struct sealer;

/* Writes to fd, which stays the caller's. 1 to AGE_RECIPIENTS_MAX recipients. */
struct sealer *sealer_new(const struct age_recipient *recipients, size_t n, int fd);
/* What was plain is wiped. */
void sealer_free(struct sealer *s);

/*
 * Each returns 0 or -errno, the same from then on. An entry: begin, data, and end or
 * drop. name: of a file, safe, at most SEALER_NAME_MAX bytes; copied.
 */
int sealer_begin(struct sealer *s, struct span name);
int sealer_data(struct sealer *s, struct span data);
int sealer_end(struct sealer *s);
/* It shall not be listed in the zip. */
int sealer_drop(struct sealer *s);
/* Bytes that the file has, and those that finish will add. */
uint64_t sealer_size(const struct sealer *s);
uint64_t sealer_finish_size(const struct sealer *s);
/* All is written then, and not synced. */
int sealer_finish(struct sealer *s);

/* The least that an encrypted file of so many bytes of content comes to. */
uint64_t sealer_least_size(uint64_t content, size_t recipients);
/* The next length that Padmé allows. */
uint64_t sealer_padme(uint64_t n);
