/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files behind tor.h share. Nobody else includes this, except its tests. */
#pragma once

#include "base/list.h"
#include "proto/base/bridge.h"
#include "proto/base/buf.h"
#include "tor/conn.h"
#include "tor/desc.h"
#include "tor/health.h"
#include "tor/tor.h"

struct ctl_auth;
struct launch;
struct tor_probe;

#define TOR_CANDIDATES_MAX 3u
#define TOR_KEY_REQS_MAX   256u

/* Milliseconds. Tests shorten them between tor_new and tor_start. */
struct tor_times {
	unsigned command;     /* until a command's answer */
	unsigned backoff_min; /* between two tries to connect */
	unsigned backoff_max;
	unsigned steady;     /* as long READY: the next loss starts at backoff_min again */
	unsigned stall;      /* with the network and without an upload, until STALLED */
	unsigned stuck;      /* without progress of the bootstrap, until it is a problem */
	unsigned collision;  /* an address that is taken, until that is told */
	unsigned slow_retry; /* between tries after that */
	unsigned beat;       /* between looks whether tor still answers */
	unsigned tick;       /* between looks at what waits for the clock */
	unsigned heir;       /* until onions that an earlier daemon has left are wanted */
	unsigned sleep;      /* what is taken for one; more than a beat */
};

extern const struct tor_times tor_default_times;

/* Onions that tor has by a directory (hsdir.c). */
struct hsdirs {
	/* SETTLED -> DIRTY -> ASKING -> WRITING -> WRITTEN -> SENDING -> SWEEPING -> SETTLED */
	enum hsdirs_step {
		HSDIRS_SETTLED,
		HSDIRS_DIRTY,
		HSDIRS_ASKING,  /* what tor has */
		HSDIRS_WRITING, /* the directories, on the pool */
		HSDIRS_WRITTEN, /* the list is to be sent */
		HSDIRS_SENDING,
		HSDIRS_SWEEPING, /* directories that are not wanted any more, on the pool */
	} step;
	bool again;     /* something has changed since it was DIRTY */
	bool begun;     /* on this connection the list was settled once */
	bool rewritten; /* a file in a directory: tor has to read it */
	bool sandbox;   /* tor takes no directories at run time */
	bool left;      /* an earlier daemon may have left some */
	uint64_t not_before, last_serial;
	char *others;           /* what is in tor's list and not ours, as SETCONF has it; owned */
	char *ours;             /* and what is ours; owned */
	struct hsdirs_job *job; /* NULL: none runs */
};

struct tor {
	struct ev *ev;
	struct tor_config config; /* strings owned */
	struct tor_ops ops;
	void *ud;
	struct tor_times times;
	struct tor_status status;
	struct health health;
	char *link_problem; /* why there is no tor, or what it cannot do; owned */
	bool changed;       /* of the status, not told yet */
	bool started, stopping;
	void (*stopped)(void *ud);
	void *stopped_ud;
	unsigned parts; /* that are still to be closed before t can go */

	struct tor_candidate {
		struct ctl_addr addr;
		bool distrust;
	} candidates[TOR_CANDIDATES_MAX];
	unsigned n_candidates, candidate;
	struct error best_error; /* of this round over the candidates */
	struct ctl_conn *conn;   /* NULL: none */
	struct ctl_auth *auth;   /* while it authenticates */
	struct launch *launch;   /* of a managed tor */
	bool checking_stale;     /* conn is to a tor that an earlier daemon left behind */
	bool ending;             /* we made the managed tor end, and have said why */
	bool no_pow;             /* this tor has no proof-of-work defence */
	unsigned backoff;
	uint64_t ready_since, moved_at, beat_at;
	uint64_t network_since; /* bootstrapped; 0: not */
	uint64_t published_at;  /* the last onion that was not before; 0: none */
	uint64_t looked_at;     /* boot time; 0: not yet */
	uint64_t woke_at;       /* boot time; 0: it has not slept */
	bool wants_consensus;   /* the first one since then is waited for */
	bool asks_validity;     /* of the one that tor has */

	uv_timer_t retry; /* the next try to connect */
	uv_timer_t wake;  /* tells callers what happened, from outside of their calls */
	uv_timer_t tick;

	/* bridges.c */
	const char *unit_dir; /* a tor with its control socket there is the unit's; static */
	bool dedicated;       /* it is: the system's, and ours alone */
	struct bridges bridges, bridges_new;  /* in use, and to be told */
	bool bridges_wanted, bridges_pending; /* new ones: being told; to be told after that */
	bool network_off;                     /* DisableNetwork, when it was asked for */
	enum { BRIDGES_SETTLED, BRIDGES_ASK, BRIDGES_CUT, BRIDGES_TELL, BRIDGES_JOIN } bridge_step;
	struct error bridges_err, bridges_answer;
	tor_bridges_fn *bridges_cb; /* NULL: nobody has asked */
	void *bridges_ud;
	bool bridges_told; /* the answer is there */

	/* handoff.c */
	struct {
		int fd;            /* of a connection that an earlier daemon has left; -1: none */
		bool here;         /* conn is that one */
		tor_left_fn *left; /* we leave ours; NULL: we do not */
		void *ud;
	} handoff;

	struct tor_probe *probe; /* NULL: none is under way */

	struct list onions, removals;
	struct hsdirs hsdirs;
	struct list keys; /* struct tor_key_req */
	unsigned n_keys;
};

/* Something is to be told or sent: tor_turn will run, never from within. */
void tor_wake(struct tor *t);
/* READY, and the control port is free. */
bool tor_can_send(const struct tor *t);
/* The answer is there: what is next? */
void tor_pump(struct tor *t);

/* Once, after ms. */
void tor_start_timer(uv_timer_t *timer, uv_timer_cb cb, uint64_t ms);
/* Brings the status up to date with what is known, and has it told. */
void tor_sync_status(struct tor *t);
/* Of a GETINFO for net/listeners/socks. */
void tor_take_listeners(struct tor *t, const struct ctl_reply *reply);
/* A status event or bootstrap phase (health.h). */
void tor_take_health(struct tor *t, struct span text);
/* One of t->parts is closed. ud is the tor. */
void tor_part_closed(void *ud);

/* --- link.c --- */

void link_start(struct tor *t);
/* The connection and its login, at once; t->parts counts what remains of it. */
void link_close(struct tor *t);

/* --- handoff.c --- */

/* Is there a connection to begin with that is logged in already? Then it is used, once. */
bool handoff_connect(struct tor *t, const struct ctl_ops *ops);
/* The reply to GETINFO onions/current: what came with it. */
void handoff_take_list(struct tor *t, const struct ctl_reply *reply);
/* Nothing is sent any more but what leaving needs: true if so. Called when tor_can_send. */
bool handoff_send(struct tor *t);
/* The connection is gone, and with it what could be left. */
void handoff_lost(struct tor *t);

/* --- onion.c --- */

/* Sends the next command that an onion needs: true if it did. Called when tor_can_send. */
bool onions_send_removal(struct tor *t);
bool onions_send_add(struct tor *t);
void onions_event(struct tor *t, const struct desc_event *e);
void onions_tick(struct tor *t);
/* Does something wait for the clock? */
bool onions_unsettled(const struct tor *t);
/* The connection is gone, and with it every onion. */
void onions_lost(struct tor *t);
/* Calls back where something is to be told. */
void onions_tell(struct tor *t);
void onions_free(struct tor *t);

/* --- wake.c --- */

/* At least once in a beat: have we slept since the last time? */
void wake_look(struct tor *t);
/* A status event, which may tell of a clock that jumped. */
void wake_take_status(struct tor *t, struct span status);
/* Sends its question, if it has one: true if it did. */
bool wake_send(struct tor *t);

/* --- bridges.c --- */

/* Sends the next command that they need: true if it did. Before anything else goes out. */
bool bridges_send(struct tor *t);
void bridges_connected(struct tor *t);
void bridges_conf_changed(struct tor *t, const struct ctl_reply *event);
void bridges_lost(struct tor *t);
void bridges_tell(struct tor *t);
/* Why those that are set cannot be used, owned; NULL: they can, or there are none. */
char *bridges_problem(const struct tor *t);

/* --- hsdir.c --- */

/* Something is to be added to tor's list of directories, or taken out of it. */
void hsdirs_changed(struct tor *t);
/* Tor has read its configuration again, and forgotten what we set. */
void hsdirs_reloaded(struct tor *t);
/* Looks whether all is as it should be. */
void hsdirs_beat(struct tor *t);
/* Looks for what an earlier daemon has left. */
void hsdirs_start(struct tor *t);
/* The connection is there: what an earlier daemon may have left is looked at. */
void hsdirs_ready(struct tor *t);
bool hsdirs_send(struct tor *t);
void hsdirs_lost(struct tor *t);
/* Of a GETCONF for Sandbox. */
void hsdirs_take_sandbox(struct tor *t, const struct ctl_reply *reply);
/* No job of its runs. */
void hsdirs_free(struct tor *t);

/* --- probe.c --- */

bool probe_send(struct tor *t);
/* The text of an HS_DESC event. */
void probe_event(struct tor *t, struct span text);
void probe_tick(struct tor *t);
void probe_lost(struct tor *t);
void probe_tell(struct tor *t);

/* --- key.c --- */

bool keys_send(struct tor *t);
void keys_tick(struct tor *t);
void keys_lost(struct tor *t);
void keys_tell(struct tor *t);
/* Answers all with an error; keys_tell follows. */
void keys_stop(struct tor *t);
