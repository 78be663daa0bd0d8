/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every unit test starts with: cmocka with its preludes, and a directory of its own. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after those */
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/alloc.h"

/* A fresh directory; unit_rmtree removes it with all that is in it and frees the path. */
static inline char *unit_tmpdir(void)
{
	const char *base = getenv("TMPDIR");
	char *path = xasprintf("%s/onionshared-unit-XXXXXX", base ? base : "/tmp");

	assert_non_null(mkdtemp(path));
	return path;
}

static inline void unit_rmtree(char *path)
{
	char *command = xasprintf("rm -rf -- '%s'", path);

	assert_int_equal(system(command), 0);
	free(command);
	free(path);
}

static inline void unit_write(const char *dir, const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", dir, name);
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
	free(path);
}

/* Descriptors open in this process: a test that begins and ends with the same number leaks none. */
static inline int unit_open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 4096; fd++) {
		n += fcntl(fd, F_GETFD) >= 0;
	}
	return n;
}
