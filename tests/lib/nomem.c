/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Preloaded into the daemon: memory that runs out. NOMEM names a file of eight bytes with a
 * countdown; the allocation that makes it 0 fails, that one only. Below 0 none does.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static _Atomic int64_t *countdown;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("NOMEM");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p =
		fd < 0 ? MAP_FAILED
		       : mmap(NULL, sizeof(*countdown), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0) {
		close(fd);
	}
	countdown = p == MAP_FAILED ? NULL : p;
}

static int fails(void)
{
	if (!countdown || atomic_load(countdown) <= 0 || atomic_fetch_sub(countdown, 1) != 1) {
		return 0;
	}
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}
