/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a dropbox asks of its service: what it writes down, and who hears of arrivals. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "svc/bus.h"
#include "svc/service.h"
#include "svc/webhook.h"

static const char *data_dir_of(const json_t *options)
{
	return json_string_value(json_object_get(options, "data_dir"));
}

const char *service_data_dir(const struct service *svc)
{
	return data_dir_of(svc->options);
}

bool service_keeps_data_dir(const struct service *svc, const json_t *options)
{
	const char *before = data_dir_of(svc->row->options), *after = data_dir_of(options);

	return before == after || (before && after && strcmp(before, after) == 0);
}

struct pending {
	mode_pending_fn *cb;
	void *cb_ud;
};

static void on_pending(void *ud, const struct error *err, const struct inbox_intent *intents,
		       size_t n)
{
	struct pending *p = ud;
	struct mode_intent *copies = xcalloc(n, sizeof(*copies));

	for (size_t i = 0; i < n; i++) {
		copies[i] = (struct mode_intent){.id = intents[i].id,
						 .staging = intents[i].staging,
						 .day = intents[i].day,
						 .stamp = intents[i].stamp};
	}
	p->cb(p->cb_ud, err, copies, n);
	free(copies);
	free(p);
}

void host_inbox_pending(void *ud, mode_pending_fn *cb, void *cb_ud)
{
	struct service *svc = ud;
	struct pending *p = xnew(struct pending);

	p->cb = cb;
	p->cb_ud = cb_ud;
	store_inbox_pending(manager_store(svc->m), service_data_dir(svc), on_pending, p);
}

void host_inbox_intend(void *ud, const struct mode_intent *intent, mode_intended_fn *cb,
		       void *cb_ud)
{
	struct service *svc = ud;
	struct inbox_intent row = {0};

	/* Both are of the lengths that mode/receive/inbox.h names; longer ones would be damage. */
	snprintf(row.staging, sizeof(row.staging), "%s", intent->staging);
	snprintf(row.day, sizeof(row.day), "%s", intent->day);
	snprintf(row.stamp, sizeof(row.stamp), "%s", intent->stamp);
	store_inbox_intend(manager_store(svc->m), service_data_dir(svc), &row, cb, cb_ud);
}

void host_inbox_finish(void *ud, int64_t id, mode_finished_fn *cb, void *cb_ud)
{
	struct service *svc = ud;

	store_inbox_finish(manager_store(svc->m), id, cb, cb_ud);
}

void host_submission(void *ud, uint64_t id, unsigned files, bool message)
{
	struct service *svc = ud;

	bus_publish(manager_bus(svc->m), svc->row->name,
		    json_pack("{s:s, s:s, s:I, s:i, s:b}", "event", "submission", "name",
			      svc->row->name, "id", (json_int_t)id, "files", (int)files, "message",
			      message));
	if (!svc->ephemeral) {
		json_t *details = json_pack("{s:I, s:i, s:b}", "submission", (json_int_t)id,
					    "files", (int)files, "message", message);

		store_history_add(manager_store(svc->m), svc->row->name, "submission", details);
		json_decref(details);
	}
	if (svc->webhook) {
		webhook_submission(svc->webhook, svc->row->name, files, message);
	}
}
