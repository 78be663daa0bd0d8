/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/chat/talk.h"

#include <jansson.h>
#include <string.h>

#include "proto/base/crypto.h"

/* --- hearing --- */

static struct span string_of(const json_t *object, const char *member)
{
	const json_t *v = json_object_get(object, member);

	return json_is_string(v) ? span_of(json_string_value(v), json_string_length(v)) : SPAN_NONE;
}

static void obey(struct room_member *m, const json_t *order)
{
	struct span type = string_of(order, "type");
	struct span text = string_of(order, "text"), name = string_of(order, "name");

	if (!type.p) {
		room_misunderstood(m, "A message is a JSON object with a type.");
	} else if (span_eq(type, SPAN("message")) && text.p) {
		room_say(m, text);
	} else if (span_eq(type, SPAN("rename")) && name.p) {
		room_rename(m, name);
	} else if (span_eq(type, SPAN("message")) || span_eq(type, SPAN("rename"))) {
		room_misunderstood(m, "A message has a text, and rename has a name: strings.");
	} else {
		room_misunderstood(m, "This type of message is not known here.");
	}
}

void talk_hear(struct room_member *m, struct span json)
{
	json_error_t err;
	json_t *order = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, &err);

	if (order) {
		obey(m, order);
	} else {
		room_misunderstood(m, "This is not JSON.");
	}
	json_decref(order); /* and wiped: proto/wipe.h */
	crypto_wipe(&err, sizeof(err));
	crypto_wipe_stack(); /* Jansson puts what it stumbled over into texts there */
}

/* --- telling --- */

static int add_dumped(const char *p, size_t n, void *ud)
{
	buf_add(ud, p, n);
	return 0;
}

static void add_string(struct buf *b, struct span s)
{
	json_t *v = json_stringn(s.p, s.n);

	json_dump_callback(v, add_dumped, b, JSON_ENCODE_ANY | JSON_COMPACT);
	json_decref(v);
}

/* Names need no escaping: nick.h. */
static void add_name(struct buf *b, const char *member, struct span name)
{
	buf_printf(b, ",\"%s\":\"" SPAN_FMT "\"", member, SPAN_ARG(name));
}

static void add_user(void *ud, struct span name)
{
	struct buf *b = ud;

	buf_printf(b, "%s\"" SPAN_FMT "\"", b->p[b->len - 1] == '[' ? "" : ",", SPAN_ARG(name));
}

static void begin(struct buf *b, const char *type)
{
	buf_printf(b, "{\"type\":\"%s\"", type);
}

void talk_write(struct buf *b, const struct room_event *e)
{
	switch (e->type) {
	case ROOM_WELCOME:
		begin(b, "welcome");
		add_name(b, "name", e->name);
		buf_add_str(b, ",\"users\":[");
		room_each(e->room, add_user, b);
		buf_add_str(b, "]");
		break;
	case ROOM_MESSAGE:
		begin(b, "message");
		add_name(b, "name", e->name);
		buf_add_str(b, ",\"text\":");
		add_string(b, e->text);
		break;
	case ROOM_JOINED:
		begin(b, "joined");
		add_name(b, "name", e->name);
		break;
	case ROOM_LEFT:
		begin(b, "left");
		add_name(b, "name", e->name);
		break;
	case ROOM_RENAMED:
		begin(b, "renamed");
		add_name(b, "old", e->old);
		add_name(b, "name", e->name);
		break;
	case ROOM_ERROR:
		begin(b, "error");
		buf_add_str(b, ",\"text\":");
		add_string(b, e->text);
		break;
	}
	buf_add_char(b, '}');
}
