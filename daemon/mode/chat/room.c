/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/chat/room.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "proto/base/crypto.h"
#include "proto/base/utf8.h"

#define MILLI 1000

struct room {
	struct room_host host;
	struct list members; /* in the order of their coming */
	unsigned n, max;
	bool closed;
};

static struct room_member *member_at(struct list *it)
{
	return list_entry(it, struct room_member, link);
}

/* --- telling --- */

static void tell_all(struct room *r, const struct room_event *e, const struct room_member *who)
{
	r->host.tell_all(r->host.ud, e, who);
}

static void tell(struct room_member *m, const struct room_event *e)
{
	m->kind->tell(m, e);
}

static void tell_error(struct room_member *m, const char *text)
{
	tell(m, &(struct room_event){.type = ROOM_ERROR, .text = span_str(text)});
}

/* --- life --- */

struct room *room_new(unsigned max_members, const struct room_host *host)
{
	struct room *r = xnew(struct room);

	r->host = *host;
	r->max = max_members;
	list_init(&r->members);
	return r;
}

void room_free(struct room *r)
{
	assert(!r || list_empty(&r->members));
	free(r);
}

unsigned room_members(const struct room *r)
{
	return r->n;
}

void room_each(const struct room *r, void (*name)(void *ud, struct span name), void *ud)
{
	list_for_each (it, &r->members) {
		name(ud, nick_span(&member_at(it)->nick));
	}
}

/* --- coming and going --- */

/* Does anybody but m have a name that could be taken for this one? */
static bool is_taken(const struct room *r, const struct nick *nick, const struct room_member *m)
{
	list_for_each (it, &r->members) {
		if (member_at(it) != m && nick_clash(nick, &member_at(it)->nick)) {
			return true;
		}
	}
	return false;
}

/* False: each one of them looks like somebody's. */
static bool give_name(const struct room *r, struct nick *ret)
{
	unsigned start = (unsigned)(crypto_random_u64() % NICK_WORDS);

	for (unsigned i = 0; i < NICK_WORDS; i++) {
		nick_words(start + i, ret);
		if (!is_taken(r, ret, NULL)) {
			return true;
		}
	}
	return false;
}

int room_join(struct room *r, struct room_member *m, const struct room_kind *kind)
{
	struct nick nick;

	if (r->closed) {
		return -ESHUTDOWN;
	}
	if (r->n >= r->max || !give_name(r, &nick)) {
		return -ENOSPC;
	}
	*m = (struct room_member){.kind = kind,
				  .room = r,
				  .nick = nick,
				  .credit = (int64_t)ROOM_BURST * MILLI,
				  .credit_bytes = (int64_t)ROOM_BURST_BYTES * MILLI,
				  .credit_ms = r->host.now_ms(r->host.ud)};
	crypto_wipe(&nick, sizeof(nick));
	tell_all(r, &(struct room_event){.type = ROOM_JOINED, .name = nick_span(&m->nick)}, NULL);
	list_append(&r->members, &m->link);
	r->n++;
	tell(m, &(struct room_event){.type = ROOM_WELCOME, .name = nick_span(&m->nick), .room = r});
	r->host.members(r->host.ud, r->n);
	return 0;
}

void room_leave(struct room_member *m)
{
	struct room *r = m->room;

	if (!r) {
		return;
	}
	list_remove(&m->link);
	r->n--;
	if (!r->closed) {
		tell_all(r, &(struct room_event){.type = ROOM_LEFT, .name = nick_span(&m->nick)},
			 NULL);
	}
	crypto_wipe(m, sizeof(*m));
	r->host.members(r->host.ud, r->n);
}

static void dismiss(struct room_member *m, enum room_end why)
{
	if (!m->dismissed) {
		m->dismissed = true;
		m->kind->dismiss(m, why);
	}
}

void room_close(struct room *r)
{
	r->closed = true;
	list_for_each (it, &r->members) {
		dismiss(member_at(it), ROOM_END_CLOSED);
	}
}

/* --- how much one may say --- */

static int64_t earned(int64_t have, uint64_t ms, uint64_t a_second, uint64_t most)
{
	uint64_t missing = (uint64_t)((int64_t)most * MILLI - have);

	/* Milliseconds times a second's worth are thousandths. */
	return ms >= missing / a_second ? (int64_t)most * MILLI : have + (int64_t)(ms * a_second);
}

/* Milliseconds until it is paid. */
static unsigned debt_ms(int64_t credit, unsigned a_second)
{
	return credit < 0 ? (unsigned)((-credit + a_second - 1) / a_second) : 0;
}

static void earn(struct room_member *m, uint64_t now)
{
	uint64_t ms = now - m->credit_ms;

	m->credit_ms = now;
	m->credit = earned(m->credit, ms, ROOM_RATE, ROOM_BURST);
	m->credit_bytes = earned(m->credit_bytes, ms, ROOM_RATE_BYTES, ROOM_BURST_BYTES);
	if (m->credit == (int64_t)ROOM_BURST * MILLI &&
	    m->credit_bytes == (int64_t)ROOM_BURST_BYTES * MILLI) {
		m->over_since = 0;
	}
}

/* He has said more than he may; true: this once it counts, and he has to wait. */
static bool hold(struct room_member *m, int64_t credit, int64_t credit_bytes)
{
	unsigned ms = debt_ms(credit, ROOM_RATE), bytes_ms = debt_ms(credit_bytes, ROOM_RATE_BYTES);

	if (!m->over_since) {
		m->over_since = m->credit_ms;
	}
	if (m->credit_ms - m->over_since > ROOM_PATIENCE_MS) {
		tell_error(m, "You said too much for too long.");
		dismiss(m, ROOM_END_FLOOD);
		return false;
	}
	if (!m->kind->hold) {
		tell_error(m, "That was too much at once and was not sent. Wait a little.");
		return false;
	}
	m->kind->hold(m, ms > bytes_ms ? ms : bytes_ms);
	return true;
}

/* May m do what costs so much? If not, he was told, or has to leave. */
static bool admit(struct room_member *m, unsigned cost, size_t bytes)
{
	if (m->dismissed) {
		return false;
	}
	earn(m, m->room->host.now_ms(m->room->host.ud));

	int64_t credit = m->credit - (int64_t)cost * MILLI;
	int64_t credit_bytes = m->credit_bytes - (int64_t)bytes * MILLI;

	if ((credit < 0 || credit_bytes < 0) && !hold(m, credit, credit_bytes)) {
		return false;
	}
	m->credit = credit;
	m->credit_bytes = credit_bytes;
	return true;
}

/* --- what members do --- */

void room_say(struct room_member *m, struct span utf8)
{
	/* Too long a text costs like the longest. */
	if (!admit(m, 1, utf8.n < ROOM_TEXT_MAX ? utf8.n : ROOM_TEXT_MAX)) {
		return;
	}
	if (utf8.n == 0) {
		tell_error(m, "There is nothing in this message.");
	} else if (utf8.n > ROOM_TEXT_MAX) {
		tell_error(m, "This message is too long: more than 16384 bytes.");
	} else if (!utf8_valid(utf8) || memchr(utf8.p, '\0', utf8.n)) {
		tell_error(m, "This message is not text.");
	} else {
		tell_all(m->room,
			 &(struct room_event){.type = ROOM_MESSAGE,
					      .name = nick_span(&m->nick),
					      .text = utf8},
			 m);
	}
}

void room_rename(struct room_member *m, struct span name)
{
	struct nick nick, old;

	if (!admit(m, 2, 0)) {
		return;
	}
	old = m->nick;
	if (!nick_parse(name, &nick)) {
		tell_error(m, "A name is 1 to 64 of the letters A to Z, digits, _ and -, with "
			      "single spaces inside.");
	} else if (span_eq(nick_span(&nick), nick_span(&old))) {
		tell_error(m, "That is your name already.");
	} else if (is_taken(m->room, &nick, m)) {
		tell_error(m, "Somebody here has this name, or one that looks like it.");
	} else {
		m->nick = nick;
		tell_all(m->room,
			 &(struct room_event){.type = ROOM_RENAMED,
					      .name = nick_span(&nick),
					      .old = nick_span(&old)},
			 m);
	}
	crypto_wipe(&nick, sizeof(nick));
	crypto_wipe(&old, sizeof(old));
}

void room_misunderstood(struct room_member *m, const char *why)
{
	if (admit(m, 1, 0)) {
		tell_error(m, why);
	}
}
