/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/alloc.h"
#include "proto/base/crypto.h"

int identities_parse(struct span text, const char *path, struct identities *ret, struct error *err)
{
	unsigned number = 0;

	while (text.p) {
		struct span line = span_cut(&text, '\n');
		struct error why = ERROR_INIT;

		number++;
		if (span_ends(line, SPAN("\r"))) {
			line.n--;
		}
		line = span_trim(line);
		if (line.n == 0 || line.p[0] == '#') {
			continue;
		}
		if (number == 1 && span_starts(line, SPAN("age-encryption.org/"))) {
			return error_set(err, EINVAL,
					 "%s is encrypted itself: 'age -d' it, and give what comes "
					 "out as --identity -",
					 path);
		}
		if (ret->n == IDENTITIES_MAX) {
			return error_set(err, EINVAL, "%s: more than %u identities", path,
					 IDENTITIES_MAX);
		}
		if (age_parse_identity(line, &ret->all[ret->n], &why) < 0) {
			error_set(err, EINVAL,
				  "%s, line %u: %s; a line begins with AGE-SECRET-KEY-1, as "
				  "age-keygen writes it",
				  path, number, error_text(&why));
			error_done(&why);
			return -EINVAL;
		}
		ret->n++;
	}
	return ret->n ? 0 : error_set(err, EINVAL, "%s: there is no identity in it", path);
}

/* At most max bytes, or -EFBIG. */
static ssize_t read_all(int fd, char *p, size_t max)
{
	size_t n = 0;

	for (;;) {
		ssize_t got = read(fd, p + n, max - n);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			return got < 0 ? -errno : (ssize_t)n;
		}
		n += (size_t)got;
		if (n == max) {
			return -EFBIG;
		}
	}
}

int identities_read(const char *path, struct identities *ret, struct error *err)
{
	bool is_stdin = strcmp(path, "-") == 0;
	_cleanup_close_ int fd = is_stdin ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		return error_set(err, errno, "cannot read %s: %s", path, strerror(errno));
	}
	char *text = xmalloc(IDENTITIES_FILE_MAX);
	ssize_t n = read_all(fd, text, IDENTITIES_FILE_MAX);
	int r = n < 0 ? error_set(err, (int)-n, "cannot read %s: %s", path, strerror((int)-n))
		      : identities_parse(span_of(text, (size_t)n),
					 is_stdin ? "standard input" : path, ret, err);

	crypto_wipe(text, IDENTITIES_FILE_MAX);
	free(text);
	return r;
}

void identities_wipe(struct identities *ids)
{
	crypto_wipe(ids, sizeof(*ids));
}
