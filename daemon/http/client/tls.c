/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/client/tls.h"

#include <errno.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#include <stdio.h>
#include <stdlib.h>
#if MBEDTLS_VERSION_NUMBER >= 0x03000000 && defined(MBEDTLS_PSA_CRYPTO_C)
#include <psa/crypto.h>
#define NEEDS_PSA 1 /* TLS 1.3 */
#else
#define NEEDS_PSA 0
#endif

#include "proto/base/alloc.h"
#include "proto/base/crypto.h"

/* What the library cannot do without memory cannot be done at all. */
static void must(int ret, const char *what)
{
	if (ret != 0) {
		fprintf(stderr, "the TLS library failed: %s (-0x%04x)\n", what, (unsigned)-ret);
		abort();
	}
}

/* --- trust --- */

struct tls_trust {
	mbedtls_x509_crt chain;
};

static const char *const system_bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine, Arch */
	"/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora */
	"/etc/ssl/ca-bundle.pem",             /* openSUSE */
	"/etc/ssl/cert.pem",
};

/* Certificates that the library cannot read are left out; one good one is needed. */
static int load(struct tls_trust *t, const char *path, struct error *err)
{
	int r = mbedtls_x509_crt_parse_file(&t->chain, path);

	if (r == MBEDTLS_ERR_PK_FILE_IO_ERROR) {
		return error_set(err, ENOENT, "cannot read the certificates of authorities in %s",
				 path);
	}
	if (r < 0 || t->chain.version == 0) {
		return error_set(err, EBADMSG, "%s has no certificate that can be used", path);
	}
	return 0;
}

int tls_trust_load(const char *path, struct tls_trust **ret, struct error *err)
{
	struct tls_trust *t = xnew(struct tls_trust);
	size_t n = path ? 1 : ARRAY_SIZE(system_bundles);
	int r = -ENOENT;

	mbedtls_x509_crt_init(&t->chain);
	for (size_t i = 0; i < n && r == -ENOENT; i++) {
		r = load(t, path ? path : system_bundles[i], err);
	}
	if (r < 0) {
		tls_trust_free(t);
		return path || r != -ENOENT
			       ? r
			       : error_set(err, ENOENT,
					   "this machine has no certificates of authorities to "
					   "hold an https server against: install ca-certificates");
	}
	if (err) {
		error_done(err); /* of a place where there was none */
	}
	*ret = t;
	return 0;
}

void tls_trust_free(struct tls_trust *t)
{
	if (t) {
		mbedtls_x509_crt_free(&t->chain);
		free(t);
	}
}

/* --- the io --- */

struct io_tls {
	struct http_io io;
	struct http_io *below;
	mbedtls_ssl_context ssl;
	mbedtls_ssl_config conf;
	enum { TLS_HANDSHAKE, TLS_OPEN, TLS_FAILED } state;
	unsigned wanted; /* above */
	char problem[128];
};

static struct io_tls *self_of(struct http_io *io)
{
	return container_of(io, struct io_tls, io);
}

static int random_bytes(void *unused, unsigned char *ret, size_t n)
{
	(void)unused;
	crypto_random(ret, n);
	return 0;
}

static int bio_send(void *ctx, const unsigned char *p, size_t n)
{
	struct io_tls *t = ctx;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
	ssize_t r = t->below->ops->writev(t->below, &iov, 1);

	if (r == -EAGAIN) {
		return MBEDTLS_ERR_SSL_WANT_WRITE;
	}
	return r < 0 ? MBEDTLS_ERR_NET_CONN_RESET : (int)r;
}

static int bio_recv(void *ctx, unsigned char *p, size_t n)
{
	struct io_tls *t = ctx;
	ssize_t r = t->below->ops->read(t->below, p, n);

	if (r == -EAGAIN) {
		return MBEDTLS_ERR_SSL_WANT_READ;
	}
	return r < 0 ? MBEDTLS_ERR_NET_CONN_RESET : (int)r;
}

static const char *certificate_fault(uint32_t flags)
{
	if (flags & MBEDTLS_X509_BADCERT_EXPIRED) {
		return "has expired";
	}
	if (flags & MBEDTLS_X509_BADCERT_FUTURE) {
		return "is not valid yet (is this machine's clock right?)";
	}
	if (flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) {
		return "is not signed by an authority that this machine trusts";
	}
	if (flags & MBEDTLS_X509_BADCERT_CN_MISMATCH) {
		return "is for another name";
	}
	return "is not valid";
}

static void fault(struct io_tls *t, int r)
{
	uint32_t flags = mbedtls_ssl_get_verify_result(&t->ssl);
	bool early = t->state == TLS_HANDSHAKE;

	t->state = TLS_FAILED;
	if (r == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED) {
		snprintf(t->problem, sizeof(t->problem), "the server's certificate %s",
			 certificate_fault(flags));
	} else if (r == MBEDTLS_ERR_NET_CONN_RESET || r == MBEDTLS_ERR_SSL_CONN_EOF) {
		snprintf(t->problem, sizeof(t->problem),
			 early ? "the server ended the connection within the TLS handshake"
			       : "the connection to the server broke");
	} else {
		snprintf(t->problem, sizeof(t->problem), "TLS failed (mbedtls error -0x%04x)",
			 (unsigned)-r);
	}
}

/* What is to be watched below: in the handshake what TLS needs, later what those above want. */
static void watch(struct io_tls *t, unsigned events)
{
	t->below->ops->want(t->below, events);
}

static void shake_hands(struct io_tls *t)
{
	int r = mbedtls_ssl_handshake(&t->ssl);

	if (r == MBEDTLS_ERR_SSL_WANT_READ) {
		watch(t, HTTP_IO_READ);
	} else if (r == MBEDTLS_ERR_SSL_WANT_WRITE) {
		watch(t, HTTP_IO_WRITE);
	} else {
		if (r == 0) {
			t->state = TLS_OPEN;
		} else {
			fault(t, r);
		}
		watch(t, t->wanted);
	}
}

static void below_ready(void *ud, unsigned events)
{
	struct io_tls *t = ud;

	if (t->state == TLS_HANDSHAKE) {
		if (events & HTTP_IO_GONE) {
			fault(t, MBEDTLS_ERR_NET_CONN_RESET);
		} else {
			shake_hands(t);
		}
		if (t->state == TLS_HANDSHAKE) {
			return;
		}
		events |= t->wanted;
	}
	if (events) {
		t->io.ready(t->io.ud, events);
	}
}

static ssize_t tls_read(struct http_io *io, void *p, size_t n)
{
	struct io_tls *t = self_of(io);
	int r;

	if (t->state == TLS_HANDSHAKE) {
		return -EAGAIN;
	}
	if (t->state == TLS_FAILED) {
		return -EPROTO;
	}
	do {
		r = mbedtls_ssl_read(&t->ssl, p, n);
#ifdef MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET
	} while (r == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET);
#else
	} while (false);
#endif
	if (r >= 0) {
		return r;
	}
	if (r == MBEDTLS_ERR_SSL_WANT_READ) {
		return -EAGAIN;
	}
	/* Whether something is missing is told by what is inside. */
	if (r == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY || r == MBEDTLS_ERR_SSL_CONN_EOF) {
		return 0;
	}
	fault(t, r);
	return -EPROTO;
}

/* After -EAGAIN the same bytes have to come again. */
static ssize_t tls_writev(struct http_io *io, const struct iovec *iov, int n)
{
	struct io_tls *t = self_of(io);

	if (t->state == TLS_HANDSHAKE) {
		return -EAGAIN;
	}
	if (t->state == TLS_FAILED || n < 1) {
		return -EPROTO;
	}
	int r = mbedtls_ssl_write(&t->ssl, iov[0].iov_base, iov[0].iov_len);

	if (r >= 0) {
		return r;
	}
	if (r == MBEDTLS_ERR_SSL_WANT_WRITE) {
		return -EAGAIN;
	}
	fault(t, r);
	return -EPROTO;
}

static void tls_want(struct http_io *io, unsigned events)
{
	struct io_tls *t = self_of(io);

	t->wanted = events;
	if (t->state != TLS_HANDSHAKE) {
		watch(t, events);
	}
}

static void tls_shutdown(struct http_io *io)
{
	struct io_tls *t = self_of(io);

	mbedtls_ssl_close_notify(&t->ssl); /* as far as it goes at once */
	t->below->ops->shutdown(t->below);
}

static uint64_t tls_unsent(struct http_io *io)
{
	struct io_tls *t = self_of(io);

	return t->below->ops->unsent(t->below);
}

static void below_closed(void *ud)
{
	struct io_tls *t = ud;
	void (*closed)(void *) = t->io.closed;
	void *closed_ud = t->io.ud;

	mbedtls_ssl_free(&t->ssl);
	mbedtls_ssl_config_free(&t->conf);
	free(t);
	closed(closed_ud);
}

static void tls_close(struct http_io *io, bool reset)
{
	struct io_tls *t = self_of(io);

	if (!reset && t->state == TLS_OPEN) {
		mbedtls_ssl_close_notify(&t->ssl);
	}
	t->below->ops->close(t->below, reset);
}

static const struct http_io_ops tls_ops = {
	.read = tls_read,
	.writev = tls_writev,
	.want = tls_want,
	.shutdown = tls_shutdown,
	.unsent = tls_unsent,
	.close = tls_close,
};

static void configure(struct io_tls *t, const struct tls_trust *trust, const char *host)
{
	must(mbedtls_ssl_config_defaults(&t->conf, MBEDTLS_SSL_IS_CLIENT,
					 MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT),
	     "configuration");
#if MBEDTLS_VERSION_NUMBER < 0x03000000
	/* Its defaults still take 1.0; later ones know nothing below 1.2. */
	mbedtls_ssl_conf_min_version(&t->conf, MBEDTLS_SSL_MAJOR_VERSION_3,
				     MBEDTLS_SSL_MINOR_VERSION_3);
#endif
	mbedtls_ssl_conf_authmode(&t->conf, MBEDTLS_SSL_VERIFY_REQUIRED);
	mbedtls_ssl_conf_ca_chain(&t->conf, (mbedtls_x509_crt *)(uintptr_t)&trust->chain, NULL);
	mbedtls_ssl_conf_rng(&t->conf, random_bytes, NULL);
	must(mbedtls_ssl_setup(&t->ssl, &t->conf), "setup");
	must(mbedtls_ssl_set_hostname(&t->ssl, host), "host name");
	mbedtls_ssl_set_bio(&t->ssl, t, bio_send, bio_recv, NULL);
}

struct http_io *http_io_tls_new(struct http_io *below, const struct tls_trust *trust,
				const char *host)
{
	struct io_tls *t = xnew(struct io_tls);

#if NEEDS_PSA
	must(psa_crypto_init(), "PSA"); /* does nothing the second time */
#endif
	t->io.ops = &tls_ops;
	t->below = below;
	below->ready = below_ready;
	below->closed = below_closed;
	below->ud = t;
	mbedtls_ssl_init(&t->ssl);
	mbedtls_ssl_config_init(&t->conf);
	configure(t, trust, host);
	watch(t, HTTP_IO_WRITE); /* ours is the first word */
	return &t->io;
}

const char *http_io_tls_problem(struct http_io *io)
{
	struct io_tls *t = self_of(io);

	return t->state == TLS_FAILED ? t->problem : NULL;
}
