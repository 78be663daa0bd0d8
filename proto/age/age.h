/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The age file format, version 1 (age-encryption.org/v1), with X25519 recipients:
 * sealing and opening as streams, in bounded memory. Whatever was a key or plain
 * text is wiped when it is no longer needed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/base/error.h"
#include "proto/base/span.h"

#define AGE_CHUNK          (64u * 1024) /* bytes of plain text that are sealed together */
#define AGE_RECIPIENTS_MAX 64u
#define AGE_HEADER_MAX     (64u * 1024)
/* Of a passphrase: 2 to that power rounds, a KiB of memory each (age's own takes 18). */
#define AGE_WORK     17u
#define AGE_WORK_MAX 20u

struct age_recipient {
	uint8_t key[32];
};

/* Wipe it. */
struct age_identity {
	uint8_t secret[32];
	struct age_recipient recipient;
};

/* "age1...", lower case: 0, or -EINVAL and what is wrong with it. */
int age_parse_recipient(struct span text, struct age_recipient *ret, struct error *err);
/* "AGE-SECRET-KEY-1...", upper case: likewise. The text is not repeated in err. */
int age_parse_identity(struct span text, struct age_identity *ret, struct error *err);

/* Takes what was sealed or opened, in order: 0, or -errno, which ends the stream. */
typedef int age_write_fn(void *ud, struct span bytes);

struct age_seal;

/* 1 to AGE_RECIPIENTS_MAX recipients: each can open it alone. Nothing is written yet. */
struct age_seal *age_seal_new(const struct age_recipient *recipients, size_t n, age_write_fn *write,
			      void *ud);
/* For who knows the passphrase (copied, wiped); begin may return -ENOMEM too. */
struct age_seal *age_seal_new_passphrase(struct span passphrase, age_write_fn *write, void *ud);
void age_seal_free(struct age_seal *s);
/* Once, before anything else: 0 or what write returned, as in the following. */
int age_seal_begin(struct age_seal *s);
int age_seal_write(struct age_seal *s, struct span plain);
/* The end, without which nobody takes it for whole. */
int age_seal_finish(struct age_seal *s);
/* Bytes that n bytes of plain text become for so many recipients. */
uint64_t age_sealed_size(uint64_t n, size_t recipients);

struct age_open;

/* The first identity that fits is used. Copied. */
struct age_open *age_open_new(const struct age_identity *identities, size_t n, age_write_fn *write,
			      void *ud);
/* Wrong passphrase: -ENOKEY. Also -ENOMEM, and -EOVERFLOW: more work than AGE_WORK_MAX. */
struct age_open *age_open_new_passphrase(struct span passphrase, age_write_fn *write, void *ud);
void age_open_free(struct age_open *o);
/*
 * Every byte that is written is authentic, but only after finish is it all:
 * 0, or -EINVAL: no age file; -ENOKEY: sealed for others; -EBADMSG: damaged or
 * cut; or what write returned. After an error every further call returns the same.
 * finish comes once.
 */
int age_open_write(struct age_open *o, struct span sealed);
int age_open_finish(struct age_open *o);
