/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "svc/delivery.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsutil.h"
#include "ev/dial.h"
#include "ev/work.h"
#include "http/client/client.h"
#include "proto/base/alloc.h"
#include "proto/base/crypto.h"
#include "svc/webhook_text.h"
#include "tor/socks.h"

/* Exactly one of job (busy), dial, socks and client is under way until cb is called. */
struct delivery {
	struct ev *ev;
	struct job job;
	struct dial *dial;
	struct socks *socks;
	struct http_client *client;
	delivery_fn *cb; /* NULL: cancelled */
	void *ud;

	char *url_text, *content_type, *body, *secret_file, *socks_server, *credential, *ca_file;
	uid_t secret_owner;
	struct http_url url;
	/* made by the job */
	struct tls_trust *trust;
	char signature[WEBHOOK_SIGNATURE_LEN + 1];
	struct error err;
};

static char *dup_or_null(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

static void delivery_free(struct delivery *d)
{
	tls_trust_free(d->trust);
	error_done(&d->err);
	free(d->url_text);
	free(d->content_type);
	free(d->body);
	free(d->secret_file);
	free(d->socks_server);
	free(d->credential);
	free(d->ca_file);
	free(d);
}

static void finish(struct delivery *d, const char *problem)
{
	delivery_fn *cb = d->cb;
	void *ud = d->ud;

	if (cb) {
		cb(ud, problem);
	}
	delivery_free(d);
}

/* --- what may block: on the pool --- */

static ssize_t read_secret(const char *path, uid_t owner, char **ret)
{
	if (owner == FS_ANY_OWNER) {
		return fs_read_file(path, WEBHOOK_SECRET_MAX + 2, ret);
	}
	_cleanup_close_ int fd = fs_open_owned(path, O_RDONLY, owner);

	return fd < 0 ? fd : fs_read_fd(fd, WEBHOOK_SECRET_MAX + 2, ret);
}

/* With the secret in the file, body and signature if they are asked for. */
static int sign(const char *path, uid_t owner, const char *body, char *signature, struct error *err)
{
	char *text;
	struct span secret;
	ssize_t n = read_secret(path, owner, &text);

	if (n < 0) {
		return error_set(err, (int)-n, "cannot read the secret in %s: %s", path,
				 strerror((int)-n));
	}
	int r = webhook_secret_parse(span_of(text, (size_t)n), &secret);

	if (r < 0) {
		r = error_set(err, EINVAL, "%s is not one line with a secret", path);
	} else if (body) {
		webhook_sign(secret, span_str(body), signature);
	}
	crypto_wipe(text, (size_t)n);
	free(text);
	return r;
}

int delivery_check_secret(const char *path, uid_t owner, struct error *err)
{
	return sign(path, owner, NULL, NULL, err);
}

static void prepare_run(struct job *job)
{
	struct delivery *d = container_of(job, struct delivery, job);

	if (d->secret_file &&
	    sign(d->secret_file, d->secret_owner, d->body, d->signature, &d->err) < 0) {
		return; /* nothing is sent that could pass for somebody else's */
	}
	if (d->url.tls) {
		tls_trust_load(d->ca_file, &d->trust, &d->err);
	}
}

/* --- on the loop --- */

static void on_answered(void *ud, const struct http_answer *answer)
{
	struct delivery *d = ud;
	int status = answer->status;
	char text[64];

	d->client = NULL;
	if (status / 100 == 2) {
		finish(d, NULL);
		return;
	}
	if (status / 100 == 3) {
		snprintf(text, sizeof(text), "the server answered %d; redirects are not followed",
			 status);
	} else if (status) {
		snprintf(text, sizeof(text), "the server answered %d", status);
	}
	finish(d, status ? text : answer->problem);
}

static void post(struct delivery *d, int fd)
{
	char authority[HTTP_URL_AUTHORITY_MAX];
	const struct http_client_request spec = {
		.authority = authority,
		.target = d->url.target,
		.content_type = d->content_type,
		.header = d->secret_file ? WEBHOOK_SIGNATURE_HEADER : NULL,
		.header_value = d->signature,
		.body = span_str(d->body),
		.trust = d->trust,
		.host = d->url.host,
		.timeout_ms = DELIVERY_ANSWER_MS,
	};

	http_url_authority(&d->url, authority);
	d->client = http_client_send(d->ev, fd, &spec, on_answered, d);
}

static void on_dialled(void *ud, int fd)
{
	struct delivery *d = ud;

	d->dial = NULL;
	if (fd < 0) {
		char text[128];

		snprintf(text, sizeof(text), "cannot connect: %s", strerror(-fd));
		finish(d, text);
	} else {
		post(d, fd);
	}
}

static void on_connected(void *ud, int fd, const char *why)
{
	struct delivery *d = ud;

	d->socks = NULL;
	if (fd < 0) {
		finish(d, why);
	} else {
		post(d, fd);
	}
}

static void connect_to_target(struct delivery *d)
{
	struct sockaddr_storage sa;

	if (d->socks_server) {
		/* One text for both would do; tor keeps apart by the pair. */
		const struct socks_request request = {d->url.host, d->url.port, d->credential,
						      d->credential};

		d->socks = socks_connect(d->ev, d->socks_server, &request, DELIVERY_CONNECT_MS,
					 on_connected, d);
	} else {
		socklen_t len = http_url_loopback(&d->url, &sa);

		d->dial = dial_start(d->ev, (struct sockaddr *)&sa, len, DELIVERY_CONNECT_MS,
				     on_dialled, d);
	}
}

static void prepare_done(struct job *job)
{
	struct delivery *d = container_of(job, struct delivery, job);

	if (!d->cb) {
		delivery_free(d);
	} else if (d->err.code) {
		finish(d, error_text(&d->err));
	} else {
		connect_to_target(d);
	}
}

/* It was checked when it was set; what the database holds is checked again. */
static void check_url(struct delivery *d)
{
	const char *why;

	if (http_url_parse(span_str(d->url_text), &d->url, &why) < 0 ||
	    http_url_check(&d->url, !d->socks_server, &why) < 0) {
		error_set(&d->err, EINVAL, "the URL %s", why);
	}
}

static void nothing_run(struct job *job)
{
	(void)job;
}

struct delivery *delivery_start(struct ev *ev, const struct delivery_spec *spec, delivery_fn *cb,
				void *ud)
{
	struct delivery *d = xnew(struct delivery);

	d->ev = ev;
	d->cb = cb;
	d->ud = ud;
	d->url_text = xstrdup(spec->url);
	d->content_type = xstrdup(spec->content_type);
	d->body = xstrdup(spec->body);
	d->secret_file = dup_or_null(spec->secret_file);
	d->secret_owner = spec->secret_owner;
	d->socks_server = dup_or_null(spec->socks);
	d->credential = dup_or_null(spec->credential);
	d->ca_file = dup_or_null(spec->ca_file);
	check_url(d);
	work_submit(ev->work, WORK_FAST, &d->job, d->err.code ? nothing_run : prepare_run,
		    prepare_done);
	return d;
}

static void on_client_closed(void *ud)
{
	delivery_free(ud);
}

void delivery_cancel(struct delivery *d)
{
	d->cb = NULL;
	if (d->client) {
		http_client_cancel(d->client, on_client_closed, d);
		return;
	}
	if (d->dial) {
		dial_cancel(d->dial);
	} else if (d->socks) {
		socks_cancel(d->socks);
	} else {
		return; /* the job will free it */
	}
	delivery_free(d);
}
