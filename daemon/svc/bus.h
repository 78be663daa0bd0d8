/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who watches gets events: states of services and of Tor, transfers. Events are
 * JSON objects in the form of the RPC's Watch replies. Progress of one transfer
 * is sent at most four times a second.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/list.h"

struct bus;

struct bus_sub {
	/* event is borrowed. May unsubscribe anybody from within. */
	void (*event)(struct bus_sub *sub, const char *service_or_null, const json_t *event);
	struct list link; /* private */
};

struct bus *bus_new(void);
void bus_free(struct bus *b); /* no subscriber is left */
void bus_subscribe(struct bus *b, struct bus_sub *sub);
void bus_unsubscribe(struct bus_sub *sub); /* also a second time */
bool bus_has_subscribers(const struct bus *b);
/*
 * Takes the reference to event. From within a subscriber's callback it is told
 * after the present one: everybody sees events in the same order.
 */
void bus_publish(struct bus *b, const char *service_or_null, json_t *event);
