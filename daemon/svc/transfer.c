/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "svc/transfer.h"

#include <stdlib.h>

#include "proto/base/alloc.h"

#define PROGRESS_MS 250

struct transfer {
	struct list link;
	uint64_t id;
	bool out;
	uint64_t bytes;
	uint64_t told_ms;
};

void transfers_init(struct transfers *t, int64_t completed, int64_t bytes_in, int64_t bytes_out)
{
	*t = (struct transfers){.completed = completed,
				.bytes_in = bytes_in,
				.bytes_out = bytes_out};
	list_init(&t->active);
}

static void drop(struct transfers *t, struct transfer *tr)
{
	list_remove(&tr->link);
	t->n_active--;
	free(tr);
}

void transfers_done(struct transfers *t)
{
	list_for_each_safe (it, &t->active) {
		drop(t, list_entry(it, struct transfer, link));
	}
}

static struct transfer *find(struct transfers *t, uint64_t id)
{
	list_for_each (it, &t->active) {
		struct transfer *tr = list_entry(it, struct transfer, link);

		if (tr->id == id) {
			return tr;
		}
	}
	return NULL;
}

static const char *phase_name(enum mode_transfer_phase phase)
{
	switch (phase) {
	case MODE_TRANSFER_STARTED:
		return "started";
	case MODE_TRANSFER_PROGRESS:
		return "progress";
	case MODE_TRANSFER_COMPLETED:
		return "completed";
	case MODE_TRANSFER_CANCELLED:
		return "cancelled";
	}
	return "";
}

static json_t *make_event(const char *service, uint64_t id, enum mode_transfer_phase phase,
			  bool out, uint64_t bytes, uint64_t total)
{
	json_t *event = json_pack("{s:s, s:s, s:I, s:s, s:s, s:I}", "event", "transfer", "name",
				  service, "id", (json_int_t)id, "direction", out ? "out" : "in",
				  "phase", phase_name(phase), "bytes", (json_int_t)bytes);

	json_object_set_new(event, "total",
			    total == HTTP_LENGTH_UNKNOWN ? json_null()
							 : json_integer((json_int_t)total));
	return event;
}

static void tell(struct bus *bus, const char *service, uint64_t id, enum mode_transfer_phase phase,
		 bool out, uint64_t bytes, uint64_t total)
{
	if (bus_has_subscribers(bus)) {
		bus_publish(bus, service, make_event(service, id, phase, out, bytes, total));
	}
}

bool transfers_report(struct transfers *t, struct bus *bus, const char *service, uint64_t now_ms,
		      uint64_t id, enum mode_transfer_phase phase, bool out, uint64_t bytes,
		      uint64_t total)
{
	bool over = phase == MODE_TRANSFER_COMPLETED || phase == MODE_TRANSFER_CANCELLED;
	struct transfer *tr = find(t, id);

	if (!tr) {
		tr = xnew(struct transfer);
		tr->id = id;
		tr->out = out;
		list_append(&t->active, &tr->link);
		t->n_active++;
	}
	tr->bytes = bytes;
	if (phase == MODE_TRANSFER_PROGRESS && now_ms - tr->told_ms < PROGRESS_MS) {
		return false;
	}
	tr->told_ms = now_ms;
	if (over) {
		if (out) {
			t->bytes_out += (int64_t)bytes;
		} else {
			t->bytes_in += (int64_t)bytes;
		}
		if (phase == MODE_TRANSFER_COMPLETED) {
			t->completed++;
		}
		drop(t, tr);
	}
	tell(bus, service, id, phase, out, bytes, total);
	return over;
}

void transfers_served(struct transfers *t, struct bus *bus, const char *service, uint64_t id,
		      uint64_t responses, uint64_t bytes)
{
	t->completed += (int64_t)responses;
	t->bytes_out += (int64_t)bytes;
	if (responses && bus_has_subscribers(bus)) {
		json_t *event =
			make_event(service, id, MODE_TRANSFER_COMPLETED, true, bytes, bytes);

		json_object_set_new(event, "count", json_integer((json_int_t)responses));
		bus_publish(bus, service, event);
	}
}

json_t *transfers_json(const struct transfers *t)
{
	int64_t in = t->bytes_in, out = t->bytes_out;

	list_for_each (it, &t->active) {
		const struct transfer *tr = list_entry(it, const struct transfer, link);

		*(tr->out ? &out : &in) += (int64_t)tr->bytes;
	}
	return json_pack("{s:i, s:I, s:I, s:I}", "active", (int)t->n_active, "completed",
			 (json_int_t)t->completed, "bytes_in", (json_int_t)in, "bytes_out",
			 (json_int_t)out);
}
