/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Backends of an Onionbalance against a control port with a tor's list of directories, which
 * would die of what a tor has been seen to die of.
 */
#include "turn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/fsutil.h"
#include "fake_tor.h"
#include "tor/hsfiles.h"
#include "tor/internal.h"

#define MANY     5
#define FRONTEND "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid"
#define ANOTHER  "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad"

struct seen {
	struct onion *onion;
	char address[ONION_ADDRESS_LEN + 1];
	uint8_t key[ONION_KEY_SIZE];
	enum onion_state state;
	char *reason;
	unsigned published; /* so often */
};

struct fixture {
	uv_loop_t loop;
	struct ev ev;
	char *dir, *control, *onions;
	struct fake fake;
	struct tor *tor;
	struct buf list;            /* as GETCONF tells it: "Key=value", a line each */
	bool sandbox, refuse, idle; /* idle: it publishes nothing */
	unsigned asked, setconfs;
	size_t longest; /* line of SETCONF */
	bool dead;      /* of a directory without a good ob_config */
	struct seen seen[MANY];
	struct seen *many; /* HSFILES_MAX and one more, or NULL */
	char *memory;      /* a directory for them, or NULL */
	unsigned removed;
	bool stopped;
};

static const char *situation(const struct fixture *f)
{
	return f->fake.log.len ? f->fake.log.p : "nothing was said";
}

#define RUN_UNTIL(f, cond) turn_until_or_tell(f, cond, situation(f))

/* --- a tor with a list --- */

static bool has_config(struct fixture *f, const char *dir)
{
	_cleanup_free_ char *path = xasprintf("%s/ob_config", dir);
	_cleanup_free_ char *text = NULL;

	if (!strstr(dir, "/onions/")) {
		return true;
	}
	if (fs_read_file(path, 4096, &text) < 0) {
		return false;
	}
	f->dead |= !strstr(text, "MasterOnionAddress ") || !strstr(text, ".onion\n");
	return true;
}

/* ` Key="value"` pairs into the list, if all directories are there. */
static bool set_list(struct fixture *f, const char *p)
{
	struct buf list = BUF_INIT;
	bool good = true;

	while (*p == ' ') {
		const char *equals = strstr(p, "=\""),
			   *end = equals ? strchr(equals + 2, '"') : NULL;

		if (!end) {
			break; /* bare: the list is empty */
		}
		_cleanup_free_ char *value = xmemdup(equals + 2, (size_t)(end - equals - 2));

		buf_add_span(&list, span_of(p + 1, (size_t)(equals - p - 1)));
		buf_printf(&list, "=%s\n", value);
		if (strncmp(p, " HiddenServiceDir", 17) == 0) {
			good &= has_config(f, value);
		}
		p = end + 1;
	}
	if (!good) {
		buf_done(&list);
		return false;
	}
	buf_done(&f->list);
	f->list = list;
	return true;
}

static void tell_list(struct fake_conn *c, struct fixture *f)
{
	struct buf b = BUF_INIT;
	struct span rest = buf_span(&f->list);

	buf_printf(&b, "250-Sandbox=%d\r\n", f->sandbox);
	while (rest.n) {
		buf_add_str(&b, "250-");
		buf_add_span(&b, span_cut(&rest, '\n'));
		buf_add_str(&b, "\r\n");
	}
	buf_add_str(&b, f->list.len ? "250 OK\r\n" : "250 HiddenServiceOptions\r\n");
	fake_say(c, b.p);
	buf_done(&b);
}

static void upload(struct fixture *f, const char *address)
{
	struct buf b = BUF_INIT;

	buf_printf(&b,
		   "650 HS_DESC CREATED %s UNKNOWN UNKNOWN AAAA\r\n"
		   "650 HS_DESC UPLOAD %s UNKNOWN $%040d~r AAAA HSDIR_INDEX=00\r\n"
		   "650 HS_DESC UPLOADED %s UNKNOWN $%040d~r\r\n",
		   address, address, 7, address, 7);
	fake_event(&f->fake, b.p);
	buf_done(&b);
}

static bool is_listed(struct fixture *f, const char *address)
{
	return f->list.len && strstr(f->list.p, address);
}

static bool script(struct fake_conn *c, const char *line, void *ud)
{
	struct fixture *f = ud;
	bool before[MANY];

	if (strcmp(line, "GETCONF Sandbox") == 0) {
		fake_say(c, f->sandbox ? "250 Sandbox=1\r\n" : "250 Sandbox=0\r\n");
		return true;
	}
	if (fake_begins(line, "GETCONF")) {
		f->asked++;
		tell_list(c, f);
		return true;
	}
	if (!fake_begins(line, "SETCONF HiddenServiceDir") &&
	    !fake_begins(line, "SETCONF HiddenService")) {
		return false;
	}
	f->setconfs++;
	f->longest = strlen(line) > f->longest ? strlen(line) : f->longest;
	for (int i = 0; i < MANY; i++) {
		before[i] = is_listed(f, f->seen[i].address);
	}
	if (f->refuse || !set_list(f, line + strlen("SETCONF"))) {
		fake_say(c, "513 Unacceptable option value: no\r\n");
		return true;
	}
	fake_say(c, "250 OK\r\n");
	for (int i = 0; i < MANY; i++) {
		if (!f->idle && !before[i] && is_listed(f, f->seen[i].address)) {
			upload(f, f->seen[i].address);
		}
	}
	return true;
}

/* --- life --- */

static void on_changed(void *ud, const struct tor_status *status)
{
	(void)ud;
	(void)status;
}

static void begin(struct fixture *f)
{
	static const struct tor_ops ops = {.changed = on_changed};
	const struct tor_config config = {.mode = TOR_MODE_SYSTEM,
					  .control = f->control,
					  .onion_dir = f->onions};

	f->tor = tor_new(&f->ev, &config, &ops, f);
	f->tor->times.backoff_min = 10;
	f->tor->times.backoff_max = 40;
	f->tor->times.slow_retry = 100;
	f->tor->times.beat = 60;
	f->tor->times.tick = 10;
	tor_start(f->tor);
}

static void on_stopped(void *ud)
{
	((struct fixture *)ud)->stopped = true;
}

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);

	turn_begin(&f->loop, &f->ev, 1 << 20);
	f->dir = unit_tmpdir();
	f->onions = xasprintf("%s/onions", f->dir);
	fake_init(&f->fake, &f->loop, f->dir);
	f->fake.script = script;
	f->fake.script_ud = f;
	f->control = xasprintf("unix:%s", f->fake.path);
	for (unsigned i = 0; i < MANY; i++) {
		crypto_random(f->seen[i].key, ONION_KEY_SIZE);
		fake_address(f->seen[i].key, f->seen[i].address);
	}
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	tor_stop(f->tor, on_stopped, f);
	RUN_UNTIL(f, f->stopped);
	fake_close(&f->fake);
	turn_end(&f->loop, &f->ev);
	fake_done(&f->fake);
	assert_false(f->dead);
	for (unsigned i = 0; i < MANY; i++) {
		free(f->seen[i].reason);
	}
	for (unsigned i = 0; f->many && i <= HSFILES_MAX; i++) {
		free(f->many[i].reason);
	}
	free(f->many);
	if (f->memory) {
		unit_rmtree(f->memory);
	}
	buf_done(&f->list);
	free(f->control);
	free(f->onions);
	unit_rmtree(f->dir);
	free(f);
	return 0;
}

static void on_onion(void *ud, enum onion_state state, const char *reason)
{
	struct seen *s = ud;

	s->published += state == ONION_PUBLISHED;
	s->state = state;
	free(s->reason);
	s->reason = reason ? xstrdup(reason) : NULL;
}

static void add(struct fixture *f, unsigned i, const char *frontend)
{
	struct onion_spec spec = {.address = f->seen[i].address,
				  .key = f->seen[i].key,
				  .target = "unix:/run/x/1.sock",
				  .frontend = frontend};

	f->seen[i].state = ONION_WANTED;
	f->seen[i].onion = tor_onion_add(f->tor, &spec, on_onion, &f->seen[i]);
}

static void on_removed(void *ud)
{
	((struct fixture *)ud)->removed++;
}

static void drop(struct fixture *f, unsigned i)
{
	onion_remove(f->seen[i].onion, true, on_removed, f);
}

static char *path_of(const struct fixture *f, unsigned i, const char *file)
{
	return xasprintf("%s/%s/%s", f->onions, f->seen[i].address, file);
}

static bool holds(const struct fixture *f, unsigned i, const char *file, const char *text)
{
	_cleanup_free_ char *path = path_of(f, i, file);
	char *found = NULL;
	bool same = fs_read_file(path, 4096, &found) > 0 && strcmp(found, text) == 0;

	free(found);
	return same;
}

static bool is_published(const struct fixture *f, unsigned i)
{
	return f->seen[i].state == ONION_PUBLISHED;
}

/* --- tests --- */

static void a_backend_is_a_directory_with_key_and_frontend(void **state)
{
	struct fixture *f = *state;
	char expected[96] = "== ed25519v1-secret: type0 ==", *key = NULL;
	struct stat st;

	begin(f);
	add(f, 0, FRONTEND);
	RUN_UNTIL(f, is_published(f, 0));
	_cleanup_free_ char *path = path_of(f, 0, "hs_ed25519_secret_key");

	memcpy(expected + 32, f->seen[0].key, ONION_KEY_SIZE);
	assert_int_equal(fs_read_file(path, 200, &key), 96);
	assert_memory_equal(key, expected, 96);
	free(key);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	*strrchr(path, '/') = '\0';
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_true(holds(f, 0, "ob_config", "MasterOnionAddress " FRONTEND ".onion\n"));
	assert_non_null(strstr(f->list.p, "HiddenServicePort=80 unix:/run/x/1.sock\n"
					  "HiddenServiceOnionBalanceInstance=1\n"));
	assert_int_equal(f->fake.adds, 0);
	drop(f, 0);
	RUN_UNTIL(f, f->removed == 1);
	assert_int_equal(f->list.len, 0);
	assert_int_equal(stat(path, &st), -1);
}

static void the_list_is_sent_whole_and_others_stay_in_it(void **state)
{
	struct fixture *f = *state;

	buf_add_str(&f->list, "HiddenServiceDir=/var/lib/tor/mine\nHiddenServicePort=22\n");
	begin(f);
	for (unsigned i = 0; i < MANY; i++) {
		add(f, i, i % 2 ? FRONTEND : NULL);
	}
	RUN_UNTIL(f, is_published(f, 1) && is_published(f, 3));
	RUN_UNTIL(f, f->fake.adds == 3);
	assert_non_null(strstr(f->list.p, "HiddenServiceDir=/var/lib/tor/mine\n"));
	drop(f, 1);
	RUN_UNTIL(f, f->removed == 1);
	assert_true(is_listed(f, f->seen[3].address));
	assert_false(is_listed(f, f->seen[1].address));
	drop(f, 3);
	drop(f, 0);
	RUN_UNTIL(f, f->removed == 3);
	assert_string_equal(f->list.p,
			    "HiddenServiceDir=/var/lib/tor/mine\nHiddenServicePort=22\n");
	assert_int_equal(f->seen[3].published, 1); /* nobody noticed */
}

static void a_reload_of_tor_publishes_again(void **state)
{
	struct fixture *f = *state;

	begin(f);
	add(f, 0, FRONTEND);
	add(f, 1, FRONTEND);
	RUN_UNTIL(f, is_published(f, 0) && is_published(f, 1));
	buf_clear(&f->list);
	fake_event(&f->fake, "650 SIGNAL RELOAD\r\n");
	RUN_UNTIL(f, f->seen[0].published == 2 && f->seen[1].published == 2);
	assert_true(is_listed(f, f->seen[0].address));
}

/* Tor has nothing of the time period that it slept into: see wake.c. */
static void after_a_sleep_backends_are_taken_out_and_put_in_again(void **state)
{
	struct fixture *f = *state;

	buf_add_str(&f->list, "HiddenServiceDir=/var/lib/tor/mine\nHiddenServicePort=22\n");
	begin(f);
	add(f, 0, FRONTEND);
	RUN_UNTIL(f, is_published(f, 0));
	add(f, 1, FRONTEND);
	RUN_UNTIL(f, is_published(f, 1));
	unsigned before = f->setconfs;

	fake_event(&f->fake, "650 STATUS_GENERAL WARN CLOCK_JUMPED TIME=90000 IDLE=0\r\n");
	RUN_UNTIL(f, f->seen[0].published == 2 && f->seen[1].published == 2);
	assert_int_equal(f->setconfs, before + 2);
	assert_true(holds(f, 1, "ob_config", "MasterOnionAddress " FRONTEND ".onion\n"));
	fake_event(&f->fake, "650 STATUS_CLIENT NOTICE CONSENSUS_ARRIVED\r\n");
	RUN_UNTIL(f, f->seen[0].published == 3 && f->seen[1].published == 3);
	assert_int_equal(f->setconfs, before + 4);
	assert_true(is_listed(f, "/var/lib/tor/mine\nHiddenServicePort=22\n"));
	assert_int_equal(f->removed, 0);
}

/* Its introduction circuits may be used up: see begin_again in onion.c. */
static void one_that_tor_does_not_publish_is_put_in_anew(void **state)
{
	struct fixture *f = *state;

	begin(f);
	f->tor->times.stall = 200;
	add(f, 0, FRONTEND);
	RUN_UNTIL(f, is_published(f, 0));
	f->idle = true;
	add(f, 1, FRONTEND);
	RUN_UNTIL(f, f->seen[1].state == ONION_STALLED);
	f->idle = false;
	RUN_UNTIL(f, is_published(f, 1));
	assert_int_equal(f->seen[0].published, 1);
}

static void what_a_lost_connection_left_is_cleared_first(void **state)
{
	struct fixture *f = *state;

	begin(f);
	add(f, 0, FRONTEND);
	RUN_UNTIL(f, is_published(f, 0));
	fake_hang_up_all(&f->fake);
	RUN_UNTIL(f, f->seen[0].published == 2);
	assert_int_equal(f->setconfs, 3); /* set; cleared, and set */
}

static void an_earlier_daemons_directories_are_swept(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *dir = xasprintf("%s/%s", f->onions, f->seen[4].address);
	_cleanup_free_ char *other = xasprintf("%s/keep", f->onions);

	assert_int_equal(mkdir(f->onions, 0700), 0);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(mkdir(other, 0700), 0);
	buf_printf(&f->list, "HiddenServiceDir=%s\nHiddenServicePort=80 unix:/old\n", dir);
	begin(f);
	RUN_UNTIL(f, f->setconfs == 1 && access(dir, F_OK) < 0);
	assert_int_equal(f->list.len, 0);
	assert_int_equal(access(other, F_OK), 0); /* not a name of ours */
}

static void a_damaged_file_is_made_good_and_read_again(void **state)
{
	struct fixture *f = *state;

	begin(f);
	add(f, 0, FRONTEND);
	RUN_UNTIL(f, is_published(f, 0));
	_cleanup_free_ char *path = path_of(f, 0, "ob_config");
	unsigned before = f->setconfs;

	assert_int_equal(unlink(path), 0);
	RUN_UNTIL(f, f->setconfs > before);
	assert_true(holds(f, 0, "ob_config", "MasterOnionAddress " FRONTEND ".onion\n"));
	before = f->setconfs;
	assert_int_equal(fs_write_file(path, SPAN("MasterOnionAddress\n"), 0600, NULL), 0);
	RUN_UNTIL(f, f->setconfs > before);
	assert_true(holds(f, 0, "ob_config", "MasterOnionAddress " FRONTEND ".onion\n"));
	assert_int_equal(f->seen[0].published, 1);
}

static void another_frontend_and_none_are_new_onions(void **state)
{
	struct fixture *f = *state;

	begin(f);
	add(f, 0, FRONTEND);
	RUN_UNTIL(f, is_published(f, 0));
	drop(f, 0);
	add(f, 0, ANOTHER);
	RUN_UNTIL(f, f->removed == 1 && is_published(f, 0));
	assert_true(holds(f, 0, "ob_config", "MasterOnionAddress " ANOTHER ".onion\n"));
	assert_int_equal(f->seen[0].published, 2);
	drop(f, 0);
	add(f, 0, NULL);
	RUN_UNTIL(f, f->removed == 2 && f->fake.adds == 1);
	assert_false(is_listed(f, f->seen[0].address));
	drop(f, 0);
	add(f, 0, FRONTEND);
	RUN_UNTIL(f, f->removed == 3 && is_listed(f, f->seen[0].address));
	assert_int_equal(f->fake.dels, 1);
}

static void a_tor_that_refuses_is_asked_again_and_holds_up_nobody(void **state)
{
	struct fixture *f = *state;

	f->refuse = true;
	begin(f);
	add(f, 0, FRONTEND);
	add(f, 1, FRONTEND);
	RUN_UNTIL(f, f->seen[0].reason && f->setconfs >= 2);
	assert_int_equal(f->seen[0].state, ONION_WANTED);
	assert_non_null(strstr(f->seen[0].reason, "does not take the directories"));
	drop(f, 1);
	RUN_UNTIL(f, f->removed == 1);
	f->refuse = false;
	RUN_UNTIL(f, is_published(f, 0));
	assert_false(is_listed(f, f->seen[1].address));
}

static void a_directory_that_cannot_be_made_is_told_and_tried_again(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fs_write_file(f->onions, SPAN("in the way"), 0600, NULL), 0);
	begin(f);
	add(f, 0, FRONTEND);
	RUN_UNTIL(f, f->seen[0].reason);
	assert_non_null(strstr(f->seen[0].reason, "no directory of ours"));
	assert_int_equal(f->list.len, 0);
	assert_int_equal(unlink(f->onions), 0);
	RUN_UNTIL(f, is_published(f, 0));
}

/* Their root, or the one who writes for tor's user, is away for a while. */
static void while_none_can_be_looked_at_tor_keeps_them(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *aside = xasprintf("%s/aside", f->dir);

	begin(f);
	add(f, 0, FRONTEND);
	add(f, 1, FRONTEND);
	RUN_UNTIL(f, is_published(f, 0) && is_published(f, 1));
	RUN_UNTIL(f, f->tor->hsdirs.step == HSDIRS_SETTLED);
	assert_int_equal(rename(f->onions, aside), 0);
	assert_int_equal(fs_write_file(f->onions, SPAN("in the way"), 0600, NULL), 0);
	unsigned before = f->setconfs, asked = f->asked;

	RUN_UNTIL(f, f->asked == asked + 3);
	assert_int_equal(f->setconfs, before);
	assert_true(is_published(f, 0) && is_published(f, 1));
	/* Nobody waits for it: who is stopped goes, and when they are back he is out of the list.
	 */
	drop(f, 1);
	RUN_UNTIL(f, f->removed == 1);
	assert_int_equal(unlink(f->onions), 0);
	assert_int_equal(rename(aside, f->onions), 0);
	RUN_UNTIL(f, !is_listed(f, f->seen[1].address));
	assert_true(is_listed(f, f->seen[0].address));
	assert_int_equal(f->seen[0].published, 1);
}

static void one_that_cannot_be_made_good_is_down_and_told(void **state)
{
	struct fixture *f = *state;

	begin(f);
	add(f, 0, FRONTEND);
	add(f, 1, FRONTEND);
	RUN_UNTIL(f, is_published(f, 0) && is_published(f, 1));
	_cleanup_free_ char *dir = xasprintf("%s/%s", f->onions, f->seen[0].address);

	unit_rmtree(xstrdup(dir));
	assert_int_equal(fs_write_file(dir, SPAN("in the way"), 0600, NULL), 0);
	RUN_UNTIL(f, f->seen[0].state == ONION_WANTED && f->seen[0].reason);
	assert_non_null(strstr(f->seen[0].reason, "no directory of ours"));
	assert_false(is_listed(f, f->seen[0].address));
	assert_int_equal(f->seen[1].published, 1);
	assert_true(is_listed(f, f->seen[1].address));
	assert_int_equal(unlink(dir), 0);
	RUN_UNTIL(f, is_published(f, 0));
	assert_true(is_listed(f, f->seen[0].address));
}

static void a_link_in_the_place_of_a_directory_is_not_followed(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *link = xasprintf("%s/%s", f->onions, f->seen[0].address);
	_cleanup_free_ char *target = xasprintf("%s/elsewhere", f->dir);
	_cleanup_free_ char *file = xasprintf("%s/ob_config", target);

	assert_int_equal(mkdir(f->onions, 0700), 0);
	assert_int_equal(mkdir(target, 0700), 0);
	assert_int_equal(symlink(target, link), 0);
	begin(f);
	add(f, 0, FRONTEND);
	RUN_UNTIL(f, f->seen[0].reason);
	assert_int_equal(access(file, F_OK), -1);
	assert_int_equal(f->list.len, 0);
}

static void a_tor_with_a_sandbox_is_refused_with_the_way_out(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;

	f->sandbox = true;
	begin(f);
	assert_int_equal(tor_check_backends(f->tor, &err), 0); /* not known yet */
	add(f, 0, FRONTEND);
	add(f, 1, NULL);
	RUN_UNTIL(f, f->seen[0].state == ONION_FAILED && f->fake.adds == 1);
	assert_non_null(strstr(f->seen[0].reason, "'Sandbox 0'"));
	assert_int_equal(tor_check_backends(f->tor, &err), -ENOTSUP);
	assert_string_equal(error_text(&err), f->seen[0].reason);
	assert_int_equal(f->setconfs, 0);
	assert_int_equal(access(f->onions, F_OK), -1);
	drop(f, 0);
	RUN_UNTIL(f, f->removed == 1);
	error_done(&err);
}

static void another_users_tor_is_refused_with_the_way_out(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;

	begin(f);
	RUN_UNTIL(f, tor_status(f->tor)->state == TOR_READY);
	f->tor->status.peer_uid = geteuid() + 1;
	assert_int_equal(tor_check_backends(f->tor, &err), -ENOTSUP);
	assert_non_null(strstr(error_text(&err), "--tor managed"));
	add(f, 0, FRONTEND);
	RUN_UNTIL(f, f->seen[0].state == ONION_FAILED);
	assert_int_equal(f->setconfs, 0);
	error_done(&err);
}

static void what_cannot_be_a_backend_is_refused_without_asking_tor(void **state)
{
	static const uint8_t client[1][32];
	struct fixture *f = *state;
	struct onion_spec spec = {.address = f->seen[0].address,
				  .key = f->seen[0].key,
				  .target = "127.0.0.1:1",
				  .frontend = FRONTEND,
				  .pow = true};

	begin(f);
	tor_onion_add(f->tor, &spec, on_onion, &f->seen[0]);
	spec.pow = false;
	spec.clients = client;
	spec.n_clients = 1;
	tor_onion_add(f->tor, &spec, on_onion, &f->seen[1]);
	spec.n_clients = 0;
	spec.frontend = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaam2dq";
	tor_onion_add(f->tor, &spec, on_onion, &f->seen[2]);
	for (int i = 0; i < 3; i++) {
		RUN_UNTIL(f, f->seen[i].state == ONION_FAILED);
	}
	assert_int_equal(f->setconfs, 0);
}

/* In memory: each file is synced, and that takes a disk too long for so many. */
static void as_many_as_there_may_be_and_no_more(void **state)
{
	struct fixture *f = *state;
	struct seen *all = f->many = xcalloc(HSFILES_MAX + 1, sizeof(*all));
	struct onion_spec spec = {.target = "unix:/run/x/1.sock", .frontend = FRONTEND};
	unsigned lines = 0;

	f->memory = access("/dev/shm", W_OK) == 0 ? xstrdup("/dev/shm/onionshared-unit-XXXXXX")
						  : xstrdup("/tmp/onionshared-unit-XXXXXX");
	assert_non_null(mkdtemp(f->memory));
	free(f->onions);
	f->onions = xasprintf("%s/onions", f->memory);
	begin(f);
	f->tor->times.beat = 60000;
	for (unsigned i = 0; i <= HSFILES_MAX; i++) {
		crypto_random(all[i].key, ONION_KEY_SIZE);
		fake_address(all[i].key, all[i].address);
		spec.address = all[i].address;
		spec.key = all[i].key;
		all[i].onion = tor_onion_add(f->tor, &spec, on_onion, &all[i]);
	}
	RUN_UNTIL(f, f->setconfs > 0 && all[HSFILES_MAX].state == ONION_FAILED);
	assert_non_null(strstr(all[HSFILES_MAX].reason, "1000 backends already"));
	assert_in_range(f->longest, 1, CTL_REPLY_MAX / 2);
	for (const char *p = f->list.p; (p = strstr(p, "HiddenServiceDir=")); p++) {
		lines++;
	}
	assert_int_equal(lines, HSFILES_MAX);
	RUN_UNTIL(f, all[0].state == ONION_PUBLISHING);
	/* One goes, and there is room for another. */
	onion_remove(all[0].onion, false, on_removed, f);
	RUN_UNTIL(f, f->removed == 1);
	onion_remove(all[HSFILES_MAX].onion, false, on_removed, f);
	spec.address = all[0].address;
	spec.key = all[0].key;
	all[0].state = ONION_WANTED;
	all[0].onion = tor_onion_add(f->tor, &spec, on_onion, &all[0]);
	RUN_UNTIL(f, all[0].state == ONION_PUBLISHING);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_backend_is_a_directory_with_key_and_frontend),
		T(the_list_is_sent_whole_and_others_stay_in_it),
		T(a_reload_of_tor_publishes_again),
		T(after_a_sleep_backends_are_taken_out_and_put_in_again),
		T(one_that_tor_does_not_publish_is_put_in_anew),
		T(what_a_lost_connection_left_is_cleared_first),
		T(an_earlier_daemons_directories_are_swept),
		T(a_damaged_file_is_made_good_and_read_again),
		T(another_frontend_and_none_are_new_onions),
		T(a_tor_that_refuses_is_asked_again_and_holds_up_nobody),
		T(a_directory_that_cannot_be_made_is_told_and_tried_again),
		T(while_none_can_be_looked_at_tor_keeps_them),
		T(one_that_cannot_be_made_good_is_down_and_told),
		T(a_link_in_the_place_of_a_directory_is_not_followed),
		T(a_tor_with_a_sandbox_is_refused_with_the_way_out),
		T(another_users_tor_is_refused_with_the_way_out),
		T(what_cannot_be_a_backend_is_refused_without_asking_tor),
		T(as_many_as_there_may_be_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
