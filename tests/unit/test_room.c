/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A room with members that only note down what reaches them. */
#include <errno.h>
#include <jansson.h>

#include "mode/chat/html.h"
#include "mode/chat/nick.h"
#include "mode/chat/room.h"
#include "mode/chat/talk.h"
#include "proto/base/buf.h"
#include "proto/wipe.h"
#include "unit.h"

/* --- a world --- */

struct world {
	struct room *room;
	uint64_t now;
	struct list all;
	unsigned counted, members, events;
};

struct member {
	struct room_member m;
	struct list link; /* of who is in the room */
	struct buf heard; /* JSON, a line each */
	unsigned n, owns;
	int dismissed; /* 0: not, else enum room_end + 1 */
	unsigned held_ms;
};

static struct member *member_of(struct room_member *m)
{
	return container_of(m, struct member, m);
}

static void note(struct member *member, const struct room_event *e, bool own)
{
	talk_write(&member->heard, e);
	buf_add_char(&member->heard, '\n');
	member->n++;
	member->owns += own;
}

static void tell_all(void *ud, const struct room_event *e, const struct room_member *who)
{
	struct world *w = ud;

	w->events++;
	list_for_each (it, &w->all) {
		struct member *member = list_entry(it, struct member, link);

		if (!member->dismissed) {
			note(member, e, &member->m == who);
		}
	}
}

static void tell(struct room_member *m, const struct room_event *e)
{
	assert_int_equal(member_of(m)->dismissed, 0);
	note(member_of(m), e, true);
}

static void dismiss(struct room_member *m, enum room_end why)
{
	assert_int_equal(member_of(m)->dismissed, 0);
	member_of(m)->dismissed = (int)why + 1;
}

static void hold(struct room_member *m, unsigned ms)
{
	member_of(m)->held_ms = ms;
}

static const struct room_kind kind = {tell, dismiss, hold};
static const struct room_kind no_hold = {tell, dismiss, NULL};

static uint64_t now_ms(void *ud)
{
	return ((struct world *)ud)->now;
}

static void on_members(void *ud, unsigned n)
{
	((struct world *)ud)->members = n;
	((struct world *)ud)->counted++;
}

static void begin_with(struct world *w, unsigned max)
{
	const struct room_host host = {now_ms, tell_all, on_members, w};

	*w = (struct world){.now = 1000};
	list_init(&w->all);
	w->room = room_new(max, &host);
}

static int join(struct world *w, struct member *m, const struct room_kind *how)
{
	*m = (struct member){0};
	list_init(&m->link);

	int r = room_join(w->room, &m->m, how);

	if (r == 0) {
		list_append(&w->all, &m->link);
	}
	return r;
}

static void join_as(struct world *w, struct member *m, const char *name)
{
	assert_int_equal(join(w, m, &kind), 0);
	if (name) {
		room_rename(&m->m, span_str(name));
		assert_string_equal(m->m.nick.text, name);
		w->now += 60000; /* as if long ago */
	}
	buf_clear(&m->heard);
	m->n = m->owns = 0;
}

static void gone(struct member *m)
{
	list_remove(&m->link);
	room_leave(&m->m);
	buf_done(&m->heard);
}

static void end(struct world *w)
{
	assert_int_equal(room_members(w->room), 0);
	assert_true(list_empty(&w->all));
	room_free(w->room);
}

static void assert_heard(struct member *m, const char *lines)
{
	assert_string_equal(m->heard.len ? m->heard.p : "", lines);
	buf_clear(&m->heard);
	m->n = m->owns = 0;
}

static void assert_error(struct member *m)
{
	assert_int_equal(m->n, 1);
	assert_true(span_starts(buf_span(&m->heard), SPAN("{\"type\":\"error\",\"text\":\"")));
	buf_clear(&m->heard);
	m->n = m->owns = 0;
}

static void hear(struct member *m, const char *json)
{
	talk_hear(&m->m, span_str(json));
}

/* --- names --- */

static void what_is_no_name_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		" bob",
		"bob ",
		"bo  b",
		"b\tb",
		"bob\n",
		"b\x1b[31m",
		"b\x7f",
		"bob\xe2\x80\x8b",    /* zero width space */
		"bob\xe2\x80\x8d",    /* zero width joiner */
		"bob\xe3\x85\xa4",    /* hangul filler */
		"b\xd0\xbe\x62",      /* cyrillic o */
		"bo\xcc\x81\x62",     /* combining acute */
		"\xe2\x80\xae\x62ob", /* right-to-left override */
		"\xef\xbd\x82ob",     /* fullwidth */
		"\xff\xfe",           /* not UTF-8 */
		"bob.",
		"<b>bob</b>",
		"bob/",
		"bob\xc2\xa0",
	};
	char longest[NICK_MAX + 2];
	struct nick n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_false(nick_parse(span_str(bad[i]), &n));
	}
	assert_false(nick_parse(SPAN("bob\0"), &n));
	memset(longest, 'm', sizeof(longest));
	assert_false(nick_parse(span_of(longest, NICK_MAX + 1), &n));
	assert_true(nick_parse(span_of(longest, NICK_MAX), &n));
	assert_int_equal(strlen(n.skeleton), 2 * NICK_MAX);
	assert_true(nick_parse(SPAN("a"), &n));
	assert_true(nick_parse(SPAN("A b_c-9"), &n));
}

static void names_that_look_alike_clash(void **state)
{
	static const char *const same[][2] = {
		{"bob", "BOB"},    {"bob", "b0b"},    {"Ivy", "lvy"},
		{"Ivy", "1vy"},    {"a b", "a-b"},    {"a_b", "a-b"},
		{"mint", "rnint"}, {"Mint", "RNint"}, {"ivy", "IVY"},
	};
	static const char *const other[][2] = {{"bob", "bobo"}, {"ivy", "lvy"}, {"ab", "a-b"}};
	struct nick a, b;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		assert_true(nick_parse(span_str(same[i][0]), &a));
		assert_true(nick_parse(span_str(same[i][1]), &b));
		assert_true(nick_clash(&a, &b) && nick_clash(&b, &a));
	}
	for (size_t i = 0; i < ARRAY_SIZE(other); i++) {
		assert_true(nick_parse(span_str(other[i][0]), &a));
		assert_true(nick_parse(span_str(other[i][1]), &b));
		assert_false(nick_clash(&a, &b));
	}
}

static int by_skeleton(const void *a, const void *b)
{
	return strcmp(((const struct nick *)a)->skeleton, ((const struct nick *)b)->skeleton);
}

static void the_names_of_two_words_are_names_and_no_two_clash(void **state)
{
	struct nick *all = xcalloc(NICK_WORDS, sizeof(*all)), again;

	(void)state;
	for (unsigned i = 0; i < NICK_WORDS; i++) {
		nick_words(i, &all[i]);
		assert_true(nick_parse(nick_span(&all[i]), &again));
		assert_string_equal(again.skeleton, all[i].skeleton);
		assert_non_null(strchr(all[i].text, '-'));
		assert_true(all[i].n <= 16);
	}
	/* All are in lower case, so the skeleton is all there is to compare. */
	qsort(all, NICK_WORDS, sizeof(*all), by_skeleton);
	for (unsigned i = 1; i < NICK_WORDS; i++) {
		assert_string_not_equal(all[i - 1].skeleton, all[i].skeleton);
	}
	free(all);
}

/* --- coming, going, talking --- */

static void everybody_hears_the_same_in_one_order(void **state)
{
	struct world w;
	struct member a, b, c;

	(void)state;
	begin_with(&w, 10);
	join_as(&w, &a, "ann");
	join_as(&w, &b, "bob");
	buf_clear(&a.heard);
	assert_int_equal(join(&w, &c, &kind), 0);
	assert_int_equal(w.members, 3);

	char *joined = xasprintf("{\"type\":\"joined\",\"name\":\"%s\"}\n", c.m.nick.text);
	char *welcome = xasprintf("{\"type\":\"welcome\",\"name\":\"%s\",\"users\":[\"ann\","
				  "\"bob\",\"%s\"]}\n",
				  c.m.nick.text, c.m.nick.text);

	assert_heard(&a, joined);
	assert_heard(&b, joined);
	assert_heard(&c, welcome);
	free(joined);
	free(welcome);

	room_rename(&c.m, SPAN("cleo"));
	room_say(&a.m, SPAN("hi \"all\"\n<b>"));
	room_say(&b.m, SPAN("ho"));
	const char *all =
		"{\"type\":\"message\",\"name\":\"ann\",\"text\":\"hi \\\"all\\\"\\n<b>\"}\n"
		"{\"type\":\"message\",\"name\":\"bob\",\"text\":\"ho\"}\n";

	assert_int_equal(a.owns, 1);
	assert_int_equal(strcmp(strchr(a.heard.p, '\n') + 1, all), 0);
	assert_string_equal(a.heard.p, b.heard.p);
	assert_string_equal(a.heard.p, c.heard.p);
	buf_clear(&a.heard);
	buf_clear(&c.heard);
	gone(&b);
	assert_int_equal(w.members, 2);
	assert_heard(&a, "{\"type\":\"left\",\"name\":\"bob\"}\n");
	assert_heard(&c, "{\"type\":\"left\",\"name\":\"bob\"}\n");
	gone(&a);
	gone(&c);
	end(&w);
}

static void a_join_is_told_once_however_many_hear_of_it(void **state)
{
	enum { N = 200 };
	struct member *all = xcalloc(N, sizeof(*all));
	struct world w;

	(void)state;
	begin_with(&w, N);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(join(&w, &all[i], &kind), 0);
		assert_int_equal(w.events, i + 1);
	}
	/* To who was first: his welcome, and a few bytes for each other one. */
	assert_int_equal(all[0].n, N);
	assert_true(all[0].heard.len < N * 60);
	for (unsigned i = 0; i < N; i++) {
		gone(&all[i]);
	}
	end(&w);
	free(all);
}

static void a_full_room_lets_nobody_in_until_somebody_goes(void **state)
{
	struct member a, b, c;
	struct world w;

	(void)state;
	begin_with(&w, 2);
	join_as(&w, &a, NULL);
	join_as(&w, &b, NULL);
	assert_int_equal(join(&w, &c, &kind), -ENOSPC);
	room_leave(&c.m); /* never joined: nothing happens */
	gone(&a);
	assert_int_equal(join(&w, &c, &kind), 0);
	gone(&b);
	gone(&c);
	end(&w);
}

static void nobody_takes_a_name_that_is_there(void **state)
{
	static const char *const tries[] = {"bob",          "Bob",  "BOB",
					    "b0b",          "bob ", " bob",
					    "bo\nb",        "",     "bob\xe2\x80\x8b",
					    "b\xd0\xbe\x62"};
	struct member a, b;
	struct world w;

	(void)state;
	begin_with(&w, 10);
	join_as(&w, &a, "ann");
	join_as(&w, &b, "bob");
	for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
		buf_clear(&a.heard);
		a.n = 0;
		room_rename(&a.m, span_str(tries[i]));
		assert_error(&a);
		assert_string_equal(a.m.nick.text, "ann");
	}
	assert_heard(&b, "");
	char *big = xmalloc(1 << 20);

	memset(big, 'a', 1 << 20);
	room_rename(&a.m, span_of(big, 1 << 20));
	free(big);
	assert_error(&a);
	/* One's own in other letters is fine, and a name that is left is free. */
	room_rename(&a.m, SPAN("Ann"));
	assert_heard(&b, "{\"type\":\"renamed\",\"old\":\"ann\",\"name\":\"Ann\"}\n");
	buf_clear(&a.heard);
	gone(&b);
	buf_clear(&a.heard);
	room_rename(&a.m, SPAN("BOB"));
	assert_heard(&a, "{\"type\":\"renamed\",\"old\":\"Ann\",\"name\":\"BOB\"}\n");
	gone(&a);
	end(&w);
}

static void texts_have_a_limit(void **state)
{
	struct member a, b;
	struct world w;
	char *text = xmalloc(ROOM_TEXT_MAX + 1);

	(void)state;
	begin_with(&w, 10);
	join_as(&w, &a, "ann");
	join_as(&w, &b, "bob");
	memset(text, 'x', ROOM_TEXT_MAX + 1);
	buf_clear(&a.heard);
	a.n = 0;
	room_say(&a.m, span_of(text, ROOM_TEXT_MAX + 1));
	assert_error(&a);
	room_say(&a.m, SPAN(""));
	assert_error(&a);
	room_say(&a.m, SPAN("a\0b"));
	assert_error(&a);
	room_say(&a.m, SPAN("a\xff"));
	assert_error(&a);
	assert_heard(&b, "");
	room_say(&a.m, span_of(text, ROOM_TEXT_MAX));
	assert_int_equal(b.n, 1);
	free(text);
	gone(&a);
	gone(&b);
	end(&w);
}

/* --- the language --- */

static void what_is_not_understood_is_answered_to_its_sender_alone(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"nonsense",
		"null",
		"[]",
		"\"message\"",
		"{}",
		"{\"type\":1}",
		"{\"type\":null,\"text\":\"x\"}",
		"{\"type\":\"message\"}",
		"{\"type\":\"message\",\"text\":1}",
		"{\"type\":\"message\",\"text\":[\"x\"]}",
		"{\"type\":\"message\",\"text\":null}",
		"{\"type\":\"message\",\"name\":\"x\"}",
		"{\"type\":\"rename\"}",
		"{\"type\":\"rename\",\"text\":\"x\"}",
		"{\"type\":\"rename\",\"name\":{}}",
		"{\"type\":\"Message\",\"text\":\"x\"}",
		"{\"type\":\"message\",\"text\":\"x\",\"text\":\"y\"}",
		"{\"type\":\"message\",\"text\":\"\\ud800\"}",
		"{\"type\":\"message\",\"text\":\"\\u0000\"}",
		"{\"type\":\"message\",\"text\":\"x\"} more",
		/* as if it were the server's to say */
		"{\"type\":\"joined\",\"name\":\"eve\"}",
		"{\"type\":\"left\",\"name\":\"bob\"}",
		"{\"type\":\"leave\"}",
		"{\"type\":\"welcome\",\"name\":\"bob\",\"users\":[]}",
		"{\"type\":\"renamed\",\"old\":\"bob\",\"name\":\"eve\"}",
		"{\"type\":\"error\",\"text\":\"x\"}",
	};
	struct member a, b;
	struct world w;

	(void)state;
	begin_with(&w, 10);
	join_as(&w, &a, "ann");
	join_as(&w, &b, "bob");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		w.now += 1000;
		buf_clear(&a.heard);
		a.n = 0;
		hear(&a, bad[i]);
		assert_error(&a);
	}
	assert_heard(&b, "");
	assert_int_equal(room_members(w.room), 2);
	gone(&a);
	gone(&b);
	end(&w);
}

static void others_beside_good_members_are_ignored(void **state)
{
	struct member a, b;
	struct world w;

	(void)state;
	begin_with(&w, 10);
	join_as(&w, &a, "ann");
	join_as(&w, &b, "bob");
	/* Also a sender's name: it is the connection's. */
	hear(&a, "{\"x\":[1,2],\"type\":\"message\",\"name\":\"bob\",\"text\":\"\\u00fc "
		 "\\ud83e\\udd94\"}");
	assert_heard(&b, "{\"type\":\"message\",\"name\":\"ann\",\"text\":\"\xc3\xbc "
			 "\xf0\x9f\xa6\x94\"}\n");
	hear(&a, " {\"type\":\"rename\",\"name\":\"Anna B\",\"text\":5} ");
	assert_heard(&b, "{\"type\":\"renamed\",\"old\":\"ann\",\"name\":\"Anna B\"}\n");
	gone(&a);
	gone(&b);
	end(&w);
}

/* --- floods --- */

static void a_burst_is_fine_and_a_flood_waits(void **state)
{
	struct member a, b;
	struct world w;

	(void)state;
	begin_with(&w, 10);
	join_as(&w, &a, "ann");
	join_as(&w, &b, "bob");
	for (unsigned i = 0; i < ROOM_BURST; i++) {
		room_say(&a.m, SPAN("x"));
	}
	assert_int_equal(b.n, ROOM_BURST);
	assert_int_equal(a.held_ms, 0);
	room_say(&a.m, SPAN("x"));
	assert_int_equal(b.n, ROOM_BURST + 1);
	assert_int_equal(a.held_ms, 1000 / ROOM_RATE);
	/* What he may say in the long run. */
	for (unsigned i = 0; i < 400; i++) {
		w.now += 1000 / ROOM_RATE;
		a.held_ms = 0;
		room_say(&a.m, SPAN("x"));
		assert_true(a.held_ms <= 1000 / ROOM_RATE);
	}
	assert_int_equal(a.dismissed, 0);
	/* After a pause he is like anybody. */
	w.now += 10000;
	a.held_ms = 0;
	for (unsigned i = 0; i < 20; i++) {
		room_say(&a.m, SPAN("x"));
	}
	assert_int_equal(a.held_ms, 0);
	gone(&a);
	gone(&b);
	end(&w);
}

static void twenty_of_the_longest_are_a_burst(void **state)
{
	struct member a;
	struct world w;
	char *text = xmalloc(ROOM_TEXT_MAX);

	(void)state;
	memset(text, 'x', ROOM_TEXT_MAX);
	begin_with(&w, 10);
	join_as(&w, &a, NULL);
	for (unsigned i = 0; i < 20; i++) {
		room_say(&a.m, span_of(text, ROOM_TEXT_MAX));
	}
	assert_int_equal(a.held_ms, 0);
	assert_int_equal(a.n, 20);
	room_say(&a.m, span_of(text, ROOM_TEXT_MAX));
	assert_int_equal(a.n, 21);
	assert_int_equal(a.held_ms, ROOM_TEXT_MAX * 1000 / ROOM_RATE_BYTES);
	free(text);
	gone(&a);
	end(&w);
}

static void who_floods_for_long_has_to_leave(void **state)
{
	struct member a, b;
	struct world w;
	unsigned heard = 0;

	(void)state;
	begin_with(&w, 10);
	join_as(&w, &a, "ann");
	join_as(&w, &b, "bob");
	for (unsigned i = 0; i < 100 * ROOM_RATE && !a.dismissed; i++) {
		room_say(&a.m, SPAN("x"));
		w.now += a.held_ms;
		heard = b.n;
	}
	assert_int_equal(a.dismissed, ROOM_END_FLOOD + 1);
	assert_true(heard >= ROOM_RATE * ROOM_PATIENCE_MS / 1000);
	assert_true(heard <= ROOM_BURST + ROOM_RATE * (ROOM_PATIENCE_MS / 1000 + 2));
	/* Nothing he does counts, and he is there until his connection is gone. */
	room_say(&a.m, SPAN("x"));
	room_rename(&a.m, SPAN("eve"));
	assert_int_equal(b.n, heard);
	assert_int_equal(room_members(w.room), 2);
	buf_clear(&b.heard);
	gone(&a);
	assert_heard(&b, "{\"type\":\"left\",\"name\":\"ann\"}\n");
	gone(&b);
	end(&w);
}

static void who_cannot_be_held_is_refused(void **state)
{
	struct member a;
	struct world w;
	unsigned most = ROOM_BURST + 1; /* and his welcome */

	(void)state;
	begin_with(&w, 10);
	assert_int_equal(join(&w, &a, &no_hold), 0);
	for (unsigned i = 0; i < ROOM_BURST; i++) {
		room_say(&a.m, SPAN("x"));
	}
	assert_int_equal(a.n, most);
	buf_clear(&a.heard);
	a.n = 0;
	room_say(&a.m, SPAN("x"));
	assert_error(&a);
	w.now += 1000 / ROOM_RATE;
	room_say(&a.m, SPAN("x"));
	assert_non_null(strstr(a.heard.p, "\"message\""));
	for (unsigned i = 0; i < 40 && !a.dismissed; i++) {
		for (unsigned j = 0; j < ROOM_RATE + 1; j++) {
			room_say(&a.m, SPAN("x"));
		}
		w.now += 1000;
	}
	assert_int_equal(a.dismissed, ROOM_END_FLOOD + 1);
	gone(&a);
	end(&w);
}

/* --- the end --- */

static void a_room_that_closes_sends_all_away_without_a_word_of_it(void **state)
{
	struct member a, b, c;
	struct world w;

	(void)state;
	begin_with(&w, 10);
	join_as(&w, &a, "ann");
	join_as(&w, &b, "bob");
	buf_clear(&a.heard);
	room_close(w.room);
	room_close(w.room);
	assert_int_equal(a.dismissed, ROOM_END_CLOSED + 1);
	assert_int_equal(b.dismissed, ROOM_END_CLOSED + 1);
	assert_int_equal(join(&w, &c, &kind), -ESHUTDOWN);
	room_say(&a.m, SPAN("x"));
	gone(&a);
	assert_heard(&b, "");
	gone(&b);
	end(&w);
}

/* --- for who has no script --- */

static void a_text_in_html_is_text(void **state)
{
	struct world w;
	struct buf b = BUF_INIT;

	(void)state;
	begin_with(&w, 10);
	html_event(&b, &(struct room_event){.type = ROOM_MESSAGE,
					    .name = SPAN("ann"),
					    .text = SPAN("<script>&\"'\xe2\x80\xae</bdi>")});
	assert_string_equal(b.p, "<b>ann</b> <bdi>&lt;script&gt;&amp;&quot;&#39;\xe2\x80\xae"
				 "&lt;/bdi&gt;</bdi></p>\n");
	buf_done(&b);
	html_page(&b, "<x>");
	assert_null(strstr(b.p, "<x>"));
	assert_true(b.len < 4096);
	buf_done(&b);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_name_is_refused),
		cmocka_unit_test(names_that_look_alike_clash),
		cmocka_unit_test(the_names_of_two_words_are_names_and_no_two_clash),
		cmocka_unit_test(everybody_hears_the_same_in_one_order),
		cmocka_unit_test(a_join_is_told_once_however_many_hear_of_it),
		cmocka_unit_test(a_full_room_lets_nobody_in_until_somebody_goes),
		cmocka_unit_test(nobody_takes_a_name_that_is_there),
		cmocka_unit_test(texts_have_a_limit),
		cmocka_unit_test(what_is_not_understood_is_answered_to_its_sender_alone),
		cmocka_unit_test(others_beside_good_members_are_ignored),
		cmocka_unit_test(a_burst_is_fine_and_a_flood_waits),
		cmocka_unit_test(twenty_of_the_longest_are_a_burst),
		cmocka_unit_test(who_floods_for_long_has_to_leave),
		cmocka_unit_test(who_cannot_be_held_is_refused),
		cmocka_unit_test(a_room_that_closes_sends_all_away_without_a_word_of_it),
		cmocka_unit_test(a_text_in_html_is_text),
	};

	wipe_json_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
