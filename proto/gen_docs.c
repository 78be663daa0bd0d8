/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * gen-docs: docs/rpc.md on stdout. gen-docs --check FILE: is FILE what would
 * be printed? gen-docs --idl: only the interface's text.
 */
#include <stdio.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "proto/idl.h"

#define FILE_MAX (4u * 1024 * 1024)

static int check(const char *path, struct span want)
{
	FILE *f = fopen(path, "re");
	_cleanup_free_ char *have = xmalloc(FILE_MAX);
	size_t n = f ? fread(have, 1, FILE_MAX, f) : 0;

	if (f) {
		fclose(f);
	}
	if (span_eq(span_of(have, n), want)) {
		return 0;
	}
	fprintf(stderr, "%s is not what the tables say: write it anew with gen-docs > %s\n", path,
		path);
	return 1;
}

int main(int argc, char **argv)
{
	struct buf text = BUF_INIT;
	int r = 0;

	if (argc == 2 && strcmp(argv[1], "--idl") == 0) {
		idl_write(&text, &interface_control);
	} else {
		idl_write_docs(&text, &interface_control);
	}
	if (argc == 3 && strcmp(argv[1], "--check") == 0) {
		r = check(argv[2], buf_span(&text));
	} else if (fwrite(text.p, 1, text.len, stdout) != text.len || fflush(stdout) != 0) {
		perror("gen-docs");
		r = 1;
	}
	buf_done(&text);
	return r;
}
