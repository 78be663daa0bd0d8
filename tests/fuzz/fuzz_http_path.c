/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Paths: what is accepted names nothing above, beside or twice. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "http/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *out = malloc(n + 1);
	int len;

	check(out != NULL);
	len = http_path_decode(span_of((const char *)data, n), out);
	if (len >= 0) {
		check(len > 0 && (size_t)len <= n && out[0] == '/' && strlen(out) == (size_t)len);
		check(!strchr(out, '\\') && !strstr(out, "//") && !strstr(out, "/./"));
		check(!strstr(out, "/../") && !(len >= 3 && strcmp(out + len - 3, "/..") == 0));
		check(!(len >= 2 && strcmp(out + len - 2, "/.") == 0));
	}
	free(out);
	return 0;
}
