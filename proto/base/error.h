/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a person will read when something fails. A function that can fail
 * returns -errno and, where the fact is known, fills a struct error; callers up
 * the way may put one sentence of context in front, once. The kind decides the
 * typed error on the wire and the client's exit status (proto/errors.h).
 */
#pragma once

#include <stdarg.h>

/*
 * X(symbol, name on the wire, exit status of the client, first parameter or "",
 *   second parameter or "", what it means)
 */
#define ERROR_KINDS(X)                                                                             \
	X(INTERNAL, "Internal", 1, "", "", "The daemon failed; its log says more.")                \
	X(NO_SUCH_SERVICE, "NoSuchService", 4, "name", "", "No service has this name.")            \
	X(NO_SUCH_SUBMISSION, "NoSuchSubmission", 1, "id", "", "No submission has this number.")   \
	X(NO_SUCH_KEY, "NoSuchKey", 1, "label", "", "The service has no key with this label.")     \
	X(NAME_IN_USE, "NameInUse", 1, "name", "", "Another service or key has this name.")        \
	X(INVALID_STATE, "InvalidState", 1, "state", "", "The service's state does not allow it.") \
	X(INVALID_VALUE, "InvalidValue", 2, "field", "why", "A value was refused.")                \
	X(PERMISSION_DENIED, "PermissionDenied", 5, "needs", "", "The caller may not do this.")    \
	X(TOR_UNAVAILABLE, "TorUnavailable", 7, "why", "", "Tor cannot do it now.")                \
	X(TIMEOUT, "Timeout", 7, "what", "", "It did not happen in time.")                         \
	X(PATH_NOT_READABLE, "PathNotReadable", 1, "path", "why",                                  \
	  "The daemon cannot read a path.")                                                        \
	X(LIMIT_EXCEEDED, "LimitExceeded", 1, "what", "limit", "A named limit was reached.")       \
	X(STORAGE, "StorageFailed", 1, "why", "", "The state could not be written or read.")       \
	X(UNREACHABLE_STATE, "UnreachableState", 3, "state", "",                                   \
	  "The service cannot come to the state that was waited for.")

enum error_kind {
#define X(symbol, name, status, p1, p2, doc) ERROR_##symbol,
	ERROR_KINDS(X)
#undef X
};

struct error {
	int code;             /* errno, positive; 0: not set */
	enum error_kind kind; /* ERROR_INTERNAL unless set */
	char *text;           /* a sentence; owned */
	char *param[2];       /* of the kind, in its order; owned, may be NULL */
};

#define ERROR_INIT      ((struct error){0})
#define _cleanup_error_ _cleanup_(error_done)

void error_done(struct error *e);
/* Both return -code. e may be NULL. What stood there before is replaced. */
int error_set(struct error *e, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* p1 and p2 are copied and may be NULL. */
int error_set_kind(struct error *e, int code, enum error_kind kind, const char *p1, const char *p2,
		   const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* Puts "context: " in front. Returns -code, and 0 where e is NULL: then return your own. */
int error_context(struct error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Moves from to to (which may be NULL: then it is freed). */
void error_move(struct error *to, struct error *from);
void error_copy(struct error *to, const struct error *from);
/* Never NULL. */
const char *error_text(const struct error *e);
