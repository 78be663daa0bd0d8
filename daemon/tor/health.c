/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tor/health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "tor/lexer.h"

#define SKEW_MINIMUM 60 /* seconds; below, tor does well enough */

void health_done(struct health *h)
{
	free(h->problem);
	free(h->skew);
	*h = HEALTH_INIT;
}

void health_reset(struct health *h)
{
	health_done(h);
}

static bool replace(char **slot, char *text)
{
	bool same = *slot && text ? strcmp(*slot, text) == 0 : *slot == text;

	free(*slot);
	*slot = text;
	return !same;
}

/* The string behind key, safe to show; "" if there is none. */
static char *quoted(struct span words, const char *key)
{
	struct buf raw = BUF_INIT;
	struct span value = ctl_value(words, key);
	bool good = value.p && ctl_decode(value, &raw) == 0;
	char *text = ctl_printable(good ? buf_span(&raw) : SPAN_NONE);

	buf_done(&raw);
	return text;
}

/* True if it is another one. */
static bool set_summary(struct health *h, const char *text)
{
	char old[sizeof(h->summary)];

	memcpy(old, h->summary, sizeof(old));
	snprintf(h->summary, sizeof(h->summary), "%s", text);
	return strcmp(old, h->summary) != 0;
}

/* What to do about tor's REASON= (control-spec's list, which is or-connection's). */
static const char *advice(struct span reason)
{
	static const struct {
		const char *reason, *advice;
	} known[] = {
		{"NOROUTE", "this machine has no way to the internet; check its connection"},
		{"TIMEOUT", "the connection is slow, or something on the way drops it; "
			    "where Tor is blocked, configure a bridge"},
		{"CONNECTREFUSED",
		 "something on the way refuses it; where Tor is blocked, configure a bridge"},
		{"CONNECTRESET",
		 "something on the way cuts it; where Tor is blocked, configure a bridge"},
		{"PT_MISSING", "the program of a bridge's transport is not installed"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (span_eq(reason, span_str(known[i].reason))) {
			return known[i].advice;
		}
	}
	return "check the internet connection; where Tor is blocked, configure a bridge";
}

static bool bootstrap(struct health *h, struct span words, bool warn)
{
	uint64_t percent;
	bool changed;

	if (span_u64(ctl_value(words, "PROGRESS"), 100, &percent) < 0) {
		return false;
	}
	_cleanup_free_ char *summary = quoted(words, "SUMMARY");

	bool moved = h->percent < (int)percent;

	changed = set_summary(h, summary) || h->percent != (int)percent;
	h->percent = (int)percent;
	if (warn && span_eq(ctl_value(words, "RECOMMENDATION"), SPAN("warn"))) {
		_cleanup_free_ char *warning = quoted(words, "WARNING");

		return replace(&h->problem,
			       xasprintf("Tor is at %d %% (%s) and cannot go on: %s; %s",
					 h->percent, h->summary, warning,
					 advice(ctl_value(words, "REASON")))) ||
		       changed;
	}
	if (moved) {
		changed |= replace(&h->problem, NULL);
	}
	if (h->percent == 100) {
		changed |= replace(&h->skew, NULL);
	}
	return changed;
}

/* Seconds as a person would say them. */
static char *duration(uint64_t s)
{
	if (s < 2 * 60) {
		return xasprintf("%d seconds", (int)s);
	}
	if (s < 2 * 3600) {
		return xasprintf("%d minutes", (int)(s / 60));
	}
	if (s < 2 * 86400) {
		return xasprintf("%d hours", (int)(s / 3600));
	}
	return xasprintf("%d days", (int)(s / 86400));
}

/* SKEW: how far this machine is ahead (negative: behind). */
static bool clock_skew(struct health *h, struct span words)
{
	struct span skew = ctl_value(words, "SKEW");
	bool behind = span_starts(skew, SPAN("-"));
	uint64_t seconds;

	if (behind || span_starts(skew, SPAN("+"))) {
		skew = span_from(skew, 1);
	}
	if (h->percent == 100 || span_u64(skew, INT32_MAX, &seconds) < 0 ||
	    seconds < SKEW_MINIMUM) {
		return false;
	}
	_cleanup_free_ char *by = duration(seconds);

	return replace(
		&h->skew,
		xasprintf("this machine's clock is about %s %s, and Tor does not work with a "
			  "wrong clock: set the time (timedatectl set-ntp true)",
			  by, behind ? "slow" : "fast"));
}

bool health_feed(struct health *h, struct span status)
{
	struct span severity, action;

	if (!ctl_next_word(&status, &severity) || !ctl_next_word(&status, &action)) {
		return false;
	}
	if (span_eq(action, SPAN("BOOTSTRAP"))) {
		return bootstrap(h, status, !span_eq(severity, SPAN("NOTICE")));
	}
	if (span_eq(action, SPAN("CLOCK_SKEW"))) {
		return clock_skew(h, status);
	}
	return false;
}

bool health_stuck(struct health *h, unsigned seconds)
{
	if (h->percent == 100 || h->problem) {
		return false;
	}
	if (h->percent < 0) {
		return replace(&h->problem, xasprintf("Tor has said nothing of its progress for "
						      "%u seconds; its log may say more",
						      seconds));
	}
	return replace(&h->problem,
		       xasprintf("Tor has been at %d %% (%s) for %u seconds: is this machine "
				 "connected to the internet, and does its network let Tor through? "
				 "Where Tor is blocked, configure a bridge",
				 h->percent, h->summary, seconds));
}

const char *health_problem(const struct health *h)
{
	return h->skew ? h->skew : h->problem;
}
