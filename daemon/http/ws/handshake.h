/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private to this folder: the opening handshake of a WebSocket (RFC 6455 section 4.2). */
#pragma once

#include "http/req.h"

#define WS_VERSION "13"

/* 0, or the status to refuse it with: 400, 403, 405 or 426. */
int ws_handshake_judge(const struct http_req *req);
void ws_handshake_refuse(struct http_req *req, int status);
/* The 101 of a request that was judged to be good. */
void ws_handshake_answer(struct http_req *req, struct http_resp *ret);
