/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The backends in an Onionbalance's config.yaml: as "balance config" writes it, or another hand
 * in the forms of YAML that Onionbalance's own guide has. Pure.
 */
#pragma once

#include <stddef.h>

#include "proto/base/error.h"
#include "proto/base/onion.h"
#include "proto/base/span.h"

#define OBCONFIG_BACKENDS_MAX 64u

struct obconfig {
	char backends[OBCONFIG_BACKENDS_MAX][ONION_NAME_LEN + 1]; /* each once */
	size_t n;
};

/*
 * Adds the addresses to those that are there. -EINVAL: one is none, there are too many, there is
 * none in it, or it has several services, of which this cannot tell which one is meant.
 */
int obconfig_read(struct span text, struct obconfig *ret, struct error *err);
/* The same with one address. */
int obconfig_add(struct obconfig *c, struct span address, struct error *err);
