/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Preloaded into the daemon: a disk that fails. NOWRITE names a file of two numbers of eight
 * bytes: a countdown, which makes the write to a regular file that brings it to 0 go wrong, that
 * one only, and how: an errno, or 0 for half of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic int64_t *orders;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("NOWRITE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p =
		fd < 0 ? MAP_FAILED
		       : mmap(NULL, 2 * sizeof(*orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0) {
		close(fd);
	}
	orders = p == MAP_FAILED ? NULL : p;
}

ssize_t write(int fd, const void *p, size_t n)
{
	struct stat st;
	bool now = orders && atomic_load(&orders[0]) > 0 && fstat(fd, &st) == 0 &&
		   S_ISREG(st.st_mode) && atomic_fetch_sub(&orders[0], 1) == 1;

	if (now && orders[1]) {
		errno = (int)orders[1];
		return -1;
	}
	return syscall(SYS_write, fd, p, now && n > 1 ? n / 2 : n);
}
