/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An encrypted submission opened: age around a zip. Nothing is unpacked before
 * all of it is known to be whole; and since anybody can encrypt to a recipient, the zip is
 * taken for hostile all the same: plain files only, in one directory, with names made
 * safe, no more bytes than came, so many entries.
 */
#pragma once

#include "client/identity.h"
#include "client/save.h"

#define UNSEAL_ENTRIES_MAX 10000u

/* sealed: a descriptor at its beginning. *ret_skipped: entries that were no plain files. */
int unseal(int sealed, const struct identities *ids, struct save *to, unsigned *ret_skipped,
	   struct error *err);
