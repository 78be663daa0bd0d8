/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/move/exported.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "client/rpc.h"
#include "proto/base/alloc.h"
#include "proto/base/crypto.h"
#include "proto/interface.h"
#include "proto/validate.h"

#define MARK           "onionshared_export"
#define VERSION        1
#define PASSPHRASE_MAX 1024

/* --- JSON --- */

void exported_make(const json_t *services, struct buf *ret)
{
	json_t *all = json_pack("{s:i, s:O}", MARK, VERSION, "services", services);
	size_t n = json_dumpb(all, NULL, 0, JSON_INDENT(2));
	char *p = buf_reserve(ret, n + 1);

	json_dumpb(all, p, n, JSON_INDENT(2));
	ret->len += n;
	buf_add_char(ret, '\n');
	json_decref(all);
}

/* The mark is the first member as we write it. */
bool exported_is(struct span text)
{
	size_t n = text.n < 64 ? text.n : 64;

	return n && memmem(text.p, n, "\"" MARK "\"", strlen(MARK) + 2);
}

static int check_services(const json_t *services, struct error *err)
{
	const struct method_def *export = interface_method(&interface_control, SPAN("Export"));
	size_t i;
	json_t *service;

	if (!json_is_array(services) || json_array_size(services) == 0) {
		return error_set(err, EINVAL, "no services are in it");
	}
	json_array_foreach (services, i, service) {
		int r = json_is_object(service)
				? validate_object(export->out, service, VALIDATE_EXACT, err)
				: error_set(err, EINVAL, "a service in it is none");

		if (r < 0) {
			return r;
		}
	}
	return 0;
}

int exported_parse(struct span text, json_t **ret, struct error *err)
{
	json_t *all = json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES, NULL);
	json_t *services = json_object_get(all, "services");
	const json_t *version = json_object_get(all, MARK);
	int r;

	if (!all) {
		r = error_set(err, EINVAL, "it is damaged or cut");
	} else if (!json_is_integer(version) || json_integer_value(version) != VERSION) {
		r = error_set(err, EINVAL, "it is of another version of onionshared");
	} else {
		r = check_services(services, err);
	}
	if (r == 0) {
		*ret = json_incref(services);
	}
	json_decref(all);
	return r;
}

/* --- age --- */

bool exported_is_sealed(struct span bytes)
{
	return span_starts(bytes, SPAN("age-encryption.org/"));
}

static int collect(void *ud, struct span bytes)
{
	struct buf *b = ud;

	if (b->len + bytes.n > EXPORTED_MAX + AGE_HEADER_MAX) {
		return -EFBIG;
	}
	buf_add_span(b, bytes);
	return 0;
}

int exported_seal(struct span plain, struct span passphrase, const struct age_recipient *recipients,
		  size_t n, struct buf *ret, struct error *err)
{
	struct age_seal *s = n ? age_seal_new(recipients, n, collect, ret)
			       : age_seal_new_passphrase(passphrase, collect, ret);
	int r = age_seal_begin(s);

	if (r == 0) {
		r = age_seal_write(s, plain);
	}
	if (r == 0) {
		r = age_seal_finish(s);
	}
	age_seal_free(s);
	return r < 0 ? error_set(err, -r, "cannot encrypt: %s", strerror(-r)) : 0;
}

static int describe(int r, bool by_passphrase, struct error *err)
{
	switch (-r) {
	case ENOKEY:
		return error_set(err, ENOKEY,
				 by_passphrase ? "the passphrase is wrong, or it is encrypted to "
						 "recipients (--identity)"
					       : "no identity opens it");
	case EBADMSG:
	case EINVAL:
		return error_set(err, -r, "it is damaged or cut");
	case EOVERFLOW:
		return error_set(err, EOVERFLOW,
				 "its passphrase asks for more work than anybody does for one");
	default:
		return error_set(err, -r, "cannot decrypt: %s", strerror(-r));
	}
}

int exported_open(struct span sealed, struct span passphrase, const struct identities *ids,
		  struct buf *ret, struct error *err)
{
	/* Room at once: what grows is not wiped where it stood before. */
	buf_reserve(ret, sealed.n + 1);
	struct age_open *o = ids ? age_open_new(ids->all, ids->n, collect, ret)
				 : age_open_new_passphrase(passphrase, collect, ret);
	int r = age_open_write(o, sealed);

	if (r == 0) {
		r = age_open_finish(o);
	}
	age_open_free(o);
	if (r < 0) {
		buf_wipe(ret);
		return describe(r, !ids, err);
	}
	return 0;
}

/* --- passphrases --- */

static int too_long(struct error *err)
{
	return error_set(err, EINVAL, "a passphrase has 1 to %d bytes, in one line",
			 PASSPHRASE_MAX);
}

/* Up to the end of a line, which is not part of it. */
static int read_line(int fd, struct buf *ret, struct error *err)
{
	char c;

	buf_reserve(ret, PASSPHRASE_MAX + 1);
	for (;;) {
		ssize_t n = read(fd, &c, 1);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return error_set(err, errno, "cannot read the passphrase: %s",
					 strerror(errno));
		}
		if (n == 0 || c == '\n') {
			break;
		}
		if (ret->len == PASSPHRASE_MAX) {
			return too_long(err);
		}
		buf_add_char(ret, c);
	}
	return ret->len ? 0 : too_long(err);
}

int passphrase_read(const char *path, struct buf *ret, struct error *err)
{
	bool is_stdin = strcmp(path, "-") == 0;
	_cleanup_close_ int fd = is_stdin ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		return error_set(err, errno, "cannot read %s: %s", path, strerror(errno));
	}
	return read_line(fd, ret, err);
}

static int ask_once(int tty, const char *question, struct buf *ret, struct error *err)
{
	struct termios before, silent;
	int r;

	if (tcgetattr(tty, &before) < 0) {
		return error_set(err, errno, "cannot ask for the passphrase: %s", strerror(errno));
	}
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	/* First, for this drops what is typed: an answer may come as soon as the question stands.
	 */
	tcsetattr(tty, TCSAFLUSH, &silent);
	(void)!write(tty, question, strlen(question));
	/* A signal that ends the program ends this wait, and the echo comes back. */
	r = rpc_wait_readable(tty, err);
	if (r == 0) {
		r = read_line(tty, ret, err);
	}
	tcsetattr(tty, TCSAFLUSH, &before);
	(void)!write(tty, "\n", 1);
	return r;
}

int passphrase_ask(bool twice, struct buf *ret, struct error *err)
{
	_cleanup_close_ int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	struct buf again = BUF_INIT;
	int r;

	if (tty < 0) {
		return error_set(err, ENOTTY,
				 "there is no terminal to ask for a passphrase: give "
				 "--passphrase-file");
	}
	r = ask_once(tty, "Passphrase: ", ret, err);
	if (r == 0 && twice) {
		r = ask_once(tty, "The same once more: ", &again, err);
		if (r == 0 && !span_eq(buf_span(ret), buf_span(&again))) {
			r = error_set(err, EINVAL, "these are two passphrases");
		}
	}
	buf_wipe(&again);
	return r;
}
