/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A control port that does what a test says: on the test's own loop, behind a
 * Unix socket. Keys and addresses go together as fake_address has it, so that it can
 * answer ADD_ONION without any cryptography.
 */
#pragma once

#include <uv.h>

#include "base/list.h"
#include "proto/base/buf.h"
#include "proto/base/codec.h"
#include "proto/base/crypto.h"
#include "tor/tor.h"

struct fake;

struct fake_conn {
	struct fake *fake;
	struct list link;
	uv_pipe_t pipe;
	struct buf in;
	uint8_t client_nonce[32], server_nonce[32];
	bool authenticated;
};

struct fake {
	uv_loop_t *loop;
	uv_pipe_t listener;
	char *path;
	struct list conns;
	struct buf log;    /* every command that came, one a line */
	struct buf onions; /* addresses that are there, one a line */
	unsigned connects, adds, dels;
	uint64_t last_connect, least_gap; /* ns between two connects */
	/* Answers a command itself: true. Else the usual answer follows. */
	bool (*script)(struct fake_conn *c, const char *line, void *ud);
	void *script_ud;
	const char *methods; /* of PROTOCOLINFO */
	const char *cookie_file;
	uint8_t cookie[32];
	bool wrong_hash;
	const char *password_hex;
	int progress;
};

static inline void fake_address(const uint8_t key[ONION_KEY_SIZE], char ret[ONION_ADDRESS_LEN + 1])
{
	base32_encode_lower(key, ONION_ADDRESS_LEN * 5 / 8, ret);
}

struct fake_write {
	uv_write_t req;
	char *bytes;
};

static inline void fake_written(uv_write_t *req, int status)
{
	struct fake_write *w = container_of(req, struct fake_write, req);

	(void)status;
	free(w->bytes);
	free(w);
}

static inline void fake_say_bytes(struct fake_conn *c, const char *p, size_t n)
{
	struct fake_write *w = xnew(struct fake_write);
	uv_buf_t buf;

	w->bytes = xmemdup(p, n);
	buf = uv_buf_init(w->bytes, (unsigned)n);
	if (uv_write(&w->req, (uv_stream_t *)&c->pipe, &buf, 1, fake_written) < 0) {
		fake_written(&w->req, 0);
	}
}

static inline void fake_say(struct fake_conn *c, const char *text)
{
	fake_say_bytes(c, text, strlen(text));
}

static inline void fake_conn_closed(uv_handle_t *handle)
{
	struct fake_conn *c = handle->data;

	buf_done(&c->in);
	free(c);
}

static inline void fake_hang_up(struct fake_conn *c)
{
	if (!uv_is_closing((uv_handle_t *)&c->pipe)) {
		list_remove(&c->link);
		/* as tor: what came by this connection goes with it */
		buf_clear(&c->fake->onions);
		uv_close((uv_handle_t *)&c->pipe, fake_conn_closed);
	}
}

static inline void fake_hang_up_all(struct fake *f)
{
	while (!list_empty(&f->conns)) {
		fake_hang_up(list_entry(f->conns.next, struct fake_conn, link));
	}
}

/* An event to whoever is connected. */
static inline void fake_event(struct fake *f, const char *text)
{
	list_for_each (it, &f->conns) {
		fake_say(list_entry(it, struct fake_conn, link), text);
	}
}

/* --- the usual answers --- */

static inline void fake_protocolinfo(struct fake_conn *c)
{
	struct buf b = BUF_INIT;

	buf_printf(&b, "250-PROTOCOLINFO 1\r\n250-AUTH METHODS=%s", c->fake->methods);
	if (c->fake->cookie_file) {
		buf_printf(&b, " COOKIEFILE=\"%s\"", c->fake->cookie_file);
	}
	buf_add_str(&b, "\r\n250-VERSION Tor=\"0.4.9.11\"\r\n250 OK\r\n");
	fake_say(c, b.p);
	buf_done(&b);
}

static inline void fake_hmac(struct fake_conn *c, const char *constant, char *hex)
{
	uint8_t hash[SHA256_SIZE];
	const struct span parts[] = {
		span_of((const char *)c->fake->cookie, 32),
		span_of((const char *)c->client_nonce, 32),
		span_of((const char *)c->server_nonce, 32),
	};

	crypto_hmac_sha256(constant, strlen(constant), parts, 3, hash);
	hex_encode(hash, sizeof(hash), hex);
}

static inline void fake_challenge(struct fake_conn *c, const char *nonce)
{
	struct buf b = BUF_INIT;
	char hash[65], hex[65];

	assert_int_equal(hex_decode(span_str(nonce), c->client_nonce, 32), 0);
	crypto_random(c->server_nonce, 32);
	hex_encode(c->server_nonce, 32, hex);
	fake_hmac(c, "Tor safe cookie authentication server-to-controller hash", hash);
	if (c->fake->wrong_hash) {
		hash[0] = hash[0] == 'a' ? 'b' : 'a';
	}
	buf_printf(&b, "250 AUTHCHALLENGE SERVERHASH=%s SERVERNONCE=%s\r\n", hash, hex);
	fake_say(c, b.p);
	buf_done(&b);
}

static inline bool fake_may_enter(struct fake_conn *c, const char *proof)
{
	char expected[65];

	if (strcmp(c->fake->methods, "NULL") == 0) {
		return *proof == '\0';
	}
	if (c->fake->password_hex && strcmp(proof, c->fake->password_hex) == 0) {
		return true;
	}
	fake_hmac(c, "Tor safe cookie authentication controller-to-server hash", expected);
	return strcmp(proof, expected) == 0;
}

static inline void fake_add_onion(struct fake_conn *c, const char *line)
{
	static const char prefix[] = "ADD_ONION ED25519-V3:";
	char address[ONION_ADDRESS_LEN + 1];
	uint8_t key[ONION_KEY_SIZE];
	struct buf b = BUF_INIT;

	if (strncmp(line, "ADD_ONION NEW:ED25519-V3 Port=", 30) == 0) {
		char text[BASE64_LEN(ONION_KEY_SIZE) + 1];

		crypto_random(key, sizeof(key));
		base64_encode(key, sizeof(key), text);
		fake_address(key, address);
		buf_printf(&b, "250-ServiceID=%s\r\n250-PrivateKey=ED25519-V3:%s\r\n250 OK\r\n",
			   address, text);
	} else {
		assert_int_equal(strncmp(line, prefix, strlen(prefix)), 0);
		assert_int_equal(base64_decode(span_of(line + strlen(prefix), 88), key, 64), 0);
		fake_address(key, address);
		buf_printf(&b, "250-ServiceID=%s\r\n250 OK\r\n", address);
	}
	if (c->fake->onions.p && strstr(c->fake->onions.p, address)) {
		fake_say(c, "550 Onion address collision\r\n");
	} else {
		c->fake->adds++;
		buf_printf(&c->fake->onions, "%s\n", address);
		fake_say(c, b.p);
	}
	buf_done(&b);
}

static inline void fake_del_onion(struct fake_conn *c, const char *address)
{
	struct buf *onions = &c->fake->onions;
	char *at = onions->len ? strstr(onions->p, address) : NULL;

	if (!at || strlen(address) != ONION_ADDRESS_LEN) {
		fake_say(c, "552 Unknown Onion Service id\r\n");
		return;
	}
	size_t tail = onions->len - (size_t)(at - onions->p) - ONION_ADDRESS_LEN - 1;

	memmove(at, at + ONION_ADDRESS_LEN + 1, tail + 1);
	onions->len -= ONION_ADDRESS_LEN + 1;
	c->fake->dels++;
	fake_say(c, "250 OK\r\n");
}

/* One stands in the line, several in a block, as tor has it. */
static inline void fake_list_onions(struct fake_conn *c)
{
	struct span rest = buf_span(&c->fake->onions);
	bool block = rest.n > ONION_ADDRESS_LEN + 1;
	struct buf b = BUF_INIT;

	buf_add_str(&b, block ? "250+onions/current=\r\n" : "250-onions/current=");
	while (rest.n) {
		struct span line = span_cut(&rest, '\n');

		buf_printf(&b, SPAN_FMT "\r\n", SPAN_ARG(line));
	}
	buf_add_str(&b, block ? ".\r\n250 OK\r\n" : "250 OK\r\n");
	fake_say(c, b.p);
	buf_done(&b);
}

static inline void fake_info(struct fake_conn *c, const char *line)
{
	char phase[160] = "";

	snprintf(phase, sizeof(phase),
		 "250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=%d TAG=x SUMMARY=\"At it\""
		 "\r\n250 OK\r\n",
		 c->fake->progress);
	if (strstr(line, "circuit-status")) {
		fake_say(c, "250-circuit-status=\r\n250 OK\r\n");
		return;
	}
	if (strstr(line, "onions/current")) {
		fake_list_onions(c);
		return;
	}
	if (strstr(line, " version")) {
		fake_say(c, "250-version=0.4.9.11\r\n");
	}
	fake_say(c, phase);
}

static inline bool fake_begins(const char *line, const char *word)
{
	return strncmp(line, word, strlen(word)) == 0;
}

static inline void fake_usual(struct fake_conn *c, const char *line)
{
	if (fake_begins(line, "PROTOCOLINFO")) {
		fake_protocolinfo(c);
	} else if (fake_begins(line, "AUTHCHALLENGE SAFECOOKIE ")) {
		fake_challenge(c, line + 25);
	} else if (fake_begins(line, "AUTHENTICATE")) {
		c->authenticated = fake_may_enter(c, line[12] ? line + 13 : "");
		fake_say(c, c->authenticated ? "250 OK\r\n" : "515 Authentication failed: no\r\n");
		if (!c->authenticated) {
			fake_hang_up(c);
		}
	} else if (!c->authenticated) {
		fake_say(c, "514 Authentication required.\r\n");
		fake_hang_up(c);
	} else if (fake_begins(line, "GETINFO")) {
		fake_info(c, line);
	} else if (fake_begins(line, "ADD_ONION")) {
		fake_add_onion(c, line);
	} else if (fake_begins(line, "DEL_ONION ")) {
		fake_del_onion(c, line + 10);
	} else {
		fake_say(c, "250 OK\r\n");
	}
}

static inline void fake_command(struct fake_conn *c, const char *line)
{
	buf_printf(&c->fake->log, "%s\n", line);
	if (!c->fake->script || !c->fake->script(c, line, c->fake->script_ud)) {
		fake_usual(c, line);
	}
}

/* --- its sockets --- */

static inline void fake_alloc(uv_handle_t *handle, size_t n, uv_buf_t *buf)
{
	struct fake_conn *c = handle->data;

	(void)n;
	*buf = uv_buf_init(buf_reserve(&c->in, 65536), 65536);
}

static inline void fake_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct fake_conn *c = stream->data;
	char *end;

	(void)buf;
	if (n < 0) {
		fake_hang_up(c);
		return;
	}
	c->in.len += (size_t)n;
	c->in.p[c->in.len] = '\0';
	while (!uv_is_closing((uv_handle_t *)stream) && c->in.len &&
	       (end = strstr(c->in.p, "\r\n"))) {
		char *line = xmemdup(c->in.p, (size_t)(end - c->in.p));

		buf_consume(&c->in, (size_t)(end - c->in.p) + 2);
		fake_command(c, line);
		free(line);
	}
}

static inline void fake_accept(uv_stream_t *listener, int status)
{
	struct fake *f = listener->data;
	struct fake_conn *c = xnew(struct fake_conn);
	uint64_t now = uv_hrtime();

	assert_int_equal(status, 0);
	if (f->connects++ && (!f->least_gap || now - f->last_connect < f->least_gap)) {
		f->least_gap = now - f->last_connect;
	}
	f->last_connect = now;
	c->fake = f;
	uv_pipe_init(f->loop, &c->pipe, 0);
	c->pipe.data = c;
	list_append(&f->conns, &c->link);
	assert_int_equal(uv_accept(listener, (uv_stream_t *)&c->pipe), 0);
	uv_read_start((uv_stream_t *)&c->pipe, fake_alloc, fake_read);
}

static inline void fake_listen(struct fake *f)
{
	uv_pipe_init(f->loop, &f->listener, 0);
	f->listener.data = f;
	assert_int_equal(uv_pipe_bind(&f->listener, f->path), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&f->listener, 16, fake_accept), 0);
}

static inline void fake_init(struct fake *f, uv_loop_t *loop, const char *dir)
{
	*f = (struct fake){.loop = loop, .methods = "NULL", .progress = 100};
	f->path = xasprintf("%s/control", dir);
	list_init(&f->conns);
	fake_listen(f);
}

/* Nobody listens any more; the loop is still to be run for it. */
static inline void fake_close(struct fake *f)
{
	fake_hang_up_all(f);
	if (!uv_is_closing((uv_handle_t *)&f->listener)) {
		uv_close((uv_handle_t *)&f->listener, NULL);
	}
}

static inline void fake_done(struct fake *f)
{
	buf_done(&f->log);
	buf_done(&f->onions);
	free(f->path);
}
