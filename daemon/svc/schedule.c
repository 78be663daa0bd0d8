/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "svc/schedule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/log.h"
#include "proto/base/alloc.h"
#include "proto/units.h"
#include "svc/registry.h"

/*
 * The loop's clock stands still while the machine sleeps and knows nothing of a
 * wall clock that is set: so nothing is waited for longer than this in one piece.
 */
#define LOOK_AGAIN_MS 5000

struct schedule {
	struct manager *m;
	uv_timer_t timer; /* runs only while a service has a time to come */
};

/* --- from options to times --- */

static int64_t option_time(const json_t *options, const char *name)
{
	const json_t *value = json_object_get(options, name);
	int64_t ms = 0;

	if (json_is_string(value)) {
		units_parse_time(span_of(json_string_value(value), json_string_length(value)), &ms);
	}
	return ms;
}

/* An absolute time, or one that counts from now; 0: neither is set. */
static int64_t wanted_time(const json_t *options, const char *at, const char *timer, int64_t now_ms)
{
	const json_t *seconds = json_object_get(options, timer);

	return json_is_integer(seconds) ? now_ms + json_integer_value(seconds) * 1000
					: option_time(options, at);
}

static int refuse(struct error *err, const char *field, const char *why)
{
	return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, field, why, "%s: %s", field, why);
}

static int check_order(int64_t start_ms, int64_t stop_ms, struct error *err)
{
	return start_ms && stop_ms && stop_ms <= start_ms
		       ? refuse(err, "stop_at", "must be later than the start")
		       : 0;
}

int schedule_plan(const struct service *svc, int64_t *ret_start_ms, int64_t *ret_stop_ms,
		  struct error *err)
{
	int64_t now = manager_wall_ms(svc->m);
	int64_t start = wanted_time(svc->options, "start_at", "auto_start_timer", now);
	int64_t stop = wanted_time(svc->options, "stop_at", "auto_stop_timer", now);

	if (start <= now) {
		start = 0;
	}
	if (stop && stop <= now) {
		return refuse(err, "stop_at",
			      "has passed; set another time, or none (edit --unset stop-at)");
	}
	int r = check_order(start, stop, err);

	if (r == 0) {
		*ret_start_ms = start;
		*ret_stop_ms = stop;
	}
	return r;
}

int schedule_check(const json_t *options, int64_t now_ms, struct error *err)
{
	static const char *const names[] = {"start_at", "stop_at"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int64_t ms = option_time(options, names[i]);

		if (ms && ms <= now_ms) {
			return refuse(err, names[i], "is in the past");
		}
	}
	return 0;
}

static void replace(const json_t *changes, json_t *all, const char *a, const char *b)
{
	bool has_a = json_object_get(changes, a) && !json_is_null(json_object_get(changes, a));
	bool has_b = json_object_get(changes, b) && !json_is_null(json_object_get(changes, b));

	/* Both at once are a contradiction, which somebody else tells of. */
	if (has_a && !has_b) {
		json_object_del(all, b);
	} else if (has_b && !has_a) {
		json_object_del(all, a);
	}
}

void schedule_replace(const json_t *changes, json_t *all)
{
	replace(changes, all, "start_at", "auto_start_timer");
	replace(changes, all, "stop_at", "auto_stop_timer");
}

static bool touches(const json_t *changed, const char *a, const char *b)
{
	return json_object_get(changed, a) || json_object_get(changed, b);
}

int schedule_edit(const struct service *svc, const json_t *all, const json_t *changed,
		  int64_t *ret_start_ms, int64_t *ret_stop_ms, struct error *err)
{
	int64_t now = manager_wall_ms(svc->m);
	int64_t start = svc->row->start_ms, stop = svc->row->stop_ms;

	*ret_start_ms = start;
	*ret_stop_ms = stop;
	if (!svc->row->wanted) {
		return 0; /* they are looked at when it is started */
	}
	if (svc->state == SERVICE_SCHEDULED && touches(changed, "start_at", "auto_start_timer")) {
		start = wanted_time(all, "start_at", "auto_start_timer", now);
		if (!start) {
			/* Who takes the time away from a dead man's switch does not want that. */
			return error_set_kind(err, EINVAL, ERROR_INVALID_STATE, "scheduled", NULL,
					      "without a time the service %s would start at once; "
					      "stop it first",
					      svc->row->name);
		}
	}
	if (touches(changed, "stop_at", "auto_stop_timer")) {
		stop = wanted_time(all, "stop_at", "auto_stop_timer", now);
	}
	int r = check_order(start, stop, err);

	if (r == 0) {
		*ret_start_ms = start;
		*ret_stop_ms = stop;
	}
	return r;
}

/* --- when the time has come --- */

static void set_reason(struct service *svc, const char *reason)
{
	free(svc->row->reason);
	svc->row->reason = xstrdup(reason);
}

/* It is saved first: a crash must not bring back what was seen to stop. */
static void stop_now(struct service *svc)
{
	svc->row->wanted = false;
	svc->row->start_ms = svc->row->stop_ms = 0;
	set_reason(svc, SCHEDULE_STOPPED);
	svc->finished = true;
	manager_save_then_stop(svc);
}

static void start_now(struct service *svc)
{
	svc->row->start_ms = 0;
	service_start(svc);
	manager_save(svc);
}

static bool is_due(int64_t at_ms, int64_t now_ms)
{
	return at_ms && at_ms <= now_ms;
}

int schedule_missed_stop(struct service *svc)
{
	if (!is_due(svc->row->stop_ms, manager_wall_ms(svc->m))) {
		return 0;
	}
	svc->row->wanted = false;
	svc->row->start_ms = svc->row->stop_ms = 0;
	set_reason(svc, SCHEDULE_STOPPED);
	service_set_state(svc, SERVICE_STOPPED, SCHEDULE_STOPPED);
	manager_save(svc);
	return 1;
}

/* Does what is due; the time that is to come, or 0. */
static int64_t look_at(struct service *svc, int64_t now)
{
	const struct service_row *row = svc->row;

	if (!row->wanted || svc->deleting || svc->broken || svc->finished) {
		return 0;
	}
	if (is_due(row->stop_ms, now)) {
		stop_now(svc);
		return 0;
	}
	if (svc->state == SERVICE_SCHEDULED && is_due(row->start_ms, now)) {
		start_now(svc);
	}
	return svc->state == SERVICE_SCHEDULED ? row->start_ms : row->stop_ms;
}

static void look(uv_timer_t *timer);

static void arm(struct schedule *s, uint64_t ms)
{
	uv_timer_start(&s->timer, look, ms, 0);
}

static void look(uv_timer_t *timer)
{
	struct schedule *s = container_of(timer, struct schedule, timer);
	int64_t now = manager_wall_ms(s->m), next = INT64_MAX;

	if (s->m->stopping) {
		return;
	}
	list_for_each_safe (it, &s->m->services) {
		int64_t at = look_at(list_entry(it, struct service, link), now);

		if (at && at < next) {
			next = at;
		}
	}
	if (next != INT64_MAX) {
		int64_t left = next - now;

		arm(s, left > LOOK_AGAIN_MS ? LOOK_AGAIN_MS : left > 0 ? (uint64_t)left : 1);
	}
}

void schedule_wake(struct schedule *s)
{
	arm(s, 0);
}

struct schedule *schedule_new(struct manager *m)
{
	struct schedule *s = xnew(struct schedule);

	s->m = m;
	uv_timer_init(m->ev->loop, &s->timer);
	return s;
}

static void on_closed(uv_handle_t *handle)
{
	free(container_of((uv_timer_t *)handle, struct schedule, timer));
}

void schedule_free(struct schedule *s)
{
	uv_close((uv_handle_t *)&s->timer, on_closed);
}

/* --- what is shown --- */

/* The time of this run; without one the option, as far as it is still to come. */
static json_t *shown(const struct service *svc, int64_t of_run, const char *option)
{
	char text[UNITS_TIME_TEXT];
	int64_t ms = of_run ? of_run : option_time(svc->options, option);
	bool counts = of_run || !svc->row->wanted || ms > manager_wall_ms(svc->m);

	return ms && counts ? json_string(units_print_time(ms, text)) : json_null();
}

json_t *schedule_start_json(const struct service *svc)
{
	return shown(svc, svc->state == SERVICE_SCHEDULED ? svc->row->start_ms : 0, "start_at");
}

json_t *schedule_stop_json(const struct service *svc)
{
	return shown(svc, service_is_coming_up(svc) ? svc->row->stop_ms : 0, "stop_at");
}
