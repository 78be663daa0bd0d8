/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What events of Watch say: the transfers under way, and words for what begins
 * and ends. Nothing here is escaped yet, and nothing is printed.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/units.h"

#define TRANSFERS_MAX 10000 /* known with their progress; there may be more then */

struct transfer {
	json_int_t id;
	bool out;
	char name[SERVICE_NAME_MAX + 1];
	uint64_t bytes, total; /* total 0: not known */
	uint64_t first_bytes;  /* when we first heard of it */
	int64_t since_ms;      /* of a clock that only goes forward */
};

/* By id, which is the order in which they began. All zero: none. */
struct transfers {
	struct transfer *all;
	size_t n;
};

/* The n of "so many small answers together", 0 for a transfer of its own. */
uint64_t news_count(const json_t *event);
/* A transfer event with no count, at now_ms. Returns it as the event has it. */
struct transfer transfers_event(struct transfers *t, const json_t *event, int64_t now_ms);
/* There may be more than n: those that found no room, until one of the others ends. */
bool transfers_full(const struct transfers *t);
void transfers_done(struct transfers *t);

/* 0 where the total is not known. */
unsigned transfer_percent(const struct transfer *t);
/* Bytes a second since we heard of it; 0: too early to say. */
uint64_t transfer_rate(const struct transfer *t, int64_t now_ms);
/* Seconds it will take yet; 0: nobody knows. */
uint64_t transfer_left(const struct transfer *t, int64_t now_ms);

const char *news_noun(const struct transfer *t); /* "download" */
void news_add_bar(struct buf *b, unsigned percent, unsigned columns);
void news_add_transfer(struct buf *b, const struct transfer *t, const char *phase);
void news_add_served(struct buf *b, const json_t *event);
void news_add_submission(struct buf *b, const json_t *event);
