/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Submissions whose body comes in pieces, each in a request of its own, so that
 * a broken connection costs little (draft-ietf-httpbis-resumable-upload;
 * docs/upload.md says what of it). The whole form travels like that. What has come
 * is with the intake: nothing of it can outlive the daemon, and an encrypted
 * submission needs no plain copy to wait in.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "http/content/multipart.h"
#include "mode/receive/receive.h"

#define RESUMABLE_PATH "/upload-ajax/" /* and the token */

struct resumable_limits {
	unsigned max;       /* of a service at once, with those whose answer is kept */
	uint64_t life_ms;   /* without a new byte */
	uint64_t answer_ms; /* the answer of a finished one is kept */
	/* Without a new byte; then it gives way when there are too many, or when room is short. */
	uint64_t patience_ms;
	uint64_t empty_ms; /* likewise, when no byte has come at all */
	uint64_t tick_ms;  /* looked for that often */
};

extern const struct resumable_limits resumable_limits_default;

struct resumables *resumables_new(struct receive *r, const struct resumable_limits *limits);
/*
 * All are given up. The set frees itself when nothing of it is left to do, and
 * is one of r's users until then.
 */
void resumables_close(struct resumables *set);

/*
 * Room is short: those that stood still for too long give theirs back. True: there were such;
 * what they take up in r->coming counts no more, on the disk it is gone soon. NULL: closed.
 */
bool resumables_make_room(struct resumables *set);

/* Is this POST the beginning of one (Upload-Complete: ?0)? */
bool resumable_is_first(const struct http_req *req);
/* Its head was judged already. */
void resumable_create(struct receive *r, struct http_req *req,
		      const struct multipart_boundary *boundary);
/* Any request for a path below RESUMABLE_PATH. */
void resumable_request(struct receive *r, struct http_req *req);
