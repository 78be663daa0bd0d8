/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Runs a fuzz target over the files of the directories that are named, and
 * over every beginning of the small ones: so that what fuzzing once found is
 * found again by any compiler, without a fuzzer.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/fsutil.h"
#include "proto/base/alloc.h"

#define FILE_MAX   (1u << 20)
#define PREFIX_MAX 2048u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void run(const char *p, size_t n)
{
	/* A copy of exactly this length, so that reading past its end is noticed. */
	uint8_t *copy = malloc(n ? n : 1);

	if (!copy) {
		abort();
	}
	memcpy(copy, p, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

static int replay_dir(const char *dir, unsigned *count)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	if (!d) {
		fprintf(stderr, "%s: %s\n", dir, strerror(errno));
		return -1;
	}
	while ((entry = readdir(d))) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, entry->d_name);
		_cleanup_free_ char *data = NULL;

		if (entry->d_name[0] == '.') {
			continue;
		}
		ssize_t n = fs_read_file(path, FILE_MAX, &data);

		if (n < 0) {
			fprintf(stderr, "%s: %s\n", path, strerror((int)-n));
			closedir(d);
			return -1;
		}
		for (size_t prefix = 0; n <= (ssize_t)PREFIX_MAX && prefix < (size_t)n; prefix++) {
			run(data, prefix);
		}
		run(data, (size_t)n);
		++*count;
	}
	closedir(d);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned count = 0;

	for (int i = 1; i < argc; i++) {
		if (replay_dir(argv[i], &count) < 0) {
			return 1;
		}
	}
	if (count == 0) {
		fprintf(stderr, "no inputs\n");
		return 1;
	}
	printf("%u inputs\n", count);
	return 0;
}
