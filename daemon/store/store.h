/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is kept: one SQLite database (STATE/onionshared.db) on a thread of its
 * own. Calls copy their arguments, run in order, and answer on the loop, once,
 * never from within. Secrets are sealed before they reach SQLite
 * (ChaCha20-Poly1305; service id and field name as associated data).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "ev/ev.h"
#include "proto/base/error.h"
#include "proto/base/span.h"

#define STORE_QUEUE_MAX 4096 /* requests; above: -EBUSY through the callback's error */
/* Entries of history, counters and cache that wait to be written together; above: dropped, and
 * the history says how many of its own. */
#define STORE_LAZY_MAX   4096
#define STORE_LAZY_BYTES (16u << 20)
#define STORE_LAZY_MS    200

#define STORE_SERVICES_MAX     10000
#define STORE_KEYS_MAX         256        /* of a service */
#define STORE_JSON_MAX         (1u << 20) /* bytes of a service's options, of its paths */
#define STORE_DETAILS_MAX      4096       /* bytes of an entry's details; above: left out */
#define STORE_HISTORY_LIST_MAX 1000       /* rows of an answer */
#define STORE_CACHE_KEY_MAX    1024
#define STORE_CACHE_VALUE_MAX  (1u << 20) /* above: not kept */
#define STORE_CACHE_ROWS       65536      /* of all services */
#define STORE_CACHE_BYTES      (32 << 20)

#define STORE_SECRET_SIZE 32

struct store;

struct store_key { /* a person's key (client authorization) */
	char *label;
	bool has_private;
	uint8_t private_key[32];
	uint8_t public_key[32];
};

/* One saved service. Everything is owned by the row; service_row_free wipes. */
struct service_row {
	int64_t id; /* 0: not saved yet */
	char *name;
	char *mode;      /* "share" */
	json_t *options; /* what was set, by option name; the rest are defaults */
	json_t *paths;   /* array of strings (content) or NULL */
	/*
	 * Beside paths, an object for each, or NULL: nothing is to be said of any.
	 * "copy": what is served instead of the path, beneath STATE/content/;
	 * "owner": the user who chose it, and may show only what he could read himself.
	 * Without paths: an object, by the name of an option that is a path: its owner likewise.
	 */
	json_t *sources;
	unsigned layout; /* enum mode_layout */
	bool wanted;     /* started, comes back after a restart */
	char *reason;    /* why it stopped by itself ("completed"), or NULL */
	char *onion;     /* 56 characters, or NULL: not made yet */
	bool has_onion_key;
	uint8_t onion_key[64];
	/* Of validators. All zero: made when first saved, and kept by later puts. */
	uint8_t secret[32];
	uint16_t port; /* with --local-only; 0: not chosen yet */
	struct store_key *keys;
	size_t n_keys;
	int64_t created_ms;        /* wall time */
	int64_t start_ms, stop_ms; /* of a wanted one: when it does so by itself; 0: not */
	int64_t completed;         /* transfers */
	int64_t bytes_in, bytes_out;
};

void service_row_free(struct service_row *row);
struct service_row *service_row_copy(const struct service_row *row);

struct store_config {
	const char *state_dir; /* made if missing, 0700 */
	/* 32 bytes from systemd's credential, or NULL: STATE/secret.key, made at first start */
	const uint8_t *secret;
	/*
	 * The database is open, and no thread of it there yet: what a thread must not
	 * do any more is forbidden here. dirs: the data directories of its services. May be NULL.
	 */
	void (*opened)(void *ud, char *const *dirs, size_t n);
	void *opened_ud;
};

/* For that credential: a file of 32 raw bytes or 64 hex digits. 0 or -errno with err set. */
int store_secret_read(const char *path, uint8_t ret[STORE_SECRET_SIZE], struct error *err);

/*
 * At start-up, on the loop thread, blocking: lock of the state directory (one
 * daemon each: -EADDRINUSE), secret, database, migrations. Refusals say what to
 * do; nothing is ever overwritten or made anew because it could not be read.
 * *ret_exit: the exit status for main (sysexits: 69, 71, 73, 77, 78).
 */
int store_open(struct ev *ev, const struct store_config *config, struct store **ret,
	       struct error *err, int *ret_exit);
/* Finishes what is queued, closes, unlocks; then closed is called and s is gone. */
void store_close(struct store *s, void (*closed)(void *ud), void *ud);

typedef void store_done_fn(void *ud, const struct error *err);

/* Answered by the database's thread when it has done all that was asked before. */
void store_ping(struct store *s, store_done_fn *cb, void *ud);

/* rows: an array of n, the callback's to keep (service_row_free each, then free). Rows that
 * cannot be read or unsealed are reported in broken[] (borrowed) and left alone: only
 * store_service_delete touches them. */
struct store_broken {
	int64_t id;
	char *name; /* NULL: not even that can be read */
	char *why;
};
typedef void store_load_fn(void *ud, const struct error *err, struct service_row **rows, size_t n,
			   const struct store_broken *broken, size_t n_broken);
void store_services_load(struct store *s, store_load_fn *cb, void *ud);
/*
 * Inserts (row->id 0) or updates the whole row, keys included, in one
 * transaction, durable (synchronous=FULL) before done. ret id: for an insert.
 */
typedef void store_put_fn(void *ud, const struct error *err, int64_t id);
void store_service_put(struct store *s, const struct service_row *row, store_put_fn *cb, void *ud);
void store_service_delete(struct store *s, int64_t id, store_done_fn *cb, void *ud);
/* Counters only, their new values; batched, the last of a service within 200 ms is written. */
void store_service_count(struct store *s, int64_t id, int64_t completed, int64_t bytes_in,
			 int64_t bytes_out);

/* --- history: what has happened; batched (200 ms), bounded in rows and days --- */
struct history_limits {
	int64_t max_rows; /* oldest go first */
	int64_t max_days;
};
void store_history_limits(struct store *s, const struct history_limits *limits);
/*
 * what: "running", "stopped", "download" ...; details: a small object or NULL (copied). It stays
 * when the service goes, and is found under its new name when it is renamed.
 */
void store_history_add(struct store *s, const char *service, const char *what,
		       const json_t *details);
/* rows: array of {"id","at" (RFC 3339),"name","event",...details}, newest last; borrowed. */
typedef void store_history_fn(void *ud, const struct error *err, const json_t *rows);
void store_history_list(struct store *s, const char *service_or_null, int64_t before_id,
			unsigned limit, store_history_fn *cb, void *ud);

/* --- small cached facts of a service (checksums); gone with it; bounded, oldest go first --- */
void store_cache_put(struct store *s, int64_t service_id, const char *key, const void *value,
		     size_t n);
/* value NULL: not there (or not readable). */
typedef void store_cache_fn(void *ud, const void *value, size_t n);
void store_cache_get(struct store *s, int64_t service_id, const char *key, store_cache_fn *cb,
		     void *ud);

/*
 * --- submissions that are about to be moved to where they belong; whatever ends
 * the daemon meanwhile, they are moved when it is there again ---
 */
struct inbox_intent { /* mode/receive/inbox.h says what the texts are */
	int64_t id;
	char staging[24], day[12], stamp[16];
};

/* Durable (synchronous=FULL) before cb, which gets the intent's id; intent is copied. */
void store_inbox_intend(struct store *s, const char *data_dir, const struct inbox_intent *intent,
			store_put_fn *cb, void *ud);
/* It has been moved, or will never be. */
void store_inbox_finish(struct store *s, int64_t id, store_done_fn *cb, void *ud);
/* Those of a data directory, oldest first; borrowed. */
typedef void store_inbox_fn(void *ud, const struct error *err, const struct inbox_intent *intents,
			    size_t n);
void store_inbox_pending(struct store *s, const char *data_dir, store_inbox_fn *cb, void *ud);

/* --- webhooks: what a service's target has not taken yet; gone with the service --- */
#define STORE_WEBHOOKS_MAX     1000u /* of a service; the oldest go first */
#define STORE_WEBHOOK_TEXT_MAX 4096u /* bytes of a body */

struct store_webhook {
	int64_t id;                  /* the larger, the younger */
	int64_t created_ms, next_ms; /* wall time */
	unsigned tries;
	char *last_error; /* NULL: none */
};

/* Durable before cb gets its id; -ENOENT: no such service. The first try is due at now_ms. */
void store_webhook_add(struct store *s, int64_t service_id, const char *content_type,
		       const char *body, int64_t now_ms, store_put_fn *cb, void *ud);
/* One more try has failed. One that is gone is no error, here and below; cb may be NULL. */
void store_webhook_tried(struct store *s, int64_t id, int64_t next_ms, const char *why,
			 store_done_fn *cb, void *ud);
void store_webhook_delete(struct store *s, int64_t id, store_done_fn *cb, void *ud);
/* All of a service. */
void store_webhook_clear(struct store *s, int64_t service_id, store_done_fn *cb, void *ud);
/* Oldest first; borrowed. */
typedef void store_webhooks_fn(void *ud, const struct error *err, const struct store_webhook *list,
			       size_t n);
void store_webhook_list(struct store *s, int64_t service_id, store_webhooks_fn *cb, void *ud);
/* Both NULL: it is gone, or was changed by somebody else. */
typedef void store_webhook_fn(void *ud, const struct error *err, const char *content_type,
			      const char *body);
void store_webhook_get(struct store *s, int64_t id, store_webhook_fn *cb, void *ud);

/* --- what is set of the daemon itself; sealed, durable --- */
#define STORE_SETTING_MAX (128u * 1024)

/* value: valid during the call; p NULL: it was never set. */
typedef void store_setting_fn(void *ud, const struct error *err, struct span value);
void store_setting_get(struct store *s, const char *name, store_setting_fn *cb, void *ud);
/* value is copied; p NULL: as if it had never been set. */
void store_setting_put(struct store *s, const char *name, struct span value, store_done_fn *cb,
		       void *ud);
