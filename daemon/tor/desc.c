/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tor/desc.h"

#include <string.h>

#include "proto/base/alloc.h"
#include "tor/lexer.h"

#define FINGERPRINT_LEN 40

static enum desc_action action_of(struct span word)
{
	static const struct {
		struct span name;
		enum desc_action action;
	} actions[] = {
		{{"CREATED", 7}, DESC_CREATED},
		{{"UPLOAD", 6}, DESC_UPLOAD},
		{{"UPLOADED", 8}, DESC_UPLOADED},
		{{"FAILED", 6}, DESC_FAILED},
	};

	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		if (span_eq(word, actions[i].name)) {
			return actions[i].action;
		}
	}
	return DESC_OTHER;
}

/* "$FINGERPRINT~nickname", "$FINGERPRINT", or "UNKNOWN" */
static struct span fingerprint(struct span word)
{
	if (word.n < FINGERPRINT_LEN + 1 || *word.p != '$') {
		return SPAN_NONE;
	}
	return span_of(word.p + 1, FINGERPRINT_LEN);
}

bool desc_parse(struct span text, struct desc_event *ret)
{
	struct span name, action, auth, dir, blinded;
	struct desc_event e = {0};

	if (!ctl_next_word(&text, &name) || !span_eq(name, SPAN("HS_DESC")) ||
	    !ctl_next_word(&text, &action) || !ctl_next_word(&text, &e.address) ||
	    !ctl_next_word(&text, &auth) || !ctl_next_word(&text, &dir)) {
		return false;
	}
	e.action = action_of(action);
	e.dir = fingerprint(dir);
	/* The descriptor's id stands only behind these two. */
	if ((e.action == DESC_CREATED || e.action == DESC_UPLOAD) &&
	    ctl_next_word(&text, &blinded) && blinded.n <= DESC_BLINDED_SIZE) {
		e.blinded = blinded;
	}
	*ret = e;
	return true;
}

/* Its index, made if need be; -1 when there is no room or no key. */
static int blinded_index(struct desc_track *t, struct span key)
{
	for (unsigned i = 0; i < t->n_blinded; i++) {
		if (span_eq(key, span_of(t->blinded[i].key, t->blinded[i].n))) {
			return (int)i;
		}
	}
	if (key.n == 0 || t->n_blinded == DESC_BLINDED_MAX) {
		return -1;
	}
	struct desc_blinded *b = &t->blinded[t->n_blinded];

	*b = (struct desc_blinded){.n = (unsigned char)key.n};
	memcpy(b->key, key.p, key.n);
	return (int)t->n_blinded++;
}

static void upload_begins(struct desc_track *t, const struct desc_event *e)
{
	int blinded = blinded_index(t, e->blinded);

	if (blinded < 0 || e->dir.n == 0 || t->n_under_way == DESC_UPLOADS_MAX) {
		return;
	}
	struct desc_upload *u = &t->under_way[t->n_under_way++];

	memcpy(u->dir, e->dir.p, FINGERPRINT_LEN);
	u->blinded = (unsigned char)blinded;
}

/* Takes the oldest upload to this directory off the list: its blinded key's index, or -1. */
static int upload_ends(struct desc_track *t, struct span dir)
{
	for (unsigned i = 0; i < t->n_under_way; i++) {
		if (span_eq(dir, span_of(t->under_way[i].dir, FINGERPRINT_LEN))) {
			int blinded = t->under_way[i].blinded;

			t->n_under_way--;
			memmove(&t->under_way[i], &t->under_way[i + 1],
				(t->n_under_way - i) * sizeof(t->under_way[0]));
			return blinded;
		}
	}
	return -1;
}

static void directory_took_it(struct desc_track *t, struct span dir)
{
	for (unsigned i = 0; i < t->n_took_it; i++) {
		if (span_eq(dir, span_of(t->took_it[i], FINGERPRINT_LEN))) {
			return;
		}
	}
	if (t->n_took_it < DESC_DIRS_ENOUGH) {
		memcpy(t->took_it[t->n_took_it++], dir.p, FINGERPRINT_LEN);
	}
}

static bool enough(const struct desc_track *t)
{
	if (t->n_took_it == DESC_DIRS_ENOUGH) {
		return true;
	}
	for (unsigned i = 0; i < t->n_blinded; i++) {
		if (!t->blinded[i].uploaded) {
			return false;
		}
	}
	return t->n_blinded > 0;
}

static bool upload_succeeded(struct desc_track *t, struct span dir)
{
	int blinded = upload_ends(t, dir);

	if (blinded < 0) {
		return false;
	}
	t->blinded[blinded].uploaded = true;
	t->refused = 0;
	directory_took_it(t, dir);
	t->published = enough(t);
	return t->published;
}

bool desc_feed(struct desc_track *t, const struct desc_event *e)
{
	if (t->published) {
		return false;
	}
	switch (e->action) {
	case DESC_CREATED:
		blinded_index(t, e->blinded);
		return false;
	case DESC_UPLOAD:
		upload_begins(t, e);
		return false;
	case DESC_UPLOADED:
		return upload_succeeded(t, e->dir);
	case DESC_FAILED:
		/* Without an upload to match it, it speaks of somebody's fetch. */
		if (upload_ends(t, e->dir) >= 0) {
			t->refused++;
		}
		return desc_all_refused(t);
	case DESC_OTHER:
		return false;
	}
	return false;
}

bool desc_attempted(const struct desc_track *t)
{
	return t->n_under_way > 0 || t->n_took_it > 0 || t->refused > 0;
}

bool desc_all_refused(const struct desc_track *t)
{
	return t->refused > 0 && t->n_under_way == 0 && t->n_took_it == 0;
}
