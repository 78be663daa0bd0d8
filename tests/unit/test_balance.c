/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A frontend and backends, visited by way of a fake control port and a fake SOCKS port. */
#include "turn.h"

#include <errno.h>

#include "fake_tor.h"
#include "proto/base/onion.h"
#include "proto/units.h"
#include "svc/balance.h"
#include "svc/registry.h"

#define FRONTEND "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid"
/* Of a certificate that ends at 2026-11-25T10:00:00Z. */
#define DESCRIPTOR                                                                             \
	"hs-descriptor 3\r\ndescriptor-lifetime 180\r\ndescriptor-signing-key-cert\r\n"        \
	"-----BEGIN ED25519 CERT-----\r\nAQgAB5xaAaNsS1dwv4AX\r\n-----END ED25519 CERT-----\r" \
	"\nrevision-counter 6063854\r\nsuperencrypted\r\n"
#define NOW INT64_C(1795405653000) /* 2026-11-23T03:47:33Z */

struct world {
	uv_loop_t loop;
	struct ev ev;
	struct fake fake;
	struct tor *tor;
	struct manager m;
	char *dir, *socks_path;
	uv_pipe_t socks;
	/* What the network does. */
	const char *fetch, *descriptor;
	const char *(*answer)(const char *onion, const char *path);
	bool holds; /* connections come to nothing */
	unsigned visits, most;
	char last[ONION_NAME_LEN + 1]; /* that tor was asked for */
	/* What was found. */
	struct balance_check *check;
	unsigned told;
	bool done;
	enum balance_release release;
	json_t *found;
	unsigned cancel_at; /* 0: not */
};

/* A visitor's connection to the SOCKS port. */
struct visitor {
	uv_pipe_t pipe;
	struct world *w;
	char onion[ONION_NAME_LEN + 1];
};

static int64_t wall(void)
{
	return NOW;
}

static const char *yes(const char *onion, const char *path)
{
	(void)onion;
	return strcmp(path, "/download") == 0 ? "HTTP/1.1 404 No\r\n\r\n"
					      : "HTTP/1.1 200 OK\r\nETag: \"a\"\r\n\r\n";
}

/* --- the network --- */

static bool script(struct fake_conn *c, const char *line, void *ud)
{
	struct world *w = ud;
	char event[256];

	if (fake_begins(line, "HSFETCH ")) {
		fake_say(c, "250 OK\r\n");
		snprintf(event, sizeof(event), "650 HS_DESC %s %s NO_AUTH $%040d~a x%s\r\n",
			 w->fetch, line + 8, 0,
			 strcmp(w->fetch, "FAILED") == 0 ? " REASON=NOT_FOUND" : "");
		fake_say(c, event);
		return true;
	}
	if (fake_begins(line, "GETINFO hs/client/desc/id/")) {
		if (w->descriptor) {
			fake_say(c, "250+");
			fake_say(c, line + 8);
			fake_say(c, "=\r\n");
			fake_say(c, w->descriptor);
			fake_say(c, ".\r\n250 OK\r\n");
		} else {
			fake_say(c, "551 Not found in cache\r\n");
		}
		return true;
	}
	return false;
}

static void visitor_closed(uv_handle_t *handle)
{
	struct visitor *v = container_of((uv_pipe_t *)handle, struct visitor, pipe);

	v->w->visits--;
	free(v);
}

static void say(struct visitor *v, const void *p, size_t n)
{
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)p, (unsigned)n);

	(void)uv_try_write((uv_stream_t *)&v->pipe, &buf, 1);
}

static void on_alloc(uv_handle_t *handle, size_t n, uv_buf_t *buf)
{
	static char space[4096];

	(void)handle;
	(void)n;
	*buf = uv_buf_init(space, sizeof(space));
}

static void on_head(struct visitor *v, const char *p)
{
	char path[64] = "";

	assert_int_equal(sscanf(p, "HEAD %63s HTTP/1.1", path), 1);
	assert_non_null(strstr(p, "\r\nHost: " FRONTEND ".onion\r\n"));
	const char *text = v->w->answer(v->onion, path);

	say(v, text, strlen(text));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct visitor *v = container_of((uv_pipe_t *)stream, struct visitor, pipe);

	if (n < 0) {
		uv_close((uv_handle_t *)stream, visitor_closed);
	} else if (n > 0 && buf->base[0] == 5 && n == 3) {
		say(v, "\x05\x02", 2);
	} else if (n > 0 && buf->base[0] == 1) {
		say(v, "\x01\x00", 2);
	} else if (n > 5 + ONION_NAME_LEN && buf->base[0] == 5) {
		memcpy(v->onion, buf->base + 5, ONION_NAME_LEN);
		if (!v->w->holds) {
			say(v, "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00", 10);
		}
	} else if (n > 0) {
		buf->base[n] = '\0';
		on_head(v, buf->base);
	}
}

static void on_accept(uv_stream_t *listener, int status)
{
	struct world *w = listener->loop->data;
	struct visitor *v = xnew(struct visitor);

	assert_int_equal(status, 0);
	v->w = w;
	w->visits++;
	w->most = w->visits > w->most ? w->visits : w->most;
	uv_pipe_init(listener->loop, &v->pipe, 0);
	assert_int_equal(uv_accept(listener, (uv_stream_t *)&v->pipe), 0);
	uv_read_start((uv_stream_t *)&v->pipe, on_alloc, on_read);
}

/* --- the world --- */

static void on_tor_changed(void *ud, const struct tor_status *status)
{
	(void)ud;
	(void)status;
}

static int begin(void **state)
{
	static const struct tor_ops ops = {.changed = on_tor_changed};
	struct world *w = xnew(struct world);

	w->loop.data = w;
	turn_begin(&w->loop, &w->ev, 1024 * 1024);
	w->dir = unit_tmpdir();
	w->socks_path = xasprintf("%s/socks", w->dir);
	fake_init(&w->fake, &w->loop, w->dir);
	w->fake.script = script;
	w->fake.script_ud = w;
	uv_pipe_init(&w->loop, &w->socks, 0);
	assert_int_equal(uv_pipe_bind(&w->socks, w->socks_path), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&w->socks, 128, on_accept), 0);
	_cleanup_free_ char *control = xasprintf("unix:%s", w->fake.path);
	_cleanup_free_ char *socks = xasprintf("unix:%s", w->socks_path);
	struct tor_config config = {.mode = TOR_MODE_SYSTEM, .control = control, .socks = socks};

	w->tor = tor_new(&w->ev, &config, &ops, w);
	tor_start(w->tor);
	turn_until(w, tor_status(w->tor)->reachable);
	w->m = (struct manager){.ev = &w->ev, .tor = w->tor, .wall_ms = wall};
	w->fetch = "RECEIVED";
	w->descriptor = DESCRIPTOR;
	w->answer = yes;
	*state = w;
	return 0;
}

static void mark(void *ud)
{
	*(bool *)ud = true;
}

static int end(void **state)
{
	struct world *w = *state;
	bool stopped = false;

	tor_stop(w->tor, mark, &stopped);
	turn_until(w, stopped);
	turn_until(w, w->visits == 0);
	fake_close(&w->fake);
	uv_close((uv_handle_t *)&w->socks, NULL);
	turn_end(&w->loop, &w->ev);
	fake_done(&w->fake);
	unit_rmtree(w->dir);
	json_decref(w->found);
	free(w->socks_path);
	free(w);
	return 0;
}

static void on_visit(void *ud, const json_t *visits, bool done, enum balance_release release)
{
	struct world *w = ud;

	w->told++;
	assert_int_equal(json_array_size(visits), w->told);
	json_decref(w->found);
	w->found = json_deep_copy(visits);
	w->done = done;
	w->release = release;
	if (w->told == w->cancel_at) {
		balance_cancel(w->check);
	}
}

/* n addresses of nobody's. */
static json_t *some(size_t n)
{
	json_t *all = json_array();
	uint8_t secret[ED25519_EXPANDED_SIZE], key[ED25519_PUBLIC_SIZE];
	char name[ONION_NAME_LEN + 1];

	for (size_t i = 0; i < n; i++) {
		ed25519_make(secret, key);
		onion_print(key, name);
		json_array_append_new(all, json_string(name));
	}
	return all;
}

static void begin_check(struct world *w, const json_t *backends, const char *path)
{
	const struct balance_request request = {FRONTEND, backends, path};

	w->told = 0;
	w->done = false;
	assert_int_equal(balance_start(&w->m, &request, on_visit, w, &w->check, NULL), 0);
	assert_int_equal(w->told, 0); /* never from within */
}

static void check(struct world *w, const json_t *backends)
{
	begin_check(w, backends, NULL);
	turn_until(w, w->done);
	assert_int_equal(w->told, 1 + json_array_size(backends));
}

static const json_t *visit_of(const struct world *w, const char *onion)
{
	json_t *visit;
	size_t i;

	json_array_foreach (w->found, i, visit) {
		if (strcmp(json_string_value(json_object_get(visit, "onion")), onion) == 0) {
			return visit;
		}
	}
	fail_msg("%s was not visited", onion);
	return NULL;
}

static const char *text_of(const json_t *o, const char *member)
{
	const char *text = json_string_value(json_object_get(o, member));

	return text ? text : "";
}

/* --- tests --- */

static void all_that_answer_alike_are_the_same(void **state)
{
	struct world *w = *state;
	json_t *backends = some(2);

	check(w, backends);
	assert_int_equal(w->release, BALANCE_SAME);
	const json_t *front = visit_of(w, FRONTEND);
	const json_t *d = json_object_get(front, "descriptor");

	assert_string_equal(text_of(front, "role"), "frontend");
	assert_string_equal(text_of(front, "path"), "/");
	assert_string_equal(text_of(front, "etag"), "\"a\"");
	assert_true(json_is_true(json_object_get(d, "fetched")));
	assert_int_equal(json_integer_value(json_object_get(d, "revision")), 6063854);
	assert_int_equal(json_integer_value(json_object_get(d, "lifetime")), 10800);
	assert_string_equal(text_of(d, "published_after"), "2026-11-23T03:00:00Z");
	assert_string_equal(text_of(d, "published_before"), "2026-11-23T03:47:33Z");
	json_decref(backends);
}

static const char *other_tag(const char *onion, const char *path)
{
	(void)path;
	return strcmp(onion, FRONTEND) == 0 ? "HTTP/1.1 200 OK\r\nETag: \"a\"\r\n\r\n"
					    : "HTTP/1.1 200 OK\r\nETag: \"b\"\r\n\r\n";
}

static const char *no_tag(const char *onion, const char *path)
{
	(void)onion;
	(void)path;
	return "HTTP/1.1 200 OK\r\n\r\n";
}

static const char *not_mine(const char *onion, const char *path)
{
	(void)path;
	return strcmp(onion, FRONTEND) == 0 ? "HTTP/1.1 200 OK\r\nETag: \"a\"\r\n\r\n"
					    : "HTTP/1.1 421 Misdirected\r\n\r\n";
}

static const char *no_such_file(const char *onion, const char *path)
{
	(void)onion;
	assert_string_equal(path, "/a%20b?c");
	return "HTTP/1.1 404 No\r\nETag: \"a\"\r\n\r\n";
}

static void what_differs_is_noticed(void **state)
{
	struct world *w = *state;
	json_t *backends = some(1);

	w->answer = other_tag;
	check(w, backends);
	assert_int_equal(w->release, BALANCE_DIFFERENT);
	assert_true(json_is_true(json_object_get(json_array_get(w->found, 1), "good")));
	w->answer = not_mine;
	check(w, backends);
	assert_int_equal(w->release, BALANCE_DIFFERENT);
	const json_t *visit = visit_of(w, json_string_value(json_array_get(backends, 0)));

	assert_non_null(strstr(text_of(visit, "text"), "421"));
	assert_false(json_is_true(json_object_get(visit, "good")));
	w->answer = no_tag; /* dropboxes */
	check(w, backends);
	assert_int_equal(w->release, BALANCE_UNKNOWN);
	w->answer = no_such_file; /* alike is not enough */
	begin_check(w, backends, "/a%20b?c");
	turn_until(w, w->done);
	assert_int_equal(w->release, BALANCE_DIFFERENT);
	json_decref(backends);
}

static void without_a_descriptor_nobody_is_visited(void **state)
{
	struct world *w = *state;
	json_t *backends = some(1);

	w->fetch = "FAILED";
	w->descriptor = NULL;
	check(w, backends);
	assert_int_equal(w->release, BALANCE_DIFFERENT);
	assert_int_equal(w->most, 0);
	assert_non_null(strstr(text_of(visit_of(w, FRONTEND), "text"), "directories do not have"));
	assert_true(json_is_null(json_object_get(visit_of(w, FRONTEND), "descriptor")));

	/* One that tor has kept does, and it is said that it is none of today. */
	w->descriptor = DESCRIPTOR;
	check(w, backends);
	assert_int_equal(w->release, BALANCE_SAME);
	const json_t *d = json_object_get(visit_of(w, FRONTEND), "descriptor");

	assert_true(json_is_false(json_object_get(d, "fetched")));
	json_decref(backends);
}

static void as_many_as_may_be_and_not_all_at_once(void **state)
{
	struct world *w = *state;
	json_t *backends = some(BALANCE_BACKENDS_MAX);

	w->holds = true;
	begin_check(w, backends, NULL);
	turn_until(w, w->visits == BALANCE_VISITS_MAX);
	for (int i = 0; i < 50; i++) {
		uv_run(&w->loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(w->most, BALANCE_VISITS_MAX);
	balance_cancel(w->check);
	turn_until(w, w->visits == 0);
	w->holds = false;
	check(w, backends);
	assert_int_equal(w->release, BALANCE_SAME);
	/* A connection is gone for us before the other side has seen it. */
	assert_in_range(w->most, 1, 2 * BALANCE_VISITS_MAX);
	json_decref(backends);
}

static void what_is_wrong_is_refused_at_once(void **state)
{
	struct world *w = *state;
	struct error err = ERROR_INIT;
	json_t *good = some(1), *many = some(BALANCE_BACKENDS_MAX + 1), *twice = some(1);
	json_t *own = json_pack("[s]", FRONTEND), *none = json_pack("[s]", "example.org");
	struct world without = {.m = {.ev = &w->ev}};
	char long_path[2050] = "/";
	const struct {
		struct manager *m;
		struct balance_request request;
		const char *why;
	} cases[] = {
		{&w->m, {"example.org", good, NULL}, "frontend: must be an onion address"},
		{&w->m, {FRONTEND, none, NULL}, "backends: must be an onion address"},
		{&w->m, {FRONTEND, many, NULL}, "at most 64"},
		{&w->m, {FRONTEND, twice, NULL}, "there twice"},
		{&w->m, {FRONTEND, own, NULL}, "the frontend's own address"},
		{&w->m, {FRONTEND, good, "a"}, "begins with a slash"},
		{&w->m, {FRONTEND, good, "/a b"}, "percent-encoded"},
		{&w->m, {FRONTEND, good, "/a\r\nX: y"}, "percent-encoded"},
		{&w->m, {FRONTEND, good, long_path}, "2048"},
		{&without.m, {FRONTEND, good, NULL}, "--local-only"},
	};

	json_array_append(twice, json_array_get(twice, 0));
	memset(long_path + 1, 'a', sizeof(long_path) - 2);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(balance_start(cases[i].m, &cases[i].request, on_visit, w, &w->check,
					  &err) < 0);
		if (!strstr(error_text(&err), cases[i].why)) {
			fail_msg("%s: %s", cases[i].why, error_text(&err));
		}
	}
	assert_int_equal(w->told, 0);
	error_done(&err);
	json_decref(good);
	json_decref(many);
	json_decref(twice);
	json_decref(own);
	json_decref(none);
}

static void cancelled_at_any_point_it_leaves_nothing(void **state)
{
	struct world *w = *state;
	json_t *backends = some(3);
	int fds = unit_open_fds();

	for (w->cancel_at = 1; w->cancel_at <= 3; w->cancel_at++) { /* from within */
		begin_check(w, backends, NULL);
		turn_until(w, w->told == w->cancel_at);
		turn_until(w, w->visits == 0);
		assert_false(w->done);
		assert_int_equal(unit_open_fds(), fds);
	}
	w->cancel_at = 0;
	for (unsigned turns = 0; turns < 20; turns++) { /* and from outside */
		begin_check(w, backends, NULL);
		for (unsigned i = 0; i < turns && !w->done; i++) {
			uv_run(&w->loop, UV_RUN_NOWAIT);
		}
		if (!w->done) {
			balance_cancel(w->check);
		}
		turn_until(w, w->visits == 0);
		assert_int_equal(unit_open_fds(), fds);
	}
	check(w, backends);
	assert_int_equal(w->release, BALANCE_SAME);
	json_decref(backends);
}

static void two_at_once_wait_for_each_other(void **state)
{
	struct world *w = *state;
	struct world other = {.loop = w->loop};
	const struct balance_request request = {FRONTEND, NULL, NULL};
	json_t *backends = some(2);

	begin_check(w, backends, NULL);
	uv_run(&w->loop, UV_RUN_NOWAIT);
	assert_int_equal(balance_start(&w->m, &request, on_visit, &other, &other.check, NULL), 0);
	turn_until(w, w->done && other.done);
	assert_int_equal(other.release, BALANCE_SAME);
	json_decref(other.found);
	json_decref(backends);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
		T(all_that_answer_alike_are_the_same),
		T(what_differs_is_noticed),
		T(without_a_descriptor_nobody_is_visited),
		T(as_many_as_may_be_and_not_all_at_once),
		T(what_is_wrong_is_refused_at_once),
		T(cancelled_at_any_point_it_leaves_nothing),
		T(two_at_once_wait_for_each_other),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
