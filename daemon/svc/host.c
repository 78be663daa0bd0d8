/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a mode asks of its service; a dropbox's part of it is in inbox.c. */
#include "svc/service.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proto/base/alloc.h"

/* Transfers in the history one by one, a second. */
#define LISTED_A_SECOND 10
#define NOTICE_LOG_MS   (600 * 1000u)

/* Transfers of a busy second, as one entry: a flood of them does not push the history out. */
void service_tell_rest(struct service *svc)
{
	if (svc->told.more && !svc->ephemeral) {
		json_t *details = json_pack("{s:I, s:I}", "count", svc->told.more, "bytes",
					    svc->told.more_bytes);

		store_history_add(manager_store(svc->m), svc->row->name, "transfers", details);
		json_decref(details);
	}
	svc->told.more = svc->told.more_bytes = 0;
}

static uint64_t host_transfer_id(void *ud)
{
	struct service *svc = ud;

	return manager_next_id(svc->m);
}

static void host_transfer(void *ud, uint64_t id, enum mode_transfer_phase phase, bool out,
			  uint64_t bytes, uint64_t total, const char *path)
{
	struct service *svc = ud;
	struct store *store = manager_store(svc->m);

	if (!transfers_report(&svc->transfers, manager_bus(svc->m), svc->row->name,
			      ev_now_ms(manager_ev(svc->m)), id, phase, out, bytes, total) ||
	    svc->ephemeral) {
		return;
	}
	store_service_count(store, svc->row->id, svc->transfers.completed, svc->transfers.bytes_in,
			    svc->transfers.bytes_out);
	uint64_t second = ev_now_ms(manager_ev(svc->m)) / 1000;

	if (second != svc->told.second) {
		service_tell_rest(svc);
		svc->told.second = second;
		svc->told.listed = 0;
	}
	if (svc->told.listed++ >= LISTED_A_SECOND) {
		svc->told.more++;
		svc->told.more_bytes += (json_int_t)bytes;
		return;
	}
	json_t *details = json_pack("{s:I, s:s?}", "bytes", (json_int_t)bytes, "path", path);

	store_history_add(store, svc->row->name,
			  phase == MODE_TRANSFER_COMPLETED
				  ? (out ? "download" : "upload")
				  : (out ? "download-cancelled" : "upload-cancelled"),
			  details);
	json_decref(details);
}

/* Small ones of a website: counted, but no row of the history. */
static void host_served(void *ud, uint64_t responses, uint64_t bytes)
{
	struct service *svc = ud;

	transfers_served(&svc->transfers, manager_bus(svc->m), svc->row->name,
			 manager_next_id(svc->m), responses, bytes);
	if (!svc->ephemeral) {
		store_service_count(manager_store(svc->m), svc->row->id, svc->transfers.completed,
				    svc->transfers.bytes_in, svc->transfers.bytes_out);
	}
}

static void host_completed(void *ud)
{
	struct service *svc = ud;

	/* Also in the last moments before a stop: but who asked for a restart gets it. */
	if (svc->deleting || svc->start_again ||
	    (!service_is_up(svc) && svc->state != SERVICE_DRAINING)) {
		return;
	}
	svc->row->wanted = false;
	free(svc->row->reason);
	svc->row->reason = xstrdup("completed");
	if (service_is_up(svc)) {
		svc->finished = true;
		http_server_stop_listening(svc->server);
	}
	/* Only when it is on disk: a crash must not bring back what was seen to stop. */
	manager_save_then_stop(svc);
}

static void host_failed(void *ud, const struct error *why)
{
	service_fail(ud, error_text(why));
}

/* Visitors may bring it about again and again: the log hears of it now and then. */
static void host_noticed(void *ud)
{
	struct service *svc = ud;
	const char *notice = svc->mode->ops->notice(svc->mode);
	uint64_t now = ev_now_ms(manager_ev(svc->m));

	service_show_notice(svc);
	if (notice && (!svc->notice_ms || now - svc->notice_ms >= NOTICE_LOG_MS)) {
		svc->notice_ms = now;
		log_warning("service %s: %s", svc->row->name, notice);
	}
}

static void host_cache_put(void *ud, const char *key, struct span value)
{
	struct service *svc = ud;

	if (svc->row->id) {
		store_cache_put(manager_store(svc->m), svc->row->id, key, value.p, value.n);
	}
}

struct cache_get {
	void (*cb)(void *cb_ud, struct span value);
	void *cb_ud;
};

static void cache_got(void *ud, const void *value, size_t n)
{
	struct cache_get *get = ud;

	get->cb(get->cb_ud, span_of(value, n));
	free(get);
}

static void host_cache_get(void *ud, const char *key, void (*cb)(void *cb_ud, struct span value),
			   void *cb_ud)
{
	struct service *svc = ud;
	struct cache_get *get = xnew(struct cache_get);

	get->cb = cb;
	get->cb_ud = cb_ud;
	store_cache_get(manager_store(svc->m), svc->row->id, key, cache_got, get);
}

/* For watchers only: a room leaves nothing in the database or the log. */
static void host_members(void *ud, unsigned n)
{
	struct service *svc = ud;

	if (bus_has_subscribers(manager_bus(svc->m))) {
		bus_publish(manager_bus(svc->m), svc->row->name,
			    json_pack("{s:s, s:s, s:I}", "event", "members", "name", svc->row->name,
				      "members", (json_int_t)n));
	}
}

struct mode_host service_host(struct service *svc)
{
	return (struct mode_host){
		SERVICE_INBOX_HOST,
		.transfer_id = host_transfer_id,
		.transfer = host_transfer,
		.served = host_served,
		.completed = host_completed,
		.failed = host_failed,
		.cache_put = host_cache_put,
		.cache_get = host_cache_get,
		.members = host_members,
		.noticed = host_noticed,
		.ud = svc,
	};
}
