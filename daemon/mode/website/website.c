/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The website mode: its life, its content, and what it counts. Requests are answered
 * in website_visit.c.
 */
#include "mode/website/website.h"

#include <stdlib.h>
#include <string.h>

#include "mode/assets.h"
#include "proto/base/alloc.h"
#include "proto/base/crypto.h"

/* Small responses are told that often. */
#define TELL_MS 250

struct site_job {
	struct job job;
	struct website *w;
	struct mode_content *content; /* a reference, until the site has it */
	struct site *site;
	int result;
	struct error err;
};

static struct website *website_of(struct mode *m)
{
	return container_of(m, struct website, mode);
}

static void free_if_over(struct website *w)
{
	if (!w->stopping || w->closing || w->users || w->job) {
		return;
	}
	void (*stopped)(void *) = w->stopped;
	void *ud = w->stopped_ud;

	site_unref(w->site);
	bodies_done(&w->bodies);
	crypto_wipe(w->key, sizeof(w->key));
	free(w->title);
	free(w->room);
	free(w);
	stopped(ud);
}

void website_user_done(struct website *w)
{
	w->users--;
	free_if_over(w);
}

/* --- counting --- */

static void tell(struct website *w)
{
	uint64_t count = w->told.count, bytes = w->told.bytes;

	w->told.count = w->told.bytes = 0;
	if ((count || bytes) && w->host.served) {
		w->host.served(w->host.ud, count, bytes);
	}
}

static void on_tell(uv_timer_t *timer)
{
	tell(container_of(timer, struct website, tell));
}

static void tell_later(struct website *w)
{
	if (!w->stopping && !uv_is_active((uv_handle_t *)&w->tell)) {
		uv_timer_start(&w->tell, on_tell, TELL_MS, 0);
	}
}

void website_count_bytes(struct website *w, int64_t n)
{
	/* What was told already is not taken back. */
	if (n >= 0 || (uint64_t)-n <= w->told.bytes) {
		w->told.bytes += (uint64_t)n;
	}
	tell_later(w);
}

void website_count_response(struct website *w)
{
	w->told.count++;
	tell_later(w);
}

/* --- content --- */

static void site_run(struct job *job)
{
	struct site_job *j = container_of(job, struct site_job, job);

	j->result = site_new(j->content, &j->site, &j->err);
}

/* Who is in the middle of something holds a reference to the old one. */
static void use_site(struct website *w, struct site_job *j)
{
	site_unref(w->site);
	w->site = take_ptr(j->site);
	j->content = NULL;
}

static void report(struct website *w, const struct error *err)
{
	if (w->ready) {
		void (*ready)(void *, const struct error *) = w->ready;

		w->ready = NULL;
		ready(w->ready_ud, err);
	} else {
		w->replaced(w->replaced_ud, err);
	}
}

static void site_done(struct job *job)
{
	struct site_job *j = container_of(job, struct site_job, job);
	struct website *w = j->w;

	w->job = NULL;
	if (j->result == 0 && w->stopping) {
		site_unref(j->site);
		j->content = NULL;
	} else if (j->result == 0) {
		use_site(w, j);
	}
	mode_content_unref(j->content);
	if (w->stopping) {
		free_if_over(w);
	} else {
		report(w, j->result < 0 ? &j->err : NULL);
	}
	error_done(&j->err);
	free(j);
}

/* A reference to content is taken over. */
static void look_at_content(struct website *w, struct mode_content *content)
{
	struct site_job *j = xnew(struct site_job);

	j->w = w;
	j->content = content;
	w->job = j;
	work_submit(w->ev->work, WORK_SLOW, &j->job, site_run, site_done);
}

static void website_replace(struct mode *m, struct mode_content *content,
			    void (*done)(void *ud, const struct error *err), void *ud)
{
	struct website *w = website_of(m);

	w->replaced = done;
	w->replaced_ud = ud;
	look_at_content(w, mode_content_ref(content));
}

/* --- life --- */

static bool option_is_true(const json_t *options, const char *name)
{
	return json_is_true(json_object_get(options, name));
}

static void on_turn(uv_prepare_t *prepare)
{
	container_of(prepare, struct website, prepare)->turn++;
}

/* None of these can fail. */
static void start_handles(struct website *w)
{
	uv_timer_init(w->ev->loop, &w->tell);
	uv_prepare_init(w->ev->loop, &w->prepare);
	uv_prepare_start(&w->prepare, on_turn);
	uv_unref((uv_handle_t *)&w->prepare);
}

static struct mode *website_start(struct ev *ev, const struct mode_spec *spec,
				  const struct mode_host *host,
				  void (*ready)(void *ud, const struct error *err), void *ud)
{
	struct website *w = xnew(struct website);

	w->mode.ops = &mode_website;
	w->ev = ev;
	w->host = *host;
	w->title = spec->title ? xstrdup(spec->title) : NULL;
	memcpy(w->key, spec->secret, sizeof(w->key));
	w->no_listing = option_is_true(spec->options, "no_listing");
	w->dotfiles = option_is_true(spec->options, "dotfiles");
	w->log_filenames = option_is_true(spec->options, "log_filenames");
	w->ready = ready;
	w->ready_ud = ud;
	w->room = xmalloc(FIND_ROOM);
	bodies_init(&w->bodies);
	list_init(&w->packing);
	list_init(&w->slow.queue);
	start_handles(w);
	downloads_init(&w->downloads, ev, &w->host, false, 1, NULL, w);
	look_at_content(w, mode_content_ref(spec->content));
	return &w->mode;
}

static void website_request(struct mode *m, struct http_req *req)
{
	if (req->method != HTTP_METHOD_GET && req->method != HTTP_METHOD_HEAD) {
		http_respond_method(req, "GET, HEAD");
	} else if (!assets_respond_reserved(req)) {
		website_visit(website_of(m), req);
	}
}

static void one_closed(struct website *w)
{
	w->closing--;
	free_if_over(w);
}

static void prepare_closed(uv_handle_t *handle)
{
	one_closed(container_of((uv_prepare_t *)handle, struct website, prepare));
}

static void timer_closed(uv_handle_t *handle)
{
	one_closed(container_of((uv_timer_t *)handle, struct website, tell));
}

static void downloads_closed(void *ud)
{
	one_closed(ud);
}

static void website_stop(struct mode *m, void (*stopped)(void *ud), void *ud)
{
	struct website *w = website_of(m);

	w->stopping = true;
	w->stopped = stopped;
	w->stopped_ud = ud;
	tell(w);
	w->closing = 3;
	uv_close((uv_handle_t *)&w->prepare, prepare_closed);
	uv_close((uv_handle_t *)&w->tell, timer_closed);
	downloads_close(&w->downloads, downloads_closed);
}

static unsigned website_active(const struct mode *m)
{
	const struct website *w = (const void *)((const char *)m - offsetof(struct website, mode));

	return w->downloads.active;
}

const struct mode_ops mode_website = {
	.name = "website",
	.start = website_start,
	.request = website_request,
	.stop = website_stop,
	.replace = website_replace,
	.active = website_active,
};
