/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A new service: names, ports, keys, and the steps until it is on disk. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "proto/base/alloc.h"
#include "proto/base/crypto.h"
#include "proto/options.h"
#include "proto/units.h"
#include "svc/content.h"
#include "svc/copies.h"
#include "svc/registry.h"

/* A tor that is starting answers on its control socket within seconds. */
#define KEY_WAIT_MS 20000

/*
 * Not from the range that Linux takes for outgoing connections (ip_local_port_range):
 * else one of another program might have the port when the service comes back.
 */
#define PORT_MIN   16384
#define PORT_END   32768
#define PORT_TRIES 100

/* check the files -> make the onion key -> save -> a service */
struct creation {
	struct list link;
	struct manager *m;
	struct service_row *row;
	bool ephemeral;
	struct tor_key_req *key_req;
	manager_done_fn *cb;
	void *ud;
};

static int invalid(struct error *err, const char *field, const char *why)
{
	return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, field, why, "%s: %s", field, why);
}

int check_new_name(struct manager *m, const char *name, struct error *err)
{
	bool taken = manager_find(m, name) != NULL;

	int r = units_check_name("name", name, err);

	if (r < 0) {
		return r;
	}
	list_for_each (it, &m->creations) {
		taken |= strcmp(list_entry(it, struct creation, link)->row->name, name) == 0;
	}
	if (taken) {
		return error_set_kind(err, EEXIST, ERROR_NAME_IN_USE, name, NULL,
				      "there is already a service named %s; take another name",
				      name);
	}
	return 0;
}

/* self: a service whose own port does not count (its serial), or 0. */
static bool port_taken(struct manager *m, uint64_t self, uint16_t port)
{
	list_for_each (it, &m->services) {
		const struct service *svc = list_entry(it, const struct service, link);

		if (svc->row->port == port && svc->serial != self) {
			return true;
		}
	}
	list_for_each (it, &m->creations) {
		if (list_entry(it, struct creation, link)->row->port == port) {
			return true;
		}
	}
	return false;
}

static bool same_onion(const struct service_row *a, const struct service_row *b)
{
	return (a->onion && b->onion && strcmp(a->onion, b->onion) == 0) ||
	       (a->has_onion_key && b->has_onion_key &&
		crypto_equal(a->onion_key, b->onion_key, ONION_KEY_SIZE));
}

/* Two services cannot have one address, and its onion must not be touched while it is served. */
static int check_onion_is_new(const struct manager *m, const struct service_row *row,
			      struct error *err)
{
	const char *name = NULL;

	list_for_each (it, &m->services) {
		const struct service *svc = list_entry(it, const struct service, link);

		name = same_onion(svc->row, row) ? svc->row->name : name;
	}
	list_for_each (it, &m->creations) {
		const struct creation *c = list_entry(it, const struct creation, link);

		name = same_onion(c->row, row) ? c->row->name : name;
	}
	if (name) {
		return error_set_kind(err, EEXIST, ERROR_NAME_IN_USE, name, NULL,
				      "the service %s is there already with this address", name);
	}
	return 0;
}

static bool port_is_free(uint16_t port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				   .sin_port = htons(port)};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;
}

uint16_t pick_port(struct manager *m)
{
	for (int tries = 0; tries < PORT_TRIES; tries++) {
		uint16_t random;

		crypto_random(&random, sizeof(random));
		uint16_t port = (uint16_t)(PORT_MIN + random % (PORT_END - PORT_MIN));

		if (!port_taken(m, 0, port) && port_is_free(port)) {
			return port;
		}
	}
	return 0;
}

int check_port(struct manager *m, const struct service *self, json_int_t port, struct error *err)
{
	if (!m->config.local_only) {
		return invalid(err, "port", "only a daemon that runs with --local-only takes it");
	}
	if (port_taken(m, self ? self->serial : 0, (uint16_t)port)) {
		return invalid(err, "port", "another service has it");
	}
	return 0;
}

static void creation_free(struct creation *c)
{
	struct manager *m = c->m;

	if (c->row) {
		copies_drop(m, c->row->sources);
	}
	list_remove(&c->link);
	service_row_free(c->row);
	free(c);
	m->n_creations--;
}

static void creation_end(struct creation *c, const struct error *err, struct service *svc)
{
	struct manager *m = c->m;

	c->cb(c->ud, err, svc);
	creation_free(c);
	manager_check_stopped(m);
}

static void become_service(struct creation *c, int64_t id)
{
	c->row->id = id;
	struct service *svc = service_new(c->m, take_ptr(c->row), c->ephemeral);

	service_set_options(svc);
	list_append(&c->m->services, &svc->link);
	c->m->n_services++;
	manager_service_changed(c->m);
	if (c->m->tor && !c->m->stopping) {
		/* Without an address yet: tor may have come while the row was written. */
		service_tor_changed(svc, tor_status(c->m->tor));
	}
	creation_end(c, NULL, svc);
}

static void on_saved(void *ud, const struct error *err, int64_t id)
{
	struct creation *c = ud;

	if (err) {
		creation_end(c, err, NULL);
	} else {
		become_service(c, id);
	}
}

static void save(struct creation *c)
{
	if (c->ephemeral) {
		become_service(c, 0);
	} else {
		store_service_put(c->m->store, c->row, on_saved, c);
	}
}

static void on_key(void *ud, const struct error *err, const char *address, const uint8_t *key)
{
	struct creation *c = ud;

	c->key_req = NULL;
	if (err) {
		log_debug("no onion key yet: %s", error_text(err));
	} else {
		c->row->onion = xstrdup(address);
		memcpy(c->row->onion_key, key, ONION_KEY_SIZE);
		c->row->has_onion_key = true;
	}
	save(c);
}

static void wrong_address(struct creation *c, const char *address)
{
	struct error err = ERROR_INIT;

	error_set_kind(&err, EINVAL, ERROR_INVALID_VALUE, "onion", "not that of the key",
		       "the key makes the address %s.onion, not %s.onion: one of them is damaged",
		       address, c->row->onion);
	creation_end(c, &err, NULL);
	error_done(&err);
}

/* Of a key from elsewhere. A tor that cannot tell now will when the service is started. */
static void on_address(void *ud, const struct error *err, const char *address, const uint8_t *key)
{
	struct creation *c = ud;
	bool later = err && err->kind == ERROR_TOR_UNAVAILABLE && c->row->onion;

	(void)key;
	c->key_req = NULL;
	if (err && !later) {
		creation_end(c, err, NULL);
	} else if (!err && c->row->onion && strcmp(c->row->onion, address) != 0) {
		wrong_address(c, address);
	} else {
		c->row->onion = c->row->onion ? c->row->onion : xstrdup(address);
		save(c);
	}
}

static void ask_tor(struct creation *c)
{
	struct tor *tor = c->m->tor;

	c->key_req = c->row->has_onion_key
			     ? tor_find_address(tor, c->row->onion_key, KEY_WAIT_MS, on_address, c)
			     : tor_make_key(tor, KEY_WAIT_MS, on_key, c);
}

static void end_by_stop(struct creation *c)
{
	struct error stopping = ERROR_INIT;

	refuse_if_stopping(c->m, &stopping);
	creation_end(c, &stopping, NULL);
	error_done(&stopping);
}

static void on_checked(void *ud, const struct error *err)
{
	struct creation *c = ud;

	if (err) {
		creation_end(c, err, NULL);
	} else if (c->m->stopping) {
		end_by_stop(c);
	} else if (c->m->tor) {
		ask_tor(c);
	} else {
		save(c);
	}
}

static void on_content(void *ud, const struct error *err, json_t *sources)
{
	struct creation *c = ud;

	c->row->sources = sources;
	on_checked(c, err);
}

void creations_cancel(struct manager *m)
{
	list_for_each_safe (it, &m->creations) {
		struct creation *c = list_entry(it, struct creation, link);

		if (!c->key_req) {
			continue;
		}
		tor_key_cancel(take_ptr(c->key_req));
		if (c->row->has_onion_key && !c->row->onion) {
			end_by_stop(c); /* half of an identity is none */
		} else {
			save(c);
		}
	}
}

/* A name of the form MODE-xxxxxx that is free. */
static char *make_name(struct manager *m, const char *mode)
{
	for (;;) {
		char random[7];

		crypto_random_name(random, sizeof(random) - 1);
		char *name = xasprintf("%s-%s", mode, random);

		if (check_new_name(m, name, NULL) == 0) {
			return name;
		}
		free(name);
	}
}

static int check_together(const struct manager_create *create, struct error *err)
{
	json_t *all = options_complete(create->mode, create->options);
	int r = options_check_together(create->mode, all, err);

	json_decref(all);
	return r;
}

static int check_no_paths(const struct manager_create *create, struct error *err)
{
	if (json_array_size(create->paths) > 0) {
		_cleanup_free_ char *why = xasprintf("a %s service has none", create->mode);

		return invalid(err, "paths", why);
	}
	return 0;
}

static int check_receive(const struct manager *m, const struct manager_create *create,
			 struct error *err)
{
	int r = service_check_webhook(m, create->options, err);

	return r < 0 ? r : check_no_paths(create, err);
}

static int check_mode(struct manager *m, const struct manager_create *create, struct error *err)
{
	switch (options_mode(create->mode)) {
	case OPTION_RECEIVE:
		return check_receive(m, create, err);
	case OPTION_CHAT:
		return check_no_paths(create, err);
	default:
		return check_content(create, err);
	}
}

/* Fixed from now on: another name later leaves it where it is. */
static bool set_default_data_dir(struct manager *m, struct service_row *row)
{
	const json_t *set = json_object_get(row->options, "data_dir");

	if (set && !json_is_null(set)) {
		return false;
	}
	char *path = xasprintf("%s/receive/%s", m->config.state_dir, row->name);

	json_object_set_new(row->options, "data_dir", json_string(path));
	free(path);
	return true;
}

static int check_create(struct manager *m, const struct manager_create *create, struct error *err)
{
	const json_t *port = json_object_get(create->options, "port");
	int r = options_validate(create->mode, create->options, err);

	if (r == 0) {
		r = check_together(create, err);
	}
	if (r == 0 && create->name) {
		r = check_new_name(m, create->name, err);
	}
	if (r == 0 && json_is_integer(port)) {
		r = check_port(m, NULL, json_integer_value(port), err);
	}
	if (r == 0) {
		r = schedule_check(create->options, manager_wall_ms(m), err);
	}
	if (r == 0) {
		r = check_mode(m, create, err);
	}
	if (r == 0) {
		r = service_check_backend(m, create->options, NULL, err);
	}
	if (r < 0) {
		return r;
	}
	r = refuse_if_stopping(m, err);
	if (r < 0) {
		return r;
	}
	if (m->n_services + m->n_creations >= MANAGER_MAX_SERVICES) {
		char limit[16];

		snprintf(limit, sizeof(limit), "%u", MANAGER_MAX_SERVICES);
		return error_set_kind(err, ENOSPC, ERROR_LIMIT_EXCEEDED, "services", limit,
				      "there are %s services already; delete some", limit);
	}
	return 0;
}

/* A row with the identity that is given, or one to be made. */
static int begin_row(struct manager *m, const struct manager_create *create,
		     struct service_row **ret, struct error *err)
{
	struct service_row *row;
	int r = check_create(m, create, err);

	if (r < 0) {
		return r;
	}
	row = xnew(struct service_row);
	if (create->identity) {
		r = import_identity(m, create->identity, row, err);
	}
	if (r == 0) {
		r = check_onion_is_new(m, row, err);
	}
	if (r < 0) {
		service_row_free(row);
		return r;
	}
	*ret = row;
	return 0;
}

int manager_check_create(struct manager *m, const struct manager_create *create, struct error *err)
{
	struct service_row *row = NULL;
	int r = begin_row(m, create, &row, err);

	service_row_free(row);
	return r;
}

static void check_receive_paths(struct creation *c, const struct manager_create *create)
{
	bool is_default = set_default_data_dir(c->m, c->row);
	const struct content_receive what = {
		.options = c->row->options,
		.own_data_dir = is_default,
		.must_be_new = is_default && !create->adopt,
		.fds = create->fds,
		.owner = create->owner,
		.state_dir = c->m->config.state_dir,
	};

	content_set_option_owners(c->row, create->options, create->owner);
	content_check_receive(c->m->ev, &what, on_checked, c);
}

int manager_create(struct manager *m, const struct manager_create *create, manager_done_fn *cb,
		   void *ud, struct error *err)
{
	const json_t *port = json_object_get(create->options, "port");
	struct service_row *row = NULL;
	int r = begin_row(m, create, &row, err);

	if (r < 0) {
		return r;
	}
	struct creation *c = xnew(struct creation);

	c->m = m;
	c->row = row;
	c->ephemeral = create->ephemeral;
	c->cb = cb;
	c->ud = ud;
	row->name = create->name ? xstrdup(create->name) : make_name(m, create->mode);
	row->mode = xstrdup(create->mode);
	row->options = create->options ? json_deep_copy(create->options) : json_object();
	row->paths = json_deep_copy(create->paths);
	if (create->handover) {
		json_object_set_new(row->options, "copy", json_true());
	}
	row->created_ms = ev_wall_ms();
	crypto_random(row->secret, sizeof(row->secret));
	if (!json_is_true(json_object_get(row->options, "public"))) {
		ensure_client_key(row);
	}
	if (m->config.local_only) {
		row->port =
			json_is_integer(port) ? (uint16_t)json_integer_value(port) : pick_port(m);
	}
	list_append(&m->creations, &c->link);
	m->n_creations++;
	if (options_mode(create->mode) == OPTION_RECEIVE) {
		check_receive_paths(c, create);
	} else {
		r = get_content(m, create, on_content, c, err);
	}
	if (r < 0) {
		creation_free(c);
	}
	return r;
}
