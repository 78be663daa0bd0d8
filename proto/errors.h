/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A struct error on the wire and back. Varlink: {"error": NAME, "parameters":
 * {...}}; the parameters are the kind's (proto/base/error.h) and "message", the
 * sentence for people.
 */
#pragma once

#include <jansson.h>

#include "proto/base/error.h"

/* "NoSuchService" */
const char *errors_name(enum error_kind kind);
/* Exit status of the client for it. */
int errors_exit_status(enum error_kind kind);

/* New reference: {"error": "org.onionshared.Control.NoSuchService", "parameters": {...}}. A
 * parameter that is not set is "". */
json_t *errors_to_wire(const struct error *err);
/*
 * name: with its interface; params may be NULL. Errors of org.varlink.service
 * and those that a newer daemon may know come to the nearest kind.
 */
void errors_from_wire(const char *name, const json_t *params, struct error *ret);
