/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Services as JSON: the RPC's types Service and Counts. */
#include <string.h>

#include "proto/options.h"
#include "proto/units.h"
#include "svc/registry.h"

uint64_t service_serial(const struct service *svc)
{
	return svc->serial;
}

const char *service_name(const struct service *svc)
{
	return svc->row->name;
}

const char *service_state_text(const struct service *svc)
{
	return service_state_name(svc->state);
}

bool service_is_coming_up(const struct service *svc)
{
	return svc->start_again ||
	       (!svc->taking_down && svc->state != SERVICE_STOPPED && svc->state != SERVICE_FAILED);
}

static json_t *time_json(int64_t ms)
{
	char text[UNITS_TIME_TEXT];

	return ms ? json_string(units_print_time(ms, text)) : json_null();
}

static void add_address(const struct service *svc, json_t *o)
{
	const struct manager_config *config = manager_config(svc->m);
	json_t *url = json_null(), *backend = json_null();
	/* An edited port counts from the next start: the one that is open is the address. */
	unsigned open_port = svc->server ? http_server_port(svc->server) : 0;

	if (config->local_only) {
		unsigned port = open_port ? open_port : svc->row->port;

		if (port) {
			url = json_sprintf("http://127.0.0.1:%u", port);
			backend = json_sprintf("tcp:127.0.0.1:%u", port);
		}
	} else {
		if (svc->row->onion) {
			url = json_sprintf("http://%s.onion", svc->row->onion);
		}
		if (svc->socket_path) {
			backend = json_sprintf("unix:%s", svc->socket_path);
		} else if (open_port) {
			backend = json_sprintf("tcp:127.0.0.1:%u", open_port);
		}
	}
	json_object_set_new(o, "url", url);
	json_object_set_new(o, "onion",
			    !config->local_only && svc->row->onion ? json_string(svc->row->onion)
								   : json_null());
	json_object_set_new(o, "backend", backend);
}

/* Those of the mode that do not stand beside "options". */
static json_t *options_json(const struct service *svc)
{
	json_t *options = json_object(), *value;
	const char *name;

	json_object_foreach (svc->options, name, value) {
		const struct option *o = option_find(svc->row->mode, name);

		if (o && !(o->flags & OPTION_TOP_LEVEL)) {
			json_object_set(options, name, value);
		}
	}
	return options;
}

json_t *manager_service_json(const struct service *svc)
{
	json_t *title = json_object_get(svc->options, "title");
	json_t *o = json_pack("{s:s, s:s, s:s, s:b, s:s?}", "name", svc->row->name, "mode",
			      svc->row->mode, "state", service_state_name(svc->state), "wanted",
			      svc->row->wanted, "reason", svc->reason);

	add_address(svc, o);
	json_object_set_new(o, "public", json_boolean(service_is_public(svc)));
	json_object_set_new(o, "keys", manager_keys_json(svc));
	json_object_set(o, "title", title ? title : json_null());
	json_object_set_new(o, "start_at", schedule_start_json(svc));
	json_object_set_new(o, "stop_at", schedule_stop_json(svc));
	json_object_set_new(o, "options", options_json(svc));
	json_object_set_new(o, "paths",
			    svc->row->paths ? json_deep_copy(svc->row->paths) : json_array());
	json_object_set_new(o, "ephemeral", json_boolean(svc->ephemeral));
	json_object_set_new(o, "transfers", transfers_json(&svc->transfers));
	json_object_set_new(o, "webhook", service_webhook_json(svc));
	json_object_set_new(o, "created_at", time_json(svc->row->created_ms));
	json_object_set_new(o, "started_at", time_json(svc->started_ms));
	return o;
}

/* One service may have some 60 KiB of keys and options: a page stays well below a message's bound.
 */
#define PAGE_BYTES (256u * 1024)

static int by_name(const void *a, const void *b)
{
	const struct service *const *x = a, *const *y = b;

	return strcmp((*x)->row->name, (*y)->row->name);
}

static struct service **sorted_services(struct manager *m)
{
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers is meant */
	struct service **all = xcalloc(m->n_services, sizeof(*all));
	size_t n = 0;

	list_for_each (it, &m->services) {
		all[n++] = list_entry(it, struct service, link);
	}
	/* NOLINTNEXTLINE(bugprone-sizeof-expression) */
	qsort(all, n, sizeof(*all), by_name);
	return all;
}

static bool is_named(const json_t *names, const char *service)
{
	size_t i;
	json_t *name;

	json_array_foreach (names, i, name) {
		if (strcmp(json_string_value(name), service) == 0) {
			return true;
		}
	}
	return names == NULL;
}

json_t *manager_page_json(struct manager *m, const json_t *names, const char *after, bool *ret_last)
{
	struct service **all = sorted_services(m);
	json_t *page = json_array();
	size_t bytes = 0, i;

	for (i = 0; i < m->n_services && bytes < PAGE_BYTES; i++) {
		const char *name = all[i]->row->name;

		if ((!after || strcmp(name, after) > 0) && is_named(names, name)) {
			json_t *service = manager_service_json(all[i]);

			bytes += json_dumpb(service, NULL, 0, JSON_COMPACT);
			json_array_append_new(page, service);
		}
	}
	*ret_last = i == m->n_services;
	free(all);
	return page;
}

json_t *manager_counts_json(struct manager *m)
{
	int running = 0, failed = 0;

	list_for_each (it, &m->services) {
		const struct service *svc = list_entry(it, const struct service, link);

		running += svc->state == SERVICE_RUNNING;
		failed += svc->state == SERVICE_FAILED;
	}
	return json_pack("{s:i, s:i, s:i}", "total", (int)m->n_services, "running", running,
			 "failed", failed);
}
