/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Swaps pairs of names as fast as the kernel does it, each pair at once, so that
 * there is always something under both: swapper SECONDS NAME NAME [NAME NAME]...
 * Prints how often a second.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void swap(const char *a, const char *b)
{
	if (renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) < 0) {
		fprintf(stderr, "%s and %s: %s\n", a, b, strerror(errno));
		exit(1);
	}
}

int main(int argc, char **argv)
{
	if (argc < 4 || argc % 2) {
		fprintf(stderr, "usage: swapper SECONDS NAME NAME [NAME NAME]...\n");
		return 2;
	}
	double length = strtod(argv[1], NULL), begun = seconds(), now = begun;
	unsigned long n = 0;

	/* Each ends as it began: what is counted are swaps there and back. */
	for (; now - begun < length; now = seconds()) {
		for (int i = 2; i < argc; i += 2) {
			swap(argv[i], argv[i + 1]);
		}
		for (int i = 2; i < argc; i += 2) {
			swap(argv[i], argv[i + 1]);
		}
		n += (unsigned long)argc - 2;
	}
	printf("%.0f\n", (double)n / (now - begun));
	return 0;
}
