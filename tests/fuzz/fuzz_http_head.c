/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Two readers of one head: whatever ours accepts, llhttp must accept and find
 * the same method, target and fields in. And however it arrives, the verdict stays.
 */
#include <stdlib.h>

#include "http/parser.h"
#include "http/server.h"
#include "proto/base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct seen {
	struct buf target, name, value;
	struct buf all; /* name, LF, value, LF of each */
};

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

static int on_url(llhttp_t *ll, const char *at, size_t n)
{
	buf_add(&((struct seen *)ll->data)->target, at, n);
	return 0;
}

static int on_name(llhttp_t *ll, const char *at, size_t n)
{
	buf_add(&((struct seen *)ll->data)->name, at, n);
	return 0;
}

static int on_value(llhttp_t *ll, const char *at, size_t n)
{
	buf_add(&((struct seen *)ll->data)->value, at, n);
	return 0;
}

static int on_value_complete(llhttp_t *ll)
{
	struct seen *s = ll->data;

	buf_add_span(&s->all, buf_span(&s->name));
	buf_add_char(&s->all, '\n');
	buf_add_span(&s->all, span_trim(buf_span(&s->value)));
	buf_add_char(&s->all, '\n');
	buf_clear(&s->name);
	buf_clear(&s->value);
	return 0;
}

static void compare(struct span text, const struct http_head *head)
{
	struct seen seen = {0};
	struct buf ours = BUF_INIT;
	llhttp_settings_t settings;
	llhttp_t ll;

	llhttp_settings_init(&settings);
	settings.on_url = on_url;
	settings.on_header_field = on_name;
	settings.on_header_value = on_value;
	settings.on_header_value_complete = on_value_complete;
	llhttp_init(&ll, HTTP_REQUEST, &settings);
	ll.data = &seen;
	llhttp_errno_t e = llhttp_execute(&ll, text.p, text.n);

	check(e == HPE_OK || e == HPE_PAUSED_UPGRADE);
	for (size_t i = 0; i < head->n_fields; i++) {
		buf_add_span(&ours, head->fields[i].name);
		buf_add_char(&ours, '\n');
		buf_add_span(&ours, head->fields[i].value);
		buf_add_char(&ours, '\n');
	}
	check(span_eq(buf_span(&ours), buf_span(&seen.all)));
	check(span_eq(head->target, buf_span(&seen.target)));
	check(span_eq(head->method_text, span_str(llhttp_method_name(llhttp_get_method(&ll)))));
	buf_done(&ours);
	buf_done(&seen.target);
	buf_done(&seen.name);
	buf_done(&seen.value);
	buf_done(&seen.all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span bytes = span_of((const char *)data, n);
	struct http_head_scan whole = {0}, pieces = {0};
	ssize_t r = http_head_scan(&whole, bytes), again = 0;

	for (size_t i = 0; i <= n && again == 0; i += 1 + i / 4) {
		again = http_head_scan(&pieces, span_of(bytes.p, i));
	}
	if (again == 0) {
		again = http_head_scan(&pieces, bytes);
	}
	check(again == r || (again == -431 && n >= HTTP_MAX_HEAD));
	if (r <= 0) {
		return 0;
	}
	struct http_field *fields = calloc(whole.fields + 1, sizeof(*fields));
	struct span text = span_of(bytes.p, (size_t)r);
	struct http_parser parser;
	struct http_head head;

	check(fields != NULL);
	if (http_head_parse(text, fields, &head) == 0) {
		check(head.n_fields == whole.fields);
		compare(text, &head);
		check(http_parser_head(&parser, text, &head) == 0);
	}
	free(fields);
	return 0;
}
