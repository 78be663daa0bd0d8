/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A service on its way down: the drain, then its parts in their order. */
#include "svc/service.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "proto/base/alloc.h"

void service_stop_key(struct service *svc)
{
	if (svc->key_req) {
		tor_key_cancel(take_ptr(svc->key_req));
	}
}

static void all_down(struct service *svc)
{
	svc->taking_down = false;
	svc->drain_until = 0;
	svc->leaving = false;
	service_tell_rest(svc);
	service_drop_left(svc);
	free(svc->socket_path);
	svc->socket_path = NULL;
	if (svc->state == SERVICE_DRAINING) {
		service_set_state(svc, SERVICE_STOPPED, svc->row->reason);
	}
	if (svc->start_again) {
		svc->start_again = false;
		service_start(svc);
	}
	manager_service_down(svc);
}

static void part_down(struct service *svc)
{
	assert(svc->closing > 0);
	if (--svc->closing == 0) {
		all_down(svc);
	}
}

static void onion_removed(void *ud)
{
	part_down(ud);
}

static void mode_stopped(void *ud)
{
	struct service *svc = ud;

	svc->mode = NULL;
	svc->mode_ready = false;
	service_content_mode_gone(svc);
	part_down(svc);
}

static void stop_mode(struct service *svc)
{
	if (svc->mode) {
		svc->closing++;
		svc->mode->ops->stop(svc->mode, mode_stopped, svc);
	}
}

/* The mode may answer requests until the server is gone, so it goes after it. */
static void server_closed(void *ud)
{
	struct service *svc = ud;

	svc->server = NULL;
	stop_mode(svc);
	part_down(svc);
}

static void send_away(struct service *svc)
{
	if (svc->mode_ready && svc->mode->ops->closing) {
		svc->mode->ops->closing(svc->mode);
	}
}

/*
 * All parts, now. The onion first: nobody shall be sent to a socket that is gone.
 * cut: open circuits are closed too. Not after an end in peace: what visitors
 * were handed last is still on its way through tor, and a circuit of an onion
 * that is gone takes no new streams.
 */
static void take_down(struct service *svc, bool cut)
{
	svc->taking_down = true;
	svc->finished = false;
	svc->drain_until = 0;
	svc->closing++; /* until the end of this function */
	service_stop_key(svc);
	send_away(svc);
	if (svc->onion) {
		svc->closing++;
		onion_remove(take_ptr(svc->onion), cut, onion_removed, svc);
	}
	if (svc->server) {
		svc->closing++;
		http_server_close(svc->server, server_closed, svc);
	} else {
		stop_mode(svc);
	}
	part_down(svc);
}

static bool has_running_transfers(const struct service *svc)
{
	return svc->server && (http_server_busy(svc->server) > 0 ||
			       (svc->leaving && http_server_expects(svc->server)) ||
			       (svc->mode_ready && svc->mode->ops->active(svc->mode) > 0));
}

void service_stop(struct service *svc, bool cut)
{
	unsigned drain_ms = manager_config(svc->m)->drain_ms;

	svc->start_again = false;
	svc->finished = false;
	if ((svc->state == SERVICE_FAILED || svc->state == SERVICE_SCHEDULED) &&
	    !svc->taking_down) {
		service_set_state(svc, SERVICE_STOPPED, svc->row->reason);
		return;
	}
	if (service_is_up(svc)) {
		service_set_state(svc, SERVICE_DRAINING, NULL);
		svc->taking_down = true;
		service_leave(svc);
		if (!cut && drain_ms && has_running_transfers(svc)) {
			send_away(svc);
			http_server_set_draining(svc->server, !svc->leaving);
			svc->drain_until = ev_now_ms(manager_ev(svc->m)) + drain_ms;
			manager_drain_started(svc->m);
			return;
		}
		take_down(svc, cut);
	} else if (cut && svc->drain_until) {
		take_down(svc, true);
	}
}

void service_drain_tick(struct service *svc, uint64_t now_ms)
{
	bool running = has_running_transfers(svc);

	if (svc->drain_until && (now_ms >= svc->drain_until || !running)) {
		take_down(svc, running);
	}
}

void service_end_drain(struct service *svc)
{
	if (svc->drain_until) {
		take_down(svc, true);
	}
}

void service_fail(struct service *svc, const char *why)
{
	if (!service_is_up(svc)) {
		return;
	}
	log_error("service %s: %s", svc->row->name, why);
	service_set_state(svc, SERVICE_FAILED, why);
	take_down(svc, true);
}
