/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rpc/auth.h"

#include <errno.h>
#include <unistd.h>

#include "proto/base/alloc.h"

#define GROUPS_MAX 65536u /* NGROUPS_MAX of Linux */

enum permission rpc_auth_rule(const struct ucred *peer, const gid_t *groups, size_t n, uid_t own,
			      gid_t control_group)
{
	if (peer->uid == 0 || peer->uid == own) {
		return PERMISSION_ADMIN;
	}
	if (control_group == (gid_t)-1) {
		return PERMISSION_NONE;
	}
	if (peer->gid == control_group) {
		return PERMISSION_CONTROL;
	}
	for (size_t i = 0; i < n; i++) {
		if (groups[i] == control_group) {
			return PERMISSION_CONTROL;
		}
	}
	return PERMISSION_NONE;
}

/* New array; NULL: none, or they cannot be known. */
static gid_t *peer_groups(int sock, size_t *ret_n)
{
	socklen_t size = 0;
	gid_t *groups;

	*ret_n = 0;
	/* Without room it says how much it wants. */
	if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE ||
	    size > GROUPS_MAX * sizeof(gid_t)) {
		return NULL;
	}
	groups = xmalloc(size);
	if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0) {
		free(groups);
		return NULL;
	}
	*ret_n = size / sizeof(gid_t);
	return groups;
}

enum permission rpc_auth_peer(int sock, const struct ucred *peer, gid_t control_group)
{
	size_t n;
	_cleanup_free_ gid_t *groups = peer_groups(sock, &n);

	return rpc_auth_rule(peer, groups, n, geteuid(), control_group);
}
