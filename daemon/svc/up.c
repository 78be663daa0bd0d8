/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A service on its way up: its mode, its address, its listener, its onion. */
#include "svc/service.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "mode/assets.h"
#include "proto/base/alloc.h"
#include "proto/base/crypto.h"
#include "proto/base/onion.h"
#include "proto/units.h"
#include "svc/content.h"
#include "svc/webhook.h"

/* A tor that is starting answers on its control socket within seconds. */
#define KEY_WAIT_MS 20000

#define STREAMS_MORE 32

/* Before an onion follows one that tor has had to give up half made; each is twice the last. */
#define PAUSE_MIN_MS 1000u
#define PAUSE_MAX_MS 16000u

/* Connections beside those that keep people in a room: they bring pages and forms. */
#define CHAT_MORE 100

static const char *notice(const struct service *svc)
{
	return svc->mode_ready && svc->mode->ops->notice ? svc->mode->ops->notice(svc->mode) : NULL;
}

static void replace_onion(struct service *svc, bool cut, void (*removed)(void *ud), void *ud);

static void on_onion(void *ud, enum onion_state state, const char *reason)
{
	struct service *svc = ud;

	if (!service_is_up(svc)) {
		return;
	}
	if (state == ONION_PUBLISHED) {
		svc->pause_ms = 0;
	}
	if (svc->republish_due && state != ONION_PUBLISHING) {
		replace_onion(svc, false, NULL, NULL);
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
		service_fail(svc, reason ? reason : "Tor refused the onion service");
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

static void print_target(const struct service *svc, char *ret, size_t size)
{
	if (svc->socket_path) {
		snprintf(ret, size, "unix:%s", svc->socket_path);
	} else {
		snprintf(ret, size, "127.0.0.1:%u", http_server_port(svc->server));
	}
}

/*
 * What was not set leaves room for everybody whom the room takes, and for half as
 * many connections that only wait for another request.
 */
static json_int_t max_connections(const struct service *svc)
{
	json_int_t max = service_option_int(svc, "max_connections");
	json_int_t users = service_option_int(svc, "max_users");
	json_int_t crowd = users + users / 2 + CHAT_MORE;
	bool is_set = json_object_get(svc->row->options, "max_connections") != NULL;

	return users > 0 && !is_set && crowd > max ? crowd : max;
}

/*
 * Streams of one visitor's circuit: a few more than the service serves, so that
 * who comes too late hears so (503), and a flood ends at tor.
 */
static unsigned max_streams(const struct service *svc)
{
	json_int_t max = max_connections(svc);

	return max > 0 && max < UINT16_MAX ? (unsigned)max + STREAMS_MORE : 0;
}

/* New array of public keys; NULL: everybody may come. */
static uint8_t (*clients_of(const struct service *svc))[X25519_SIZE]
{
	uint8_t(*clients)[X25519_SIZE];

	if (service_is_public(svc)) {
		return NULL;
	}
	clients = xcalloc(svc->row->n_keys, sizeof(*clients));
	for (size_t i = 0; i < svc->row->n_keys; i++) {
		memcpy(clients[i], svc->row->keys[i].public_key, X25519_SIZE);
	}
	return clients;
}

/* With its keys and options as they are now. */
static void add_onion(struct service *svc)
{
	uint8_t(*clients)[X25519_SIZE] = clients_of(svc);
	uint64_t now = ev_now_ms(manager_ev(svc->m));
	char target[160], frontend[ONION_NAME_LEN + 1];
	struct onion_spec spec = {
		.address = svc->row->onion,
		.key = svc->row->onion_key,
		.target = target,
		.clients = (const uint8_t(*)[X25519_SIZE])clients,
		.n_clients = clients ? (unsigned)svc->row->n_keys : 0,
		.pow = service_option_bool(svc, "pow"),
		.max_streams = max_streams(svc),
		.left = svc->found.onion,
		.wait_ms = svc->pause_until > now ? (unsigned)(svc->pause_until - now) : 0,
		.frontend = service_frontend(svc, frontend) ? frontend : NULL,
	};

	print_target(svc, target, sizeof(target));
	if (clients && svc->circuits_linger && !spec.left) {
		tor_cut_circuits(manager_tor(svc->m), svc->row->onion);
	}
	svc->circuits_linger = false;
	svc->republish_due = false;
	svc->found.onion = 0;
	svc->onion = tor_onion_add(manager_tor(svc->m), &spec, on_onion, svc);
	free(clients);
}

static void publish(struct service *svc)
{
	if (!service_is_public(svc) && svc->row->n_keys == 0) {
		/* Tor takes an onion without keys for one that is open to all. */
		service_fail(svc, "it is private, but there is no private key: add one, or make "
				  "it public");
		return;
	}
	let_tor_in(svc, tor_status(manager_tor(svc->m)));
	service_set_state(svc, SERVICE_PUBLISHING, NULL);
	add_onion(svc);
}

/* The onion goes, and tor may not be done with it: the next one comes when no other is near. */
static void note_haste(struct service *svc)
{
	uint64_t now = ev_now_ms(manager_ev(svc->m));

	if (svc->pause_until > now || !onion_in_the_making(svc->onion)) {
		return;
	}
	svc->pause_ms = svc->pause_ms ? svc->pause_ms * 2 : PAUSE_MIN_MS;
	if (svc->pause_ms > PAUSE_MAX_MS) {
		svc->pause_ms = PAUSE_MAX_MS;
	}
	svc->pause_until = now + svc->pause_ms;
}

static void tell_publishing(struct service *svc)
{
	if (svc->state == SERVICE_RUNNING || svc->state == SERVICE_PUBLISHING) {
		service_set_state(svc, SERVICE_PUBLISHING, NULL);
	}
}

static void replace_onion(struct service *svc, bool cut, void (*removed)(void *ud), void *ud)
{
	note_haste(svc);
	onion_remove(take_ptr(svc->onion), cut, removed, ud);
	tell_publishing(svc);
	add_onion(svc);
}

bool service_republish(struct service *svc, bool cut, void (*removed)(void *ud), void *ud)
{
	if (!svc->onion || !service_is_up(svc)) {
		if (cut) {
			svc->circuits_linger = true;
			service_end_drain(svc);
		}
		return false;
	}
	if (!cut && onion_in_the_making(svc->onion)) {
		svc->republish_due = true;
		tell_publishing(svc); /* it may run, and tor be at work after a sleep */
	} else {
		replace_onion(svc, cut, removed, ud);
	}
	return true;
}

bool service_frontend(const struct service *svc, char ret[ONION_NAME_LEN + 1])
{
	const char *text = json_string_value(json_object_get(svc->options, "backend_of"));

	return text && onion_parse(span_str(text), ret, NULL) == 0;
}

void service_set_frontend(struct service *svc)
{
	char name[ONION_NAME_LEN + 1];
	_cleanup_free_ char *host =
		service_frontend(svc, name) ? xasprintf("%s.onion", name) : NULL;

	if (svc->server) {
		http_server_set_alias(svc->server, host);
	}
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

/* As http_server_config has it. Only websites have the options. */
static const char *csp(const struct service *svc)
{
	const char *custom = json_string_value(json_object_get(svc->options, "custom_csp"));

	if (service_option_bool(svc, "disable_csp")) {
		return NULL;
	}
	return custom ? custom : "";
}

/* Tor cannot reach a Unix socket here, and the admin has not said that it can. */
static bool is_kept_away(const struct service *svc)
{
	return manager_config(svc->m)->listen_auto && tor_status(manager_tor(svc->m))->confined;
}

static int listen_for_visitors(struct service *svc, struct error *err)
{
	static const struct http_server_ops ops = {.request = on_request};
	const struct manager_config *config = manager_config(svc->m);
	char host[ONION_ADDRESS_LEN + 7];
	struct http_server_config server = {.limits = config->limits,
					    .csp = csp(svc),
					    .assets = ASSETS_PATH,
					    .secret = svc->mode->ops->secret,
					    .peer_uid = geteuid()}; /* until tor is known */
	json_int_t max = max_connections(svc);

	if (max > 0) {
		server.limits.max_connections = (unsigned)max;
	}
	if (!config->local_only) {
		snprintf(host, sizeof(host), "%s.onion", svc->row->onion);
		server.host = host;
	}
	svc->server = http_server_new(manager_ev(svc->m), &server, &ops, svc);
	service_set_frontend(svc);
	if (config->local_only) {
		return listen_on_port(svc, err);
	}
	if (config->listen_tcp || is_kept_away(svc)) {
		return http_server_listen_tcp(svc->server, 0, err);
	}
	if (service_listen_left(svc)) {
		return 0;
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
		service_fail(svc, error_text(&err));
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
		service_fail(svc, error_text(err));
		return;
	}
	svc->mode_ready = true;
	service_content_mode_ready(svc);
	if (manager_tor(svc->m) && !svc->row->onion) {
		service_set_state(svc, SERVICE_PREPARING, "waiting for Tor to make the address");
		want_key(svc);
		return;
	}
	serve(svc);
}

static const struct mode_ops *find_mode(const char *name)
{
	static const struct mode_ops *const modes[] = {&mode_share, &mode_receive, &mode_website,
						       &mode_chat};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(modes[i]->name, name) == 0) {
			return modes[i];
		}
	}
	return NULL;
}

/* Is its time to come? Then it waits for that. */
static bool is_scheduled(struct service *svc)
{
	char at[UNITS_TIME_TEXT], reason[UNITS_TIME_TEXT + 16];

	if (svc->row->start_ms <= manager_wall_ms(svc->m)) {
		return false;
	}
	snprintf(reason, sizeof(reason), "starts at %s", units_print_time(svc->row->start_ms, at));
	service_set_state(svc, SERVICE_SCHEDULED, reason);
	return true;
}

void service_start(struct service *svc)
{
	struct mode_host host = service_host(svc);

	if (svc->taking_down) {
		svc->start_again = true;
		return;
	}
	if (service_is_up(svc) || is_scheduled(svc)) {
		return;
	}
	const struct mode_ops *ops = find_mode(svc->row->mode);
	struct mode_content *content = service_content_new(svc);
	struct mode_spec spec = {
		.service_name = svc->row->name,
		.title = json_string_value(json_object_get(svc->options, "title")),
		.options = svc->options,
		.secret = svc->row->secret,
		.content = content,
		.data_dir = service_data_dir(svc),
		.data_dir_owner = content_option_owner(svc->row, "data_dir"),
	};

	/* After a completion the count of downloads begins anew, and its reason is history. */
	free(svc->row->reason);
	svc->row->reason = NULL;
	service_set_state(svc, SERVICE_PREPARING, NULL);
	if (ops) {
		svc->mode = ops->start(manager_ev(svc->m), &spec, &host, on_mode_ready, svc);
	} else {
		service_fail(svc, "this program does not know the service's mode");
	}
	mode_content_unref(content);
}

void service_tor_changed(struct service *svc, const struct tor_status *status)
{
	if (svc->webhook) {
		webhook_tor_changed(svc->webhook, status);
	}
	/* It began to listen before anybody knew which tor it would be. */
	if (svc->onion && svc->socket_path && status->state == TOR_READY && is_kept_away(svc)) {
		service_stop(svc, true);
		service_start(svc);
		return;
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
