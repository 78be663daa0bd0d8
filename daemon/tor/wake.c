/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * After a sleep of the machine, or when its clock was set forward, all onions are added anew.
 *
 * What tor has published of an onion is for this and the next time period (rend-spec-v3,
 * "Time periods and blinding"), a day each. It moves on by one at a time
 * (rotate_all_descriptors): of one that it has slept through, the one after it has no
 * descriptor until the next begins. An onion that is added has both, of now. And its
 * circuits are new: those of before the sleep may be dead without tor knowing.
 *
 * Which period it is, and when the next comes, tor reads in the consensus. If the one of
 * before the sleep is not valid any more, they are added once more with the next one; else not, for
 * backends of an Onionbalance lose their visitors by it.
 */
#include <time.h>

#include "proto/base/alloc.h"
#include "tor/lexer.h"
#include "tor/onion.h"

/* Goes on while the machine sleeps. */
static uint64_t boot_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void add_all_again(struct tor *t)
{
	list_for_each (it, &t->onions) {
		onion_add_again(list_entry(it, struct onion, link));
	}
}

/* Both may tell of it, tor and the clock. */
static void woke_up(struct tor *t, uint64_t now)
{
	if (t->woke_at && now - t->woke_at < t->times.stall) {
		return;
	}
	t->woke_at = now;
	t->wants_consensus = t->asks_validity = true;
	add_all_again(t);
	tor_wake(t);
}

/* dir-spec, "valid-until": in UTC */
static bool is_to_come(struct span text)
{
	_cleanup_free_ char *copy = xmemdup(text.p, text.n);
	struct tm tm = {0};
	const char *end = strptime(copy, "%Y-%m-%d %H:%M:%S", &tm);

	return end && !*end && timegm(&tm) > time(NULL);
}

static void on_validity(void *ud, const struct ctl_reply *reply)
{
	struct tor *t = ud;
	struct span text;

	if (ctl_is_ok(reply) && ctl_getinfo(reply, "consensus/valid-until", &text) &&
	    is_to_come(text)) {
		t->wants_consensus = false;
	}
	tor_pump(t);
}

bool wake_send(struct tor *t)
{
	if (!t->asks_validity) {
		return false;
	}
	t->asks_validity = false;
	ctl_sendf(t->conn, on_validity, t, "GETINFO consensus/valid-until");
	return true;
}

void wake_look(struct tor *t)
{
	uint64_t now = boot_ms(), before = t->looked_at;

	t->looked_at = now;
	if (before && now - before >= t->times.sleep) {
		woke_up(t, now);
	}
}

void wake_take_status(struct tor *t, struct span status)
{
	struct span severity, action;
	uint64_t seconds;

	if (!ctl_next_word(&status, &severity) || !ctl_next_word(&status, &action)) {
		return;
	}
	if (span_eq(action, SPAN("CONSENSUS_ARRIVED")) && t->wants_consensus) {
		t->wants_consensus = false;
		add_all_again(t);
	}
	/* control-spec section 4.1.10; a negative TIME is a clock set back, where nothing helps */
	if (span_eq(action, SPAN("CLOCK_JUMPED")) &&
	    span_u64(ctl_value(status, "TIME"), INT32_MAX, &seconds) == 0 &&
	    seconds * 1000 >= t->times.sleep) {
		woke_up(t, boot_ms());
	}
}
