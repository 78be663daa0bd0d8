/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A visit through Tor, broken at each of its steps: a fake control port and a fake SOCKS port. */
#include "turn.h"

#include <signal.h>

#include "fake_tor.h"
#include "store/store.h"
#include "svc/check.h"
#include "svc/manager.h"
#include "svc/service.h"

struct world {
	uv_loop_t loop;
	struct ev ev;
	struct fake fake;
	struct tor *tor;
	struct store *store;
	struct manager *m;
	struct service *svc;
	char *dir, *socks_path;
	uv_pipe_t socks;
	/* What the network does. */
	const char
		*fetch[3]; /* HS_DESC events behind HSFETCH, "%s" is the address; NULL: no more */
	const char *fetch_reply;
	uint8_t socks_reply;
	const char *http; /* NULL: hangs up */
	bool has_key;     /* tor knows one of somebody's for the address */
	bool no_uploads;
	bool answered;
	/* What was found. */
	struct check *check;
	unsigned told;
	bool done, good;
	char *steps; /* "tor+ service+ local-" */
	char *text;  /* of the last */
};

/* What the kernel says of tor's control socket where AppArmor confines it. */
static const char *label; /* NULL: nothing */

int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *n);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *n);

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *n)
{
	if (level != SOL_SOCKET || name != SO_PEERSEC || !label) {
		return __real_getsockopt(fd, level, name, value, n);
	}
	assert_in_range(strlen(label), 1, *n);
	memcpy(value, label, strlen(label));
	*n = (socklen_t)strlen(label);
	return 0;
}

static void mark(void *ud)
{
	*(bool *)ud = true;
}

static void loaded(void *ud, const struct error *err)
{
	assert_null(err);
	((struct world *)ud)->answered = true;
}

static void done(void *ud, const struct error *err, struct service *svc)
{
	struct world *w = ud;

	assert_null(err);
	w->answered = true;
	w->svc = svc;
}

static void wait_answer(struct world *w)
{
	turn_until(w, w->answered);
	w->answered = false;
}

/* --- the network --- */

static void say_event(struct fake_conn *c, const char *format, const char *address)
{
	struct buf b = BUF_INIT;
	const char *at = strstr(format, "%s");

	buf_printf(&b, "650 HS_DESC %.*s%s%s\r\n", (int)(at - format), format, address, at + 2);
	fake_say(c, b.p);
	buf_done(&b);
}

static bool script(struct fake_conn *c, const char *line, void *ud)
{
	struct world *w = ud;

	if (fake_begins(line, "HSFETCH ")) {
		fake_say(c, w->fetch_reply);
		for (size_t i = 0; i < ARRAY_SIZE(w->fetch) && w->fetch[i]; i++) {
			say_event(c, w->fetch[i], line + 8);
		}
		return true;
	}
	if (fake_begins(line, "ONION_CLIENT_AUTH_VIEW ")) {
		fake_say(c, "250-ONION_CLIENT_AUTH_VIEW x\r\n");
		if (w->has_key) {
			fake_say(c, "250-CLIENT x x25519:AAAA\r\n");
		}
		fake_say(c, "250 OK\r\n");
		return true;
	}
	return false;
}

static void socks_closed(uv_handle_t *handle)
{
	free(handle);
}

static void socks_say(uv_stream_t *stream, const void *p, size_t n)
{
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)p, (unsigned)n);

	(void)uv_try_write(stream, &buf, 1); /* who has cancelled does not read it */
}

static void socks_alloc(uv_handle_t *handle, size_t n, uv_buf_t *buf)
{
	static char space[4096];

	(void)handle;
	(void)n;
	*buf = uv_buf_init(space, sizeof(space));
}

static void socks_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	static struct world *w;

	w = ((uv_handle_t *)stream)->loop->data;
	if (n < 0) {
		uv_close((uv_handle_t *)stream, socks_closed);
	} else if (n > 0 && buf->base[0] == 5 && n == 3) {
		socks_say(stream, "\x05\x02", 2);
	} else if (n > 0 && buf->base[0] == 1) {
		socks_say(stream, "\x01\x00", 2);
	} else if (n > 0 && buf->base[0] == 5) {
		uint8_t reply[10] = {5, w->socks_reply, 0, 1};

		socks_say(stream, reply, sizeof(reply));
	} else if (w->http) {
		assert_int_equal(strncmp(buf->base, "HEAD / HTTP/1.1\r\n", 17), 0);
		socks_say(stream, w->http, strlen(w->http));
	} else if (n > 0) {
		uv_close((uv_handle_t *)stream, socks_closed);
	}
}

static void socks_accept(uv_stream_t *listener, int status)
{
	uv_pipe_t *pipe = xnew(uv_pipe_t);

	assert_int_equal(status, 0);
	uv_pipe_init(listener->loop, pipe, 0);
	assert_int_equal(uv_accept(listener, (uv_stream_t *)pipe), 0);
	uv_read_start((uv_stream_t *)pipe, socks_alloc, socks_read);
}

/* --- the world --- */

static void on_tor_changed(void *ud, const struct tor_status *status)
{
	manager_tor_changed(((struct world *)ud)->m, status);
}

static void open_daemon(struct world *w)
{
	static const struct tor_ops ops = {.changed = on_tor_changed};
	_cleanup_free_ char *state_dir = xasprintf("%s/state", w->dir);
	_cleanup_free_ char *runtime = xasprintf("%s/run", w->dir);
	_cleanup_free_ char *control = xasprintf("unix:%s", w->fake.path);
	_cleanup_free_ char *socks = xasprintf("unix:%s", w->socks_path);
	struct store_config store = {.state_dir = state_dir};
	struct tor_config tor = {.mode = TOR_MODE_SYSTEM, .control = control, .socks = socks};
	struct manager_config config = {.runtime_dir = runtime,
					.listen_auto = true,
					.drain_ms = 1000,
					.limits = http_limits_default};
	struct error err = ERROR_INIT;
	int status;

	assert_int_equal(store_open(&w->ev, &store, &w->store, &err, &status), 0);
	w->tor = tor_new(&w->ev, &tor, &ops, w);
	assert_int_equal(manager_new(&w->ev, &config, w->store, w->tor, &w->m, &err), 0);
	manager_load(w->m, loaded, w);
	tor_start(w->tor);
	wait_answer(w);
}

static void create(struct world *w)
{
	json_t *paths = json_array();
	struct manager_create c = {.name = "docs", .mode = "share", .paths = paths};

	json_array_append_new(paths, json_sprintf("%s/a.txt", w->dir));
	assert_int_equal(manager_create(w->m, &c, done, w, NULL), 0);
	json_decref(paths);
	wait_answer(w);
}

static int begin(void **state)
{
	struct world *w = xnew(struct world);

	w->loop.data = w;
	turn_begin(&w->loop, &w->ev, 16 * 1024 * 1024);
	w->dir = unit_tmpdir();
	w->socks_path = xasprintf("%s/socks", w->dir);
	unit_write(w->dir, "a.txt", "hello\n");
	fake_init(&w->fake, &w->loop, w->dir);
	w->fake.script = script;
	w->fake.script_ud = w;
	uv_pipe_init(&w->loop, &w->socks, 0);
	assert_int_equal(uv_pipe_bind(&w->socks, w->socks_path), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&w->socks, 16, socks_accept), 0);
	/* All is well. */
	w->fetch_reply = "250 OK\r\n";
	w->fetch[0] = "REQUESTED %s NO_AUTH $"
		      "0123456789012345678901234567890123456789~a x";
	w->fetch[1] = "RECEIVED %s NO_AUTH $"
		      "0123456789012345678901234567890123456789~a x";
	w->http = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n";
	open_daemon(w);
	create(w);
	*state = w;
	return 0;
}

static int end(void **state)
{
	struct world *w = *state;
	bool stopped = false, tor_stopped = false, closed = false;

	manager_stop(w->m, true, mark, &stopped);
	turn_until(w, stopped);
	manager_free(w->m);
	tor_stop(w->tor, mark, &tor_stopped);
	turn_until(w, tor_stopped);
	store_close(w->store, mark, &closed);
	turn_until(w, closed);
	fake_close(&w->fake);
	uv_close((uv_handle_t *)&w->socks, NULL);
	turn_end(&w->loop, &w->ev);
	fake_done(&w->fake);
	unit_rmtree(w->dir);
	free(w->socks_path);
	free(w->steps);
	free(w->text);
	free(w);
	return 0;
}

/* Up, and announced unless the test says otherwise. */
static void start(struct world *w)
{
	const char *want = w->no_uploads ? "publishing" : "running";
	char *event;

	assert_int_equal(manager_start(w->m, w->svc, done, w, NULL), 0);
	wait_answer(w);
	turn_until(w, strcmp(service_state_text(w->svc), "publishing") == 0 &&
			      onion_state(w->svc->onion) == ONION_PUBLISHING);
	for (int i = 0; i < 2 && !w->no_uploads; i++) {
		event = xasprintf("650 HS_DESC UPLOAD%s %s UNKNOWN "
				  "$0123456789012345678901234567890123456789~a%s\r\n",
				  i ? "ED" : "", w->svc->row->onion, i ? "" : " blinded");
		fake_event(&w->fake, event);
		free(event);
	}
	turn_until(w, strcmp(service_state_text(w->svc), want) == 0);
}

/* --- checking --- */

static void on_check(void *ud, const json_t *steps, bool is_done, bool good)
{
	struct world *w = ud;
	struct buf b = BUF_INIT;
	const json_t *step;
	size_t i;

	w->told++;
	assert_int_equal(json_array_size(steps), w->told);
	json_array_foreach (steps, i, step) {
		buf_printf(&b, "%s%s%s", i ? " " : "",
			   json_string_value(json_object_get(step, "step")),
			   json_is_true(json_object_get(step, "good")) ? "+" : "-");
		free(w->text);
		w->text = xstrdup(json_string_value(json_object_get(step, "text")));
	}
	free(w->steps);
	w->steps = buf_take(&b);
	w->done = is_done;
	w->good = good;
}

static void begin_check(struct world *w)
{
	w->told = 0;
	w->done = false;
	assert_int_equal(check_start(w->m, w->svc, on_check, w, &w->check, NULL), 0);
	assert_int_equal(w->told, 0); /* never from within */
}

static void expect(struct world *w, const char *steps, const char *text)
{
	begin_check(w);
	turn_until(w, w->done);
	assert_string_equal(w->steps, steps);
	assert_int_equal(w->good, strchr(steps, '-') == NULL);
	if (!strstr(w->text, text)) {
		fail_msg("%s: %s", steps, w->text);
	}
}

static unsigned count(const struct world *w, const char *command)
{
	unsigned n = 0;
	const char *p = w->fake.log.p;

	while (p && (p = strstr(p, command))) {
		n++;
		p++;
	}
	return n;
}

#define ALL "tor+ service+ local+ published+ descriptor+ visit+"

static void a_visitor_gets_through_and_tor_forgets_the_key(void **state)
{
	struct world *w = *state;

	start(w);
	expect(w, ALL, "an answer (200)");
	turn_until(w, !(!count(w, "ONION_CLIENT_AUTH_REMOVE")));
	assert_int_equal(count(w, "ONION_CLIENT_AUTH_ADD"), 1);
	/* And once more, for nothing was left of the first. */
	expect(w, ALL, "an answer (200)");
}

static void a_key_of_somebodys_own_stays_with_tor(void **state)
{
	struct world *w = *state;

	w->has_key = true;
	start(w);
	expect(w, ALL, "an answer");
	assert_int_equal(count(w, "ONION_CLIENT_AUTH_VIEW"), 1);
	assert_int_equal(count(w, "ONION_CLIENT_AUTH_ADD"), 0);
	assert_int_equal(count(w, "ONION_CLIENT_AUTH_REMOVE"), 0);
}

static void without_tor_nothing_else_is_tried(void **state)
{
	struct world *w = *state;

	start(w);
	uv_close((uv_handle_t *)&w->fake.listener, NULL);
	fake_hang_up_all(&w->fake);
	turn_until(w, tor_status(w->tor)->state != TOR_READY);
	expect(w, "tor-", "tor");
}

static void a_tor_on_its_way_is_waited_for(void **state)
{
	struct world *w = *state;

	fake_event(&w->fake, "650 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=14 TAG=x "
			     "SUMMARY=\"Handshaking\"\r\n");
	turn_until(w, tor_status(w->tor)->bootstrap == 14);
	expect(w, "tor-", "14 %");
}

static void a_service_that_is_down_is_named(void **state)
{
	expect(*state, "tor+ service-", "onionsharectl start docs");
}

static void a_socket_that_is_gone_is_noticed(void **state)
{
	struct world *w = *state;

	start(w);
	assert_int_equal(unlink(w->svc->socket_path), 0);
	expect(w, "tor+ service+ local-", "own socket");
}

static void what_is_not_announced_cannot_be_found(void **state)
{
	struct world *w = *state;

	w->no_uploads = true;
	start(w);
	expect(w, "tor+ service+ local+ published-", "not announced");
}

#define DIR " NO_AUTH $0123456789012345678901234567890123456789~a x "

static void directories_that_do_not_have_it_say_so(void **state)
{
	struct world *w = *state;

	start(w);
	w->fetch[1] = "FAILED %s" DIR "REASON=NOT_FOUND";
	expect(w, "tor+ service+ local+ published+ descriptor-", "do not have its descriptor");
	w->fetch[1] = "FAILED %s" DIR "REASON=BAD_DESC";
	expect(w, "tor+ service+ local+ published+ descriptor-", "private key");
	w->fetch[1] = "FAILED %s" DIR "REASON=SOMETHING_NEW";
	expect(w, "tor+ service+ local+ published+ descriptor-", "SOMETHING_NEW");
	w->fetch_reply = "513 Invalid argument\r\n";
	w->fetch[0] = NULL;
	expect(w, "tor+ service+ local+ published+ descriptor-", "cannot look it up");
}

static void one_directory_that_has_it_is_enough(void **state)
{
	struct world *w = *state;

	start(w);
	w->fetch[0] = "REQUESTED %s" DIR;
	w->fetch[1] = "REQUESTED %s" DIR;
	w->fetch[2] = "FAILED %s" DIR "REASON=NOT_FOUND";
	begin_check(w);
	turn_until(w, !(!count(w, "HSFETCH")));
	assert_false(w->done);
	char *event = xasprintf("650 HS_DESC RECEIVED %s" DIR "\r\n", w->svc->row->onion);

	fake_event(&w->fake, event);
	free(event);
	turn_until(w, w->done);
	assert_string_equal(w->steps, ALL);
}

static void a_rendezvous_that_fails_is_told_in_tors_words(void **state)
{
	struct world *w = *state;

	start(w);
	w->socks_reply = 0xf2;
	expect(w, "tor+ service+ local+ published+ descriptor+ visit-", "introduced");
	w->socks_reply = 0xf3;
	expect(w, "tor+ service+ local+ published+ descriptor+ visit-", "rendezvous");
	w->socks_reply = 0x05;
	expect(w, "tor+ service+ local+ published+ descriptor+ visit-", "refuses");
}

static void what_answers_is_looked_at(void **state)
{
	struct world *w = *state;

	start(w);
	w->http = "HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n";
	expect(w, "tor+ service+ local+ published+ descriptor+ visit-", "421");
	w->http = "SSH-2.0-x\r\n";
	expect(w, "tor+ service+ local+ published+ descriptor+ visit-", "not HTTP");
	w->http = NULL;
	expect(w, "tor+ service+ local+ published+ descriptor+ visit-", "without an answer");
	w->http = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 7\r\n\r\n";
	expect(w, ALL, "503"); /* of ours, and busy */
}

static void who_has_no_key_to_visit_with_is_told(void **state)
{
	struct world *w = *state;

	start(w);
	w->svc->row->keys[0].has_private = false;
	expect(w, "tor+ service+ local+ published+ descriptor-", "key add");
}

static void one_at_a_time(void **state)
{
	struct world *w = *state;
	struct world second = {.loop = w->loop};
	struct check *other;

	start(w);
	w->fetch[1] = NULL; /* goes on */
	begin_check(w);
	turn_until(w, !(!count(w, "HSFETCH")));
	assert_int_equal(check_start(w->m, w->svc, on_check, &second, &other, NULL), 0);
	turn_until(w, second.done);
	assert_non_null(strstr(second.text, "another check"));
	free(second.steps);
	free(second.text);
	check_cancel(w->check);
}

static void cancelled_at_any_step_it_leaves_nothing(void **state)
{
	struct world *w = *state;

	start(w);
	for (unsigned steps = 0; steps < 6; steps++) {
		begin_check(w);
		turn_until(w, w->told >= steps);
		turn(&w->loop);
		if (!w->done) {
			check_cancel(w->check);
		}
		/* Whatever it began is over before the next one begins. */
		turn_until(w, count(w, "ONION_CLIENT_AUTH_ADD") ==
				      count(w, "ONION_CLIENT_AUTH_REMOVE"));
	}
	expect(w, ALL, "an answer");
}

static void tor_that_is_lost_on_the_way_ends_it(void **state)
{
	struct world *w = *state;

	start(w);
	w->fetch[1] = NULL;
	begin_check(w);
	turn_until(w, !(!count(w, "HSFETCH")));
	fake_hang_up_all(&w->fake);
	turn_until(w, w->done);
	assert_non_null(strstr(w->text, "lost"));
}

static bool goes_by(const struct world *w, const char *kind)
{
	json_t *o = manager_service_json(w->svc);
	const char *backend = json_string_value(json_object_get(o, "backend"));
	bool is = backend && strncmp(backend, kind, strlen(kind)) == 0;

	json_decref(o);
	return is && w->svc->onion && onion_state(w->svc->onion) == ONION_PUBLISHING;
}

static void a_tor_that_apparmor_keeps_from_sockets_gets_a_port(void **state)
{
	struct world *w = *state;

	w->no_uploads = true;
	label = "system_tor (complain)";
	start(w);
	turn_until(w, goes_by(w, "unix:"));
	assert_null(tor_status(w->tor)->advice);
	label = "system_tor (enforce)";
	fake_hang_up_all(&w->fake);
	turn_until(w, goes_by(w, "tcp:127.0.0.1:"));
	assert_non_null(strstr(tor_status(w->tor)->advice, "AppArmor"));
	assert_int_equal(count(w, "Port=80,127.0.0.1:"), 2); /* one of them made the address */
	label = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
		T(a_visitor_gets_through_and_tor_forgets_the_key),
		T(a_key_of_somebodys_own_stays_with_tor),
		T(without_tor_nothing_else_is_tried),
		T(a_tor_on_its_way_is_waited_for),
		T(a_service_that_is_down_is_named),
		T(a_socket_that_is_gone_is_noticed),
		T(what_is_not_announced_cannot_be_found),
		T(directories_that_do_not_have_it_say_so),
		T(one_directory_that_has_it_is_enough),
		T(a_rendezvous_that_fails_is_told_in_tors_words),
		T(what_answers_is_looked_at),
		T(who_has_no_key_to_visit_with_is_told),
		T(one_at_a_time),
		T(cancelled_at_any_step_it_leaves_nothing),
		T(tor_that_is_lost_on_the_way_ends_it),
		T(a_tor_that_apparmor_keeps_from_sockets_gets_a_port),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
