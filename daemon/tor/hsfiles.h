/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Directories of onions, as tor reads them (HiddenServiceDir): a key, and a file that names the
 * frontend of an Onionbalance. They have to belong to the user that tor runs as. These calls
 * block.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/error.h"
#include "tor/tor.h"

/* On one tor: the line with all of them has to be shorter than 1 MiB. */
#define HSFILES_MAX 1000u

struct hsfiles_entry {
	char address[ONION_ADDRESS_LEN + 1];
	char frontend[ONION_ADDRESS_LEN + 1];
	uint8_t key[ONION_KEY_SIZE];
	bool written; /* all of it is there now */
};

struct hsfiles {
	char *root;                    /* what they are in; owned */
	struct hsfiles_entry *entries; /* owned */
	size_t n;
	bool changed;     /* a file was not as it should be */
	struct error err; /* the last */
};

/* Wipes the keys. */
void hsfiles_done(struct hsfiles *f);
/* Each is there, with what is in it, and root. */
void hsfiles_write(struct hsfiles *f);
/* Removes the directories of all other onions. */
void hsfiles_sweep(struct hsfiles *f);
