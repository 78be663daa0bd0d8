/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bridges as lines of tor's configuration (tor(1): UseBridges, Bridge,
 * ClientTransportPlugin), with the programs that this machine has for their
 * transports. Looking for them blocks a little: a few names in a few directories.
 */
#pragma once

#include "proto/base/bridge.h"
#include "proto/base/buf.h"
#include "proto/base/error.h"

/* The path of a program that speaks it, owned; NULL: none is installed. */
char *transport_find(const struct bridge_transport *t);
/* Is there a program for each of the transports? -ENOENT: err names what to install. */
int transports_check(const struct bridges *b, struct error *err);

/*
 * What makes tor use these and nothing else. A transport without a program
 * gets no line: tor then goes nowhere, which is right, for it must not go directly.
 */
void transports_torrc(const struct bridges *b, struct buf *ret);
/* The same as one RESETCONF command; none: tor's own defaults, without bridges. */
void transports_resetconf(const struct bridges *b, struct buf *ret);
/* Has a configuration lines about bridges? */
bool transports_in_torrc(const char *torrc);
