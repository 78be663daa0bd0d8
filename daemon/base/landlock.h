/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Landlock (landlock(7)): the kernel refuses this process to change files but
 * beneath some directories. Best effort, a second wall behind the unit's own;
 * reading is not limited. It cannot be taken back or widened.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * For the calling thread, the threads that it makes from now on, and their
 * children. Directories that are not there are left out. /dev/null can be
 * written still. 0, or -errno: -EOPNOTSUPP where the kernel has none, or one too
 * old to allow renames between directories (Linux 5.19).
 */
int landlock_write_beneath(const char *const *dirs, size_t n);
/* It is so: what else may not be written to can be for that reason. */
bool landlock_is_in_force(void);
