/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A WebSocket's life over an io in memory: the handshake, limits, the clock, the end. */
#include "unit.h"

#include "tests/lib/ws_mem.h"

static int setup(void **state)
{
	struct ws_mem *m = malloc(sizeof(*m));

	ws_mem_open(m);
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	ws_mem_close(*state);
	free(*state);
	return 0;
}

static void send_frame(struct ws_mem *m, unsigned first, struct span payload)
{
	struct buf b = BUF_INIT;

	ws_mem_frame(&b, first, payload);
	ws_mem_send(m, buf_span(&b));
	buf_done(&b);
}

static void expect_frame(struct ws_mem *m, unsigned first, struct span payload)
{
	struct ws_mem_frame_seen seen = {0};

	assert_int_equal(ws_mem_next(m, &seen), 1);
	assert_int_equal(seen.first, first);
	assert_int_equal(seen.payload.n, payload.n);
	assert_true(span_eq(seen.payload, payload));
}

static void expect_close(struct ws_mem *m, unsigned code)
{
	const char wire[2] = {(char)(code >> 8), (char)code};

	expect_frame(m, 0x88, span_of(wire, 2));
}

static void expect_nothing(struct ws_mem *m)
{
	struct ws_mem_frame_seen seen = {0};

	assert_int_equal(ws_mem_next(m, &seen), 0);
	assert_int_equal(m->out_at, m->io.out.len);
}

/* --- the handshake --- */

static unsigned answer(struct ws_mem *m)
{
	assert_true(span_starts(buf_span(&m->io.out), SPAN("HTTP/1.1 ")));
	return (unsigned)atoi(m->io.out.p + 9);
}

static bool has_line(struct ws_mem *m, const char *line)
{
	return strstr(m->io.out.p, line) != NULL;
}

static void the_example_of_the_rfc_is_answered(void **state)
{
	struct ws_mem *m = *state;

	ws_mem_send(m, SPAN(WS_MEM_HELLO "Origin: http://localhost\r\n\r\n"));
	assert_int_equal(answer(m), 101);
	assert_true(has_line(m, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
	assert_true(has_line(m, "\r\nUpgrade: websocket\r\n"));
	assert_true(has_line(m, "\r\nConnection: Upgrade\r\n"));
	assert_true(has_line(m, "\r\nX-Content-Type-Options: nosniff\r\n"));
	assert_false(has_line(m, "Content-Length"));
	assert_false(has_line(m, "Extensions"));
	assert_false(has_line(m, "Protocol:"));
	assert_non_null(m->ws);
	assert_int_equal(m->requests_done, 1);
	assert_int_equal(http_server_busy(m->server), 0);
	assert_int_equal(http_server_connections(m->server), 1);
}

struct handshake {
	const char *what, *text;
	unsigned status;
};

#define GET    "GET /ws HTTP/1.1\r\n"
#define HOST   "Host: localhost\r\n"
#define UP     "Upgrade: websocket\r\n"
#define CONN   "Connection: Upgrade\r\n"
#define KEY    "Sec-WebSocket-Key: " WS_MEM_KEY "\r\n"
#define VER    "Sec-WebSocket-Version: 13\r\n"
#define ORIGIN "Origin: "

static const struct handshake handshakes[] = {
	{"plain", GET HOST UP CONN KEY VER, 101},
	{"other case",
	 GET "host: LOCALHOST\r\nupgrade: WebSocket\r\nCONNECTION: upgrade\r\n" KEY VER, 101},
	{"lists", GET HOST "Upgrade: h2c, websocket\r\nConnection: keep-alive, Upgrade\r\n" KEY VER,
	 101},
	{"two fields", GET HOST "Upgrade: h2c\r\n" UP "Connection: keep-alive\r\n" CONN KEY VER,
	 101},
	{"extensions are not taken",
	 GET HOST UP CONN KEY VER "Sec-WebSocket-Extensions: permessage-deflate\r\n", 101},
	{"protocols are not taken", GET HOST UP CONN KEY VER "Sec-WebSocket-Protocol: chat\r\n",
	 101},
	{"our origin", GET HOST UP CONN KEY VER ORIGIN "http://localhost\r\n", 101},
	{"our origin in capitals", GET HOST UP CONN KEY VER ORIGIN "http://LOCALHOST\r\n", 101},
	{"our origin with port",
	 GET "Host: localhost:8080\r\n" UP CONN KEY VER ORIGIN "http://localhost:8080\r\n", 101},
	{"the default port written", GET HOST UP CONN KEY VER ORIGIN "http://localhost:80\r\n",
	 101},
	{"same site", GET HOST UP CONN KEY VER "Sec-Fetch-Site: same-origin\r\n", 101},

	{"another origin", GET HOST UP CONN KEY VER ORIGIN "http://evil.example\r\n", 403},
	{"null", GET HOST UP CONN KEY VER ORIGIN "null\r\n", 403},
	{"empty", GET HOST UP CONN KEY VER ORIGIN "\r\n", 403},
	{"https", GET HOST UP CONN KEY VER ORIGIN "https://localhost\r\n", 403},
	{"another port", GET HOST UP CONN KEY VER ORIGIN "http://localhost:81\r\n", 403},
	{"a prefix of it", GET HOST UP CONN KEY VER ORIGIN "http://localhost.evil\r\n", 403},
	{"with a path", GET HOST UP CONN KEY VER ORIGIN "http://localhost/\r\n", 403},
	{"with a user", GET HOST UP CONN KEY VER ORIGIN "http://a@localhost\r\n", 403},
	{"two of them",
	 GET HOST UP CONN KEY VER ORIGIN "http://localhost\r\n" ORIGIN "http://evil\r\n", 403},
	{"two of them, null",
	 GET HOST UP CONN KEY VER ORIGIN "http://localhost\r\n" ORIGIN "null\r\n", 403},
	{"cross-site", GET HOST UP CONN KEY VER "Sec-Fetch-Site: cross-site\r\n", 403},
	{"foreign and broken: says no more", GET HOST UP CONN ORIGIN "http://evil\r\n", 403},

	{"no key", GET HOST UP CONN VER, 400},
	{"two keys", GET HOST UP CONN KEY KEY VER, 400},
	{"an empty key", GET HOST UP CONN VER "Sec-WebSocket-Key:\r\n", 400},
	{"a short key", GET HOST UP CONN VER "Sec-WebSocket-Key: YWJj\r\n", 400},
	{"a long key", GET HOST UP CONN VER "Sec-WebSocket-Key: " WS_MEM_KEY "AAAA\r\n", 400},
	{"a key that is no base64",
	 GET HOST UP CONN VER "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ***\r\n", 400},
	{"bits left over", GET HOST UP CONN VER "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n",
	 400},
	{"without padding", GET HOST UP CONN VER "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n",
	 400},
	{"no version", GET HOST UP CONN KEY, 400},
	{"two versions", GET HOST UP CONN KEY VER VER, 400},
	{"a body", GET HOST UP CONN KEY VER "Content-Length: 1\r\n", 400},

	{"version 8", GET HOST UP CONN KEY "Sec-WebSocket-Version: 8\r\n", 426},
	{"version 013", GET HOST UP CONN KEY "Sec-WebSocket-Version: 013\r\n", 426},
	{"no Upgrade", GET HOST CONN KEY VER, 426},
	{"no Connection", GET HOST UP KEY VER, 426},
	{"Connection: close", GET HOST UP "Connection: close\r\n" KEY VER, 426},
	{"Upgrade: h2c", GET HOST "Upgrade: h2c\r\n" CONN KEY VER, 426},
	{"part of the word", GET HOST "Upgrade: websockets\r\n" CONN KEY VER, 426},
	{"HTTP/1.0", "GET /ws HTTP/1.0\r\n" HOST UP CONN KEY VER, 426},
	{"nothing at all", GET HOST, 426},

	{"HEAD", "HEAD /ws HTTP/1.1\r\n" HOST UP CONN KEY VER, 405},
	{"POST", "POST /ws HTTP/1.1\r\n" HOST UP CONN KEY VER, 405},
};

static void handshakes_are_judged(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(handshakes); i++) {
		const struct handshake *h = &handshakes[i];
		struct ws_mem m;

		ws_mem_open(&m);
		ws_mem_send(&m, span_str(h->text));
		ws_mem_send(&m, SPAN("\r\n"));
		if (answer(&m) != h->status || (m.ws != NULL) != (h->status == 101)) {
			fail_msg("%s: %u instead of %u", h->what, answer(&m), h->status);
		}
		assert_int_equal(m.closed, 0);
		assert_int_equal(has_line(&m, "\r\nAllow: GET\r\n"), h->status == 405);
		assert_int_equal(has_line(&m, "\r\nSec-WebSocket-Version: 13\r\n"),
				 h->status == 426);
		assert_int_equal(has_line(&m, "\r\nUpgrade: websocket\r\n"),
				 h->status == 426 || h->status == 101);
		if (h->status == 403) { /* no frame is looked at */
			size_t len = m.io.out.len;
			struct buf b = BUF_INIT;

			ws_mem_frame(&b, 0x81, SPAN("x"));
			ws_mem_send(&m, buf_span(&b));
			buf_done(&b);
			assert_int_equal(m.texts, 0);
			assert_true(m.io.out.len == len || strstr(m.io.out.p + len, "400 Bad"));
		}
		ws_mem_close(&m);
	}
}

static void frames_behind_the_handshake_are_not_lost(void **state)
{
	struct ws_mem *m = *state;
	struct buf b = BUF_INIT;

	buf_add_str(&b, WS_MEM_HELLO "\r\n");
	size_t head = b.len;

	ws_mem_frame(&b, 0x81, SPAN("early"));
	ws_mem_frame(&b, 0x89, SPAN("bird"));
	for (size_t cut = head - 2; cut <= b.len; cut++) {
		struct ws_mem other;

		ws_mem_open(&other);
		ws_mem_send(&other, span_of(b.p, cut));
		ws_mem_send(&other, span_of(b.p + cut, b.len - cut));
		assert_int_equal(answer(&other), 101);
		other.out_at = (size_t)(strstr(other.io.out.p, "\r\n\r\n") + 4 - other.io.out.p);
		expect_frame(&other, 0x81, SPAN("early"));
		expect_frame(&other, 0x8a, SPAN("bird"));
		expect_nothing(&other);
		ws_mem_close(&other);
	}
	buf_done(&b);
	assert_int_equal(m->closed, 0);
}

/* What is said in the handler itself stands behind the answer, not before it. */
static void a_greeting_follows_the_answer(void **state)
{
	struct ws_mem *m = *state;

	m->io.room = 10;
	ws_mem_send(m, SPAN(WS_MEM_HELLO "\r\n"));
	assert_non_null(m->ws);
	ws_mem_say(m, SPAN("welcome"));
	ws_mem_run(m);
	assert_int_equal(m->io.out.len, 10);
	m->io.room = SIZE_MAX;
	ws_mem_run(m);
	m->out_at = (size_t)(strstr(m->io.out.p, "\r\n\r\n") + 4 - m->io.out.p);
	expect_frame(m, 0x81, SPAN("welcome"));
	expect_nothing(m);
}

static void whoever_leaves_before_the_answer_is_gone(void **state)
{
	struct ws_mem *m = *state;

	m->io.room = 10;
	ws_mem_send(m, SPAN(WS_MEM_HELLO "\r\n"));
	assert_non_null(m->ws);
	m->io.io.ready(m->io.io.ud, HTTP_IO_GONE);
	assert_int_equal(m->closed, 1);
	assert_int_equal(m->requests_aborted, 1);
	ws_mem_run(m);
	assert_true(m->io.gone);
}

static void no_room_is_entered_while_draining(void **state)
{
	struct ws_mem *m = *state;

	http_server_set_draining(m->server, true);
	ws_mem_send(m, SPAN(WS_MEM_HELLO "\r\n"));
	assert_int_equal(answer(m), 503);
	assert_null(m->ws);
}

/* --- sending --- */

static void frames_have_the_shortest_length(void **state)
{
	struct ws_mem *m = *state;
	static const size_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536, 100000};

	ws_mem_greet(m);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char *text = xmalloc(sizes[i]);

		memset(text, 'x', sizes[i]);
		ws_mem_say(m, span_of(text, sizes[i]));
		ws_mem_run(m);
		expect_frame(m, 0x81, span_of(text, sizes[i]));
		free(text);
	}
	expect_nothing(m);
}

static void a_frame_is_written_over_many_turns(void **state)
{
	struct ws_mem *m = *state;
	struct ws_mem_frame_seen seen = {0};

	ws_mem_greet(m);
	m->io.room = 0;
	for (unsigned i = 0; i < 30; i++) {
		ws_mem_say(m, SPAN("a message of some length"));
	}
	for (unsigned i = 0; i < 30 * 26; i++) {
		m->io.room = 1;
		ws_mem_run(m);
	}
	for (unsigned i = 0; i < 30; i++) {
		assert_int_equal(ws_mem_next(m, &seen), 1);
		assert_true(span_eq(seen.payload, SPAN("a message of some length")));
	}
	expect_nothing(m);
	assert_int_equal(m->closed, 0);
}

/* A queue that is filled faster than turns come is no sign of a peer who does not read. */
static void a_burst_within_one_turn_drops_nobody(void **state)
{
	struct ws_mem *m = *state;
	char text[16];

	ws_mem_greet(m);
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text), "%u", i);
		ws_mem_say(m, span_str(text));
	}
	ws_mem_run(m);
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text), "%u", i);
		expect_frame(m, 0x81, span_str(text));
	}
	expect_nothing(m);
	assert_int_equal(m->closed, 0);
}

static void whoever_does_not_read_is_dropped(void **state)
{
	struct ws_mem *m = *state;

	ws_mem_greet(m);
	m->io.room = 3; /* a piece of the first frame */
	for (unsigned i = 0; i < m->limits.queue_messages; i++) {
		ws_mem_say(m, SPAN("hello"));
	}
	ws_mem_run(m);
	assert_int_equal(m->closed, 0);
	ws_mem_say(m, SPAN("one too many"));
	assert_int_equal(m->closed, 0); /* never from within */
	ws_mem_run(m);
	assert_int_equal(m->closed, 1);
	m->io.room = SIZE_MAX;
	ws_mem_run(m);
	expect_frame(m, 0x81, SPAN("hello")); /* which had begun */
	expect_close(m, 1013);
	expect_nothing(m);
	assert_true(m->io.shut);
}

static void bytes_that_wait_are_bounded_too(void **state)
{
	struct ws_mem *m = *state;
	char *text = xcalloc(1, 100000);

	memset(text, 'x', 100000);
	ws_mem_greet(m);
	m->io.room = 0;
	ws_mem_say(m, span_of(text, 100000));
	ws_mem_say(m, span_of(text, 100000));
	ws_mem_run(m);
	assert_int_equal(m->closed, 0);
	ws_mem_say(m, span_of(text, 100000));
	ws_mem_run(m);
	assert_int_equal(m->closed, 1);
	m->io.room = SIZE_MAX;
	ws_mem_run(m);
	expect_close(m, 1013);
	free(text);
}

/* A peer who sends pings and does not read the pongs fills the same queue. */
static void pongs_count_against_the_backlog(void **state)
{
	struct ws_mem *m = *state;

	m->limits.control_per_second = 1000;
	ws_mem_greet(m);
	m->io.room = 0;
	for (unsigned i = 0; i <= m->limits.queue_messages; i++) {
		send_frame(m, 0x89, SPAN("ping"));
	}
	assert_int_equal(m->closed, 1);
	m->io.room = SIZE_MAX;
	ws_mem_run(m);
	expect_close(m, 1013);
}

static void a_parcel_is_shared_and_wiped_behind_the_last_one(void **state)
{
	(void)state;
	struct ws_mem a, b;
	struct ws_parcel *p = ws_parcel_text(SPAN("for both"));

	ws_mem_open(&a);
	ws_mem_open(&b);
	ws_mem_greet(&a);
	ws_mem_greet(&b);
	b.io.room = 4;
	ws_send(a.ws, p);
	ws_send(b.ws, p);
	ws_parcel_unref(p);
	ws_mem_run(&a);
	ws_mem_run(&b);
	expect_frame(&a, 0x81, SPAN("for both"));
	expect_nothing(&a);
	b.io.room = SIZE_MAX;
	ws_mem_run(&b); /* the sanitizer watches over it */
	expect_frame(&b, 0x81, SPAN("for both"));
	ws_mem_close(&a);
	ws_mem_close(&b);
	ws_parcel_unref(NULL);
}

static struct ws_parcel *parcel_of(unsigned first, unsigned n)
{
	struct ws_parcel *p = NULL;
	char text[16];

	for (unsigned i = first; i < first + n; i++) {
		snprintf(text, sizeof(text), "%u", i);
		ws_parcel_add_text(&p, span_str(text));
	}
	assert_int_equal(ws_parcel_messages(p), n);
	return p;
}

static void send_parcel(struct ws_mem *m, unsigned first, unsigned n)
{
	struct ws_parcel *p = parcel_of(first, n);

	ws_send(m->ws, p);
	ws_parcel_unref(p);
}

static void expect_numbers(struct ws_mem *m, unsigned first, unsigned n)
{
	char text[16];

	for (unsigned i = first; i < first + n; i++) {
		snprintf(text, sizeof(text), "%u", i);
		expect_frame(m, 0x81, span_str(text));
	}
}

static void a_parcel_is_as_many_frames_as_it_has_messages(void **state)
{
	struct ws_mem *m = *state;
	struct ws_parcel *p = parcel_of(0, 500);
	char *text = xcalloc(1, 70000);

	memset(text, 'x', 70000);
	ws_parcel_add_text(&p, SPAN(""));
	ws_parcel_add_text(&p, span_of(text, 70000));
	ws_parcel_add_text(&p, span_of(text, 200));
	ws_mem_greet(m);
	ws_send(m->ws, p);
	ws_parcel_unref(p);
	ws_mem_run(m);
	expect_numbers(m, 0, 500);
	expect_frame(m, 0x81, SPAN(""));
	expect_frame(m, 0x81, span_of(text, 70000));
	expect_frame(m, 0x81, span_of(text, 200));
	expect_nothing(m);
	free(text);
}

static void a_parcel_is_half_a_backlog(void **state)
{
	const struct ws_limits *l = &ws_limits_default;
	struct ws_parcel *p = parcel_of(0, l->queue_messages / 2 - 1);

	(void)state;
	assert_true(ws_parcel_has_room(p, l, 1));
	ws_parcel_add_text(&p, SPAN("x"));
	assert_false(ws_parcel_has_room(p, l, 1));
	ws_parcel_unref(p);

	p = ws_parcel_text(SPAN("x")); /* which has three bytes */
	assert_true(ws_parcel_has_room(p, l, l->queue_bytes / 2 - 3));
	assert_false(ws_parcel_has_room(p, l, l->queue_bytes / 2 - 2));
	ws_parcel_unref(p);
}

static void each_message_of_a_parcel_counts_against_the_backlog(void **state)
{
	struct ws_mem *m = *state;
	unsigned part = m->limits.queue_messages / 4;

	ws_mem_greet(m);
	m->io.room = 3;
	for (unsigned i = 0; i < 4; i++) {
		send_parcel(m, i * part, part);
	}
	ws_mem_run(m);
	assert_int_equal(m->closed, 0);
	send_parcel(m, 0, 1);
	ws_mem_run(m);
	assert_int_equal(m->closed, 1);
	m->io.room = SIZE_MAX;
	ws_mem_run(m);
	expect_numbers(m, 0, part); /* of the one that had begun */
	expect_close(m, 1013);
	expect_nothing(m);
}

static void what_is_sent_now_is_written_at_once(void **state)
{
	struct ws_mem *m = *state;
	struct ws_parcel *p = parcel_of(0, 10);

	ws_mem_greet(m);
	ws_mem_say(m, SPAN("before"));
	expect_nothing(m);
	ws_send_now(m->ws, p);
	expect_frame(m, 0x81, SPAN("before"));
	expect_numbers(m, 0, 10);
	m->io.room = 5;
	ws_send_now(m->ws, p);
	expect_numbers(m, 0, 1);
	m->io.room = SIZE_MAX;
	ws_mem_run(m); /* the rest waits for room as ever */
	expect_numbers(m, 1, 9);
	expect_nothing(m);
	ws_parcel_unref(p);
}

static void sending_now_to_a_broken_connection_ends_it_from_the_loop(void **state)
{
	struct ws_mem *m = *state;
	struct ws_parcel *p = parcel_of(0, 1);

	ws_mem_greet(m);
	m->io.broken = true;
	ws_send_now(m->ws, p);
	ws_send_now(m->ws, p);
	assert_int_equal(m->closed, 0);
	ws_mem_run(m);
	assert_int_equal(m->closed, 1);
	ws_parcel_unref(p);
}

/* --- when it is enough for a turn --- */

static void turn(struct ws_mem *m)
{
	m->io.io.ready(m->io.io.ud, HTTP_IO_READ);
	uv_run(&m->loop, UV_RUN_NOWAIT);
}

static void what_is_not_taken_in_this_turn_is_taken_in_another(void **state)
{
	struct ws_mem *m = *state;
	struct buf b = BUF_INIT;

	ws_mem_greet(m);
	ws_mem_frame(&b, 0x81, SPAN("hello"));
	buf_add_span(&m->io.in, buf_span(&b));
	m->enough = true;
	turn(m);
	turn(m);
	assert_int_equal(m->texts, 0);
	assert_true(m->io.want & HTTP_IO_READ);
	m->enough = false;
	ws_mem_run(m);
	assert_int_equal(m->texts, 1);
	buf_done(&b);
}

static void enough_of_it(struct ws_mem *m)
{
	m->enough = true;
}

static void what_was_read_already_waits_too(void **state)
{
	struct ws_mem *m = *state;
	struct buf b = BUF_INIT;

	ws_mem_greet(m);
	m->on_text = enough_of_it;
	for (unsigned i = 0; i < 150; i++) {
		ws_mem_frame(&b, 0x81, SPAN("hello"));
	}
	buf_add_span(&m->io.in, buf_span(&b));
	turn(m);
	turn(m);
	assert_int_equal(m->texts, 100); /* of one portion, which is heard to its end */
	m->on_text = NULL;
	m->enough = false;
	ws_mem_run(m);
	assert_int_equal(m->texts, 150);
	buf_done(&b);
}

/* --- limits of what comes in --- */

static void floods_of_control_are_ended(void **state)
{
	struct ws_mem *m = *state;
	unsigned pongs = 0;
	struct ws_mem_frame_seen seen = {0};

	ws_mem_greet(m);
	for (unsigned i = 0; i < 1000 && !m->closed; i++) {
		send_frame(m, i % 2 ? 0x89 : 0x8a, SPAN("x"));
	}
	while (ws_mem_next(m, &seen) == 1 && seen.first == 0x8a) {
		pongs++;
	}
	assert_true(pongs >= 5 && pongs < 100);
	assert_int_equal(seen.first, 0x88);
	assert_memory_equal(seen.payload.p, "\x03\xf0", 2);
}

static void a_million_empty_fragments_are_not_taken(void **state)
{
	struct ws_mem *m = *state;
	struct buf b = BUF_INIT;

	ws_mem_greet(m);
	send_frame(m, 0x01, SPAN_NONE);
	for (unsigned i = 0; i < 1000; i++) {
		ws_mem_frame(&b, 0x00, SPAN_NONE);
	}
	for (unsigned i = 0; i < 1000 && !m->closed; i++) {
		ws_mem_send(m, buf_span(&b));
	}
	expect_close(m, 1008);
	buf_done(&b);
}

static void set_pause(struct ws_mem *m)
{
	ws_pause(m->ws, 20);
}

static void wait_ms(struct ws_mem *m, uint64_t ms)
{
	uint64_t begin = uv_now(&m->loop);

	while (uv_now(&m->loop) - begin < ms && !m->io.gone) {
		uv_run(&m->loop, UV_RUN_ONCE);
		ws_mem_run(m);
	}
}

/* The peer waits, and nothing of what it sent is lost. */
static void a_paused_peer_waits(void **state)
{
	struct ws_mem *m = *state;
	struct buf b = BUF_INIT;
	uint64_t begin;

	ws_mem_greet(m);
	m->on_text = set_pause;
	for (unsigned i = 0; i < 3; i++) {
		ws_mem_frame(&b, 0x81, SPAN("hello"));
	}
	begin = uv_now(&m->loop);
	ws_mem_send(m, buf_span(&b));
	assert_int_equal(m->texts, 1);
	assert_int_equal(m->io.want & HTTP_IO_READ, 0);
	while (m->texts < 3) {
		uv_run(&m->loop, UV_RUN_ONCE);
		ws_mem_run(m);
	}
	assert_true(uv_now(&m->loop) - begin >= 40);
	ws_pause(m->ws, 0);
	ws_mem_run(m);
	assert_true(m->io.want & HTTP_IO_READ);
	buf_done(&b);
}

/* One who sends a great deal of messages at once gets one portion of attention a turn. */
static void many_messages_take_many_turns(void **state)
{
	struct ws_mem *m = *state;
	struct buf b = BUF_INIT;

	ws_mem_greet(m);
	m->mute = true;
	for (unsigned i = 0; i < 1000; i++) {
		ws_mem_frame(&b, 0x81, SPAN("x"));
	}
	buf_add_span(&m->io.in, buf_span(&b));
	m->io.io.ready(m->io.io.ud, HTTP_IO_READ);
	assert_true(m->texts >= 100 && m->texts < 200);
	ws_mem_run(m);
	assert_int_equal(m->texts, 1000);
	buf_done(&b);
}

/* --- the clock --- */

static void hurry(struct ws_mem *m)
{
	m->limits.ping_ms = 20;
	m->limits.pong_ms = 20;
	m->limits.message_ms = 30;
	m->limits.close_ms = 20;
}

static void a_silent_peer_is_asked_then_cut(void **state)
{
	struct ws_mem *m = *state;

	hurry(m);
	ws_mem_greet(m);
	while (m->io.out.len == m->out_at) {
		uv_run(&m->loop, UV_RUN_ONCE);
		ws_mem_run(m);
	}
	expect_frame(m, 0x89, SPAN_NONE);
	assert_int_equal(m->closed, 0);
	while (!m->io.gone) {
		uv_run(&m->loop, UV_RUN_ONCE);
		ws_mem_run(m);
	}
	assert_int_equal(m->closed, 1);
	assert_true(m->io.reset);
	expect_nothing(m);
}

static void a_peer_that_answers_stays(void **state)
{
	struct ws_mem *m = *state;
	uint64_t begin;
	unsigned pings = 0;

	hurry(m);
	ws_mem_greet(m);
	begin = uv_now(&m->loop);
	while (uv_now(&m->loop) - begin < 200) {
		struct ws_mem_frame_seen seen = {0};

		uv_run(&m->loop, UV_RUN_ONCE);
		ws_mem_run(m);
		while (ws_mem_next(m, &seen) == 1) {
			pings++;
			send_frame(m, 0x8a, SPAN_NONE);
		}
	}
	assert_int_equal(m->closed, 0);
	assert_true(pings >= 3);
}

/* Pings are answered in between, but the message does not come to its end. */
static void a_message_has_to_end(void **state)
{
	struct ws_mem *m = *state;
	struct ws_mem_frame_seen seen = {0};

	hurry(m);
	ws_mem_greet(m);
	send_frame(m, 0x01, SPAN("on and "));
	while (!m->closed) {
		uv_run(&m->loop, UV_RUN_ONCE);
		send_frame(m, 0x00, SPAN("on and "));
	}
	while (ws_mem_next(m, &seen) == 1 && seen.first == 0x89) {
	}
	assert_int_equal(seen.first, 0x88);
	assert_memory_equal(seen.payload.p, "\x03\xf0", 2);
	assert_int_equal(m->texts, 0);
}

/* Whoever never reads the close frame is not waited for for ever. */
static void a_close_that_nobody_reads_is_cut(void **state)
{
	struct ws_mem *m = *state;

	hurry(m);
	ws_mem_greet(m);
	m->io.room = 0;
	ws_close(m->ws, 1001);
	assert_int_equal(m->closed, 0);
	ws_mem_run(m);
	assert_int_equal(m->closed, 1);
	wait_ms(m, 10000);
	assert_true(m->io.gone);
	assert_true(m->io.reset);
	assert_int_equal(m->closed, 1);
}

/* --- the end --- */

static void what_was_said_goes_out_before_the_close(void **state)
{
	struct ws_mem *m = *state;

	ws_mem_greet(m);
	ws_mem_say(m, SPAN("last words"));
	ws_close(m->ws, 1000);
	ws_mem_say(m, SPAN("too late"));
	ws_close(m->ws, 4000);
	ws_mem_run(m);
	expect_frame(m, 0x81, SPAN("last words"));
	expect_close(m, 1000);
	expect_nothing(m);
	assert_true(m->io.shut);
	assert_int_equal(m->closed, 1);
	/* its answer, and whatever it sent before it knew */
	send_frame(m, 0x81, SPAN("x"));
	send_frame(m, 0x88, SPAN("\x03\xe8"));
	m->io.in_end = true;
	ws_mem_run(m);
	assert_true(m->io.gone);
	assert_false(m->io.reset);
	assert_int_equal(m->texts, 0);
}

static void close_self(struct ws_mem *m)
{
	ws_close(m->ws, 1008);
}

static void nothing_is_heard_after_a_close_of_ours(void **state)
{
	struct ws_mem *m = *state;
	struct buf b = BUF_INIT;

	ws_mem_greet(m);
	m->on_text = close_self;
	ws_mem_frame(&b, 0x81, SPAN("a"));
	ws_mem_frame(&b, 0x81, SPAN("b"));
	ws_mem_send(m, buf_span(&b));
	assert_int_equal(m->texts, 1);
	assert_int_equal(m->closed, 1);
	expect_close(m, 1008);
	buf_done(&b);
}

static void a_lost_peer_is_told_once(void **state)
{
	struct ws_mem *m = *state;

	ws_mem_greet(m);
	send_frame(m, 0x01, SPAN("half a mess"));
	m->io.in_end = true;
	ws_mem_run(m);
	assert_true(m->io.gone);
	assert_int_equal(m->closed, 1);
}

static void a_server_that_closes_says_so(void **state)
{
	(void)state;
	struct ws_mem m;

	ws_mem_open(&m);
	ws_mem_greet(&m);
	ws_mem_say(&m, SPAN("last words"));
	ws_mem_end_server(&m);
	assert_int_equal(m.closed, 1);
	expect_frame(&m, 0x81, SPAN("last words"));
	expect_close(&m, 1001);
	expect_nothing(&m);
	ws_mem_close(&m);
}

/* From within a message even, and with that message in the server's hands. */
static void the_server_may_close_at_any_time(void **state)
{
	(void)state;
	struct ws_mem m;

	ws_mem_open(&m);
	ws_mem_greet(&m);
	m.on_text = ws_mem_end_server;
	send_frame(&m, 0x81, SPAN("go away"));
	assert_int_equal(m.closed, 1);
	assert_int_equal(m.texts, 1);
	ws_mem_close(&m);
	ws_mem_open(&m);
	ws_mem_greet(&m);
	m.on_closed = ws_mem_end_server;
	send_frame(&m, 0x88, SPAN_NONE);
	assert_int_equal(m.closed, 1);
	ws_mem_close(&m);
}

static void a_peer_counts_until_it_is_gone(void **state)
{
	struct ws_mem *m = *state;

	ws_mem_greet(m);
	assert_int_equal(http_server_connections(m->server), 1);
	send_frame(m, 0x88, SPAN_NONE);
	assert_true(m->io.gone);
	assert_int_equal(http_server_connections(m->server), 0);
}

/* --- memory --- */

static void an_idle_peer_holds_no_buffers(void **state)
{
	struct ws_mem *m = *state;
	const struct http_conn *c;

	ws_mem_greet(m);
	c = m->io.io.ud;
	for (unsigned i = 0; i < 100; i++) {
		send_frame(m, 0x81, SPAN("hello"));
	}
	assert_null(c->in.p);
	assert_null(c->arena.head);
	assert_null(c->x);
}

static struct ws_in new_in(void)
{
	return (struct ws_in){.max_message = 65536, .max_fragments = 1024};
}

/* Between two messages nothing is held, and within one no more than what has come. */
static void memory_follows_what_has_come(void **state)
{
	(void)state;
	struct ws_in in = new_in();
	struct ws_in_event ev;
	struct buf b = BUF_INIT;
	char *text = xcalloc(1, 60000);

	memset(text, 'x', 60000);
	ws_mem_frame(&b, 0x81, span_of(text, 60000));
	struct span rest = span_of(b.p, 100);

	ws_in_next(&in, &rest, &ev);
	assert_int_equal(ev.kind, WS_IN_MORE);
	assert_true(in.cap <= 1024);
	assert_true(ws_in_is_partial(&in));
	rest = span_of(b.p + 100, b.len - 100);
	ws_in_next(&in, &rest, &ev);
	assert_int_equal(ev.kind, WS_IN_TEXT);
	assert_int_equal(ev.payload.n, 60000);
	ws_in_next(&in, &rest, &ev);
	assert_int_equal(ev.kind, WS_IN_MORE);
	assert_null(in.parser);
	assert_null(in.text);
	assert_false(ws_in_is_partial(&in));
	ws_in_done(&in);
	buf_done(&b);
	free(text);
}

/* What was shown is wiped where it stood: in wslay's buffer, and in ours. */
static void what_was_heard_is_wiped(void **state)
{
	(void)state;
	struct ws_in in = new_in();
	struct ws_in_event ev;
	struct buf b = BUF_INIT;
	struct span rest;

	ws_mem_frame(&b, 0x81, SPAN("CANARY"));
	ws_mem_frame(&b, 0x01, SPAN("CAN"));
	ws_mem_frame(&b, 0x80, SPAN("ARY"));
	ws_mem_frame(&b, 0x89, SPAN("x"));
	rest = buf_span(&b);
	for (unsigned i = 0; i < 2; i++) {
		ws_in_next(&in, &rest, &ev);
		assert_true(span_eq(ev.payload, SPAN("CANARY")));
		const char *where = ev.payload.p;

		if (i == 0) { /* wslay's, which stays while there is more in it */
			ws_in_forget(&in);
			assert_memory_equal(where, "\0\0\0\0\0\0", 6);
		}
	}
	ws_in_next(&in, &rest, &ev);
	assert_int_equal(ev.kind, WS_IN_PING);
	assert_null(in.text);
	ws_in_done(&in);
	buf_done(&b);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_example_of_the_rfc_is_answered),
		cmocka_unit_test(handshakes_are_judged),
		TEST(frames_behind_the_handshake_are_not_lost),
		TEST(a_greeting_follows_the_answer),
		TEST(whoever_leaves_before_the_answer_is_gone),
		TEST(no_room_is_entered_while_draining),
		TEST(frames_have_the_shortest_length),
		TEST(a_frame_is_written_over_many_turns),
		TEST(a_burst_within_one_turn_drops_nobody),
		TEST(whoever_does_not_read_is_dropped),
		TEST(bytes_that_wait_are_bounded_too),
		TEST(pongs_count_against_the_backlog),
		TEST(a_parcel_is_as_many_frames_as_it_has_messages),
		cmocka_unit_test(a_parcel_is_half_a_backlog),
		TEST(each_message_of_a_parcel_counts_against_the_backlog),
		TEST(what_is_sent_now_is_written_at_once),
		TEST(sending_now_to_a_broken_connection_ends_it_from_the_loop),
		TEST(what_is_not_taken_in_this_turn_is_taken_in_another),
		TEST(what_was_read_already_waits_too),
		cmocka_unit_test(a_parcel_is_shared_and_wiped_behind_the_last_one),
		TEST(floods_of_control_are_ended),
		TEST(a_million_empty_fragments_are_not_taken),
		TEST(a_paused_peer_waits),
		TEST(many_messages_take_many_turns),
		TEST(a_silent_peer_is_asked_then_cut),
		TEST(a_peer_that_answers_stays),
		TEST(a_message_has_to_end),
		TEST(a_close_that_nobody_reads_is_cut),
		TEST(what_was_said_goes_out_before_the_close),
		TEST(nothing_is_heard_after_a_close_of_ours),
		TEST(a_lost_peer_is_told_once),
		cmocka_unit_test(a_server_that_closes_says_so),
		cmocka_unit_test(the_server_may_close_at_any_time),
		TEST(a_peer_counts_until_it_is_gone),
		TEST(an_idle_peer_holds_no_buffers),
		cmocka_unit_test(memory_follows_what_has_come),
		cmocka_unit_test(what_was_heard_is_wiped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
