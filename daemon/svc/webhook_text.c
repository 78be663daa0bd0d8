/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "svc/webhook_text.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/base/codec.h"
#include "proto/base/crypto.h"
#include "proto/units.h"

static char *text_body(const struct webhook_event *event)
{
	struct buf b = BUF_INIT;

	if (event->files) {
		buf_printf(&b, "%u file%s", event->files, event->files == 1 ? "" : "s");
	}
	if (event->message) {
		buf_add_str(&b, event->files ? " and a text message" : "A text message");
	}
	buf_add_str(&b, " submitted to OnionShare");
	return buf_take(&b);
}

/* The id is made up: it tells a receiver which reports are the same, and nothing else. */
static char *json_body(const struct webhook_event *event)
{
	char id[17], time[UNITS_TIME_TEXT];
	uint8_t random[8];

	crypto_random(random, sizeof(random));
	hex_encode(random, sizeof(random), id);
	units_print_time(event->at_ms - event->at_ms % 60000, time);
	json_t *o = json_pack("{s:s, s:s, s:s, s:i, s:b, s:s}", "event", "submission", "service",
			      event->service, "id", id, "files", (int)event->files, "message",
			      event->message, "time", time);
	char *text = json_dumps(o, JSON_COMPACT);

	json_decref(o);
	return text;
}

char *webhook_body(enum webhook_format format, const struct webhook_event *event)
{
	return format == WEBHOOK_JSON ? json_body(event) : text_body(event);
}

const char *webhook_content_type(enum webhook_format format)
{
	return format == WEBHOOK_JSON ? "application/json" : "text/plain; charset=utf-8";
}

int webhook_format_parse(const char *name, enum webhook_format *ret)
{
	if (strcmp(name, "text") == 0) {
		*ret = WEBHOOK_TEXT;
		return 0;
	}
	if (strcmp(name, "json") == 0) {
		*ret = WEBHOOK_JSON;
		return 0;
	}
	return -EINVAL;
}

void webhook_sign(struct span secret, struct span body, char ret[WEBHOOK_SIGNATURE_LEN + 1])
{
	char hex[2 * SHA256_SIZE + 1];
	uint8_t mac[SHA256_SIZE];

	crypto_hmac_sha256(secret.p, secret.n, &body, 1, mac);
	hex_encode(mac, sizeof(mac), hex);
	snprintf(ret, WEBHOOK_SIGNATURE_LEN + 1, "sha256=%s", hex);
}

int webhook_secret_parse(struct span text, struct span *ret)
{
	if (text.n && text.p[text.n - 1] == '\n') {
		text.n--;
	}
	if (text.n && text.p[text.n - 1] == '\r') {
		text.n--;
	}
	if (text.n == 0 || text.n > WEBHOOK_SECRET_MAX || memchr(text.p, '\n', text.n)) {
		return -EINVAL;
	}
	*ret = text;
	return 0;
}
