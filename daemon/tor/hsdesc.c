/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tor/hsdesc.h"

#include <errno.h>

#include "proto/base/codec.h"

#define HOUR              INT64_C(3600)
#define CERT_HOURS        54
#define LIFETIME_MIN      30u /* minutes, as the specification has them */
#define LIFETIME_MAX      720u
#define CERT_VERSION      1
#define CERT_TYPE_SIGNING 8 /* cert-spec: of a descriptor's signing key */

static struct span next_line(struct span *rest)
{
	struct span line = span_cut(rest, '\n');

	if (line.n > 0 && line.p[line.n - 1] == '\r') {
		line.n--;
	}
	return line;
}

/* The text behind "keyword ". */
static bool take_value(struct span line, struct span keyword, struct span *ret)
{
	if (!span_starts(line, keyword)) {
		return false;
	}
	*ret = span_from(line, keyword.n);
	return true;
}

/* VERSION TYPE EXPIRATION[4], hours (cert-spec, 2.1): the first eight digits of base64. */
static int read_cert(struct span *rest, int64_t *ret)
{
	uint8_t head[6];
	struct span digits;

	if (!span_eq(next_line(rest), SPAN("-----BEGIN ED25519 CERT-----"))) {
		return -EINVAL;
	}
	digits = next_line(rest);
	if (digits.n < 8 || base64_decode(span_of(digits.p, 8), head, sizeof(head)) < 0 ||
	    head[0] != CERT_VERSION || head[1] != CERT_TYPE_SIGNING) {
		return -EINVAL;
	}
	*ret = HOUR * ((int64_t)head[2] << 24 | head[3] << 16 | head[4] << 8 | head[5]);
	return 0;
}

int hsdesc_parse(struct span text, struct hsdesc *ret)
{
	struct hsdesc d = {0};
	bool has_lifetime = false, has_revision = false, has_cert = false;
	struct span value;
	uint64_t minutes;

	if (!span_eq(next_line(&text), SPAN("hs-descriptor 3"))) {
		return -EINVAL;
	}
	while (text.n) {
		struct span line = next_line(&text);
		int r = 0;

		if (span_eq(line, SPAN("superencrypted"))) {
			break;
		}
		if (take_value(line, SPAN("descriptor-lifetime "), &value)) {
			r = has_lifetime ? -EINVAL : span_u64(value, LIFETIME_MAX, &minutes);
			if (r == 0 && minutes >= LIFETIME_MIN) {
				has_lifetime = true;
				d.lifetime = (unsigned)minutes * 60;
			}
		} else if (take_value(line, SPAN("revision-counter "), &value)) {
			r = has_revision ? -EINVAL : span_u64(value, INT64_MAX, &d.revision);
			has_revision = true;
		} else if (span_eq(line, SPAN("descriptor-signing-key-cert"))) {
			r = has_cert ? -EINVAL : read_cert(&text, &d.expires);
			has_cert = true;
		}
		if (r < 0) {
			return -EINVAL;
		}
	}
	if (!has_lifetime || !has_revision || !has_cert) {
		return -EINVAL;
	}
	*ret = d;
	return 0;
}

bool hsdesc_published(const struct hsdesc *d, enum hsdesc_maker maker, int64_t now,
		      int64_t *ret_from, int64_t *ret_to)
{
	int64_t hour = d->expires - CERT_HOURS * HOUR;
	int64_t from = maker == HSDESC_TOR ? hour - HOUR : hour;

	if (from > now) {
		return false;
	}
	*ret_from = from;
	*ret_to = from + HOUR < now ? from + HOUR : now;
	return true;
}
