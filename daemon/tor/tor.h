/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The Tor side: one tor, ours (managed) or the system's, kept connected over its
 * control port (control-spec), and the onions that are wanted kept published on
 * it. Knows nothing of services. Everything on the loop; no callback ever comes
 * from within the call that took it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ev/ev.h"
#include "proto/base/bridge.h"
#include "proto/base/error.h"

#define ONION_ADDRESS_LEN 56 /* without .onion, lower case */
#define ONION_KEY_SIZE    64 /* expanded ed25519 secret key, as ADD_ONION has it */
#define ONION_CLIENTS_MAX 256
#define TOR_SOCKS_LEN     128

enum tor_mode { TOR_MODE_AUTO, TOR_MODE_MANAGED, TOR_MODE_SYSTEM };

/* DOWN -> CONNECTING -> AUTHENTICATING -> SETUP -> READY -> DOWN (backoff 0.5 s to 4 s, jitter) */
enum tor_state { TOR_DOWN, TOR_CONNECTING, TOR_AUTHENTICATING, TOR_SETUP, TOR_READY };

struct tor_config {
	enum tor_mode mode;
	/* "unix:/path", "/path", "HOST:PORT" or "PORT"; NULL: the usual places, in their order */
	const char *control;
	const char *password_file; /* NULL: no password */
	const char *socks;         /* of a system tor, written as control is; NULL: as tor tells */
	const char *binary;        /* NULL: "tor" in PATH */
	const char *torrc;         /* lines appended to a managed tor's configuration, or NULL */
	const char *data_dir;      /* of a managed tor: STATE/tor */
	const char *runtime_dir;   /* of a managed tor's sockets: RUNTIME/tor */
	/* Where directories of onions are made that need one, and others are not; NULL: nowhere. */
	const char *onion_dir;
};

struct tor_status {
	enum tor_mode mode; /* never AUTO once it is decided */
	enum tor_state state;
	char version[48];  /* "" before it is known */
	int bootstrap;     /* percent; -1: not known */
	char summary[128]; /* tor's own words for it */
	char *problem;     /* what is wrong and what to do, NULL if nothing; owned by tor */
	bool reachable;    /* READY and bootstrapped to 100 */
	uid_t peer_uid; /* tor's, by SO_PEERCRED of a Unix control socket; (uid_t)-1: not known */
	/* Its SOCKS port, as socks.h takes it; "": there is none on this machine, or not known. */
	char socks[TOR_SOCKS_LEN];
	char control[128]; /* the control port in use, as it was written; "": none */
	char *advice; /* what works and should be changed all the same, or NULL; owned by tor */
	/*
	 * AppArmor confines it (Debian's profile system_tor), so that it cannot reach
	 * Unix sockets of others; as the kernel says of its control socket (SO_PEERSEC).
	 */
	bool confined;
	unsigned bridges; /* that were set here for it */
};

struct tor_ops {
	/* Any member of the status changed. */
	void (*changed)(void *ud, const struct tor_status *status);
};

struct tor;

/* config is copied. */
struct tor *tor_new(struct ev *ev, const struct tor_config *config, const struct tor_ops *ops,
		    void *ud);
/* Connects, and from then on by itself again after each loss. A managed tor is started. */
void tor_start(struct tor *t);
/* Why it is not started yet, for its status. */
void tor_hold(struct tor *t, const char *why);
const struct tor_status *tor_status(const struct tor *t);
const char *tor_state_name(enum tor_state state);
const char *tor_mode_name(enum tor_mode mode);
/*
 * A daemon that another one follows leaves its connection to tor, and with it the
 * onions, which tor takes down when that closes. In this order: onion_leave of each that is
 * to stay, tor_leave, in its callback the descriptor to a safe place, tor_stop.
 * false: there is nothing to leave. true: left comes once; fd -1: there was not, after all.
 * fd is the callee's.
 */
typedef void tor_left_fn(void *ud, int fd);
bool tor_leave(struct tor *t, tor_left_fn *left, void *ud);
/* What tor_leave has left in a process before this one. Before tor_start; fd is taken. */
void tor_inherit(struct tor *t, int fd);

/* Takes down the onions, ends a managed tor, frees t, then calls stopped. */
void tor_stop(struct tor *t, void (*stopped)(void *ud), void *ud);

/*
 * Asks tor for a new onion key (ADD_ONION NEW:ED25519-V3, taken down at once,
 * before it could be published). Waits up to wait_ms for a tor that is starting.
 * cb comes once: err NULL, address and key valid during the call (tor wipes
 * them afterwards), or err set and the others NULL. The handle is for cancelling only.
 */
struct tor_key_req;
typedef void tor_key_fn(void *ud, const struct error *err, const char *address, const uint8_t *key);
struct tor_key_req *tor_make_key(struct tor *t, unsigned wait_ms, tor_key_fn *cb, void *ud);
/*
 * The address of a key from elsewhere, likewise; cb gets that key too. Not known while
 * somebody has its onion open at the same tor (TOR_UNAVAILABLE). INVALID_VALUE: it is no key.
 */
struct tor_key_req *tor_find_address(struct tor *t, const uint8_t key[ONION_KEY_SIZE],
				     unsigned wait_ms, tor_key_fn *cb, void *ud);
void tor_key_cancel(struct tor_key_req *req);

/* --- bridges --- */

/*
 * Can it go by these? -errno and why not, with the way out: it is not the daemon's own, its
 * configuration says something else, or a transport's program is not installed.
 */
int tor_check_bridges(const struct tor *t, const struct bridges *b, struct error *err);
/* From the start on; before tor_start. A tor that shall use bridges never goes without. */
void tor_preset_bridges(struct tor *t, const struct bridges *b);
/*
 * From now on, over its restarts, too; none: without. cb comes once: err NULL: so it is,
 * or will be as soon as there is a tor. err: it refuses them, and those before are used. One call
 * at a time.
 */
typedef void tor_bridges_fn(void *ud, const struct error *err);
void tor_use_bridges(struct tor *t, const struct bridges *b, tor_bridges_fn *cb, void *ud);

/* --- onions --- */

struct onion_spec {
	const char *address; /* 56 characters */
	const uint8_t *key;  /* ONION_KEY_SIZE bytes */
	const char *target;  /* "unix:/path" (plain ASCII, at most 107) or "127.0.0.1:PORT" */
	const uint8_t (*clients)[32]; /* X25519 public keys (rend-spec-v3, client auth) */
	unsigned n_clients;           /* 0: public; at most ONION_CLIENTS_MAX */
	bool pow;
	unsigned max_streams; /* per rendezvous circuit; 0: tor's default (no limit) */
	uint64_t left;    /* as onion_leave has said when an earlier daemon left it; 0: none did */
	unsigned wait_ms; /* until tor is told of it */
	/*
	 * It is a backend of the Onionbalance with this address (proto/base/onion.h), and so
	 * neither has clients nor pow; NULL: it is not.
	 */
	const char *frontend;
};

/*
 * WANTED: not with tor (none there, or tor refused for now: reason).
 * PUBLISHING: with tor, descriptors not yet uploaded enough.
 * PUBLISHED: at least one upload for each descriptor seen, or at three distinct directories.
 * STALLED: with tor and the network, but nothing was uploaded 60 s long; goes on trying, and is
 * added anew now and then.
 * FAILED: will not work until the spec changes (bad key, foreign address): reason.
 */
enum onion_state { ONION_WANTED, ONION_PUBLISHING, ONION_PUBLISHED, ONION_STALLED, ONION_FAILED };

/* Can tor be told of this target? Is this a control port? -EINVAL, and the sentence in err. */
int tor_check_target(const char *target, struct error *err);
int tor_check_control(const char *control, struct error *err);

/*
 * Can this tor have backends, as far as is known by now? -ENOTSUP, and in err what is in
 * the way and how to get it out of it.
 */
int tor_check_backends(const struct tor *t, struct error *err);

struct onion;
typedef void onion_changed_fn(void *ud, enum onion_state state, const char *reason);

/* Wanted from now on, over reconnects and restarts of tor. spec is copied (the key wiped at the
 * end). */
struct onion *tor_onion_add(struct tor *t, const struct onion_spec *spec, onion_changed_fn *cb,
			    void *ud);
enum onion_state onion_state(const struct onion *o);
/*
 * Tor makes its circuits, and has not published it yet. Who takes it down now, and soon another
 * one, makes tor count so many circuits that failed that it makes no more for a while, and of
 * the next onion's tries to make some all that it has for five minutes (tor's
 * MAX_CIRCUIT_FAILURES and INTRO_CIRC_RETRY_PERIOD).
 */
bool onion_in_the_making(const struct onion *o);
/*
 * Not wanted any more: DEL_ONION, and with cut also its open circuits are
 * closed. removed (may be NULL) comes once, when tor has done it or is not there;
 * changed is not called again. o is gone at once for the caller.
 */
void onion_remove(struct onion *o, bool cut, void (*removed)(void *ud), void *ud);
/*
 * Not wanted any more by this daemon, and left with tor for the next one: what its spec has to say
 * in left, to be the same onion. 0: it is not published, or would not stay; then nothing has
 * changed. Else o is gone for the caller.
 */
uint64_t onion_leave(struct onion *o);
/*
 * Closes what circuits visitors still have to an earlier onion of this address,
 * before any onion is added from now on: else those whose key was removed since
 * then would be let in by them again. Without a tor: as soon as it is back.
 */
void tor_cut_circuits(struct tor *t, const char *address);
