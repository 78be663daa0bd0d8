/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "svc/service.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proto/base/alloc.h"
#include "proto/options.h"
#include "svc/copies.h"
#include "svc/schedule.h"
#include "svc/webhook.h"

#define BIT(state) (1U << (state))

/* To which states each may go; see the picture in the header. */
static const unsigned moves[] = {
	[SERVICE_STOPPED] = BIT(SERVICE_SCHEDULED) | BIT(SERVICE_PREPARING),
	[SERVICE_SCHEDULED] = BIT(SERVICE_PREPARING) | BIT(SERVICE_STOPPED),
	[SERVICE_PREPARING] = BIT(SERVICE_PUBLISHING) | BIT(SERVICE_RUNNING) |
			      BIT(SERVICE_DRAINING) | BIT(SERVICE_FAILED),
	[SERVICE_PUBLISHING] = BIT(SERVICE_RUNNING) | BIT(SERVICE_DRAINING) | BIT(SERVICE_FAILED),
	[SERVICE_RUNNING] = BIT(SERVICE_PUBLISHING) | BIT(SERVICE_OFFLINE) | BIT(SERVICE_DRAINING) |
			    BIT(SERVICE_FAILED),
	[SERVICE_OFFLINE] = BIT(SERVICE_PUBLISHING) | BIT(SERVICE_RUNNING) | BIT(SERVICE_DRAINING) |
			    BIT(SERVICE_FAILED),
	[SERVICE_DRAINING] = BIT(SERVICE_STOPPED),
	[SERVICE_FAILED] = BIT(SERVICE_SCHEDULED) | BIT(SERVICE_PREPARING) | BIT(SERVICE_STOPPED),
};

static const char *const state_names[] = {
	[SERVICE_STOPPED] = "stopped",     [SERVICE_SCHEDULED] = "scheduled",
	[SERVICE_PREPARING] = "preparing", [SERVICE_PUBLISHING] = "publishing",
	[SERVICE_RUNNING] = "running",     [SERVICE_DRAINING] = "draining",
	[SERVICE_OFFLINE] = "offline",     [SERVICE_FAILED] = "failed",
};

const char *service_state_name(enum service_state state)
{
	return state_names[state];
}

bool service_is_up(const struct service *svc)
{
	return svc->state != SERVICE_STOPPED && svc->state != SERVICE_SCHEDULED &&
	       svc->state != SERVICE_FAILED && svc->state != SERVICE_DRAINING;
}

bool service_is_down(const struct service *svc)
{
	return (svc->state == SERVICE_STOPPED || svc->state == SERVICE_SCHEDULED ||
		svc->state == SERVICE_FAILED) &&
	       !svc->taking_down;
}

/* Those that somebody wants to hear of; the rest are steps on the way. */
static enum log_event event_of(enum service_state state)
{
	static const enum log_event events[] = {
		[SERVICE_RUNNING] = LOG_EVENT_SERVICE_RUNNING,
		[SERVICE_STOPPED] = LOG_EVENT_SERVICE_STOPPED,
		[SERVICE_OFFLINE] = LOG_EVENT_SERVICE_OFFLINE,
		[SERVICE_FAILED] = LOG_EVENT_SERVICE_FAILED,
	};

	return state < ARRAY_SIZE(events) ? events[state] : LOG_EVENT_NONE;
}

void service_tell_state(struct service *svc)
{
	manager_service_changed(svc->m);
	bus_publish(manager_bus(svc->m), svc->row->name,
		    json_pack("{s:s, s:s, s:s, s:s?, s:o, s:o}", "event", "state", "name",
			      svc->row->name, "state", state_names[svc->state], "reason",
			      svc->reason, "start_at", schedule_start_json(svc), "stop_at",
			      schedule_stop_json(svc)));
}

static bool is_for_history(enum service_state state)
{
	return state == SERVICE_RUNNING || state == SERVICE_STOPPED || state == SERVICE_FAILED ||
	       state == SERVICE_SCHEDULED;
}

void service_set_state(struct service *svc, enum service_state state, const char *reason)
{
	bool same_reason = reason == svc->reason ||
			   (reason && svc->reason && strcmp(reason, svc->reason) == 0);

	if (state == svc->state && same_reason) {
		return;
	}
	assert(state == svc->state || moves[svc->state] & BIT(state));
	if (state != svc->state) {
		log_tell(LOG_LEVEL_INFO, event_of(state), svc->row->name, "service %s: %s%s%s",
			 svc->row->name, state_names[state], reason ? ": " : "",
			 reason ? reason : "");
		if (state == SERVICE_RUNNING && !svc->started_ms) {
			svc->started_ms = ev_wall_ms();
		}
		if (state == SERVICE_STOPPED || state == SERVICE_FAILED) {
			svc->started_ms = 0;
		}
	}
	if (!same_reason) {
		char *copy = reason ? xstrdup(reason) : NULL;

		free(svc->reason);
		svc->reason = copy;
	}
	bool changed = state != svc->state;

	svc->state = state;
	service_tell_state(svc);
	if (changed && !svc->ephemeral && is_for_history(state)) {
		json_t *details = svc->reason ? json_pack("{s:s}", "reason", svc->reason) : NULL;

		store_history_add(manager_store(svc->m), svc->row->name, state_names[state],
				  details);
		json_decref(details);
	}
}

void service_set_options(struct service *svc)
{
	json_decref(svc->options);
	svc->options = options_complete(svc->row->mode, svc->row->options);
	manager_options_set(svc);
	service_set_webhook(svc);
}

void service_set_broken(struct service *svc, const char *why)
{
	log_tell(LOG_LEVEL_ERROR, LOG_EVENT_SERVICE_FAILED, svc->row->name,
		 "service %s cannot be used: %s", svc->row->name, why);
	svc->broken = true;
	svc->state = SERVICE_FAILED;
	free(svc->reason);
	svc->reason = xstrdup(why);
}

bool service_option_bool(const struct service *svc, const char *name)
{
	return json_is_true(json_object_get(svc->options, name));
}

json_int_t service_option_int(const struct service *svc, const char *name)
{
	const json_t *v = json_object_get(svc->options, name);

	return json_is_integer(v) ? json_integer_value(v) : -1;
}

bool service_is_public(const struct service *svc)
{
	return service_option_bool(svc, "public");
}

struct service *service_new(struct manager *m, struct service_row *row, bool ephemeral)
{
	struct service *svc = xnew(struct service);

	svc->m = m;
	svc->row = row;
	svc->ephemeral = ephemeral;
	svc->serial = manager_next_id(m);
	svc->circuits_linger = true; /* a tor of the system may have been here before us */
	svc->reason = row->reason ? xstrdup(row->reason) : NULL;
	list_init(&svc->link);
	list_init(&svc->down_waiters);
	svc->found.fd = -1;
	transfers_init(&svc->transfers, row->completed, row->bytes_in, row->bytes_out);
	return svc;
}

void service_free(struct service *svc)
{
	assert(service_is_down(svc) && list_empty(&svc->down_waiters));
	list_remove(&svc->link);
	service_stop_key(svc);
	service_drop_left(svc);
	transfers_done(&svc->transfers);
	copies_drop(svc->m, svc->row->sources);
	webhook_free(svc->webhook);
	service_row_free(svc->row);
	json_decref(svc->options);
	free(svc->reason);
	free(svc->socket_path);
	free(svc);
}
