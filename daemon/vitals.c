/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "vitals.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "sd/sd.h"

/* A restart of Tor changes every service: one line for all of them. */
#define STATUS_DELAY_MS 200

/* --- the status line --- */

static void describe_tor(struct buf *b, const struct tor *tor)
{
	const struct tor_status *status = tor ? tor_status(tor) : NULL;

	if (!status) {
		buf_add_str(b, "local only");
	} else if (status->reachable) {
		buf_add_str(b, "Tor connected");
	} else if (status->state == TOR_READY && status->bootstrap >= 0) {
		buf_printf(b, "Tor at %d%%", status->bootstrap);
	} else {
		buf_add_str(b, "no Tor");
	}
}

static void on_status_due(uv_timer_t *timer)
{
	struct vitals *v = container_of(timer, struct vitals, status);
	json_auto_t *counts = manager_counts_json(v->manager);
	json_int_t failed = json_integer_value(json_object_get(counts, "failed"));
	_cleanup_(buf_done) struct buf b = BUF_INIT;

	buf_add_str(&b, "STATUS=");
	describe_tor(&b, v->tor);
	buf_printf(&b, "; %lld of %lld services running",
		   (long long)json_integer_value(json_object_get(counts, "running")),
		   (long long)json_integer_value(json_object_get(counts, "total")));
	if (failed > 0) {
		buf_printf(&b, ", %lld failed", (long long)failed);
	}
	if (!v->told || strcmp(v->told, b.p) != 0) {
		sd_tell(b.p);
		free(v->told);
		v->told = xstrdup(b.p);
	}
}

void vitals_changed(struct vitals *v)
{
	if (v->manager && !uv_is_active((uv_handle_t *)&v->status)) {
		uv_timer_start(&v->status, on_status_due, STATUS_DELAY_MS, 0);
	}
}

/* --- the watchdog --- */

static void on_answer(void *ud, const struct error *err)
{
	struct vitals *v = ud;

	v->asked = false;
	if (!err) {
		sd_tell("WATCHDOG=1");
	}
}

static void on_watchdog_due(uv_timer_t *timer)
{
	struct vitals *v = container_of(timer, struct vitals, watchdog);

	if (!v->asked) {
		v->asked = true;
		store_ping(v->store, on_answer, v);
	}
}

/* --- life --- */

void vitals_start(struct vitals *v, uv_loop_t *loop, struct store *store, struct manager *manager,
		  struct tor *tor)
{
	uint64_t each = sd_watchdog_ms() / 3;

	v->store = store;
	v->manager = manager;
	v->tor = tor;
	uv_timer_init(loop, &v->status);
	uv_timer_init(loop, &v->watchdog);
	uv_unref((uv_handle_t *)&v->status);
	uv_unref((uv_handle_t *)&v->watchdog);
	if (each > 0) {
		uv_timer_start(&v->watchdog, on_watchdog_due, each, each);
	}
	vitals_changed(v);
}

void vitals_stop(struct vitals *v)
{
	if (!v->manager) {
		return;
	}
	v->manager = NULL;
	free(take_ptr(v->told));
	uv_close((uv_handle_t *)&v->status, NULL);
	uv_close((uv_handle_t *)&v->watchdog, NULL);
}
