/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Answers: heads, bodies in memory, and the small pages for errors. */
#include <stdio.h>
#include <stdlib.h>

#include "http/conn.h"

/* A body of that size is read and dropped so that the connection can be kept. */
#define DISCARD_CHEAP (64u * 1024)
#define RETRY_AFTER   "30" /* seconds */

static struct http_exchange *exchange_of(struct http_req *req)
{
	return container_of(req, struct http_exchange, req);
}

static struct span reason(int status)
{
	switch (status) {
	case 101:
		return SPAN("101 Switching Protocols");
	case 200:
		return SPAN("200 OK");
	case 201:
		return SPAN("201 Created");
	case 204:
		return SPAN("204 No Content");
	case 206:
		return SPAN("206 Partial Content");
	case 301:
		return SPAN("301 Moved Permanently");
	case 302:
		return SPAN("302 Found");
	case 303:
		return SPAN("303 See Other");
	case 304:
		return SPAN("304 Not Modified");
	case 307:
		return SPAN("307 Temporary Redirect");
	case 308:
		return SPAN("308 Permanent Redirect");
	case 400:
		return SPAN("400 Bad Request");
	case 401:
		return SPAN("401 Unauthorized");
	case 403:
		return SPAN("403 Forbidden");
	case 404:
		return SPAN("404 Not Found");
	case 405:
		return SPAN("405 Method Not Allowed");
	case 408:
		return SPAN("408 Request Timeout");
	case 409:
		return SPAN("409 Conflict");
	case 410:
		return SPAN("410 Gone");
	case 411:
		return SPAN("411 Length Required");
	case 412:
		return SPAN("412 Precondition Failed");
	case 413:
		return SPAN("413 Content Too Large");
	case 414:
		return SPAN("414 URI Too Long");
	case 415:
		return SPAN("415 Unsupported Media Type");
	case 416:
		return SPAN("416 Range Not Satisfiable");
	case 417:
		return SPAN("417 Expectation Failed");
	case 421:
		return SPAN("421 Misdirected Request");
	case 422:
		return SPAN("422 Unprocessable Content");
	case 426:
		return SPAN("426 Upgrade Required");
	case 429:
		return SPAN("429 Too Many Requests");
	case 431:
		return SPAN("431 Request Header Fields Too Large");
	case 501:
		return SPAN("501 Not Implemented");
	case 503:
		return SPAN("503 Service Unavailable");
	case 505:
		return SPAN("505 HTTP Version Not Supported");
	case 507:
		return SPAN("507 Insufficient Storage");
	default:
		return SPAN("500 Internal Server Error");
	}
}

/* --- fields --- */

void http_resp_init(struct http_resp *resp, struct http_req *req, int status)
{
	*resp = (struct http_resp){.status = status, .arena = req->arena};
}

static void add_field(struct http_resp *resp, struct span name, struct span value)
{
	if (resp->n_fields == resp->cap_fields) {
		size_t cap = resp->cap_fields ? resp->cap_fields * 2 : 8;
		struct http_field *fields = arena_alloc(resp->arena, cap * sizeof(*fields));

		if (resp->n_fields) {
			memcpy(fields, resp->fields, resp->n_fields * sizeof(*fields));
		}
		resp->fields = fields;
		resp->cap_fields = cap;
	}
	resp->fields[resp->n_fields++] = (struct http_field){name, value};
}

/* Could it end the line, and begin another? */
static bool is_field_value(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0') {
			return false;
		}
	}
	return true;
}

/* The plain "%s" of most fields needs no printf. */
__attribute__((format(printf, 2, 0))) static struct span format_value(struct arena *arena,
								      const char *fmt, va_list ap)
{
	if (strcmp(fmt, "%s") == 0) {
		return arena_dup(arena, span_str(va_arg(ap, const char *)));
	}
	return arena_vprintf(arena, fmt, ap);
}

void http_resp_field(struct http_resp *resp, const char *name, const char *fmt, ...)
{
	struct span value;
	va_list ap;

	va_start(ap, fmt);
	value = format_value(resp->arena, fmt, ap);
	va_end(ap);
	if (!is_field_value(value)) {
		resp->invalid = true;
		return;
	}
	add_field(resp, span_str(name), value);
}

static bool has_field(const struct http_resp *resp, struct span name)
{
	for (size_t i = 0; i < resp->n_fields; i++) {
		if (span_eq_ci(resp->fields[i].name, name)) {
			return true;
		}
	}
	return false;
}

/* --- heads --- */

struct writer {
	char *at;
};

static void put(struct writer *w, struct span s)
{
	memcpy(w->at, s.p, s.n);
	w->at += s.n;
}

static void put_number(struct writer *w, uint64_t v)
{
	char text[20];
	size_t i = sizeof(text);

	do {
		text[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	put(w, span_of(text + i, sizeof(text) - i));
}

static bool has_no_content(int status)
{
	return status == 101 || status == 204 || status == 304;
}

/* Upgrade is about this connection only, which is to be said (RFC 9110 section 7.8). */
static struct span connection_line(const struct http_exchange *x, const struct http_resp *resp)
{
	bool upgrade = has_field(resp, SPAN("Upgrade"));

	if (x->close) {
		return upgrade ? SPAN("Connection: close, Upgrade\r\n")
			       : SPAN("Connection: close\r\n");
	}
	return upgrade         ? SPAN("Connection: Upgrade\r\n")
	       : x->req.http10 ? SPAN("Connection: keep-alive\r\n")
			       : SPAN("");
}

#define LINES_MAX 160 /* status line, framing and Connection together */

static struct span build_head(struct http_exchange *x, const struct http_resp *resp,
			      uint64_t length)
{
	const struct http_server *s = x->conn->server;
	struct span fields = resp->framed ? s->framed : s->fields;
	size_t n = LINES_MAX + fields.n;

	for (size_t i = 0; i < resp->n_fields; i++) {
		n += resp->fields[i].name.n + resp->fields[i].value.n + 4;
	}
	char *p = arena_alloc(&x->conn->arena, n);
	struct writer w = {p};

	put(&w, SPAN("HTTP/1.1 "));
	put(&w, reason(resp->status));
	put(&w, SPAN("\r\n"));
	put(&w, fields);
	for (size_t i = 0; i < resp->n_fields; i++) {
		put(&w, resp->fields[i].name);
		put(&w, SPAN(": "));
		put(&w, resp->fields[i].value);
		put(&w, SPAN("\r\n"));
	}
	if (x->chunked) {
		put(&w, SPAN("Transfer-Encoding: chunked\r\n"));
	} else if (length != HTTP_LENGTH_UNKNOWN && !has_no_content(resp->status)) {
		put(&w, SPAN("Content-Length: "));
		put_number(&w, length);
		put(&w, SPAN("\r\n"));
	}
	put(&w, connection_line(x, resp));
	put(&w, SPAN("\r\n"));
	return span_of(p, (size_t)(w.at - p));
}

/* Will what is left of the request's body be found and be short? */
static bool rest_is_cheap(const struct http_exchange *x)
{
	switch (x->in) {
	case HTTP_IN_DONE:
		return true;
	case HTTP_IN_WAIT:
		if (x->continue_due) {
			return false; /* he may send it or not: nobody can know */
		}
		break;
	case HTTP_IN_FLOW:
	case HTTP_IN_PAUSED:
	case HTTP_IN_DISCARD:
		break;
	case HTTP_IN_FAILED:
		return false;
	}
	return !x->parser.chunked && x->parser.left <= DISCARD_CHEAP;
}

/* From now on nobody wants the request's body; it is read so that neither side waits for ever. */
static void discard_rest(struct http_exchange *x)
{
	x->sink = NULL;
	x->end_due = false;
	if (x->in == HTTP_IN_WAIT || x->in == HTTP_IN_FLOW || x->in == HTTP_IN_PAUSED) {
		x->in = x->continue_due ? HTTP_IN_FAILED : HTTP_IN_DISCARD;
		x->rate_grace = true;
		http_exchange_restart_clock(x);
	}
}

void http_respond(struct http_req *req, struct http_resp *resp, struct http_body body)
{
	struct http_exchange *x = exchange_of(req);
	struct http_conn *c = x->conn;
	bool unknown = body.length == HTTP_LENGTH_UNKNOWN;
	struct span head;

	if (x->out != HTTP_OUT_WAIT || c->state != HTTP_CONN_OPEN) {
		http_body_drop(&body);
		return;
	}
	if (resp->invalid) {
		http_body_drop(&body);
		http_respond_error(req, 500);
		return;
	}
	x->close = !c->up && (x->close || resp->close || !x->head.keep_alive ||
			      http_server_is_ending(c->server) || (unknown && req->http10) ||
			      !rest_is_cheap(x));
	x->chunked = unknown && !req->http10 && !has_no_content(resp->status);
	head = build_head(x, resp, body.length);
	discard_rest(x);
	http_send_start(x, head, body,
			req->method == HTTP_METHOD_HEAD || has_no_content(resp->status));
	http_conn_kick(c);
}

/* --- bodies --- */

struct http_body http_body_none(void)
{
	return (struct http_body){.kind = HTTP_BODY_NONE};
}

struct http_body http_body_copy(struct http_req *req, struct span bytes)
{
	struct span copy = arena_dup(req->arena, bytes);

	return (struct http_body){.kind = HTTP_BODY_MEM, .length = copy.n, .mem = {.p = copy.p}};
}

struct http_body http_body_take(char *p, size_t n)
{
	return (struct http_body){.kind = HTTP_BODY_MEM,
				  .length = n,
				  .mem = {.p = p, .release = free, .ud = p}};
}

struct http_body http_body_file(int fd, uint64_t offset, uint64_t length, const struct stat *st)
{
	return (struct http_body){.kind = HTTP_BODY_FILE,
				  .length = length,
				  .file = {.fd = fd, .offset = offset, .st = *st}};
}

struct http_body http_body_source(struct http_source *src, uint64_t length)
{
	src->conn = NULL;
	return (struct http_body){.kind = HTTP_BODY_SOURCE, .length = length, .source = src};
}

/* --- pages --- */

void http_respond_text(struct http_req *req, struct http_resp *resp, const char *content_type,
		       struct span text)
{
	http_resp_field(resp, "Content-Type", "%s", content_type);
	http_respond(req, resp, http_body_copy(req, text));
}

/* What a visitor may make of it; never why it came to that. */
static const char *advice(int status)
{
	switch (status) {
	case 400:
		return "The request could not be understood.";
	case 403:
		return "You are not allowed to perform that action at this time.";
	case 404:
		return "There is nothing at this address, or not any more.";
	case 405:
	case 501:
		return "That cannot be done here.";
	case 408:
		return "The request took too long to arrive. Please try again.";
	case 413:
		return "That is more than can be taken here.";
	case 414:
	case 431:
		return "The request is too long.";
	case 416:
		return "There is no such part of the file.";
	case 421:
		return "That address is not served here.";
	case 503:
		return "The service is busy or about to stop. Please try again in a while.";
	case 507:
		return "There is no room left for it here. Please try again later.";
	default:
		return "Sorry, that did not work.";
	}
}

/* The same bytes for a status, whatever its cause. */
static struct span error_page(struct http_req *req, int status)
{
	const char *assets = req->conn->server->assets;
	struct span title = reason(status), style = SPAN(""), icon = SPAN("");

	if (assets) {
		style = arena_printf(req->arena, "<link rel=\"stylesheet\" href=\"%sstyle.css\">\n",
				     assets);
		icon = arena_printf(req->arena,
				    "<img src=\"%sicon.svg\" alt=\"\" width=\"36\" height=\"36\">",
				    assets);
	}
	return arena_printf(
		req->arena,
		"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
		"<meta name=\"color-scheme\" content=\"light dark\">\n"
		"<title>OnionShare: " SPAN_FMT "</title>\n" SPAN_FMT "</head>\n"
		"<body>\n<header>" SPAN_FMT "<h1>" SPAN_FMT "</h1></header>\n"
		"<main><div class=\"note\"><p>%s</p></div></main>\n</body>\n</html>\n",
		SPAN_ARG(title), SPAN_ARG(style), SPAN_ARG(icon), SPAN_ARG(title), advice(status));
}

void http_respond_error_fields(struct http_req *req, struct http_resp *resp)
{
	struct span page = error_page(req, resp->status);

	if (resp->status == 503 && !has_field(resp, SPAN("Retry-After"))) {
		http_resp_field(resp, "Retry-After", "%s", RETRY_AFTER);
	}
	if (resp->invalid) {
		http_resp_init(resp, req, 500);
		page = error_page(req, 500);
	}
	http_resp_field(resp, "Content-Type", "%s", "text/html; charset=utf-8");
	http_resp_field(resp, "Cache-Control", "%s", "no-store");
	http_respond(req, resp,
		     (struct http_body){.kind = HTTP_BODY_MEM,
					.length = page.n,
					.mem = {.p = page.p}});
}

void http_respond_error(struct http_req *req, int status)
{
	struct http_resp resp;

	http_resp_init(&resp, req, status);
	http_respond_error_fields(req, &resp);
}

void http_respond_method(struct http_req *req, const char *allow)
{
	struct http_resp resp;

	http_resp_init(&resp, req, 405);
	http_resp_field(&resp, "Allow", "%s", allow);
	http_respond_error_fields(req, &resp);
}
