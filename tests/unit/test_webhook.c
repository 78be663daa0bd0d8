/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Webhooks: what they say, when they are tried, and that nothing is lost or told twice. */
#include "peer.h"
#include "store_fixture.h"

#include "proto/base/codec.h"
#include "proto/base/crypto.h"
#include "svc/webhook.h"
#include "svc/webhook_queue.h"

#define MINUTE WEBHOOK_MINUTE_MS
#define NOW    INT64_C(1795358123456) /* 2026-11-22T14:35:23.456Z */

/* --- the texts --- */

static void the_sentences_are_those_of_onionshare(void **state)
{
	static const struct {
		unsigned files;
		bool message;
		const char *text;
	} cases[] = {
		{1, false, "1 file submitted to OnionShare"},
		{7, false, "7 files submitted to OnionShare"},
		{0, true, "A text message submitted to OnionShare"},
		{1, true, "1 file and a text message submitted to OnionShare"},
		{2, true, "2 files and a text message submitted to OnionShare"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct webhook_event event = {"dropbox", cases[i].files, cases[i].message,
						    NOW};
		char *body = webhook_body(WEBHOOK_TEXT, &event);

		assert_string_equal(body, cases[i].text);
		free(body);
	}
	assert_string_equal(webhook_content_type(WEBHOOK_TEXT), "text/plain; charset=utf-8");
	(void)state;
}

static void json_tells_the_minute_and_no_more(void **state)
{
	const struct webhook_event event = {"drop-box", 2, true, NOW};
	char *body = webhook_body(WEBHOOK_JSON, &event);
	char *other = webhook_body(WEBHOOK_JSON, &event);
	json_t *o = json_loads(body, JSON_REJECT_DUPLICATES, NULL);

	assert_int_equal(json_object_size(o), 6);
	assert_string_equal(json_string_value(json_object_get(o, "event")), "submission");
	assert_string_equal(json_string_value(json_object_get(o, "service")), "drop-box");
	assert_int_equal(json_integer_value(json_object_get(o, "files")), 2);
	assert_true(json_is_true(json_object_get(o, "message")));
	assert_string_equal(json_string_value(json_object_get(o, "time")), "2026-11-22T14:35:00Z");
	assert_int_equal(strlen(json_string_value(json_object_get(o, "id"))), 16);
	assert_string_not_equal(body, other); /* the id is another one each time */
	json_decref(o);
	free(body);
	free(other);
	assert_string_equal(webhook_content_type(WEBHOOK_JSON), "application/json");
	(void)state;
}

static void the_signature_is_hmac_sha256(void **state)
{
	char signature[WEBHOOK_SIGNATURE_LEN + 1];
	struct span secret;

	/* RFC 4231, test case 2 */
	webhook_sign(SPAN("Jefe"), SPAN("what do ya want for nothing?"), signature);
	assert_string_equal(signature, "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec"
				       "58b964ec3843");
	assert_int_equal(webhook_secret_parse(SPAN("s e c\r\n"), &secret), 0);
	assert_true(span_eq(secret, SPAN("s e c")));
	assert_int_equal(webhook_secret_parse(SPAN("s"), &secret), 0);
	assert_int_equal(webhook_secret_parse(SPAN("\n"), &secret), -EINVAL);
	assert_int_equal(webhook_secret_parse(SPAN(""), &secret), -EINVAL);
	assert_int_equal(webhook_secret_parse(SPAN("two\nlines\n"), &secret), -EINVAL);
	char large[WEBHOOK_SECRET_MAX + 1];

	memset(large, 'x', sizeof(large));
	assert_int_equal(webhook_secret_parse(span_of(large, WEBHOOK_SECRET_MAX), &secret), 0);
	assert_int_equal(webhook_secret_parse(span_of(large, sizeof(large)), &secret), -EINVAL);
	(void)state;
}

/* --- the queue --- */

static void put(struct webhook_queue *q, int64_t id, int64_t created)
{
	webhook_queue_add(q, &(struct webhook_item){.id = id,
						    .created_ms = created,
						    .next_ms = created});
}

static void a_report_is_tried_less_and_less_often_for_a_day(void **state)
{
	static const int64_t minutes[] = {1, 2, 5, 10, 30, 60, 60, 60};
	struct webhook_queue q = {0};
	int64_t now = NOW, next;
	unsigned tries = 0;

	put(&q, 1, now);
	for (;;) {
		assert_int_equal(webhook_queue_wait(&q, now), 0);
		assert_int_equal(webhook_queue_due(&q, now)->id, 1);
		next = webhook_queue_failed(&q, 1, now);
		if (!next) {
			break;
		}
		assert_int_equal(next - now,
				 (tries < ARRAY_SIZE(minutes) ? minutes[tries] : 60) * MINUTE);
		tries++;
		assert_null(webhook_queue_due(&q, now));
		assert_null(webhook_queue_due(&q, next - 1));
		assert_int_equal(webhook_queue_wait(&q, now), next - now);
		now = next;
	}
	assert_int_equal(q.n, 0);
	assert_true(now < NOW + WEBHOOK_DAY_MS && now >= NOW + WEBHOOK_DAY_MS - WEBHOOK_HOUR_MS);
	assert_int_equal(tries, 28);
	assert_int_equal(webhook_queue_wait(&q, now), -1);
	assert_int_equal(webhook_queue_failed(&q, 1, now), 0);
	webhook_queue_done(&q);
	(void)state;
}

static void a_new_report_is_tried_at_once_and_the_old_ones_wait_together(void **state)
{
	struct webhook_queue q = {0};

	for (int64_t id = 1; id <= 3; id++) {
		put(&q, id, NOW);
		webhook_queue_failed(&q, id, NOW);
	}
	/* A minute later only the first is tried: the others share its fate. */
	assert_int_equal(webhook_queue_due(&q, NOW + MINUTE)->id, 1);
	assert_int_equal(webhook_queue_failed(&q, 1, NOW + MINUTE), NOW + 3 * MINUTE);
	assert_null(webhook_queue_due(&q, NOW + MINUTE));
	assert_int_equal(webhook_queue_wait(&q, NOW + MINUTE), 2 * MINUTE);
	/* A new one is tried whatever became of them, */
	put(&q, 4, NOW + MINUTE);
	assert_int_equal(webhook_queue_due(&q, NOW + MINUTE)->id, 4);
	webhook_queue_failed(&q, 4, NOW + MINUTE);
	assert_null(webhook_queue_due(&q, NOW + MINUTE));
	/* and with the first that is taken all may go, the oldest first. */
	put(&q, 5, NOW + 2 * MINUTE);
	webhook_queue_delivered(&q, 5, NOW + 2 * MINUTE);
	for (int64_t id = 1; id <= 4; id++) {
		assert_int_equal(webhook_queue_due(&q, NOW + 2 * MINUTE)->id, id);
		webhook_queue_delivered(&q, id, NOW + 2 * MINUTE);
	}
	assert_int_equal(q.n, 0);
	webhook_queue_done(&q);
	(void)state;
}

static void a_clock_that_was_set_delays_nothing_for_long(void **state)
{
	struct webhook_queue q = {0};
	int64_t back = NOW - 1000 * WEBHOOK_DAY_MS;

	put(&q, 1, NOW);
	webhook_queue_failed(&q, 1, NOW);
	assert_null(webhook_queue_due(&q, back));
	assert_int_equal(webhook_queue_wait(&q, back), WEBHOOK_HOUR_MS);
	assert_int_equal(webhook_queue_due(&q, back + WEBHOOK_HOUR_MS)->id, 1);
	assert_int_equal(webhook_queue_expired(&q, back + WEBHOOK_DAY_MS - 1), 0);
	assert_int_equal(webhook_queue_expired(&q, back + WEBHOOK_DAY_MS), 1);
	webhook_queue_done(&q);
	(void)state;
}

static void the_queue_is_bounded(void **state)
{
	struct webhook_queue q = {0};

	for (int64_t id = 1; id <= WEBHOOK_QUEUE_MAX + 5; id++) {
		webhook_queue_add(&q, &(struct webhook_item){.id = id,
							     .created_ms = NOW,
							     .next_ms = NOW,
							     .body = xstrdup("x"),
							     .content_type = xstrdup("y")});
	}
	assert_int_equal(q.n, WEBHOOK_QUEUE_MAX);
	assert_null(webhook_queue_find(&q, 5));
	assert_non_null(webhook_queue_find(&q, 6));
	webhook_queue_done(&q);
	(void)state;
}

/* --- the sender --- */

static int64_t fake_now;

static int64_t fake_clock(void)
{
	return fake_now;
}

struct world {
	struct fixture *f; /* first: a database */
	struct peer peer;
	struct webhook_env env;
	struct webhook *w;
	char *url;
	struct webhook_config config;
	int64_t service;
	char problem[128]; /* as changed told; "" works */
	unsigned changes;
	bool deadline;
	uv_timer_t timer;
};

static void on_deadline(uv_timer_t *timer)
{
	((struct world *)timer->data)->deadline = true;
}

#define RUN_UNTIL(o, condition)                             \
	do {                                                \
		while (!(condition)) {                      \
			assert_false((o)->deadline);        \
			uv_run(&(o)->f->loop, UV_RUN_ONCE); \
		}                                           \
	} while (0)

static void on_changed(void *ud, const char *problem)
{
	struct world *o = ud;

	o->changes++;
	snprintf(o->problem, sizeof(o->problem), "%s", problem ? problem : "");
}

static json_int_t pending(struct world *o)
{
	json_t *json = webhook_json(o->w);
	json_int_t n = json_integer_value(json_object_get(json, "pending"));

	json_decref(json);
	return n;
}

static bool state_is_null(struct world *o, const char *member)
{
	json_t *json = webhook_json(o->w);
	bool is_null = json_is_null(json_object_get(json, member));

	assert_non_null(json_object_get(json, member));
	json_decref(json);
	return is_null;
}

static int setup(void **state)
{
	struct world *o = xnew(struct world);

	fixture_setup((void **)&o->f);
	fixture_must_open(o->f);
	o->service = fixture_add(o->f, "dropbox");
	o->url = xasprintf("http://127.0.0.1:%u/hook", peer_open_tcp(&o->peer, &o->f->ev));
	o->env = (struct webhook_env){.ev = &o->f->ev,
				      .store = o->f->store,
				      .local_only = true,
				      .changed = on_changed,
				      .ud = o,
				      .wall_ms = fake_clock};
	o->config.url = o->url;
	fake_now = NOW;
	uv_timer_init(&o->f->loop, &o->timer);
	o->timer.data = o;
	uv_timer_start(&o->timer, on_deadline, 30000, 0);
	o->w = webhook_new(&o->env, o->service);
	webhook_configure(o->w, &o->config);
	*state = o;
	return 0;
}

static int teardown(void **state)
{
	struct world *o = *state;

	webhook_free(o->w);
	peer_close(&o->peer, &o->f->loop);
	uv_close((uv_handle_t *)&o->timer, NULL);
	fixture_teardown((void **)&o->f);
	free(o->url);
	free(o);
	return 0;
}

/* What happens when the daemon ends in any way: all that is not on the disk is gone. */
static void restart(struct world *o)
{
	webhook_free(o->w);
	fixture_close(o->f);
	fixture_must_open(o->f);
	o->env.store = o->f->store;
	o->w = webhook_new(&o->env, o->service);
	webhook_configure(o->w, &o->config);
}

#define OK_ANSWER   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define DOWN_ANSWER "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"

static void a_submission_is_reported_at_once(void **state)
{
	struct world *o = *state;
	static const struct peer_step steps[] = {{.until = "OnionShare", .say = ""},
						 {.until = "OnionShare", .say = OK_ANSWER},
						 {0}};

	peer_script(&o->peer, steps);
	webhook_submission(o->w, "dropbox", 2, true);
	RUN_UNTIL(o, !state_is_null(o, "last_success_at"));
	assert_non_null(strstr(o->peer.all.p, "POST /hook HTTP/1.1\r\nHost: 127.0.0.1:"));
	assert_non_null(strstr(o->peer.all.p, "\r\nContent-Type: text/plain; charset=utf-8\r\n"));
	assert_null(strstr(o->peer.all.p, "Signature"));
	assert_non_null(strstr(o->peer.all.p,
			       "\r\n\r\n2 files and a text message submitted to OnionShare"));
	assert_int_equal(pending(o), 0);
	assert_int_equal(o->changes, 0);
	/* and once: nothing of it is left */
	restart(o);
	webhook_submission(o->w, "dropbox", 1, false);
	peer_script(&o->peer, steps);
	buf_clear(&o->peer.all);
	RUN_UNTIL(o, !state_is_null(o, "last_success_at"));
	assert_int_equal(o->peer.accepted, 2);
	assert_non_null(strstr(o->peer.all.p, "\r\n\r\n1 file submitted"));
}

static void json_is_signed_with_the_secret_in_a_file(void **state)
{
	struct world *o = *state;
	static const struct peer_step steps[] = {{.until = "\"time\":\"2026-11-22T14:35:00Z\"}",
						  .say = OK_ANSWER},
						 {0}};
	char *path = fixture_path(o->f, "hook.secret");
	char hex[65];
	uint8_t mac[SHA256_SIZE];

	unit_write(o->f->dir, "hook.secret", "top secret\n");
	o->config.format = WEBHOOK_JSON;
	o->config.secret_file = path;
	webhook_configure(o->w, &o->config);
	peer_script(&o->peer, steps);
	webhook_submission(o->w, "dropbox", 1, false);
	RUN_UNTIL(o, !state_is_null(o, "last_success_at"));
	const char *body = strstr(o->peer.all.p, "\r\n\r\n") + 4;
	struct span part = span_str(body);

	crypto_hmac_sha256("top secret", 10, &part, 1, mac);
	hex_encode(mac, sizeof(mac), hex);
	char *header = xasprintf("\r\nX-OnionShare-Signature: sha256=%s\r\n", hex);

	assert_non_null(strstr(o->peer.all.p, header));
	assert_non_null(strstr(o->peer.all.p, "\r\nContent-Type: application/json\r\n"));
	free(header);

	/* Without its secret nothing is sent. */
	assert_int_equal(unlink(path), 0);
	unsigned accepted = o->peer.accepted;

	webhook_submission(o->w, "dropbox", 1, false);
	RUN_UNTIL(o, o->changes == 1);
	assert_non_null(strstr(o->problem, "cannot read the secret in"));
	unit_write(o->f->dir, "hook.secret", "a\nb\n");
	fake_now += MINUTE;
	webhook_wake(o->w);
	RUN_UNTIL(o, pending(o) == 1 && !state_is_null(o, "last_error"));
	assert_int_equal(o->peer.accepted, accepted);
	free(path);
}

static void a_receiver_that_was_down_gets_each_report_once(void **state)
{
	struct world *o = *state;
	static const struct peer_step down[] = {{.until = "submitted", .say = DOWN_ANSWER},
						{.until = "submitted", .say = DOWN_ANSWER},
						{.until = "submitted", .say = DOWN_ANSWER},
						{0}};
	static const struct peer_step up[] = {{.until = "submitted", .say = OK_ANSWER},
					      {.until = "submitted", .say = OK_ANSWER},
					      {0}};

	peer_script(&o->peer, down);
	webhook_submission(o->w, "dropbox", 1, false);
	RUN_UNTIL(o, o->peer.accepted == 1 && !state_is_null(o, "last_error"));
	assert_string_equal(o->problem, "the server answered 503");
	webhook_submission(o->w, "dropbox", 0, true);
	RUN_UNTIL(o, o->peer.at == 2 && pending(o) == 2);
	/* over a restart, which does not make it forget how often it has tried */
	restart(o);
	RUN_UNTIL(o, pending(o) == 2);
	assert_int_equal(o->peer.accepted, 2);
	assert_false(state_is_null(o, "last_error"));
	fake_now += MINUTE;
	webhook_wake(o->w);
	RUN_UNTIL(o, o->peer.at == 3);
	restart(o);
	RUN_UNTIL(o, pending(o) == 2);
	assert_int_equal(o->peer.accepted, 3);

	peer_script(&o->peer, up);
	buf_clear(&o->peer.all);
	fake_now += WEBHOOK_HOUR_MS;
	webhook_wake(o->w);
	RUN_UNTIL(o, pending(o) == 0);
	assert_int_equal(o->peer.accepted, 5);
	const char *first = strstr(o->peer.all.p, "1 file submitted");
	const char *second = strstr(o->peer.all.p, "A text message submitted");

	assert_true(first && second && first < second);
	assert_null(strstr(first + 1, "1 file submitted"));
	RUN_UNTIL(o, state_is_null(o, "last_error"));
	assert_string_equal(o->problem, "");
}

/* The receiver has it, but the daemon ends before it knows: once more, and no more than that. */
static void an_end_in_the_middle_makes_at_most_one_come_twice(void **state)
{
	struct world *o = *state;
	static const struct peer_step silent[] = {{.until = "submitted", .say = ""}, {0}};
	static const struct peer_step up[] = {{.until = "submitted", .say = OK_ANSWER},
					      {.until = "submitted", .say = OK_ANSWER},
					      {.until = "submitted", .say = OK_ANSWER},
					      {0}};

	peer_script(&o->peer, silent);
	for (unsigned i = 1; i <= 3; i++) {
		webhook_submission(o->w, "dropbox", i, false);
	}
	RUN_UNTIL(o, o->peer.at == 1 && pending(o) == 3);
	assert_int_equal(o->peer.accepted, 1); /* one at a time */
	restart(o);
	peer_script(&o->peer, up);
	RUN_UNTIL(o, !state_is_null(o, "last_success_at") && pending(o) == 0);
	assert_int_equal(o->peer.accepted, 4);
}

static void after_a_day_it_is_given_up(void **state)
{
	struct world *o = *state;
	static const struct peer_step down[] = {{.until = "submitted", .say = DOWN_ANSWER}, {0}};

	peer_script(&o->peer, down);
	webhook_submission(o->w, "dropbox", 1, false);
	RUN_UNTIL(o, o->changes == 1);
	fake_now += WEBHOOK_DAY_MS;
	restart(o);
	RUN_UNTIL(o, !state_is_null(o, "last_error") && pending(o) == 0);
	assert_int_equal(o->peer.accepted, 1);
	fake_now = NOW;
	restart(o); /* out of the database too */
	webhook_submission(o->w, "dropbox", 1, false);
	peer_script(&o->peer, down);
	RUN_UNTIL(o, pending(o) == 1);
}

static void another_url_is_tried_at_once_and_none_drops_all(void **state)
{
	struct world *o = *state;
	static const struct peer_step down[] = {{.until = "submitted", .say = DOWN_ANSWER}, {0}};
	static const struct peer_step up[] = {{.until = "submitted", .say = OK_ANSWER}, {0}};
	char *other = xasprintf("%s2", o->url);

	peer_script(&o->peer, down);
	webhook_submission(o->w, "dropbox", 1, false);
	RUN_UNTIL(o, o->changes == 1);
	peer_script(&o->peer, up);
	o->config.url = other;
	webhook_configure(o->w, &o->config);
	RUN_UNTIL(o, pending(o) == 0);
	assert_non_null(strstr(o->peer.all.p, "POST /hook2 "));

	peer_script(&o->peer, down);
	webhook_submission(o->w, "dropbox", 1, false);
	RUN_UNTIL(o, pending(o) == 1 && o->peer.at == 1);
	o->config.url = NULL;
	webhook_configure(o->w, &o->config);
	assert_int_equal(pending(o), 0);
	webhook_submission(o->w, "dropbox", 1, false); /* nobody wants to know */
	unsigned accepted = o->peer.accepted;

	o->config.url = o->url;
	restart(o);
	fake_now += WEBHOOK_HOUR_MS;
	webhook_wake(o->w);
	peer_script(&o->peer, up);
	webhook_submission(o->w, "dropbox", 1, false);
	RUN_UNTIL(o, !state_is_null(o, "last_success_at"));
	assert_int_equal(o->peer.accepted, accepted + 1);
	free(other);
}

static void a_change_while_one_is_on_its_way_loses_nothing(void **state)
{
	struct world *o = *state;
	static const struct peer_step silent[] = {{.until = "submitted", .say = ""}, {0}};
	static const struct peer_step up[] = {{.until = "submitted", .say = OK_ANSWER}, {0}};
	char *other = xasprintf("%s2", o->url);

	peer_script(&o->peer, silent);
	webhook_submission(o->w, "dropbox", 1, false);
	RUN_UNTIL(o, o->peer.at == 1);
	peer_script(&o->peer, up);
	o->config.url = other;
	webhook_configure(o->w, &o->config);
	RUN_UNTIL(o, pending(o) == 0);
	assert_non_null(strstr(o->peer.all.p, "POST /hook2 "));
	free(other);
}

static void a_one_off_keeps_its_reports_in_memory(void **state)
{
	struct world *o = *state;
	static const struct peer_step down[] = {{.until = "submitted", .say = DOWN_ANSWER}, {0}};
	static const struct peer_step up[] = {{.until = "submitted", .say = OK_ANSWER},
					      {.until = "submitted", .say = OK_ANSWER},
					      {0}};

	webhook_free(o->w);
	o->w = webhook_new(&o->env, 0);
	webhook_configure(o->w, &o->config);
	peer_script(&o->peer, down);
	webhook_submission(o->w, "receive-abc", 1, false);
	assert_int_equal(pending(o), 1);
	RUN_UNTIL(o, o->changes == 1);
	webhook_saved(o->w, o->service); /* what comes from now on is kept */
	peer_script(&o->peer, up);
	webhook_submission(o->w, "receive-abc", 2, false);
	RUN_UNTIL(o, pending(o) == 0 && !state_is_null(o, "last_success_at"));
	assert_int_equal(o->peer.accepted, 3);
}

static void where_it_may_not_go_it_does_not(void **state)
{
	struct world *o = *state;
	struct error err = ERROR_INIT;

	assert_int_equal(webhook_check_url("http://127.0.0.1:1/", true, &err), 0);
	assert_int_equal(webhook_check_url("http://127.0.0.1:1/", false, &err), -EINVAL);
	assert_int_equal(err.kind, ERROR_INVALID_VALUE);
	assert_string_equal(err.param[0], "webhook_url");
	assert_non_null(strstr(err.param[1], "private network"));
	assert_int_equal(webhook_check_url("nonsense", false, &err), -EINVAL);
	error_done(&err);
	/* Also when it was set for another daemon: checked again before each report. */
	o->config.url = "http://example.com/";
	webhook_configure(o->w, &o->config);
	webhook_submission(o->w, "dropbox", 1, false);
	RUN_UNTIL(o, o->changes == 1);
	assert_non_null(strstr(o->problem, "leads away from this machine"));
}

/* --- through Tor --- */

#define SOCKS_OK "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"

static void through_tor_it_waits_for_tor_and_goes_by_name(void **state)
{
	struct world *o = *state;
	static const struct peer_step steps[] = {
		{.wait = 3, .say = "\x05\x02", .say_n = 2},
		{.wait = 67, .say = "\x01\x00", .say_n = 2},
		{.wait = 4 + 1 + 11 + 2, .say = SOCKS_OK, .say_n = 10},
		{.until = "submitted", .say = OK_ANSWER},
		{0},
	};
	struct tor_status status = {.state = TOR_READY};
	char first[32], *at;

	webhook_free(o->w);
	o->env.local_only = false;
	o->config.url = "http://example.com:8080/x";
	o->w = webhook_new(&o->env, o->service);
	webhook_configure(o->w, &o->config);
	snprintf(status.socks, sizeof(status.socks), "127.0.0.1:%u",
		 listener_port(o->peer.listener));
	webhook_submission(o->w, "dropbox", 1, false);
	RUN_UNTIL(o, pending(o) == 1);
	fake_now += 5 * MINUTE;
	webhook_wake(o->w);
	webhook_tor_changed(o->w, &status); /* connected, but not to the network */
	assert_int_equal(o->peer.accepted, 0);
	assert_true(state_is_null(o, "last_error")); /* nothing was tried, so nothing failed */

	peer_script(&o->peer, steps);
	status.reachable = true;
	webhook_tor_changed(o->w, &status);
	RUN_UNTIL(o, pending(o) == 0);
	at = o->peer.all.p + 3;
	assert_memory_equal(at, "\x01\x20", 2); /* a username of 32 characters */
	memcpy(first, at + 2, 32);
	assert_memory_equal(o->peer.all.p + 3 + 67,
			    "\x05\x01\x00\x03\x0b"
			    "example.com\x1f\x90",
			    18);
	assert_non_null(
		strstr(o->peer.all.p + 88, "POST /x HTTP/1.1\r\nHost: example.com:8080\r\n"));

	/* The same target: the same circuits. Another one: others. */
	for (int round = 0; round < 2; round++) {
		peer_script(&o->peer, steps);
		buf_clear(&o->peer.all);
		if (round == 1) {
			o->config.url = "http://example.net:8080/x";
			webhook_configure(o->w, &o->config);
		}
		webhook_submission(o->w, "dropbox", 1, false);
		RUN_UNTIL(o, o->peer.accepted == 2u + (unsigned)round && pending(o) == 0 &&
				     o->peer.at == 4);
		assert_int_equal(memcmp(o->peer.all.p + 5, first, 32) == 0, round == 0);
	}
}

static void what_tor_says_is_shown(void **state)
{
	struct world *o = *state;
	static const struct peer_step steps[] = {
		{.wait = 3, .say = "\x05\x02", .say_n = 2},
		{.wait = 67, .say = "\x01\x00", .say_n = 2},
		{.wait = 4 + 1 + 62 + 2,
		 .say = "\x05\xf0\x00\x01\x00\x00\x00\x00\x00\x00",
		 .say_n = 10,
		 .end = true},
		{0},
	};
	struct tor_status status = {.state = TOR_READY, .reachable = true};

	webhook_free(o->w);
	o->env.local_only = false;
	o->config.url = "http://abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrstuvwx.onion/";
	o->w = webhook_new(&o->env, o->service);
	webhook_configure(o->w, &o->config);
	snprintf(status.socks, sizeof(status.socks), "127.0.0.1:%u",
		 listener_port(o->peer.listener));
	webhook_tor_changed(o->w, &status);
	peer_script(&o->peer, steps);
	webhook_submission(o->w, "dropbox", 1, false);
	RUN_UNTIL(o, o->changes == 1);
	assert_non_null(strstr(o->problem, "descriptor was not found"));
	assert_int_equal(pending(o), 1);
	/* Tor went and came: then at once. */
	status.reachable = false;
	webhook_tor_changed(o->w, &status);
	peer_script(&o->peer, steps);
	status.reachable = true;
	webhook_tor_changed(o->w, &status);
	RUN_UNTIL(o, o->peer.accepted == 2 && o->peer.at == 3);
}

static void it_can_end_at_any_moment(void **state)
{
	struct world *o = *state;
	static const struct peer_step steps[] = {{.until = "submitted", .say = OK_ANSWER},
						 {.until = "submitted", .say = OK_ANSWER},
						 {0}};

	for (int turns = 0; turns < 12; turns++) {
		peer_script(&o->peer, steps);
		webhook_submission(o->w, "dropbox", 1, false);
		webhook_submission(o->w, "dropbox", 2, false);
		for (int i = 0; i < turns; i++) {
			uv_run(&o->f->loop, UV_RUN_NOWAIT);
		}
		webhook_free(o->w);
		o->w = webhook_new(&o->env, o->service);
		webhook_configure(o->w, &o->config);
	}
	webhook_free(take_ptr(o->w)); /* right after it was made */
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sentences_are_those_of_onionshare),
		cmocka_unit_test(json_tells_the_minute_and_no_more),
		cmocka_unit_test(the_signature_is_hmac_sha256),
		cmocka_unit_test(a_report_is_tried_less_and_less_often_for_a_day),
		cmocka_unit_test(a_new_report_is_tried_at_once_and_the_old_ones_wait_together),
		cmocka_unit_test(a_clock_that_was_set_delays_nothing_for_long),
		cmocka_unit_test(the_queue_is_bounded),
		TEST(a_submission_is_reported_at_once),
		TEST(json_is_signed_with_the_secret_in_a_file),
		TEST(a_receiver_that_was_down_gets_each_report_once),
		TEST(an_end_in_the_middle_makes_at_most_one_come_twice),
		TEST(after_a_day_it_is_given_up),
		TEST(another_url_is_tried_at_once_and_none_drops_all),
		TEST(a_change_while_one_is_on_its_way_loses_nothing),
		TEST(a_one_off_keeps_its_reports_in_memory),
		TEST(where_it_may_not_go_it_does_not),
		TEST(through_tor_it_waits_for_tor_and_goes_by_name),
		TEST(what_tor_says_is_shown),
		TEST(it_can_end_at_any_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
