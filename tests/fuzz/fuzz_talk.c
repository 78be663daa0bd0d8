/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a member of a room may say in JSON, a line each, while another one listens. Every
 * line is answered; what both hear is JSON with the members that its type has; texts come
 * as they were sent and names are names; nobody comes, leaves or is taken for another.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "mode/chat/room.h"
#include "mode/chat/talk.h"
#include "proto/base/alloc.h"
#include "proto/base/utf8.h"
#include "proto/wipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct member {
	struct room_member m;
	unsigned heard;
	bool joined, dismissed;
};

struct pair {
	struct member a, b;
};

static uint64_t clock_ms;

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

/* --- what is heard --- */

static struct span string_of(const json_t *object, const char *member)
{
	const json_t *v = json_object_get(object, member);

	check(json_is_string(v));
	return span_of(json_string_value(v), json_string_length(v));
}

static void check_name(const json_t *object, const char *member, struct span name)
{
	struct nick parsed;

	check(span_eq(string_of(object, member), name) && nick_parse(name, &parsed));
}

static void check_event(const json_t *said, const struct room_event *e)
{
	struct span type = string_of(said, "type");

	switch (e->type) {
	case ROOM_WELCOME:
		check(span_eq(type, SPAN("welcome")) && json_object_size(said) == 3);
		check_name(said, "name", e->name);
		check(json_array_size(json_object_get(said, "users")) == room_members(e->room));
		break;
	case ROOM_MESSAGE:
		check(span_eq(type, SPAN("message")) && json_object_size(said) == 3);
		check_name(said, "name", e->name);
		check(span_eq(string_of(said, "text"), e->text) && utf8_valid(e->text));
		check(e->text.n > 0 && e->text.n <= ROOM_TEXT_MAX);
		break;
	case ROOM_JOINED:
	case ROOM_LEFT:
		check(json_object_size(said) == 2);
		check(span_eq(type, e->type == ROOM_LEFT ? SPAN("left") : SPAN("joined")));
		check_name(said, "name", e->name);
		break;
	case ROOM_RENAMED:
		check(span_eq(type, SPAN("renamed")) && json_object_size(said) == 3);
		check_name(said, "old", e->old);
		check_name(said, "name", e->name);
		break;
	case ROOM_ERROR:
		check(span_eq(type, SPAN("error")) && json_object_size(said) == 2);
		check(span_eq(string_of(said, "text"), e->text));
		break;
	}
}

static void check_written(const struct room_event *e)
{
	struct buf b = BUF_INIT;
	json_t *said;

	talk_write(&b, e);
	check(!memchr(b.p, '\n', b.len));
	said = json_loadb(b.p, b.len, JSON_REJECT_DUPLICATES, NULL);
	check(json_is_object(said));
	check_event(said, e);
	json_decref(said);
	buf_wipe(&b);
}

static void tell_all(void *ud, const struct room_event *e, const struct room_member *who)
{
	struct pair *p = ud;

	check_written(e);
	check(e->type != ROOM_WELCOME && e->type != ROOM_ERROR);
	check(!who || e->type == ROOM_MESSAGE || e->type == ROOM_RENAMED);
	p->a.heard += p->a.joined && !p->a.dismissed;
	p->b.heard += p->b.joined && !p->b.dismissed;
}

static void tell(struct room_member *m, const struct room_event *e)
{
	struct member *member = container_of(m, struct member, m);

	check_written(e);
	check(e->type == ROOM_WELCOME ? !member->joined : e->type == ROOM_ERROR);
	check(!member->dismissed);
	member->heard++;
}

static void dismiss(struct room_member *m, enum room_end why)
{
	check(why == ROOM_END_CLOSED);
	container_of(m, struct member, m)->dismissed = true;
}

static const struct room_kind kind = {tell, dismiss, NULL};

/* --- what is said --- */

static uint64_t now_ms(void *ud)
{
	(void)ud;
	return clock_ms;
}

static void on_members(void *ud, unsigned n)
{
	(void)ud;
	check(n <= 2);
}

static void join(struct room *r, struct member *m)
{
	check(room_join(r, &m->m, &kind) == 0);
	m->joined = true;
}

static void leave(struct member *m)
{
	m->joined = false;
	room_leave(&m->m);
}

static void say(struct room *r, struct member *a, const struct member *b, struct span line)
{
	unsigned heard = a->heard, b_heard = b->heard;
	struct nick before = b->m.nick;
	/* Memory of exactly its size: reading beyond it is seen. */
	char *copy = memcpy(xmalloc(line.n ? line.n : 1), line.n ? line.p : "", line.n);

	clock_ms += 60000; /* he is never too fast */
	talk_hear(&a->m, span_of(copy, line.n));
	free(copy);
	check(a->heard == heard + 1 && b->heard <= b_heard + 1);
	check(room_members(r) == 2 && !a->dismissed && !b->dismissed);
	check(memcmp(&before, &b->m.nick, sizeof(before)) == 0);
	check(!nick_clash(&a->m.nick, &b->m.nick));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct pair p = {0};
	const struct room_host host = {now_ms, tell_all, on_members, &p};
	struct room *r = room_new(2, &host);
	struct span rest = span_of((const char *)data, n);

	wipe_json_memory();
	join(r, &p.a);
	join(r, &p.b);
	clock_ms += 60000;
	room_rename(&p.b.m, SPAN("bob"));
	while (rest.n) {
		const char *end = memchr(rest.p, '\n', rest.n);
		size_t len = end ? (size_t)(end - rest.p) : rest.n;

		say(r, &p.a, &p.b, span_of(rest.p, len));
		rest = span_from(rest, end ? len + 1 : len);
	}
	room_close(r);
	leave(&p.a);
	leave(&p.b);
	room_free(r);
	return 0;
}
