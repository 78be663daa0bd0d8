/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Swaps pairs of names in a folder as fast as the kernel does it, each pair at once, so
 * that there is always something under both: swapper SECONDS FOLDER NAME NAME [NAME NAME]...
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

static void swap(int folder, char **pair)
{
	if (renameat2(folder, pair[0], folder, pair[1], RENAME_EXCHANGE) < 0) {
		fprintf(stderr, "%s and %s: %s\n", pair[0], pair[1], strerror(errno));
		exit(1);
	}
}

/* Each ends as it began: there and back. */
static void swap_all(int folder, char **names)
{
	for (int times = 0; times < 2; times++) {
		for (char **pair = names; *pair; pair += 2) {
			swap(folder, pair);
		}
	}
}

int main(int argc, char **argv)
{
	if (argc < 5 || argc % 2 == 0) {
		fprintf(stderr, "usage: swapper SECONDS FOLDER NAME NAME [NAME NAME]...\n");
		return 2;
	}
	int folder = open(argv[2], O_PATH | O_DIRECTORY | O_CLOEXEC);
	double length = strtod(argv[1], NULL), begun = seconds(), now = begun;
	unsigned long n = 0;

	for (; now - begun < length; now = seconds()) {
		swap_all(folder, argv + 3);
		n += (unsigned long)argc - 3;
	}
	printf("%.0f\n", (double)n / (now - begun));
	return 0;
}
