/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/base/io.h"

#include <errno.h>
#include <unistd.h>

int io_write_all(int fd, struct span s)
{
	while (s.n > 0) {
		ssize_t n = write(fd, s.p, s.n);

		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		s = span_from(s, n > 0 ? (size_t)n : 0);
	}
	return 0;
}
