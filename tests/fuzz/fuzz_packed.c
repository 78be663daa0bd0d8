/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Packed releases (publish --from), from whoever: what is handed over stands where the daemon
 * would be. Each file has all of its bytes, no descriptor is left, and an archive that is cut has
 * no good end.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/content/pack.h"
#include "proto/base/io.h"

#define TOTAL_MAX (UINT64_C(64) << 20) /* a bomb goes off in the disk's limit, not here */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct handover {
	uint64_t total;
	unsigned entries;
	bool began, flushed;
};

int handover_add_dir(struct handover *h, struct span name, struct error *err)
{
	(void)err;
	assert(name.p && !h->flushed);
	h->entries++;
	return 0;
}

int handover_add_file(struct handover *h, struct span name, int fd, bool more, uint64_t size,
		      struct error *err)
{
	struct stat st;

	assert(name.p && !h->flushed && (!more || h->began));
	assert(fstat(fd, &st) == 0 && (uint64_t)st.st_size == size);
	close(fd);
	h->began = true;
	h->entries += !more;
	h->total += size;
	return h->total > TOTAL_MAX ? error_set(err, EFBIG, "too much") : 0;
}

int handover_flush(struct handover *h, struct error *err)
{
	(void)err;
	h->flushed = true;
	return 0;
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 64; fd++) {
		n += fcntl(fd, F_GETFD) >= 0;
	}
	return n;
}

static void unpack(const char *path)
{
	struct handover h = {0};
	struct packed *p = NULL;
	struct error err = ERROR_INIT;
	json_t *info = NULL;
	int r = packed_open(path, &p, &info, &err);

	if (r == 0) {
		assert(json_array_size(json_object_get(info, "names")) > 0);
		assert(json_is_string(json_object_get(info, "key")));
		r = packed_hand_over(p, &h, &err);
		assert((r == 0) == h.flushed);
		json_decref(info);
		packed_free(p);
	}
	assert((r < 0) == (err.text != NULL));
	error_done(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	int before = open_fds(), fd = memfd_create("packed", MFD_CLOEXEC);
	char path[32];

	assert(fd >= 0 && io_write_all(fd, span_of((const char *)data, n)) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	unpack(path);
	close(fd);
	assert(open_fds() == before);
	return 0;
}
