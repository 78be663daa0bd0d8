/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A service object of the daemon's, shown to people. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "proto/base/error.h"

/* Members of a checked reply; "" where null or missing. */
const char *service_text(const json_t *service, const char *member);
bool service_has(const json_t *service, const char *member); /* and not null */
bool service_is(const json_t *service, const char *state);

/* What somebody who shall visit needs: address and private key, in words. qr: also as QR codes. */
void service_print_address(const json_t *service, bool qr);
/* "2026-11-22T14:00:00Z, in 2h3m"; "" where there is no such time. ret: new string. */
char *service_time(const json_t *service, const char *member);
/*
 * url, or as much as fits: without its scheme, then its beginning and its end, which is what
 * people compare. With fewer columns than SHORT_URL_LEAST not shortened. Allocated; not escaped.
 */
#define SHORT_URL_LEAST 10
char *service_short_url(const char *url, size_t columns);
/* All there is to know. */
void service_print(const json_t *service);
/* A table that fits the terminal, or 80 columns where there is none. Array of services. */
void service_print_list(const json_t *services);
/* "running", coloured where colours are. Lives until the next line. */
const char *service_state_style(const char *state);
