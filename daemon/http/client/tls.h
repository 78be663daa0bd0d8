/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * TLS for the daemon as a client (mbedtls, 2.28 and 3.x): an io over an io. At
 * least TLS 1.2, the server's name is always held against its certificate, and
 * that against the authorities given. Nothing blocks but the loading of those.
 */
#pragma once

#include "http/io.h"
#include "proto/base/error.h"

/* The certificates of authorities that are trusted. Never changed, so any thread may read it. */
struct tls_trust;

/*
 * Reads a bundle in PEM (NULL: the system's, where distributions put it). Takes
 * milliseconds and reads a file: on the pool. -ENOENT: there is none.
 */
int tls_trust_load(const char *path, struct tls_trust **ret, struct error *err);
void tls_trust_free(struct tls_trust *t);

/*
 * below becomes the new io's and is closed with it; trust outlives it. host: the
 * server's name. The handshake takes place by itself; until it is over neither
 * reading nor writing is possible (-EAGAIN), and when it failed both are -EPROTO.
 * There is no sendfile. Who wants to read reads until -EAGAIN: what has been
 * decrypted already makes no new event.
 */
struct http_io *http_io_tls_new(struct http_io *below, const struct tls_trust *trust,
				const char *host);
/* What went wrong, in words; NULL if nothing did. Valid until io is closed. */
const char *http_io_tls_problem(struct http_io *io);
