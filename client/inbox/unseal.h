/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An encrypted submission opened: age around a zip. Nothing is unpacked before
 * all of it is known to be whole; and since anybody can encrypt to a recipient, the zip is
 * taken for hostile all the same: plain files only, in one directory, with names made
 * safe, no more bytes than came, so many entries.
 */
#pragma once

#include "client/identity.h"
#include "client/inbox/save.h"
#include "proto/base/buf.h"

#define UNSEAL_ENTRIES_MAX 10000u

#define UNSEAL_MESSAGE_MAX (8u * 1024 * 1024) /* bytes; no form takes so many */

/*
 * What is in it, and nothing of that reaches a disk: [{"name", "size"}] without the message,
 * whose text is added to ret_text (*ret_message: there is one). Names and text are made valid
 * UTF-8. As below, all of it is whole or it is an error.
 */
int unseal_look(int sealed, const struct identities *ids, json_t **ret_files, bool *ret_message,
		struct buf *ret_text, struct error *err);
/* sealed: a descriptor at its beginning. *ret_skipped: entries that were no plain files. */
int unseal(int sealed, const struct identities *ids, struct save *to, unsigned *ret_skipped,
	   struct error *err);
