/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One onion, as the files behind tor.h see it that add, remove, leave and inherit onions. */
#pragma once

#include "tor/internal.h"

struct onion {
	struct tor *tor;
	struct list link; /* in the tor's onions, or its removals */
	char address[ONION_ADDRESS_LEN + 1];
	uint8_t key[ONION_KEY_SIZE];
	char *target;
	uint8_t (*clients)[32];
	unsigned n_clients;
	bool pow;
	unsigned max_streams;
	char *frontend;       /* NULL: added with ADD_ONION; else by a directory (hsdir.c) */
	uint64_t left;        /* what it was, when an earlier daemon left it; 0: it did not */
	onion_changed_fn *cb; /* NULL: it is left to the next daemon */
	void *ud;

	enum onion_state state;
	char *reason;
	bool changed;    /* not told yet */
	bool invalid;    /* FAILED without asking tor */
	bool with_tor;   /* on this connection */
	bool refused;    /* on this connection */
	uint64_t serial; /* of those with a directory */
	bool written;    /* its directory is there */
	bool listed;     /* and in the list that was sent */
	bool ever;       /* on some connection: circuits of visitors may be open */
	struct desc_track track;
	uint64_t added_at;
	uint64_t retry_at, collides_since;
	unsigned retry_delay;
	bool again; /* to be taken down and added anew */
	uint64_t again_at;
	unsigned again_delay;

	/* Removal. DELETING -> LISTING -> LISTED -> CLOSING (a circuit at a time) -> GONE */
	enum onion_step {
		ONION_KEPT,
		ONION_DELETING,
		ONION_LISTING, /* its circuits are to be asked for */
		ONION_LISTED,  /* they are asked for */
		ONION_CLOSING,
		ONION_GONE,
		ONION_INHERITED /* from an earlier daemon; somebody may yet want it */
	} step;
	bool cut;
	void (*removed)(void *ud);
	void *removed_ud;
	bool unlisted;       /* the list of directories without it was sent */
	struct buf circuits; /* their ids, one a line */
	size_t circuits_done;
};

/* reason is taken; NULL: none. Its owner is told later. */
void onion_set_state(struct onion *o, enum onion_state state, char *reason);
/* It is with tor. */
void onion_added(struct onion *o);
/* Down, if it is with tor, and up again. Its owner need not know. */
void onion_add_again(struct onion *o);
/* It is down, and to be added. */
void onion_down_again(struct onion *o);
void onion_free(struct onion *o);
bool onion_address_valid(const char *address);

/* --- removal.c --- */

struct onion *removals_first_at(const struct tor *t, enum onion_step step);
/* Of an onion with a directory: it is not in tor's list any more. */
void removal_unlisted(struct onion *o);
/* Is an earlier onion of the address still in the list? */
bool removal_holds(const struct tor *t, const char *address);
void removals_lost(struct tor *t);
void removals_tell(struct tor *t);

/* --- handoff.c --- */

/* It is with tor already, from an earlier daemon, and as it is to be: true. */
bool handoff_take_onion(struct onion *o);
/* What nobody has wanted in time goes. */
void handoff_tick(struct tor *t, uint64_t now);
