/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/chunk.h"

#include "http/head.h"
#include "http/server.h"
#include "proto/base/codec.h"

#define MAX_DIGITS 15 /* 60 bits: no sum of sizes overflows */

static bool is_text(char ch)
{
	unsigned char c = (unsigned char)ch;

	return (c >= 0x20 && c != 0x7f) || c == '\t';
}

static int size_byte(struct http_chunk *c, char ch)
{
	int v = hex_digit(ch);

	if (v >= 0) {
		c->left = c->left << 4 | (unsigned)v;
		return ++c->digits > MAX_DIGITS ? -400 : 0;
	}
	if (c->digits == 0) {
		return -400;
	}
	if (ch == ';') {
		c->state = HTTP_CHUNK_EXT;
		c->ext = 0;
		return 0;
	}
	if (ch == '\r') {
		c->state = HTTP_CHUNK_SIZE_LF;
		return 0;
	}
	return -400;
}

static void begin_data(struct http_chunk *c)
{
	c->digits = 0;
	c->state = c->left ? HTTP_CHUNK_BODY : HTTP_CHUNK_TRAILER;
}

/* One byte that is not data: moves the state, or -400. */
static int framing_byte(struct http_chunk *c, char ch)
{
	switch (c->state) {
	case HTTP_CHUNK_SIZE:
		return size_byte(c, ch);
	case HTTP_CHUNK_EXT:
		if (ch == '\r') {
			c->state = HTTP_CHUNK_SIZE_LF;
			return 0;
		}
		return is_text(ch) && ++c->ext < HTTP_MAX_CHUNK_EXT ? 0 : -400;
	case HTTP_CHUNK_SIZE_LF:
		begin_data(c);
		return ch == '\n' ? 0 : -400;
	case HTTP_CHUNK_BODY_CR:
		c->state = HTTP_CHUNK_BODY_LF;
		return ch == '\r' ? 0 : -400;
	case HTTP_CHUNK_BODY_LF:
		c->state = HTTP_CHUNK_SIZE;
		return ch == '\n' ? 0 : -400;
	case HTTP_CHUNK_TRAILER:
		if (ch == '\r') {
			c->state = HTTP_CHUNK_LAST_LF;
			return 0;
		}
		c->state = HTTP_CHUNK_TRAILER_NAME;
		return http_is_tchar((unsigned char)ch) ? 0 : -400;
	case HTTP_CHUNK_TRAILER_NAME:
		if (ch == ':') {
			c->state = HTTP_CHUNK_TRAILER_VALUE;
			return 0;
		}
		return http_is_tchar((unsigned char)ch) ? 0 : -400;
	case HTTP_CHUNK_TRAILER_VALUE:
		if (ch == '\r') {
			c->state = HTTP_CHUNK_TRAILER_LF;
			return 0;
		}
		return is_text(ch) ? 0 : -400;
	case HTTP_CHUNK_TRAILER_LF:
		c->state = HTTP_CHUNK_TRAILER;
		return ch == '\n' ? 0 : -400;
	case HTTP_CHUNK_LAST_LF:
		c->state = HTTP_CHUNK_OVER;
		return ch == '\n' ? 0 : -400;
	case HTTP_CHUNK_BODY:
	case HTTP_CHUNK_OVER:
		break;
	}
	return -400;
}

/* What a byte is, by the states before and after it. */
static enum http_chunk_piece kind_of(enum http_chunk_state before, enum http_chunk_state after)
{
	if (before == HTTP_CHUNK_LAST_LF) {
		return HTTP_CHUNK_END;
	}
	if (after == HTTP_CHUNK_EXT || before == HTTP_CHUNK_TRAILER_NAME ||
	    before == HTTP_CHUNK_TRAILER_VALUE || before == HTTP_CHUNK_TRAILER_LF ||
	    (before == HTTP_CHUNK_TRAILER && after == HTTP_CHUNK_TRAILER_NAME)) {
		return HTTP_CHUNK_DROPPED;
	}
	return HTTP_CHUNK_FRAMING;
}

static ssize_t data_piece(struct http_chunk *c, size_t n)
{
	if (n >= c->left) {
		n = (size_t)c->left;
		c->state = HTTP_CHUNK_BODY_CR;
	}
	c->left -= n;
	return (ssize_t)n;
}

ssize_t http_chunk_next(struct http_chunk *c, struct span bytes, enum http_chunk_piece *ret)
{
	size_t n = 0;

	if (c->state == HTTP_CHUNK_BODY) {
		*ret = HTTP_CHUNK_DATA;
		return data_piece(c, bytes.n);
	}
	while (n < bytes.n && c->state != HTTP_CHUNK_BODY && c->state != HTTP_CHUNK_OVER) {
		struct http_chunk next = *c;
		int r = framing_byte(&next, bytes.p[n]);
		enum http_chunk_piece kind;

		if (r < 0) {
			return r;
		}
		kind = kind_of(c->state, next.state);
		if (kind == HTTP_CHUNK_DROPPED && next.state != HTTP_CHUNK_EXT &&
		    ++next.trailers > HTTP_MAX_TRAILERS) {
			return -400;
		}
		if (n > 0 && kind != *ret) {
			break; /* another kind of piece: the next call's */
		}
		*ret = kind;
		*c = next;
		n++;
	}
	return (ssize_t)n;
}
