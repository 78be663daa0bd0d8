/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the peer of a control connection may do. */
#pragma once

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "proto/interface.h"

/*
 * The rule: root and own may do all; a member of control_group ((gid_t)-1: there
 * is none), by its group or one of n supplementary ones, may control; others nothing.
 */
enum permission rpc_auth_rule(const struct ucred *peer, const gid_t *groups, size_t n, uid_t own,
			      gid_t control_group);
/*
 * The same for the peer of a connected Unix socket. Its groups are those it had
 * when it connected (SO_PEERGROUPS): not looked up by name, not read from /proc,
 * where another process may have its number by now.
 */
enum permission rpc_auth_peer(int sock, const struct ucred *peer, gid_t control_group);
