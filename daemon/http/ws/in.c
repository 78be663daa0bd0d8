/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/ws/in.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <wslay/wslay.h>

#include "proto/base/alloc.h"

#define FIRST_CAP 512 /* bytes of a message that comes in pieces; doubled when full */

bool ws_close_code_is_valid(unsigned code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
	       (code >= 3000 && code <= 4999);
}

/* --- the bridge: wslay reads from memory --- */

struct ws_parser {
	wslay_frame_context_ptr frames;
	struct span input; /* what it may take */
	/* Its buffer, as its first callback showed it: what it unmasks there is wiped at the end.
	 */
	uint8_t *buffer;
	size_t buffer_used;
	uint64_t held; /* bytes taken that belong to no frame yet */
	size_t n_control;
	char control[WS_MAX_CONTROL];
};

static ssize_t take_input(uint8_t *buf, size_t len, int flags, void *ud)
{
	struct ws_parser *p = ud;
	size_t n = p->input.n < len ? p->input.n : len;

	(void)flags;
	if (n == 0) {
		return -1; /* no more for now */
	}
	memcpy(buf, p->input.p, n);
	p->input = span_from(p->input, n);
	p->held += n;
	if (!p->buffer) {
		p->buffer = buf;
	}
	if ((size_t)(buf - p->buffer) + n > p->buffer_used) {
		p->buffer_used = (size_t)(buf - p->buffer) + n;
	}
	return (ssize_t)n;
}

static struct ws_parser *parser_new(void)
{
	static const struct wslay_frame_callbacks callbacks = {.recv_callback = take_input};
	struct ws_parser *p = xnew(struct ws_parser);

	if (wslay_frame_context_init(&p->frames, &callbacks, p) != 0) {
		fputs("out of memory\n", stderr);
		abort();
	}
	return p;
}

static void parser_free(struct ws_parser *p)
{
	if (!p) {
		return;
	}
	if (p->buffer) {
		explicit_bzero(p->buffer, p->buffer_used);
	}
	wslay_frame_context_free(p->frames);
	explicit_bzero(p, sizeof(*p));
	free(p);
}

/* Bytes that a frame of a client has before its payload. */
static unsigned head_size(uint64_t payload)
{
	return 2 + (payload < 126 ? 0 : payload < 65536 ? 2 : 8) + 4;
}

/* --- the text of a message in pieces --- */

static void wipe_text(struct ws_in *in)
{
	if (in->text) {
		explicit_bzero(in->text, in->len);
		free(take_ptr(in->text));
	}
	in->len = in->cap = 0;
}

static void add_text(struct ws_in *in, struct span s)
{
	if (in->len + s.n > in->cap) {
		size_t cap = in->cap ? in->cap * 2 : FIRST_CAP;
		char *text;

		while (cap < in->len + s.n) {
			cap *= 2;
		}
		text = xmalloc(cap);
		if (in->len) {
			memcpy(text, in->text, in->len);
			explicit_bzero(in->text, in->len); /* which realloc would not do */
		}
		free(in->text);
		in->text = text;
		in->cap = cap;
	}
	memcpy(in->text + in->len, s.p, s.n);
	in->len += s.n;
}

static void end_message(struct ws_in *in)
{
	in->in_message = false;
	in->fragments = 0;
	in->utf8 = (struct utf8_state){0};
}

/* --- frames --- */

static bool is_control(unsigned opcode)
{
	return opcode >= WSLAY_CONNECTION_CLOSE;
}

/* Both kinds: 0, or the code to close with. */
static unsigned judge_opcode(const struct ws_in *in, unsigned opcode)
{
	switch (opcode) {
	case WSLAY_CONTINUATION_FRAME:
		return in->in_message ? 0 : WS_CLOSE_PROTOCOL;
	case WSLAY_TEXT_FRAME:
		return in->in_message ? WS_CLOSE_PROTOCOL : 0;
	case WSLAY_BINARY_FRAME:
		return in->in_message ? WS_CLOSE_PROTOCOL : WS_CLOSE_UNSUPPORTED;
	case WSLAY_CONNECTION_CLOSE:
	case WSLAY_PING:
	case WSLAY_PONG:
		return 0;
	default:
		return WS_CLOSE_PROTOCOL;
	}
}

static unsigned begin_frame(struct ws_in *in, const struct wslay_frame_iocb *f)
{
	unsigned code;

	if (!f->mask || f->rsv) {
		return WS_CLOSE_PROTOCOL;
	}
	code = judge_opcode(in, f->opcode);
	if (code) {
		return code;
	}
	in->in_frame = true;
	in->opcode = f->opcode;
	in->fin = f->fin;
	in->frame_left = f->payload_length;
	in->parser->held -= head_size(f->payload_length);
	in->parser->n_control = 0;
	if (is_control(f->opcode)) {
		return 0;
	}
	in->in_message = true;
	if (++in->fragments > in->max_fragments) {
		return WS_CLOSE_POLICY;
	}
	return f->payload_length > in->max_message - in->len ? WS_CLOSE_TOO_BIG : 0;
}

static void fail(struct ws_in_event *ret, unsigned code)
{
	*ret = (struct ws_in_event){.kind = WS_IN_FAILED, .code = code};
}

static void show_close(struct span payload, struct ws_in_event *ret)
{
	unsigned code;

	ret->kind = WS_IN_CLOSE;
	if (payload.n == 0) {
		return;
	}
	if (payload.n == 1) {
		fail(ret, WS_CLOSE_PROTOCOL);
		return;
	}
	code = (unsigned)(uint8_t)payload.p[0] << 8 | (uint8_t)payload.p[1];
	if (!ws_close_code_is_valid(code)) {
		fail(ret, WS_CLOSE_PROTOCOL);
	} else if (!utf8_valid(span_from(payload, 2))) {
		fail(ret, WS_CLOSE_NOT_UTF8);
	} else {
		ret->code = code;
	}
}

static void take_control(struct ws_in *in, struct span chunk, struct ws_in_event *ret)
{
	struct ws_parser *p = in->parser;

	/* wslay has refused longer ones */
	memcpy(p->control + p->n_control, chunk.p, chunk.n);
	p->n_control += chunk.n;
	if (in->frame_left) {
		return;
	}
	ret->payload = span_of(p->control, p->n_control);
	if (in->opcode == WSLAY_CONNECTION_CLOSE) {
		show_close(ret->payload, ret);
	} else {
		ret->kind = in->opcode == WSLAY_PING ? WS_IN_PING : WS_IN_PONG;
	}
}

static void take_text(struct ws_in *in, struct span chunk, struct ws_in_event *ret)
{
	bool last = in->fin && in->frame_left == 0;
	bool whole = last && in->len == 0; /* the usual case, which needs no copy */

	if (!utf8_feed(&in->utf8, chunk) || (last && in->utf8.need)) {
		fail(ret, WS_CLOSE_NOT_UTF8);
		return;
	}
	if (!whole && chunk.n) {
		add_text(in, chunk);
	}
	if (last) {
		ret->kind = WS_IN_TEXT;
		ret->payload = whole ? chunk : span_of(in->text, in->len);
		end_message(in);
	}
}

static void take_chunk(struct ws_in *in, const struct wslay_frame_iocb *f, struct ws_in_event *ret)
{
	struct span chunk = span_of((const char *)f->data, f->data_length);
	unsigned code = in->in_frame ? 0 : begin_frame(in, f);

	in->shown = chunk;
	if (code) {
		fail(ret, code);
		return;
	}
	in->frame_left -= chunk.n;
	in->parser->held -= chunk.n;
	in->in_frame = in->frame_left > 0;
	if (is_control(in->opcode)) {
		take_control(in, chunk, ret);
	} else {
		take_text(in, chunk, ret);
	}
}

/* --- events --- */

/* wslay is done with the bytes that it hands out, and lets them stand. */
void ws_in_forget(struct ws_in *in)
{
	if (in->shown.n) {
		explicit_bzero((char *)(uintptr_t)in->shown.p, in->shown.n);
	}
	in->shown = SPAN_NONE;
	if (!in->in_message) {
		wipe_text(in);
	}
}

static void drop_parser(struct ws_in *in)
{
	parser_free(take_ptr(in->parser));
	in->unread = false;
}

void ws_in_next(struct ws_in *in, struct span *bytes, struct ws_in_event *ret)
{
	*ret = (struct ws_in_event){.kind = WS_IN_MORE};
	do {
		struct wslay_frame_iocb f;
		ssize_t r;

		ws_in_forget(in);
		if (!in->parser) {
			if (bytes->n == 0) {
				return;
			}
			in->parser = parser_new();
		}
		in->parser->input = *bytes;
		r = wslay_frame_recv(in->parser->frames, &f);
		*bytes = in->parser->input;
		if (r == WSLAY_ERR_WANT_READ) {
			in->unread = false;
			if (in->parser->held == 0 && !in->in_frame) {
				drop_parser(in);
			}
			return;
		}
		if (r < 0) {
			fail(ret, WS_CLOSE_PROTOCOL);
			return;
		}
		take_chunk(in, &f, ret);
	} while (ret->kind == WS_IN_MORE);
	in->unread = in->parser->held > 0;
}

bool ws_in_is_partial(const struct ws_in *in)
{
	return in->parser != NULL || in->in_message;
}

void ws_in_done(struct ws_in *in)
{
	in->in_message = false;
	ws_in_forget(in);
	if (in->parser) {
		drop_parser(in);
	}
}
