/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/share/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/content/zipsource.h"
#include "http/req.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/base/crypto.h"

const char *plan_file_etag(struct plan *p, uint32_t i)
{
	char *text = p->etags[i % PLAN_ETAGS].text;

	if (*text && p->etags[i % PLAN_ETAGS].i == i) {
		return text;
	}
	const struct tree_entry *e = &p->tree->entries[i];
	const uint64_t numbers[] = {e->file.size, (uint64_t)e->file.mtime_ns,
				    p->released ? 0 : (uint64_t)e->file.ctime_ns};
	char path[TREE_PATH_ROOM];
	const struct span parts[] = {
		SPAN("file 1"),
		span_of((const char *)numbers, sizeof(numbers)),
		span_of(path, tree_path(p->tree, i, path)),
	};

	etag_make(p->key, parts, ARRAY_SIZE(parts), text);
	p->etags[i % PLAN_ETAGS].i = i;
	return text;
}

static void zip_etag(struct plan *p)
{
	const struct span parts[] = {
		SPAN("zip 1"), /* of the layout too: another one gets another number */
		span_of((const char *)p->tree->digest, sizeof(p->tree->digest)),
	};

	etag_make(p->key, parts, ARRAY_SIZE(parts), p->zip_etag);
}

static void zip_entry(void *ud, size_t i, char *name, struct zip_entry *ret)
{
	const struct plan *p = ud;
	uint32_t k = p->entries[i];
	const struct tree_entry *e = &p->tree->entries[k];

	*ret = (struct zip_entry){
		.name = span_of(name, tree_zip_path(p->tree, k, name)),
		.size = e->is_dir ? 0 : e->file.size,
		.directory = e->is_dir,
	};
}

static int plan_zip(struct plan *p, struct error *err)
{
	const struct tree *t = p->tree;
	size_t n = 0;

	p->entries = xreallocarray(NULL, t->n, sizeof(*p->entries));
	for (uint32_t i = 1; i < t->n; i++) {
		if (!t->entries[i].is_dir || t->entries[i].dir.count == 0) {
			p->entries[n++] = i;
		}
	}
	int r = zip_layout_init(&p->zip, n, zip_entry, p);

	if (r < 0) {
		return error_set_kind(err, -r, ERROR_LIMIT_EXCEEDED, "bytes in a share",
				      "4611686018427387904", "there is more than a zip can hold");
	}
	zip_sums_init(&p->sums, n);
	zip_etag(p);
	return 0;
}

int plan_make(const uint8_t key[32], const struct mode_host *host,
	      const struct tree_options *options, struct plan **ret, struct error *err)
{
	struct plan *p = xnew(struct plan);
	int r;

	p->refs = 1;
	p->host = *host;
	p->released = options->content->released;
	memcpy(p->key, p->released ? options->content->release : key, sizeof(p->key));
	r = tree_walk((const char *const *)options->content->paths, p->key, options, &p->tree, err);
	if (r == 0 && !p->tree->single) {
		r = plan_zip(p, err);
	}
	if (r < 0) {
		plan_unref(p);
		return r;
	}
	*ret = p;
	return 0;
}

struct plan *plan_ref(struct plan *p)
{
	p->refs++;
	return p;
}

void plan_unref(struct plan *p)
{
	if (!p || --p->refs) {
		return;
	}
	tree_free(p->tree);
	free(p->entries);
	zip_layout_done(&p->zip);
	zip_sums_done(&p->sums);
	mode_content_unref(p->content);
	crypto_wipe(p->key, sizeof(p->key));
	free(p);
}

/* --- a zip on its way --- */

struct sending {
	struct plan *plan;
	void (*over)(void *ud, int err);
	void *ud;
	size_t block; /* that is being recalled */
	void (*recalled)(void *ud);
	void *recalled_ud;
};

static int sending_open(void *ud, size_t i)
{
	const struct plan *p = ((struct sending *)ud)->plan;

	return tree_open(p->tree, p->entries[i]);
}

static int sending_check(void *ud, size_t i, int fd)
{
	const struct plan *p = ((struct sending *)ud)->plan;

	return tree_check(p->tree, p->entries[i], fd);
}

/*
 * The validator in the key names the content: its names, sizes and times. What
 * was kept for another content is never found.
 */
static void cache_key(const struct plan *p, size_t block, char *ret, size_t size)
{
	snprintf(ret, size, "crc %.32s %zu", p->zip_etag + 1, block);
}

static void got_block(void *ud, struct span value)
{
	struct sending *s = ud;

	if (value.p) {
		/* Nonsense is as good as nothing: the files are read again. */
		(void)zip_sums_decode(&s->plan->sums, s->block, value);
	}
	s->recalled(s->recalled_ud);
}

static void sending_recall(void *ud, size_t i, void (*cb)(void *cb_ud), void *cb_ud)
{
	struct sending *s = ud;
	char key[80];

	s->block = zip_sums_block(i);
	s->recalled = cb;
	s->recalled_ud = cb_ud;
	cache_key(s->plan, s->block, key, sizeof(key));
	s->plan->host.cache_get(s->plan->host.ud, key, got_block, s);
}

static void sending_keep(void *ud, size_t i)
{
	struct sending *s = ud;
	struct plan *p = s->plan;
	size_t block = zip_sums_block(i);
	struct buf b = BUF_INIT;
	char key[80];

	if (!p->sums.dirty[block]) {
		return;
	}
	cache_key(p, block, key, sizeof(key));
	zip_sums_encode(&p->sums, block, &b);
	p->host.cache_put(p->host.ud, key, buf_span(&b));
	buf_done(&b);
}

static void sending_over(void *ud, int err)
{
	struct sending *s = ud;
	void (*over)(void *, int) = s->over;
	void *over_ud = s->ud;

	plan_unref(s->plan);
	free(s);
	over(over_ud, err);
}

static const struct zip_files_ops sending_ops = {
	.open = sending_open,
	.check = sending_check,
	.recall = sending_recall,
	.keep = sending_keep,
	.over = sending_over,
};

struct http_body plan_zip_body(struct plan *p, struct ev *ev, uint64_t offset, uint64_t length,
			       void (*over)(void *ud, int err), void *ud)
{
	struct sending *s = xnew(struct sending);

	s->plan = plan_ref(p);
	s->over = over;
	s->ud = ud;
	return http_body_source(zip_source_new(ev, &p->zip, &p->sums, &sending_ops, s, offset,
					       length),
				length);
}
