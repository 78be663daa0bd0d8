/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/parser.h"

static struct http_parser *self_of(llhttp_t *ll)
{
	return ll->data;
}

/* Both readers must find the same version and the same frame. */
static int on_headers_complete(llhttp_t *ll)
{
	struct http_parser *p = self_of(ll);
	const struct http_head *head = p->head;
	bool chunked = (ll->flags & F_CHUNKED) != 0;
	bool sized = (ll->flags & F_CONTENT_LENGTH) != 0;

	p->agreed = ll->http_major == 1 && ll->http_minor == (head->http10 ? 0 : 1) &&
		    chunked == head->chunked && sized == head->has_length &&
		    (!sized || ll->content_length == head->content_length);
	return 0;
}

static int on_body(llhttp_t *ll, const char *at, size_t n)
{
	self_of(ll)->body = span_of(at, n);
	return 0;
}

static int on_message_complete(llhttp_t *ll)
{
	self_of(ll)->complete = true;
	return 0;
}

static const llhttp_settings_t *settings(void)
{
	static llhttp_settings_t s;

	if (!s.on_body) {
		llhttp_settings_init(&s);
		s.on_headers_complete = on_headers_complete;
		s.on_message_complete = on_message_complete;
		s.on_body = on_body;
	}
	return &s;
}

/* An upgrade is offered, never taken here: the pause after the message means nothing. */
static bool execute(struct http_parser *p, struct span bytes)
{
	llhttp_errno_t e = llhttp_execute(&p->ll, bytes.p, bytes.n);

	return e == HPE_OK || (e == HPE_PAUSED_UPGRADE && p->complete);
}

int http_parser_head(struct http_parser *p, struct span text, const struct http_head *head)
{
	bool bodyless = !head->chunked && head->content_length == 0;

	*p = (struct http_parser){.head = head,
				  .chunked = head->chunked,
				  .left = head->content_length};
	llhttp_init(&p->ll, HTTP_REQUEST, settings());
	p->ll.data = p;
	return execute(p, text) && p->agreed && p->complete == bodyless ? 0 : -400;
}

static ssize_t sized_body(struct http_parser *p, struct span bytes, struct span *ret)
{
	size_t n = bytes.n < p->left ? bytes.n : (size_t)p->left;

	p->body = SPAN_NONE;
	if (!execute(p, span_of(bytes.p, n)) || p->body.n != n) {
		return -400;
	}
	p->left -= n;
	*ret = p->body;
	return p->complete == (p->left == 0) ? (ssize_t)n : -400;
}

static ssize_t chunked_body(struct http_parser *p, struct span bytes, struct span *ret)
{
	enum http_chunk_piece kind;
	ssize_t n = http_chunk_next(&p->chunk, bytes, &kind);

	p->body = SPAN_NONE;
	if (n < 0) {
		return n;
	}
	if (kind != HTTP_CHUNK_DROPPED && !execute(p, span_of(bytes.p, (size_t)n))) {
		return -400;
	}
	if (p->complete != (kind == HTTP_CHUNK_END) ||
	    p->body.n != (kind == HTTP_CHUNK_DATA ? (size_t)n : 0)) {
		return -400;
	}
	*ret = p->body;
	return n;
}

ssize_t http_parser_body(struct http_parser *p, struct span bytes, struct span *ret)
{
	*ret = SPAN_NONE;
	return p->chunked ? chunked_body(p, bytes, ret) : sized_body(p, bytes, ret);
}
