/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files that the daemon shall keep its own copy of: opened here, with the rights
 * of who calls, and handed over in batches that fit into messages.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/rpc.h"
#include "proto/base/error.h"
#include "proto/base/span.h"

struct handover;

/* On this connection, to which it belongs. 0 or -errno. */
int handover_begin(struct rpc *rpc, struct handover **ret, struct error *err);
/* What is handed over goes into a file instead. pack stays the caller's. */
struct pack;
struct handover *handover_to_pack(struct pack *pack);
void handover_free(struct handover *h);
/* For Create, Publish and AddContent. */
const char *handover_token(const struct handover *h);

/* A name in the release: "0/site/index.html", any bytes. */
int handover_add_dir(struct handover *h, struct span name, struct error *err);
/*
 * fd is taken. more: it goes behind what the last file holds. size: of what is in
 * it, for the size of batches and for people.
 */
int handover_add_file(struct handover *h, struct span name, int fd, bool more, uint64_t size,
		      struct error *err);
/* What is on its way arrives. */
int handover_flush(struct handover *h, struct error *err);

/*
 * Of each path (as paths_open gives them, with fds) all that is in it; links,
 * special files and what cannot be read are left out, and told to people.
 */
int handover_paths(struct handover *h, const json_t *paths, const struct rpc_fds *fds,
		   struct error *err);
