/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Services without Tor: a real database, real files, real sockets on loopback. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "svc/bus.h"
#include "svc/content.h"
#include "svc/manager.h"
#include "svc/transfer.h"
#include "turn.h"

/* --- the bus --- */

struct listener_sub {
	struct bus_sub sub;
	struct bus *bus;
	char heard[64];
	struct listener_sub *drop; /* unsubscribed at the first event */
	bool publish;              /* one more event from within */
};

static void hear(struct bus_sub *sub, const char *service, const json_t *event)
{
	struct listener_sub *l = container_of(sub, struct listener_sub, sub);
	const char *what = json_string_value(json_object_get(event, "event"));

	(void)service;
	snprintf(l->heard + strlen(l->heard), sizeof(l->heard) - strlen(l->heard), "%s ", what);
	if (l->drop) {
		bus_unsubscribe(&take_ptr(l->drop)->sub);
	}
	if (l->publish) {
		l->publish = false;
		bus_publish(l->bus, NULL, json_pack("{s:s}", "event", "second"));
	}
}

static void events_come_in_one_order_to_everybody(void **state)
{
	struct bus *bus = bus_new();
	struct listener_sub a = {.sub.event = hear, .bus = bus, .publish = true};
	struct listener_sub b = {.sub.event = hear, .bus = bus};

	(void)state;
	bus_subscribe(bus, &a.sub);
	bus_subscribe(bus, &b.sub);
	bus_publish(bus, "x", json_pack("{s:s}", "event", "first"));
	assert_string_equal(a.heard, "first second ");
	assert_string_equal(b.heard, "first second ");
	bus_unsubscribe(&a.sub);
	bus_unsubscribe(&a.sub);
	bus_unsubscribe(&b.sub);
	bus_free(bus);
}

static void a_subscriber_can_send_another_away(void **state)
{
	struct bus *bus = bus_new();
	struct listener_sub a = {.sub.event = hear, .bus = bus};
	struct listener_sub b = {.sub.event = hear, .bus = bus};

	(void)state;
	a.drop = &b;
	bus_subscribe(bus, &a.sub);
	bus_subscribe(bus, &b.sub);
	bus_publish(bus, NULL, json_pack("{s:s}", "event", "first"));
	assert_string_equal(a.heard, "first ");
	assert_string_equal(b.heard, "");
	bus_unsubscribe(&a.sub);
	bus_free(bus);
}

/* --- transfers --- */

static json_int_t number(json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static void transfers_count_what_runs_and_what_is_over(void **state)
{
	struct bus *bus = bus_new();
	struct transfers t;
	json_t *o;

	(void)state;
	transfers_init(&t, 5, 10, 1000);
	assert_false(transfers_report(&t, bus, "s", 0, 1, MODE_TRANSFER_STARTED, true, 0, 50));
	assert_false(transfers_report(&t, bus, "s", 0, 2, MODE_TRANSFER_STARTED, false, 7, 70));
	assert_false(transfers_report(&t, bus, "s", 1, 1, MODE_TRANSFER_PROGRESS, true, 20, 50));
	o = transfers_json(&t);
	assert_int_equal(number(o, "active"), 2);
	assert_int_equal(number(o, "completed"), 5);
	assert_int_equal(number(o, "bytes_out"), 1020);
	assert_int_equal(number(o, "bytes_in"), 17);
	json_decref(o);
	assert_true(transfers_report(&t, bus, "s", 2, 1, MODE_TRANSFER_COMPLETED, true, 50, 50));
	assert_true(transfers_report(&t, bus, "s", 2, 2, MODE_TRANSFER_CANCELLED, false, 9, 70));
	o = transfers_json(&t);
	assert_int_equal(number(o, "active"), 0);
	assert_int_equal(number(o, "completed"), 6);
	assert_int_equal(number(o, "bytes_out"), 1050);
	assert_int_equal(number(o, "bytes_in"), 19);
	json_decref(o);
	transfers_done(&t);
	bus_free(bus);
}

static void progress_is_told_at_most_four_times_a_second(void **state)
{
	struct bus *bus = bus_new();
	struct listener_sub a = {.sub.event = hear, .bus = bus};
	struct transfers t;

	(void)state;
	bus_subscribe(bus, &a.sub);
	transfers_init(&t, 0, 0, 0);
	transfers_report(&t, bus, "s", 1000, 1, MODE_TRANSFER_STARTED, true, 0, 9);
	for (uint64_t ms = 1000; ms < 1500; ms++) {
		transfers_report(&t, bus, "s", ms, 1, MODE_TRANSFER_PROGRESS, true, 1, 9);
	}
	transfers_report(&t, bus, "s", 1500, 1, MODE_TRANSFER_COMPLETED, true, 9, 9);
	/* started, one progress, completed */
	assert_string_equal(a.heard, "transfer transfer transfer ");
	bus_unsubscribe(&a.sub);
	transfers_done(&t);
	bus_free(bus);
}

/* --- with a loop --- */

struct fixture {
	uv_loop_t loop;
	struct ev ev;
	struct store *store;
	struct manager *m;
	char *dir;
	bool answered;
	int code;
	enum error_kind kind;
	struct service *svc;
};

static void mark(void *ud)
{
	*(bool *)ud = true;
}

static void loaded(void *ud, const struct error *err)
{
	struct fixture *f = ud;

	assert_null(err);
	f->answered = true;
}

static void done(void *ud, const struct error *err, struct service *svc)
{
	struct fixture *f = ud;

	f->answered = true;
	f->code = err ? err->code : 0;
	f->kind = err ? err->kind : ERROR_INTERNAL;
	f->svc = svc;
}

/* Runs the loop until the operation that returned r has called back. */
static int finish(struct fixture *f, int r)
{
	assert_int_equal(r, 0);
	turn_until(f, f->answered);
	f->answered = false;
	return f->code;
}

static void saved(void *ud, const struct error *err, int64_t id)
{
	struct fixture *f = ud;

	(void)id;
	assert_null(err);
	f->answered = true;
}

/* Nothing is loaded yet. */
static void open_parts(struct fixture *f)
{
	_cleanup_free_ char *state_dir = xasprintf("%s/state", f->dir);
	_cleanup_free_ char *runtime = xasprintf("%s/run", f->dir);
	struct store_config store = {.state_dir = state_dir};
	struct manager_config config = {.local_only = true,
					.runtime_dir = runtime,
					.drain_ms = 1000,
					.limits = http_limits_default};
	struct error err = ERROR_INIT;
	int status;

	assert_int_equal(store_open(&f->ev, &store, &f->store, &err, &status), 0);
	assert_int_equal(manager_new(&f->ev, &config, f->store, NULL, &f->m, &err), 0);
}

static void open_daemon(struct fixture *f)
{
	open_parts(f);
	manager_load(f->m, loaded, f);
	finish(f, 0);
}

/* The manager has stopped. */
static void close_parts(struct fixture *f)
{
	bool closed = false;

	manager_free(f->m);
	store_close(f->store, mark, &closed);
	turn_until(f, closed);
}

static void close_daemon(struct fixture *f)
{
	bool stopped = false;

	manager_stop(f->m, true, mark, &stopped);
	turn_until(f, stopped);
	close_parts(f);
}

static int begin(void **state)
{
	struct fixture *f = xnew(struct fixture);

	turn_begin(&f->loop, &f->ev, 16 * 1024 * 1024);
	f->dir = unit_tmpdir();
	unit_write(f->dir, "a.txt", "hello\n");
	open_daemon(f);
	*state = f;
	return 0;
}

static int end(void **state)
{
	struct fixture *f = *state;

	close_daemon(f);
	turn_end(&f->loop, &f->ev);
	unit_rmtree(f->dir);
	free(f);
	return 0;
}

static int create(struct fixture *f, const char *name, const char *file, bool ephemeral,
		  json_t *options)
{
	json_t *paths = json_array();
	struct manager_create c = {.name = name,
				   .mode = "share",
				   .options = options,
				   .paths = paths,
				   .ephemeral = ephemeral};
	struct error err = ERROR_INIT;

	json_array_append_new(paths, json_sprintf("%s/%s", f->dir, file));
	int r = manager_create(f->m, &c, done, f, &err);

	if (r == 0) {
		r = -finish(f, 0);
	} else {
		f->kind = err.kind;
	}
	error_done(&err);
	json_decref(paths);
	json_decref(options);
	return r;
}

static char *member(struct fixture *f, const char *service, const char *name)
{
	json_t *o = manager_service_json(manager_find(f->m, service));
	const char *s = json_string_value(json_object_get(o, name));
	char *copy = s ? xstrdup(s) : NULL;

	json_decref(o);
	return copy;
}

static void wait_for_state(struct fixture *f, const char *service, const char *wanted)
{
	turn_until(f, !(strcmp(service_state_text(manager_find(f->m, service)), wanted) != 0));
}

static bool accepts(struct fixture *f, const char *service)
{
	_cleanup_free_ char *url = member(f, service, "url");
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				   .sin_port = htons(
					   (uint16_t)strtoul(strrchr(url, ':') + 1, NULL, 10))};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;
}

static void a_started_service_comes_back_at_the_same_address(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(create(f, "docs", "a.txt", false, NULL), 0);
	_cleanup_free_ char *url = member(f, "docs", "url");

	assert_non_null(url);
	assert_false(accepts(f, "docs"));
	assert_int_equal(finish(f, manager_start(f->m, f->svc, done, f, NULL)), 0);
	wait_for_state(f, "docs", "running");
	assert_true(accepts(f, "docs"));

	close_daemon(f);
	open_daemon(f);
	wait_for_state(f, "docs", "running");
	_cleanup_free_ char *again = member(f, "docs", "url");

	assert_string_equal(url, again);
	assert_true(accepts(f, "docs"));

	struct service *svc = manager_find(f->m, "docs");

	assert_int_equal(finish(f, manager_stop_service(f->m, svc, false, done, f, NULL)), 0);
	assert_string_equal(service_state_text(svc), "stopped");
	assert_false(accepts(f, "docs"));
	close_daemon(f);
	open_daemon(f);
	assert_string_equal(service_state_text(manager_find(f->m, "docs")), "stopped");
}

static void names_are_unique_and_checked(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(create(f, "docs", "a.txt", false, NULL), 0);
	assert_int_equal(create(f, "docs", "a.txt", false, NULL), -EEXIST);
	assert_int_equal(f->kind, ERROR_NAME_IN_USE);
	assert_int_equal(create(f, "-docs", "a.txt", false, NULL), -EINVAL);
	assert_int_equal(create(f, NULL, "a.txt", true, NULL), 0);
	assert_int_equal(strncmp(service_name(f->svc), "share-", 6), 0);
	assert_int_equal(strlen(service_name(f->svc)), 12);
}

static void two_creations_at_once_cannot_have_one_name(void **state)
{
	struct fixture *f = *state;
	json_t *paths = json_pack("[s]", "/etc/hostname");
	struct manager_create c = {.name = "one", .mode = "share", .paths = paths};
	struct error err = ERROR_INIT;

	assert_int_equal(manager_create(f->m, &c, done, f, &err), 0);
	assert_int_equal(manager_create(f->m, &c, done, f, &err), -EEXIST);
	finish(f, 0);
	error_done(&err);
	json_decref(paths);
}

static void paths_are_looked_at_before_anything_is_made(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *link = xasprintf("%s/link", f->dir);
	_cleanup_free_ char *fifo = xasprintf("%s/fifo", f->dir);

	assert_int_equal(symlink("a.txt", link), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(create(f, "x", "missing", false, NULL), -ENOENT);
	assert_int_equal(f->kind, ERROR_PATH_NOT_READABLE);
	assert_int_equal(create(f, "x", "link", false, NULL), -ELOOP);
	assert_int_equal(create(f, "x", "fifo", false, NULL), -EINVAL);
	assert_null(manager_find(f->m, "x"));
}

static int create_with_descriptor(struct fixture *f, const char *file, int fd)
{
	json_t *paths = json_array();
	struct manager_create c = {.mode = "share", .paths = paths, .ephemeral = true, .fds = &fd};

	json_array_append_new(paths, json_sprintf("%s/%s", f->dir, file));
	int code = finish(f, manager_create(f->m, &c, done, f, NULL));

	json_decref(paths);
	return code;
}

static void a_descriptor_must_be_of_that_file_and_readable(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *path = xasprintf("%s/a.txt", f->dir);

	unit_write(f->dir, "b.txt", "other\n");
	assert_int_equal(create_with_descriptor(f, "a.txt", open(path, O_RDONLY | O_CLOEXEC)), 0);
	assert_int_equal(create_with_descriptor(f, "b.txt", open(path, O_RDONLY | O_CLOEXEC)),
			 EPERM);
	assert_int_equal(create_with_descriptor(f, "a.txt", open(path, O_PATH | O_CLOEXEC)), EPERM);
	assert_int_equal(create_with_descriptor(f, "a.txt", open(path, O_WRONLY | O_CLOEXEC)),
			 EPERM);
	assert_int_equal(f->kind, ERROR_PERMISSION_DENIED);
}

static void edits_are_taken_whole_or_not_at_all(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	json_t *restart = NULL;
	json_t *bad = json_pack("{s:s, s:i}", "title", "New", "max_downloads", 0);
	json_t *good = json_pack("{s:s, s:b}", "title", "New", "no_autostop_sharing", 1);
	json_t *unset = json_pack("[s]", "title");
	json_t *unknown = json_pack("[s]", "colour");

	assert_int_equal(create(f, "docs", "a.txt", false, NULL), 0);
	struct service *svc = f->svc;

	assert_int_equal(manager_edit(f->m, svc, bad, NULL, NULL, &restart, done, f, &err),
			 -EINVAL);
	assert_null(member(f, "docs", "title"));
	assert_int_equal(finish(f,
				manager_edit(f->m, svc, good, NULL, NULL, &restart, done, f, &err)),
			 0);
	assert_int_equal(json_array_size(restart), 0);
	json_decref(restart);
	_cleanup_free_ char *title = member(f, "docs", "title");

	assert_string_equal(title, "New");
	assert_int_equal(manager_edit(f->m, svc, NULL, unknown, NULL, &restart, done, f, &err),
			 -EINVAL);
	assert_int_equal(finish(f, manager_edit(f->m, svc, NULL, unset, NULL, &restart, done, f,
						&err)),
			 0);
	json_decref(restart);
	assert_null(member(f, "docs", "title"));
	json_decref(bad);
	json_decref(good);
	json_decref(unset);
	json_decref(unknown);
	error_done(&err);
}

static void a_service_that_is_made_private_gets_a_key(void **state)
{
	struct fixture *f = *state;
	json_t *private = json_pack("{s:b}", "public", 0), *restart = NULL, *o;

	assert_int_equal(create(f, "docs", "a.txt", false, json_pack("{s:b}", "public", 1)), 0);
	o = manager_service_json(f->svc);
	assert_int_equal(json_array_size(json_object_get(o, "keys")), 0);
	json_decref(o);
	assert_int_equal(finish(f, manager_edit(f->m, f->svc, private, NULL, NULL, &restart, done,
						f, NULL)),
			 0);
	o = manager_service_json(f->svc);
	assert_int_equal(json_array_size(json_object_get(o, "keys")), 1);
	json_decref(o);
	json_decref(restart);
	json_decref(private);
}

static void renaming_keeps_the_address_and_deleting_frees_the_name(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(create(f, "old", "a.txt", false, NULL), 0);
	_cleanup_free_ char *url = member(f, "old", "url");
	struct service *svc = f->svc;

	assert_int_equal(finish(f, manager_start(f->m, svc, done, f, NULL)), 0);
	wait_for_state(f, "old", "running");
	assert_int_equal(finish(f, manager_rename(f->m, svc, "new", done, f, NULL)), 0);
	assert_null(manager_find(f->m, "old"));
	_cleanup_free_ char *again = member(f, "new", "url");

	assert_string_equal(url, again);
	assert_int_equal(finish(f, manager_delete(f->m, svc, false, false, done, f, NULL)), 0);
	assert_null(f->svc);
	assert_null(manager_find(f->m, "new"));
	assert_int_equal(create(f, "new", "a.txt", false, NULL), 0);
	close_daemon(f);
	open_daemon(f);
	assert_non_null(manager_find(f->m, "new"));
}

static void a_one_off_is_not_saved_unless_it_is_kept(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(create(f, "gone", "a.txt", true, NULL), 0);
	assert_int_equal(create(f, NULL, "a.txt", true, NULL), 0);
	struct service *svc = f->svc;

	assert_int_equal(finish(f, manager_start(f->m, svc, done, f, NULL)), 0);
	assert_int_equal(finish(f, manager_keep(f->m, svc, "kept", done, f, NULL)), 0);
	assert_int_equal(manager_keep(f->m, svc, "twice", done, f, NULL), -EINVAL);
	close_daemon(f);
	open_daemon(f);
	assert_null(manager_find(f->m, "gone"));
	wait_for_state(f, "kept", "running");
}

static void a_taken_port_is_refused_and_a_foreign_one_fails_the_start(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	int port = ntohs(addr.sin_port);

	assert_int_equal(create(f, "a", "a.txt", false, json_pack("{s:i}", "port", port)), 0);
	struct service *svc = f->svc;

	assert_int_equal(create(f, "b", "a.txt", false, json_pack("{s:i}", "port", port)), -EINVAL);
	assert_int_equal(finish(f, manager_start(f->m, svc, done, f, NULL)), 0);
	wait_for_state(f, "a", "failed");
	_cleanup_free_ char *reason = member(f, "a", "reason");

	assert_non_null(strstr(reason, "in use"));
	/* The foreign one goes away: the next start works. */
	close(fd);
	fd = -1;
	assert_int_equal(finish(f, manager_restart(f->m, svc, done, f, NULL)), 0);
	wait_for_state(f, "a", "running");
}

static void stopping_the_daemon_ends_what_is_being_made(void **state)
{
	struct fixture *f = *state;
	json_t *paths = json_pack("[s]", "/etc/hostname");
	struct manager_create c = {.name = "late", .mode = "share", .paths = paths};

	assert_int_equal(manager_create(f->m, &c, done, f, NULL), 0);
	close_daemon(f);
	assert_true(f->answered);
	f->answered = false;
	json_decref(paths);
	open_daemon(f);
}

static void stopping_the_daemon_before_it_has_loaded_starts_nothing(void **state)
{
	struct fixture *f = *state;
	bool stopped = false;

	assert_int_equal(create(f, "docs", "a.txt", false, NULL), 0);
	assert_int_equal(finish(f, manager_start(f->m, f->svc, done, f, NULL)), 0);
	close_daemon(f);
	open_parts(f);
	manager_load(f->m, loaded, f);
	manager_stop(f->m, false, mark, &stopped);
	turn_until(f, stopped);
	finish(f, 0);
	assert_string_equal(service_state_text(manager_find(f->m, "docs")), "stopped");
	/* It stopped once; the rest goes as always, and it comes back. */
	close_parts(f);
	open_daemon(f);
	wait_for_state(f, "docs", "running");
}

/* As a newer program or a curious person might have left it. */
static void spoil_options(void *ud, const struct error *err, struct service_row **rows, size_t n,
			  const struct store_broken *broken, size_t n_broken)
{
	struct fixture *f = ud;

	(void)broken;
	assert_null(err);
	assert_int_equal(n, 1);
	assert_int_equal(n_broken, 0);
	json_object_set_new(rows[0]->options, "colour", json_string("red"));
	store_service_put(f->store, rows[0], saved, f);
	service_row_free(rows[0]);
	free(rows);
}

static void a_service_that_cannot_be_used_can_be_deleted_once(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;

	assert_int_equal(create(f, "docs", "a.txt", false, NULL), 0);
	close_daemon(f);
	open_parts(f);
	store_services_load(f->store, spoil_options, f);
	finish(f, 0);
	manager_load(f->m, loaded, f);
	finish(f, 0);
	struct service *svc = manager_find(f->m, "docs");

	assert_string_equal(service_state_text(svc), "failed");
	assert_int_equal(manager_start(f->m, svc, done, f, &err), -EINVAL);
	assert_int_equal(manager_delete(f->m, svc, false, false, done, f, &err), 0);
	assert_int_equal(manager_delete(f->m, svc, false, false, done, f, &err), -EBUSY);
	finish(f, 0);
	assert_null(manager_find(f->m, "docs"));
	error_done(&err);
}

static void who_waits_for_a_service_that_is_deleted_is_told_so(void **state)
{
	struct fixture *f = *state;
	struct fixture other = {0};

	assert_int_equal(create(f, NULL, "a.txt", true, NULL), 0);
	struct service *svc = f->svc;

	assert_int_equal(manager_delete(f->m, svc, true, false, done, &other, NULL), 0);
	assert_int_equal(manager_start(f->m, svc, done, f, NULL), -EBUSY);
	turn_until(f, other.answered);
	other.answered = false;
	/* The other way round: the start is under way, then the deletion comes. */
	assert_int_equal(create(f, NULL, "a.txt", true, NULL), 0);
	svc = f->svc;
	assert_int_equal(finish(f, manager_start(f->m, svc, done, f, NULL)), 0);
	assert_int_equal(manager_stop_service(f->m, svc, true, done, f, NULL), 0);
	assert_int_equal(manager_delete(f->m, svc, true, false, done, &other, NULL), 0);
	turn_until(f, other.answered);
	other.answered = false;
	finish(f, 0);
	if (!f->svc) {
		assert_int_equal(f->kind, ERROR_NO_SUCH_SERVICE);
		assert_int_equal(f->code, ENOENT);
	}
}

static void a_port_that_is_edited_counts_from_the_next_start(void **state)
{
	struct fixture *f = *state;
	json_t *restart = NULL;

	assert_int_equal(create(f, "docs", "a.txt", false, NULL), 0);
	assert_int_equal(create(f, "spare", "a.txt", false, NULL), 0);
	_cleanup_free_ char *spare = member(f, "spare", "url");
	int port = (int)strtoul(strrchr(spare, ':') + 1, NULL, 10);

	assert_int_equal(finish(f, manager_delete(f->m, f->svc, true, false, done, f, NULL)), 0);
	struct service *svc = manager_find(f->m, "docs");

	assert_int_equal(finish(f, manager_start(f->m, svc, done, f, NULL)), 0);
	wait_for_state(f, "docs", "running");
	json_t *changes = json_pack("{s:i}", "port", port);

	assert_int_equal(finish(f, manager_edit(f->m, svc, changes, NULL, NULL, &restart, done, f,
						NULL)),
			 0);
	assert_int_equal(json_array_size(restart), 1);
	assert_true(accepts(f, "docs"));
	assert_int_equal(finish(f, manager_restart(f->m, svc, done, f, NULL)), 0);
	wait_for_state(f, "docs", "running");
	_cleanup_free_ char *url = member(f, "docs", "url");

	assert_string_equal(url, spare);
	assert_true(accepts(f, "docs"));
	json_decref(changes);
	json_decref(restart);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_come_in_one_order_to_everybody),
		cmocka_unit_test(a_subscriber_can_send_another_away),
		cmocka_unit_test(transfers_count_what_runs_and_what_is_over),
		cmocka_unit_test(progress_is_told_at_most_four_times_a_second),
#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, begin, end)
		WITH_LOOP(a_started_service_comes_back_at_the_same_address),
		WITH_LOOP(names_are_unique_and_checked),
		WITH_LOOP(two_creations_at_once_cannot_have_one_name),
		WITH_LOOP(paths_are_looked_at_before_anything_is_made),
		WITH_LOOP(a_descriptor_must_be_of_that_file_and_readable),
		WITH_LOOP(edits_are_taken_whole_or_not_at_all),
		WITH_LOOP(a_service_that_is_made_private_gets_a_key),
		WITH_LOOP(renaming_keeps_the_address_and_deleting_frees_the_name),
		WITH_LOOP(a_one_off_is_not_saved_unless_it_is_kept),
		WITH_LOOP(a_taken_port_is_refused_and_a_foreign_one_fails_the_start),
		WITH_LOOP(stopping_the_daemon_ends_what_is_being_made),
		WITH_LOOP(stopping_the_daemon_before_it_has_loaded_starts_nothing),
		WITH_LOOP(a_service_that_cannot_be_used_can_be_deleted_once),
		WITH_LOOP(who_waits_for_a_service_that_is_deleted_is_told_so),
		WITH_LOOP(a_port_that_is_edited_counts_from_the_next_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
