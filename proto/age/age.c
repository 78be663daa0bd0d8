/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The payload: behind the header 16 random bytes, then chunks of 64 KiB, each
 * sealed with a nonce of its number and whether it is the last (STREAM).
 */
#include "proto/age/age.h"

#include <errno.h>
#include <string.h>

#include "proto/age/header.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/base/crypto.h"

#define PAYLOAD_NONCE_SIZE 16u
#define SEALED_CHUNK       (AGE_CHUNK + AEAD_TAG_SIZE)

struct stream {
	uint8_t key[AEAD_KEY_SIZE];
	uint64_t counter;
	size_t n;
	uint8_t chunk[SEALED_CHUNK];
};

static void stream_key(struct stream *st, const uint8_t file_key[AGE_FILE_KEY_SIZE],
		       const uint8_t nonce[PAYLOAD_NONCE_SIZE])
{
	crypto_hkdf_sha256(span_of((const char *)nonce, PAYLOAD_NONCE_SIZE),
			   span_of((const char *)file_key, AGE_FILE_KEY_SIZE), SPAN("payload"),
			   st->key, sizeof(st->key));
}

/* The chunk's number, big-endian in eleven bytes, and a 1 for the last. */
static void next_nonce(struct stream *st, bool last, uint8_t ret[AEAD_NONCE_SIZE])
{
	uint64_t counter = st->counter++;

	memset(ret, 0, AEAD_NONCE_SIZE);
	for (int i = 10; i > 2; i--) {
		ret[i] = (uint8_t)counter;
		counter >>= 8;
	}
	ret[11] = last;
}

/* Moves into the chunk what there is room for. */
static void fill(struct stream *st, size_t size, struct span *from)
{
	size_t room = size - st->n;
	size_t n = from->n < room ? from->n : room;

	if (n) {
		memcpy(st->chunk + st->n, from->p, n);
		st->n += n;
		*from = span_from(*from, n);
	}
}

/* --- sealing --- */

struct age_seal {
	age_write_fn *write;
	void *ud;
	int error;
	struct buf passphrase; /* instead of recipients */
	size_t n_recipients;
	struct age_recipient recipients[AGE_RECIPIENTS_MAX];
	struct stream st;
};

struct age_seal *age_seal_new(const struct age_recipient *recipients, size_t n, age_write_fn *write,
			      void *ud)
{
	struct age_seal *s = xnew(struct age_seal);

	if (n == 0 || n > AGE_RECIPIENTS_MAX) {
		abort(); /* the caller checks what people give */
	}
	memcpy(s->recipients, recipients, n * sizeof(*recipients));
	s->n_recipients = n;
	s->write = write;
	s->ud = ud;
	return s;
}

struct age_seal *age_seal_new_passphrase(struct span passphrase, age_write_fn *write, void *ud)
{
	struct age_seal *s = xnew(struct age_seal);

	buf_add_span(&s->passphrase, passphrase);
	s->write = write;
	s->ud = ud;
	return s;
}

void age_seal_free(struct age_seal *s)
{
	if (s) {
		buf_wipe(&s->passphrase);
		crypto_wipe(&s->st, sizeof(s->st));
		free(s);
	}
}

int age_seal_begin(struct age_seal *s)
{
	uint8_t file_key[AGE_FILE_KEY_SIZE], nonce[PAYLOAD_NONCE_SIZE];
	struct buf b = BUF_INIT;

	crypto_random(file_key, sizeof(file_key));
	crypto_random(nonce, sizeof(nonce));
	if (s->n_recipients) {
		age_header_make(&b, file_key, s->recipients, s->n_recipients);
	} else {
		s->error = age_header_make_passphrase(&b, file_key, buf_span(&s->passphrase),
						      AGE_WORK);
	}
	buf_add(&b, nonce, sizeof(nonce));
	stream_key(&s->st, file_key, nonce);
	crypto_wipe(file_key, sizeof(file_key));
	if (s->error == 0) {
		s->error = s->write(s->ud, buf_span(&b));
	}
	buf_done(&b);
	return s->error;
}

static int seal_chunk(struct age_seal *s, bool last)
{
	struct stream *st = &s->st;
	uint8_t nonce[AEAD_NONCE_SIZE];
	size_t n = st->n;

	next_nonce(st, last, nonce);
	crypto_aead_seal(st->key, nonce, SPAN_NONE, st->chunk, n, st->chunk);
	st->n = 0;
	s->error = s->write(s->ud, span_of((const char *)st->chunk, n + AEAD_TAG_SIZE));
	return s->error;
}

int age_seal_write(struct age_seal *s, struct span plain)
{
	while (plain.n && s->error == 0) {
		/* A full chunk waits until it is known not to be the last. */
		if (s->st.n == AGE_CHUNK && seal_chunk(s, false) < 0) {
			break;
		}
		fill(&s->st, AGE_CHUNK, &plain);
	}
	return s->error;
}

int age_seal_finish(struct age_seal *s)
{
	return s->error ? s->error : seal_chunk(s, true);
}

uint64_t age_sealed_size(uint64_t n, size_t recipients)
{
	/* "-> X25519 " and 43 characters, 43 characters, and their line ends. */
	uint64_t header = strlen("age-encryption.org/v1\n") + recipients * (10 + 43 + 1 + 43 + 1) +
			  strlen("--- \n") + 43;
	uint64_t chunks = n ? (n - 1) / AGE_CHUNK + 1 : 1;

	return header + PAYLOAD_NONCE_SIZE + n + chunks * AEAD_TAG_SIZE;
}

/* --- opening --- */

enum open_state {
	OPEN_HEADER,
	OPEN_NONCE,
	OPEN_CHUNKS,
};

struct age_open {
	age_write_fn *write;
	void *ud;
	int error;
	enum open_state state;
	struct buf header;
	size_t line;           /* where the header's last line begins */
	struct buf passphrase; /* instead of identities */
	size_t n_identities;
	struct age_identity *identities;
	uint8_t file_key[AGE_FILE_KEY_SIZE];
	struct stream st;
};

struct age_open *age_open_new(const struct age_identity *identities, size_t n, age_write_fn *write,
			      void *ud)
{
	struct age_open *o = xnew(struct age_open);

	o->identities = xmemdup(identities, n * sizeof(*identities));
	o->n_identities = n;
	o->write = write;
	o->ud = ud;
	return o;
}

struct age_open *age_open_new_passphrase(struct span passphrase, age_write_fn *write, void *ud)
{
	struct age_open *o = xnew(struct age_open);

	buf_add_span(&o->passphrase, passphrase);
	o->write = write;
	o->ud = ud;
	return o;
}

void age_open_free(struct age_open *o)
{
	if (o) {
		buf_wipe(&o->passphrase);
		if (o->identities) {
			crypto_wipe(o->identities, o->n_identities * sizeof(*o->identities));
		}
		free(o->identities);
		buf_done(&o->header);
		crypto_wipe(o, sizeof(*o));
		free(o);
	}
}

/* Takes bytes of the header, at most to the end of a line. */
static int open_header(struct age_open *o, struct span *s)
{
	const char *lf = memchr(s->p, '\n', s->n);
	size_t n = lf ? (size_t)(lf - s->p) + 1 : s->n;
	struct span version = SPAN("age-encryption.org/");

	if (o->header.len + n > AGE_HEADER_MAX) {
		return -EINVAL;
	}
	buf_add(&o->header, s->p, n);
	*s = span_from(*s, n);
	/* Something else is noticed at once, not after reading so much of it. */
	size_t seen = o->header.len < version.n ? o->header.len : version.n;

	if (memcmp(o->header.p, version.p, seen) != 0) {
		return -EINVAL;
	}
	if (!lf) {
		return 0;
	}
	if (!span_starts(span_from(buf_span(&o->header), o->line), SPAN("---"))) {
		o->line = o->header.len;
		return 0;
	}
	o->state = OPEN_NONCE;
	if (!o->identities) {
		return age_header_open_passphrase(buf_span(&o->header), buf_span(&o->passphrase),
						  o->file_key);
	}
	return age_header_open(buf_span(&o->header), o->identities, o->n_identities, o->file_key);
}

static int open_nonce(struct age_open *o, struct span *s)
{
	fill(&o->st, PAYLOAD_NONCE_SIZE, s);
	if (o->st.n == PAYLOAD_NONCE_SIZE) {
		stream_key(&o->st, o->file_key, o->st.chunk);
		crypto_wipe(o->file_key, sizeof(o->file_key));
		o->st.n = 0;
		o->state = OPEN_CHUNKS;
	}
	return 0;
}

static int open_chunk(struct age_open *o, bool last)
{
	struct stream *st = &o->st;
	uint8_t nonce[AEAD_NONCE_SIZE];
	bool first = st->counter == 0;
	size_t n = st->n;

	/* An empty chunk is only that of an empty file. */
	if (n < AEAD_TAG_SIZE || (n == AEAD_TAG_SIZE && !first)) {
		return -EBADMSG;
	}
	next_nonce(st, last, nonce);
	if (crypto_aead_open(st->key, nonce, SPAN_NONE, st->chunk, n, st->chunk) < 0) {
		return -EBADMSG;
	}
	st->n = 0;
	if (n == AEAD_TAG_SIZE) {
		return 0;
	}
	int r = o->write(o->ud, span_of((const char *)st->chunk, n - AEAD_TAG_SIZE));

	crypto_wipe(st->chunk, n);
	return r;
}

static int open_chunks(struct age_open *o, struct span *s)
{
	int r = o->st.n == SEALED_CHUNK ? open_chunk(o, false) : 0;

	if (r == 0) {
		fill(&o->st, SEALED_CHUNK, s);
	}
	return r;
}

int age_open_write(struct age_open *o, struct span sealed)
{
	while (sealed.n && o->error == 0) {
		switch (o->state) {
		case OPEN_HEADER:
			o->error = open_header(o, &sealed);
			break;
		case OPEN_NONCE:
			o->error = open_nonce(o, &sealed);
			break;
		case OPEN_CHUNKS:
			o->error = open_chunks(o, &sealed);
			break;
		}
	}
	return o->error;
}

int age_open_finish(struct age_open *o)
{
	if (o->error == 0) {
		o->error = o->state == OPEN_CHUNKS  ? open_chunk(o, true)
			   : o->state == OPEN_NONCE ? -EBADMSG
						    : -EINVAL;
	}
	return o->error;
}
