/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Services with a tor that answers when the test wants it to: real database, files and sockets. */
#include "turn.h"

#include <errno.h>
#include <signal.h>

#include "fake_tor.h"
#include "store/store.h"
#include "svc/manager.h"
#include "svc/service.h"

struct world {
	uv_loop_t loop;
	struct ev ev;
	struct fake fake;
	struct tor *tor;
	struct store *store;
	struct manager *m;
	char *dir;
	bool answered;
	int code;
	struct service *svc;
	bool mute;      /* tor leaves ADD_ONION of a key from elsewhere without an answer */
	bool silent;    /* tor leaves ADD_ONION NEW without an answer */
	unsigned asked; /* for keys */
};

static void run_until_asked(struct world *w, unsigned times)
{
	turn_until(w, !(w->asked < times));
}

static void run_until_said(struct world *w, const char *text)
{
	turn_until(w, !(!w->fake.log.len || !strstr(w->fake.log.p, text)));
}

static void mark(void *ud)
{
	*(bool *)ud = true;
}

static void loaded(void *ud, const struct error *err)
{
	struct world *w = ud;

	assert_null(err);
	w->answered = true;
}

static void done(void *ud, const struct error *err, struct service *svc)
{
	struct world *w = ud;

	w->answered = true;
	w->code = err ? err->code : 0;
	w->svc = svc;
}

static int finish(struct world *w, int r)
{
	assert_int_equal(r, 0);
	turn_until(w, w->answered);
	w->answered = false;
	return w->code;
}

static void on_tor_changed(void *ud, const struct tor_status *status)
{
	struct world *w = ud;

	manager_tor_changed(w->m, status);
}

static bool script(struct fake_conn *c, const char *line, void *ud)
{
	struct world *w = ud;

	(void)c;
	if (w->mute && fake_begins(line, "ADD_ONION ED25519")) {
		return true;
	}
	if (!fake_begins(line, "ADD_ONION NEW")) {
		return false;
	}
	w->asked++;
	return w->silent;
}

static void open_daemon(struct world *w)
{
	static const struct tor_ops ops = {.changed = on_tor_changed};
	_cleanup_free_ char *state_dir = xasprintf("%s/state", w->dir);
	_cleanup_free_ char *runtime = xasprintf("%s/run", w->dir);
	_cleanup_free_ char *control = xasprintf("unix:%s", w->fake.path);
	struct store_config store = {.state_dir = state_dir};
	struct tor_config tor = {.mode = TOR_MODE_SYSTEM, .control = control};
	struct manager_config config = {.runtime_dir = runtime,
					.drain_ms = 1000,
					.limits = http_limits_default};
	struct error err = ERROR_INIT;
	int status;

	assert_int_equal(store_open(&w->ev, &store, &w->store, &err, &status), 0);
	w->tor = tor_new(&w->ev, &tor, &ops, w);
	assert_int_equal(manager_new(&w->ev, &config, w->store, w->tor, &w->m, &err), 0);
	manager_load(w->m, loaded, w);
	tor_start(w->tor);
	finish(w, 0);
}

/* In the order of the daemon: services, Tor, database. */
static void close_daemon(struct world *w)
{
	bool stopped = false, tor_stopped = false, closed = false;

	manager_stop(w->m, true, mark, &stopped);
	turn_until(w, stopped);
	manager_free(w->m);
	tor_stop(w->tor, mark, &tor_stopped);
	turn_until(w, tor_stopped);
	store_close(w->store, mark, &closed);
	turn_until(w, closed);
}

static int begin(void **state)
{
	struct world *w = xnew(struct world);

	turn_begin(&w->loop, &w->ev, 16 * 1024 * 1024);
	w->dir = unit_tmpdir();
	unit_write(w->dir, "a.txt", "hello\n");
	fake_init(&w->fake, &w->loop, w->dir);
	w->fake.script = script;
	w->fake.script_ud = w;
	open_daemon(w);
	*state = w;
	return 0;
}

static int end(void **state)
{
	struct world *w = *state;

	close_daemon(w);
	fake_close(&w->fake);
	turn_end(&w->loop, &w->ev);
	fake_done(&w->fake);
	unit_rmtree(w->dir);
	free(w);
	return 0;
}

static void begin_create(struct world *w, const char *name)
{
	json_t *paths = json_array();
	struct manager_create c = {.name = name, .mode = "share", .paths = paths};

	json_array_append_new(paths, json_sprintf("%s/a.txt", w->dir));
	assert_int_equal(manager_create(w->m, &c, done, w, NULL), 0);
	json_decref(paths);
}

static char *member(struct service *svc, const char *name)
{
	json_t *o = manager_service_json(svc);
	const char *s = json_string_value(json_object_get(o, name));
	char *copy = s ? xstrdup(s) : NULL;

	json_decref(o);
	return copy;
}

static void wait_for_state(struct world *w, struct service *svc, const char *wanted)
{
	turn_until(w, !(strcmp(service_state_text(svc), wanted) != 0));
}

/* A saved, stopped service without an address: tor has gone while it was asked for one. */
static struct service *create_without_address(struct world *w)
{
	begin_create(w, "docs");
	run_until_asked(w, 1);
	/* The daemon ends without an answer; next time the row has no address. */
	close_daemon(w);
	w->answered = false;
	open_daemon(w);
	run_until_asked(w, 2);
	return manager_find(w->m, "docs");
}

static void an_address_is_made_when_tor_answers_at_last(void **state)
{
	struct world *w = *state;

	w->silent = true;
	struct service *svc = create_without_address(w);

	assert_null(member(svc, "onion"));
	w->silent = false;
	fake_hang_up_all(&w->fake);
	assert_int_equal(finish(w, manager_start(w->m, svc, done, w, NULL)), 0);
	wait_for_state(w, svc, "publishing");
	_cleanup_free_ char *onion = member(svc, "onion");

	assert_non_null(onion);
	assert_non_null(strstr(w->fake.log.p, onion));
}

static void a_service_deleted_while_tor_makes_its_key_is_not_told_of_it(void **state)
{
	struct world *w = *state;

	w->silent = true;
	struct service *svc = create_without_address(w);

	assert_int_equal(finish(w, manager_delete(w->m, svc, false, false, done, w, NULL)), 0);
	/* The answer comes now, to nobody. */
	w->silent = false;
	fake_hang_up_all(&w->fake);
	begin_create(w, "docs");
	assert_int_equal(finish(w, 0), 0);
	_cleanup_free_ char *onion = member(w->svc, "onion");

	assert_non_null(onion);
}

static void a_daemon_ends_while_tor_makes_keys_for_stopped_services(void **state)
{
	struct world *w = *state;

	w->silent = true;
	create_without_address(w);
	close_daemon(w);
	open_daemon(w);
}

/* --- identities from elsewhere --- */

#define NOT_TOLD ""

/* At the fake the address is the key's beginning: here all zero, but for the version. */
static json_t *identity(const char *address)
{
	uint8_t key[ONION_KEY_SIZE] = {0};
	char text[BASE64_LEN(ONION_KEY_SIZE) + 1];

	key[34] = 3; /* the version, of an address */
	base64_encode(key, sizeof(key), text);
	json_t *o = json_pack("{s:s, s:[]}", "onion_key", text, "keys");

	if (address[0]) {
		json_object_set_new(o, "onion", json_string(address));
	}
	return o;
}

static const char zero_address[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaad";
static const char other_address[] = "baaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaad";

static int begin_import(struct world *w, const char *name, const char *address, struct error *err)
{
	json_t *from = identity(address);
	struct manager_create c = {.name = name, .mode = "chat", .identity = from};
	int r = manager_create(w->m, &c, done, w, err);

	json_decref(from);
	return r;
}

static void an_imported_key_has_the_address_that_tor_says(void **state)
{
	struct world *w = *state;

	assert_int_equal(begin_import(w, "room", other_address, NULL), 0);
	assert_int_equal(finish(w, 0), EINVAL);
	assert_null(manager_find(w->m, "room"));
	assert_int_equal(begin_import(w, "room", NOT_TOLD, NULL), 0);
	assert_int_equal(finish(w, 0), 0);
	_cleanup_free_ char *onion = member(w->svc, "onion");

	assert_string_equal(onion, zero_address);
	assert_int_equal(w->fake.onions.len, 0);
}

static void two_services_never_have_one_identity(void **state)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	struct world *w = *state;

	assert_int_equal(begin_import(w, "room", zero_address, NULL), 0);
	/* Also while the first is not there yet, and without its address. */
	assert_int_equal(begin_import(w, "hall", NOT_TOLD, &err), -EEXIST);
	assert_int_equal(finish(w, 0), 0);
	assert_int_equal(begin_import(w, "hall", NOT_TOLD, &err), -EEXIST);
	assert_int_equal(err.kind, ERROR_NAME_IN_USE);
	assert_string_equal(err.param[0], "room");
}

static void an_import_ends_with_the_daemon_unless_it_is_whole(void **state)
{
	struct world *w = *state;

	w->mute = true;
	assert_int_equal(begin_import(w, "half", NOT_TOLD, NULL), 0);
	run_until_said(w, "ADD_ONION ED25519");
	close_daemon(w);
	assert_true(w->answered && w->code != 0);
	w->answered = false;
	buf_clear(&w->fake.log);
	open_daemon(w);
	assert_null(manager_find(w->m, "half"));
	assert_int_equal(begin_import(w, "whole", zero_address, NULL), 0);
	run_until_said(w, "ADD_ONION ED25519");
	close_daemon(w);
	assert_true(w->answered && w->code == 0);
	w->answered = false;
	open_daemon(w);
	_cleanup_free_ char *onion = member(manager_find(w->m, "whole"), "onion");

	assert_string_equal(onion, zero_address);
}

/* --- private keys --- */

static struct service *create(struct world *w, const char *name)
{
	begin_create(w, name);
	assert_int_equal(finish(w, 0), 0);
	return w->svc;
}

/* Tor says that the directories have it: also before it was asked, which counts for nothing. */
static bool is_running(struct service *svc)
{
	return strcmp(service_state_text(svc), "running") == 0;
}

static void announce(struct world *w, struct service *svc)
{
	_cleanup_free_ char *onion = member(svc, "onion");
	_cleanup_free_ char *events = xasprintf("650 HS_DESC UPLOAD %s UNKNOWN $%040d~a blinded\r\n"
						"650 HS_DESC UPLOADED %s UNKNOWN $%040d~a\r\n",
						onion, 1, onion, 1);

	turn_until(w, (fake_event(&w->fake, events), is_running(svc)));
}

static struct service *running(struct world *w, const char *name)
{
	struct service *svc = create(w, name);

	assert_int_equal(finish(w, manager_start(w->m, svc, done, w, NULL)), 0);
	wait_for_state(w, svc, "publishing");
	run_until_said(w, "ADD_ONION ED25519");
	return svc;
}

static int add_key(struct world *w, struct service *svc, const char *label, const char *public_key,
		   struct error *err)
{
	json_t *key = NULL;
	int r = manager_key_add(w->m, svc, label, public_key, &key, done, w, err);

	if (r == 0) {
		r = -finish(w, 0);
		json_decref(key);
	}
	return r;
}

static int remove_key(struct world *w, struct service *svc, const char *label, struct error *err)
{
	int r = manager_key_remove(w->m, svc, label, done, w, err);

	return r == 0 ? -finish(w, 0) : r;
}

/* Labels of a service's keys, one behind the other. */
static char *labels(struct service *svc)
{
	json_t *keys = manager_keys_json(svc), *key;
	struct buf text = BUF_INIT;
	size_t i;

	json_array_foreach (keys, i, key) {
		buf_printf(&text, "%s ", json_string_value(json_object_get(key, "label")));
	}
	json_decref(keys);
	return buf_take(&text);
}

static char *public_half(struct service *svc, const char *label)
{
	json_t *keys = manager_keys_json(svc), *key;
	char *text = NULL;
	size_t i;

	json_array_foreach (keys, i, key) {
		if (strcmp(json_string_value(json_object_get(key, "label")), label) == 0) {
			text = xstrdup(json_string_value(json_object_get(key, "public_key")));
		}
	}
	json_decref(keys);
	return text;
}

static bool visitors_have_circuits(struct fake_conn *c, const char *line, void *ud)
{
	struct world *w = ud;
	struct buf b = BUF_INIT;
	_cleanup_free_ char *onion = NULL;

	if (strcmp(line, "GETINFO circuit-status") != 0) {
		return script(c, line, ud);
	}
	onion = member(manager_find(w->m, "docs"), "onion");
	buf_printf(&b,
		   "250-circuit-status=7 BUILT $AA~a PURPOSE=HS_SERVICE_REND REND_QUERY=%s\r\n"
		   "250 OK\r\n",
		   onion);
	fake_say(c, b.p);
	buf_done(&b);
	return true;
}

static void a_new_key_is_published_and_cuts_nobody(void **state)
{
	struct world *w = *state;
	struct service *svc = running(w, "docs");

	announce(w, svc);
	buf_clear(&w->fake.log);
	assert_int_equal(add_key(w, svc, "Jos\u00e9 & Co.", NULL, NULL), 0);
	wait_for_state(w, svc, "publishing");
	run_until_said(w, "ADD_ONION");
	_cleanup_free_ char *first = public_half(svc, "default");
	_cleanup_free_ char *second = public_half(svc, "Jos\u00e9 & Co.");

	assert_non_null(strstr(w->fake.log.p, "DEL_ONION"));
	assert_non_null(strstr(w->fake.log.p, first));
	assert_non_null(strstr(w->fake.log.p, second));
	assert_null(strstr(w->fake.log.p, "circuit"));
	announce(w, svc);
}

static void a_key_that_is_taken_back_closes_the_circuits_before_the_others_are_let_in(void **state)
{
	struct world *w = *state;
	struct service *svc = running(w, "docs");

	w->fake.script = visitors_have_circuits;
	assert_int_equal(add_key(w, svc, "bob", NULL, NULL), 0);
	announce(w, svc);
	_cleanup_free_ char *bob = public_half(svc, "bob");

	buf_clear(&w->fake.log);
	assert_int_equal(remove_key(w, svc, "bob", NULL), 0);
	/* Whoever asked hears of it only now. */
	const char *del = strstr(w->fake.log.p, "DEL_ONION ");
	const char *cut = strstr(w->fake.log.p, "CLOSECIRCUIT 7\n");

	assert_true(del && cut && del < cut);
	run_until_said(w, "ADD_ONION");
	assert_true(cut < strstr(w->fake.log.p, "ADD_ONION"));
	assert_null(strstr(w->fake.log.p, bob));
	_cleanup_free_ char *left = labels(svc);

	assert_string_equal(left, "default ");
	announce(w, svc);
}

/* Tor stops making circuits when too many were given up half made. */
static void keys_that_come_while_tor_publishes_are_published_together(void **state)
{
	struct world *w = *state;
	struct service *svc = running(w, "docs");

	announce(w, svc);
	unsigned adds = w->fake.adds;

	for (int i = 1; i <= 20; i++) {
		assert_int_equal(add_key(w, svc, NULL, NULL, NULL), 0);
		/* The first is published at once, as far as it is alone. */
		turn_until(w, w->fake.adds == adds + 1);
		assert_string_equal(service_state_text(svc), "publishing");
	}
	_cleanup_free_ char *first = public_half(svc, "key-1");
	_cleanup_free_ char *last = public_half(svc, "key-20");

	assert_non_null(strstr(w->fake.log.p, first));
	assert_null(strstr(w->fake.log.p, last));
	announce(w, svc); /* running: with all of them */
	assert_int_equal(w->fake.adds, adds + 2);
	assert_non_null(strstr(w->fake.log.p, last));
}

static void a_key_that_comes_right_after_a_sleep_is_not_taken_for_published(void **state)
{
	struct world *w = *state;
	struct service *svc = running(w, "docs");

	announce(w, svc);
	unsigned adds = w->fake.adds;

	fake_event(&w->fake, "650 STATUS_GENERAL WARN CLOCK_JUMPED TIME=7200 IDLE=0\r\n");
	turn_until(w, w->fake.adds > adds && onion_in_the_making(svc->onion));
	assert_true(is_running(svc)); /* visitors wait a moment; nobody need do anything */
	assert_int_equal(add_key(w, svc, "bob", NULL, NULL), 0);
	assert_string_equal(service_state_text(svc), "publishing");
	_cleanup_free_ char *bob = public_half(svc, "bob");

	announce(w, svc);
	assert_non_null(strstr(w->fake.log.p, bob));
	assert_int_equal(w->fake.adds, adds + 2);
}

static void a_key_that_tor_was_not_told_of_yet_is_there_after_a_loss(void **state)
{
	struct world *w = *state;
	struct service *svc = running(w, "docs");

	turn_until(w, onion_in_the_making(svc->onion));
	assert_int_equal(add_key(w, svc, "bob", NULL, NULL), 0);
	_cleanup_free_ char *bob = public_half(svc, "bob");

	assert_null(strstr(w->fake.log.p, bob));
	fake_hang_up_all(&w->fake);
	run_until_said(w, bob);
	announce(w, svc);
}

static unsigned times_said(const struct world *w, const char *what)
{
	unsigned n = 0;

	for (const char *p = w->fake.log.p; (p = strstr(p, what)); p++) {
		n++;
	}
	return n;
}

static void many_keys_taken_back_are_shut_out_at_once_and_tor_is_spared(void **state)
{
	struct world *w = *state;
	struct service *svc = running(w, "docs");
	char label[16];

	for (int i = 1; i <= 20; i++) {
		assert_int_equal(add_key(w, svc, NULL, NULL, NULL), 0);
	}
	announce(w, svc);
	unsigned adds = w->fake.adds;

	w->fake.script = visitors_have_circuits;
	buf_clear(&w->fake.log);
	for (unsigned i = 1; i <= 20; i++) {
		snprintf(label, sizeof(label), "key-%u", i);
		assert_int_equal(remove_key(w, svc, label, NULL), 0);
		/* Who has asked for it hears of it when it is so. */
		assert_int_equal(times_said(w, "CLOSECIRCUIT 7\n"), i);
	}
	assert_true(w->fake.adds - adds <= 3);
	_cleanup_free_ char *left = labels(svc);

	assert_string_equal(left, "default ");
	announce(w, svc);
	_cleanup_free_ char *key = public_half(svc, "default");
	const char *added = strstr(w->fake.log.p, "ADD_ONION");

	while (strstr(added + 1, "ADD_ONION")) {
		added = strstr(added + 1, "ADD_ONION");
	}
	assert_non_null(strstr(added, key));
	assert_null(strstr(strstr(added, key) + 1, "ClientAuthV3"));
	assert_true(w->fake.adds - adds <= 4);
}

static void a_key_taken_back_while_stopped_does_not_come_in_by_an_old_circuit(void **state)
{
	struct world *w = *state;
	struct service *svc = running(w, "docs");

	w->fake.script = visitors_have_circuits;
	assert_int_equal(add_key(w, svc, "bob", NULL, NULL), 0);
	assert_int_equal(finish(w, manager_stop_service(w->m, svc, false, done, w, NULL)), 0);
	assert_int_equal(remove_key(w, svc, "bob", NULL), 0);
	buf_clear(&w->fake.log);
	assert_int_equal(finish(w, manager_start(w->m, svc, done, w, NULL)), 0);
	run_until_said(w, "ADD_ONION");
	const char *cut = strstr(w->fake.log.p, "CLOSECIRCUIT 7\n");

	assert_true(cut && cut < strstr(w->fake.log.p, "ADD_ONION"));
	/* Those of people who may still come are left alone from then on. */
	assert_int_equal(finish(w, manager_stop_service(w->m, svc, false, done, w, NULL)), 0);
	buf_clear(&w->fake.log);
	assert_int_equal(finish(w, manager_start(w->m, svc, done, w, NULL)), 0);
	run_until_said(w, "ADD_ONION");
	assert_null(strstr(w->fake.log.p, "circuit"));
}

static void an_earlier_daemons_visitors_come_in_by_the_keys_of_now_only(void **state)
{
	struct world *w = *state;

	w->fake.script = visitors_have_circuits;
	running(w, "docs");
	close_daemon(w);
	buf_clear(&w->fake.log);
	open_daemon(w);
	run_until_said(w, "ADD_ONION ED25519");
	const char *cut = strstr(w->fake.log.p, "CLOSECIRCUIT 7\n");

	assert_true(cut && cut < strstr(w->fake.log.p, "ADD_ONION ED25519"));
}

static void what_cannot_be_a_key_is_refused_with_a_sentence(void **state)
{
	static const struct {
		const char *label, *public_key, *says;
	} bad[] = {
		{"", NULL, "must not be empty"},
		{" bob", NULL, "begin or end"},
		{"a\nb", NULL, "one line"},
		{"a\xff", NULL, "UTF-8"},
		{"12345678901234567890123456789012345678901234567890123456789012345", NULL,
		 "longer than 64"},
		{"default", NULL, "already has a key"},
		{"bob", "", "52 characters"},
		{"bob", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "52 characters"},
		/* Of low order: the descriptor would be open to all. */
		{"bob", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "everybody"},
		{"bob", "AEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "everybody"},
	};
	struct world *w = *state;
	struct service *svc = create(w, "docs");
	struct error err = ERROR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_true(add_key(w, svc, bad[i].label, bad[i].public_key, &err) < 0);
		assert_non_null(strstr(error_text(&err), bad[i].says));
	}
	_cleanup_free_ char *own = public_half(svc, "default");

	assert_true(add_key(w, svc, "twice", own, &err) < 0);
	assert_non_null(strstr(error_text(&err), "with the label default"));
	assert_int_equal(remove_key(w, svc, "nobody", &err), -ENOENT);
	assert_int_equal(err.kind, ERROR_NO_SUCH_KEY);
	assert_true(remove_key(w, svc, "default", &err) < 0);
	assert_non_null(strstr(error_text(&err), "the last key"));
	_cleanup_free_ char *left = labels(svc);

	assert_string_equal(left, "default ");
	error_done(&err);
}

static void a_key_that_its_owner_made_has_no_private_half_here(void **state)
{
	static const char theirs[] = "TPQCMCV26UEDMCWGZCWAWM4FOJSQKZZTVPC5TC3CAGMDWKV255OA";
	struct world *w = *state;
	struct service *svc = running(w, "docs");

	assert_int_equal(add_key(w, svc, "anna",
				 "descriptor:x25519:tpqcmcv26uedmcwgzcwawm4foj"
				 "sqkzztvpc5tc3cagmdwkv255oa",
				 NULL),
			 0);
	run_until_said(w, theirs);
	close_daemon(w);
	open_daemon(w);
	svc = manager_find(w->m, "docs");
	json_t *keys = manager_keys_json(svc);
	const json_t *anna = json_array_get(keys, 1);

	assert_true(json_is_null(json_object_get(anna, "private_key")));
	assert_string_equal(json_string_value(json_object_get(anna, "public_key")), theirs);
	json_decref(keys);
}

static void so_many_keys_and_no_more_and_all_are_there_after_a_restart(void **state)
{
	struct world *w = *state;
	struct service *svc = create(w, "docs");
	struct error err = ERROR_INIT;

	for (int i = 1; i < ONION_CLIENTS_MAX; i++) {
		assert_int_equal(add_key(w, svc, NULL, NULL, NULL), 0);
	}
	assert_true(add_key(w, svc, "one more", NULL, &err) < 0);
	assert_int_equal(err.kind, ERROR_LIMIT_EXCEEDED);
	assert_string_equal(err.param[1], "256");
	error_done(&err);
	_cleanup_free_ char *before = labels(svc);

	close_daemon(w);
	open_daemon(w);
	svc = manager_find(w->m, "docs");
	_cleanup_free_ char *after = labels(svc);

	assert_string_equal(before, after);
	assert_non_null(strstr(after, "key-255 "));
	assert_int_equal(finish(w, manager_start(w->m, svc, done, w, NULL)), 0);
	wait_for_state(w, svc, "publishing");
	/* A number that became free is given again. */
	assert_int_equal(remove_key(w, svc, "key-7", NULL), 0);
	assert_int_equal(add_key(w, svc, NULL, NULL, NULL), 0);
	_cleanup_free_ char *again = labels(svc);

	assert_non_null(strstr(again, "key-255 key-7 "));
}

static void row_deleted(void *ud, const struct error *err)
{
	assert_null(err);
	mark(ud);
}

static void a_key_that_cannot_be_saved_opens_nothing(void **state)
{
	struct world *w = *state;
	struct service *svc = running(w, "docs");

	bool deleted = false;

	/* Behind its back: it cannot be saved from now on. */
	store_service_delete(w->store, svc->row->id, row_deleted, &deleted);
	turn_until(w, deleted);
	buf_clear(&w->fake.log);
	assert_true(add_key(w, svc, "carol", NULL, NULL) < 0);
	_cleanup_free_ char *left = labels(svc);

	assert_string_equal(left, "default ");
}

/* --- who needs a key --- */

static void edit(struct world *w, struct service *svc, const char *option, bool value)
{
	json_t *changes = json_pack("{s:b}", option, value), *restart = NULL;

	assert_int_equal(finish(w, manager_edit(w->m, svc, changes, NULL, NULL, &restart, done, w,
						NULL)),
			 0);
	assert_int_equal(json_array_size(restart), 0);
	json_decref(restart);
	json_decref(changes);
}

static void public_and_private_again_while_it_runs(void **state)
{
	struct world *w = *state;
	struct service *svc = running(w, "docs");
	struct error err = ERROR_INIT;

	w->fake.script = visitors_have_circuits;
	announce(w, svc);
	_cleanup_free_ char *key = public_half(svc, "default");

	buf_clear(&w->fake.log);
	edit(w, svc, "public", true);
	run_until_said(w, "ADD_ONION");
	assert_null(strstr(w->fake.log.p, "ClientAuth"));
	assert_null(strstr(w->fake.log.p, "CLOSECIRCUIT")); /* who is here may stay */
	_cleanup_free_ char *none = labels(svc);

	assert_string_equal(none, "");
	assert_true(add_key(w, svc, "bob", NULL, &err) < 0);
	assert_non_null(strstr(error_text(&err), "edit docs --private"));
	assert_true(remove_key(w, svc, "default", &err) < 0);
	buf_clear(&w->fake.log);
	edit(w, svc, "public", false);
	run_until_said(w, "ADD_ONION");
	assert_true(strstr(w->fake.log.p, "CLOSECIRCUIT 7\n") < strstr(w->fake.log.p, "ADD_ONION"));
	assert_non_null(strstr(w->fake.log.p, key)); /* the key that people have */
	error_done(&err);
}

static void proof_of_work_and_streams_reach_tor(void **state)
{
	struct world *w = *state;
	struct service *svc = running(w, "docs");

	assert_non_null(strstr(w->fake.log.p, " MaxStreams=1032 "));
	announce(w, svc);
	buf_clear(&w->fake.log);
	edit(w, svc, "pow", true);
	run_until_said(w, "PoWDefensesEnabled=1");
	assert_null(strstr(w->fake.log.p, "CLOSECIRCUIT"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, begin, end)
		WITH_LOOP(an_address_is_made_when_tor_answers_at_last),
		WITH_LOOP(a_service_deleted_while_tor_makes_its_key_is_not_told_of_it),
		WITH_LOOP(a_daemon_ends_while_tor_makes_keys_for_stopped_services),
		WITH_LOOP(an_imported_key_has_the_address_that_tor_says),
		WITH_LOOP(two_services_never_have_one_identity),
		WITH_LOOP(an_import_ends_with_the_daemon_unless_it_is_whole),
		WITH_LOOP(a_new_key_is_published_and_cuts_nobody),
		WITH_LOOP(
			a_key_that_is_taken_back_closes_the_circuits_before_the_others_are_let_in),
		WITH_LOOP(keys_that_come_while_tor_publishes_are_published_together),
		WITH_LOOP(a_key_that_comes_right_after_a_sleep_is_not_taken_for_published),
		WITH_LOOP(a_key_that_tor_was_not_told_of_yet_is_there_after_a_loss),
		WITH_LOOP(many_keys_taken_back_are_shut_out_at_once_and_tor_is_spared),
		WITH_LOOP(a_key_taken_back_while_stopped_does_not_come_in_by_an_old_circuit),
		WITH_LOOP(an_earlier_daemons_visitors_come_in_by_the_keys_of_now_only),
		WITH_LOOP(what_cannot_be_a_key_is_refused_with_a_sentence),
		WITH_LOOP(a_key_that_its_owner_made_has_no_private_half_here),
		WITH_LOOP(so_many_keys_and_no_more_and_all_are_there_after_a_restart),
		WITH_LOOP(a_key_that_cannot_be_saved_opens_nothing),
		WITH_LOOP(public_and_private_again_while_it_runs),
		WITH_LOOP(proof_of_work_and_streams_reach_tor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
