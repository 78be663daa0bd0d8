/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The receive mode's own struct: for what it consists of (receive, upload, resumable, intake). */
#pragma once

#include "ev/work.h"
#include "mode/mode.h"
#include "mode/receive/flash.h"
#include "mode/receive/form.h"
#include "mode/receive/inbox.h"
#include "mode/receive/refusal.h"

/* A boundary, names of fields: what a body has beside content that counts. */
#define RECEIVE_FRAMING_SLACK (64u * 1024)

struct resumables;

struct receive {
	struct mode mode;
	struct ev *ev;
	struct mode_host host;
	char *title, *data_dir;
	uid_t data_dir_owner;
	json_t *encrypt_to; /* recipients, until they are used */
	bool files, text;
	uint64_t max_submission; /* bytes of files and message; UINT64_MAX: no limit */
	uint64_t quota;          /* of all in data_dir; likewise */
	uint64_t min_free;
	void (*ready)(void *ud, const struct error *err);
	void *ready_ud;

	struct inbox *inbox;
	struct flashes *flashes;
	struct resumables *resumables;
	uint64_t used;        /* bytes in data_dir, measured and counted */
	uint64_t arrived;     /* bytes of all submissions kept since the start */
	uint64_t measured_ms; /* when */
	bool full;            /* something was refused: measure again */
	uint64_t coming;      /* bytes that have come of submissions on their way */
	int64_t last_us;      /* the time in the last name that was given */
	int trouble;          /* why the last submission could not be kept: 0, or -errno */
	char *notice;         /* of that, or NULL */

	unsigned users;  /* intakes, jobs and calls of the host that are not over */
	unsigned active; /* intakes that do not wait for their sender */
	bool stopping;
	void (*stopped)(void *ud);
	void *stopped_ud;
};

/* One of r->users is gone. */
void receive_user_done(struct receive *r);
/* Microseconds since 1970, each only once. */
int64_t receive_next_us(struct receive *r);
bool receive_over_quota(const struct receive *r, uint64_t more);
/* A submission of so many bytes is kept. */
void receive_count(struct receive *r, uint64_t size);
/*
 * So much was found in data_dir by who began to look when r->arrived was arrived_before. What
 * has arrived since then may or may not be among it, and is counted: rather twice, until the
 * next measurement, than not at all.
 */
void receive_measured(struct receive *r, uint64_t used, uint64_t arrived_before);
/*
 * The last submission failed for a reason that its owner should hear of, -errno, or 0:
 * it was kept. A full disk is none: who sends too much learns that alone.
 */
void receive_tell_trouble(struct receive *r, int error);
/* The head of an answer that nobody keeps; 503: with a time to come back. */
void receive_init_resp(struct http_resp *resp, struct http_req *req, int status);
/* The page, with a result to show. */
void receive_respond_page(struct receive *r, struct http_req *req, int status, struct span flash,
			  bool is_error);

/* POST /upload; ajax: /upload-ajax. */
void upload_request(struct receive *r, struct http_req *req, bool ajax);
/* The largest body that may hold what is accepted. */
uint64_t upload_body_max(const struct receive *r);
/*
 * Adds {"info_flashes": [text]} or {"error_flashes": [text]}; for the last thanks
 * before the service stops "new_body" too, a page for who wants to show one.
 */
void upload_json(struct buf *b, bool is_error, struct span text, bool last);
/* Answers; why is not REFUSED_NOT. */
void upload_refuse(struct receive *r, struct http_req *req, bool ajax, enum refusal why);
