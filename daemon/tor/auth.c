/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tor/auth.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/fsutil.h"
#include "ev/work.h"
#include "proto/base/alloc.h"
#include "proto/base/codec.h"
#include "proto/base/crypto.h"

#define COOKIE_SIZE     32
#define NONCE_SIZE      32
#define PASSWORD_MAX    1024
#define SYSTEM_UID_LAST 999 /* Debian policy 9.2.2 */

/* The constants of control-spec section 3.24. */
static const char SERVER_TO_CONTROLLER[] =
	"Tor safe cookie authentication server-to-controller hash";
static const char CONTROLLER_TO_SERVER[] =
	"Tor safe cookie authentication controller-to-server hash";

enum method {
	METHOD_NULL = 1 << 0,
	METHOD_PASSWORD = 1 << 1,
	METHOD_COOKIE = 1 << 2,
	METHOD_SAFECOOKIE = 1 << 3,
};

/* Reads a secret on the pool: neither path is ours to trust with the loop's time. */
struct secret_job {
	struct job job;
	struct ctl_auth *owner; /* NULL: cancelled */
	char *path;
	bool is_cookie, distrust;
	struct buf secret;
	struct error err;
};

struct ctl_auth {
	struct ev *ev;
	struct ctl_conn *conn;
	struct ctl_auth_policy policy;
	ctl_auth_fn *cb;
	void *ud;
	unsigned methods;
	char *cookie_file;
	struct secret_job *job;
	uint8_t cookie[COOKIE_SIZE];
	uint8_t client_nonce[NONCE_SIZE];
};

static void auth_free(struct ctl_auth *a)
{
	if (a->job) {
		a->job->owner = NULL;
	}
	crypto_wipe(a->cookie, sizeof(a->cookie));
	free(a->cookie_file);
	free((char *)(uintptr_t)a->policy.password_file);
	free(a);
}

void ctl_auth_cancel(struct ctl_auth *a)
{
	auth_free(a);
}

/* err is taken; NULL: we are in. */
static void finish(struct ctl_auth *a, struct error *err)
{
	ctl_auth_fn *cb = a->cb;
	void *ud = a->ud;

	auth_free(a);
	cb(ud, err);
	if (err) {
		error_done(err);
	}
}

static void fail(struct ctl_auth *a, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void fail(struct ctl_auth *a, int code, const char *fmt, ...)
{
	struct error err = ERROR_INIT;
	struct buf text = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	error_set(&err, code, "%s", text.p ? text.p : "");
	buf_done(&text);
	finish(a, &err);
}

/* --- secrets in files --- */

static int check_cookie_file(const struct stat *st, const struct secret_job *j, struct error *err)
{
	if (!S_ISREG(st->st_mode)) {
		return error_set(err, EINVAL, "tor's cookie file %s is not a regular file",
				 j->path);
	}
	if (st->st_size != COOKIE_SIZE) {
		return error_set(err, EINVAL, "tor's cookie file %s has %lld bytes, not %d",
				 j->path, (long long)st->st_size, COOKIE_SIZE);
	}
	if (j->distrust && st->st_uid != geteuid() && st->st_uid > SYSTEM_UID_LAST) {
		return error_set(err, EPERM,
				 "the cookie file %s belongs to another person, not to a tor of "
				 "the system; name the control port in the configuration to use it",
				 j->path);
	}
	return 0;
}

static void read_cookie(struct secret_job *j)
{
	_cleanup_close_ int fd = fs_open_nofollow(j->path, O_RDONLY);
	char *p = buf_reserve(&j->secret, COOKIE_SIZE);
	struct stat st;
	int r;

	if (fd < 0) {
		error_set(&j->err, -fd, "cannot read tor's cookie file %s: %s%s", j->path,
			  strerror(-fd),
			  fd == -EACCES ? "; the daemon's user must be in the group of the file"
					: "");
		return;
	}
	if (fstat(fd, &st) < 0) {
		error_set(&j->err, errno, "cannot read tor's cookie file %s", j->path);
		return;
	}
	if (check_cookie_file(&st, j, &j->err) < 0) {
		return;
	}
	r = fs_pread_all(fd, p, COOKIE_SIZE, 0);
	if (r < 0) {
		error_set(&j->err, -r, "cannot read tor's cookie file %s: %s", j->path,
			  strerror(-r));
		return;
	}
	j->secret.len = COOKIE_SIZE;
}

static void read_password(struct secret_job *j)
{
	char *text = NULL;
	ssize_t n = fs_read_file(j->path, PASSWORD_MAX, &text);

	if (n < 0) {
		error_set(&j->err, (int)-n, "cannot read the password file %s: %s", j->path,
			  strerror((int)-n));
		return;
	}
	buf_add(&j->secret, text, strcspn(text, "\r\n"));
	crypto_wipe(text, (size_t)n);
	free(text);
}

static void secret_run(struct job *job)
{
	struct secret_job *j = container_of(job, struct secret_job, job);

	if (j->is_cookie) {
		read_cookie(j);
	} else {
		read_password(j);
	}
}

static void got_secret(struct ctl_auth *a, const struct secret_job *j);

static void secret_done(struct job *job)
{
	struct secret_job *j = container_of(job, struct secret_job, job);

	if (j->owner) {
		j->owner->job = NULL;
		got_secret(j->owner, j);
	}
	buf_wipe(&j->secret);
	error_done(&j->err);
	free(j->path);
	free(j);
}

static void read_secret(struct ctl_auth *a, const char *path, bool is_cookie)
{
	struct secret_job *j = xnew(struct secret_job);

	j->owner = a;
	j->path = xstrdup(path);
	j->is_cookie = is_cookie;
	j->distrust = a->policy.distrust;
	a->job = j;
	work_submit(a->ev->work, WORK_FAST, &j->job, secret_run, secret_done);
}

/* --- the last step of each method --- */

static void on_authenticate(void *ud, const struct ctl_reply *reply)
{
	struct ctl_auth *a = ud;

	if (ctl_is_ok(reply)) {
		finish(a, NULL);
		return;
	}
	_cleanup_free_ char *text = ctl_printable(reply->lines[0].text);

	fail(a, EACCES, "tor does not let us in: %s", text);
}

static void authenticate(struct ctl_auth *a, const void *proof, size_t n)
{
	struct buf line = BUF_INIT;
	char *hex;

	buf_add_str(&line, n ? "AUTHENTICATE " : "AUTHENTICATE");
	hex = buf_reserve(&line, 2 * n + 1);
	hex_encode(proof, n, hex);
	line.len += 2 * n;
	ctl_send(a->conn, &line, on_authenticate, a);
}

/* --- SAFECOOKIE --- */

static void cookie_hash(const struct ctl_auth *a, const char *constant,
			const uint8_t server_nonce[NONCE_SIZE], uint8_t ret[SHA256_SIZE])
{
	const struct span parts[] = {
		span_of((const char *)a->cookie, COOKIE_SIZE),
		span_of((const char *)a->client_nonce, NONCE_SIZE),
		span_of((const char *)server_nonce, NONCE_SIZE),
	};

	crypto_hmac_sha256(constant, strlen(constant), parts, ARRAY_SIZE(parts), ret);
}

static void on_challenge(void *ud, const struct ctl_reply *reply)
{
	struct ctl_auth *a = ud;
	struct span text = reply->lines[0].text;
	uint8_t server_nonce[NONCE_SIZE], server_hash[SHA256_SIZE], hash[SHA256_SIZE];

	if (!ctl_is_ok(reply)) {
		_cleanup_free_ char *why = ctl_printable(text);

		fail(a, EPROTO, "tor refuses SAFECOOKIE: %s", why);
		return;
	}
	if (hex_decode(ctl_value(text, "SERVERHASH"), server_hash, sizeof(server_hash)) < 0 ||
	    hex_decode(ctl_value(text, "SERVERNONCE"), server_nonce, sizeof(server_nonce)) < 0) {
		fail(a, EPROTO, "tor's answer to AUTHCHALLENGE makes no sense");
		return;
	}
	cookie_hash(a, SERVER_TO_CONTROLLER, server_nonce, hash);
	if (!crypto_equal(hash, server_hash, sizeof(hash))) {
		fail(a, EPERM,
		     "what listens at the control port does not know tor's cookie: it is not the "
		     "tor that wrote it");
		return;
	}
	cookie_hash(a, CONTROLLER_TO_SERVER, server_nonce, hash);
	authenticate(a, hash, sizeof(hash));
}

static void challenge(struct ctl_auth *a)
{
	char hex[2 * NONCE_SIZE + 1];

	crypto_random(a->client_nonce, sizeof(a->client_nonce));
	hex_encode(a->client_nonce, sizeof(a->client_nonce), hex);
	ctl_sendf(a->conn, on_challenge, a, "AUTHCHALLENGE SAFECOOKIE %s", hex);
}

/* --- choosing --- */

static bool password_possible(const struct ctl_auth *a)
{
	return (a->methods & METHOD_PASSWORD) && a->policy.password_file && !a->policy.distrust;
}

static void got_secret(struct ctl_auth *a, const struct secret_job *j)
{
	if (!ctl_idle(a->conn)) {
		return; /* lost meanwhile: the owner will cancel */
	}
	if (j->err.code && j->is_cookie && password_possible(a)) {
		read_secret(a, a->policy.password_file, false);
		return;
	}
	if (j->err.code) {
		fail(a, j->err.code, "%s", error_text(&j->err));
		return;
	}
	if (!j->is_cookie) {
		authenticate(a, j->secret.p, j->secret.len);
		return;
	}
	memcpy(a->cookie, j->secret.p, COOKIE_SIZE);
	challenge(a);
}

static void choose(struct ctl_auth *a)
{
	if ((a->methods & METHOD_SAFECOOKIE) && a->cookie_file) {
		read_secret(a, a->cookie_file, true);
	} else if (password_possible(a)) {
		read_secret(a, a->policy.password_file, false);
	} else if ((a->methods & METHOD_NULL) && !a->policy.distrust) {
		authenticate(a, NULL, 0);
	} else if (a->methods & METHOD_PASSWORD) {
		fail(a, EACCES,
		     "tor wants a password: name its file as password-file in the section [tor]");
	} else if (a->methods & METHOD_NULL) {
		fail(a, EACCES,
		     "the control port lets anybody in, so that it may be anybody's; name it in "
		     "the "
		     "configuration to use it all the same");
	} else if (a->methods & METHOD_COOKIE) {
		fail(a, EACCES,
		     "tor offers only plain COOKIE authentication, which would give its cookie "
		     "away");
	} else {
		fail(a, EACCES, "tor offers no way to authenticate that is known here");
	}
}

static unsigned parse_methods(struct span list)
{
	static const struct {
		struct span name;
		enum method method;
	} known[] = {
		{{"NULL", 4}, METHOD_NULL},
		{{"HASHEDPASSWORD", 14}, METHOD_PASSWORD},
		{{"COOKIE", 6}, METHOD_COOKIE},
		{{"SAFECOOKIE", 10}, METHOD_SAFECOOKIE},
	};
	unsigned methods = 0;

	while (list.n) {
		struct span name = span_cut(&list, ',');

		for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
			methods |= span_eq(name, known[i].name) ? known[i].method : 0U;
		}
	}
	return methods;
}

static void parse_auth_line(struct ctl_auth *a, struct span text)
{
	struct span file = ctl_value(text, "COOKIEFILE");
	struct buf path = BUF_INIT;

	a->methods |= parse_methods(ctl_value(text, "METHODS"));
	if (file.p && !a->cookie_file && ctl_decode(file, &path) == 0 && path.len &&
	    path.p[0] == '/') {
		a->cookie_file = buf_take(&path);
	}
	buf_done(&path);
}

static void on_protocolinfo(void *ud, const struct ctl_reply *reply)
{
	struct ctl_auth *a = ud;

	if (!ctl_is_ok(reply)) {
		_cleanup_free_ char *why = ctl_printable(reply->lines[0].text);

		fail(a, EPROTO, "tor does not answer PROTOCOLINFO: %s", why);
		return;
	}
	for (size_t i = 0; i < reply->n; i++) {
		if (span_starts(reply->lines[i].text, SPAN("AUTH "))) {
			parse_auth_line(a, reply->lines[i].text);
		}
	}
	choose(a);
}

struct ctl_auth *ctl_auth_begin(struct ev *ev, struct ctl_conn *c,
				const struct ctl_auth_policy *policy, ctl_auth_fn *cb, void *ud)
{
	struct ctl_auth *a = xnew(struct ctl_auth);

	a->ev = ev;
	a->conn = c;
	a->policy = *policy;
	a->policy.password_file = policy->password_file ? xstrdup(policy->password_file) : NULL;
	a->cb = cb;
	a->ud = ud;
	ctl_sendf(c, on_protocolinfo, a, "PROTOCOLINFO 1");
	return a;
}
