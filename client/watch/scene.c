/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/watch/scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/service.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"

static void replace(char **text, const char *with)
{
	free(*text);
	*text = with[0] != '\0' ? xstrdup(with) : NULL;
}

static void service_done(struct scene_service *s)
{
	free(s->state);
	free(s->reason);
	free(s->url);
}

static void latest_done(struct scene_latest *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->all[i].text);
	}
}

void scene_done(struct scene *s)
{
	for (size_t i = 0; i < s->n_services; i++) {
		service_done(&s->services[i]);
	}
	free(s->services);
	free(s->tor);
	transfers_done(&s->transfers);
	latest_done(&s->submissions);
	latest_done(&s->finished);
	*s = (struct scene){0};
}

/* --- services --- */

/* Where the name stands, or would: *ret_found tells. */
static size_t place(const struct scene *s, const char *name, bool *ret_found)
{
	size_t low = 0, high = s->n_services;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(s->services[middle].name, name) < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	*ret_found = low < s->n_services && strcmp(s->services[low].name, name) == 0;
	return low;
}

static struct scene_service *find(const struct scene *s, const char *name)
{
	bool found;
	size_t at = place(s, name, &found);

	return found ? &s->services[at] : NULL;
}

/* NULL: there is no room for another. */
static struct scene_service *find_or_add(struct scene *s, const char *name)
{
	bool found;
	size_t at = place(s, name, &found);

	if (found) {
		return &s->services[at];
	}
	if (s->n_services == SCENE_SERVICES_MAX) {
		return NULL;
	}
	s->services = xreallocarray(s->services, s->n_services + 1, sizeof(s->services[0]));
	memmove(&s->services[at + 1], &s->services[at],
		(s->n_services - at) * sizeof(s->services[0]));
	s->n_services++;
	s->services[at] = (struct scene_service){0};
	snprintf(s->services[at].name, sizeof(s->services[at].name), "%s", name);
	return &s->services[at];
}

static void drop(struct scene *s, const char *name)
{
	bool found;
	size_t at = place(s, name, &found);

	if (!found) {
		return;
	}
	service_done(&s->services[at]);
	s->n_services--;
	memmove(&s->services[at], &s->services[at + 1],
		(s->n_services - at) * sizeof(s->services[0]));
}

static int64_t time_member(const json_t *service, const char *member)
{
	int64_t ms = 0;

	units_parse_time(span_str(service_text(service, member)), &ms);
	return ms;
}

static bool has_visitors(const char *state)
{
	return strcmp(state, "running") == 0 || strcmp(state, "draining") == 0 ||
	       strcmp(state, "offline") == 0;
}

/* What a service object and an event of its state have in common. NULL: not shown. */
static struct scene_service *note_state(struct scene *s, const json_t *service)
{
	const char *state = service_text(service, "state");
	struct scene_service *known = find_or_add(s, service_text(service, "name"));

	if (!known) {
		return NULL;
	}
	replace(&known->state, state);
	replace(&known->reason, service_text(service, "reason"));
	known->start_ms = strcmp(state, "scheduled") == 0 ? time_member(service, "start_at") : 0;
	known->stop_ms = strcmp(state, "stopped") != 0 && strcmp(state, "failed") != 0
				 ? time_member(service, "stop_at")
				 : 0;
	if (!has_visitors(state)) {
		known->members = 0;
	}
	return known;
}

void scene_note_service(struct scene *s, const json_t *service)
{
	const json_t *transfers = json_object_get(service, "transfers");
	struct scene_service *known = note_state(s, service);
	json_int_t completed = json_integer_value(json_object_get(transfers, "completed"));

	if (known) {
		replace(&known->url, service_text(service, "url"));
		known->completed = completed > 0 ? (uint64_t)completed : 0;
	}
}

bool scene_lacks_address(const struct scene *s, const char *name)
{
	const struct scene_service *known = find(s, name);

	return known && !known->url;
}

/* --- what was last --- */

static void add_latest(struct scene_latest *l, const char *name, struct buf *text, int64_t wall_ms)
{
	if (l->n == SCENE_LATEST_MAX) {
		free(l->all[--l->n].text);
	}
	memmove(&l->all[1], &l->all[0], l->n * sizeof(l->all[0]));
	l->n++;
	l->all[0] = (struct scene_entry){.at_ms = wall_ms, .text = buf_take(text)};
	snprintf(l->all[0].name, sizeof(l->all[0].name), "%s", name);
}

static void on_transfer(struct scene *s, const json_t *event, const struct scene_time *now)
{
	const char *phase = service_text(event, "phase");
	struct scene_service *service = find(s, service_text(event, "name"));
	uint64_t count = news_count(event), done = count;
	struct buf text = BUF_INIT;

	if (count == 0) {
		struct transfer t = transfers_event(&s->transfers, event, now->steady_ms);
		bool completed = strcmp(phase, "completed") == 0;

		done = completed ? 1 : 0;
		if (completed || strcmp(phase, "cancelled") == 0) {
			news_add_transfer(&text, &t, phase);
			add_latest(&s->finished, t.name, &text, now->wall_ms);
		}
	}
	if (service) {
		service->completed += done;
	}
}

static void on_submission(struct scene *s, const json_t *event, const struct scene_time *now)
{
	struct buf text = BUF_INIT;

	news_add_submission(&text, event);
	add_latest(&s->submissions, service_text(event, "name"), &text, now->wall_ms);
}

static void on_members(struct scene *s, const json_t *event)
{
	json_int_t n = json_integer_value(json_object_get(event, "members"));
	struct scene_service *service = find(s, service_text(event, "name"));

	if (service) {
		service->members = n > 0 ? (uint64_t)n : 0;
	}
}

/* --- Tor --- */

static void set_tor(struct scene *s, const char *state, json_int_t percent, const char *more)
{
	struct buf text = BUF_INIT;

	s->tor_ready = strcmp(state, "ready") == 0 && percent == 100;
	buf_printf(&text, "Tor: %s", state);
	if (!s->tor_ready && percent >= 0) {
		buf_printf(&text, ", %lld%%", (long long)percent);
	}
	if (!s->tor_ready && more[0] != '\0') {
		buf_printf(&text, " - %s", more);
	}
	free(s->tor);
	s->tor = buf_take(&text);
}

static void note_tor(struct scene *s, const json_t *tor)
{
	const json_t *bootstrap = json_object_get(tor, "bootstrap");
	const char *problem = service_text(tor, "problem");

	if (strcmp(service_text(tor, "mode"), "none") == 0) {
		replace(&s->tor, "Without Tor: for this machine only");
		s->tor_ready = true;
		return;
	}
	set_tor(s, service_text(tor, "state"),
		json_integer_value(json_object_get(bootstrap, "percent")),
		problem[0] ? problem : service_text(bootstrap, "summary"));
}

/* --- events --- */

static void on_snapshot(struct scene *s, const json_t *event)
{
	const json_t *services = json_object_get(event, "services");
	size_t n = json_array_size(services), i;
	json_t *service;

	json_array_foreach (services, i, service) {
		scene_note_service(s, service);
	}
	s->n_left_out = n > s->n_services ? n - s->n_services : 0;
	note_tor(s, json_object_get(event, "tor"));
}

void scene_event(struct scene *s, const json_t *event, const struct scene_time *now)
{
	const char *kind = service_text(event, "event");

	if (strcmp(kind, "snapshot") == 0) {
		on_snapshot(s, event);
	} else if (strcmp(kind, "tor") == 0) {
		set_tor(s, service_text(event, "state"),
			json_integer_value(json_object_get(event, "percent")), "");
	} else if (strcmp(kind, "transfer") == 0) {
		on_transfer(s, event, now);
	} else if (strcmp(kind, "submission") == 0) {
		on_submission(s, event, now);
	} else if (strcmp(kind, "members") == 0) {
		on_members(s, event);
	} else if (strcmp(kind, "state") == 0 &&
		   strcmp(service_text(event, "state"), "deleted") == 0) {
		drop(s, service_text(event, "name"));
	} else if (strcmp(kind, "state") == 0) {
		note_state(s, event);
	}
}
