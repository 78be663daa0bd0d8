/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/base/alloc.h"

/* Newer than the headers of some systems that this is built on. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

#define ABI_REFER    2
#define ABI_TRUNCATE 3

static const uint64_t file_writes = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE;
static const uint64_t all_writes = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE |
				   LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
				   LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
				   LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
				   LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
				   LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER;

/* glibc has no wrappers. */
static int create_ruleset(const struct landlock_ruleset_attr *attr, size_t n, unsigned flags)
{
	return (int)syscall(SYS_landlock_create_ruleset, attr, n, flags);
}

static int allow(int ruleset, const char *path, uint64_t access)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = {.parent_fd = fd, .allowed_access = access};

	if (fd < 0) {
		return errno == ENOENT || errno == EACCES || errno == ENOTDIR ? 0 : -errno;
	}
	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
		       ? -errno
		       : 0;
}

static bool in_force;

bool landlock_is_in_force(void)
{
	return in_force;
}

int landlock_write_beneath(const char *const *dirs, size_t n)
{
	int abi = create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION), r;

	if (abi < ABI_REFER) {
		return -EOPNOTSUPP;
	}
	uint64_t handled =
		abi < ABI_TRUNCATE ? all_writes & ~LANDLOCK_ACCESS_FS_TRUNCATE : all_writes;
	struct landlock_ruleset_attr attr = {.handled_access_fs = handled};
	_cleanup_close_ int ruleset = create_ruleset(&attr, sizeof(attr), 0);

	if (ruleset < 0) {
		return -errno;
	}
	r = allow(ruleset, "/dev/null", file_writes & handled);
	for (size_t i = 0; i < n && r == 0; i++) {
		r = allow(ruleset, dirs[i], handled);
	}
	if (r < 0) {
		return r;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_landlock_restrict_self, ruleset, 0) < 0) {
		return -errno;
	}
	in_force = true;
	return 0;
}
