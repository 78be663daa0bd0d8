/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The opening handshake (RFC 6455 section 4.2). */
#include "http/ws/handshake.h"

#include "http/head.h"
#include "proto/base/codec.h"
#include "proto/base/crypto.h"

#define KEY_BYTES 16
#define KEY_LEN   BASE64_LEN(KEY_BYTES)
#define GUID      "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

static bool lists(const struct http_req *req, struct span name, struct span wanted)
{
	for (size_t i = 0; i < req->n_fields; i++) {
		struct span rest = req->fields[i].value, member;

		if (!span_eq_ci(req->fields[i].name, name)) {
			continue;
		}
		while (http_list_next(&rest, &member)) {
			if (span_eq_ci(member, wanted)) {
				return true;
			}
		}
	}
	return false;
}

static bool asks_for_websocket(const struct http_req *req)
{
	return !req->http10 && lists(req, SPAN("Connection"), SPAN("Upgrade")) &&
	       lists(req, SPAN("Upgrade"), SPAN("websocket"));
}

/*
 * Another site's page may open a WebSocket to us without asking: the Origin is
 * all that tells (section 10.2). Other than with forms, browsers send the true
 * one here, and "null" is somebody who hides his.
 */
static bool is_foreign(const struct http_req *req)
{
	for (size_t i = 0; i < req->n_fields; i++) {
		if (span_eq_ci(req->fields[i].name, SPAN("Origin")) &&
		    span_eq(req->fields[i].value, SPAN("null"))) {
			return true;
		}
	}
	return http_req_cross_site(req);
}

static bool has_key(const struct http_req *req)
{
	struct span key = http_req_field(req, SPAN("Sec-WebSocket-Key"));
	uint8_t bytes[KEY_BYTES];

	return http_req_count(req, SPAN("Sec-WebSocket-Key")) == 1 && key.n == KEY_LEN &&
	       base64_decode(key, bytes, sizeof(bytes)) == 0;
}

int ws_handshake_judge(const struct http_req *req)
{
	static const struct span version = SPAN("Sec-WebSocket-Version");

	if (req->method != HTTP_METHOD_GET) {
		return 405;
	}
	if (is_foreign(req)) {
		return 403;
	}
	if (!asks_for_websocket(req)) {
		return 426;
	}
	if (http_req_count(req, version) != 1 || !has_key(req) || req->has_body) {
		return 400;
	}
	return span_eq(http_req_field(req, version), SPAN(WS_VERSION)) ? 0 : 426;
}

void ws_handshake_refuse(struct http_req *req, int status)
{
	struct http_resp resp;

	if (status == 405) {
		http_respond_method(req, "GET");
		return;
	}
	http_resp_init(&resp, req, status);
	if (status == 426) {
		http_resp_field(&resp, "Upgrade", "%s", "websocket");
		http_resp_field(&resp, "Sec-WebSocket-Version", "%s", WS_VERSION);
	}
	http_respond_error_fields(req, &resp);
}

void ws_handshake_answer(struct http_req *req, struct http_resp *ret)
{
	struct span key = http_req_field(req, SPAN("Sec-WebSocket-Key"));
	char accept[BASE64_LEN(SHA1_SIZE) + 1], text[KEY_LEN + sizeof(GUID) - 1];
	uint8_t digest[SHA1_SIZE];

	memcpy(text, key.p, KEY_LEN);
	memcpy(text + KEY_LEN, GUID, sizeof(GUID) - 1);
	crypto_sha1(span_of(text, sizeof(text)), digest);
	base64_encode(digest, sizeof(digest), accept);
	http_resp_init(ret, req, 101);
	http_resp_field(ret, "Upgrade", "%s", "websocket");
	http_resp_field(ret, "Sec-WebSocket-Accept", "%s", accept);
}
