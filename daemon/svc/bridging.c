/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "svc/bridging.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "proto/base/alloc.h"

#define SETTING "bridges" /* a text of lines */

struct bridging {
	struct store *store;
	struct tor *tor;
	struct bridges config, kept; /* where config has some, they count */
	/* One thing at a time: loading, or saving -> telling tor (-> saving the old ones again). */
	bool busy, gone;
	bool held; /* tor is not started: what is kept cannot be read */
	struct bridges next;
	struct error refusal;
	bridging_done_fn *cb;
	void *ud;
};

struct bridging *bridging_new(struct store *store, struct tor *tor,
			      const struct bridges *from_config)
{
	struct bridging *b = xnew(struct bridging);

	b->store = store;
	b->tor = tor;
	bridges_copy(&b->config, from_config);
	return b;
}

static void free_now(struct bridging *b)
{
	bridges_done(&b->config);
	bridges_done(&b->kept);
	bridges_done(&b->next);
	error_done(&b->refusal);
	free(b);
}

void bridging_free(struct bridging *b)
{
	if (!b) {
		return;
	}
	b->gone = true;
	if (!b->busy) {
		free_now(b);
	}
}

/* An answer from store or tor. True: it comes too late, and b is gone. */
static bool abandoned(struct bridging *b)
{
	_cleanup_error_ struct error err = ERROR_INIT;

	if (!b->gone) {
		return false;
	}
	if (b->cb) {
		error_set_kind(&err, ECANCELED, ERROR_TOR_UNAVAILABLE, "stopping", NULL,
			       "the daemon is stopping");
		b->cb(b->ud, &err);
	}
	free_now(b);
	return true;
}

static void finish(struct bridging *b, const struct error *err)
{
	bridging_done_fn *cb = b->cb;

	b->busy = false;
	b->cb = NULL;
	bridges_done(&b->next);
	if (cb) {
		cb(b->ud, err);
	}
}

static const struct bridges *in_force(const struct bridging *b)
{
	return b->config.n ? &b->config : &b->kept;
}

/* --- from the database --- */

static void on_loaded(void *ud, const struct error *err, struct span value)
{
	struct bridging *b = ud;
	_cleanup_error_ struct error bad = ERROR_INIT;

	if (abandoned(b)) {
		return;
	}
	if (!err && bridges_add_text(&b->kept, value, &bad) < 0) {
		err = &bad;
	}
	b->busy = false;
	b->held = err != NULL;
	if (err) {
		_cleanup_free_ char *why =
			xasprintf("Tor is not started, for nobody knows by which bridges: %s; set "
				  "them anew (onionsharectl tor bridges set, or none)",
				  error_text(err));

		bridges_done(&b->kept);
		tor_hold(b->tor, why);
		return;
	}
	tor_preset_bridges(b->tor, in_force(b));
	tor_start(b->tor);
}

void bridging_start(struct bridging *b)
{
	assert(!b->busy);
	b->busy = true;
	store_setting_get(b->store, SETTING, on_loaded, b);
}

/* --- setting --- */

static void save(struct bridging *b, const struct bridges *bridges, store_done_fn *cb)
{
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < bridges->n; i++) {
		buf_printf(&text, "%s\n", bridges->lines[i]);
	}
	store_setting_put(b->store, SETTING, text.len ? buf_span(&text) : SPAN_NONE, cb, b);
	buf_wipe(&text);
}

static void on_put_back(void *ud, const struct error *err)
{
	struct bridging *b = ud;
	struct error refusal = ERROR_INIT;

	if (abandoned(b)) {
		return;
	}
	(void)err; /* what was refused is worth more to know */
	error_move(&refusal, &b->refusal);
	finish(b, &refusal);
	error_done(&refusal);
}

static void on_told(void *ud, const struct error *err)
{
	struct bridging *b = ud;

	if (abandoned(b)) {
		return;
	}
	if (err) {
		error_copy(&b->refusal, err);
		save(b, &b->kept, on_put_back);
		return;
	}
	bridges_done(&b->kept);
	bridges_copy(&b->kept, &b->next);
	if (b->held) {
		b->held = false;
		tor_start(b->tor);
	}
	finish(b, NULL);
}

static void on_saved(void *ud, const struct error *err)
{
	struct bridging *b = ud;

	if (abandoned(b)) {
		return;
	}
	if (err) {
		finish(b, err);
	} else {
		tor_use_bridges(b->tor, &b->next, on_told, b);
	}
}

int bridging_set(struct bridging *b, const struct bridges *bridges, bridging_done_fn *cb, void *ud,
		 struct error *err)
{
	if (b->busy) {
		return error_set_kind(err, EBUSY, ERROR_TOR_UNAVAILABLE, "busy", NULL,
				      "bridges are being changed right now; try again in a "
				      "moment");
	}
	if (b->config.n) {
		return error_set_kind(err, EPERM, ERROR_TOR_UNAVAILABLE, "configuration", NULL,
				      "the daemon's configuration says which bridges are used "
				      "([tor] bridge): change them there");
	}
	int r = tor_check_bridges(b->tor, bridges, err);

	if (r < 0) {
		return r;
	}
	b->busy = true;
	b->cb = cb;
	b->ud = ud;
	bridges_copy(&b->next, bridges);
	save(b, &b->next, on_saved);
	return 0;
}

/* --- the configuration --- */

static bool same(const struct bridges *a, const struct bridges *b)
{
	if (a->n != b->n) {
		return false;
	}
	for (size_t i = 0; i < a->n; i++) {
		if (strcmp(a->lines[i], b->lines[i]) != 0) {
			return false;
		}
	}
	return true;
}

static void on_reconfigured(void *ud, const struct error *err)
{
	struct bridging *b = ud;

	if (abandoned(b)) {
		return;
	}
	if (err) {
		log_error("the bridges of the configuration are not used: %s", error_text(err));
	}
	finish(b, err);
}

void bridging_reconfigure(struct bridging *b, const struct bridges *from_config)
{
	struct error err = ERROR_INIT;

	if (same(&b->config, from_config)) {
		return;
	}
	if (b->busy) {
		log_error("the bridges of the configuration are not used: they are being changed "
			  "right now; reload once more");
		return;
	}
	bridges_done(&b->config);
	bridges_copy(&b->config, from_config);
	if (tor_check_bridges(b->tor, in_force(b), &err) < 0) {
		log_error("the bridges of the configuration are not used: %s", error_text(&err));
		error_done(&err);
		return;
	}
	b->busy = true;
	tor_use_bridges(b->tor, in_force(b), on_reconfigured, b);
}

json_t *bridging_json(const struct bridging *b)
{
	const struct bridges *bridges = in_force(b);
	json_t *lines = json_array();

	for (size_t i = 0; i < bridges->n; i++) {
		json_array_append_new(lines, json_string(bridges->lines[i]));
	}
	return json_pack("{s:o, s:s}", "bridges", lines, "source",
			 b->config.n ? "configuration" : "command");
}
