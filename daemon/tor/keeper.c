/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 *     request: "onionkeep1" OP '\n' COUNT (4 bytes), then ADDRESS FRONTEND KEY for each
 *     answer:  CHANGED (1 byte), WRITTEN (1 byte for each), then the error's text or nothing
 *
 * Both ends are of one machine and one build: numbers are as the processor has them.
 */
#include "tor/keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/base/crypto.h"
#include "proto/base/onion.h"
#include "proto/base/utf8.h"
#include "tor/onion.h"

#define MARK        "onionkeep1"
#define HEAD_SIZE   (sizeof(MARK) - 1 + 2 + sizeof(uint32_t))
#define RECORD_SIZE (2 * ONION_ADDRESS_LEN + ONION_KEY_SIZE)
#define TEXT_MAX    512u
#define PATIENCE_S  20

_Static_assert(KEEPER_REQUEST_MAX >= HEAD_SIZE + HSFILES_MAX * RECORD_SIZE, "all have room");

/* Until the end of what comes, at most max bytes; -EMSGSIZE above. */
static int read_all(int fd, size_t max, struct buf *ret)
{
	buf_reserve(ret, max + 1); /* at once: what grows leaves keys behind in freed memory */
	while (ret->len <= max) {
		ssize_t n = read(fd, ret->p + ret->len, max + 1 - ret->len);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -errno;
		}
		if (n == 0) {
			return 0;
		}
		ret->len += (size_t)n;
	}
	return -EMSGSIZE;
}

static int send_all(int fd, struct span s)
{
	while (s.n) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		s = span_from(s, n > 0 ? (size_t)n : 0);
	}
	return shutdown(fd, SHUT_WR) < 0 ? -errno : 0;
}

/* --- who asks --- */

static void compose(enum keeper_op op, const struct hsfiles *f, struct buf *b)
{
	uint32_t n = (uint32_t)f->n;

	buf_reserve(b, HEAD_SIZE + f->n * RECORD_SIZE);
	buf_printf(b, MARK "%c\n", op);
	buf_add(b, &n, sizeof(n));
	for (size_t i = 0; i < f->n; i++) {
		const struct hsfiles_entry *e = &f->entries[i];

		buf_add(b, e->address, ONION_ADDRESS_LEN);
		buf_add(b, e->frontend, ONION_ADDRESS_LEN);
		buf_add(b, e->key, ONION_KEY_SIZE);
	}
}

static int take_answer(struct span answer, struct hsfiles *f)
{
	if (answer.n < 1 + f->n) {
		return -ENODATA;
	}
	f->changed = answer.p[0] != 0;
	for (size_t i = 0; i < f->n; i++) {
		f->entries[i].written = answer.p[1 + i] != 0;
	}
	answer = span_from(answer, 1 + f->n);
	if (answer.n) {
		if (!utf8_valid(answer)) {
			return -EBADMSG;
		}
		error_set(&f->err, EIO, SPAN_FMT, SPAN_ARG(answer));
	}
	return 0;
}

static int dial(const char *path)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd, r = 0;

	if (strlen(path) >= sizeof(un.sun_path)) {
		return -ENAMETOOLONG;
	}
	memcpy(un.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return -errno;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0) {
		r = -errno;
		close(fd);
	}
	return r < 0 ? r : fd;
}

void keeper_ask(const char *path, enum keeper_op op, struct hsfiles *f)
{
	struct buf request = BUF_INIT, answer = BUF_INIT;
	_cleanup_close_ int fd = dial(path);
	int r = fd;

	if (f->n > HSFILES_MAX) {
		r = -E2BIG;
	}
	if (r >= 0) {
		compose(op, f, &request);
		r = send_all(fd, buf_span(&request));
	}
	if (r >= 0) {
		r = read_all(fd, 1 + f->n + TEXT_MAX, &answer);
	}
	if (r >= 0) {
		r = take_answer(buf_span(&answer), f);
	}
	if (r < 0) {
		error_set(&f->err, -r,
			  "tor's user cannot be given keys (systemctl status "
			  "onionshared-keeper.socket): %s",
			  strerror(-r));
	}
	buf_wipe(&request);
	buf_done(&answer);
}

/* --- who is asked --- */

/* It becomes a name in root. */
static bool take_address(const char *p, char ret[ONION_ADDRESS_LEN + 1])
{
	memcpy(ret, p, ONION_ADDRESS_LEN);
	ret[ONION_ADDRESS_LEN] = '\0';
	return onion_address_valid(ret);
}

/* Version, checksum and key: tor dies of a wrong one. Many have the same, and that takes time. */
static bool take_frontend(const char *p, const char *last, char ret[ONION_ADDRESS_LEN + 1])
{
	if (last && memcmp(p, last, ONION_ADDRESS_LEN) == 0) {
		memcpy(ret, last, ONION_ADDRESS_LEN + 1);
		return true;
	}
	return onion_parse(span_of(p, ONION_ADDRESS_LEN), ret, NULL) == 0 &&
	       memcmp(p, ret, ONION_ADDRESS_LEN) == 0;
}

int keeper_parse(struct span request, enum keeper_op *ret_op, struct hsfiles *ret)
{
	uint32_t n;

	if (request.n < HEAD_SIZE || !span_starts(request, SPAN(MARK)) ||
	    request.p[sizeof(MARK)] != '\n') {
		return -EINVAL;
	}
	char op = request.p[sizeof(MARK) - 1];

	memcpy(&n, request.p + sizeof(MARK) + 1, sizeof(n));
	request = span_from(request, HEAD_SIZE);
	if ((op != KEEPER_WRITE && op != KEEPER_SWEEP) || n > HSFILES_MAX ||
	    request.n != n * RECORD_SIZE) {
		return -EINVAL;
	}
	struct hsfiles_entry *entries = xcalloc(n + 1, sizeof(*entries));

	for (size_t i = 0; i < n; i++) {
		struct hsfiles_entry *e = &entries[i];
		const char *p = request.p + i * RECORD_SIZE;

		if (!take_address(p, e->address) ||
		    !take_frontend(p + ONION_ADDRESS_LEN, i ? e[-1].frontend : NULL, e->frontend)) {
			crypto_wipe(entries, n * sizeof(*entries));
			free(entries);
			return -EINVAL;
		}
		memcpy(e->key, p + 2 * ONION_ADDRESS_LEN, ONION_KEY_SIZE);
	}
	*ret_op = (enum keeper_op)op;
	ret->entries = entries;
	ret->n = n;
	return 0;
}

static int answer_with(int fd, const struct hsfiles *f)
{
	struct buf b = BUF_INIT;
	struct span text = span_str(f->err.text);

	buf_add_char(&b, f->changed ? 1 : 0);
	for (size_t i = 0; i < f->n; i++) {
		buf_add_char(&b, f->entries[i].written ? 1 : 0);
	}
	text.n = text.n < TEXT_MAX ? text.n : TEXT_MAX;
	buf_add_span(&b, text);
	int r = send_all(fd, buf_span(&b));

	buf_done(&b);
	return r;
}

int keeper_serve(int fd, const char *root)
{
	struct hsfiles f = {.root = xstrdup(root)};
	struct buf request = BUF_INIT;
	enum keeper_op op;
	int r = read_all(fd, KEEPER_REQUEST_MAX, &request);

	if (r == 0) {
		r = keeper_parse(buf_span(&request), &op, &f);
	}
	if (r == 0) {
		(op == KEEPER_WRITE ? hsfiles_write : hsfiles_sweep)(&f);
		r = answer_with(fd, &f);
	}
	buf_wipe(&request);
	hsfiles_done(&f);
	return r;
}
