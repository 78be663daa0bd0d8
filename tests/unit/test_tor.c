/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The Tor side against a control port that behaves as told, badly most of the time. */
#include "turn.h"

#include <errno.h>
#include <signal.h>

#include "fake_tor.h"
#include "tor/auth.h"
#include "tor/internal.h"

#define MANY     20u
#define SHORT_MS 200u

struct seen {
	struct onion *onion;
	char address[ONION_ADDRESS_LEN + 1];
	uint8_t key[ONION_KEY_SIZE];
	enum onion_state state;
	char *reason;
	unsigned told;
};

struct fixture {
	uv_loop_t loop;
	struct ev ev;
	char *dir, *control, *cookie;
	struct fake fake;
	struct tor *tor;
	struct tor_status status; /* as last told; strings not kept */
	bool stopped;
	unsigned command_ms; /* until tor's silence is a loss: long, unless a test waits for it */
	struct seen seen[MANY];
	int left_fd;
	unsigned removed, keys, key_errors, lefts;
	char *key_error;
	enum error_kind key_error_kind;
	/* for scripts */
	const char *at;  /* answer commands that begin so... */
	const char *say; /* ...with this */
	const char *big; /* or with this, which is long */
	size_t big_n;
	bool good_after, hang_up_after;
	unsigned times; /* so often */
};

/* --- turning the loop --- */

/* Where it stands, for who reads of a failure. */
static const char *situation(const struct fixture *f)
{
	static char text[4096];

	snprintf(text, sizeof(text), "problem: %s; said:\n%s",
		 f->tor ? tor_status(f->tor)->problem : "-", f->fake.log.len ? f->fake.log.p : "");
	return text;
}

#define RUN_UNTIL(f, cond) turn_until_or_tell(f, cond, situation(f))

static void on_changed(void *ud, const struct tor_status *status)
{
	((struct fixture *)ud)->status = *status;
}

static const struct tor_ops ops = {.changed = on_changed};

static void make(struct fixture *f, const struct tor_config *config)
{
	f->tor = tor_new(&f->ev, config, &ops, f);
	f->tor->times = (struct tor_times){
		.command = f->command_ms,
		.backoff_min = 10,
		.backoff_max = 40,
		.steady = 10000,
		.stall = 150,
		.stuck = 150,
		.collision = 100,
		.slow_retry = 100,
		.beat = 30000,
		.tick = 10,
		.sleep = 300000,
	};
}

static void begin(struct fixture *f)
{
	const struct tor_config config = {.mode = TOR_MODE_SYSTEM, .control = f->control};

	make(f, &config);
	tor_start(f->tor);
}

static enum tor_state state_of(const struct fixture *f)
{
	return tor_status(f->tor)->state;
}

static const char *problem_of(const struct fixture *f)
{
	const char *problem = tor_status(f->tor)->problem;

	return problem ? problem : "";
}

static void on_stopped(void *ud)
{
	((struct fixture *)ud)->stopped = true;
}

static void stop(struct fixture *f)
{
	f->stopped = false;
	tor_stop(f->tor, on_stopped, f);
	f->tor = NULL;
	RUN_UNTIL(f, f->stopped);
}

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);

	turn_begin(&f->loop, &f->ev, 1 << 20);
	f->command_ms = 5000;
	f->dir = unit_tmpdir();
	fake_init(&f->fake, &f->loop, f->dir);
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

	if (f->tor) {
		stop(f);
	}
	fake_close(&f->fake);
	turn_end(&f->loop, &f->ev);
	fake_done(&f->fake);
	for (unsigned i = 0; i < MANY; i++) {
		free(f->seen[i].reason);
	}
	free(f->control);
	free(f->cookie);
	free(f->key_error);
	unit_rmtree(f->dir);
	free(f);
	return 0;
}

/* --- onions and keys --- */

static void on_onion(void *ud, enum onion_state state, const char *reason)
{
	struct seen *s = ud;

	s->state = state;
	free(s->reason);
	s->reason = reason ? xstrdup(reason) : NULL;
	s->told++;
}

static void add_spec(struct fixture *f, unsigned i, unsigned n_clients, bool pow, uint64_t left)
{
	static const uint8_t clients[ONION_CLIENTS_MAX + 1][32];
	const struct onion_spec spec = {
		.address = f->seen[i].address,
		.key = f->seen[i].key,
		.target = "unix:/run/x/http.sock",
		.clients = clients,
		.n_clients = n_clients,
		.pow = pow,
		.left = left,
	};

	f->seen[i].onion = tor_onion_add(f->tor, &spec, on_onion, &f->seen[i]);
}

static void add_with(struct fixture *f, unsigned i, unsigned n_clients, bool pow)
{
	add_spec(f, i, n_clients, pow, 0);
}

static void add_left(struct fixture *f, unsigned i, unsigned n_clients, uint64_t left)
{
	add_spec(f, i, n_clients, false, left);
}

static void add(struct fixture *f, unsigned i)
{
	add_with(f, i, 0, false);
}

static unsigned in_state(const struct fixture *f, enum onion_state state)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MANY; i++) {
		n += f->seen[i].onion && f->seen[i].state == state;
	}
	return n;
}

static void on_removed(void *ud)
{
	((struct fixture *)ud)->removed++;
}

static void on_key(void *ud, const struct error *err, const char *address, const uint8_t *key)
{
	struct fixture *f = ud;
	char expected[ONION_ADDRESS_LEN + 1];

	if (err) {
		assert_null(address);
		assert_true(err->kind == ERROR_TOR_UNAVAILABLE || err->kind == ERROR_INVALID_VALUE);
		f->key_errors++;
		free(f->key_error);
		f->key_error = xstrdup(error_text(err));
		f->key_error_kind = err->kind;
		return;
	}
	fake_address(key, expected);
	assert_string_equal(address, expected);
	f->keys++;
}

static bool said(const struct fixture *f, const char *what)
{
	return f->fake.log.len && strstr(f->fake.log.p, what);
}

static void event_of(struct fixture *f, unsigned i, const char *action, int dir,
		     const char *blinded)
{
	char *text = xasprintf("650 HS_DESC %s %s UNKNOWN $%040X~r %s\r\n", action,
			       f->seen[i].address, dir, blinded);

	fake_event(&f->fake, text);
	free(text);
}

/* --- scripts --- */

/* f->at and what follows it, for so many times. */
static bool answer_so(struct fake_conn *c, const char *line, void *ud)
{
	struct fixture *f = ud;

	if (!fake_begins(line, f->at) || f->times == 0) {
		return false;
	}
	f->times--;
	if (f->big) {
		fake_say_bytes(c, f->big, f->big_n);
	} else {
		fake_say(c, f->say);
	}
	if (f->hang_up_after) {
		fake_hang_up(c);
	}
	return !f->good_after;
}

static void script(struct fixture *f, const char *at, const char *say)
{
	f->fake.script = answer_so;
	f->fake.script_ud = f;
	f->at = at;
	f->say = say;
	f->big = NULL;
	f->good_after = f->hang_up_after = false;
	f->times = 1;
}

/* --- getting in --- */

static void write_cookie(struct fixture *f, size_t n)
{
	char *path = xasprintf("%s/cookie", f->dir);
	FILE *file = fopen(path, "we");
	char zeros[64] = {0};

	crypto_random(f->fake.cookie, 32);
	memcpy(zeros, f->fake.cookie, 32);
	assert_non_null(file);
	assert_int_equal(fwrite(zeros, 1, n, file), n);
	fclose(file);
	free(path);
}

static void with_cookie(struct fixture *f, const char *methods)
{
	f->cookie = xasprintf("%s/cookie", f->dir);
	f->fake.methods = methods;
	f->fake.cookie_file = f->cookie;
}

static void safecookie_lets_us_in(void **state)
{
	struct fixture *f = *state;

	with_cookie(f, "COOKIE,SAFECOOKIE,HASHEDPASSWORD");
	write_cookie(f, 32);
	begin(f);
	RUN_UNTIL(f, state_of(f) == TOR_READY);
	assert_true(tor_status(f->tor)->reachable);
	assert_string_equal(tor_status(f->tor)->version, "0.4.9.11");
	assert_true(tor_status(f->tor)->peer_uid == geteuid());
}

static void the_cookie_is_read_anew_for_each_connection(void **state)
{
	struct fixture *f = *state;

	with_cookie(f, "SAFECOOKIE");
	write_cookie(f, 32);
	begin(f);
	RUN_UNTIL(f, state_of(f) == TOR_READY);
	write_cookie(f, 32); /* tor writes another at each start */
	fake_hang_up_all(&f->fake);
	RUN_UNTIL(f, state_of(f) != TOR_READY);
	RUN_UNTIL(f, state_of(f) == TOR_READY);
}

static void an_impostor_is_never_answered(void **state)
{
	struct fixture *f = *state;

	with_cookie(f, "NULL,COOKIE,SAFECOOKIE,HASHEDPASSWORD");
	write_cookie(f, 32);
	f->fake.wrong_hash = true;
	begin(f);
	RUN_UNTIL(f, f->fake.connects >= 3);
	assert_true(said(f, "AUTHCHALLENGE SAFECOOKIE "));
	assert_false(said(f, "AUTHENTICATE"));
	assert_non_null(strstr(problem_of(f), "does not know tor's cookie"));
}

static void plain_cookie_is_not_used(void **state)
{
	struct fixture *f = *state;

	with_cookie(f, "COOKIE");
	write_cookie(f, 32);
	begin(f);
	RUN_UNTIL(f, f->fake.connects >= 2);
	assert_false(said(f, "AUTHENTICATE"));
	assert_non_null(strstr(problem_of(f), "COOKIE"));
}

static void odd_cookie_files_are_refused_without_hanging(void **state)
{
	struct fixture *f = *state;
	char *target = xasprintf("%s/other", f->dir);

	with_cookie(f, "SAFECOOKIE");
	for (int kind = 0; kind < 6; kind++) {
		static const char *const words[] = {"has 31 bytes",       "has 33 bytes",
						    "Too many levels",    "not a regular file",
						    "not a regular file", "No such file"};

		unlink(f->cookie);
		rmdir(f->cookie);
		if (kind < 2) {
			write_cookie(f, kind == 0 ? 31 : 33);
		} else if (kind == 2) {
			unit_write(f->dir, "other", "0123456789abcdef0123456789abcdef");
			assert_int_equal(symlink(target, f->cookie), 0);
		} else if (kind == 3) {
			assert_int_equal(mkfifo(f->cookie, 0600), 0);
		} else if (kind == 4) {
			assert_int_equal(mkdir(f->cookie, 0700), 0);
		}
		begin(f);
		RUN_UNTIL(f, *problem_of(f));
		if (!strstr(problem_of(f), words[kind])) {
			fail_msg("%s", problem_of(f));
		}
		stop(f);
	}
	assert_false(said(f, "AUTHENTICATE"));
	free(target);
}

static void a_password_lets_us_in(void **state)
{
	struct fixture *f = *state;
	char *file = xasprintf("%s/password", f->dir);
	const struct tor_config config = {.mode = TOR_MODE_SYSTEM,
					  .control = f->control,
					  .password_file = file};

	unit_write(f->dir, "password", "p\"\\w\n");
	f->fake.methods = "HASHEDPASSWORD";
	f->fake.password_hex = "70225c77";
	make(f, &config);
	tor_start(f->tor);
	RUN_UNTIL(f, state_of(f) == TOR_READY);
	free(file);
}

static void a_missing_password_file_is_told(void **state)
{
	struct fixture *f = *state;

	f->fake.methods = "HASHEDPASSWORD";
	begin(f);
	RUN_UNTIL(f, *problem_of(f));
	assert_non_null(strstr(problem_of(f), "password-file"));
}

static void a_cookie_that_cannot_be_read_leaves_the_password(void **state)
{
	struct fixture *f = *state;
	char *file = xasprintf("%s/password", f->dir);
	const struct tor_config config = {.mode = TOR_MODE_SYSTEM,
					  .control = f->control,
					  .password_file = file};

	with_cookie(f, "SAFECOOKIE,HASHEDPASSWORD");
	unit_write(f->dir, "password", "abc");
	f->fake.password_hex = "616263";
	make(f, &config);
	tor_start(f->tor);
	RUN_UNTIL(f, state_of(f) == TOR_READY);
	free(file);
}

static void a_515_at_the_start_is_tried_again(void **state)
{
	struct fixture *f = *state;

	script(f, "AUTHENTICATE", "515 Authentication failed: not yet\r\n");
	f->times = 2;
	begin(f);
	RUN_UNTIL(f, state_of(f) == TOR_READY);
	assert_int_equal(f->fake.connects, 3);
	assert_string_equal(problem_of(f), "");
}

/* --- a port that the admin did not name --- */

struct login {
	struct fixture *f;
	struct ctl_conn *conn;
	bool done, lost;
	struct error err;
};

static void on_login(void *ud, const struct error *err)
{
	struct login *l = ud;

	l->done = true;
	if (err) {
		error_copy(&l->err, err);
	}
}

static void login_connected(void *ud)
{
	static const struct ctl_auth_policy policy = {.distrust = true};
	struct login *l = ud;

	ctl_auth_begin(&l->f->ev, l->conn, &policy, on_login, l);
}

static void login_event(void *ud, const struct ctl_reply *event)
{
	(void)ud;
	(void)event;
}

static void login_lost(void *ud, const struct error *why)
{
	(void)why;
	((struct login *)ud)->lost = true;
}

static void distrusting_login(struct fixture *f, struct login *l)
{
	static const struct ctl_ops conn_ops = {.connected = login_connected,
						.event = login_event,
						.lost = login_lost};
	struct ctl_addr addr;

	*l = (struct login){.f = f};
	assert_int_equal(ctl_addr_parse(f->control, &addr, NULL), 0);
	l->conn = ctl_open(&f->ev, &addr, 5000, &conn_ops, l);
	RUN_UNTIL(f, l->done);
	ctl_close(l->conn, NULL, NULL);
}

static void a_stranger_that_asks_for_nothing_is_not_trusted(void **state)
{
	struct fixture *f = *state;
	struct login l;

	distrusting_login(f, &l);
	assert_int_equal(l.err.code, EACCES);
	assert_false(said(f, "AUTHENTICATE"));
	error_done(&l.err);
}

static void a_stranger_with_a_cookie_of_ours_is_trusted(void **state)
{
	struct fixture *f = *state;
	struct login l;

	with_cookie(f, "SAFECOOKIE");
	write_cookie(f, 32);
	distrusting_login(f, &l);
	assert_int_equal(l.err.code, 0);
	if (geteuid() == 0) { /* only root can give a file away */
		assert_int_equal(chown(f->cookie, 12345, 12345), 0);
		distrusting_login(f, &l);
		assert_int_equal(l.err.code, EPERM);
		error_done(&l.err);
	}
}

static void auto_takes_the_tor_that_lets_us_in(void **state)
{
	struct fixture *f = *state;
	const struct tor_config config = {.mode = TOR_MODE_AUTO, .control = f->control};

	make(f, &config);
	assert_int_equal(tor_status(f->tor)->mode, TOR_MODE_AUTO);
	tor_start(f->tor);
	RUN_UNTIL(f, state_of(f) == TOR_READY);
	assert_int_equal(tor_status(f->tor)->mode, TOR_MODE_SYSTEM);
	fake_hang_up_all(&f->fake);
	RUN_UNTIL(f, state_of(f) != TOR_READY);
	RUN_UNTIL(f, state_of(f) == TOR_READY);
}

/* --- replies that make no sense --- */

static const struct {
	const char *say;
	bool good_after, hang_up_after;
} nonsense[] = {
	{"", false, false}, /* no reply at all */
	{"", false, true},
	{"\r\n", false, false},
	{"250OK\r\n", false, false},
	{"250\r\n", false, false},
	{"25\r\n", false, false},
	{"2", false, true},
	{"250-half\r\n", false, true},
	{"250-half\r\n", false, false},
	{"2x0 OK\r\n", false, false},
	{"250250 OK\r\n", false, false},
	{"999 OK\r\n", false, false},
	{"000 OK\r\n", false, false},
	{"\xff\xfe\xfd\r\n", false, false},
	{"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n", false, true},
	{"SSH-2.0-OpenSSH_9.2\r\n", false, false},
	{"250 OK\r\n250 OK\r\n250 OK\r\n", false, false},
	{"250 OK\r\n", true, false},
	{"250-a=b\r\n650 HS_DESC X\r\n250 OK\r\n", false, false},
	{"250-a=b\r\n551 no\r\n", false, false},
	{"650-HS_DESC\r\n250 OK\r\n", false, false},
	{"250+x=\r\nnever\r\nends\r\n", false, false},
	{"250+x=\r\n..\r\n...\r\n.\r\n250 OK\r\n", false, false},
	{"250 gr\303\274\303\237e \342\200\256\r\n", false, false},
	{"250 \xff\xfe\r\n", false, false},
	{"250-unknown\r\n250-more=unknown\r\n250 OK\r\n", false, false},
	{"250-version=\r\n250-status/bootstrap-phase=\r\n250 OK\r\n", false, false},
	{"250-ServiceID=\r\n250 OK\r\n", false, false},
	{"250-ServiceID=short\r\n250 OK\r\n", false, false},
	{"250-ServiceID=../../etc/passwd0000000000000000000000000000000000000000\r\n250 OK\r\n",
	 false, false},
	{"250-AUTH METHODS= COOKIEFILE=\"\\0\"\r\n250 OK\r\n", false, false},
	{"250-AUTH METHODS=SAFECOOKIE COOKIEFILE=\"relative\"\r\n250 OK\r\n", false, false},
	{"250 AUTHCHALLENGE SERVERHASH=00 SERVERNONCE=zz\r\n", false, false},
	{"451 Resource exhausted\r\n", false, false},
	{"510 Unrecognized command\r\n", false, false},
	{"512 Bad arguments\r\n", false, false},
	{"514 Authentication required.\r\n", false, true},
	{"515 Authentication failed\r\n", false, true},
	{"551 Internal\r\n", false, false},
	{"552 Unknown\r\n", false, false},
	{"250-version=1\n250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=1\n250 OK\n", false,
	 false},
	{"650 HS_DESC\r\n650 HS_DESC UPLOADED\r\n650 STATUS_CLIENT\r\n650 \r\n", true, false},
	{"650+HS_DESC_CONTENT a b c\r\nx\r\n.\r\n650 OK\r\n", true, false},
};

static const char *const steps[] = {"PROTOCOLINFO", "AUTHENTICATE", "SETEVENTS", "GETINFO",
				    "ADD_ONION"};

static void nonsense_at_any_step_is_overcome(void **state)
{
	struct fixture *f = *state;
	unsigned cases = 0;
	int fds = 0;

	f->command_ms = SHORT_MS;
	for (size_t s = 0; s < ARRAY_SIZE(steps); s++) {
		for (size_t i = 0; i < ARRAY_SIZE(nonsense); i++) {
			script(f, steps[s], nonsense[i].say);
			f->good_after = nonsense[i].good_after;
			f->hang_up_after = nonsense[i].hang_up_after;
			begin(f);
			add(f, 0);
			f->seen[0].state = ONION_WANTED;
			RUN_UNTIL(f, state_of(f) == TOR_READY &&
					     (f->seen[0].state == ONION_PUBLISHING ||
					      f->seen[0].state == ONION_FAILED));
			assert_int_equal(f->times, 0);
			stop(f);
			fake_hang_up_all(&f->fake);
			f->seen[0].onion = NULL;
			if (cases++ == 0) {
				fds = unit_open_fds();
			}
		}
	}
	assert_in_range(unit_open_fds(), 0, fds + 2);
	print_message("%u cases\n", cases);
}

static void long_replies_end_at_the_limit(void **state)
{
	struct fixture *f = *state;
	size_t n = 10 * 1024 * 1024;
	char *big = xmalloc(n);

	for (size_t s = 0; s < ARRAY_SIZE(steps); s++) {
		for (int kind = 0; kind < 3; kind++) {
			memset(big, 'a', n);
			memcpy(big, "250 ", 4);
			if (kind == 1) { /* a data block without an end */
				for (size_t i = 0; i < n; i += 64) {
					big[i] = '\n';
				}
				memcpy(big, "250+x=\r\n", 8);
			} else if (kind == 2) {
				for (size_t i = 0; i + 7 <= n; i += 7) {
					memcpy(big + i, "250-a\r\n", 7);
				}
			}
			script(f, steps[s], "");
			f->big = big;
			f->big_n = n;
			begin(f);
			add(f, 0);
			f->seen[0].state = ONION_WANTED;
			RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHING);
			assert_int_equal(f->times, 0);
			stop(f);
			fake_hang_up_all(&f->fake);
			f->seen[0].onion = NULL;
		}
	}
	free(big);
}

static void a_flood_of_events_is_lived_through(void **state)
{
	struct fixture *f = *state;
	struct buf flood = BUF_INIT;

	for (int i = 0; i < 100000; i++) {
		buf_printf(&flood, "650 HS_DESC UPLOAD %s UNKNOWN $%040X~r key%d\r\n",
			   f->seen[0].address, i, i);
	}
	begin(f);
	add(f, 0);
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHING);
	fake_event(&f->fake, flood.p);
	event_of(f, 0, "UPLOADED", 0, "");
	event_of(f, 0, "UPLOADED", 1, "");
	event_of(f, 0, "UPLOADED", 2, "");
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHED);
	assert_int_equal(f->fake.connects, 1);
	buf_done(&flood);
}

static void a_tor_that_does_not_answer_is_dropped_and_nothing_is_added_twice(void **state)
{
	struct fixture *f = *state;

	f->command_ms = SHORT_MS;
	begin(f);
	add(f, 0);
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHING);
	script(f, "ADD_ONION", "");
	add(f, 1);
	RUN_UNTIL(f, in_state(f, ONION_PUBLISHING) == 2 && f->fake.connects == 2);
	assert_int_equal(f->times, 0);
	assert_int_equal(f->fake.adds, 3); /* one, and both again */
}

static void a_tor_that_hangs_is_noticed_without_anything_to_do(void **state)
{
	struct fixture *f = *state;

	f->command_ms = SHORT_MS;
	begin(f);
	f->tor->times.beat = 50;
	RUN_UNTIL(f, state_of(f) == TOR_READY);
	script(f, "GETINFO status", "");
	RUN_UNTIL(f, state_of(f) == TOR_DOWN);
	assert_non_null(strstr(problem_of(f), "did not answer"));
	RUN_UNTIL(f, state_of(f) == TOR_READY);
	assert_string_equal(problem_of(f), "");
}

static void the_socks_port_is_known_while_tor_is(void **state)
{
	struct fixture *f = *state;

	script(f, "GETINFO version",
	       "250-version=0.4.9.11\r\n"
	       "250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=5 SUMMARY=\"x\"\r\n"
	       "250-net/listeners/socks=\"127.0.0.1:9050\" \"unix:/run/tor/socks\"\r\n"
	       "250 OK\r\n");
	begin(f);
	RUN_UNTIL(f, state_of(f) == TOR_READY);
	assert_string_equal(tor_status(f->tor)->socks, "unix:/run/tor/socks");
	fake_hang_up_all(&f->fake);
	RUN_UNTIL(f, state_of(f) == TOR_DOWN);
	assert_string_equal(tor_status(f->tor)->socks, "");
	f->tor->times.beat = 50;
	RUN_UNTIL(f, state_of(f) == TOR_READY); /* one that has none yet */
	assert_string_equal(tor_status(f->tor)->socks, "");
	script(f, "GETINFO status",
	       "250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=5 SUMMARY=\"x\"\r\n"
	       "250-net/listeners/socks=\"127.0.0.1:9050\"\r\n"
	       "250 OK\r\n");
	RUN_UNTIL(f, tor_status(f->tor)->socks[0]);
	assert_string_equal(tor_status(f->tor)->socks, "127.0.0.1:9050");
}

/* --- connecting --- */

static void nobody_at_the_socket_is_told_with_advice(void **state)
{
	struct fixture *f = *state;

	fake_close(&f->fake);
	begin(f);
	RUN_UNTIL(f, *problem_of(f));
	assert_non_null(strstr(problem_of(f), "no tor answers at "));
	assert_non_null(strstr(problem_of(f), "--tor managed"));
}

static void every_loss_brings_all_onions_back_and_leaks_nothing(void **state)
{
	struct fixture *f = *state;
	int fds = 0;

	begin(f);
	for (unsigned i = 0; i < MANY; i++) {
		add(f, i);
	}
	for (int round = 0; round < 50; round++) {
		RUN_UNTIL(f, in_state(f, ONION_PUBLISHING) == MANY);
		if (round == 0) {
			fds = unit_open_fds();
		}
		fake_hang_up_all(&f->fake);
		RUN_UNTIL(f, in_state(f, ONION_WANTED) == MANY);
		assert_non_null(strstr(f->seen[3].reason, "lost tor"));
	}
	RUN_UNTIL(f, in_state(f, ONION_PUBLISHING) == MANY);
	assert_in_range(unit_open_fds(), fds - 2, fds + 2);
	assert_int_equal(f->fake.connects, 51);
	/* timers count whole milliseconds of the loop's time */
	assert_true(f->fake.least_gap >= (f->tor->times.backoff_min - 2) * 1000000ull);
}

static void the_usual_waits_allow_two_connects_a_second(void **state)
{
	(void)state;
	assert_true(tor_default_times.backoff_min >= 500);
	assert_true(tor_default_times.backoff_max <= 4000);
	assert_int_equal(tor_default_times.command, 30000);
	assert_int_equal(tor_default_times.stall, 60000);
}

/* --- onions --- */

static void an_onion_is_published_and_stays_so_through_later_events(void **state)
{
	struct fixture *f = *state;

	begin(f);
	add_with(f, 0, 2, false);
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHING);
	assert_true(said(f, " Flags=V3Auth Port=80,unix:/run/x/http.sock ClientAuthV3=AAAA"));
	event_of(f, 0, "UPLOAD", 1, "one");
	event_of(f, 0, "UPLOADED", 1, "");
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHED);
	unsigned told = f->seen[0].told;

	event_of(f, 0, "UPLOAD", 2, "two");
	event_of(f, 0, "FAILED", 2, "REASON=UPLOAD_REJECTED");
	fake_event(&f->fake, "650 STATUS_CLIENT NOTICE CIRCUIT_NOT_ESTABLISHED REASON=X\r\n");
	turn_for(&f->loop, 400);
	assert_int_equal(f->seen[0].told, told);
	assert_int_equal(onion_state(f->seen[0].onion), ONION_PUBLISHED);
}

static void an_onion_that_is_not_uploaded_stalls_and_recovers(void **state)
{
	struct fixture *f = *state;

	begin(f);
	add(f, 0);
	RUN_UNTIL(f, f->seen[0].state == ONION_STALLED);
	assert_non_null(strstr(f->seen[0].reason, "has not published"));
	event_of(f, 0, "UPLOAD", 1, "one");
	event_of(f, 0, "UPLOADED", 1, "");
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHED);
	assert_null(f->seen[0].reason);
}

static void an_onion_that_tor_does_not_even_try_to_upload_is_added_anew(void **state)
{
	struct fixture *f = *state;

	begin(f);
	add(f, 0);
	add(f, 1);
	RUN_UNTIL(f, in_state(f, ONION_PUBLISHING) == 2);
	event_of(f, 1, "UPLOAD", 1, "one"); /* this one is on its way, however long that takes */
	RUN_UNTIL(f, in_state(f, ONION_STALLED) == 2);
	unsigned told = f->seen[0].told;

	RUN_UNTIL(f, f->fake.dels == 1 && f->fake.adds == 3);
	assert_non_null(strstr(strstr(f->fake.log.p, "DEL_ONION"), f->seen[0].address));
	assert_non_null(strstr(f->fake.onions.p, f->seen[0].address));
	/* Once more after the wait, and not before; nobody is told of it. */
	double begun = now();

	RUN_UNTIL(f, f->fake.dels == 2 && f->fake.adds == 4);
	assert_true(now() - begun > 0.1);
	RUN_UNTIL(f, f->fake.dels == 3);
	assert_true(now() - begun > 0.4); /* the waits grow */
	assert_int_equal(f->seen[0].told, told);
	RUN_UNTIL(f, f->fake.adds == 5);
	event_of(f, 0, "UPLOAD", 2, "two");
	event_of(f, 0, "UPLOADED", 2, "");
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHED);
	assert_null(f->seen[0].reason);
}

static void onions_that_wait_for_their_turn_are_not_added_anew(void **state)
{
	struct fixture *f = *state;
	const unsigned n = 10;

	begin(f);
	f->tor->times.stall = 1000;
	for (unsigned i = 0; i < n; i++) {
		add(f, i);
	}
	RUN_UNTIL(f, in_state(f, ONION_PUBLISHING) == n);
	/* One after the other gets there; the others have stalled by and by. */
	for (unsigned i = 0; i < n - 1; i++) {
		turn_for(&f->loop, 150);
		event_of(f, i, "UPLOAD", 1, "one");
		event_of(f, i, "UPLOADED", 1, "");
		RUN_UNTIL(f, f->seen[i].state == ONION_PUBLISHED);
	}
	assert_int_equal(f->seen[n - 1].state, ONION_STALLED);
	assert_int_equal(f->fake.dels, 0);
	RUN_UNTIL(f, f->fake.dels == 1); /* now nothing moves any more */
}

static void an_onion_that_is_to_wait_is_not_told_of_before(void **state)
{
	struct fixture *f = *state;
	struct onion_spec spec = {.address = f->seen[0].address,
				  .key = f->seen[0].key,
				  .target = "127.0.0.1:80",
				  .wait_ms = 600};

	begin(f);
	RUN_UNTIL(f, state_of(f) == TOR_READY);
	double begun = now();

	f->seen[0].onion = tor_onion_add(f->tor, &spec, on_onion, &f->seen[0]);
	add(f, 1);
	RUN_UNTIL(f, f->fake.adds == 1);
	assert_null(strstr(f->fake.onions.p, f->seen[0].address)); /* others do not wait for it */
	RUN_UNTIL(f, strstr(f->fake.onions.p, f->seen[0].address));
	assert_true(now() - begun > 0.3);
	RUN_UNTIL(f, onion_in_the_making(f->seen[0].onion));
	event_of(f, 0, "UPLOAD", 1, "one");
	event_of(f, 0, "UPLOADED", 1, "");
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHED);
	assert_false(onion_in_the_making(f->seen[0].onion));
}

#define JUMP(seconds) "650 STATUS_GENERAL WARN CLOCK_JUMPED TIME=" seconds " IDLE=0\r\n"

#define CONSENSUS "650 STATUS_CLIENT NOTICE CONSENSUS_ARRIVED\r\n"

static void published(struct fixture *f, unsigned i)
{
	add(f, i);
	RUN_UNTIL(f, f->seen[i].state == ONION_PUBLISHING);
	event_of(f, i, "UPLOAD", 1, "one");
	event_of(f, i, "UPLOADED", 1, "");
	RUN_UNTIL(f, f->seen[i].state == ONION_PUBLISHED);
}

/* Both of them, so many of which were taken down by now. */
static void all_published_again(struct fixture *f, unsigned dels)
{
	RUN_UNTIL(f, f->fake.dels == dels && f->fake.adds == dels + 2);
	RUN_UNTIL(f, in_state(f, ONION_PUBLISHING) == 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_non_null(strstr(f->fake.onions.p, f->seen[i].address));
		event_of(f, i, "UPLOAD", 1, "one");
		event_of(f, i, "UPLOADED", 1, "");
	}
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHED && f->seen[1].state == ONION_PUBLISHED);
}

static void after_a_jump_of_the_clock_all_onions_are_added_anew(void **state)
{
	struct fixture *f = *state;

	begin(f);
	published(f, 0);
	published(f, 1);
	/* Not for trifles, nor for a clock that is set back. */
	fake_event(&f->fake, JUMP("299") JUMP("-86400") JUMP("many") CONSENSUS);
	turn_for(&f->loop, 100);
	assert_int_equal(f->fake.dels, 0);
	fake_event(&f->fake, JUMP("300") JUMP("301"));
	all_published_again(f, 2);
	/* Once more with the consensus of now, and with no other; the second jump was the same. */
	fake_event(&f->fake, CONSENSUS);
	all_published_again(f, 4);
	fake_event(&f->fake, CONSENSUS);
	turn_for(&f->loop, f->tor->times.stall);
	assert_int_equal(f->fake.dels, 4);
	fake_event(&f->fake, JUMP("86400"));
	all_published_again(f, 6);
}

static bool has_consensus(struct fake_conn *c, const char *line, void *ud)
{
	const char *until = ud;

	if (strcmp(line, "GETINFO consensus/valid-until") != 0) {
		return false;
	}
	_cleanup_free_ char *text = xasprintf("250-consensus/valid-until=%s\r\n250 OK\r\n", until);

	fake_say(c, text);
	return true;
}

static void once_more_only_if_tor_has_slept_past_its_consensus(void **state)
{
	struct fixture *f = *state;
	char to_come[] = "9999-12-31 23:59:59", over[] = "2026-11-22 14:00:00";

	f->fake.script = has_consensus;
	f->fake.script_ud = to_come;
	begin(f);
	published(f, 0);
	published(f, 1);
	fake_event(&f->fake, JUMP("86400"));
	all_published_again(f, 2);
	fake_event(&f->fake, CONSENSUS);
	turn_for(&f->loop, 100);
	assert_int_equal(f->fake.dels, 2);
	f->tor->woke_at = 0;
	f->fake.script_ud = over;
	fake_event(&f->fake, JUMP("86400"));
	all_published_again(f, 4);
	fake_event(&f->fake, CONSENSUS);
	all_published_again(f, 6);
}

/* The loop stands still, as in a process that is stopped or on a machine that sleeps. */
static void after_a_sleep_all_onions_are_added_anew(void **state)
{
	struct fixture *f = *state;
	const struct timespec shorter = {.tv_nsec = 100000000}, longer = {.tv_sec = 2};

	begin(f);
	f->tor->times.sleep = 2000;
	f->tor->times.beat = 50;
	published(f, 0);
	nanosleep(&shorter, NULL);
	turn_for(&f->loop, 100);
	assert_int_equal(f->fake.dels, 0);
	nanosleep(&longer, NULL);
	RUN_UNTIL(f, f->fake.dels == 1 && f->fake.adds == 2);
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHING);
}

static void an_onion_does_not_stall_before_there_is_a_network(void **state)
{
	struct fixture *f = *state;

	f->fake.progress = 14;
	begin(f);
	add(f, 0);
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHING);
	RUN_UNTIL(f, *problem_of(f)); /* the bootstrap stands still */
	assert_non_null(strstr(problem_of(f), "14 %"));
	turn_for(&f->loop, 300);
	assert_int_equal(f->seen[0].state, ONION_PUBLISHING);
	assert_int_equal(f->fake.adds, 1);
	fake_event(&f->fake, "650 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=100 TAG=done "
			     "SUMMARY=\"Done\"\r\n");
	RUN_UNTIL(f, tor_status(f->tor)->reachable);
	assert_string_equal(problem_of(f), "");
	RUN_UNTIL(f, f->seen[0].state == ONION_STALLED);
}

static void an_address_that_is_taken_is_tried_until_it_is_free(void **state)
{
	struct fixture *f = *state;

	buf_printf(&f->fake.onions, "%s\n", f->seen[0].address);
	begin(f);
	add(f, 0);
	add(f, 1);
	RUN_UNTIL(f, f->seen[1].state == ONION_PUBLISHING);
	RUN_UNTIL(f, f->seen[0].reason);
	assert_int_equal(f->seen[0].state, ONION_WANTED);
	assert_non_null(strstr(f->seen[0].reason, "another program"));
	buf_clear(&f->fake.onions);
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHING);
	assert_null(f->seen[0].reason);
}

static void a_key_of_another_address_fails_and_its_onion_is_taken_down(void **state)
{
	struct fixture *f = *state;
	char *wanted;

	memcpy(f->seen[0].key, f->seen[5].key, ONION_KEY_SIZE);
	begin(f);
	add(f, 0);
	add(f, 1);
	RUN_UNTIL(f, f->seen[0].state == ONION_FAILED && f->seen[1].state == ONION_PUBLISHING);
	wanted = xasprintf("DEL_ONION %s\n", f->seen[5].address);
	assert_true(said(f, wanted));
	assert_int_equal(f->fake.dels, 1);
	free(wanted);
}

static void refusals_are_told_apart(void **state)
{
	static const struct {
		const char *say;
		enum onion_state state;
	} cases[] = {
		{"512 Bad arguments\r\n", ONION_FAILED},
		{"513 Invalid key type\r\n", ONION_FAILED},
		{"551 Failed to add\r\n", ONION_FAILED},
		{"451 Resource exhausted\r\n", ONION_WANTED},
	};
	struct fixture *f = *state;

	begin(f);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		script(f, "ADD_ONION", cases[i].say);
		add(f, i);
		RUN_UNTIL(f, f->seen[i].reason);
		assert_int_equal(f->seen[i].state, cases[i].state);
		add(f, 10 + i);
		RUN_UNTIL(f, f->seen[10 + i].state == ONION_PUBLISHING);
	}
	/* what was for now only comes by itself */
	RUN_UNTIL(f, f->seen[3].state == ONION_PUBLISHING);
}

static void what_tor_cannot_be_told_fails_without_asking(void **state)
{
	struct fixture *f = *state;
	struct onion_spec spec = {.address = f->seen[0].address,
				  .key = f->seen[0].key,
				  .target = "unix:/a b"};

	begin(f);
	RUN_UNTIL(f, state_of(f) == TOR_READY);
	f->seen[0].onion = tor_onion_add(f->tor, &spec, on_onion, &f->seen[0]);
	assert_int_equal(f->seen[0].told, 0); /* never from within */
	add_with(f, 1, ONION_CLIENTS_MAX + 1, false);
	spec.target = "127.0.0.1:80";
	spec.address = "UPPERCASE";
	f->seen[2].onion = tor_onion_add(f->tor, &spec, on_onion, &f->seen[2]);
	RUN_UNTIL(f, in_state(f, ONION_FAILED) == 3);
	assert_non_null(strstr(f->seen[1].reason, "257"));
	add_with(f, 3, ONION_CLIENTS_MAX, false);
	RUN_UNTIL(f, f->seen[3].state == ONION_PUBLISHING);
	assert_int_equal(f->fake.adds, 1);
	onion_remove(f->seen[0].onion, true, on_removed, f);
	RUN_UNTIL(f, f->removed == 1);
}

static void expect_version(struct fixture *f, const char *version, const char *problem,
			   const char *advice)
{
	char *say = xasprintf("250-version=%s\r\n250-status/bootstrap-phase=NOTICE BOOTSTRAP "
			      "PROGRESS=100 TAG=done SUMMARY=\"Done\"\r\n250 OK\r\n",
			      version);
	const struct tor_status *status;

	script(f, "GETINFO version", say);
	begin(f);
	RUN_UNTIL(f, state_of(f) == TOR_READY);
	status = tor_status(f->tor);
	assert_true(problem ? status->problem && strstr(status->problem, problem)
			    : !status->problem);
	assert_true(advice ? status->advice && strstr(status->advice, advice) : !status->advice);
	stop(f);
	assert_int_equal(f->times, 0);
	free(say);
}

static void old_versions_of_tor_are_told_of_with_advice(void **state)
{
	struct fixture *f = *state;

	expect_version(f, "0.4.5.16", "too old for onions with private keys", "0.4.9.11");
	expect_version(f, "0.3.9.9", "install 0.4.6", "0.4.9.11");
	expect_version(f, "0.4.8.12 (git-0123456789abcdef)", NULL, "tor 0.4.8.12 has known holes");
	expect_version(f, "0.4.9.10-dev", NULL, "upgrade");
	expect_version(f, "0.4.9.11", NULL, NULL);
	expect_version(f, "0.4.10.1-alpha", NULL, NULL);
	expect_version(f, "1.0", NULL, NULL);
	expect_version(f, "something else", NULL, NULL);
}

static void a_tor_without_proof_of_work_publishes_without_it(void **state)
{
	struct fixture *f = *state;

	script(f, "ADD_ONION ED25519-V3:",
	       "512 Bad arguments to ADD_ONION: Unrecognized keyword "
	       "argument \"PoWDefensesEnabled\"\r\n");
	begin(f);
	add_with(f, 0, 0, true);
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHING);
	assert_non_null(strstr(f->seen[0].reason, "proof-of-work"));
	event_of(f, 0, "UPLOAD", 1, "one");
	event_of(f, 0, "UPLOADED", 1, "");
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHED);
	assert_non_null(strstr(f->seen[0].reason, "proof-of-work"));
}

/* --- removing --- */

static bool circuits(struct fake_conn *c, const char *line, void *ud)
{
	struct fixture *f = ud;
	struct buf b = BUF_INIT;

	if (strcmp(line, "GETINFO circuit-status") != 0) {
		return false;
	}
	buf_printf(&b,
		   "250+circuit-status=\r\n"
		   "1 BUILT $AA~a,$BB~b PURPOSE=HS_SERVICE_REND HS_STATE=HSSR_JOINED REND_QUERY=%s "
		   "TIME_CREATED=x\r\n"
		   "2 BUILT $AA~a PURPOSE=HS_SERVICE_REND REND_QUERY=%s\r\n"
		   "3 BUILT $AA~a PURPOSE=HS_SERVICE_INTRO REND_QUERY=%s\r\n"
		   "4 LAUNCHED PURPOSE=GENERAL\r\n"
		   "55 EXTENDED $CC PURPOSE=HS_SERVICE_REND REND_QUERY=%s\r\n"
		   ".\r\n250 OK\r\n",
		   f->seen[0].address, f->seen[1].address, f->seen[0].address, f->seen[0].address);
	fake_say(c, b.p);
	buf_done(&b);
	return true;
}

static void a_cut_closes_the_circuits_before_the_onion_comes_back(void **state)
{
	struct fixture *f = *state;
	const char *del, *list, *one, *last, *again;
	char *text;

	f->fake.script = circuits;
	f->fake.script_ud = f;
	begin(f);
	add(f, 0);
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHING);
	buf_clear(&f->fake.log);
	onion_remove(f->seen[0].onion, true, on_removed, f);
	f->seen[0].state = ONION_WANTED;
	add(f, 0);
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHING);
	assert_int_equal(f->removed, 1);
	text = xasprintf("DEL_ONION %s\n", f->seen[0].address);
	del = strstr(f->fake.log.p, text);
	list = strstr(f->fake.log.p, "GETINFO circuit-status\n");
	one = strstr(f->fake.log.p, "CLOSECIRCUIT 1\n");
	last = strstr(f->fake.log.p, "CLOSECIRCUIT 55\n");
	again = strstr(f->fake.log.p, "ADD_ONION ");
	assert_true(del && list && one && last && again);
	assert_true(del < list && list < one && one < last && last < again);
	assert_false(said(f, "CLOSECIRCUIT 2\n"));
	assert_false(said(f, "CLOSECIRCUIT 3\n"));
	free(text);
}

static void a_cut_that_a_loss_interrupts_is_done_after_it(void **state)
{
	struct fixture *f = *state;

	f->fake.script = circuits;
	f->fake.script_ud = f;
	begin(f);
	add(f, 0);
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHING);
	fake_hang_up_all(&f->fake);
	RUN_UNTIL(f, f->seen[0].state == ONION_WANTED);
	buf_clear(&f->fake.log);
	onion_remove(f->seen[0].onion, true, on_removed, f);
	add(f, 0); /* with fewer keys, say */
	uv_run(&f->loop, UV_RUN_ONCE);
	RUN_UNTIL(f, f->removed == 1);
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHING);
	assert_true(said(f, "CLOSECIRCUIT 55\n"));
	assert_true(strstr(f->fake.log.p, "CLOSECIRCUIT 55\n") <
		    strstr(f->fake.log.p, "ADD_ONION "));
}

static void circuits_of_an_earlier_onion_are_closed_before_it_comes_again(void **state)
{
	struct fixture *f = *state;
	const char *list, *last, *again;

	f->fake.script = circuits;
	f->fake.script_ud = f;
	begin(f);
	add(f, 0);
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHING);
	onion_remove(f->seen[0].onion, false, on_removed, f);
	RUN_UNTIL(f, f->removed == 1);
	assert_false(said(f, "circuit-status"));
	buf_clear(&f->fake.log);
	f->seen[0].state = ONION_WANTED;
	tor_cut_circuits(f->tor, f->seen[0].address);
	tor_cut_circuits(f->tor, "no address"); /* of none there are none */
	add(f, 0);
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHING);
	list = strstr(f->fake.log.p, "GETINFO circuit-status\n");
	last = strstr(f->fake.log.p, "CLOSECIRCUIT 55\n");
	again = strstr(f->fake.log.p, "ADD_ONION ");
	assert_true(list && last && again && list < last && last < again);
	assert_true(list == strstr(f->fake.log.p, "GETINFO")); /* and nothing is deleted */
}

static void circuits_to_be_closed_wait_for_tor_once_an_address(void **state)
{
	struct fixture *f = *state;

	f->fake.script = circuits;
	f->fake.script_ud = f;
	begin(f);
	add(f, 0);
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHING);
	onion_remove(f->seen[0].onion, false, on_removed, f);
	RUN_UNTIL(f, f->removed == 1);
	fake_hang_up_all(&f->fake);
	RUN_UNTIL(f, state_of(f) != TOR_READY);
	buf_clear(&f->fake.log);
	for (int i = 0; i < 100; i++) {
		tor_cut_circuits(f->tor, f->seen[0].address);
	}
	RUN_UNTIL(f, said(f, "CLOSECIRCUIT 55\n"));
	add(f, 2);
	RUN_UNTIL(f, f->seen[2].state == ONION_PUBLISHING);
	assert_null(strstr(strstr(f->fake.log.p, "CLOSECIRCUIT 55\n") + 1, "CLOSECIRCUIT"));
}

static void one_list_of_circuits_serves_all_that_are_cut(void **state)
{
	struct fixture *f = *state;

	f->fake.script = circuits;
	f->fake.script_ud = f;
	begin(f);
	add(f, 0);
	add(f, 1);
	RUN_UNTIL(f, in_state(f, ONION_PUBLISHING) == 2);
	buf_clear(&f->fake.log);
	onion_remove(f->seen[0].onion, true, on_removed, f);
	onion_remove(f->seen[1].onion, true, on_removed, f);
	RUN_UNTIL(f, f->removed == 2);
	assert_true(said(f, "CLOSECIRCUIT 1\n") && said(f, "CLOSECIRCUIT 2\n"));
	assert_null(strstr(strstr(f->fake.log.p, "GETINFO") + 1, "GETINFO"));
	assert_true(strstr(strstr(f->fake.log.p, "DEL_ONION") + 1, "DEL_ONION") <
		    strstr(f->fake.log.p, "GETINFO"));
}

static void a_descriptor_that_grew_too_large_is_told_of(void **state)
{
	struct fixture *f = *state;

	begin(f);
	add_with(f, 0, 200, false);
	add(f, 1);
	/* Tor takes it, and that is all it ever says. */
	RUN_UNTIL(f, in_state(f, ONION_STALLED) == 2);
	assert_non_null(strstr(f->seen[0].reason, "200 private keys"));
	assert_null(strstr(f->seen[1].reason, "private keys"));
}

static void a_removal_behind_an_addition_in_flight_comes_after_it(void **state)
{
	struct fixture *f = *state;

	begin(f);
	RUN_UNTIL(f, state_of(f) == TOR_READY);
	add(f, 0);
	RUN_UNTIL(f, said(f, "ADD_ONION"));
	onion_remove(f->seen[0].onion, false, on_removed, f);
	RUN_UNTIL(f, f->removed == 1);
	assert_int_equal(f->fake.adds, 1);
	assert_int_equal(f->fake.dels, 1);
	assert_int_equal(f->fake.onions.len, 0);
	assert_int_equal(f->seen[0].told, 0);
}

/* --- keys --- */

static void keys_are_made_and_their_onions_taken_down(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 3; i++) {
		if (i == 0) {
			begin(f);
		}
		tor_make_key(f->tor, 10000, on_key, f);
	}
	assert_int_equal(f->keys, 0);
	RUN_UNTIL(f, f->keys == 3);
	assert_int_equal(f->fake.dels, 3);
	assert_int_equal(f->fake.onions.len, 0);
}

static void a_key_is_waited_for_so_long_and_no_longer(void **state)
{
	struct fixture *f = *state;

	fake_close(&f->fake);
	begin(f);
	tor_make_key(f->tor, 0, on_key, f);
	RUN_UNTIL(f, f->key_errors == 1);
	tor_make_key(f->tor, 2000, on_key, f);
	turn_for(&f->loop, 100);
	assert_int_equal(f->key_errors, 1);
	RUN_UNTIL(f, f->key_errors == 2);
	assert_non_null(strstr(f->key_error, "no tor answers"));
}

static void nonsense_for_a_key_is_tried_again(void **state)
{
	static const char *const replies[] = {
		"250 OK\r\n",
		"250-ServiceID=abc\r\n250-PrivateKey=ED25519-V3:AAAA\r\n250 OK\r\n",
		"250-PrivateKey=RSA1024:AAAA\r\n250 OK\r\n",
		"",
	};
	struct fixture *f = *state;

	f->command_ms = SHORT_MS;
	begin(f);
	for (unsigned i = 0; i < ARRAY_SIZE(replies); i++) {
		script(f, "ADD_ONION NEW", replies[i]);
		tor_make_key(f->tor, 10000, on_key, f);
		RUN_UNTIL(f, f->keys == i + 1);
		assert_int_equal(f->times, 0);
	}
}

static void a_refused_key_is_an_error(void **state)
{
	struct fixture *f = *state;

	begin(f);
	script(f, "ADD_ONION NEW", "551 No entropy\r\n");
	tor_make_key(f->tor, 10000, on_key, f);
	RUN_UNTIL(f, f->key_errors == 1);
	assert_non_null(strstr(f->key_error, "No entropy"));
}

static const uint8_t elsewhere[ONION_KEY_SIZE] = {1, 2, 3};

static void tor_tells_the_address_of_a_key_from_elsewhere(void **state)
{
	struct fixture *f = *state;

	begin(f);
	tor_find_address(f->tor, elsewhere, 10000, on_key, f);
	RUN_UNTIL(f, f->keys == 1);
	assert_true(said(f, "ADD_ONION ED25519-V3:AQIDAAAA"));
	assert_int_equal(f->fake.dels, 1);
	assert_int_equal(f->fake.onions.len, 0);
}

static void a_key_that_is_none_or_in_use_is_told_so(void **state)
{
	static const struct {
		const char *reply, *sentence;
		enum error_kind kind;
	} cases[] = {
		{"550 Onion address collision\r\n", "another program", ERROR_TOR_UNAVAILABLE},
		{"513 Failed to decode ED25519-V3 key\r\n", "does not take", ERROR_INVALID_VALUE},
		{"551 Failed to generate key\r\n", "cannot tell", ERROR_TOR_UNAVAILABLE},
	};
	struct fixture *f = *state;

	begin(f);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		script(f, "ADD_ONION ED25519", cases[i].reply);
		tor_find_address(f->tor, elsewhere, 10000, on_key, f);
		RUN_UNTIL(f, f->key_errors == i + 1);
		assert_non_null(strstr(f->key_error, cases[i].sentence));
		assert_int_equal(f->key_error_kind, cases[i].kind);
	}
	assert_int_equal(f->fake.dels, 0); /* what is another's stays */
}

static void a_cancelled_key_is_never_told(void **state)
{
	struct fixture *f = *state;
	struct tor_key_req *first, *second;

	begin(f);
	first = tor_make_key(f->tor, 10000, on_key, f);
	tor_key_cancel(first);
	RUN_UNTIL(f, state_of(f) == TOR_READY);
	assert_false(said(f, "ADD_ONION"));
	second = tor_make_key(f->tor, 10000, on_key, f);
	RUN_UNTIL(f, said(f, "ADD_ONION"));
	tor_key_cancel(second); /* its command is in flight */
	RUN_UNTIL(f, f->fake.dels == 1);
	tor_make_key(f->tor, 10000, on_key, f);
	RUN_UNTIL(f, f->keys == 1);
	assert_int_equal(f->key_errors, 0);
}

static void so_many_keys_wait_and_no_more(void **state)
{
	struct fixture *f = *state;

	fake_close(&f->fake);
	begin(f);
	for (unsigned i = 0; i < TOR_KEY_REQS_MAX; i++) {
		tor_make_key(f->tor, 10000, on_key, f);
	}
	turn_for(&f->loop, 50);
	assert_int_equal(f->key_errors, 0);
	tor_make_key(f->tor, 10000, on_key, f);
	RUN_UNTIL(f, f->key_errors == 1);
	assert_non_null(strstr(f->key_error, "too many"));
	stop(f);
	assert_int_equal(f->key_errors, TOR_KEY_REQS_MAX + 1);
}

/* --- from one daemon to the next --- */

static void on_left(void *ud, int fd)
{
	struct fixture *f = ud;

	f->left_fd = fd;
	f->lefts++;
}

/* Up to what onion 0 was, in *ret; its connection is in f->left_fd, and nobody has it. */
static void leave_one(struct fixture *f, uint64_t *ret)
{
	begin(f);
	add(f, 0);
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHING);
	assert_int_equal(onion_leave(f->seen[0].onion), 0); /* not published yet */
	event_of(f, 0, "UPLOAD", 1, "DESC=one");
	event_of(f, 0, "UPLOADED", 1, "");
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHED);
	*ret = onion_leave(f->seen[0].onion);
	assert_int_not_equal(*ret, 0);
	assert_true(tor_leave(f->tor, on_left, f));
	RUN_UNTIL(f, f->lefts == 1);
	assert_true(f->left_fd >= 0 && said(f, "\nSETEVENTS\n"));
	f->seen[0] = (struct seen){.reason = f->seen[0].reason};
	crypto_random(f->seen[0].key, ONION_KEY_SIZE);
	stop(f);
}

static void heir(struct fixture *f, unsigned heir_ms)
{
	const struct tor_config config = {.mode = TOR_MODE_SYSTEM, .control = f->control};

	make(f, &config);
	f->tor->times.heir = heir_ms;
	tor_inherit(f->tor, f->left_fd);
	tor_start(f->tor);
}

static void an_onion_that_is_left_stays_for_the_next_daemon(void **state)
{
	struct fixture *f = *state;
	struct seen before = f->seen[0];
	uint64_t left;

	leave_one(f, &left);
	heir(f, 60000);
	f->seen[0] = before;
	add_left(f, 0, 0, left);
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHED);
	assert_int_equal(f->fake.connects, 1);
	assert_int_equal(f->fake.adds, 1);
	/* From then on it is as any other: lost with the connection, and added again. */
	fake_hang_up_all(&f->fake);
	RUN_UNTIL(f, f->fake.adds == 2);
	assert_int_equal(f->fake.dels, 0);
}

static void an_onion_that_is_to_be_another_is_made_anew(void **state)
{
	struct fixture *f = *state;
	struct seen before = f->seen[0];
	uint64_t left;

	leave_one(f, &left);
	heir(f, 60000);
	f->seen[0] = before;
	add_left(f, 0, 1, left); /* with a key of somebody's now */
	RUN_UNTIL(f, f->fake.adds == 2);
	assert_int_equal(f->fake.dels, 1);
	/* Whoever came in without one is sent out before. */
	const char *circuits = strstr(f->fake.log.p, "GETINFO circuit-status");

	assert_non_null(circuits);
	assert_non_null(strstr(circuits, "ADD_ONION"));
}

static void onions_that_nobody_wants_any_more_go(void **state)
{
	struct fixture *f = *state;
	uint64_t left;

	buf_printf(&f->fake.onions, "%s\nnot-an-address\n", f->seen[1].address);
	leave_one(f, &left);
	heir(f, 50);
	RUN_UNTIL(f, f->fake.dels == 2);
	assert_int_equal(f->fake.connects, 1);
}

static void what_is_left_to_another_tor_is_not_used(void **state)
{
	struct fixture *f = *state;
	uint64_t left;
	int fds[2];

	leave_one(f, &left);
	close(f->left_fd);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	f->left_fd = fds[0];
	heir(f, 60000);
	RUN_UNTIL(f, state_of(f) == TOR_READY);
	assert_int_equal(f->fake.connects, 2);
	close(fds[1]);
}

static void a_tor_that_is_gone_by_then_is_connected_to_anew(void **state)
{
	struct fixture *f = *state;
	struct seen before = f->seen[0];
	uint64_t left;

	leave_one(f, &left);
	fake_hang_up_all(&f->fake);
	heir(f, 60000);
	f->seen[0] = before;
	add_left(f, 0, 0, left);
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHING);
	assert_int_equal(f->fake.connects, 2);
	assert_int_equal(f->fake.adds, 2);
}

static void a_loss_while_leaving_leaves_nothing(void **state)
{
	struct fixture *f = *state;

	begin(f);
	assert_false(tor_leave(f->tor, on_left, f)); /* there is no connection yet */
	RUN_UNTIL(f, state_of(f) == TOR_READY);
	script(f, "SETEVENTS", "");
	f->hang_up_after = true;
	assert_true(tor_leave(f->tor, on_left, f));
	RUN_UNTIL(f, f->lefts == 1);
	assert_int_equal(f->left_fd, -1);
}

/* --- stopping --- */

static void stopping_at_any_step_answers_everybody_once(void **state)
{
	struct fixture *f = *state;

	for (size_t s = 0; s < ARRAY_SIZE(steps); s++) {
		script(f, steps[s], "");
		buf_clear(&f->fake.log);
		f->key_errors = f->keys = f->removed = 0;
		begin(f);
		add(f, 0);
		add(f, 1);
		RUN_UNTIL(f, said(f, steps[s]));
		tor_make_key(f->tor, 10000, on_key, f);
		onion_remove(f->seen[0].onion, true, on_removed, f);
		stop(f);
		assert_int_equal(f->key_errors, 1);
		assert_int_equal(f->removed, 1);
		fake_hang_up_all(&f->fake);
	}
}

static void stopping_before_the_start_is_fine(void **state)
{
	struct fixture *f = *state;
	const struct tor_config config = {.mode = TOR_MODE_SYSTEM, .control = f->control};

	make(f, &config);
	add(f, 0);
	stop(f);
	assert_int_equal(f->fake.connects, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(safecookie_lets_us_in),
		T(the_cookie_is_read_anew_for_each_connection),
		T(an_impostor_is_never_answered),
		T(plain_cookie_is_not_used),
		T(odd_cookie_files_are_refused_without_hanging),
		T(a_password_lets_us_in),
		T(a_missing_password_file_is_told),
		T(a_cookie_that_cannot_be_read_leaves_the_password),
		T(a_515_at_the_start_is_tried_again),
		T(a_stranger_that_asks_for_nothing_is_not_trusted),
		T(a_stranger_with_a_cookie_of_ours_is_trusted),
		T(auto_takes_the_tor_that_lets_us_in),
		T(nonsense_at_any_step_is_overcome),
		T(long_replies_end_at_the_limit),
		T(a_flood_of_events_is_lived_through),
		T(a_tor_that_does_not_answer_is_dropped_and_nothing_is_added_twice),
		T(a_tor_that_hangs_is_noticed_without_anything_to_do),
		T(the_socks_port_is_known_while_tor_is),
		T(nobody_at_the_socket_is_told_with_advice),
		T(every_loss_brings_all_onions_back_and_leaks_nothing),
		T(the_usual_waits_allow_two_connects_a_second),
		T(an_onion_is_published_and_stays_so_through_later_events),
		T(an_onion_that_is_not_uploaded_stalls_and_recovers),
		T(an_onion_that_tor_does_not_even_try_to_upload_is_added_anew),
		T(onions_that_wait_for_their_turn_are_not_added_anew),
		T(an_onion_that_is_to_wait_is_not_told_of_before),
		T(after_a_jump_of_the_clock_all_onions_are_added_anew),
		T(once_more_only_if_tor_has_slept_past_its_consensus),
		T(after_a_sleep_all_onions_are_added_anew),
		T(an_onion_does_not_stall_before_there_is_a_network),
		T(an_address_that_is_taken_is_tried_until_it_is_free),
		T(a_key_of_another_address_fails_and_its_onion_is_taken_down),
		T(refusals_are_told_apart),
		T(what_tor_cannot_be_told_fails_without_asking),
		T(old_versions_of_tor_are_told_of_with_advice),
		T(a_tor_without_proof_of_work_publishes_without_it),
		T(a_cut_closes_the_circuits_before_the_onion_comes_back),
		T(a_cut_that_a_loss_interrupts_is_done_after_it),
		T(circuits_of_an_earlier_onion_are_closed_before_it_comes_again),
		T(circuits_to_be_closed_wait_for_tor_once_an_address),
		T(one_list_of_circuits_serves_all_that_are_cut),
		T(a_descriptor_that_grew_too_large_is_told_of),
		T(a_removal_behind_an_addition_in_flight_comes_after_it),
		T(keys_are_made_and_their_onions_taken_down),
		T(a_key_is_waited_for_so_long_and_no_longer),
		T(nonsense_for_a_key_is_tried_again),
		T(a_refused_key_is_an_error),
		T(tor_tells_the_address_of_a_key_from_elsewhere),
		T(a_key_that_is_none_or_in_use_is_told_so),
		T(a_cancelled_key_is_never_told),
		T(so_many_keys_wait_and_no_more),
		T(an_onion_that_is_left_stays_for_the_next_daemon),
		T(an_onion_that_is_to_be_another_is_made_anew),
		T(onions_that_nobody_wants_any_more_go),
		T(what_is_left_to_another_tor_is_not_used),
		T(a_tor_that_is_gone_by_then_is_connected_to_anew),
		T(a_loss_while_leaving_leaves_nothing),
		T(stopping_at_any_step_answers_everybody_once),
		T(stopping_before_the_start_is_fine),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
