/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A real tor, run by us, with its network switched off: what it promises needs none. */
#include "turn.h"

#include <signal.h>
#include <sys/wait.h>

#include "proto/base/crypto.h"
#include "tor/internal.h"
#include "tor/launch.h"

#define ONIONS 20u

struct onion_seen {
	struct onion *onion;
	char address[ONION_ADDRESS_LEN + 1];
	uint8_t key[ONION_KEY_SIZE];
	enum onion_state state;
	unsigned changes;
};

struct fixture {
	uv_loop_t loop;
	struct ev ev;
	char *dir, *data, *run;
	struct tor *tor;
	bool stopped;
	unsigned keys, key_errors, removed;
	char *key_error;
	struct onion_seen seen[200];
};

static void on_changed(void *ud, const struct tor_status *status)
{
	(void)ud;
	(void)status;
}

static const char *situation(const struct fixture *f)
{
	const char *problem = f->tor ? tor_status(f->tor)->problem : "there is no tor";

	return problem ? problem : "no problem is known";
}

#define RUN_UNTIL(f, cond) turn_until_or_tell(f, cond, situation(f))

static const struct tor_ops ops = {.changed = on_changed};

static void start(struct fixture *f, const char *binary)
{
	const struct tor_config config = {
		.mode = TOR_MODE_MANAGED,
		.data_dir = f->data,
		.runtime_dir = f->run,
		.binary = binary,
		.torrc = "DisableNetwork 1\n",
	};

	f->tor = tor_new(&f->ev, &config, &ops, f);
	tor_start(f->tor);
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
	f->dir = unit_tmpdir();
	f->data = xasprintf("%s/state", f->dir);
	f->run = xasprintf("%s/run", f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->tor) {
		stop(f);
	}
	turn_end(&f->loop, &f->ev);
	unit_rmtree(f->dir);
	free(f->data);
	free(f->run);
	free(f->key_error);
	free(f);
	return 0;
}

static double now_s(void)
{
	return (double)uv_hrtime() / 1e9;
}

/* A zombie whose new parent takes its time is dead, too. */
static bool alive(pid_t pid)
{
	char *path = xasprintf("/proc/%d/stat", (int)pid);
	FILE *f = fopen(path, "re");
	char line[256] = "";
	bool lives = f && fgets(line, sizeof(line), f) && !strstr(line, ") Z ");

	if (f) {
		fclose(f);
	}
	free(path);
	return lives;
}

static pid_t tor_pid(struct fixture *f)
{
	FILE *p;
	char *command = xasprintf("pgrep -f -- '-f %s/torrc'", f->run);
	char line[32] = "";
	pid_t pid = 0;

	p = popen(command, "re");
	assert_non_null(p);
	while (fgets(line, sizeof(line), p)) {
		pid_t found = (pid_t)strtol(line, NULL, 10);
		char *comm = xasprintf("/proc/%d/comm", (int)found);
		FILE *c = fopen(comm, "re");
		char name[32] = "";

		if (c) {
			if (fgets(name, sizeof(name), c) && strcmp(name, "tor\n") == 0 &&
			    alive(found)) {
				pid = found;
			}
			fclose(c);
		}
		free(comm);
	}
	pclose(p);
	free(command);
	return pid;
}

static void on_key(void *ud, const struct error *err, const char *address, const uint8_t *key)
{
	struct fixture *f = ud;

	if (err) {
		f->key_errors++;
		free(f->key_error);
		f->key_error = xstrdup(error_text(err));
		return;
	}
	struct onion_seen *s = &f->seen[f->keys++];

	assert_int_equal(strlen(address), ONION_ADDRESS_LEN);
	memcpy(s->address, address, sizeof(s->address));
	memcpy(s->key, key, ONION_KEY_SIZE);
}

static void on_onion(void *ud, enum onion_state state, const char *reason)
{
	struct onion_seen *s = ud;

	if (state == ONION_FAILED) {
		print_message("%s\n", reason);
	}
	s->state = state;
	s->changes++;
}

static unsigned in_state(const struct fixture *f, unsigned n, enum onion_state state)
{
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++) {
		count += f->seen[i].state == state;
	}
	return count;
}

static void make_keys(struct fixture *f, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		tor_make_key(f->tor, 30000, on_key, f);
	}
	RUN_UNTIL(f, f->keys == n || f->key_errors);
	assert_int_equal(f->key_errors, 0);
}

static void add_onions(struct fixture *f, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint8_t secret[32], client[1][32];
		struct onion_spec spec = {
			.address = f->seen[i].address,
			.key = f->seen[i].key,
			.target = "unix:/nonexistent/http.sock",
			.clients = (const uint8_t(*)[32])client,
			.n_clients = i % 2,
			.pow = i % 3 == 0,
			.max_streams = 64,
		};

		crypto_x25519_keypair(secret, client[0]);
		f->seen[i].onion = tor_onion_add(f->tor, &spec, on_onion, &f->seen[i]);
	}
}

static void makes_keys_and_adds_onions_that_come_back_after_tor_was_killed(void **state)
{
	struct fixture *f = *state;
	double begun = now_s();

	start(f, NULL);
	make_keys(f, ONIONS);
	print_message("start and %u keys: %.2f s\n", ONIONS, now_s() - begun);
	assert_int_equal(tor_status(f->tor)->state, TOR_READY);
	assert_int_equal(tor_status(f->tor)->mode, TOR_MODE_MANAGED);
	assert_int_equal(tor_status(f->tor)->bootstrap, 0);
	assert_false(tor_status(f->tor)->reachable);
	assert_true(tor_status(f->tor)->peer_uid == geteuid());
	assert_string_equal(tor_status(f->tor)->socks, ""); /* the network is off */

	begun = now_s();
	add_onions(f, ONIONS);
	RUN_UNTIL(f, in_state(f, ONIONS, ONION_PUBLISHING) == ONIONS);
	print_message("%u onions added: %.3f s\n", ONIONS, now_s() - begun);

	for (int round = 0; round < 3; round++) {
		pid_t pid = tor_pid(f);

		assert_true(pid > 0);
		begun = now_s();
		assert_int_equal(kill(pid, SIGKILL), 0);
		RUN_UNTIL(f, in_state(f, ONIONS, ONION_WANTED) == ONIONS);
		assert_non_null(strstr(tor_status(f->tor)->problem, "tor"));
		RUN_UNTIL(f, in_state(f, ONIONS, ONION_PUBLISHING) == ONIONS);
		print_message("after kill -9 all are back: %.2f s\n", now_s() - begun);
		assert_null(tor_status(f->tor)->problem);
	}
	begun = now_s();
	stop(f);
	print_message("stopped: %.2f s\n", now_s() - begun);
	assert_int_equal(tor_pid(f), 0);
}

static void on_removed(void *ud)
{
	((struct fixture *)ud)->removed++;
}

static void two_hundred_onions_are_added_quickly_and_a_bad_one_does_not_block(void **state)
{
	struct fixture *f = *state;
	unsigned n = ARRAY_SIZE(f->seen);
	double begun;

	start(f, NULL);
	make_keys(f, n);
	memcpy(f->seen[3].key, f->seen[4].key, ONION_KEY_SIZE); /* another address's */
	begun = now_s();
	add_onions(f, n);
	/* The key of the fourth is taken by the time it comes, or takes it first. */
	RUN_UNTIL(f, in_state(f, n, ONION_PUBLISHING) == n - 1 && f->seen[3].state == ONION_FAILED);
	print_message("%u onions: %.2f s\n", n, now_s() - begun);
	assert_true(now_s() - begun < 10);
	for (unsigned i = 0; i < n; i++) {
		onion_remove(f->seen[i].onion, true, on_removed, f);
	}
	RUN_UNTIL(f, f->removed == n);
}

static void a_removed_onion_can_be_added_again_at_once(void **state)
{
	struct fixture *f = *state;

	start(f, NULL);
	make_keys(f, 1);
	add_onions(f, 1);
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHING);
	onion_remove(f->seen[0].onion, true, on_removed, f);
	f->seen[0].state = ONION_WANTED;
	add_onions(f, 1);
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHING);
	assert_int_equal(f->removed, 1);
}

static void an_onion_outlives_a_stop_of_tor_only_as_a_wish(void **state)
{
	struct fixture *f = *state;

	start(f, NULL);
	make_keys(f, 1);
	add_onions(f, 1);
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHING);
	stop(f);
	/* The second start finds the data directory of the first. */
	double begun = now_s();

	start(f, NULL);
	add_onions(f, 1);
	RUN_UNTIL(f, f->seen[0].changes >= 2 && f->seen[0].state == ONION_PUBLISHING);
	print_message("second start: %.2f s\n", now_s() - begun);
}

static void auto_without_a_tor_of_the_system_runs_its_own(void **state)
{
	struct fixture *f = *state;
	char *control = xasprintf("unix:%s/none", f->dir);
	const struct tor_config config = {
		.mode = TOR_MODE_AUTO,
		.control = control,
		.data_dir = f->data,
		.runtime_dir = f->run,
		.torrc = "DisableNetwork 1\n",
	};

	f->tor = tor_new(&f->ev, &config, &ops, f);
	tor_start(f->tor);
	make_keys(f, 1);
	assert_int_equal(tor_status(f->tor)->mode, TOR_MODE_MANAGED);
	free(control);
}

static void a_tor_that_was_stopped_is_replaced(void **state)
{
	struct fixture *f = *state;
	pid_t pid;

	start(f, NULL);
	f->tor->times.command = 4000;
	f->tor->times.beat = 200;
	make_keys(f, 1);
	add_onions(f, 1);
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHING);
	pid = tor_pid(f);
	assert_true(pid > 0);
	assert_int_equal(kill(pid, SIGSTOP), 0);
	RUN_UNTIL(f, f->seen[0].state == ONION_WANTED);
	assert_non_null(strstr(tor_status(f->tor)->problem, "did not answer"));
	RUN_UNTIL(f, f->seen[0].state == ONION_PUBLISHING);
	assert_false(alive(pid));
	assert_true(tor_pid(f) != pid);
}

static void a_missing_binary_is_named(void **state)
{
	struct fixture *f = *state;

	start(f, "/nonexistent/tor");
	RUN_UNTIL(f, tor_status(f->tor)->problem);
	assert_string_equal(tor_status(f->tor)->problem,
			    "cannot start /nonexistent/tor: No such file or directory");
	tor_make_key(f->tor, 100, on_key, f);
	RUN_UNTIL(f, f->key_errors);
	assert_non_null(strstr(f->key_error, "/nonexistent/tor"));
}

static void a_tor_that_refuses_its_configuration_is_explained(void **state)
{
	struct fixture *f = *state;
	const struct tor_config config = {
		.mode = TOR_MODE_MANAGED,
		.data_dir = f->data,
		.runtime_dir = f->run,
		.torrc = "Nonsense 1\n",
	};

	f->tor = tor_new(&f->ev, &config, &ops, f);
	tor_start(f->tor);
	RUN_UNTIL(f, tor_status(f->tor)->problem);
	assert_non_null(strstr(tor_status(f->tor)->problem, "tor exited with status 1: "));
	assert_non_null(strstr(tor_status(f->tor)->problem, "Nonsense"));
}

/* Tor does so of itself where threads do not start in time; here a script says its words. */
static void a_tor_that_aborts_is_explained_without_its_stack(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *binary = xasprintf("%s/aborts", f->dir);

	unit_write(f->dir, "aborts",
		   "#!/bin/sh\n"
		   "echo 'Nov 23 03:31:58.000 [warn] Failed to confirm worker threads.'\n"
		   "echo 'Nov 23 03:31:58.000 [warn] Bug: Tor 0.4.9.11: Line unexpectedly'\n"
		   "echo 'Nov 23 03:31:58.000 [warn] Bug:     tor(_start+0x21) [0x557a6fb]'\n"
		   "echo 'Nov 23 03:31:58.000 [err] No worker thread pool'\n"
		   "exit 1\n");
	assert_int_equal(chmod(binary, 0700), 0);
	start(f, binary);
	RUN_UNTIL(f, tor_status(f->tor)->problem);
	assert_string_equal(tor_status(f->tor)->problem,
			    "tor exited with status 1: Failed to confirm worker threads.");
}

static void a_runtime_directory_too_long_for_sockets_is_told(void **state)
{
	struct fixture *f = *state;
	char *old = f->run;

	f->run = xasprintf("%s/%0100d", f->dir, 1);
	start(f, NULL);
	RUN_UNTIL(f, tor_status(f->tor)->problem);
	assert_non_null(strstr(tor_status(f->tor)->problem, "too long"));
	free(f->run);
	f->run = old;
}

/* As the daemon's own death by kill -9 does it: the owner goes without a word. */
static void tor_does_not_outlive_a_daemon_that_was_killed(void **state)
{
	struct fixture *f = *state;
	pid_t daemon = fork();
	double begun;

	assert_true(daemon >= 0);
	if (daemon == 0) {
		struct fixture *g = NULL;

		setup((void **)&g);
		free(g->data);
		free(g->run);
		g->data = xstrdup(f->data);
		g->run = xstrdup(f->run);
		start(g, NULL);
		RUN_UNTIL(g, tor_status(g->tor)->state == TOR_READY);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(daemon, NULL, 0), daemon);
	begun = now_s();
	while (tor_pid(f) && now_s() - begun < 20) {
		usleep(20000);
	}
	assert_int_equal(tor_pid(f), 0);
	print_message("tor was gone %.2f s after the daemon\n", now_s() - begun);
}

static void a_tor_that_was_left_behind_is_ended_first(void **state)
{
	struct fixture *f = *state;
	const struct launch_config config = {.data_dir = f->data,
					     .runtime_dir = f->run,
					     .extra = "DisableNetwork 1\n"};
	struct buf torrc = BUF_INIT;
	char *command;
	pid_t old;

	/* Owned by this process, which lives: it would stay. */
	assert_int_equal(launch_torrc(&config, (int)getpid(), &torrc, NULL), 0);
	assert_int_equal(mkdir(f->run, 0700), 0);
	unit_write(f->run, "torrc", torrc.p);
	buf_done(&torrc);
	command = xasprintf("PATH=$PATH:/usr/sbin tor -f %s/torrc --defaults-torrc %s/none "
			    "--RunAsDaemon 1 >/dev/null",
			    f->run, f->run);
	assert_int_equal(system(command), 0);
	free(command);
	old = tor_pid(f);
	assert_true(old > 0);
	start(f, NULL);
	make_keys(f, 1);
	assert_false(alive(old));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(makes_keys_and_adds_onions_that_come_back_after_tor_was_killed),
		T(two_hundred_onions_are_added_quickly_and_a_bad_one_does_not_block),
		T(a_removed_onion_can_be_added_again_at_once),
		T(an_onion_outlives_a_stop_of_tor_only_as_a_wish),
		T(auto_without_a_tor_of_the_system_runs_its_own),
		T(a_tor_that_was_stopped_is_replaced),
		T(a_missing_binary_is_named),
		T(a_tor_that_aborts_is_explained_without_its_stack),
		T(a_tor_that_refuses_its_configuration_is_explained),
		T(a_runtime_directory_too_long_for_sockets_is_told),
		T(tor_does_not_outlive_a_daemon_that_was_killed),
		T(a_tor_that_was_left_behind_is_ended_first),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
