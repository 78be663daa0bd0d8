/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A release in a file: what a service shows, in the order in which a daemon takes it, so that
 * several machines serve the same bytes under the same validators. A tar (pax) in gzip, readable
 * by any tar: first what it is (JSON), then the files, at the end how many they are.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "client/content/handover.h"
#include "proto/base/error.h"
#include "proto/base/span.h"

#define PACK_INFO_MAX (1u << 20) /* bytes of the JSON */

struct pack;

/* info: {"mode", "options", "names": [of each path]}; a key of validators is added. */
int pack_create(const char *path, const json_t *info, struct pack **ret, struct error *err);
/* As handover_add_dir and handover_add_file. */
int pack_add_dir(struct pack *p, struct span name, struct error *err);
int pack_add_file(struct pack *p, struct span name, int fd, bool more, struct error *err);
/* All is in it, and it has its name: 0. Without it nothing is left. */
int pack_finish(struct pack *p, struct error *err);
void pack_free(struct pack *p);

struct packed;

/* *ret_info: checked, new reference: mode, options, names, and "key". */
int packed_open(const char *path, struct packed **ret, json_t **ret_info, struct error *err);
/* All of it: 0 only if it is whole. */
int packed_hand_over(struct packed *p, struct handover *h, struct error *err);
void packed_free(struct packed *p);
