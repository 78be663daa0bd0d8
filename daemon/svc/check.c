/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "svc/check.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "ev/dial.h"
#include "http/client/client.h"
#include "http/url.h"
#include "proto/base/alloc.h"
#include "proto/base/codec.h"
#include "proto/base/crypto.h"
#include "svc/service.h"
#include "tor/probe.h"
#include "tor/socks.h"

#define LOCAL_MS   10000u
#define CONNECT_MS 90000u
#define ANSWER_MS  60000u

/* At most one of dial, socks, client is under way; the probe lives from its step to the end. */
struct check {
	struct manager *m;
	uint64_t serial; /* of the service, which may go meanwhile */
	char host[ONION_ADDRESS_LEN + 7];
	bool has_key;
	uint8_t key[X25519_SIZE];
	json_t *steps;
	uv_timer_t turn; /* what is known at once is told later */
	enum step {
		STEP_TOR,
		STEP_SERVICE,
		STEP_LOCAL,
		STEP_PUBLISHED,
		STEP_DESCRIPTOR,
		STEP_VISIT
	} step;
	struct dial *dial;
	struct socks *socks;
	struct http_client *client;
	struct tor_probe *probe;
	uint64_t begun;
	bool telling, cancelled;
	check_fn *cb;
	void *ud;
};

static void check_free(struct check *c)
{
	if (c->probe) {
		tor_probe_end(c->probe);
	}
	crypto_wipe(c->key, sizeof(c->key));
	json_decref(c->steps);
	free(c);
}

static void on_turn_closed(uv_handle_t *handle)
{
	check_free(handle->data);
}

static void on_client_closed(void *ud)
{
	struct check *c = ud;

	uv_close((uv_handle_t *)&c->turn, on_turn_closed);
}

void check_cancel(struct check *c)
{
	if (c->telling) {
		c->cancelled = true;
		return;
	}
	if (c->probe) {
		tor_probe_end(take_ptr(c->probe));
	}
	if (c->dial) {
		dial_cancel(c->dial);
	}
	if (c->socks) {
		socks_cancel(c->socks);
	}
	if (c->client) {
		http_client_cancel(c->client, on_client_closed, c);
	} else {
		on_client_closed(c);
	}
}

/* --- telling --- */

static void on_turn(uv_timer_t *timer);

static const char *const names[] = {"tor", "service", "local", "published", "descriptor", "visit"};

/* text is taken. The next step follows a good one. */
static void told(struct check *c, bool good, char *text)
{
	bool done = !good || c->step == STEP_VISIT;

	json_array_append_new(c->steps, json_pack("{s:s, s:b, s:s}", "step", names[c->step], "good",
						  good, "text", text));
	free(text);
	if (!done) {
		int r;

		c->telling = true;
		c->cb(c->ud, c->steps, false, false);
		c->telling = false;
		if (c->cancelled) {
			check_cancel(c);
			return;
		}
		c->step++;
		r = uv_timer_start(&c->turn, on_turn, 0, 0);
		assert(r == 0);
		(void)r;
		return;
	}
	c->cb(c->ud, c->steps, true, good);
	on_client_closed(c);
}

static char *seconds_since(const struct check *c, const char *what)
{
	uint64_t ms = ev_now_ms(manager_ev(c->m)) - c->begun;

	return xasprintf("%s (%u.%u s)", what, (unsigned)(ms / 1000), (unsigned)(ms % 1000 / 100));
}

/* --- the steps --- */

static void check_tor(struct check *c)
{
	const struct tor_status *t = tor_status(manager_tor(c->m));

	if (t->reachable) {
		told(c, true, xasprintf("tor %s is connected to its network", t->version));
	} else if (t->problem) {
		told(c, false, xstrdup(t->problem));
	} else if (t->state != TOR_READY) {
		told(c, false, xasprintf("there is no tor yet (%s)", tor_state_name(t->state)));
	} else {
		told(c, false,
		     xasprintf("Tor is at %d %% of its way into the network: %s", t->bootstrap,
			       t->summary));
	}
}

static void check_service(struct check *c, const struct service *svc)
{
	if (svc->server && svc->onion) {
		told(c, true, xasprintf("it is %s", service_state_name(svc->state)));
	} else {
		told(c, false,
		     xasprintf("it is %s%s%s: onionsharectl start %s",
			       service_state_name(svc->state), svc->reason ? ", " : "",
			       svc->reason ? svc->reason : "", svc->row->name));
	}
}

/* Is it ours that answers? Whatever it says is an answer, but for "who is that?". */
static void on_answered(void *ud, const struct http_answer *answer)
{
	struct check *c = ud;
	int status = answer->status;
	bool local = c->step == STEP_LOCAL;

	c->client = NULL;
	if (status == 0) {
		told(c, false, xasprintf("connected, but %s", answer->problem));
	} else if (status == 421) {
		told(c, false, xstrdup("it does not know its own address (421)"));
	} else if (local) {
		told(c, true, xasprintf("it answers on this machine (%d)", status));
	} else {
		_cleanup_free_ char *text = xasprintf("a visitor gets an answer (%d)", status);

		told(c, true, seconds_since(c, text));
	}
}

static void ask(struct check *c, int fd, unsigned timeout_ms)
{
	const struct http_client_request head = {
		.authority = c->host,
		.target = SPAN("/"),
		.timeout_ms = timeout_ms,
	};

	c->client = http_client_send(manager_ev(c->m), fd, &head, on_answered, c);
}

static void on_dialled(void *ud, int fd)
{
	struct check *c = ud;

	c->dial = NULL;
	if (fd < 0) {
		told(c, false,
		     xasprintf("its own socket cannot be reached: %s; restart the service",
			       strerror(-fd)));
	} else {
		ask(c, fd, LOCAL_MS);
	}
}

/* By the way that tor takes to it. */
static void check_local(struct check *c, const struct service *svc)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct sockaddr_storage tcp;
	struct http_url url;
	const char *why;

	if (svc->socket_path) {
		memcpy(un.sun_path, svc->socket_path, strlen(svc->socket_path) + 1);
		c->dial = dial_start(manager_ev(c->m), (struct sockaddr *)&un, sizeof(un), LOCAL_MS,
				     on_dialled, c);
		return;
	}
	_cleanup_free_ char *text =
		xasprintf("http://127.0.0.1:%u/", http_server_port(svc->server));
	int r = http_url_parse(span_str(text), &url, &why);

	assert(r == 0);
	(void)r;
	socklen_t n = http_url_loopback(&url, &tcp);

	c->dial = dial_start(manager_ev(c->m), (struct sockaddr *)&tcp, n, LOCAL_MS, on_dialled, c);
}

static void check_published(struct check *c, const struct service *svc)
{
	if (svc->onion && onion_state(svc->onion) == ONION_PUBLISHED) {
		told(c, true, xstrdup("Tor has announced its address"));
	} else {
		told(c, false,
		     svc->reason ? xstrdup(svc->reason)
				 : xstrdup("Tor has not announced its address yet; try again in a "
					   "minute"));
	}
}

static void on_probed(void *ud, const char *why)
{
	struct check *c = ud;

	if (why) {
		told(c, false, xstrdup(why));
	} else {
		told(c, true, seconds_since(c, "the network's directories know the way to it"));
	}
}

static void check_descriptor(struct check *c, const struct service *svc)
{
	if (!service_is_public(svc) && !c->has_key) {
		told(c, false,
		     xstrdup("no private key of a visitor is known here, only public "
			     "halves: \"key add\" makes one for such checks"));
		return;
	}
	c->probe = tor_probe_start(manager_tor(c->m), svc->row->onion, c->has_key ? c->key : NULL,
				   on_probed, c);
	if (!c->probe) {
		told(c, false, xstrdup("another check is under way; try again after it"));
	}
}

static void on_connected(void *ud, int fd, const char *why)
{
	struct check *c = ud;

	c->socks = NULL;
	if (fd < 0) {
		told(c, false, xasprintf("no connection through Tor: %s", why));
	} else {
		ask(c, fd, ANSWER_MS);
	}
}

/* With a name of its own among tor's circuits: they lead nowhere else. */
static void check_visit(struct check *c)
{
	const struct tor_status *t = tor_status(manager_tor(c->m));
	uint8_t random[10];
	char isolation[2 * sizeof(random) + 1];
	const struct socks_request request = {c->host, 80, isolation, isolation};

	if (!t->socks[0]) {
		told(c, false,
		     xstrdup("this tor has no SOCKS port that the daemon could visit it "
			     "by (socks in the section [tor] names one)"));
		return;
	}
	crypto_random(random, sizeof(random));
	hex_encode(random, sizeof(random), isolation);
	c->socks = socks_connect(manager_ev(c->m), t->socks, &request, CONNECT_MS, on_connected, c);
}

static void on_turn(uv_timer_t *timer)
{
	struct check *c = timer->data;
	const struct service *svc = manager_find_serial(c->m, c->serial);

	c->begun = ev_now_ms(manager_ev(c->m));
	if (!svc || (c->step > STEP_SERVICE && (!svc->server || !svc->onion))) {
		told(c, false, xstrdup("it was stopped meanwhile"));
		return;
	}
	switch (c->step) {
	case STEP_TOR:
		check_tor(c);
		break;
	case STEP_SERVICE:
		check_service(c, svc);
		break;
	case STEP_LOCAL:
		check_local(c, svc);
		break;
	case STEP_PUBLISHED:
		check_published(c, svc);
		break;
	case STEP_DESCRIPTOR:
		check_descriptor(c, svc);
		break;
	case STEP_VISIT:
		check_visit(c);
		break;
	}
}

int check_start(struct manager *m, struct service *svc, check_fn *cb, void *ud, struct check **ret,
		struct error *err)
{
	if (!manager_tor(m)) {
		return error_set_kind(err, ENOTSUP, ERROR_TOR_UNAVAILABLE, "local only", NULL,
				      "the daemon runs without Tor (--local-only)");
	}
	struct check *c = xnew(struct check);
	int r = uv_timer_init(manager_ev(m)->loop, &c->turn);

	assert(r == 0);
	c->turn.data = c;
	c->m = m;
	c->serial = service_serial(svc);
	snprintf(c->host, sizeof(c->host), "%s.onion", svc->row->onion ? svc->row->onion : "");
	for (size_t i = 0; i < svc->row->n_keys && !c->has_key && !service_is_public(svc); i++) {
		if (svc->row->keys[i].has_private) {
			c->has_key = true;
			memcpy(c->key, svc->row->keys[i].private_key, sizeof(c->key));
		}
	}
	c->steps = json_array();
	c->cb = cb;
	c->ud = ud;
	r = uv_timer_start(&c->turn, on_turn, 0, 0);
	assert(r == 0);
	*ret = c;
	return 0;
}
