/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/wait.h"

#include <stdio.h>
#include <string.h>

#include "client/out.h"
#include "client/service.h"
#include "proto/base/alloc.h"
#include "proto/base/buf.h"

/* The daemon is given this much longer to tell of a timeout itself. */
#define GRACE_MS 2000

#define PERCENT_STEP 25u

/* Where the output is no terminal a line is printed for each of these, once. */
enum milestone { MILESTONE_PREPARING = 1, MILESTONE_PUBLISHING, MILESTONE_TOR };

static void show(unsigned milestone, const struct buf *text)
{
	size_t columns = out_live_columns();

	out_live(milestone, columns > 0 ? out_esc_cut(text->p, columns) : out_esc(text->p));
}

static void show_tor(const json_t *tor)
{
	const json_t *bootstrap = json_object_get(tor, "bootstrap");
	json_int_t percent = json_integer_value(json_object_get(bootstrap, "percent"));
	struct buf text = BUF_INIT;

	if (service_has(tor, "problem")) {
		buf_printf(&text, "Waiting for Tor: %s", service_text(tor, "problem"));
	} else if (percent < 0) {
		buf_add_str(&text, "Waiting for Tor to answer");
	} else {
		buf_printf(&text, "Connecting to the Tor network: %d%% - %s", (int)percent,
			   service_text(bootstrap, "summary"));
	}
	show(MILESTONE_TOR + (percent > 0 ? (unsigned)percent / PERCENT_STEP + 1 : 0), &text);
	buf_done(&text);
}

void wait_show(const json_t *service, const json_t *tor)
{
	const char *state = service_text(service, "state");
	bool reachable = json_is_true(json_object_get(tor, "reachable"));
	struct buf text = BUF_INIT;

	if (json_is_object(tor) && !reachable) {
		show_tor(tor);
		return;
	}
	if (strcmp(state, "publishing") == 0) {
		buf_printf(&text, "Announcing the address of %s to the Tor network",
			   service_text(service, "name"));
		show(MILESTONE_PUBLISHING, &text);
	} else {
		buf_printf(&text, "%s is %s", service_text(service, "name"), state);
		show(strcmp(state, "draining") == 0 ? 0 : MILESTONE_PREPARING, &text);
	}
	buf_done(&text);
}

int wait_for_service(struct ctl *ctl, const char *name, const char *goal, int64_t deadline_ms,
		     json_t **ret, struct error *err)
{
	json_t *params = json_pack("{s:s, s:s}", "name", name, "for", goal);
	int64_t limit = deadline_ms;
	bool continues = true;
	int r = ctl_connect(ctl, err);

	if (deadline_ms != RPC_FOREVER) {
		int64_t left = deadline_ms - rpc_now();

		json_object_set_new(params, "timeout_ms", json_integer(left > 0 ? left : 0));
		limit = deadline_ms + GRACE_MS;
	}
	if (r < 0) {
		json_decref(params);
		return r;
	}
	r = rpc_send(ctl->rpc, "Wait", params, true, NULL, err);
	while (r == 0 && continues) {
		json_t *reply = NULL;

		r = rpc_receive(ctl->rpc, limit, &reply, &continues, err);
		if (r == 0 && continues) {
			wait_show(json_object_get(reply, "service"), json_object_get(reply, "tor"));
		} else if (r == 0) {
			*ret = json_incref(json_object_get(reply, "service"));
		}
		json_decref(reply);
	}
	out_live_end();
	return r;
}
