/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The writer that leaves files and message as they come. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fsutil.h"
#include "mode/receive/inboxdir.h"
#include "mode/receive/subwriter.h"
#include "proto/base/alloc.h"
#include "proto/base/io.h"

struct plain {
	struct subwriter w;
	int dir;
	int files;         /* the directory of files; -1: no file yet */
	int out;           /* what is being written; -1: nothing */
	uint64_t size;     /* of all */
	uint64_t out_size; /* of out */
};

static struct plain *plain_of(struct subwriter *w)
{
	return container_of(w, struct plain, w);
}

static int open_files(struct plain *p)
{
	int r;

	if (p->files >= 0) {
		return 0;
	}
	if (mkdirat(p->dir, SUBWRITER_FILES, 0700) < 0) {
		return -errno;
	}
	r = inboxdir_open(p->dir, SUBWRITER_FILES);
	p->files = r < 0 ? -1 : r;
	return r < 0 ? r : 0;
}

static int begin_file(struct plain *p, struct span name)
{
	char text[NAME_MAX + 1];
	int r = name.n > NAME_MAX ? -EINVAL : open_files(p);

	if (r < 0) {
		return r;
	}
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	return inboxdir_create(p->files, text);
}

static int plain_begin(struct subwriter *w, enum inbox_record_type type, struct span name)
{
	struct plain *p = plain_of(w);
	int r = p->out >= 0          ? -EINVAL
		: type == INBOX_FILE ? begin_file(p, name)
				     : inboxdir_create(p->dir, SUBWRITER_MESSAGE);

	if (r < 0) {
		return r;
	}
	p->out = r;
	p->out_size = 0;
	return 0;
}

static int plain_data(struct subwriter *w, struct span data)
{
	struct plain *p = plain_of(w);

	p->out_size += data.n;
	return p->out < 0 ? -EINVAL : io_write_all(p->out, data);
}

static void close_out(struct plain *p)
{
	close_fdp(&p->out);
	p->out = -1;
}

static int plain_end(struct subwriter *w)
{
	struct plain *p = plain_of(w);
	int r = p->out < 0 ? -EINVAL : inboxdir_set_day(p->out);

	if (r == 0) {
		r = inboxdir_sync(p->out);
	}
	close_out(p);
	p->size += p->out_size;
	return r;
}

static int plain_drop(struct subwriter *w)
{
	struct plain *p = plain_of(w);

	close_out(p);
	return unlinkat(p->dir, SUBWRITER_MESSAGE, 0) < 0 ? -errno : 0;
}

static uint64_t plain_rest(const struct subwriter *w)
{
	(void)w;
	return 0;
}

static int plain_settle(struct subwriter *w)
{
	struct plain *p = plain_of(w);
	int r = p->out >= 0 ? -EINVAL : 0;

	if (r == 0 && p->files >= 0) {
		r = inboxdir_set_day(p->files);
		r = r == 0 ? inboxdir_sync(p->files) : r;
	}
	return r;
}

static uint64_t plain_size(const struct subwriter *w)
{
	return container_of(w, const struct plain, w)->size;
}

static void plain_free(struct subwriter *w)
{
	struct plain *p = plain_of(w);

	close_fdp(&p->out);
	close_fdp(&p->files);
	free(p);
}

static const struct subwriter_ops ops = {
	.begin = plain_begin,
	.data = plain_data,
	.end = plain_end,
	.drop = plain_drop,
	.rest = plain_rest,
	.settle = plain_settle,
	.size = plain_size,
	.free = plain_free,
};

struct subwriter *subwriter_plain(int dir)
{
	struct plain *p = xnew(struct plain);

	p->w.ops = &ops;
	p->dir = dir;
	p->files = p->out = -1;
	return &p->w;
}
