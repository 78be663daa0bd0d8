/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/receive/sealer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/fsutil.h"
#include "http/content/ziprec.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/base/crypto.h"
#include "proto/base/io.h"

#define PADDING ".padding"
/* A header, and a record of the central directory, of the longest name. */
#define RECORD_MAX (SEALER_NAME_MAX + 128u)
#define ZEROS      (64u * 1024)

struct sealer {
	int fd;
	int error;
	struct age_seal *age;
	size_t recipients;
	uint64_t out;       /* bytes in the file so far */
	uint64_t at;        /* bytes of the zip so far */
	uint64_t n;         /* entries that are listed */
	struct buf central; /* their records */

	/* the entry that is open */
	bool open, written; /* written: its header is, and its data so far */
	char name[SEALER_NAME_MAX];
	struct zip_entry entry;
	uint64_t local_at;
	uLong crc;
	struct buf held; /* data that is not written yet */
};

static int write_sealed(void *ud, struct span bytes)
{
	struct sealer *s = ud;

	s->out += bytes.n;
	return io_write_all(s->fd, bytes);
}

struct sealer *sealer_new(const struct age_recipient *recipients, size_t n, int fd)
{
	struct sealer *s = xnew(struct sealer);

	s->fd = fd;
	s->recipients = n;
	s->age = age_seal_new(recipients, n, write_sealed, s);
	s->error = age_seal_begin(s->age);
	return s;
}

void sealer_free(struct sealer *s)
{
	if (s) {
		age_seal_free(s->age);
		buf_wipe(&s->central);
		buf_wipe(&s->held);
		crypto_wipe(s, sizeof(*s));
		free(s);
	}
}

static int put(struct sealer *s, struct span plain)
{
	if (s->error == 0) {
		s->error = age_seal_write(s->age, plain);
		s->at += plain.n;
	}
	return s->error;
}

/* --- entries --- */

static void open_entry(struct sealer *s, struct span name, bool streamed, uint64_t size)
{
	memcpy(s->name, name.p, name.n);
	s->entry = (struct zip_entry){.name = span_of(s->name, name.n),
				      .size = size,
				      .streamed = streamed};
	s->crc = crc32(0, NULL, 0);
	s->open = true;
	s->written = false;
}

int sealer_begin(struct sealer *s, struct span name)
{
	if (s->error == 0 && (s->open || name.n == 0 || name.n > SEALER_NAME_MAX)) {
		s->error = -EINVAL;
	}
	if (s->error == 0) {
		open_entry(s, name, true, 0);
	}
	return s->error;
}

static void count(struct sealer *s, struct span data)
{
	while (data.n) {
		uInt n = data.n < INT32_MAX ? (uInt)data.n : INT32_MAX;

		s->crc = crc32(s->crc, (const Bytef *)data.p, n);
		data = span_from(data, n);
	}
}

static int write_header(struct sealer *s)
{
	char record[RECORD_MAX];

	s->local_at = s->at;
	s->written = true;
	put(s, span_of(record, zip_put_local(&s->entry, record)));
	crypto_wipe(record, sizeof(record));
	return s->error;
}

/* The header, if it is not there yet, and what was held back. */
static int write_held(struct sealer *s)
{
	if (s->error == 0 && !s->written) {
		write_header(s);
		put(s, buf_span(&s->held));
		buf_wipe(&s->held);
	}
	return s->error;
}

int sealer_data(struct sealer *s, struct span data)
{
	if (s->error == 0 && !s->open) {
		s->error = -EINVAL;
	}
	if (s->error < 0 || data.n == 0) {
		return s->error;
	}
	count(s, data);
	s->entry.size += data.n;
	if (!s->written && s->held.len + data.n <= SEALER_HELD) {
		buf_add_span(&s->held, data);
		return 0;
	}
	write_held(s);
	return put(s, data);
}

/* The descriptor, and a record for the end of the zip. */
static int close_entry(struct sealer *s)
{
	char record[RECORD_MAX];
	size_t n = zip_put_descriptor(&s->entry, (uint32_t)s->crc, record);

	put(s, span_of(record, n));
	n = zip_put_central(&s->entry, s->local_at, (uint32_t)s->crc, record);
	buf_add(&s->central, record, n);
	crypto_wipe(record, sizeof(record));
	s->n++;
	s->open = false;
	return s->error;
}

int sealer_end(struct sealer *s)
{
	if (s->error == 0 && !s->open) {
		s->error = -EINVAL;
	}
	if (s->error == 0 && write_held(s) == 0) {
		close_entry(s);
	}
	return s->error;
}

int sealer_drop(struct sealer *s)
{
	if (s->error == 0 && !s->open) {
		s->error = -EINVAL;
	}
	buf_wipe(&s->held);
	s->open = false;
	return s->error;
}

/* --- the end --- */

uint64_t sealer_padme(uint64_t n)
{
	if (n < 2) {
		return n;
	}
	unsigned exponent = 63 - (unsigned)__builtin_clzll(n);
	unsigned digits = 32 - (unsigned)__builtin_clz(exponent); /* bits of the exponent */
	uint64_t mask = digits >= exponent ? 0 : (UINT64_C(1) << (exponent - digits)) - 1;

	return n > UINT64_MAX - mask ? n : (n + mask) & ~mask;
}

static struct zip_entry padding_entry(uint64_t size)
{
	return (struct zip_entry){.name = SPAN(PADDING), .size = size};
}

/* Where the zip would end with so much padding. */
static struct zip_tail tail_with(const struct sealer *s, uint64_t padding)
{
	struct zip_entry e = padding_entry(padding);
	uint64_t central_at = s->at + zip_local_len(&e) + padding + zip_descriptor_len(&e);
	uint64_t end_at = central_at + s->central.len + zip_central_len(&e, s->at);

	return (struct zip_tail){.n = s->n + 1, .central_at = central_at, .end_at = end_at};
}

static uint64_t length_with(const struct sealer *s, uint64_t padding)
{
	struct zip_tail t = tail_with(s, padding);

	return t.end_at + zip_end_len(&t);
}

/*
 * So much that the zip gets a length that Padmé allows. The records grow a little
 * with the padding, by steps; a length that falls into such a step is not reached, the next
 * one is.
 */
static uint64_t padding_of(const struct sealer *s)
{
	uint64_t target = sealer_padme(length_with(s, 0));

	for (;; target = sealer_padme(target + 1)) {
		uint64_t padding = target - length_with(s, 0);
		uint64_t over = length_with(s, padding) - target;

		if (over > padding) {
			continue;
		}
		padding -= over;
		if (length_with(s, padding) == target) {
			return padding;
		}
	}
}

static int write_padding(struct sealer *s, uint64_t n)
{
	static const char zeros[ZEROS];
	struct zip_entry e = padding_entry(n);

	open_entry(s, e.name, false, n);
	write_header(s);
	while (n && s->error == 0) {
		struct span piece = span_of(zeros, n < sizeof(zeros) ? (size_t)n : sizeof(zeros));

		count(s, piece);
		put(s, piece);
		n -= piece.n;
	}
	return s->error == 0 ? close_entry(s) : s->error;
}

uint64_t sealer_finish_size(const struct sealer *s)
{
	return age_sealed_size(length_with(s, padding_of(s)), s->recipients) - s->out;
}

int sealer_finish(struct sealer *s)
{
	char record[RECORD_MAX];

	if (s->error == 0 && s->open) {
		s->error = -EINVAL;
	}
	if (s->error == 0) {
		write_padding(s, padding_of(s));
	}
	struct zip_tail t = {.n = s->n, .central_at = s->at, .end_at = s->at + s->central.len};

	put(s, buf_span(&s->central));
	put(s, span_of(record, zip_put_end(&t, record)));
	if (s->error == 0) {
		s->error = age_seal_finish(s->age);
	}
	return s->error;
}

uint64_t sealer_size(const struct sealer *s)
{
	return s->out;
}

uint64_t sealer_least_size(uint64_t content, size_t recipients)
{
	/* What zips have besides is counted when it is there. */
	return content > UINT64_MAX / 2 ? content
					: age_sealed_size(sealer_padme(content), recipients);
}
