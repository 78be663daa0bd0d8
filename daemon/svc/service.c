/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "svc/service.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "mode/assets.h"
#include "proto/base/alloc.h"
#include "proto/base/crypto.h"
#include "proto/options.h"
#include "svc/webhook.h"

/* A tor that is starting answers on its control socket within seconds. */
#define KEY_WAIT_MS 20000

/* Transfers in the history one by one, a second. */
#define LISTED_A_SECOND 10

#define BIT(state) (1U << (state))

/* To which states each may go; see the picture in the header. */
static const unsigned moves[] = {
	[SERVICE_STOPPED] = BIT(SERVICE_PREPARING),
	[SERVICE_PREPARING] = BIT(SERVICE_PUBLISHING) | BIT(SERVICE_RUNNING) |
			      BIT(SERVICE_DRAINING) | BIT(SERVICE_FAILED),
	[SERVICE_PUBLISHING] = BIT(SERVICE_RUNNING) | BIT(SERVICE_DRAINING) | BIT(SERVICE_FAILED),
	[SERVICE_RUNNING] = BIT(SERVICE_OFFLINE) | BIT(SERVICE_DRAINING) | BIT(SERVICE_FAILED),
	[SERVICE_OFFLINE] = BIT(SERVICE_PUBLISHING) | BIT(SERVICE_RUNNING) | BIT(SERVICE_DRAINING) |
			    BIT(SERVICE_FAILED),
	[SERVICE_DRAINING] = BIT(SERVICE_STOPPED),
	[SERVICE_FAILED] = BIT(SERVICE_PREPARING) | BIT(SERVICE_STOPPED),
};

static const char *const state_names[] = {
	[SERVICE_STOPPED] = "stopped",       [SERVICE_PREPARING] = "preparing",
	[SERVICE_PUBLISHING] = "publishing", [SERVICE_RUNNING] = "running",
	[SERVICE_DRAINING] = "draining",     [SERVICE_OFFLINE] = "offline",
	[SERVICE_FAILED] = "failed",
};

const char *service_state_name(enum service_state state)
{
	return state_names[state];
}

static bool is_up(const struct service *svc)
{
	return svc->state != SERVICE_STOPPED && svc->state != SERVICE_FAILED &&
	       svc->state != SERVICE_DRAINING;
}

bool service_is_down(const struct service *svc)
{
	return (svc->state == SERVICE_STOPPED || svc->state == SERVICE_FAILED) && !svc->taking_down;
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
		log_info("service %s: %s%s%s", svc->row->name, state_names[state],
			 reason ? ": " : "", reason ? reason : "");
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
	bus_publish(manager_bus(svc->m), svc->row->name,
		    json_pack("{s:s, s:s, s:s, s:s?}", "event", "state", "name", svc->row->name,
			      "state", state_names[state], "reason", svc->reason));
	if (changed && !svc->ephemeral &&
	    (state == SERVICE_RUNNING || state == SERVICE_STOPPED || state == SERVICE_FAILED)) {
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
	log_error("service %s cannot be used: %s", svc->row->name, why);
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
	svc->reason = row->reason ? xstrdup(row->reason) : NULL;
	list_init(&svc->link);
	list_init(&svc->down_waiters);
	transfers_init(&svc->transfers, row->completed, row->bytes_in, row->bytes_out);
	return svc;
}

static void stop_key(struct service *svc)
{
	if (svc->key_req) {
		tor_key_cancel(take_ptr(svc->key_req));
	}
}

void service_free(struct service *svc)
{
	assert(service_is_down(svc) && list_empty(&svc->down_waiters));
	list_remove(&svc->link);
	stop_key(svc);
	transfers_done(&svc->transfers);
	webhook_free(svc->webhook);
	service_row_free(svc->row);
	json_decref(svc->options);
	free(svc->reason);
	free(svc->socket_path);
	free(svc);
}

/* Transfers of a busy second, as one entry: a flood of them does not push the history out. */
static void tell_rest(struct service *svc)
{
	if (svc->told.more && !svc->ephemeral) {
		json_t *details = json_pack("{s:I, s:I}", "count", svc->told.more, "bytes",
					    svc->told.more_bytes);

		store_history_add(manager_store(svc->m), svc->row->name, "transfers", details);
		json_decref(details);
	}
	svc->told.more = svc->told.more_bytes = 0;
}

/* --- going down --- */

static void take_down(struct service *svc, bool cut);

static void all_down(struct service *svc)
{
	svc->taking_down = false;
	svc->drain_until = 0;
	tell_rest(svc);
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
	stop_key(svc);
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
			       (svc->mode_ready && svc->mode->ops->active(svc->mode) > 0));
}

void service_stop(struct service *svc, bool cut)
{
	unsigned drain_ms = manager_config(svc->m)->drain_ms;

	svc->start_again = false;
	if (svc->state == SERVICE_FAILED && !svc->taking_down) {
		service_set_state(svc, SERVICE_STOPPED, svc->row->reason);
		return;
	}
	if (is_up(svc)) {
		service_set_state(svc, SERVICE_DRAINING, NULL);
		svc->taking_down = true;
		svc->finished = false;
		if (!cut && drain_ms && has_running_transfers(svc)) {
			http_server_set_draining(svc->server, true);
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

static void fail(struct service *svc, const char *why)
{
	if (!is_up(svc)) {
		return;
	}
	log_error("service %s: %s", svc->row->name, why);
	service_set_state(svc, SERVICE_FAILED, why);
	take_down(svc, true);
}

/* --- coming up --- */

static const char *notice(const struct service *svc)
{
	return svc->mode_ready && svc->mode->ops->notice ? svc->mode->ops->notice(svc->mode) : NULL;
}

static void on_onion(void *ud, enum onion_state state, const char *reason)
{
	struct service *svc = ud;

	if (!is_up(svc)) {
		return;
	}
	switch (state) {
	case ONION_WANTED:
	case ONION_STALLED:
		service_set_state(svc, svc->state == SERVICE_RUNNING ? SERVICE_OFFLINE : svc->state,
				  reason);
		break;
	case ONION_PUBLISHING:
		if (svc->state != SERVICE_RUNNING) {
			service_set_state(svc, SERVICE_PUBLISHING, reason);
		}
		break;
	case ONION_PUBLISHED:
		service_set_state(svc, SERVICE_RUNNING, notice(svc));
		break;
	case ONION_FAILED:
		fail(svc, reason ? reason : "Tor refused the onion service");
		break;
	}
}

/*
 * A tor of another user must get through to the socket; the server then looks
 * who it is. A directory that the admin has opened to tor's group is left so.
 */
static int open_to_others(const struct service *svc)
{
	_cleanup_free_ char *dir = xasprintf("%s/http", manager_config(svc->m)->runtime_dir);
	struct stat st;

	if (stat(dir, &st) < 0 || (!(st.st_mode & 0011) && chmod(dir, 0711) < 0)) {
		return -errno;
	}
	return chmod(svc->socket_path, 0666) < 0 ? -errno : 0;
}

static void let_tor_in(struct service *svc, const struct tor_status *status)
{
	if (!svc->socket_path || !svc->server || status->mode != TOR_MODE_SYSTEM) {
		return;
	}
	int r = open_to_others(svc);

	if (r < 0) {
		log_warning("service %s: cannot let tor connect: %s", svc->row->name, strerror(-r));
	}
	http_server_set_peer_uid(svc->server, status->peer_uid);
}

static void publish(struct service *svc)
{
	uint8_t(*clients)[32] = NULL;
	char target[160];
	struct onion_spec spec = {
		.address = svc->row->onion,
		.key = svc->row->onion_key,
		.target = target,
		.pow = service_option_bool(svc, "pow"),
	};

	if (svc->socket_path) {
		snprintf(target, sizeof(target), "unix:%s", svc->socket_path);
	} else {
		snprintf(target, sizeof(target), "127.0.0.1:%u", http_server_port(svc->server));
	}
	if (!service_is_public(svc)) {
		clients = xcalloc(svc->row->n_keys, sizeof(*clients));
		for (size_t i = 0; i < svc->row->n_keys; i++) {
			memcpy(clients[i], svc->row->keys[i].public_key, 32);
		}
		spec.clients = (const uint8_t(*)[32])clients;
		spec.n_clients = (unsigned)svc->row->n_keys;
	}
	let_tor_in(svc, tor_status(manager_tor(svc->m)));
	service_set_state(svc, SERVICE_PUBLISHING, NULL);
	svc->onion = tor_onion_add(manager_tor(svc->m), &spec, on_onion, svc);
	free(clients);
}

static void on_request(void *ud, struct http_req *req)
{
	struct service *svc = ud;

	svc->mode->ops->request(svc->mode, req);
}

static int listen_on_port(struct service *svc, struct error *err)
{
	if (svc->row->port == 0) {
		/* None was free when it was made. */
		svc->row->port = pick_port(svc->m);
		if (svc->row->port == 0) {
			return error_set(err, EADDRINUSE, "no port of 127.0.0.1 is free");
		}
		manager_save(svc);
	}
	return http_server_listen_tcp(svc->server, svc->row->port, err);
}

static int listen_for_visitors(struct service *svc, struct error *err)
{
	static const struct http_server_ops ops = {.request = on_request};
	const struct manager_config *config = manager_config(svc->m);
	char host[ONION_ADDRESS_LEN + 7];
	struct http_server_config server = {.limits = config->limits,
					    .csp = "",
					    .assets = ASSETS_PATH,
					    .peer_uid = geteuid()}; /* until tor is known */
	json_int_t max = service_option_int(svc, "max_connections");

	if (max > 0) {
		server.limits.max_connections = (unsigned)max;
	}
	if (!config->local_only) {
		snprintf(host, sizeof(host), "%s.onion", svc->row->onion);
		server.host = host;
	}
	svc->server = http_server_new(manager_ev(svc->m), &server, &ops, svc);
	if (config->local_only) {
		return listen_on_port(svc, err);
	}
	if (config->listen_tcp) {
		return http_server_listen_tcp(svc->server, 0, err);
	}
	svc->socket_path = xasprintf("%s/http/%llu.sock", config->runtime_dir,
				     (unsigned long long)svc->serial);
	return http_server_listen_unix(svc->server, svc->socket_path, 0600, err);
}

/* The mode is ready and, with Tor, there is an address. */
static void serve(struct service *svc)
{
	struct error err = ERROR_INIT;

	if (listen_for_visitors(svc, &err) < 0) {
		fail(svc, error_text(&err));
		error_done(&err);
		return;
	}
	if (manager_config(svc->m)->local_only) {
		service_set_state(svc, SERVICE_RUNNING, notice(svc));
	} else {
		publish(svc);
	}
}

static void on_key(void *ud, const struct error *err, const char *address, const uint8_t *key)
{
	struct service *svc = ud;

	svc->key_req = NULL;
	if (err) {
		/* tor_changed asks again as soon as there is a tor. */
		if (svc->state == SERVICE_PREPARING) {
			service_set_state(svc, SERVICE_PREPARING, error_text(err));
		}
		return;
	}
	svc->row->onion = xstrdup(address);
	memcpy(svc->row->onion_key, key, ONION_KEY_SIZE);
	svc->row->has_onion_key = true;
	manager_save(svc);
	if (svc->state == SERVICE_PREPARING && svc->mode_ready) {
		serve(svc);
	}
}

static void want_key(struct service *svc)
{
	if (!svc->row->onion && !svc->key_req && manager_tor(svc->m)) {
		svc->key_req = tor_make_key(manager_tor(svc->m), KEY_WAIT_MS, on_key, svc);
	}
}

static void on_mode_ready(void *ud, const struct error *err)
{
	struct service *svc = ud;

	if (svc->state != SERVICE_PREPARING) {
		return;
	}
	if (err) {
		fail(svc, error_text(err));
		return;
	}
	svc->mode_ready = true;
	if (manager_tor(svc->m) && !svc->row->onion) {
		service_set_state(svc, SERVICE_PREPARING, "waiting for Tor to make the address");
		want_key(svc);
		return;
	}
	serve(svc);
}

/* --- what the mode asks of its host --- */

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
		tell_rest(svc);
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

static void host_completed(void *ud)
{
	struct service *svc = ud;

	/* Also in the last moments before a stop: but who asked for a restart gets it. */
	if (svc->deleting || svc->start_again || (!is_up(svc) && svc->state != SERVICE_DRAINING)) {
		return;
	}
	svc->row->wanted = false;
	free(svc->row->reason);
	svc->row->reason = xstrdup("completed");
	if (is_up(svc)) {
		svc->finished = true;
		http_server_stop_listening(svc->server);
	}
	/* Only when it is on disk: a crash must not bring back what was seen to stop. */
	manager_save_then_stop(svc);
}

static void host_failed(void *ud, const struct error *why)
{
	fail(ud, error_text(why));
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

static const struct mode_ops *find_mode(const char *name)
{
	static const struct mode_ops *const modes[] = {&mode_share, &mode_receive};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(modes[i]->name, name) == 0) {
			return modes[i];
		}
	}
	return NULL;
}

void service_start(struct service *svc)
{
	struct mode_host host = {
		SERVICE_INBOX_HOST,          .transfer_id = host_transfer_id,
		.transfer = host_transfer,   .completed = host_completed,
		.failed = host_failed,       .cache_put = host_cache_put,
		.cache_get = host_cache_get, .ud = svc,
	};

	if (svc->taking_down) {
		svc->start_again = true;
		return;
	}
	if (is_up(svc)) {
		return;
	}
	const struct mode_ops *ops = find_mode(svc->row->mode);
	size_t n = json_array_size(svc->row->paths), i;
	const char **paths = xcalloc(n + 1, sizeof(char *));
	json_t *path;

	json_array_foreach (svc->row->paths, i, path) {
		paths[i] = json_string_value(path);
	}
	struct mode_spec spec = {
		.service_name = svc->row->name,
		.title = json_string_value(json_object_get(svc->options, "title")),
		.options = svc->options,
		.secret = svc->row->secret,
		.paths = paths,
		.data_dir = service_data_dir(svc),
	};

	/* After a completion the count of downloads begins anew, and its reason is history. */
	free(svc->row->reason);
	svc->row->reason = NULL;
	service_set_state(svc, SERVICE_PREPARING, NULL);
	if (ops) {
		svc->mode = ops->start(manager_ev(svc->m), &spec, &host, on_mode_ready, svc);
	} else {
		fail(svc, "this program does not know the service's mode");
	}
	free(paths);
}

void service_tor_changed(struct service *svc, const struct tor_status *status)
{
	if (svc->webhook) {
		webhook_tor_changed(svc->webhook, status);
	}
	/* Not while it goes down: its socket may be gone. */
	if (svc->onion) {
		let_tor_in(svc, status);
	}
	/* Also for stopped ones: an address is promised from the beginning. */
	if (status->state == TOR_READY && !svc->deleting) {
		want_key(svc);
	}
}
