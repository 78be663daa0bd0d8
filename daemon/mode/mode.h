/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a service does for its visitors. A mode sees requests and, for storage
 * and reporting, only the callbacks of its host (the service). It knows nothing of
 * Tor, RPC or the database.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "ev/ev.h"
#include "http/req.h"
#include "mode/content.h"
#include "proto/base/error.h"

struct mode; /* each mode's own struct begins with it */

/* A submission that is whole and on the disk and is about to be moved into place. */
struct mode_intent {
	int64_t id;
	const char *staging, *day, *stamp; /* inbox.h says what they are */
};

typedef void mode_pending_fn(void *ud, const struct error *err, const struct mode_intent *intents,
			     size_t n);
typedef void mode_intended_fn(void *ud, const struct error *err, int64_t id);
typedef void mode_finished_fn(void *ud, const struct error *err);

enum mode_transfer_phase {
	MODE_TRANSFER_STARTED,
	MODE_TRANSFER_PROGRESS,
	MODE_TRANSFER_COMPLETED,
	MODE_TRANSFER_CANCELLED,
};

/* What a mode may ask of the service around it. All on the loop. */
struct mode_host {
	/* A new transfer's number, unique in the process. */
	uint64_t (*transfer_id)(void *ud);
	/*
	 * total: HTTP_LENGTH_UNKNOWN if not known. out: to the visitor. path: the
	 * decoded path for the history if filenames are to be logged, else NULL.
	 */
	void (*transfer)(void *ud, uint64_t id, enum mode_transfer_phase phase, bool out,
			 uint64_t bytes, uint64_t total, const char *path);
	/*
	 * So many responses to visitors and bytes of them, which are not worth a
	 * transfer each. May be NULL.
	 */
	void (*served)(void *ud, uint64_t responses, uint64_t bytes);
	/* The service has done its work (autostop): it shall stop, wanted no more. */
	void (*completed)(void *ud);
	/* The service cannot go on (its files are gone): state failed, with this reason. */
	void (*failed)(void *ud, const struct error *why);
	/*
	 * Small things to keep over restarts, by a key of the mode's own (checksums
	 * of files). get answers later, once, never from within; value p NULL: not there.
	 */
	void (*cache_put)(void *ud, const char *key, struct span value);
	void (*cache_get)(void *ud, const char *key, void (*cb)(void *cb_ud, struct span value),
			  void *cb_ud);
	/*
	 * Receive: what shall be moved into place, written down durably; all answer
	 * later, once, never from within. pending: what was not finished, oldest first.
	 */
	void (*inbox_pending)(void *ud, mode_pending_fn *cb, void *cb_ud);
	void (*inbox_intend)(void *ud, const struct mode_intent *intent, mode_intended_fn *cb,
			     void *cb_ud);
	void (*inbox_finish)(void *ud, int64_t id, mode_finished_fn *cb, void *cb_ud);
	/* A submission has come in and is where it belongs; id: its number (submissions.h). */
	void (*submission)(void *ud, uint64_t id, unsigned files, bool message);
	/* What notice says is another. May be NULL. */
	void (*noticed)(void *ud);
	/* Chat: so many people are in the room now. A few times a second at most. */
	void (*members)(void *ud, unsigned n);
	void *ud;
};

struct mode_spec {
	const char *service_name;
	const char *title;     /* NULL: none */
	const json_t *options; /* of this mode, validated, complete with defaults; borrowed */
	const uint8_t *secret; /* 32 bytes, the service's own, stable: keys of validators */
	struct mode_content *content; /* share and website; the mode takes a reference of its own */
	const char *data_dir;         /* receive */
	uid_t data_dir_owner;         /* who chose it; FS_ANY_OWNER: whoever may */
};

struct mode_ops {
	const char *name; /* "share" */
	/* Nothing of what visitors send may stay in memory, nor of what was refused. */
	bool secret;
	/*
	 * Makes the mode ready to serve (looks at its files, off the loop). ready
	 * comes later, once, unless stop was called before: err NULL or why not. Copies spec.
	 */
	struct mode *(*start)(struct ev *ev, const struct mode_spec *spec,
			      const struct mode_host *host,
			      void (*ready)(void *ud, const struct error *err), void *ud);
	void (*request)(struct mode *m, struct http_req *req);
	/*
	 * The service is going down, in peace or at once: visitors who would stay for
	 * ever are sent away. Requests may still come; it may be called again. NULL:
	 * there are none such.
	 */
	void (*closing)(struct mode *m);
	/*
	 * No request is left (the server is closed). stopped comes later, once; then
	 * m is gone. Jobs still running are waited for.
	 */
	void (*stop)(struct mode *m, void (*stopped)(void *ud), void *ud);
	/*
	 * The content is another from now on (publish, add, remove). Who asks after
	 * done sees the new one, whoever is in the middle of a response finishes from the
	 * old; err: nothing has changed. done comes later, once, unless stop was
	 * called before; no second call until then. A reference to content is the
	 * mode's until it serves another, and nobody reads from it any more.
	 * NULL: a mode without content.
	 */
	void (*replace)(struct mode *m, struct mode_content *content,
			void (*done)(void *ud, const struct error *err), void *ud);
	/* Transfers that a drain should wait for. */
	unsigned (*active)(const struct mode *m);
	/* Extra text for a person (warnings: "3 files cannot be read"), or NULL. Borrowed. */
	const char *(*notice)(const struct mode *m);
};

struct mode {
	const struct mode_ops *ops;
};

extern const struct mode_ops mode_share;
extern const struct mode_ops mode_receive;
extern const struct mode_ops mode_website;
extern const struct mode_ops mode_chat; /* in chat/ */
