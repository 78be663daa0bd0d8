/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A daemon that another one follows at once (systemctl restart, an upgrade): its services leave
 * their listening sockets and their onions to the next one, so that who comes in between waits
 * for a moment and is not turned away. The sockets are kept by somebody else meanwhile
 * (manager_config.keep), each under a name that says whose it is.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "proto/base/alloc.h"
#include "proto/base/codec.h"
#include "proto/base/span.h"
#include "svc/registry.h"

#define NAME_FORMAT "service-%" PRId64 "-%016" PRIx64
#define NAME_SIZE   64

/* --- leaving --- */

void service_leave(struct service *svc)
{
	const struct manager_config *c = &svc->m->config;
	char name[NAME_SIZE];

	if (!svc->m->stopping || !c->keep || svc->ephemeral || !svc->onion ||
	    !http_server_path(svc->server)) {
		return;
	}
	uint64_t onion = onion_leave(svc->onion);
	int fd = onion ? http_server_leave(svc->server) : -1;

	if (fd < 0) {
		return; /* it goes down as always, its onion first */
	}
	snprintf(name, sizeof(name), NAME_FORMAT, svc->row->id, onion);
	svc->onion = NULL;
	svc->leaving = true;
	c->keep(c->keep_ud, name, fd);
	close(fd);
}

/* --- finding it --- */

static int parse_name(const char *name, int64_t *ret_id, uint64_t *ret_onion)
{
	struct span rest = span_str(name);
	uint64_t id;
	uint8_t onion[8];

	if (!span_starts(rest, SPAN("service-"))) {
		return -EINVAL;
	}
	rest = span_from(rest, strlen("service-"));
	if (span_u64(span_cut(&rest, '-'), INT64_MAX, &id) < 0 ||
	    hex_decode(rest, onion, sizeof(onion)) < 0) {
		return -EINVAL;
	}
	*ret_id = (int64_t)id;
	*ret_onion = 0;
	for (size_t i = 0; i < sizeof(onion); i++) {
		*ret_onion = *ret_onion << 8 | onion[i];
	}
	return 0;
}

/* "RUNTIME/http/N.sock": services to come get other numbers. */
static void skip_number(struct manager *m, int fd)
{
	struct sockaddr_un addr = {0};
	socklen_t n = sizeof(addr) - 1;
	uint64_t number;

	if (getsockname(fd, (struct sockaddr *)&addr, &n) < 0 || addr.sun_family != AF_UNIX) {
		return;
	}
	const char *slash = strrchr(addr.sun_path, '/');
	struct span rest = slash ? span_str(slash + 1) : SPAN_NONE;

	if (span_u64(span_cut(&rest, '.'), UINT32_MAX, &number) == 0 && number > m->last_id) {
		m->last_id = number;
	}
}

bool manager_inherit(struct manager *m, const char *name, int fd)
{
	struct found found = {.fd = fd};

	if (parse_name(name, &found.id, &found.onion) < 0) {
		return false;
	}
	skip_number(m, fd);
	m->found.all = xreallocarray(m->found.all, m->found.n + 1, sizeof(*m->found.all));
	m->found.all[m->found.n++] = found;
	return true;
}

/* A socket that nobody has use for: who waits in its queue is refused now. */
static void drop(struct found *found)
{
	struct sockaddr_un addr = {0};
	socklen_t n = sizeof(addr) - 1;

	if (found->fd < 0) {
		return;
	}
	if (getsockname(found->fd, (struct sockaddr *)&addr, &n) == 0 && addr.sun_path[0]) {
		unlink(addr.sun_path);
	}
	close_fdp(&found->fd);
	found->onion = 0;
}

void succession_end(struct manager *m)
{
	for (size_t i = 0; i < m->found.n; i++) {
		drop(&m->found.all[i]);
	}
	free(take_ptr(m->found.all));
	m->found.n = 0;
}

void service_find_left(struct service *svc)
{
	for (size_t i = 0; i < svc->m->found.n; i++) {
		struct found *f = &svc->m->found.all[i];

		if (f->id == svc->row->id && f->fd >= 0) {
			svc->found = *f;
			f->fd = -1;
			return;
		}
	}
}

void service_drop_left(struct service *svc)
{
	drop(&svc->found);
}

bool service_listen_left(struct service *svc)
{
	struct error err = ERROR_INIT;
	int fd = svc->found.fd;

	if (fd < 0) {
		return false;
	}
	svc->found.fd = -1;
	if (http_server_listen_left(svc->server, fd, &err) < 0) {
		log_debug("service %s: %s", svc->row->name, error_text(&err));
		error_done(&err);
		svc->found.onion = 0;
		return false;
	}
	svc->socket_path = xstrdup(http_server_path(svc->server));
	return true;
}
