/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An http or https URL that an operator names as a target, read strictly (a part
 * of RFC 3986), and whether the daemon may go there. Pure. There is one way to write
 * an address: what other programs take for one too (0x7f.1, 2130706433, 127.1)
 * is refused, so that nothing can hide behind its notation.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/span.h"

#define HTTP_URL_MAX      2048u /* bytes of the whole */
#define HTTP_URL_HOST_MAX 253u

enum http_url_host {
	HTTP_URL_NAME,  /* of DNS */
	HTTP_URL_ONION, /* 56 characters and .onion, perhaps with names in front */
	HTTP_URL_IPV4,
	HTTP_URL_IPV6,
};

struct http_url {
	bool tls;
	enum http_url_host kind;
	char host[HTTP_URL_HOST_MAX + 1]; /* lower case; an IPv6 address without brackets */
	uint8_t address[16];              /* of IPV4 (four bytes) and IPV6, network order */
	uint16_t port;
	bool default_port;
	struct span target; /* path and query, in the text that was read; "" stands for "/" */
};

/* 0, or -EINVAL and in *why what is wrong, to be read behind "the URL". */
int http_url_parse(struct span text, struct http_url *ret, const char **why);

/*
 * May the daemon go there? Through Tor: to names, onions and public addresses.
 * Without Tor (local_only): to addresses of the loopback, and localhost, only. 0, or
 * -EACCES and *why.
 */
int http_url_check(const struct http_url *u, bool local_only, const char **why);

/* Of a URL that may be used with local_only: where to connect to. Its length. */
socklen_t http_url_loopback(const struct http_url *u, struct sockaddr_storage *ret);

/* HOST or HOST:PORT as the header Host has it; ret: HTTP_URL_AUTHORITY_MAX bytes. */
#define HTTP_URL_AUTHORITY_MAX (HTTP_URL_HOST_MAX + 2 + 6 + 1)
void http_url_authority(const struct http_url *u, char *ret);
