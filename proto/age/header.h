/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The text at the beginning of an age file, pure; for age.c and the tests only. */
#pragma once

#include "proto/age/age.h"
#include "proto/base/buf.h"

#define AGE_FILE_KEY_SIZE 16

/* Adds the whole header, its last line feed included. */
void age_header_make(struct buf *b, const uint8_t file_key[AGE_FILE_KEY_SIZE],
		     const struct age_recipient *recipients, size_t n);
/*
 * header: all of it, its last line feed included. 0, -EINVAL: malformed, -ENOKEY:
 * for none of the identities, -EBADMSG: not made by who knows the file's key.
 */
int age_header_open(struct span header, const struct age_identity *identities, size_t n,
		    uint8_t file_key[AGE_FILE_KEY_SIZE]);
/*
 * The same with a passphrase alone; how slowly it is tried stands in the header, 2 to the
 * power of log_n. make: 0 or -ENOMEM. open: also -ENOMEM, and -EOVERFLOW: slower than
 * AGE_WORK_MAX.
 */
int age_header_make_passphrase(struct buf *b, const uint8_t file_key[AGE_FILE_KEY_SIZE],
			       struct span passphrase, unsigned log_n);
int age_header_open_passphrase(struct span header, struct span passphrase,
			       uint8_t file_key[AGE_FILE_KEY_SIZE]);
