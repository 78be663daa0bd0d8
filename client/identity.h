/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files with age's secret keys, as age-keygen writes them. */
#pragma once

#include <stddef.h>

#include "proto/age/age.h"

#define IDENTITIES_MAX      64u
#define IDENTITIES_FILE_MAX (64u * 1024)

struct identities {
	struct age_identity all[IDENTITIES_MAX];
	size_t n;
};

/* Adds those in the file; "-": standard input. 0, or -errno. Secrets are not repeated in err. */
int identities_read(const char *path, struct identities *ret, struct error *err);
/* Pure: of the file's bytes. path: for messages. */
int identities_parse(struct span text, const char *path, struct identities *ret, struct error *err);
void identities_wipe(struct identities *ids);
