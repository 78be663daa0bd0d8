/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One service: its saved row, and while it is up its mode, HTTP server and
 * onion, brought up and taken down in order. For the folder svc only.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "http/server.h"
#include "mode/mode.h"
#include "proto/base/error.h"
#include "proto/base/onion.h"
#include "store/store.h"
#include "svc/manager.h"
#include "svc/transfer.h"
#include "tor/tor.h"

/*
 *                       time has come
 *   SCHEDULED ------------------.
 *      ^ | stop                 |
 * start| v       start          v  listening              uploaded
 *   STOPPED ------------> PREPARING ----------> PUBLISHING ---------> RUNNING
 *      ^                    ^ |  '------------------------------------>^  |
 *      |              start | |   (local only)         ^               |  | Tor lost
 *      |                    | | cannot                 |  Tor is back  |  v
 *      |                    | v                        '------------- OFFLINE
 *      |                  FAILED <----- (any that is up)
 *      '----- DRAINING <--------------- (any that is up): stop
 *
 * SCHEDULED waits for its time (schedule.c), and nothing of it is up.
 * PREPARING waits for the mode (disk) and, without an address, for Tor's key;
 * PUBLISHING and OFFLINE wait for Tor; DRAINING for transfers, at most the
 * drain time, then for the parts to close.
 */
enum service_state {
	SERVICE_STOPPED,
	SERVICE_SCHEDULED,
	SERVICE_PREPARING,
	SERVICE_PUBLISHING,
	SERVICE_RUNNING,
	SERVICE_DRAINING,
	SERVICE_OFFLINE,
	SERVICE_FAILED,
};

/* What a service of an earlier daemon has left (succession.c). */
struct found {
	int64_t id;     /* of its row */
	int fd;         /* its listening socket; -1: none, or taken */
	uint64_t onion; /* what it was: onion_spec.left */
};

struct service {
	struct manager *m;
	struct list link; /* of the manager */
	uint64_t serial;
	struct service_row *row;
	json_t *options; /* all of the mode, defaults included */
	bool ephemeral;
	bool deleting;  /* no other change is taken any more */
	bool renaming;  /* no other change is taken until the name is on disk */
	bool abandoned; /* its connection ended while it was renamed or its content changed */
	struct content_change *changing; /* its content (publish.c); NULL: nobody is */
	bool broken; /* what was loaded cannot be used; it can only be deleted */
	/* Tor may still have circuits of visitors who would not be let in any more. */
	bool circuits_linger;

	enum service_state state;
	char *reason;
	int64_t started_ms; /* wall time; 0: not up */
	uint64_t notice_ms; /* monotonic: its last notice was logged; 0: none was */

	struct mode *mode;
	bool mode_ready;
	struct http_server *server;
	char *socket_path;
	struct onion *onion;
	bool republish_due;   /* when tor is done with the onion as it was */
	unsigned pause_ms;    /* the last one before an onion; 0: none was needed */
	uint64_t pause_until; /* monotonic */
	struct tor_key_req *key_req;
	struct found found; /* of an earlier daemon's, until it is used */
	bool leaving;       /* the next daemon goes on with its socket and onion */

	unsigned closing;         /* parts on their way down */
	bool taking_down;         /* parts go, or will after the drain */
	bool start_again;         /* when everything is down */
	bool finished;            /* its work is done: it stops when that is on disk */
	uint64_t drain_until;     /* monotonic; 0: not draining */
	struct list down_waiters; /* struct op */

	struct transfers transfers;
	/* The history's share of them: one by one up to a number a second, the rest together. */
	struct {
		uint64_t second;
		unsigned listed;
		json_int_t more, more_bytes;
	} told;
	struct webhook *webhook; /* NULL: it never had one */
};

/* Takes row. state STOPPED. */
struct service *service_new(struct manager *m, struct service_row *row, bool ephemeral);
/* Everything is down. */
void service_free(struct service *svc);

/*
 * Brings it up, or puts it on the schedule if its row has a time to come; also
 * when it is going down (then afterwards). No effect if it is up.
 */
void service_start(struct service *svc);
/* Takes it down: cut: at once, else after the drain. No effect if it is down. */
void service_stop(struct service *svc, bool cut);
bool service_is_down(const struct service *svc);
/* While one drains the manager calls this a few times a second. */
void service_drain_tick(struct service *svc, uint64_t now_ms);
/* Tor came or went, or its kind is now known. */
void service_tor_changed(struct service *svc, const struct tor_status *status);
/* reason NULL: none. Tells the watchers if anything changed. */
void service_set_state(struct service *svc, enum service_state state, const char *reason);
/* Tells the watchers of its state, also when only its times have changed. */
void service_tell_state(struct service *svc);
/* Takes the row's options, which are valid, with the defaults of the others. */
void service_set_options(struct service *svc);
/* --- its webhook (hook.c) --- */
/* Makes and changes it as the options say. */
void service_set_webhook(struct service *svc);
/* May the options, as they are sent, be set? */
int service_check_webhook(const struct manager *m, const json_t *options, struct error *err);
json_t *service_webhook_json(const struct service *svc);

/*
 * Its keys or its onion's options have changed: what is published is published
 * anew, so that new visitors wait a moment. cut: open circuits are closed, for
 * somebody is not to be let in any more; else nobody who is here notices. true:
 * removed comes, when that is done; false: there was nothing published. What
 * comes while tor is still at work on the change before waits for it, and
 * for others to come: then one change serves all. A cut does not wait. (up.c)
 */
bool service_republish(struct service *svc, bool cut, void (*removed)(void *ud), void *ud);
/* --- as a backend of an Onionbalance (up.c) --- */
/* Its address, from the options; false: it is none. */
bool service_frontend(const struct service *svc, char ret[ONION_NAME_LEN + 1]);
/* Visitors who ask for the frontend are answered; from now on. */
void service_set_frontend(struct service *svc);
/* Can the services of this daemon be backends? onion: of the service, or NULL. */
int service_check_backend(const struct manager *m, const json_t *options, const char *onion,
			  struct error *err);
/* What drains, drains no longer: the transfers that still run are cut. */
void service_end_drain(struct service *svc);
/* It is up, or on its way there. */
bool service_is_up(const struct service *svc);
/* It cannot go on: state FAILED, and everything goes down. No effect if it is not up. */
void service_fail(struct service *svc, const char *why);
/* Asks no longer for an address. */
void service_stop_key(struct service *svc);
/* Transfers of a busy second that are not in the history one by one yet. (host.c) */
void service_tell_rest(struct service *svc);
/* What its mode may ask of it. (host.c) */
struct mode_host service_host(struct service *svc);
/* What was loaded cannot be used: state FAILED, and it stays so. */
void service_set_broken(struct service *svc, const char *why);
bool service_option_bool(const struct service *svc, const char *name);
/* -1: not set */
json_int_t service_option_int(const struct service *svc, const char *name);
bool service_is_public(const struct service *svc);
const char *service_state_name(enum service_state state);

/* --- succession.c: from one daemon to the next --- */
/* If the daemon stops and another may follow: its socket and onion stay. */
void service_leave(struct service *svc);
/* Is something there from an earlier daemon? Then it is the service's. */
void service_find_left(struct service *svc);
/* Listens there; false: it was nothing, or not of use any more. */
bool service_listen_left(struct service *svc);
/* What it has not used goes. */
void service_drop_left(struct service *svc);

/* --- publish.c: its content --- */
/* What it serves; one reference, the caller's. */
struct mode_content *service_content_new(const struct service *svc);
/* Its mode is gone: nobody is left who would have to change over. */
void service_content_mode_gone(struct service *svc);
/* Its mode is ready, and can change over. */
void service_content_mode_ready(struct service *svc);
/* What its mode has to say to people is shown, if it runs. */
void service_show_notice(struct service *svc);

/* --- inbox.c: what a dropbox asks of its service --- */
void host_inbox_pending(void *ud, mode_pending_fn *cb, void *cb_ud);
void host_inbox_intend(void *ud, const struct mode_intent *intent, mode_intended_fn *cb,
		       void *cb_ud);
void host_inbox_finish(void *ud, int64_t id, mode_finished_fn *cb, void *cb_ud);
void host_submission(void *ud, uint64_t id, unsigned files, bool message);
#define SERVICE_INBOX_HOST                                                      \
	.inbox_pending = host_inbox_pending, .inbox_intend = host_inbox_intend, \
	.inbox_finish = host_inbox_finish, .submission = host_submission
/* Where its submissions are; NULL for other modes. */
const char *service_data_dir(const struct service *svc);
/* Changed options leave it where it is: what is in it is the service's. */
bool service_keeps_data_dir(const struct service *svc, const json_t *options);

/* --- what a service asks of its manager (manager.c) --- */
struct ev *manager_ev(struct manager *m);
struct tor *manager_tor(struct manager *m); /* NULL: local only */
struct store *manager_store(struct manager *m);
const struct manager_config *manager_config(const struct manager *m);
int64_t manager_wall_ms(const struct manager *m); /* ev_wall_ms, unless a test sets the clock */
uint64_t manager_next_id(struct manager *m);
/* A service has come, gone or changed its state. */
void manager_service_changed(struct manager *m);
/* A free loopback port that no service has; 0 if there is none. (create.c) */
uint16_t pick_port(struct manager *m);
/* Its options are new, or others. */
void manager_options_set(struct service *svc);
/* It began to drain: ticks are needed. */
void manager_drain_started(struct manager *m);
/* It is down: waiters may go on, the manager may be waiting for the last. */
void manager_service_down(struct service *svc);
/* Writes the row if the service is a saved one; nobody waits for it. */
void manager_save(struct service *svc);
/* The same, and it stops when that is done (or could not be done). */
void manager_save_then_stop(struct service *svc);
