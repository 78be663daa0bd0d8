/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * llhttp as second opinion and decoder: it parses each head that ours has
 * accepted, and the two must agree on how the message is framed; then it decodes
 * the body. It never sees a byte that was not judged before, nor one of the next
 * message. One parser lives as long as one request.
 */
#pragma once

#include <llhttp.h>

#include "http/chunk.h"
#include "http/head.h"

struct http_parser {
	llhttp_t ll;
	const struct http_head *head; /* while it is parsed */
	struct http_chunk chunk;
	bool chunked;
	bool agreed;
	bool complete;
	uint64_t left; /* of a body with Content-Length */
	struct span body;
};

/* 0, or -400 if llhttp refuses the head or reads it differently. */
int http_parser_head(struct http_parser *p, struct span text, const struct http_head *head);
/*
 * Takes the next bytes of the body, at least one of them: how many, or -400.
 * *ret: those that belong to the content (may be none). complete is set with the last.
 */
ssize_t http_parser_body(struct http_parser *p, struct span bytes, struct span *ret);
