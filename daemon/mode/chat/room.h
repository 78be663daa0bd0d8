/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A room: who is in it, what they are called, and who hears what in which order. It
 * knows nothing of sockets: its host tells all of them, a member's kind him alone. Nothing
 * that is said is kept here.
 *
 * Who is in the room is who has joined and not left, which follows connections alone:
 * nothing that a member says changes it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "mode/chat/nick.h"
#include "proto/base/span.h"

#define ROOM_TEXT_MAX (16u * 1024) /* bytes of UTF-8 in one message */

/*
 * What one member may say. A message costs 1, a new name 2, something that is not
 * understood 1, and messages also their bytes. Over it a member has to wait: his kind
 * stops listening to him, or he is refused and told so. Who never pauses has to leave.
 */
#define ROOM_RATE        20u /* a second */
#define ROOM_BURST       40u
#define ROOM_RATE_BYTES  (32u * 1024)
#define ROOM_BURST_BYTES (20u * ROOM_TEXT_MAX)
#define ROOM_PATIENCE_MS 30000u

enum room_event_type {
	ROOM_WELCOME, /* to the newcomer alone, the first; name: his own; room: who is there */
	ROOM_MESSAGE, /* name, text */
	ROOM_JOINED,  /* name */
	ROOM_LEFT,    /* name */
	ROOM_RENAMED, /* old, name */
	ROOM_ERROR,   /* to its cause alone; text */
};

struct room;

struct room_event {
	enum room_event_type type;
	struct span name, old, text;
	const struct room *room;
};

enum room_end {
	ROOM_END_CLOSED, /* the room is closed for everybody */
	ROOM_END_FLOOD,  /* said too much */
};

struct room_member;

/* How a member of one kind is reached. None of it may call the room. */
struct room_kind {
	/* It is for him alone. What all were told before he hears before. */
	void (*tell)(struct room_member *m, const struct room_event *e);
	/* His connection is to be ended; room_leave comes when it has. He is told nothing after
	 * it. */
	void (*dismiss)(struct room_member *m, enum room_end why);
	/* He is not to be listened to for so long. NULL: that cannot be done. */
	void (*hold)(struct room_member *m, unsigned ms);
};

/* Embedded in the member's connection, which owns it. */
struct room_member {
	const struct room_kind *kind;
	struct room *room; /* NULL: not in one */
	struct list link;
	struct nick nick;
	bool dismissed;
	/* what is left to say, in thousandths */
	int64_t credit, credit_bytes;
	uint64_t credit_ms;
	uint64_t over_since; /* he says too much since then, in ms; 0: he does not */
};

struct room_host {
	uint64_t (*now_ms)(void *ud); /* monotonic */
	/*
	 * Everybody for whom room_join has returned, but not room_leave been called, and who
	 * was not dismissed. who: whose doing it is; NULL: of none of them. Must not call the room.
	 */
	void (*tell_all)(void *ud, const struct room_event *e, const struct room_member *who);
	/* So many are here now. */
	void (*members)(void *ud, unsigned n);
	void *ud;
};

/* host is copied. */
struct room *room_new(unsigned max_members, const struct room_host *host);
/* Nobody is in it. */
void room_free(struct room *r);
unsigned room_members(const struct room *r);
/* The names in the order in which their owners came. */
void room_each(const struct room *r, void (*name)(void *ud, struct span name), void *ud);

/*
 * m, zeroed, gets a name and a welcome, the others hear of it. -ENOSPC: the room is full,
 * -ESHUTDOWN: it is closed.
 */
int room_join(struct room *r, struct room_member *m, const struct room_kind *kind);
/* The connection is gone; also of one that was dismissed, or never joined. m is wiped. */
void room_leave(struct room_member *m);

/* What a member does. Wrong or too much: he is told. Nothing happens once he is dismissed. */
void room_say(struct room_member *m, struct span utf8);
void room_rename(struct room_member *m, struct span name);
/* He said something that is neither; why: for him to read. */
void room_misunderstood(struct room_member *m, const char *why);

/* Dismisses everybody; nobody else can join, and leaving is not told any more. */
void room_close(struct room *r);
