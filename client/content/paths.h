/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files and folders to serve: made absolute, opened here so that the daemon
 * needs no trust in what we may read, and checked to be what can be served.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "client/rpc.h"
#include "proto/base/error.h"

/*
 * *ret: array of absolute paths without links, fds: a descriptor of each. On
 * failure nothing stays open and err names the path.
 */
int paths_open(char **words, size_t n, json_t **ret, struct rpc_fds *fds, struct error *err);
/*
 * The options of a service that are paths of what is there: made absolute without links, and
 * a descriptor of each in fds, in the order of the table of options. If one cannot be
 * opened there is none of any, and nothing is changed: the daemon says what it thinks of it.
 */
void paths_open_options(json_t *options, struct rpc_fds *fds);
