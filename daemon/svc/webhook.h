/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A service's webhook: each submission is reported to a URL, once, as soon as the
 * target takes it. What waits is in the database and survives any end of the
 * daemon; one that ends between the target's answer and the row's deletion makes
 * one report come twice, and never more than one. Visitors never wait for it.
 *
 * One report at a time is on its way. With Tor each pair of service and target has
 * circuits of its own. Of a one-off service, which is not in the database, the reports
 * are in memory only and end with it.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "ev/ev.h"
#include "proto/base/error.h"
#include "store/store.h"
#include "svc/webhook_text.h"
#include "tor/tor.h"

struct webhook;

struct webhook_env {
	struct ev *ev;
	struct store *store;
	bool local_only;
	/*
	 * It begins to fail (problem) or works again (NULL); may be NULL. Never from
	 * within a webhook_ function.
	 */
	void (*changed)(void *ud, const char *problem);
	void *ud;
	/* For tests: another clock (wall time), other authorities. */
	int64_t (*wall_ms)(void);
	const char *ca_file;
};

struct webhook_config {
	const char *url; /* NULL: none; what waits is dropped */
	enum webhook_format format;
	const char *secret_file; /* NULL: reports are not signed */
	uid_t secret_owner;      /* who chose it, as for fs_open_owned */
};

/* May this be a target? -EINVAL with ERROR_INVALID_VALUE. */
int webhook_check_url(const char *url, bool local_only, struct error *err);

/* service_id 0: a one-off. env is copied, its strings are not. Nothing is sent before the first
 * webhook_configure. */
struct webhook *webhook_new(const struct webhook_env *env, int64_t service_id);
/* Sends nothing more and is gone; what waits in the database stays. */
void webhook_free(struct webhook *w);
/* Another URL: tried at once. */
void webhook_configure(struct webhook *w, const struct webhook_config *config);
/* A one-off has become a saved service. */
void webhook_saved(struct webhook *w, int64_t service_id);
/* Where tor is, whenever that changes; without Tor never. */
void webhook_tor_changed(struct webhook *w, const struct tor_status *status);
void webhook_submission(struct webhook *w, const char *service_name, unsigned files, bool message);
/* Looks at the clock now, as it does by itself when something is due. */
void webhook_wake(struct webhook *w);
/* {"pending", "last_error", "last_error_at", "last_success_at"}: a new reference. */
json_t *webhook_json(const struct webhook *w);
