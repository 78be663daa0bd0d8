/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The writer that encrypts all of a submission into one file. */
#include <errno.h>
#include <stdlib.h>

#include "mode/receive/inboxdir.h"
#include "mode/receive/sealer.h"
#include "mode/receive/subwriter.h"
#include "proto/base/alloc.h"

struct sealed {
	struct subwriter w;
	int out;
	struct sealer *sealer;
};

static struct sealed *sealed_of(struct subwriter *w)
{
	return container_of(w, struct sealed, w);
}

static int sealed_begin(struct subwriter *w, enum inbox_record_type type, struct span name)
{
	return sealer_begin(sealed_of(w)->sealer,
			    type == INBOX_FILE ? name : SPAN(INBOX_MESSAGE_NAME));
}

static int sealed_data(struct subwriter *w, struct span data)
{
	return sealer_data(sealed_of(w)->sealer, data);
}

static int sealed_end(struct subwriter *w)
{
	return sealer_end(sealed_of(w)->sealer);
}

static int sealed_drop(struct subwriter *w)
{
	return sealer_drop(sealed_of(w)->sealer);
}

static uint64_t sealed_rest(const struct subwriter *w)
{
	return sealer_finish_size(container_of(w, const struct sealed, w)->sealer);
}

static int sealed_settle(struct subwriter *w)
{
	struct sealed *s = sealed_of(w);
	int r = sealer_finish(s->sealer);

	if (r == 0) {
		r = inboxdir_set_day(s->out);
	}
	return r == 0 ? inboxdir_sync(s->out) : r;
}

static uint64_t sealed_size(const struct subwriter *w)
{
	return sealer_size(container_of(w, const struct sealed, w)->sealer);
}

static void sealed_free(struct subwriter *w)
{
	struct sealed *s = sealed_of(w);

	sealer_free(s->sealer);
	close_fdp(&s->out);
	free(s);
}

static const struct subwriter_ops ops = {
	.begin = sealed_begin,
	.data = sealed_data,
	.end = sealed_end,
	.drop = sealed_drop,
	.rest = sealed_rest,
	.settle = sealed_settle,
	.size = sealed_size,
	.free = sealed_free,
};

int subwriter_sealed(int dir, const struct age_recipient *recipients, size_t n,
		     struct subwriter **ret)
{
	int out = inboxdir_create(dir, SUBWRITER_SEALED);

	if (out < 0) {
		return out;
	}
	struct sealed *s = xnew(struct sealed);

	s->w.ops = &ops;
	s->out = out;
	s->sealer = sealer_new(recipients, n, out);
	*ret = &s->w;
	return 0;
}
