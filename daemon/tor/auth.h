/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Getting in at a control port (control-spec sections 3.5, 3.21, 3.24, 5.1).
 * SAFECOOKIE before a password before nothing; tor must prove that it knows the
 * cookie before it is sent one byte that depends on it, and plain COOKIE, which
 * hands the cookie to whoever asks, is never used.
 */
#pragma once

#include "tor/conn.h"

struct ctl_auth;

struct ctl_auth_policy {
	const char *password_file; /* NULL: none */
	/*
	 * The port was not named by the admin and anybody on this machine could
	 * have opened it, to be sent onion keys: who listens there must know a
	 * cookie whose file belongs to root, a system user or this user.
	 */
	bool distrust;
};

/* err: NULL when we are in. Once, never from within; a is gone then. */
typedef void ctl_auth_fn(void *ud, const struct error *err);

/*
 * c is connected and idle, and sends nothing else meanwhile. The policy is
 * copied. Loss of the connection is told to the connection's owner only, who
 * then cancels.
 */
struct ctl_auth *ctl_auth_begin(struct ev *ev, struct ctl_conn *c,
				const struct ctl_auth_policy *policy, ctl_auth_fn *cb, void *ud);
/* cb does not come. */
void ctl_auth_cancel(struct ctl_auth *a);
